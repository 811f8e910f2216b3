/* server/wheel.h - deadlines, coarse: each session stands in one slot of a wheel. Activity only writes a time into the session; when
 * its slot comes up, the session says what its next deadline really is, and is served or put into a later slot. Its shard's
 * thread. */
#ifndef SF_SERVER_WHEEL_H
#define SF_SERVER_WHEEL_H

#include "server/session.h"

void sf_wheel_init(struct sf_shard *shard);
/* Makes sure that the session is looked at when its next deadline comes. */
void sf_wheel_arm(struct sf_session *session);
/* Calls `due` for those whose deadline has passed. */
void sf_wheel_turn(struct sf_shard *shard, void (*due)(struct sf_session *session));
/* Milliseconds until a session may be due, at most `most`. */
int64_t sf_wheel_wait_ms(struct sf_shard *shard, int64_t most);
/* Visits every session that stands in the wheel; a visit may close it. */
void sf_wheel_each(struct sf_shard *shard, void (*visit)(struct sf_session *session));

#endif
