/* member/far.h - the fleet's other datacenters, for whoever looks at the whole of it: listed one after the
 * other while somebody does, each at most once in SF_LOOK_EVERY_MS, and one that nobody ever was in once in
 * SF_FAR_EMPTY_MS. Nothing of the member itself goes by what is read here. Only for the files of the member;
 * its thread, but where it says otherwise. */
#ifndef SF_MEMBER_FAR_H
#define SF_MEMBER_FAR_H

#include <stdint.h>

#include "member/loop_state.h"

#define SF_FAR_EMPTY_MS  60000
#define SF_FAR_WANTED_MS 3000 /* whoever looked last is still there for so long */

/* Somebody looks at the whole fleet. Any thread; does not wait. */
void sf_far_want(struct sf_loop *loop);
/* Asks for the next one whose time has come. */
void sf_far_turn(struct sf_loop *loop);
/* When sf_far_turn has something to do; INT64_MAX: nothing. */
int64_t sf_far_due_mono_ms(const struct sf_loop *loop);
/* Takes an answer, if it is one to a request of ours. Returns whether it was. */
bool sf_far_answered(struct sf_loop *loop, struct sf_coord_completion *completion);

#endif
