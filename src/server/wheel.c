/* Deadlines, coarse: each session stands in one slot of a wheel. Activity only writes a time into
 * the session; when its slot comes up, the session says what its next deadline really is, and is
 * served or put into a later slot. */
#include "server/wheel.h"

#include "base/assert.h"
#include "server/deadline.h"
#include "server/internal.h"

void sf_wheel_init(struct sf_shard *shard)
{
    for (unsigned i = 0; i < SF_WHEEL_SLOTS; i++)
        sf_link_init(&shard->wheel[i]);
    shard->wheel_tick = shard->now_ms / SF_WHEEL_TICK_MS;
}

void sf_wheel_arm(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    int64_t tick = sf_deadline_ms(session) / SF_WHEEL_TICK_MS + 1;
    if (tick <= shard->wheel_tick)
        tick = shard->wheel_tick + 1;
    if (tick >= shard->wheel_tick + SF_WHEEL_SLOTS)
        tick = shard->wheel_tick + SF_WHEEL_SLOTS - 1;
    if (session->wheel.next != &session->wheel) {
        /* Where it stands comes up first: it will be asked again then. */
        const int64_t ahead =
            ((int64_t)session->wheel_slot - shard->wheel_tick) & (SF_WHEEL_SLOTS - 1);
        if (ahead != 0 && shard->wheel_tick + ahead <= tick)
            return;
        sf_link_remove(&session->wheel);
    }
    if (tick <= shard->wheel_empty_to)
        shard->wheel_empty_to = tick - 1;
    session->wheel_slot = (uint32_t)(tick & (SF_WHEEL_SLOTS - 1));
    sf_link_append(&shard->wheel[session->wheel_slot], &session->wheel);
}

void sf_wheel_turn(struct sf_shard *shard, void (*due)(struct sf_session *session))
{
    const int64_t tick = shard->now_ms / SF_WHEEL_TICK_MS;
    /* After a long pause one round visits everything. */
    if (tick - shard->wheel_tick > SF_WHEEL_SLOTS)
        shard->wheel_tick = tick - SF_WHEEL_SLOTS;
    while (shard->wheel_tick < tick) {
        shard->wheel_tick++;
        struct sf_link *slot = &shard->wheel[shard->wheel_tick & (SF_WHEEL_SLOTS - 1)];
        struct sf_link batch;
        sf_link_init(&batch);
        while (slot->next != slot) {
            struct sf_link *link = slot->next;
            sf_link_remove(link);
            sf_link_append(&batch, link);
        }
        while (batch.next != &batch) {
            struct sf_session *session = SF_CONTAINER(batch.next, struct sf_session, wheel);
            sf_link_remove(&session->wheel);
            if (sf_deadline_ms(session) <= shard->now_ms)
                due(session);
            if (session->state != SF_CLOSED)
                sf_wheel_arm(session);
        }
    }
}

/* Asked every turn: what was found empty is not looked at again. */
int64_t sf_wheel_wait_ms(struct sf_shard *shard, int64_t most)
{
    const int64_t end = shard->wheel_tick + (most + SF_WHEEL_TICK_MS - 1) / SF_WHEEL_TICK_MS;
    if (shard->wheel_empty_to < shard->wheel_tick)
        shard->wheel_empty_to = shard->wheel_tick;
    while (shard->wheel_empty_to + 1 < end) {
        const int64_t tick = shard->wheel_empty_to + 1;
        const struct sf_link *slot = &shard->wheel[tick & (SF_WHEEL_SLOTS - 1)];
        if (slot->next != slot) {
            const int64_t wait = tick * SF_WHEEL_TICK_MS - shard->now_ms;
            return wait > 0 ? wait : 0;
        }
        shard->wheel_empty_to = tick;
    }
    return most;
}

void sf_wheel_each(struct sf_shard *shard, void (*visit)(struct sf_session *session))
{
    struct sf_link all;
    sf_link_init(&all);
    for (unsigned i = 0; i < SF_WHEEL_SLOTS; i++) {
        while (shard->wheel[i].next != &shard->wheel[i]) {
            struct sf_link *link = shard->wheel[i].next;
            sf_link_remove(link);
            sf_link_append(&all, link);
        }
    }
    while (all.next != &all) {
        struct sf_session *session = SF_CONTAINER(all.next, struct sf_session, wheel);
        sf_link_remove(&session->wheel);
        visit(session);
        if (session->state != SF_CLOSED)
            sf_wheel_arm(session);
    }
}
