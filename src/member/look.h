/* member/look.h - the list that somebody wants to see: read for the looker's sake, on demand and at most
 * once in SF_LOOK_EVERY_MS, whatever the machines read for themselves. Only for the files of the member;
 * its thread, but where it says otherwise. */
#ifndef SF_MEMBER_LOOK_H
#define SF_MEMBER_LOOK_H

#include <stdint.h>

#include "member/loop_state.h"

#define SF_LOOK_EVERY_MS 2000
#define SF_LOOK_SLOT_MS  4 /* it may take so much longer for each slot of the datacenter */

/* Somebody looks: a list that is older than that is read again. Any thread; does not wait. */
void sf_look_want(struct sf_loop *loop);
/* Asks for what is wanted, when its time has come. */
void sf_look_turn(struct sf_loop *loop);
/* When sf_look_turn has something to do; INT64_MAX: nothing. */
int64_t sf_look_due_mono_ms(const struct sf_loop *loop);
/* Takes an answer, if it is one to a request of ours. Returns whether it was. */
bool sf_look_answered(struct sf_loop *loop, struct sf_coord_completion *completion);
/* A machine's word on the fleet: any will do. NULL: none knows it, or can ask. */
const struct sf_reservation *sf_look_who_knows(const struct sf_loop *loop);
/* A LIST of a datacenter with a number that no machine's request has. */
struct sf_coord_request sf_look_request(struct sf_loop *loop, const struct sf_reservation *res,
                                        uint64_t datacenter);
/* A list was read, by whomever: the next look need not be so soon. */
void sf_look_listed(struct sf_loop *loop, struct sf_coord_completion *completion);

#endif
