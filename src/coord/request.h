/* coord/request.h - what the contract itself says of requests and of what answers them, once for
 * every backend: which ops write, what a request must hold, how claims are ordered and found. Pure; any
 * thread.
 */
#ifndef SF_COORD_REQUEST_H
#define SF_COORD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "coord/types.h"
#include "coord/version.h"

/* May the op change what the coordinator holds? Without an answer, its outcome is UNKNOWN; that of
 * the others is LOST. */
bool sf_request_writes(enum sf_coord_op op);

/* Does it take as many steps as the fleet has records? Then its deadline is for each step. */
bool sf_request_is_long(enum sf_coord_op op);

/* Does the request keep the contract? What is written must be readable by ourselves: a record that
 * our decoder refuses would take the slot out of service. version_max: the largest version that the
 * backend can compare. Returns 0 or -EINVAL with what is wrong. */
int sf_request_check(const struct sf_coord_request *request, uint64_t version_max,
                     struct sf_error *err);

/* What CLAIM, BIND or TELL makes the claim hold; name and fence are empty, and but for CLAIM the guid. */
struct sf_coord_claim sf_request_claim(const struct sf_coord_request *request);

/* Claims stand in the order in which they were made. */
void sf_claims_sort(struct sf_coord_claim *claims, size_t count);

/* FIND's choice, by the guids of all live claims (each SF_HEX128_SIZE - 1 digits): their indices,
 * nearest first. Returns how many. */
size_t sf_find_take(const struct sf_coord_find *find, const char *const *guids, size_t count,
                    size_t ret_index[SF_COORD_FIND_MAX]);

/* The same where the claims themselves are at hand: keeps the chosen ones, by fence. */
void sf_find_keep(const struct sf_coord_find *find, struct sf_coord_claim *claims, size_t *count);

/* Would a probe's claimant want to know whether the claim in this record lives? */
bool sf_probe_asks(const struct sf_coord_probe *probe, const struct sf_coord_slot *slot);

/* Is this one of the fleet's datacenters? */
bool sf_config_has_datacenter(const struct sf_coord_config *config, uint64_t datacenter);

/* Frees the results, which only DONE has. */
void sf_completion_drop_results(struct sf_coord_completion *completion);

#endif
