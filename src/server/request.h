/* server/request.h - frames: finding them, refusing the bad ones, answering them. Its shard's thread. */
#ifndef SF_SERVER_REQUEST_H
#define SF_SERVER_REQUEST_H

#include <stddef.h>

#include "server/session.h"

/* Serves the frames at the front of bytes until one is incomplete or the session is no longer SERVING or is ending, or until its
 * turn has cost enough (unfinished); returns how many bytes were used up. id_budget: IDs that may be minted before it stops and waits again. */
size_t sf_requests_serve(struct sf_session *session, const uint8_t *bytes, size_t size, uint64_t id_budget);

#endif
