/* server/answer_http.h - answers over HTTP. What they are counted as is the caller's. Its shard's thread. */
#ifndef SF_SERVER_ANSWER_HTTP_H
#define SF_SERVER_ANSWER_HTTP_H

#include "server/internal.h"

/* All: false when the session got stalled and the answer has no place; it is to be given again later. Each says that the connection ends where
 * session->closes. */

/* A refusal; status is that of HTTP. */
bool sf_answer_http(struct sf_session *session, unsigned status, uint32_t retry_after_ms, const char *why);
/* 200 with a JSON text of at most SF_SERVER_DECODED_MAX bytes. */
bool sf_answer_http_json(struct sf_session *session, const char *text, size_t size);
/* 200: the head of the answer with the IDs of session->partial, which has them all, and is `sending` from then on. */
bool sf_answer_http_begin(struct sf_session *session);
/* Goes on with it; false also when the turn has lasted long enough (SERVING still). */
bool sf_answer_http_continue(struct sf_session *session);

#endif
