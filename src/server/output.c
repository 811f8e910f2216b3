/* Sending: what the shard has collected for a connection, and what its socket did not take. */
#include "server/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "server/backlog.h"
#include "server/close.h"
#include "server/internal.h"
#include "server/queue.h"
#include "server/wheel.h"

ssize_t sf_output_send(struct sf_session *session, const uint8_t *bytes, size_t size)
{
    ssize_t sent;
    if (session->tls != NULL) {
        /* A record at a time, until the socket is full. */
        size_t done = 0;
        while (done < size && (sent = sf_tls_send(session->tls, bytes + done, size - done)) != 0) {
            if (sent < 0)
                return sent;
            done += (size_t)sent;
        }
        session->shard->bytes_out += done;
        return (ssize_t)done;
    }
    do
        sent = send(session->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EAGAIN)
        return 0;
    if (sent > 0)
        session->shard->bytes_out += (uint64_t)sent;
    return sent;
}

bool sf_output_flush(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    const uint32_t size = shard->output_size;
    shard->output_size = 0;
    if (size == 0 || session->state == SF_CLOSED)
        return session->state != SF_CLOSED;
    const ssize_t sent = sf_output_send(session, shard->output, size);
    if (sent == (ssize_t)size)
        return true;
    const uint32_t left = sent < 0 ? 0 : size - (uint32_t)sent;
    if (sent < 0 || (session->output = malloc(left)) == NULL) {
        sf_session_close(session, sent < 0 ? SF_CONN_CLOSED_PEER : SF_CONN_CLOSED_ERROR);
        return false;
    }
    memcpy(session->output, shard->output + sent, left);
    session->output_at = 0;
    session->output_size = left;
    if (session->tls == NULL && !sf_session_watch(session, EPOLL_CTL_MOD, true)) {
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return false;
    }
    session->stall_ms = shard->now_ms;
    /* A session that waits for its timestamp as well gives up its place; it queues again when it
     * can be written to. */
    if (session->state == SF_WAITING)
        sf_queue_unpark(session);
    sf_session_move(session, SF_STALLED);
    sf_wheel_arm(session);
    return false;
}

void sf_output_writable(struct sf_session *session)
{
    if (session->state != SF_STALLED)
        return;
    const ssize_t sent = sf_output_send(session, session->output + session->output_at,
                                        session->output_size - session->output_at);
    if (sent < 0) {
        sf_session_close(session, SF_CONN_CLOSED_PEER);
        return;
    }
    session->output_at += (uint32_t)sent;
    if (session->output_at < session->output_size)
        return;
    free(session->output);
    session->output = NULL;
    session->output_size = 0;
    if (session->tls == NULL && !sf_session_watch(session, EPOLL_CTL_MOD, false)) {
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    sf_backlog_forgive(session, (session->shard->now_ms - session->stall_ms) * SF_NS_PER_MS);
    session->stall_ms = 0;
    sf_session_touch(session);
    sf_session_move(session, SF_SERVING);
    sf_session_make_ready(session);
}
