/* coord/state_record.h - the record /<token>/state: whether a making grants at all, and what workers
 * said that noticed a loss of data (docs/uniqueness.md, rule 8). Pure; any thread.
 */
#ifndef SF_COORD_STATE_RECORD_H
#define SF_COORD_STATE_RECORD_H

#include "base/error.h"
#include "coord/types.h"

/* The caller frees it. */
char *sf_record_state_encode(const struct sf_coord_state *state);
/* Any bytes up to SF_COORD_STATE_SIZE_MAX. Leaves `version` alone. Returns 0 or -EBADMSG; ret is left
 * alone on failure. */
int sf_record_state_decode(const char *bytes, size_t size, struct sf_coord_state *ret,
                           struct sf_error *err);

/* Halts, and adds the report: to the one of the same slot and claim (the later end counts), as a new
 * one, or to the ends of `others` when there is no room. */
void sf_state_report(struct sf_coord_state *state, const struct sf_coord_report *report);

/* The highest end that anybody but `claim` reported for the slot; 0: none. Who holds the slot under
 * `claim` may mint only at or above it. */
int64_t sf_state_held_until_ms(const struct sf_coord_state *state, uint64_t datacenter,
                               uint64_t worker, const char *claim);
/* The highest end of all reports; -1: there is none. */
int64_t sf_state_reported_until_ms(const struct sf_coord_state *state);

#endif
