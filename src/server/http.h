/* server/http.h - requests over HTTP: finding them, refusing the bad ones, answering them, by the same path as frames. Its shard's thread. */
#ifndef SF_SERVER_HTTP_H
#define SF_SERVER_HTTP_H

#include <stddef.h>

#include "server/session.h"

/* As sf_requests_serve (request.h), for a session that speaks HTTP. */
size_t sf_http_serve(struct sf_session *session, const uint8_t *bytes, size_t size, uint64_t id_budget);

#endif
