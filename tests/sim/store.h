/* tests/sim/store.h - the simulated coordinator: what ZooKeeper and etcd promise, and nothing
 * kinder.
 *
 * The store applies a request in one step when its message arrives; how long messages take, whether
 * they arrive at all, and whether the answer comes back is the network's business (network.c). What
 * it holds can be wiped, copied and put back as a whole (content.c); the book of who was granted
 * which timestamps (book.h) outlives all that. One thread. */
#ifndef SF_SIM_STORE_H
#define SF_SIM_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "book.h"
#include "coord/coord.h"
#include "coord/refusal.h"
#include "shapes.h"

#define SIM_ROOT       "sim" /* the path that refusals name */

struct sim_record {
    struct sf_coord_slot slot;
    /* Put back from an older state: timestamps below this had been granted by then. 0: it never was. */
    int64_t acked_ms;
};

/* What INIT makes, below its token. */
struct sim_tree {
    char token[SF_COORD_TOKEN_SIZE];
    unsigned making; /* its number in the book */
    bool named;      /* current-<token> is there */
    struct sf_coord_version state_version;
    struct sf_coord_state *state; /* NULL: as INIT wrote it, not halted */
    struct sim_record slots[SIM_DATACENTERS_MAX][SIM_SLOTS_MAX];
};

struct sim_claim {
    bool live;
    uint64_t session;
    uint64_t datacenter;
    unsigned making;
    struct sf_coord_claim claim;
    uint64_t written_by; /* the id of the request that wrote it last: its owner's ids grow */
};

/* All that the coordinator holds, its counters included. */
struct sim_content {
    struct sf_coord_version root; /* {0,0}: nothing of the fleet was ever here */
    bool has_config;
    struct sf_coord_config config;
    struct sim_tree *trees[SIM_MAKINGS_MAX];
    unsigned tree_count;
    struct sim_claim claims[SIM_CLAIMS_MAX];
    uint64_t next_revision, next_fence;
    uint64_t sessions[SIM_HOSTS_MAX]; /* alive when it was copied */
};

struct sim_store {
    struct sf_layout layout;
    unsigned datacenters, slot_count; /* slots in each datacenter */
    /* As etcd does it: versions are revisions of the whole store, and a write compares the content
     * too. Otherwise as ZooKeeper: each record counts its own writes, and only that is compared. */
    bool compares_content;
    struct sim_content now;
    struct sim_content *lagging; /* what lists show while they lag; NULL: none was ever taken */
    struct sim_book book;
    uint64_t fleet_changes; /* of config, names and states: watches tell them */
    const char *wrong;      /* what was granted against the rules; NULL: nothing */
    char first_wrong[256];
};

/* Who asks: the session, and the owner in the book. */
struct sim_writer {
    uint64_t session, lineage;
};

void sim_store_init(struct sim_store *store, const struct sf_layout *layout, unsigned datacenters,
                    bool compares_content);
void sim_store_free(struct sim_store *store);

/* Applies the request and makes the completion's content. now_ms: the store's own clock. lags:
 * lists show what was there when the snapshot was taken. */
struct sf_coord_event *sim_store_apply(struct sim_store *store,
                                       const struct sf_coord_request *request,
                                       const struct sim_writer *writer, int64_t now_ms, bool lags);

/* From now on, lists that lag show the present. */
void sim_store_snapshot(struct sim_store *store);

/* Ends a session: its claims are gone. */
void sim_store_expire(struct sim_store *store, uint64_t session);

/* Somebody deletes a claim. */
void sim_store_claim_gone(struct sim_store *store, struct sim_claim *claim);
/* Somebody deletes a record of the making that grants. False: there is none. */
bool sim_store_record_gone(struct sim_store *store, unsigned datacenter, unsigned worker);
/* Somebody writes the config anew, as it is. */
void sim_store_config_touched(struct sim_store *store);

/* --- content.c: what is there --- */
/* The live claim of that name in that making, or NULL. */
struct sim_claim *sim_content_claim(struct sim_content *content, const char *token,
                                    const char *name);
/* NULL: it is not there. */
struct sim_tree *sim_content_tree(const struct sim_content *content, const char *token);
/* The making that grants now: named by the config, current, not halted. NULL: none does. */
struct sim_tree *sim_content_granting(const struct sim_content *content);
struct sim_content *sim_content_copy(const struct sim_content *content);
void sim_content_free(struct sim_content *content);
/* The coordinator forgets everything; it counts from the start again. */
void sim_store_wipe(struct sim_store *store);
/* What the coordinator holds is what it held when the copy was taken. */
void sim_store_put_back(struct sim_store *store, const struct sim_content *copy);

/* --- making.c: INIT, step by step (coord/init_plan.h) --- */
struct sim_making {
    struct sf_coord_init init;
    struct sf_coord_config config; /* as it will be written */
    struct sf_coord_version root;
};
/* After a loss of data the names go; otherwise it is only looked. False: refused. */
bool sim_making_begin(struct sim_store *store, struct sim_making *making,
                      struct sf_refusal *ret_refusal);
bool sim_making_floor(struct sim_store *store, struct sim_making *making,
                      struct sf_refusal *ret_refusal);
void sim_making_tree(struct sim_store *store, const struct sim_making *making, int64_t now_ms);
bool sim_making_name(struct sim_store *store, struct sim_making *making,
                     struct sf_refusal *ret_refusal);
void sim_making_survey(const struct sim_store *store, struct sf_coord_survey *ret);

/* --- counting as the coordinator does --- */
struct sf_coord_version sim_store_created(struct sim_store *store);
struct sf_coord_version sim_store_written(struct sim_store *store,
                                          const struct sf_coord_version *before);

#endif
