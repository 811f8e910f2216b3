/* Listening sockets that all shards share. Whoever wakes for a connection gives it to the shard that
 * has the fewest, so that a handful of connections is spread evenly, which the kernel's hashing
 * over several listeners would not do. */
#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "server/adopt.h"
#include "server/internal.h"
#include "server/place.h"

#define BACKLOG 4096

static int open_one(const struct addrinfo *info, int *ret_fd)
{
    const int on = 1;
    const int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          info->ai_protocol);
    if (fd < 0)
        return -errno;
    /* Accepted sockets inherit TCP_NODELAY. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        const int rc = -errno;
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

uint16_t sf_listener_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): getsockname filled it */
    return ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

int sf_listener_open(const struct sf_host_port *address, const char *what, int *ret_fd,
                     struct sf_error *err)
{
    char port[8], text[128];
    snprintf(port, sizeof port, "%u", address->port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    const int found =
        getaddrinfo(address->host[0] != '\0' ? address->host : NULL, port, &hints, &list);
    if (found != 0)
        return sf_error_set(err, -EADDRNOTAVAIL, "%s: %s cannot be resolved: %s", what,
                            address->host, gai_strerror(found));
    int rc = -EADDRNOTAVAIL;
    for (const struct addrinfo *info = list; info != NULL && rc != 0; info = info->ai_next)
        rc = open_one(info, ret_fd);
    freeaddrinfo(list);
    if (rc != 0)
        return sf_error_set(err, rc, "%s: cannot listen on %s port %u: %s", what, address->host,
                            address->port, sf_errno_text(rc, text, sizeof text));
    return 0;
}

void sf_listener_watch(struct sf_shard *shard, bool on)
{
    struct sf_server *server = shard->server;
    if (on == shard->accepting)
        return;
    shard->accepting = on;
    for (unsigned i = 0; i < server->listener_count; i++) {
        struct sf_listener *listener = &server->listeners[i];
        struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = listener};
        if (epoll_ctl(shard->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener->fd, &event) != 0)
            sf_log_write(server->options.log, SF_LOG_ERROR, "server.listen_failed",
                         "shard %u cannot watch the listening socket of port %u: errno %d",
                         shard->number, listener->port, errno);
    }
}

/* The shard with the connection that has been idle longest, if that may go; NULL: none. */
static struct sf_shard *oldest_idle(const struct sf_shard *shard)
{
    const struct sf_server *server = shard->server;
    struct sf_shard *target = NULL;
    int64_t oldest_ms = shard->now_ms - SF_EVICT_IDLE_MS + 1;
    for (unsigned i = 0; i < server->shard_count; i++) {
        const int64_t here =
            atomic_load_explicit(&server->shards[i]->oldest_ms, memory_order_relaxed);
        if (here < oldest_ms) {
            oldest_ms = here;
            target = server->shards[i];
        }
    }
    return target;
}

/* What is counted for who connected. The kernel tells who is at the other end of a UNIX socket. */
static struct sf_address *address_of(struct sf_shard *shard, int fd, const struct sockaddr *peer,
                                     const struct sf_listener *listener)
{
    struct sf_server *server = shard->server;
    if (!listener->local)
        return sf_address_get(&server->addresses, peer, shard->now_ns);
    struct ucred who = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
        who = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
    sf_log_write(server->options.log, SF_LOG_DEBUG, "server.local_peer",
                 "process %d of user %u and group %u connected over the UNIX socket", (int)who.pid,
                 (unsigned)who.uid, (unsigned)who.gid);
    return sf_address_get_user(&server->addresses, who.uid, shard->now_ns);
}

static void place(struct sf_shard *shard, int fd, const struct sockaddr *peer,
                  const struct sf_listener *listener)
{
    const bool http = listener->http;
    struct sf_server *server = shard->server;
    const uint32_t before =
        atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed);
    const bool needs_room = before >= shard->settings.limits.max_connections;
    struct sf_shard *target = needs_room ? oldest_idle(shard) : sf_place_fewest(server, shard);
    struct sf_session *session = NULL;
    if (target == NULL) {
        sf_adopt_refuse(shard, fd, http);
        close(fd);
    } else {
        struct sf_address *address = address_of(shard, fd, peer, listener);
        session = sf_session_create(server, fd, address);
        if (session == NULL) {
            sf_address_put(&server->addresses, address);
            close(fd);
            sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_MEMORY, 1);
        }
    }
    if (session == NULL) {
        atomic_fetch_sub_explicit(&server->connections, 1, memory_order_relaxed);
        return;
    }
    session->needs_room = needs_room;
    session->http = http;
    session->local = listener->local;
    atomic_fetch_add_explicit(&target->connections, 1, memory_order_relaxed);
    sf_metrics_add(shard->metrics, SF_METRIC_CONNECTIONS_TOTAL, 0, 1);
    if (target == shard)
        sf_adopt(shard, session);
    else
        sf_inbox_post(target->inbox, &session->message);
}

/* Accepting goes on in a while. code: why, an errno. */
static void pause_accepting(struct sf_shard *shard, int code)
{
    struct sf_server *server = shard->server;
    char text[128];
    sf_log_limited(server->options.log, &server->accept_limiter, 10000, SF_LOG_ERROR,
                   "server.accept_failed",
                   "no connection can be accepted (%s); trying again in %d ms. Raise the limit of "
                   "open files or lower listen.max_connections",
                   sf_errno_text(code, text, sizeof text), SF_ACCEPT_PAUSE_MS);
    sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_DESCRIPTORS, 1);
    sf_listener_watch(shard, false);
    shard->accept_again_ms = shard->now_ms + SF_ACCEPT_PAUSE_MS;
}

/* Whether this descriptor eats into those that are kept. The kernel gives the lowest number. */
static bool is_scarce(int fd)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           limit.rlim_cur > 2 * SF_DESCRIPTORS_KEPT &&
           (rlim_t)fd >= limit.rlim_cur - SF_DESCRIPTORS_KEPT;
}

/* After a scarce one: still so? */
static bool descriptors_are_few(struct sf_shard *shard)
{
    if (!shard->few_descriptors)
        return false;
    const int probe = fcntl(shard->server->listeners[0].fd, F_DUPFD_CLOEXEC, 0);
    shard->few_descriptors = probe < 0 || is_scarce(probe);
    if (probe >= 0)
        close(probe);
    return shard->few_descriptors;
}

void sf_listener_accept(struct sf_shard *shard, const struct sf_listener *listener)
{
    if (descriptors_are_few(shard)) {
        pause_accepting(shard, EMFILE);
        return;
    }
    for (int i = 0; i < SF_ACCEPTS_PER_TURN; i++) {
        union {
            struct sockaddr any;
            struct sockaddr_storage storage;
        } peer = {.storage = {0}};
        socklen_t size = sizeof peer;
        const int fd = accept4(listener->fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            place(shard, fd, &peer.any, listener);
            if (!is_scarce(fd))
                continue;
            shard->few_descriptors = true;
            pause_accepting(shard, EMFILE);
            return;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN && !(errno == EINVAL && shard->draining)) /* shut by another shard */
            pause_accepting(shard, errno);
        return;
    }
}
