/* member/time.h - minting time, for whoever mints: read without a lock, by any thread. */
#ifndef SF_MEMBER_TIME_H
#define SF_MEMBER_TIME_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/ticks.h"
#include "clock/minttime.h"

struct sf_member_time {
    _Atomic int64_t epoch_ms; /* of the fleet; INT64_MIN: not known yet */
    const struct sf_minttime_cell *cell;
};

/* Minting time at this reading of the monotonic clock, in ms since the fleet's epoch: what a
 * generator is minted with. 0: not known yet, nothing may be minted. Reads no clock. */
static inline uint64_t sf_member_time_ms(const struct sf_member_time *time, int64_t mono_ns)
{
    const int64_t epoch_ms = atomic_load_explicit(&time->epoch_ms, memory_order_acquire);
    if (epoch_ms == INT64_MIN)
        return 0;
    const struct sf_minttime mint = sf_minttime_read(time->cell);
    if (mint.anchor_mint_ns == 0)
        return 0;
    const int64_t now_ms = sf_minttime_at(&mint, mono_ns) / SF_NS_PER_MS;
    return now_ms > epoch_ms ? (uint64_t)(now_ms - epoch_ms) : 0;
}

#endif
