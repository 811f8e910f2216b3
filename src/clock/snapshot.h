/* clock/snapshot.h - what a clock shows of itself: the verdict, a line for each source, a line for
 * each server behind one. Plain values, for status, metrics and logs. Nanoseconds; offsets are true
 * time minus wall clock. */
#ifndef SF_CLOCK_SNAPSHOT_H
#define SF_CLOCK_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock_source.h"
#include "clock/policy.h"
#include "clock/reading.h"

#define SF_CLOCK_SERVERS_MAX 32 /* NTP servers and chronyd's sources shown */

/* One NTP server, or one source of a chronyd. */
struct sf_clock_server {
    enum sf_clock_kind kind;
    char name[SF_CLOCK_SPEC_MAX]; /* as configured; a chronyd's source by its address */
    char address[64];
    char state[24]; /* "selected", "falseticker", "no answer", "kiss DENY", ... */
    bool has_time;
    int64_t offset_ns, error_ns, delay_ns, age_ns;
    uint32_t stratum;
    uint64_t polls, answers, timeouts, kisses;
    uint64_t refused; /* malformed, spoofed, replayed or not to be believed */
    char last_refusal[24];
};

struct sf_clock_source {
    enum sf_clock_kind kind;
    /* The kind's name; of several of a kind that does not speak with one voice, as configured. */
    char name[SF_CLOCK_SPEC_MAX];
    bool up; /* its reading is synchronised */
    enum sf_reading_status status;
    bool has_time; /* it tells a time; in holdover its last word counts, afterwards no more */
    int64_t offset_ns, error_ns, age_ns;
    char text[SF_READING_TEXT_MAX];
};

struct sf_clock_snapshot {
    struct sf_clock_verdict verdict;
    size_t source_count, server_count;
    struct sf_clock_source sources[SF_CLOCK_SOURCES_MAX];
    struct sf_clock_server servers[SF_CLOCK_SERVERS_MAX];
    uint64_t steps_forward, steps_backward; /* of the wall clock, seen since the start */
    bool slewing;                           /* minting time is being corrected */
    int64_t slew_left_ns;
    bool coordinator_known;
    int64_t coordinator_offset_ns; /* the coordinator's time minus the wall clock */
    int64_t coordinator_error_ns;  /* give or take */
};

#endif
