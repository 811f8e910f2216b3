/* server/output.h - sending: what the shard has collected for a connection, and what its socket did not take. Its shard's thread. */
#ifndef SF_SERVER_OUTPUT_H
#define SF_SERVER_OUTPUT_H

#include <sys/types.h>

#include "base/assert.h"
#include "server/internal.h"

/* Sends what the socket takes: the bytes sent, 0 when it takes none now, negative when the connection is broken. */
ssize_t sf_output_send(struct sf_session *session, const uint8_t *bytes, size_t size);
/* Sends what the shard has collected for it; false when the session can take no more now (STALLED or CLOSED). */
bool sf_output_flush(struct sf_session *session);
/* Where a response of up to `room` bytes may be written; NULL when the session got stalled. The caller adds to
 * shard->output_size. */
static inline uint8_t *sf_output_room(struct sf_session *session, size_t room)
{
    struct sf_shard *shard = session->shard;
    if (shard->output_size >= SF_OUTPUT_LIMIT || shard->output_size + room > SF_OUTPUT_MAX) {
        if (!sf_output_flush(session))
            return NULL;
    }
    SF_ASSERT(shard->output_size + room <= SF_OUTPUT_MAX);
    return shard->output + shard->output_size;
}

/* The socket takes more: goes on with what is unsent. */
void sf_output_writable(struct sf_session *session);

#endif
