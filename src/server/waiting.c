/* Serving those who wait on this thread: in order, a turn each, as far as there are IDs. Each thread has its own queue: which of two
 * that wait on different threads gets a millisecond is not said. */
#include "server/waiting.h"

#include "server/internal.h"
#include "server/queue.h"
#include "server/turn.h"

static void serve_queue(struct sf_shard *shard, struct sf_link *queue)
{
    unsigned most =
        shard->waiting_sessions * 4 + SF_EVENTS_MAX; /* then the sockets have their turn */
    while (queue->next != queue && most-- > 0) {
        struct sf_session *session = SF_CONTAINER(queue->next, struct sf_session, queue);
        const uint64_t ids_before = shard->ids;
        sf_queue_begin_turn(session);
        sf_turn_run(session, false);
        if (session->state != SF_WAITING)
            sf_queue_give_up_place(session);
        if (session->state == SF_SERVING)
            sf_queue_expect_back(session);
        /* The last of this queue again, and not of another one (for its AFTER, or of another
         * generator)? */
        const bool here = session->state == SF_WAITING && queue->prev == &session->queue;
        if (here && shard->ids == ids_before) {
            /* It got nothing: nobody behind it would. It keeps its place. */
            sf_link_remove(&session->queue);
            sf_link_append(queue->next, &session->queue);
            break;
        }
    }
}

void sf_waiting_serve(struct sf_shard *shard)
{
    shard->round++;
    shard->coming_back = 0;
    if (shard->waiting_sessions == 0)
        return;
    sf_queue_due_after(shard);
    for (size_t i = 0; i < shard->server->options.generator_count; i++)
        serve_queue(shard, &shard->waiting[i]);
}
