/* worker/reservation_seek.h - how a slot is found in a datacenter that is too large to be listed: by
 * looking at a few slots at a time, in an order of one's own. Which slot is tried is a preference; the
 * rule (docs/uniqueness.md) does not rest on it. Only for the files of the reservation machine; the
 * member's thread. */
#ifndef SF_WORKER_RESERVATION_SEEK_H
#define SF_WORKER_RESERVATION_SEEK_H

#include "worker/reservation_step.h"

/* An answer that may tell how many claims there are: what is known of how full the datacenter is. */
void sf_res_count_claims(struct sf_res_step *s, const struct sf_coord_completion *c);

/* Asks for the next few slots. */
void sf_res_ask_probe(struct sf_res_step *s);
/* The answer to PROBE. */
void sf_res_probed(struct sf_res_step *s, const struct sf_coord_completion *c);

/* Is it time to look for claims of ours that we do not know of? */
bool sf_res_find_is_due(const struct sf_res_step *s);
/* Asks for these. */
void sf_res_ask_find(struct sf_res_step *s);
/* Asks for claims of ours that are left over, or for some of others, if that is due. Returns whether it
 * asked. */
bool sf_res_ask_about_others(struct sf_res_step *s);
/* The answer to FIND. */
void sf_res_found(struct sf_res_step *s, const struct sf_coord_completion *c);

#endif
