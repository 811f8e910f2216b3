/* tests/sim/store.h - the simulated coordinator: what ZooKeeper and etcd promise, and nothing
 * kinder.
 *
 * The store applies a request in one step when its message arrives; how long messages take, whether
 * they arrive at all, and whether the answer comes back is the network's business (world.c). It
 * also keeps the book that the checker reads: who owned which slot from which timestamp on, as
 * applied, whatever the workers believe. One thread.
 */
#ifndef SF_SIM_STORE_H
#define SF_SIM_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/coord.h"

#define SIM_SLOTS_MAX   32
#define SIM_CLAIMS_MAX  256
#define SIM_TENURES_MAX 4096

/* A stretch of timestamps of one slot that belongs to one process instance: [from_ms, to_ms). */
struct sim_tenure {
    uint64_t instance;
    int64_t from_ms;
    int64_t to_ms; /* reserved_until of the record now, or at the hand-over */
};

struct sim_slot {
    struct sf_coord_slot record;
    struct sim_tenure *tenures; /* the last one is the present owner's */
    unsigned tenure_count;
};

struct sim_claim {
    bool live;
    uint64_t session;
    uint64_t instance;
    struct sf_coord_claim claim;
};

struct sim_store {
    struct sf_coord_config config;
    bool has_config;
    unsigned slot_count;
    struct sim_slot slots[SIM_SLOTS_MAX];
    struct sim_claim claims[SIM_CLAIMS_MAX];
    uint64_t next_fence, next_version;
};

void sim_store_init(struct sim_store *store, const struct sf_layout *layout, int64_t now_ms);
void sim_store_free(struct sim_store *store);

/* Applies the request for a session of a process instance and makes the completion's content.
 * now_ms: the store's own clock. A session that has ended makes every write that needs its claim
 * fail as it would. */
struct sf_coord_event *sim_store_apply(struct sim_store *store,
                                       const struct sf_coord_request *request, uint64_t session,
                                       uint64_t instance, int64_t now_ms);

/* Ends a session: its claims are gone. */
void sim_store_expire(struct sim_store *store, uint64_t session);

/* May this instance mint this timestamp in this slot, by what was applied? NULL, or why not. */
const char *sim_store_audit(const struct sim_store *store, uint64_t instance, uint64_t worker,
                            int64_t ts_ms);

#endif
