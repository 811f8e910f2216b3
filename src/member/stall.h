/* member/stall.h - has another thread stopped turning? Pure: one thread looks, again and again, at
 * how long ago the other has turned.
 *
 * What counts is how long the other was seen to stand still while the one who looks was running: a
 * process that was stopped as a whole, or a machine that slept, has stalled nobody. So a look counts
 * for SF_STALL_LOOK_MAX_MS at most, however long the one before is ago. */
#ifndef SF_MEMBER_STALL_H
#define SF_MEMBER_STALL_H

#include <stdint.h>

#include "clock/policy.h"

#define SF_STALL_LOOK_MAX_MS 1000

struct sf_stall {
    int64_t looked_mono_ms; /* 0: never */
    int64_t stalled_ms;     /* seen to stand still; 0: it turns */
};

/* since_turn_ms: how long ago the other thread has turned. Returns stalled_ms. */
int64_t sf_stall_look(struct sf_stall *stall, int64_t since_turn_ms, int64_t mono_ms);

/* The last verdict of a clock whose thread stands still: nothing may be minted by it, for nobody
 * would notice that it went wrong. Nothing changes where stalled_ms is 0. */
void sf_stall_verdict(int64_t stalled_ms, struct sf_clock_verdict *verdict);

#endif
