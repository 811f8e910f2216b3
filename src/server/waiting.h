/* server/waiting.h - serving those who wait for a later millisecond. Its shard's thread. */
#ifndef SF_SERVER_WAITING_H
#define SF_SERVER_WAITING_H

#include "server/session.h"

/* Called every turn: the waiting sessions, in order, as far as there are IDs. */
void sf_waiting_serve(struct sf_shard *shard);

#endif
