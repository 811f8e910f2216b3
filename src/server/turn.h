/* server/turn.h - one turn of a connection. Its shard's thread. */
#ifndef SF_SERVER_TURN_H
#define SF_SERVER_TURN_H

#include "server/session.h"

/* Reads once (if there may be something and may_read), serves what is complete, writes once, and settles what comes next. */
void sf_turn_run(struct sf_session *session, bool may_read);
/* Its deadline (deadline.h) has come. */
void sf_turn_due(struct sf_session *session);

#endif
