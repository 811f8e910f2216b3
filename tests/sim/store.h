/* tests/sim/store.h - the simulated coordinator: what ZooKeeper and etcd promise, and nothing
 * kinder.
 *
 * The store applies a request in one step when its message arrives; how long messages take, whether
 * they arrive at all, and whether the answer comes back is the network's business (network.c). It
 * also keeps the book that the judge reads: who owned which slot from which timestamp on, as
 * applied, whatever the workers believe. One thread. */
#ifndef SF_SIM_STORE_H
#define SF_SIM_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/coord.h"
#include "shapes.h"

#define SIM_CLAIMS_MAX 256

/* A stretch of timestamps of one slot that belongs to one owner: [from_ms, to_ms). */
struct sim_tenure {
    uint64_t lineage;
    int64_t from_ms;
    int64_t to_ms; /* reserved_until of the record now, or at the hand-over */
};

struct sim_slot {
    struct sf_coord_slot record;
    struct sim_tenure *tenures; /* the last one is the present owner's */
    unsigned tenure_count;
    int64_t minted_ms;     /* highest timestamp minted in it; 0: none */
    int64_t free_since_ns; /* for the judge; -1: it is not free */
};

struct sim_claim {
    bool live;
    uint64_t session;
    uint64_t datacenter;
    struct sf_coord_claim claim;
};

/* What lists show while the store lags. */
struct sim_snapshot {
    struct sf_coord_slot slots[SIM_DATACENTERS_MAX][SIM_SLOTS_MAX];
    struct sim_claim claims[SIM_CLAIMS_MAX];
};

struct sim_store {
    struct sf_coord_config config;
    unsigned datacenters, slot_count; /* slots in each datacenter */
    struct sim_slot slots[SIM_DATACENTERS_MAX][SIM_SLOTS_MAX];
    struct sim_claim claims[SIM_CLAIMS_MAX];
    uint64_t next_fence, next_version, next_incarnation;
    struct sim_snapshot *old; /* NULL: none was ever taken */
};

/* Who asks: the session, and the owner in the book. */
struct sim_writer {
    uint64_t session, lineage;
};

void sim_store_init(struct sim_store *store, const struct sf_layout *layout, unsigned datacenters,
                    int64_t now_ms);
void sim_store_free(struct sim_store *store);

/* Applies the request and makes the completion's content. now_ms: the store's own clock. lags:
 * lists show what was there when the snapshot was taken. */
struct sf_coord_event *sim_store_apply(struct sim_store *store,
                                       const struct sf_coord_request *request,
                                       const struct sim_writer *writer, int64_t now_ms, bool lags);

void sim_store_snapshot(struct sim_store *store);

/* Ends a session: its claims are gone. */
void sim_store_expire(struct sim_store *store, uint64_t session);

/* The live claim of that name, or NULL. */
struct sim_claim *sim_store_claim(struct sim_store *store, const char *name);

/* Somebody deletes a record; somebody makes it again, above everything that was ever reserved. */
void sim_store_record_gone(struct sim_store *store, unsigned datacenter, unsigned worker);
void sim_store_record_back(struct sim_store *store, unsigned datacenter, unsigned worker);

/* May this owner mint this timestamp in this slot, by what was applied? NULL, or why not. */
const char *sim_store_audit(const struct sim_slot *slot, uint64_t lineage, int64_t ts_ms);

#endif
