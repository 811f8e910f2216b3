/* server/adopt.h - taking a connection into its shard, or turning it away. The shard's thread. */
#ifndef SF_SERVER_ADOPT_H
#define SF_SERVER_ADOPT_H

#include "server/session.h"

/* Takes a new session into this shard; it may be closed at once. */
void sf_adopt(struct sf_shard *shard, struct sf_session *session);
/* Answers OVERLOADED (http: 503) on a connection that there is no room for, and counts it. The descriptor stays the caller's. */
void sf_adopt_refuse(struct sf_shard *shard, int fd, bool http);

#endif
