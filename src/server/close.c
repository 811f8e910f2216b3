/* The end of a connection: it gives back all that it holds. */
#include "server/close.h"

#include <unistd.h>

#include "server/internal.h"
#include "server/partial.h"
#include "server/queue.h"

void sf_session_close(struct sf_session *session, unsigned close_reason)
{
    struct sf_shard *shard = session->shard;
    struct sf_server *server = shard->server;
    if (session->state == SF_CLOSED)
        return;
    if (session->state == SF_WAITING)
        sf_queue_unpark(session);
    sf_queue_came_back(session);
    sf_session_move(session, SF_CLOSED);
    sf_partial_drop(session);
    sf_session_drop_input(session);
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
