/* server/close.h - the end of a connection. Its shard's thread. */
#ifndef SF_SERVER_CLOSE_H
#define SF_SERVER_CLOSE_H

#include "server/session.h"

/* Closes the descriptor and gives back all that the session holds; it is freed at the end of the shard's turn. close_reason:
 * SF_CONN_CLOSED_... A closed one: nothing. */
void sf_session_close(struct sf_session *session, unsigned close_reason);

#endif
