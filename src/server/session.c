/* The state of a connection and its places in the lists of its shard. */
#include "server/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/assert.h"
#include "server/internal.h"

struct sf_session *sf_session_create(struct sf_server *server, int fd, struct sf_address *address)
{
    struct sf_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->fd = fd;
    session->address = address;
    session->state = SF_SERVING; /* or HANDSHAKE, when a shard with TLS adopts it */
    sf_link_init(&session->wheel);
    sf_link_init(&session->queue);
    sf_link_init(&session->by_activity);
    sf_link_init(&session->half_open);
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

void sf_session_free(struct sf_server *server, struct sf_session *session)
{
    sf_address_put(&server->addresses, session->address);
    free(session->output);
    sf_token_unref(session->token);
    free(session);
}

void sf_session_move(struct sf_session *session, enum sf_session_state to)
{
    static const uint8_t allowed[] = {
        [SF_HANDSHAKE] = 1 << SF_SERVING | 1 << SF_LINGERING | 1 << SF_CLOSED,
        [SF_SERVING] = 1 << SF_WAITING | 1 << SF_STALLED | 1 << SF_LINGERING | 1 << SF_CLOSED,
        [SF_WAITING] = 1 << SF_SERVING | 1 << SF_CLOSED,
        [SF_STALLED] = 1 << SF_SERVING | 1 << SF_CLOSED,
        [SF_LINGERING] = 1 << SF_CLOSED,
        [SF_CLOSED] = 0,
    };
    SF_ASSERT(allowed[session->state] & 1 << to);
    if (session->state == SF_HANDSHAKE) {
        session->shard->handshakes--;
        atomic_fetch_sub_explicit(&session->address->handshakes, 1, memory_order_relaxed);
        sf_link_remove(&session->half_open);
    }
    session->state = (uint8_t)to;
}

bool sf_session_watch(struct sf_session *session, int operation, bool write)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (write ? EPOLLOUT : 0U),
                                .data.ptr = session};
    return epoll_ctl(session->shard->epoll, operation, session->fd, &event) == 0;
}

void sf_session_end(struct sf_session *session, unsigned close_reason)
{
    if (session->ending)
        return;
    session->ending = true;
    session->close_reason = (uint8_t)close_reason;
}

void sf_session_drop_input(struct sf_session *session)
{
    sf_pool_give(&session->shard->pool, session->input, session->input_capacity);
    session->input = NULL;
    session->input_size = 0;
}
