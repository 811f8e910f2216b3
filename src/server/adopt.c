/* Taking a connection into its shard, or turning it away. */
#include "server/adopt.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "server/close.h"
#include "server/goaway.h"
#include "server/internal.h"
#include "server/wheel.h"

static const char too_many[] = "this worker has as many connections as it may";

static size_t put_refusal(uint8_t to[SF_HTTP_ERROR_MAX], bool http)
{
    const struct sf_http_answer answer = {
        .status = sf_http_status_of(SF_WIRE_OVERLOADED), .retry_after_ms = 1000, .closes = true};
    return http ? sf_http_put_error((char *)to, answer, too_many)
                : sf_wire_put_error(to, SF_HTTP_ERROR_MAX, SF_WIRE_ERROR, SF_WIRE_OVERLOADED, 0,
                                    1000, too_many);
}

void sf_adopt_refuse(struct sf_shard *shard, int fd, bool http)
{
    uint8_t answer[SF_HTTP_ERROR_MAX], sink[512];
    const size_t size = put_refusal(answer, http);
    /* Inside TLS an answer would cost a handshake: just the end then. */
    if (shard->settings.tls == NULL &&
        send(fd, answer, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size &&
        shutdown(fd, SHUT_WR) == 0)
        while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) == (ssize_t)sizeof sink)
            ; /* unread bytes would turn the close into a reset */
    sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_LIMIT, 1);
    sf_metrics_add(shard->metrics, SF_METRIC_OVERLOADED, SF_OVERLOAD_CONNECTIONS, 1);
}

/* Of all half-open ones here, or of one address: the one that gives way. NULL: what they sent is
 * still to be read, so it is we who are late. */
static struct sf_session *half_open_victim(struct sf_shard *shard, const struct sf_address *address)
{
    struct sf_session *oldest = NULL;
    struct sf_link *link = shard->half_open.next;
    for (int i = 0; i < SF_HANDSHAKE_LOOKS_MAX && link != &shard->half_open;
         i++, link = link->next) {
        struct sf_session *session = SF_CONTAINER(link, struct sf_session, half_open);
        if (address != NULL && session->address != address)
            continue;
        if (session->readable)
            continue;
        if (session->tls == NULL)
            return session;
        if (oldest == NULL)
            oldest = session;
    }
    return oldest;
}

static bool make_way(struct sf_shard *shard, const struct sf_address *address)
{
    struct sf_session *victim = half_open_victim(shard, address);
    if (victim != NULL)
        sf_session_close(victim, SF_CONN_CLOSED_EVICTED);
    return victim != NULL;
}

static uint32_t at_least_one(uint32_t n)
{
    return n > 0 ? n : 1;
}

/* Nothing is set up for TLS before the peer has said something. False: there is no room. */
static bool begin_handshake(struct sf_shard *shard, struct sf_session *session)
{
    struct sf_address *address = session->address;
    const uint32_t most = shard->settings.limits.max_handshakes;
    const uint32_t here = at_least_one(most / shard->server->shard_count);
    const uint32_t each = at_least_one(most / SF_HANDSHAKE_ADDRESS_PART);
    /* Counted first: another shard may be doing the same. */
    const uint32_t before =
        atomic_fetch_add_explicit(&address->handshakes, 1, memory_order_relaxed);
    if ((before >= each && !make_way(shard, address)) ||
        (shard->handshakes >= here && !make_way(shard, NULL))) {
        atomic_fetch_sub_explicit(&address->handshakes, 1, memory_order_relaxed);
        return false;
    }
    session->state = SF_HANDSHAKE;
    session->frame_ms = shard->now_ms;
    sf_link_append(&shard->half_open, &session->half_open);
    shard->handshakes++;
    shard->stormy = shard->stormy || shard->handshakes >= SF_HANDSHAKES_STORM;
    return true;
}

void sf_adopt(struct sf_shard *shard, struct sf_session *session)
{
    const struct sf_server_limits *limits = &shard->settings.limits;
    session->shard = shard;
    /* What it brings is nothing: or who connects again would have a burst each time. */
    sf_bucket_drain(&session->bucket, limits->connection_ids_per_s, limits->connection_burst,
                    shard->now_ns);
    sf_session_touch(session);
    if (session->inside)
        sf_metrics_add(shard->metrics, SF_METRIC_CONNECTIONS_TOTAL, 0, 1);
    if (session->needs_room && !sf_goaway_evict(shard)) {
        sf_adopt_refuse(shard, session->fd, session->http);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    const int64_t age = limits->max_connection_age_ms;
    if (age > 0) /* 90 to 110 % */
        session->age_ms = shard->now_ms + age - age / 10 +
                          (int64_t)sf_prng_below(&shard->prng, (uint64_t)(age / 5 + 1));
    const bool tls = shard->settings.tls != NULL && !session->inside && !session->local;
    if (tls && !begin_handshake(shard, session)) {
        sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_TLS, 1);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    /* TLS may want to write whenever it is asked to read. */
    if (!sf_session_watch(session, EPOLL_CTL_ADD, tls)) {
        sf_log_write(shard->server->options.log, SF_LOG_WARN, "server.watch_failed",
                     "a connection cannot be watched and is closed: errno %d", errno);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    sf_wheel_arm(session);
    if (shard->draining)
        sf_goaway_begin(session);
}
