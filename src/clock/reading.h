/* clock/reading.h - what one kind of time source says: where true time lies, how far that can be
 * wrong, and until when it counts.
 *
 * A reading is kept against the monotonic clock (base_ns = true time - CLOCK_MONOTONIC), not
 * against the wall clock: a step of the wall clock then shows at once as an offset, and no reading
 * has to be thrown away. The error bound grows with age, at SF_CLOCK_DRIFT_PPM. How old a reading
 * is allowed to be is judged by whoever looks at it, so that a poller that has died expires by
 * itself. Pure values, no thread safety. Nanoseconds; offsets are true time minus wall clock:
 * positive when the wall clock is slow. */
#ifndef SF_CLOCK_READING_H
#define SF_CLOCK_READING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock_source.h"

#define SF_CLOCK_DRIFT_PPM 50

/* As the source says, and by age (HOLDOVER, and the end of it). The first word of a source may be
 * any of the others as well.
 *
 *            heard           silent for stale_after_ns
 *   NONE ------------> SYNCED ----------------------------> HOLDOVER
 *                       ^  ^ <------------------------------- |
 *        a majority     |  |         heard again              |
 *        again, lost    |  | it knows again, or no more       | silent for
 *                       v  v                                  | expired_after_ns
 *            NO_MAJORITY    UNSYNCED <------------------------+ */
enum sf_reading_status {
    SF_READING_NONE,        /* nothing has been heard yet */
    SF_READING_SYNCED,      /* heard lately, and the source says that it knows */
    SF_READING_HOLDOVER,    /* the source is silent or has lost its own sources: carried on with a
                               growing bound */
    SF_READING_NO_MAJORITY, /* servers disagree, or too few answer: nothing can be said */
    SF_READING_UNSYNCED     /* the source says that it does not know, or holdover has ended */
};

#define SF_READING_TEXT_MAX 160

struct sf_reading {
    enum sf_clock_kind kind;
    enum sf_reading_status status; /* when it was made; SYNCED ages: use sf_reading_status_at */
    bool has_time;                 /* base_ns and error_ns mean something */
    int64_t as_of_mono_ns;         /* when base_ns and error_ns held */
    int64_t base_ns;
    int64_t error_ns;
    int64_t good_mono_ns;           /* last evidence that the source was synchronised */
    int64_t stale_after_ns;         /* good_mono_ns older than this: holdover */
    int64_t expired_after_ns;       /* older than this: unsynchronised */
    uint32_t sources;               /* servers that agree, where that is known */
    char text[SF_READING_TEXT_MAX]; /* for people: "3 of 4 servers agree, falseticker 10.0.0.4" */
};

/* The status now, by age. */
enum sf_reading_status sf_reading_status_at(const struct sf_reading *reading, int64_t mono_ns);

/* Error bound now; INT64_MAX without a time. */
int64_t sf_reading_error_ns(const struct sf_reading *reading, int64_t mono_ns);

/* True time minus wall clock, by this reading; 0 without a time. */
int64_t sf_reading_offset_ns(const struct sf_reading *reading, int64_t real_ns, int64_t mono_ns);

/* The error that SF_CLOCK_DRIFT_PPM makes in this time (0 for negative times); saturates. */
int64_t sf_clock_drift_ns(int64_t elapsed_ns);

/* Sum and difference that stop at the ends of the type. */
int64_t sf_clock_add_ns(int64_t a, int64_t b);
int64_t sf_clock_sub_ns(int64_t a, int64_t b);
int64_t sf_clock_abs_ns(int64_t a);

/* "none", "synced", "holdover", "no majority", "unsynced". */
const char *sf_reading_status_name(enum sf_reading_status status);

#endif
