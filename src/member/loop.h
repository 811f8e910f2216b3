/* member/loop.h - the member's thread: carries events into the machines and their wishes out. Only
 * for the files of the member. */
#ifndef SF_MEMBER_LOOP_H
#define SF_MEMBER_LOOP_H

#include "member/loop_state.h"

/* The thread: until every machine has ended, or sf_loop_stop. */
void *sf_loop_run(void *loop);
/* Any thread; the first of several counts. */
void sf_loop_leave(struct sf_loop *loop, int64_t deadline_mono_ms);
void sf_loop_stop(struct sf_loop *loop);
/* What coordinator and clock call, on their threads. */
void sf_loop_coord_event(void *loop, struct sf_coord_event *event);
void sf_loop_clock_changed(void *loop, const struct sf_clock_verdict *verdict);

#endif
