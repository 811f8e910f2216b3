/* server/deadline.h - when something has to be done about a connection though nothing comes. Its shard's thread. */
#ifndef SF_SERVER_DEADLINE_H
#define SF_SERVER_DEADLINE_H

#include "server/session.h"

/* CLOCK_MONOTONIC, ms; INT64_MAX: never. */
int64_t sf_deadline_ms(const struct sf_session *session);
/* Nothing is half read, waits or is unsent. */
bool sf_deadline_is_quiet(const struct sf_session *session);

#endif
