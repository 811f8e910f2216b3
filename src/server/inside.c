/* A connection from within the process: one end of a pair of sockets goes to a shard. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ticks.h"
#include "server/internal.h"
#include "server/place.h"

static uint32_t most_connections(struct sf_server *server)
{
    pthread_mutex_lock(&server->lock);
    const uint32_t most = server->settings.limits.max_connections;
    pthread_mutex_unlock(&server->lock);
    return most;
}

/* Hands the descriptor over; false: no memory, and it stays the caller's. */
static bool hand_over(struct sf_server *server, const struct sockaddr *peer, int fd)
{
    struct sf_address *address = sf_address_get(&server->addresses, peer, sf_mono_ns());
    struct sf_session *session = sf_session_create(server, fd, address);
    if (session == NULL) {
        sf_address_put(&server->addresses, address);
        return false;
    }
    session->http = session->inside = true;
    struct sf_shard *target = sf_place_fewest(server, server->shards[0]);
    atomic_fetch_add_explicit(&target->connections, 1, memory_order_relaxed);
    sf_inbox_post(target->inbox, &session->message);
    return true;
}

int sf_server_connect(struct sf_server *server, const struct sockaddr *peer, int *ret_fd)
{
    int pair[2];
    int rc = 0;
    const uint32_t before =
        atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed);
    if (before >= most_connections(server))
        rc = -EAGAIN;
    else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        rc = -errno;
    else if (!hand_over(server, peer, pair[0])) {
        close(pair[0]);
        close(pair[1]);
        rc = -ENOMEM;
    }
    if (rc != 0)
        atomic_fetch_sub_explicit(&server->connections, 1, memory_order_relaxed);
    else
        *ret_fd = pair[1];
    return rc;
}
