/* clock/select.h - several NTP servers, some of which may lie: where is true time for sure. Pure.
 *
 * Every server claims an interval. With n answering servers, up to f = (n - 1) / 2 of them may be
 * wrong, so the result reaches from the leftmost to the rightmost point that lies in at least n - f
 * intervals (a strict majority). Unlike the largest overlap, or the smallest f that works (RFC 5905
 * section 11.2.1), this never excludes the truth while at most f lie. A partition must not leave
 * one liar as the majority, so more than half of the configured servers must have answered. */
#ifndef SF_CLOCK_SELECT_H
#define SF_CLOCK_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_SELECT_MAX 16

struct sf_select_interval {
    bool answered;     /* in: has an interval that counts */
    int64_t low, high; /* in: closed, low <= high */
    bool falseticker;  /* out: answered, and does not touch the result */
};

enum sf_select_verdict {
    SF_SELECT_MAJORITY,
    SF_SELECT_NO_ANSWER,  /* nobody answered */
    SF_SELECT_TOO_FEW,    /* not more than half of the configured servers answered */
    SF_SELECT_NO_MAJORITY /* they disagree: every one is marked a falseticker */
};

/* count: configured servers, at most SF_SELECT_MAX. */
enum sf_select_verdict sf_select(struct sf_select_interval *intervals, size_t count,
                                 int64_t *ret_low, int64_t *ret_high);

#endif
