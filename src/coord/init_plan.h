/* coord/init_plan.h - INIT as a plan: under which conditions a fleet is made, from which floor, what
 * each slot record says, and what refuses with which words. The backends, the fake and the
 * simulation do what it says.
 *
 *   plain:            tree -> name
 *   after data loss:  unname -> survey -> tree -> name
 *
 * unname: one step: root at the version surveyed := the next; config at its version, or absent;
 *         every current-* deleted. From here on nothing is granted.
 * survey: all records and reports of all makings: the floor is raised above them.
 * tree:   /<token>: state, and for each datacenter its slot records and the place of its claims.
 * name:   one step: root at its version := the next; config at its version (or absent) := ours;
 *         our own state exists; every other current-* deleted; current-<token> created.
 *
 * Cut off anywhere it grants nothing, and of two at once one loses, since both must move the root.
 * Which current-* there are is listed after the root's version was read. After a refusal of the last
 * step, or no answer, the config is read: our token there means done. Trees are never deleted.
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

/* Is the epoch one that a new fleet can live with: not in the future, no seconds given for milliseconds
 * (that is a day in 1970), and timestamps for a year at least? Returns 0, or -EINVAL with the date that
 * it would mean. */
int sf_init_check_epoch(const struct sf_coord_config *config, int64_t now_ms, struct sf_error *err);

/* The datacenters that get records, by index, and the number of slots in each. Of a config that
 * sf_init_check likes. */
size_t sf_init_datacenter_count(const struct sf_coord_config *config);
uint64_t sf_init_datacenter(const struct sf_coord_config *config, size_t index);
size_t sf_init_worker_count(const struct sf_coord_config *config);

/* What is there where the config belongs. */
struct sf_init_found {
    enum sf_coord_record_state state;
    const struct sf_coord_config *config; /* OK: what it says, of any format */
    struct sf_coord_version version;      /* OK and GARBAGE */
    const char *why;                      /* GARBAGE: what its decoder says */
};

enum sf_init_verdict {
    SF_INIT_GO,
    SF_INIT_DONE,   /* our own token stands in the config: it is made */
    SF_INIT_REFUSED /* ret_refusal says why */
};

/* May the fleet be made over what is there? To be asked before anything is written, and again when
 * naming it was refused or not answered. root: for the refusal's words. ret_config: what to write,
 * with incarnation and, after a loss of data, one more than that of what is there. */
enum sf_init_verdict sf_init_plan_config(const struct sf_coord_init *init, const char *root,
                                         const struct sf_init_found *found,
                                         struct sf_coord_config *ret_config,
                                         struct sf_refusal *ret_refusal);

/* The floor of the new making: that of the request, or after a loss of data what survives, where
 * that is later. survey: taken after the name was taken away; NULL for a plain INIT. Returns 0, or
 * -1 with the refusal when a survivor is above init->survivor_max_ms and nobody took that on himself
 * (init->floor_stands). */
int sf_init_plan_floor(const struct sf_coord_init *init, const char *root,
                       const struct sf_coord_survey *survey, int64_t *ret_floor_ms,
                       struct sf_refusal *ret_refusal);

/* The record of a slot that nobody has held yet, with a nonce of its own. */
void sf_init_slot(const struct sf_coord_init *init, int64_t floor_ms, uint64_t datacenter,
                  uint64_t worker, int64_t now_ms, struct sf_coord_slot *ret);

#endif
