/* server/goaway.h - telling a peer to go: because the worker drains, for age, or because others need the room. Its shard's thread. */
#ifndef SF_SERVER_GOAWAY_H
#define SF_SERVER_GOAWAY_H

#include "server/session.h"

/* Sends GOAWAY, or marks it as due where it cannot be sent now. */
void sf_goaway_begin(struct sf_session *session);
/* Writes the GOAWAY that is due among the collected answers. */
void sf_goaway_send(struct sf_session *session);
/* Closes the connection of this shard that has been idle longest, if SF_EVICT_IDLE_MS; false: none. */
bool sf_goaway_evict(struct sf_shard *shard);

#endif
