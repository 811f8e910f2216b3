/* server/session.h - one connection: what it holds, its states, and its places in the lists of its shard.
 *
 * A session belongs to its shard's thread from sf_adopt on; before that to the thread that accepted it.
 */
#ifndef SF_SERVER_SESSION_H
#define SF_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bucket.h"
#include "base/inbox.h"
#include "base/tokens.h"
#include "http/answer.h"
#include "server/address.h"
#include "server/list.h"
#include "server/shard.h"
#include "server/tls.h"

/*                    +---------+     +---------+
 *                    | WAITING |     | STALLED |
 *                    +---------+     +---------+
 *                       ^   |           ^   |
 *                       |   v           |   v
 *  +-----------+      +---------------------+      +-----------+      +--------+
 *  | HANDSHAKE | ---> |       SERVING       | ---> | LINGERING | ---> | CLOSED |
 *  +-----------+      +---------------------+      +-----------+      +--------+
 *
 *  Every state may go to CLOSED at once.
 *
 *  HANDSHAKE   TLS is being set up; plain connections begin as SERVING. One that fails goes to LINGERING, so that its alert arrives
 *  WAITING     the NEXT at the front needs a later millisecond
 *  STALLED     the socket took less than there was to send; a WAITING session passes through SERVING on its way here
 *  LINGERING   everything is answered and sent, our side is shut; what the peer still sends is thrown away
 *  CLOSED      the descriptor is closed; the session is freed at the end of the turn
 */
enum sf_session_state { SF_HANDSHAKE, SF_SERVING, SF_WAITING, SF_STALLED, SF_LINGERING, SF_CLOSED };

/* A NEXT whose IDs are not all there yet (partial.h). */
struct sf_partial {
    uint8_t *frame; /* the response as far as it has got; NULL: no partial request */
    uint32_t capacity, size;
    uint32_t request_id;
    uint32_t remaining;
    uint64_t after;         /* every ID is greater; 0: AFTER was not asked for */
    bool sending;           /* HTTP: all IDs are there and the head is written; */
    struct sf_http_ids ids; /* how far the body is */
};

struct sf_session {
    struct sf_inbox_message message; /* first; on its way from the accepting shard */
    struct sf_link wheel, queue;     /* queue: ready, waiting or dead */
    struct sf_link by_activity;      /* in shard->by_activity */
    struct sf_link half_open;        /* in shard->half_open while HANDSHAKE */
    struct sf_shard *shard;
    struct sf_tls_session *tls; /* NULL: plain TCP, or HANDSHAKE and nothing was said yet */
    int fd;
    uint8_t state; /* moved by sf_session_move alone */
    bool queued_ready, readable, eof;
    bool http;    /* it speaks HTTP (http.h), not frames */
    bool local;   /* over the UNIX socket: never inside TLS */
    bool inside;  /* from within the process (inside.h): its peer is the one that somebody else speaks for */
    bool is_1_0, closes; /* of the HTTP request that is being answered */
    bool hung_up; /* the peer has said that it ends, or the connection is broken */
    bool ending;  /* no more input is taken; close after the answers */
    uint8_t close_reason;
    bool unfinished; /* its turn ended before all that was read was looked at */
    bool goaway_due, goaway_sent;
    bool needs_room; /* one that is idle has to go for it */
    uint8_t auth_tries;
    uint8_t generator; /* index */
    uint32_t wheel_slot;
    uint32_t skip;  /* bytes of an overlong frame still to be thrown away */
    uint8_t *input; /* what is read and not used */
    uint32_t input_size, input_capacity;
    uint8_t *output; /* what is to be sent and was not taken */
    uint32_t output_at, output_size;
    struct sf_partial partial;
    uint64_t last_word;  /* of the last ID */
    uint64_t floor_word; /* smallest word that may come (after a change of generator) */
    struct sf_token *token; /* shown with AUTH; NULL: none */
    struct sf_bucket bucket;
    struct sf_address *address; /* where it comes from; put back when it is freed */
    uint32_t waiting_requests; /* counted in server->waiting while WAITING and in its turn */
    uint64_t waiting_ids;
    bool few, deep; /* when it queued it needed one turn at most; SF_WAIT_DEEP_TURNS at least */
    uint32_t done_round;  /* the shard's round in which it got all that it waited for */
    bool shedding;        /* what is read is old: NEXT is answered at once, with IDs or OVERLOADED */
    uint32_t refuse_next; /* so many NEXT at the front are answered OVERLOADED */
    /* CLOCK_MONOTONIC, ms; 0: does not apply */
    int64_t active_ms, listed_ms, frame_ms, stall_ms, linger_ms, age_ms, goaway_ms, goaway_end_ms;
    /* CLOCK_MONOTONIC, ns: when the NEXT that waits reached the socket (0: none waits); when the oldest byte that is not read yet
     * did, and the oldest of `input`; when a read last left something behind. mark: bytes that were in the socket at mark_ns, and
     * how many of them are not read yet (backlog.h). */
    int64_t wait_ns, readable_ns, read_ns, mark_ns, full_ns;
    uint32_t mark_size, mark_left;
};

/* A session for an accepted socket and its peer's address, which it owns from now on; it is counted with the generator that has the fewest. NULL: no
 * memory, and both stay the caller's. */
struct sf_session *sf_session_create(struct sf_server *server, int fd, struct sf_address *address);
/* Of a closed one (close.h), or of one that no shard has taken; the descriptor is not closed here. */
void sf_session_free(struct sf_server *server, struct sf_session *session);

/* Moves it along an arrow of the graph above (asserted). */
void sf_session_move(struct sf_session *session, enum sf_session_state to);
/* Something came from the peer, or could be sent to it. */
static inline void sf_session_touch(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    session->active_ms = shard->now_ms;
    if (session->listed_ms != 0 && shard->now_ms - session->listed_ms < SF_ACTIVITY_STEP_MS)
        return;
    session->listed_ms = shard->now_ms;
    sf_link_remove(&session->by_activity);
    sf_link_append(&shard->by_activity, &session->by_activity);
}

/* It has something to do: it is served once in this turn of the loop or in the next. */
static inline void sf_session_make_ready(struct sf_session *session)
{
    if (session->queued_ready || session->state == SF_WAITING || session->state == SF_CLOSED)
        return;
    session->queued_ready = true;
    sf_link_append(&session->shard->ready, &session->queue);
}

/* Takes no more input; closed with this reason (SF_CONN_CLOSED_...) once all is answered. */
void sf_session_end(struct sf_session *session, unsigned close_reason);
void sf_session_drop_input(struct sf_session *session);
/* Watches the session's socket; operation: EPOLL_CTL_ADD, EPOLL_CTL_MOD. write: also for room to write. Without need for it,
 * because what is read between an edge and the next look would come back as an event that says no more than that there is room.
 * False: errno says why. */
bool sf_session_watch(struct sf_session *session, int operation, bool write);

#endif
