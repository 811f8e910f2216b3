/* worker/reservation_tell.h - what a machine tells of itself in its claim, for people who look at the
 * fleet: its state, why and since when, and whether it looks for a slot. A hint; no right to mint
 * depends on it. Only for the files of the machine; the member's thread. */
#ifndef SF_WORKER_RESERVATION_TELL_H
#define SF_WORKER_RESERVATION_TELL_H

#include "worker/reservation_step.h"

/* Fills what the claim is to hold when `op` is done: CLAIM, BIND or TELL. The guid of CLAIM is the
 * caller's. What TELL and BIND say counts as told once they are answered (sf_res_told). */
void sf_res_claim_body(struct sf_res_step *s, enum sf_coord_op op,
                       struct sf_coord_claim_request *body);

/* Asks to tell, where the claim says something else than what is so now, and the last time is long
 * enough ago (SF_RES_TELL_MS; where only numbers in the reason changed, not at all). force: whatever it
 * says, and however long ago. Returns whether it asked: nothing without a claim. */
bool sf_res_tell(struct sf_res_step *s, bool force);

/* A BIND or TELL was answered: what does the claim say now? done: it was surely done. */
void sf_res_told(struct sf_reservation *res, bool done);

/* No slot is held, and our claim is one of who cannot use any: it is not in the queue of those who look. */
bool sf_res_claim_is_idle(const struct sf_reservation *res);

#endif
