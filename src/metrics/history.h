/* metrics/history.h - what a worker did in the last hour: a ring of points, one for each ten seconds.
 * Whoever makes the points decides what is in them; the ring numbers them and forgets the oldest. Memory is
 * fixed: SF_HISTORY_POINTS of them.
 *
 * put and read: any thread. */
#ifndef SF_METRICS_HISTORY_H
#define SF_METRICS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_HISTORY_POINTS 360 /* an hour of them */

struct sf_history;

/* What happened in one span. Counts are of that span alone. */
struct sf_history_point {
    uint64_t serial;          /* from 1 on, in the order in which they came; put gives it */
    int64_t mono_ms, at_ms;   /* when the span ended: monotonic, and Unix ms of the wall clock */
    int64_t span_ms;          /* how long it was: ten seconds, longer where the process stood still */
    uint64_t ids;             /* handed out */
    double ceiling_per_s;     /* IDs a second that the slots held at the end can give; 0: none was held */
    double saturation;        /* share of the ceiling that was asked for; -1: not known */
    uint64_t served, refused; /* NEXT requests answered OK, and with anything else */
    uint64_t errors;          /* of the refused those that were neither OVERLOADED nor RATE_LIMITED */
    uint64_t exhausted;       /* times that minting had to wait for the next millisecond */
    uint32_t waiting_most;    /* the most requests that were seen waiting at the end of a second */
    int64_t p50_ns, p99_ns;   /* of served requests; -1: there were none */
    int64_t refused_p99_ns;   /* of the refused; -1: there were none */
    bool clock_known;         /* the two below mean something */
    int64_t offset_ns, error_ns;
    int64_t left_ms;          /* of the reservation that lasts longest; -1: no slot was held */
    unsigned state;           /* a number that whoever puts and reads agree on */
};

struct sf_history *sf_history_create(void); /* NULL: no memory */
void sf_history_destroy(struct sf_history *history);

/* Copies the point; the oldest one goes when the ring is full. Its serial is the ring's to give. */
void sf_history_put(struct sf_history *history, const struct sf_history_point *point);

/* Copies the points whose serial is larger than `after` (0: all that are left), oldest first, into room for
 * SF_HISTORY_POINTS. Returns how many. */
size_t sf_history_read(struct sf_history *history, uint64_t after, struct sf_history_point *ret);

#endif
