/* worker/reservation_moves.h - how slots and claims come and go: a bid is won or dropped, a hold is
 * lost, gone or given back, a claim is given up. Only for the files of the reservation machine; the
 * member's thread. */
#ifndef SF_WORKER_RESERVATION_MOVES_H
#define SF_WORKER_RESERVATION_MOVES_H

#include "worker/reservation_step.h"

/* The release was applied: slot and claim are gone. */
void sf_res_released(struct sf_res_step *s);
/* The hold is not to be written any more: what was acknowledged is spent, the limit never rises
 * again. Where nothing can be spent, nothing is held any more. */
void sf_res_spend(struct sf_res_step *s);
/* The hold is somebody else's: spend what was acknowledged and look for another slot. */
void sf_res_orphan(struct sf_res_step *s, const char *because);
/* The hold is gone for sure: stop at once. Nothing where nothing is held. */
void sf_res_drop(struct sf_res_step *s, const char *because);
/* The bid's write was applied: it is the hold from here on, and minting begins. */
void sf_res_bid_won(struct sf_res_step *s);
/* The bid is given up; nothing of it was ever minted. */
void sf_res_bid_dropped(struct sf_res_step *s, const char *because);
/* Our claim may be there or not: it is deleted when it turns up, and a new one is made. */
void sf_res_give_claim_up(struct sf_reservation *res);

#endif
