/* Connections whose NEXT needs a later millisecond: how many may wait, and for how long. */
#include "server/queue.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/ticks.h"
#include "server/internal.h"
#include "server/mint.h"
#include "server/plain_next.h"
#include "server/wheel.h"

/* NEXT requests (and their IDs) that lie complete at the front of the bytes. */
static void count_complete(const uint8_t *bytes, size_t size, uint32_t max_batch,
                           uint32_t *requests, uint64_t *ids)
{
    while (size >= SF_NEXT_FRAME && sf_load_be64(bytes) == SF_NEXT_HEAD) {
        const uint32_t count = sf_load_be32(bytes + 12);
        (*requests)++;
        *ids += count <= max_batch ? count : 0;
        bytes += SF_NEXT_FRAME;
        size -= SF_NEXT_FRAME;
    }
}

static uint64_t ms_of(const struct sf_server *server, uint64_t ids)
{
    return (ids >> server->sequence_bits) / server->options.generator_count + 1;
}

uint64_t sf_queue_ms(const struct sf_server *server)
{
    return ms_of(server, atomic_load_explicit(&server->waiting_ids, memory_order_relaxed));
}

/* IDs of one turn in the queue. */
static uint64_t turn_of(const struct sf_server *server)
{
    const uint64_t per_ms = UINT64_C(1) << server->sequence_bits;
    return per_ms < SF_WAIT_QUANTUM ? per_ms : SF_WAIT_QUANTUM;
}

/* Milliseconds until one that queues now has so many IDs. Who needs more than one turn is behind
 * all that waits; who needs no more is behind one turn of each session. So the many requests of
 * some do not keep the few of others out. */
static uint64_t wait_ms(const struct sf_server *server, uint64_t ids)
{
    const uint64_t all = atomic_load_explicit(&server->waiting_ids, memory_order_relaxed);
    const uint64_t sessions = atomic_load_explicit(&server->waiting_sessions, memory_order_relaxed);
    const uint64_t turn = turn_of(server);
    const uint64_t ahead = ids <= turn && sessions * turn < all ? sessions * turn : all;
    return ms_of(server, ahead + ids);
}

/* How many of the requests that a session brings may still wait. */
static uint32_t room_for(const struct sf_server *server, uint32_t max_waiting, uint32_t requests)
{
    const uint32_t most =
        requests > SF_WAIT_FEW ? max_waiting - max_waiting / SF_WAIT_FEW_PART : max_waiting;
    const uint32_t before = atomic_load_explicit(&server->waiting, memory_order_relaxed);
    return before < most ? most - before : 0;
}

/* Whether the request at the front waits for a time that lies ahead for its own sake (AFTER), not
 * for lack of IDs. Then the shard looks again when that time has come. */
static bool waits_for_after(const struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    const struct sf_partial *partial = &session->partial;
    if (partial->frame == NULL || partial->after == 0)
        return false;
    const uint64_t ms = sf_generator_above(sf_mint_generator(session), partial->after) >>
                        shard->server->sequence_bits;
    if (ms <= shard->mint_ms + shard->server->max_ahead_ms)
        return false;
    if (ms < shard->after_ms)
        shard->after_ms = ms;
    return true;
}

bool sf_queue_ids_wanted(const struct sf_shard *shard)
{
    for (size_t i = 0; i < shard->server->options.generator_count; i++)
        if (shard->waiting[i].next != &shard->waiting[i])
            return true;
    return false;
}

/* Queues the session for the next millisecond, or, where the queue is full, marks requests at its
 * front to be refused. */
void sf_queue_park(struct sf_session *session, const uint8_t *bytes, size_t size)
{
    struct sf_shard *shard = session->shard;
    struct sf_server *server = shard->server;
    const struct sf_server_limits *limits = &shard->settings.limits;
    uint32_t requests = session->partial.frame != NULL;
    uint64_t ids = session->partial.remaining;
    count_complete(bytes, size, limits->max_batch, &requests, &ids);
    if (requests == 0)
        requests = 1; /* the first is a NEXT with AFTER */
    if (session->shedding) {
        session->refuse_next = requests;
        return;
    }
    if (session->wait_ns == 0) {
        const uint32_t room = room_for(server, limits->max_waiting, requests);
        if (requests > room) {
            session->refuse_next = requests - room;
            return;
        }
        const uint64_t waited_ms = (uint64_t)(shard->now_ns - session->read_ns) / SF_NS_PER_MS;
        if (waited_ms + wait_ms(server, ids) >
            (uint64_t)limits->max_wait_ms + server->max_ahead_ms) {
            session->refuse_next = requests;
            return;
        }
        session->wait_ns = session->read_ns;
    }
    /* Beyond the place that it kept. */
    const bool is_new = session->waiting_requests == 0;
    if (is_new) {
        session->few = ids <= turn_of(server);
        session->deep = ids >= turn_of(server) * SF_WAIT_DEEP_TURNS;
    }
    sf_queue_came_back(session);
    atomic_fetch_add_explicit(&server->waiting, requests - session->waiting_requests,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&server->waiting_ids, ids - session->waiting_ids,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&server->waiting_sessions, is_new, memory_order_relaxed);
    session->waiting_requests = requests;
    session->waiting_ids = ids;
    sf_session_move(session, SF_WAITING);
    sf_link_append(waits_for_after(session) ? &shard->waiting_after
                                            : &shard->waiting[session->generator],
                   &session->queue);
    shard->waiting_sessions++;
    shard->waiting_few += session->few;
    shard->waiting_deep += session->deep;
    sf_wheel_arm(session);
}

/* Has its turn. Its place still counts, or another shard would give it away before it queues
 * again. */
void sf_queue_begin_turn(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    SF_ASSERT(session->state == SF_WAITING);
    shard->waiting_sessions--;
    shard->waiting_few -= session->few;
    shard->waiting_deep -= session->deep;
    sf_link_remove(&session->queue);
    sf_session_move(session, SF_SERVING);
}

void sf_queue_give_up_place(struct sf_session *session)
{
    struct sf_server *server = session->shard->server;
    if (session->waiting_requests == 0)
        return;
    atomic_fetch_sub_explicit(&server->waiting, session->waiting_requests, memory_order_relaxed);
    atomic_fetch_sub_explicit(&server->waiting_ids, session->waiting_ids, memory_order_relaxed);
    atomic_fetch_sub_explicit(&server->waiting_sessions, 1, memory_order_relaxed);
    session->waiting_requests = 0;
    session->waiting_ids = 0;
}

void sf_queue_unpark(struct sf_session *session)
{
    sf_queue_begin_turn(session);
    sf_queue_give_up_place(session);
}

bool sf_queue_others_wait(const struct sf_session *session)
{
    const struct sf_link *queue = &session->shard->waiting[session->generator];
    return queue->next != queue;
}

uint64_t sf_queue_budget(const struct sf_session *session)
{
    const struct sf_shard *shard = session->shard;
    if (session->wait_ns == 0)
        return UINT64_MAX;
    const bool all_deep = session->deep && shard->waiting_deep == shard->waiting_sessions;
    return turn_of(shard->server) * (all_deep ? SF_WAIT_DEEP_TURNS : 1);
}

void sf_queue_came_back(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    if (session->done_round == shard->round && shard->coming_back > 0)
        shard->coming_back--;
    session->done_round = shard->round - 1;
}

/* It got all that it waited for. Who asks for one batch after the other is looked for at once: it
 * gets nothing of what comes until it has queued again. */
void sf_queue_expect_back(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    if (!session->deep)
        return;
    session->done_round = shard->round;
    shard->coming_back++;
}

void sf_queue_due_after(struct sf_shard *shard)
{
    if (shard->mint_ms + shard->server->max_ahead_ms < shard->after_ms)
        return;
    shard->after_ms = UINT64_MAX;
    for (struct sf_link *link = shard->waiting_after.next; link != &shard->waiting_after;) {
        struct sf_session *session = SF_CONTAINER(link, struct sf_session, queue);
        link = link->next;
        if (waits_for_after(session))
            continue;
        sf_link_remove(&session->queue);
        sf_link_append(&shard->waiting[session->generator], &session->queue);
    }
}
