/* Telling a peer to go: because the worker drains, for age, or because others need the room. */
#include "server/goaway.h"

#include <string.h>

#include "base/assert.h"
#include "server/close.h"
#include "server/internal.h"
#include "server/output.h"

void sf_goaway_send(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    struct sf_server *server = shard->server;
    char reason[sizeof server->goaway_reason] = "this connection has reached its age";
    if (session->http) { /* each answer says so from now on (Connection: close) */
        session->goaway_due = false;
        session->goaway_sent = true;
        session->goaway_ms = shard->now_ms;
        return;
    }
    if (shard->draining) {
        pthread_mutex_lock(&server->lock);
        memcpy(reason, server->goaway_reason, sizeof reason);
        pthread_mutex_unlock(&server->lock);
    }
    const size_t room = SF_WIRE_HEADER_SIZE + 4 + sizeof reason;
    uint8_t *to = sf_output_room(session, room);
    if (to == NULL)
        return; /* stalled: due still */
    const int64_t left_ms = session->goaway_end_ms - shard->now_ms;
    shard->output_size +=
        (uint32_t)sf_wire_put_goaway(to, room, left_ms > 0 ? (uint32_t)left_ms : 0, reason);
    session->goaway_due = false;
    session->goaway_sent = true;
    session->goaway_ms = shard->now_ms;
}

void sf_goaway_begin(struct sf_session *session)
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
    sf_goaway_send(session);
    sf_output_flush(session);
}

bool sf_goaway_evict(struct sf_shard *shard)
{
    struct sf_link *link = shard->by_activity.next;
    for (int i = 0; i < SF_EVICT_LOOKS_MAX && link != &shard->by_activity; i++, link = link->next) {
        struct sf_session *session = SF_CONTAINER(link, struct sf_session, by_activity);
        if (shard->now_ms - session->active_ms < SF_EVICT_IDLE_MS)
            return false;
        /* Those that wait for IDs or for the peer to read have deadlines of their own. */
        if (session->state == SF_WAITING || session->state == SF_STALLED || session->readable)
            continue;
        if (session->state == SF_SERVING && !session->goaway_sent && !session->http) {
            static const char reason[] = "idle, and others need the room";
            uint8_t frame[SF_WIRE_HEADER_SIZE + 4 + sizeof reason];
            const size_t size = sf_wire_put_goaway(frame, sizeof frame, 0, reason);
            (void)sf_output_send(session, frame,
                                 size); /* as far as it goes: the end says the same */
        }
        sf_session_close(session, SF_CONN_CLOSED_EVICTED);
        return true;
    }
    return false;
}
