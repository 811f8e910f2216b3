/* member/step.h - one step of a machine, with the world around it: clock and randomness in; request,
 * state file and log lines out. Only for the files of the member; its thread. */
#ifndef SF_MEMBER_STEP_H
#define SF_MEMBER_STEP_H

#include "member/loop_state.h"

/* Nothing where the machine has ended. */
void sf_step(struct sf_loop *loop, struct sf_hold *hold, const struct sf_reservation_event *event);
void sf_step_all(struct sf_loop *loop, const struct sf_reservation_event *event);

/* Looks whether the clock's thread turns; returns true when that has changed. */
bool sf_step_watch_clock(struct sf_loop *loop);

/* The coordinator's clock, as an answer told it: a cap on reservations when no source is trusted,
 * and a check of our clock. */
void sf_step_learn_time(struct sf_loop *loop, const struct sf_coord_completion *completion);

#endif
