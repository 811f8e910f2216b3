/* server/internal.h - what the files of the server share; nobody else includes it.
 *
 *   server.c    create, start, drain, reload, destroy; what other threads may ask
 *   listener.c  binding, accepting, handing connections to the shard with the fewest
 *   shard.c     the loop of one thread: wake, serve, sleep
 *   wheel.c     deadlines of sessions, coarse
 *   session.c   one connection: its states, reading, writing, ending
 *   backlog.c   how long what is read has lain in the socket
 *   request.c   frames in, frames out, for all but NEXT
 *   mint.c      NEXT: minting for many requests at once
 *   waiting.c   the queue for the next millisecond
 *   pool.c      buffers
 *   tls.c       TLS (base/bucket.h and base/tokens.h have rate limits and AUTH)
 *
 * A shard and its sessions belong to the shard's thread, but for the fields that say otherwise.
 */
#ifndef SF_SERVER_INTERNAL_H
#define SF_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/inbox.h"
#include "base/random.h"
#include "base/tokens.h"
#include "server/server.h"
#include "server/tls.h"

/* Bytes read from one connection in one turn: what a greedy one can get done before the others have
 * theirs. */
#define SF_READ_MAX 16384
/* A frame whose body is longer than any request's may be is answered from its header and skipped,
 * never stored. */
#define SF_BODY_KEPT_MAX  256
#define SF_FRAME_KEPT_MAX (SF_WIRE_HEADER_SIZE + SF_BODY_KEPT_MAX)
#define SF_INPUT_MAX      (SF_FRAME_KEPT_MAX + SF_READ_MAX)
/* Responses collected before they are written. What the socket does not take is all that a session
 * can have unsent: nothing more is read from it until it is gone. */
#define SF_OUTPUT_LIMIT 131072
#define SF_OUTPUT_MAX   (SF_OUTPUT_LIMIT + SF_WIRE_FRAME_MAX)
/* IDs that a waiting session gets before the next one in the queue has its turn. Where all that
 * wait need so many turns at least, each has them at once: the same shares, but fewer writes, and
 * no later. */
#define SF_WAIT_QUANTUM    1024
#define SF_WAIT_DEEP_TURNS 8
/* A part of limit.max_waiting is for sessions that bring no more requests than this. */
#define SF_WAIT_FEW      16
#define SF_WAIT_FEW_PART 8
/* What has lain in a socket for longer than this part of mint.max_wait_ms is shed. A socket that
 * holds so many bytes has a peer that probably cannot send all it has, so there the part is
 * smaller.
 */
#define SF_SHED_PART        4
#define SF_SHED_PART_FULL   32
#define SF_SHED_FULL_BYTES  32768
#define SF_EVENTS_MAX       128
#define SF_ACCEPTS_PER_TURN 64
#define SF_ACCEPT_PAUSE_MS  100  /* when descriptors are out */
#define SF_LINGER_MS        1000 /* after our last word, so that it is not lost to a reset */
/* A connection told to go that is silent for this long is closed: by then the peer has heard it,
 * and what it sent before that is here, over a slow path and from a busy machine too. */
#define SF_GOAWAY_QUIET_MS 1000
#define SF_AGE_GRACE_MS    10000 /* deadline of a GOAWAY for age */
#define SF_HEARTBEAT_MS    500
#define SF_AUTH_TRIES_MAX  8
/* With listen.max_connections open, one that has been idle for this long goes in favour of a new
 * one.
 */
#define SF_EVICT_IDLE_MS    2000
#define SF_EVICT_LOOKS_MAX  16
#define SF_ACTIVITY_STEP_MS 100
/* Descriptors that data connections leave to the admin port, the coordinator, clock and files. */
#define SF_DESCRIPTORS_KEPT 64
#define SF_WHEEL_SLOTS      1024
#define SF_WHEEL_TICK_MS    16
/* TLS handshakes going on in one shard; whoever comes on top is closed. */
#define SF_HANDSHAKES_MAX 1024
#define SF_INFO_MAX       (24 * 1024)

/* HANDSHAKE  -> SERVING    TLS is set up (plain connections begin as SERVING)
 * SERVING   <-> WAITING    the NEXT at the front needs a later millisecond
 * SERVING   <-> STALLED    the socket took less than there was to send
 * SERVING    -> LINGERING  everything is answered and sent, our side is shut; the peer's bytes are
 * thrown away all        -> CLOSED     the descriptor is closed; freed at the end of the turn */
enum sf_session_state { SF_HANDSHAKE, SF_SERVING, SF_WAITING, SF_STALLED, SF_LINGERING, SF_CLOSED };

struct sf_shard;

struct sf_link {
    struct sf_link *next, *prev;
};

/* A NEXT whose IDs are not all there yet. */
struct sf_partial {
    uint8_t *frame; /* the response as far as it has got; NULL: no partial request */
    uint32_t capacity, size;
    uint32_t request_id;
    uint32_t remaining;
    uint64_t at_least; /* for AFTER */
};

struct sf_session {
    struct sf_inbox_message message; /* first; on its way from the accepting shard */
    struct sf_link wheel, queue;     /* queue: ready or waiting */
    struct sf_link by_activity;      /* in shard->by_activity */
    struct sf_shard *shard;
    struct sf_tls_session *tls; /* NULL: plain TCP */
    int fd;
    uint8_t state;
    bool queued_ready, readable, eof;
    bool hung_up; /* the peer has said that it ends, or the connection is broken */
    bool ending;  /* no more input is taken; close after the answers */
    uint8_t close_reason;
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
    uint64_t last_word,
        floor_word; /* of the last ID; smallest word that may come (after a change of generator) */
    struct sf_token *token; /* shown with AUTH; NULL: none */
    struct sf_bucket bucket;
    uint32_t waiting_requests; /* counted in server->waiting while WAITING and in its turn */
    uint64_t waiting_ids;
    bool few, deep; /* when it queued it needed one turn at most; SF_WAIT_DEEP_TURNS at least */
    uint32_t done_round; /* the shard's round in which it got all that it waited for */
    bool shedding;       /* what is read is old: NEXT is answered at once, with IDs or OVERLOADED */
    uint32_t refuse_next; /* so many NEXT at the front are answered OVERLOADED */
    /* CLOCK_MONOTONIC, ms; 0: does not apply */
    int64_t active_ms, listed_ms, frame_ms, stall_ms, linger_ms, age_ms, goaway_ms, goaway_end_ms;
    /* CLOCK_MONOTONIC, ns: when the NEXT that waits reached the socket (0: none waits); when the
     * oldest byte that is not read yet did, and the oldest of `input`; when a read last left
     * something behind. mark: bytes that were in the socket at mark_ns, and how many of them are
     * not read yet (backlog.c). */
    int64_t wait_ns, readable_ns, read_ns, mark_ns, full_ns;
    uint32_t mark_size, mark_left;
};

struct sf_pool {
    uint8_t *small, *large; /* free buffers, linked through their first bytes */
    unsigned small_count, large_count;
};
#define SF_POOL_SMALL    (SF_FRAME_KEPT_MAX + 64)
#define SF_POOL_LARGE    (SF_INPUT_MAX)
#define SF_POOL_FREE_MAX 64 /* kept for the next one; the rest goes back */

struct sf_settings {
    struct sf_server_limits limits; /* max_batch: the effective one */
    struct sf_tokens *tokens;       /* NULL: no AUTH needed */
    struct sf_tls *tls;             /* NULL: plain TCP */
};

struct sf_shard {
    struct sf_server *server;
    unsigned number;
    pthread_t thread;
    int epoll, heartbeat;
    struct sf_inbox *inbox;
    struct sf_metrics_block *metrics;
    _Atomic int64_t beat_ms;      /* read by any thread */
    _Atomic uint32_t connections; /* read by accepting shards */

    struct sf_settings settings;
    uint32_t settings_generation;
    int64_t now_ns, now_ms; /* CLOCK_MONOTONIC at the last reading */
    uint64_t mint_ms;       /* minting time at the last reading */
    int64_t phase_ns;       /* lower bound of minting time minus monotonic time; see shard.c */
    bool phase_known;
    struct sf_prng prng;
    struct sf_link ready;
    /* WAITING sessions: for lack of IDs, by generator; and those whose AFTER lies ahead. */
    struct sf_link waiting[SF_SERVER_GENERATORS_MAX], waiting_after;
    uint64_t after_ms; /* no session of waiting_after can be served before this timestamp may be
                          minted */
    unsigned waiting_sessions, handshakes;
    unsigned waiting_few, waiting_deep; /* of them */
    /* Each turn of the loop gives the queue a round. coming_back: deep sessions that got all that
     * they waited for in this one and have not queued again yet. */
    uint32_t round;
    unsigned coming_back;
    bool slept_blind; /* before this turn, the sockets were not watched */
    struct sf_link wheel[SF_WHEEL_SLOTS];
    int64_t wheel_tick;     /* the last tick that was worked off */
    int64_t wheel_empty_to; /* nobody stands behind wheel_tick up to and with this one */
    struct sf_link dead;
    struct sf_link by_activity; /* oldest first, exact to SF_ACTIVITY_STEP_MS */
    _Atomic int64_t oldest_ms;  /* activity of the first; read by accepting shards */
    bool few_descriptors;       /* seen when accepting last */
    struct sf_pool pool;
    bool accepting, draining;
    int64_t accept_again_ms; /* 0: not paused */
    /* Of this turn, added to the metrics at its end. */
    uint64_t bytes_in, bytes_out, ids;
    uint32_t answered[SF_REQUESTS];
    /* Scratch of the session being served. */
    uint32_t output_size;
    uint8_t input[SF_INPUT_MAX];
    uint8_t output[SF_OUTPUT_MAX];
};

struct sf_server {
    struct sf_server_options options; /* strings are not kept: see settings, tls */
    int listener;
    uint16_t port;
    unsigned shard_count;
    struct sf_shard *shards[SF_SERVER_THREADS_MAX];
    bool started;
    /* Written once by control, before minting time is given. */
    _Atomic uint8_t sequence_bits;
    _Atomic uint64_t max_ahead_ms;
    _Atomic uint32_t max_batch; /* the effective one, for who asks without the lock */
    struct sf_log_limiter accept_limiter, tls_limiter;

    pthread_mutex_t
        lock; /* guards settings and goaway; shards take it only when the generation has changed */
    struct sf_settings settings;
    char goaway_reason[200];
    int64_t goaway_end_ms; /* CLOCK_MONOTONIC */

    _Atomic uint32_t generation;
    atomic_bool draining, stopping;
    _Atomic uint32_t shards_draining; /* the last one shuts the listener */
    _Atomic uint32_t connections;
    _Atomic uint32_t generator_sessions[SF_SERVER_GENERATORS_MAX];
    struct sf_bucket bucket;
    _Atomic uint32_t waiting;     /* requests */
    _Atomic uint64_t waiting_ids; /* IDs that they still need */
    _Atomic uint32_t waiting_sessions;
};

/* --- lists --- */
static inline void sf_link_init(struct sf_link *link)
{
    link->next = link->prev = link;
}
static inline void sf_link_remove(struct sf_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    sf_link_init(link);
}
static inline void sf_link_append(struct sf_link *list, struct sf_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}
#define SF_CONTAINER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* --- listener.c --- */
int sf_listener_open(const struct sf_host_port *address, int *ret_fd, uint16_t *ret_port,
                     struct sf_error *err);
void sf_listener_accept(struct sf_shard *shard);
void sf_listener_watch(struct sf_shard *shard, bool on);
/* Answers OVERLOADED on a connection that there is no room for, and counts it. */
void sf_listener_tell_full(struct sf_shard *shard, int fd);

/* --- shard.c --- */
struct sf_shard *sf_shard_create(struct sf_server *server, unsigned number);
void sf_shard_destroy(struct sf_shard *shard); /* the thread has ended */
void *sf_shard_main(void *shard);
void sf_shard_read_clocks(struct sf_shard *shard);
void sf_shard_make_ready(struct sf_session *session);
/* Watches the session's socket; operation: EPOLL_CTL_ADD, EPOLL_CTL_MOD. write: also for room to
 * write. Without need for it, because what is read between an edge and the next look would come
 * back as an event that says no more than that there is room. False: errno says why. */
bool sf_session_watch(struct sf_session *session, int operation, bool write);
uint8_t *sf_pool_take(struct sf_pool *pool, uint32_t size,
                      uint32_t *ret_capacity); /* size at most SF_POOL_LARGE; NULL: no memory */
void sf_pool_give(struct sf_pool *pool, uint8_t *buffer, uint32_t capacity);
void sf_pool_free(struct sf_pool *pool);

/* --- wheel.c --- */
void sf_wheel_init(struct sf_shard *shard);
/* Makes sure that the session is looked at when its next deadline comes. */
void sf_wheel_arm(struct sf_session *session);
void sf_wheel_turn(struct sf_shard *shard, void (*due)(struct sf_session *session));
/* Milliseconds until a session may be due, at most `most`. */
int64_t sf_wheel_wait_ms(struct sf_shard *shard, int64_t most);
void sf_wheel_each(struct sf_shard *shard, void (*visit)(struct sf_session *session));

/* --- session.c --- */
struct sf_session *sf_session_create(struct sf_server *server, int fd);
/* Takes a new session into this shard. */
void sf_session_adopt(struct sf_shard *shard, struct sf_session *session);
/* Something came from the peer, or could be sent to it. */
void sf_session_touch(struct sf_session *session);
/* Closes the connection of this shard that has been idle longest, if SF_EVICT_IDLE_MS; false: none.
 */
bool sf_session_evict(struct sf_shard *shard);
void sf_session_move(struct sf_session *session, enum sf_session_state to);
/* Reads once (if there may be something and may_read), serves what is complete, writes once. */
void sf_session_run(struct sf_session *session, bool may_read);
void sf_session_handshake(struct sf_session *session);
void sf_session_writable(struct sf_session *session);
/* Sends what the shard has collected for it; false when the session can take no more now. */
bool sf_session_flush(struct sf_session *session);
void sf_session_end(struct sf_session *session, unsigned close_reason);
void sf_session_close(struct sf_session *session, unsigned close_reason);
void sf_session_goaway(struct sf_session *session);
int64_t sf_session_deadline_ms(const struct sf_session *session);
void sf_session_due(struct sf_session *session);
void sf_session_free(struct sf_session *session);

/* --- backlog.c --- */
/* The socket has become readable; nothing was left in it. */
void sf_backlog_begin(struct sf_session *session);
/* The peer did not read for so long: its requests waited for itself, which does not count. */
void sf_backlog_forgive(struct sf_session *session, int64_t ns);
/* `got` bytes were taken from the socket; drained: it holds no more now. Sets read_ns, shedding. */
void sf_backlog_read(struct sf_session *session, uint32_t got, bool drained);

/* --- request.c --- */
/* Serves the frames at the front of bytes until one is incomplete or the session is no longer
 * SERVING or is ending; returns how many bytes were used up. id_budget: IDs that may be minted
 * before it stops and waits again. */
size_t sf_requests_serve(struct sf_session *session, const uint8_t *bytes, size_t size,
                         uint64_t id_budget);
/* Where a response of up to `room` bytes may be written; NULL when the session got stalled. The
 * caller adds to shard->output_size. */
uint8_t *sf_response_room(struct sf_session *session, size_t room);
/* Counts answers, and how long they took: since the wait began for a session that waited, else as
 * long as this turn takes. */
void sf_count_answers(struct sf_session *session, enum sf_request_label type, unsigned status,
                      uint32_t requests);
bool sf_answer_error(struct sf_session *session, uint8_t request_type, enum sf_wire_status status,
                     uint32_t request_id, uint32_t retry_after_ms, const char *reason);

/* --- mint.c --- */
#define SF_NEXT_FRAME 16 /* bytes of a NEXT without AFTER, which begins with these eight: */
#define SF_NEXT_HEAD                                                                               \
    ((UINT64_C(12) << 32) | ((uint64_t)SF_WIRE_VERSION << 24) | ((uint64_t)SF_WIRE_NEXT << 16))
/* Serves the NEXT requests at the front (the first is complete). Returns the bytes used; 0 when the
 * session now waits or is stalled. */
size_t sf_next_serve(struct sf_session *session, const uint8_t *bytes, size_t size,
                     uint64_t *id_budget);
/* Goes on with the partial request; false when it waits or is stalled, or (SERVING still) when it
 * is going to be refused. */
bool sf_next_resume(struct sf_session *session, const uint8_t *bytes, size_t size,
                    uint64_t *id_budget);
void sf_next_drop_partial(struct sf_session *session);
uint32_t sf_effective_max_batch(uint32_t max_batch, unsigned sequence_bits);

/* --- quota.c: rate limits on IDs. Scopes are those of rate_limited_total --- */

bool sf_quota_applies(const struct sf_session *session);
/* The smallest burst of the buckets that apply; UINT64_MAX without any. */
uint64_t sf_quota_burst(struct sf_session *session);
/* Takes the IDs from every bucket: 0, or how long (ns) until there are so many, and which one is
 * short. */
int64_t sf_quota_take(struct sf_session *session, uint32_t ids, unsigned *ret_scope);
void sf_quota_give_back(struct sf_session *session, uint32_t ids);
const char *sf_quota_reason(struct sf_session *session, unsigned scope);

/* --- waiting.c --- */
/* Queues a session whose first unanswered request is a NEXT (the partial one, or the one at the
 * front of bytes) for the next millisecond. Where the queue is full it stays SERVING, and
 * refuse_next says how many at its front are refused. */
void sf_next_park(struct sf_session *session, const uint8_t *bytes, size_t size);
void sf_next_unpark(struct sf_session *session);
/* IDs that it may get now: UINT64_MAX for one that did not wait. */
uint64_t sf_next_budget(const struct sf_session *session);
/* It is closed, or queues again. */
void sf_next_came_back(struct sf_session *session);
bool sf_next_others_wait(const struct sf_session *session);
/* Called every turn: the waiting sessions, in order, as far as there are IDs. */
void sf_next_serve_waiting(struct sf_shard *shard);
/* Whether a session of this shard waits for lack of IDs, not only for its AFTER. */
bool sf_next_ids_wanted(const struct sf_shard *shard);
/* Milliseconds until everything that waits now has been served. */
uint64_t sf_next_queue_ms(const struct sf_server *server);
static inline uint32_t sf_clip_ms(uint64_t ms)
{
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

#endif
