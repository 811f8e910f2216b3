/* Which shard a new connection goes to. */
#include "server/place.h"

struct sf_shard *sf_place_fewest(const struct sf_server *server, struct sf_shard *preferred)
{
    struct sf_shard *target = preferred;
    uint32_t fewest = atomic_load_explicit(&preferred->connections, memory_order_relaxed);
    for (unsigned i = 0; i < server->shard_count; i++) {
        const uint32_t here =
            atomic_load_explicit(&server->shards[i]->connections, memory_order_relaxed);
        if (here < fewest) {
            fewest = here;
            target = server->shards[i];
        }
    }
    return target;
}
