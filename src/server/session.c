/* One connection: reading, writing, ending. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "server/internal.h"

#define NEVER INT64_MAX

struct sf_session *sf_session_create(struct sf_server *server, int fd)
{
    struct sf_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->fd = fd;
    session->state = SF_SERVING; /* or HANDSHAKE, when a shard with TLS adopts it */
    sf_link_init(&session->wheel);
    sf_link_init(&session->queue);
    sf_link_init(&session->by_activity);
    /* The generator with the fewest connections. */
    uint32_t fewest = UINT32_MAX;
    for (unsigned i = 0; i < server->options.generator_count; i++) {
        const uint32_t here =
            atomic_load_explicit(&server->generator_sessions[i], memory_order_relaxed);
        if (here < fewest) {
            fewest = here;
            session->generator = (uint8_t)i;
        }
    }
    if (server->options.generator_count > 0)
        atomic_fetch_add_explicit(&server->generator_sessions[session->generator], 1,
                                  memory_order_relaxed);
    return session;
}

void sf_session_free(struct sf_session *session)
{
    free(session->output);
    sf_token_unref(session->token);
    free(session);
}

void sf_session_move(struct sf_session *session, enum sf_session_state to)
{
    static const uint8_t allowed[] = {
        [SF_HANDSHAKE] = 1 << SF_SERVING | 1 << SF_CLOSED,
        [SF_SERVING] = 1 << SF_WAITING | 1 << SF_STALLED | 1 << SF_LINGERING | 1 << SF_CLOSED,
        [SF_WAITING] = 1 << SF_SERVING | 1 << SF_CLOSED,
        [SF_STALLED] = 1 << SF_SERVING | 1 << SF_CLOSED,
        [SF_LINGERING] = 1 << SF_CLOSED,
        [SF_CLOSED] = 0,
    };
    SF_ASSERT(allowed[session->state] & 1 << to);
    if (session->state == SF_HANDSHAKE)
        session->shard->handshakes--;
    session->state = (uint8_t)to;
}

static void drop_input(struct sf_session *session)
{
    sf_pool_give(&session->shard->pool, session->input, session->input_capacity);
    session->input = NULL;
    session->input_size = 0;
}

void sf_session_close(struct sf_session *session, unsigned close_reason)
{
    struct sf_shard *shard = session->shard;
    struct sf_server *server = shard->server;
    if (session->state == SF_CLOSED)
        return;
    if (session->state == SF_WAITING)
        sf_next_unpark(session);
    sf_next_came_back(session);
    sf_session_move(session, SF_CLOSED);
    sf_next_drop_partial(session);
    drop_input(session);
    sf_link_remove(&session->wheel);
    sf_link_remove(&session->queue);
    sf_link_remove(&session->by_activity);
    sf_tls_session_destroy(session->tls);
    session->tls = NULL;
    close(session->fd);
    session->fd = -1;
    sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_CLOSED, close_reason, 1);
    atomic_fetch_sub_explicit(&shard->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&server->connections, 1, memory_order_relaxed);
    if (server->options.generator_count > 0)
        atomic_fetch_sub_explicit(&server->generator_sessions[session->generator], 1,
                                  memory_order_relaxed);
    sf_link_append(&shard->dead, &session->queue);
}

void sf_session_touch(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    session->active_ms = shard->now_ms;
    if (session->listed_ms != 0 && shard->now_ms - session->listed_ms < SF_ACTIVITY_STEP_MS)
        return;
    session->listed_ms = shard->now_ms;
    sf_link_remove(&session->by_activity);
    sf_link_append(&shard->by_activity, &session->by_activity);
}

void sf_session_end(struct sf_session *session, unsigned close_reason)
{
    if (session->ending)
        return;
    session->ending = true;
    session->close_reason = (uint8_t)close_reason;
}

/* --- writing --- */

static ssize_t send_some(struct sf_session *session, const uint8_t *bytes, size_t size)
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

bool sf_session_evict(struct sf_shard *shard)
{
    struct sf_link *link = shard->by_activity.next;
    for (int i = 0; i < SF_EVICT_LOOKS_MAX && link != &shard->by_activity; i++, link = link->next) {
        struct sf_session *session = SF_CONTAINER(link, struct sf_session, by_activity);
        if (shard->now_ms - session->active_ms < SF_EVICT_IDLE_MS)
            return false;
        /* Those that wait for IDs or for the peer to read have deadlines of their own. */
        if (session->state == SF_WAITING || session->state == SF_STALLED || session->readable)
            continue;
        if (session->state == SF_SERVING && !session->goaway_sent) {
            static const char reason[] = "idle, and others need the room";
            uint8_t frame[SF_WIRE_HEADER_SIZE + 4 + sizeof reason];
            const size_t size = sf_wire_put_goaway(frame, sizeof frame, 0, reason);
            (void)send_some(session, frame, size); /* as far as it goes: the end says the same */
        }
        sf_session_close(session, SF_CONN_CLOSED_EVICTED);
        return true;
    }
    return false;
}

bool sf_session_flush(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    const uint32_t size = shard->output_size;
    shard->output_size = 0;
    if (size == 0 || session->state == SF_CLOSED)
        return session->state != SF_CLOSED;
    const ssize_t sent = send_some(session, shard->output, size);
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
        sf_next_unpark(session);
    sf_session_move(session, SF_STALLED);
    sf_wheel_arm(session);
    return false;
}

static void send_goaway(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    struct sf_server *server = shard->server;
    char reason[sizeof server->goaway_reason] = "this connection has reached its age";
    if (shard->draining) {
        pthread_mutex_lock(&server->lock);
        memcpy(reason, server->goaway_reason, sizeof reason);
        pthread_mutex_unlock(&server->lock);
    }
    const size_t room = SF_WIRE_HEADER_SIZE + 4 + sizeof reason;
    uint8_t *to = sf_response_room(session, room);
    if (to == NULL)
        return; /* stalled: due still */
    const int64_t left_ms = session->goaway_end_ms - shard->now_ms;
    shard->output_size +=
        (uint32_t)sf_wire_put_goaway(to, room, left_ms > 0 ? (uint32_t)left_ms : 0, reason);
    session->goaway_due = false;
    session->goaway_sent = true;
    session->goaway_ms = shard->now_ms;
}

void sf_session_goaway(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    session->goaway_end_ms =
        shard->draining ? shard->server->goaway_end_ms : shard->now_ms + SF_AGE_GRACE_MS;
    if (session->goaway_sent || session->state == SF_LINGERING)
        return;
    session->goaway_due = true;
    if (session->state == SF_STALLED || session->state == SF_HANDSHAKE)
        return;
    SF_ASSERT(shard->output_size == 0);
    send_goaway(session);
    sf_session_flush(session);
}

/* --- reading --- */

static size_t read_more_tls(struct sf_session *session, size_t have)
{
    struct sf_shard *shard = session->shard;
    const size_t most = have + SF_READ_MAX;
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

void sf_session_handshake(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    char reason[200];
    const int rc = sf_tls_handshake(session->tls, reason, sizeof reason);
    if (rc == -EAGAIN) {
        session->readable = false;
        return;
    }
    if (rc != 0) {
        sf_log_limited(shard->server->options.log, &shard->server->tls_limiter, 10000, SF_LOG_WARN,
                       "server.tls_failed", "a TLS handshake failed: %s", reason);
        sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_TLS, 1);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
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
    ssize_t got;
    if (session->tls != NULL)
        return read_more_tls(session, have);
    do
        got = recv(session->fd, shard->input + have, SF_READ_MAX, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        /* The next bytes bring a new edge; but an end of the stream that is already known brings
         * none. */
        if (got < SF_READ_MAX && !session->hung_up)
            session->readable = false;
        sf_backlog_read(session, (uint32_t)got, got < SF_READ_MAX);
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
    drop_input(session);
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
        sf_shard_make_ready(session);
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
        sf_shard_make_ready(session);
}

void sf_session_run(struct sf_session *session, bool may_read)
{
    struct sf_shard *shard = session->shard;
    if (session->state == SF_HANDSHAKE)
        sf_session_handshake(session);
    if (session->state == SF_LINGERING)
        linger(session);
    if (session->state != SF_SERVING)
        return;
    SF_ASSERT(shard->output_size == 0);
    size_t size = session->input_size;
    if (size > 0) {
        memcpy(shard->input, session->input, size);
        drop_input(session);
    }
    const uint64_t id_budget = sf_next_budget(session);
    const uint32_t skip_before = session->skip;
    /* What is left of an earlier turn is served before more is read: it may be long. */
    if (may_read && session->readable && size < SF_FRAME_KEPT_MAX)
        size = read_more(session, size);
    if (session->state == SF_CLOSED)
        return;
    size_t used = sf_requests_serve(session, shard->input, size, id_budget);
    if (session->goaway_due && session->state != SF_CLOSED && session->state != SF_STALLED)
        send_goaway(session);
    sf_session_flush(session);
    /* More bytes of a long frame that is thrown away are not the beginning of a new one. */
    if (skip_before > 0 && session->skip > 0 && session->frame_ms != 0)
        used = size = 0;
    settle(session, used, size);
}

void sf_session_writable(struct sf_session *session)
{
    if (session->state != SF_STALLED)
        return;
    const ssize_t sent = send_some(session, session->output + session->output_at,
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
    sf_shard_make_ready(session);
}

/* --- time --- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_quiet(const struct sf_session *session)
{
    return session->state == SF_SERVING && session->input_size == 0 && session->skip == 0;
}

int64_t sf_session_deadline_ms(const struct sf_session *session)
{
    const struct sf_server_limits *limits = &session->shard->settings.limits;
    int64_t deadline = NEVER;
    switch (session->state) {
    case SF_HANDSHAKE:
        deadline = session->frame_ms + limits->frame_timeout_ms;
        break;
    case SF_SERVING:
        deadline = session->active_ms + limits->idle_timeout_ms;
        if (session->frame_ms != 0)
            deadline = earlier(deadline, session->frame_ms + limits->frame_timeout_ms);
        break;
    case SF_WAITING:
        deadline = session->wait_ns / 1000000 + limits->max_wait_ms + 1;
        break;
    case SF_STALLED:
        deadline = session->stall_ms + limits->write_timeout_ms;
        break;
    case SF_LINGERING:
        return session->linger_ms + SF_LINGER_MS;
    default:
        return NEVER;
    }
    if (session->goaway_sent || session->goaway_due) {
        deadline = earlier(deadline, session->goaway_end_ms);
        if (session->goaway_sent && is_quiet(session)) {
            const int64_t last =
                session->active_ms > session->goaway_ms ? session->active_ms : session->goaway_ms;
            deadline = earlier(deadline, last + SF_GOAWAY_QUIET_MS);
        }
    } else if (session->age_ms != 0) {
        deadline = earlier(deadline, session->age_ms);
    }
    return deadline;
}

void sf_session_due(struct sf_session *session)
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
            sf_next_unpark(session);
            sf_session_run(session, false);
        }
    } else if (session->state == SF_SERVING && session->readable) {
        sf_shard_make_ready(session); /* there is something to read first */
    } else if (session->frame_ms != 0 && now >= session->frame_ms + limits->frame_timeout_ms) {
        sf_session_close(session,
                         SF_CONN_CLOSED_FRAME_TIMEOUT); /* or a handshake that does not end */
    } else if (session->goaway_sent && is_quiet(session)) {
        sf_session_end(session, told);
        finish(session);
    } else if (session->state == SF_SERVING &&
               now >= session->active_ms + limits->idle_timeout_ms) {
        sf_session_close(session, SF_CONN_CLOSED_IDLE);
    }
    if (session->state != SF_CLOSED && session->state != SF_LINGERING && !session->goaway_sent &&
        session->age_ms != 0 && now >= session->age_ms)
        sf_session_goaway(session);
}
