/* One turn of a connection: reads what there is, serves it, sends the answers, and settles what
 * comes next. */
#include "server/turn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "server/backlog.h"
#include "server/close.h"
#include "server/deadline.h"
#include "server/goaway.h"
#include "server/http.h"
#include "server/internal.h"
#include "server/output.h"
#include "server/queue.h"
#include "server/request.h"
#include "server/wheel.h"

/* What is kept of a request that is not whole yet: less. */
static size_t kept_max(const struct sf_session *session)
{
    return session->http ? SF_HTTP_HEAD_MAX : SF_FRAME_KEPT_MAX;
}

static size_t read_max(size_t have)
{
    return SF_INPUT_MAX - have < SF_READ_MAX ? SF_INPUT_MAX - have : SF_READ_MAX;
}

static size_t read_more_tls(struct sf_session *session, size_t have)
{
    struct sf_shard *shard = session->shard;
    const size_t most = have + read_max(have);
    const uint64_t before = sf_tls_bytes_read(session->tls);
    while (have < most) {
        const ssize_t got = sf_tls_receive(session->tls, shard->input + have, most - have);
        if (got > 0) {
            sf_session_touch(session);
            shard->bytes_in += (uint64_t)got;
            have += (size_t)got;
            continue;
        }
        /* Only here is nothing left, neither in the socket nor inside OpenSSL. */
        session->readable = false;
        if (got == 0)
            session->eof = true;
        else if (got != -EAGAIN)
            sf_session_close(session, SF_CONN_CLOSED_PEER);
        break;
    }
    if (session->state != SF_CLOSED)
        sf_backlog_read(session, (uint32_t)(sf_tls_bytes_read(session->tls) - before),
                        !session->readable);
    return have;
}

/* Our side is shut, and what the peer still sends is thrown away for a moment: unread bytes (it may have sent requests already)
 * would turn the end into a reset, and the alert that says why would be lost. */
static void refuse_handshake(struct sf_session *session)
{
    sf_tls_session_destroy(session->tls);
    session->tls = NULL;
    if (shutdown(session->fd, SHUT_WR) != 0) {
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    session->ending = true;
    session->close_reason = SF_CONN_CLOSED_ERROR;
    sf_session_move(session, SF_LINGERING);
    session->linger_ms = session->shard->now_ms;
    sf_wheel_arm(session);
}

static void handshake(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    char reason[200];
    if (session->tls == NULL && !session->readable)
        return;
    if (session->tls == NULL &&
        (session->tls = sf_tls_session_create(shard->settings.tls, session->fd)) == NULL) {
        sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_TLS, 1);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    const int rc = sf_tls_handshake(session->tls, reason, sizeof reason);
    if (rc == -EAGAIN) {
        session->readable = false;
        return;
    }
    if (rc != 0) {
        sf_log_limited(shard->server->options.log, &shard->server->tls_limiter, 10000, SF_LOG_WARN,
                       "server.tls_failed", "a TLS handshake failed: %s", reason);
        sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_TLS, 1);
        refuse_handshake(session);
        return;
    }
    sf_session_move(session, SF_SERVING);
    sf_session_touch(session);
    session->frame_ms = 0;
    session->readable = true;
    sf_backlog_begin(session);
}

/* Adds what the socket has behind the `have` bytes of the shard's scratch; returns the new size. */
static size_t read_more(struct sf_session *session, size_t have)
{
    struct sf_shard *shard = session->shard;
    const ssize_t most = (ssize_t)read_max(have);
    ssize_t got;
    if (session->tls != NULL)
        return read_more_tls(session, have);
    do
        got = recv(session->fd, shard->input + have, (size_t)most, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        /* The next bytes bring a new edge; but an end of the stream that is already known brings
         * none. */
        if (got < most && !session->hung_up)
            session->readable = false;
        sf_backlog_read(session, (uint32_t)got, got < most);
        sf_session_touch(session);
        shard->bytes_in += (uint64_t)got;
        return have + (size_t)got;
    }
    session->readable = false;
    if (got == 0)
        session->eof = true;
    else if (errno != EAGAIN)
        sf_session_close(session, SF_CONN_CLOSED_PEER);
    return have;
}

static bool keep_input(struct sf_session *session, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return true;
    session->input = sf_pool_take(&session->shard->pool, (uint32_t)size, &session->input_capacity);
    if (session->input == NULL)
        return false;
    memcpy(session->input, bytes, size);
    session->input_size = (uint32_t)size;
    return true;
}

/* Everything that was asked is answered and sent, and no more will come: says so and waits for the
 * peer to hear it. */
static void finish(struct sf_session *session)
{
    const unsigned reason = session->ending ? session->close_reason : SF_CONN_CLOSED_PEER;
    sf_session_drop_input(session);
    if (session->tls != NULL)
        sf_tls_finish(session->tls);
    if (session->eof || shutdown(session->fd, SHUT_WR) != 0) {
        sf_session_close(session, reason);
        return;
    }
    session->ending = true;
    session->close_reason = (uint8_t)reason;
    sf_session_move(session, SF_LINGERING);
    session->linger_ms = session->shard->now_ms;
    sf_wheel_arm(session);
}

static void linger(struct sf_session *session)
{
    if (!session->readable)
        return;
    read_more(session, 0);
    if (session->eof)
        sf_session_close(session, session->close_reason);
    else if (session->state != SF_CLOSED && session->readable)
        sf_session_make_ready(session);
}

/* After serving: keeps the rest and decides what comes next. */
static void settle(struct sf_session *session, size_t used, size_t size)
{
    struct sf_shard *shard = session->shard;
    if (session->state == SF_CLOSED)
        return;
    if (!session->ending && !keep_input(session, shard->input + used, size - used)) {
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    if (session->state != SF_SERVING) {
        session->frame_ms = 0;
        return;
    }
    session->wait_ns = 0;
    if (session->unfinished && !session->ending) {
        session->frame_ms = 0;
        sf_session_make_ready(session);
        return;
    }
    if (session->ending || session->eof) {
        finish(session);
        return;
    }
    const bool half_frame = session->input_size > 0 || session->skip > 0;
    if (!half_frame) {
        session->frame_ms = 0;
    } else if (session->frame_ms == 0 || used > 0) {
        session->frame_ms = shard->now_ms;
        sf_wheel_arm(session);
    }
    if (session->goaway_sent)
        sf_wheel_arm(session); /* it may be quiet from now on */
    if (session->readable)
        sf_session_make_ready(session);
}

void sf_turn_run(struct sf_session *session, bool may_read)
{
    struct sf_shard *shard = session->shard;
    if (session->state == SF_HANDSHAKE)
        handshake(session);
    if (session->state == SF_LINGERING)
        linger(session);
    if (session->state != SF_SERVING)
        return;
    SF_ASSERT(shard->output_size == 0);
    size_t size = session->input_size;
    if (size > 0) {
        memcpy(shard->input, session->input, size);
        sf_session_drop_input(session);
    }
    const uint64_t id_budget = sf_queue_budget(session);
    const uint32_t skip_before = session->skip;
    /* What is left of an earlier turn is served before more is read: it may be long. */
    if (may_read && session->readable && size < kept_max(session))
        size = read_more(session, size);
    if (session->state == SF_CLOSED)
        return;
    shard->work = 0;
    shard->turn_end_ns = 0;
    session->unfinished = false;
    size_t used = session->http ? sf_http_serve(session, shard->input, size, id_budget)
                                : sf_requests_serve(session, shard->input, size, id_budget);
    if (session->goaway_due && session->state != SF_CLOSED && session->state != SF_STALLED)
        sf_goaway_send(session);
    sf_output_flush(session);
    /* More bytes of a long frame that is thrown away are not the beginning of a new one. */
    if (skip_before > 0 && session->skip > 0 && session->frame_ms != 0)
        used = size = 0;
    settle(session, used, size);
}

/* --- when its time has come --- */

void sf_turn_due(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    const struct sf_server_limits *limits = &shard->settings.limits;
    const int64_t now = shard->now_ms;
    const unsigned told = shard->draining ? SF_CONN_CLOSED_DRAIN : SF_CONN_CLOSED_AGE;
    if (session->state == SF_LINGERING) {
        sf_session_close(session, session->close_reason);
    } else if (session->goaway_end_ms != 0 && now >= session->goaway_end_ms) {
        sf_session_close(session, told);
    } else if (session->state == SF_STALLED &&
               now >= session->stall_ms + limits->write_timeout_ms) {
        sf_session_close(session, SF_CONN_CLOSED_WRITE_TIMEOUT);
    } else if (session->state == SF_WAITING) {
        if (now > session->wait_ns / 1000000 + limits->max_wait_ms) {
            session->refuse_next = session->waiting_requests;
            sf_queue_unpark(session);
            sf_turn_run(session, false);
        }
    } else if (session->state == SF_SERVING && session->readable) {
        sf_session_make_ready(session); /* there is something to read first */
    } else if (session->frame_ms != 0 && now >= session->frame_ms + limits->frame_timeout_ms) {
        sf_session_close(session,
                         SF_CONN_CLOSED_FRAME_TIMEOUT); /* or a handshake that does not end */
    } else if (session->goaway_sent && sf_deadline_is_quiet(session)) {
        sf_session_end(session, told);
        finish(session);
    } else if (session->state == SF_SERVING &&
               now >= session->active_ms + limits->idle_timeout_ms) {
        sf_session_close(session, SF_CONN_CLOSED_IDLE);
    }
    if (session->state != SF_CLOSED && session->state != SF_LINGERING && !session->goaway_sent &&
        session->age_ms != 0 && now >= session->age_ms)
        sf_goaway_begin(session);
}
