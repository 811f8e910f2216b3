/* server/answer.h - answers and their counting, whatever was asked. Its shard's thread. */
#ifndef SF_SERVER_ANSWER_H
#define SF_SERVER_ANSWER_H

#include "server/internal.h"

/* Counts answers, and how long they took: since the wait began for a session that waited, else as long as this turn takes. */
void sf_answer_count(struct sf_session *session, enum sf_request_label type, unsigned status, uint32_t requests);
/* Both: false when the session got stalled and the answer has no place; it is to be given again later. */
bool sf_answer_ok(struct sf_session *session, const struct sf_wire_header *header, const void *body, size_t size);
bool sf_answer_error(struct sf_session *session, uint8_t request_type, enum sf_wire_status status, uint32_t request_id,
                     uint32_t retry_after_ms, const char *reason);

#endif
