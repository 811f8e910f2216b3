/* server/backlog.h - how long what is read from a socket has lain there. Its shard's thread. */
#ifndef SF_SERVER_BACKLOG_H
#define SF_SERVER_BACKLOG_H

#include "server/session.h"

/* The socket has become readable; nothing was left in it. */
void sf_backlog_begin(struct sf_session *session);
/* The peer did not read for so long: its requests waited for itself, which does not count. */
void sf_backlog_forgive(struct sf_session *session, int64_t ns);
/* `got` bytes were taken from the socket; drained: it holds no more now. Sets read_ns, shedding. */
void sf_backlog_read(struct sf_session *session, uint32_t got, bool drained);

#endif
