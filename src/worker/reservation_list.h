/* worker/reservation_list.h - what the list of a datacenter's slots and claims changes: the census,
 * claims of unknown outcome, and which slot to try for. Only for the files of the reservation
 * machine; the member's thread. */
#ifndef SF_WORKER_RESERVATION_LIST_H
#define SF_WORKER_RESERVATION_LIST_H

#include "worker/reservation_step.h"

/* The answer to LIST. */
void sf_res_listed(struct sf_res_step *s, const struct sf_coord_completion *c);

/* --- what FIND and PROBE change likewise --- */

/* By claims of which ours are among them: a claim whose making was not answered is there or not. */
void sf_res_settle_claim(struct sf_reservation *res, const struct sf_coord_completion *c);
/* Claims of ours that were given up, and a second one of our own guid: a hop delivered its making
 * twice. */
void sf_res_find_strays(struct sf_reservation *res, const struct sf_coord_completion *c);
/* Nobody mints before the floor, nor before the epoch, which no ID can express: false, with a reason,
 * until then. */
bool sf_res_has_begun(struct sf_res_step *s);
/* Says once what is waited for: when the waiting begins, and when it changes its kind. */
void sf_res_tell_wait(struct sf_res_step *s);
/* Of a reservation that ends until_ms from now: whether that can be true. */
void sf_res_tell_poisoned(struct sf_res_step *s, int64_t until_ms);
/* This slot is tried for next. */
void sf_res_bid_for(struct sf_res_step *s, const struct sf_coord_slot *slot);

#endif
