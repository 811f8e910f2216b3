/* coord/init_plan.h - INIT as a plan: what becomes of the config and of each slot record, and what
 * refuses with which words. The backends, the fake and the simulation do what it says.
 *
 * A fleet gets its config last: half made is no fleet, and the next INIT goes on with it. After a
 * loss of data a config that can be read is replaced first: its new version makes every renewal
 * under the old one fail, and its floor holds back what the records do not yet. Records that are
 * there already are kept, raised to the floor, and never lowered.
 *
 *   no config, or garbage to be replaced:  each slot record -> config
 *   a config to be replaced:               config -> each slot record
 *
 * Pure; any thread.
 */
#ifndef SF_COORD_INIT_PLAN_H
#define SF_COORD_INIT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "coord/refusal.h"
#include "coord/types.h"

/* Can such a fleet be made? Returns 0, or -EINVAL with what is wrong and what is allowed. */
int sf_init_check(const struct sf_coord_config *config, struct sf_error *err);

/* The datacenters that get records, by index, and the number of slots in each. Of a config that
 * sf_init_check likes. */
size_t sf_init_datacenter_count(const struct sf_coord_config *config);
uint64_t sf_init_datacenter(const struct sf_coord_config *config, size_t index);
size_t sf_init_worker_count(const struct sf_coord_config *config);

/* What is there where the config belongs. */
struct sf_init_found {
    enum sf_coord_record_state state;
    const struct sf_coord_config *config; /* OK: what it says */
    const char *why;                      /* GARBAGE: what its decoder says */
};

/* What becomes of the config. Returns 0, or -1 with the refusal. ret_config: what to write; its
 * version is left to the backend. ret_first: it is written before the slot records. `root`: for
 * the refusal's words. */
int sf_init_plan_config(const struct sf_coord_init *init, const char *root,
                        const struct sf_init_found *found, struct sf_coord_config *ret_config,
                        bool *ret_first, struct sf_refusal *ret_refusal);

enum sf_init_step {
    SF_INIT_KEEP,   /* the record is fine as it is */
    SF_INIT_WRITE,  /* ret_slot is to be written */
    SF_INIT_REFUSED /* ret_refusal says why */
};

/* What becomes of one slot record. found: state and worker, the rest when it is OK. why: GARBAGE:
 * what its decoder says. now_ms: for updated_ms. A record that is raised loses its nonce: it is
 * nobody's own write, and its owner must not take it for acknowledged. ret_slot has the version of
 * what was found. */
enum sf_init_step sf_init_plan_slot(const struct sf_coord_init *init, const char *root,
                                    uint64_t datacenter, const struct sf_coord_slot *found,
                                    const char *why, int64_t now_ms, struct sf_coord_slot *ret_slot,
                                    struct sf_refusal *ret_refusal);

#endif
