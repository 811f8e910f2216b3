/* server/work.h - when a turn of a connection has lasted long enough. Its shard's thread. */
#ifndef SF_SERVER_WORK_H
#define SF_SERVER_WORK_H

#include "base/ticks.h"
#include "server/shard.h"

/* Whether it has; the clock is looked at only when there was work. */
static inline bool sf_work_is_spent(struct sf_shard *shard)
{
    if (shard->work < SF_TURN_WORK)
        return false;
    shard->work = 0;
    const int64_t now_ns = sf_mono_ns();
    if (shard->turn_end_ns == 0)
        shard->turn_end_ns = now_ns + SF_TURN_NS;
    return now_ns >= shard->turn_end_ns;
}

#endif
