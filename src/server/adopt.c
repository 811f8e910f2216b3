/* Taking a connection into its shard, or turning it away. */
#include "server/adopt.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "server/close.h"
#include "server/goaway.h"
#include "server/internal.h"
#include "server/wheel.h"

void sf_adopt_refuse(struct sf_shard *shard, int fd)
{
    uint8_t answer[128], sink[512];
    const size_t size = sf_wire_put_error(answer, sizeof answer, SF_WIRE_ERROR, SF_WIRE_OVERLOADED,
                                          0, 1000, "this worker has as many connections as it may");
    /* Inside TLS an answer would cost a handshake: just the end then. */
    if (shard->settings.tls == NULL &&
        send(fd, answer, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size &&
        shutdown(fd, SHUT_WR) == 0)
        while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) == (ssize_t)sizeof sink)
            ; /* unread bytes would turn the close into a reset */
    sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_LIMIT, 1);
    sf_metrics_add(shard->metrics, SF_METRIC_OVERLOADED, SF_OVERLOAD_CONNECTIONS, 1);
}

static bool begin_tls(struct sf_shard *shard, struct sf_session *session)
{
    if (shard->handshakes >= SF_HANDSHAKES_MAX)
        return false;
    session->tls = sf_tls_session_create(shard->settings.tls, session->fd);
    if (session->tls == NULL)
        return false;
    session->state = SF_HANDSHAKE;
    session->frame_ms = shard->now_ms;
    shard->handshakes++;
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
    if (session->needs_room && !sf_goaway_evict(shard)) {
        sf_adopt_refuse(shard, session->fd);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    const int64_t age = limits->max_connection_age_ms;
    if (age > 0) /* 90 to 110 % */
        session->age_ms = shard->now_ms + age - age / 10 +
                          (int64_t)sf_prng_below(&shard->prng, (uint64_t)(age / 5 + 1));
    if (shard->settings.tls != NULL && !begin_tls(shard, session)) {
        sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_TLS, 1);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    /* TLS may want to write whenever it is asked to read. */
    if (!sf_session_watch(session, EPOLL_CTL_ADD, session->tls != NULL)) {
        sf_log_write(shard->server->options.log, SF_LOG_WARN, "server.watch_failed",
                     "a connection cannot be watched and is closed: errno %d", errno);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    sf_wheel_arm(session);
    if (shard->draining)
        sf_goaway_begin(session);
}
