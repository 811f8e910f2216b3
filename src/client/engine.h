/* client/engine.h - the loop that carries calls through: connections, attempts, timers. One thread
 * at a time owns an engine.
 *
 *            asked a server            all answers in
 *   QUEUED ------------------> ASKED ------------------> DONE
 *     ^  |                      |  |
 *     |  | nobody to ask        |  | failed, or silent too long, and another may do at once
 *     |  v                      |  v
 *     |  WAITING <--------------+  QUEUED
 *     |  |      failed, or silent too long
 *     +--+ time is up                          from any state: deadline -> DONE */
#ifndef SF_CLIENT_ENGINE_H
#define SF_CLIENT_ENGINE_H

#include "client/conn.h"
#include "client/shared.h"

enum sf_call_state { SF_CALL_QUEUED, SF_CALL_WAITING, SF_CALL_ASKED, SF_CALL_DONE };

struct sf_engine;

struct sf_call {
    struct sf_call *next, **link; /* the engine's list of calls */
    struct sf_call *queue_next;   /* while QUEUED or freshly DONE */
    enum sf_call_state state;
    struct sf_client_request request;
    struct sf_client_reply reply;
    uint32_t run_capacity;
    uint32_t in_flight; /* pending requests that point here */
    uint32_t round;
    int last_server; /* of the last attempt */
    uint32_t last_generation;
    bool hedged;      /* a second request was sent beside the first, or could have been */
    bool silenced;    /* an attempt has had its whole time without an answer */
    bool bereft;      /* a connection broke under it */
    bool hasty;       /* the last attempt has only a part of its time alone */
    int64_t hedge_ns; /* how long the last attempt may wait alone */
    struct sf_client_policy_tried tried;
    enum sf_client_error last_error; /* what the deadline will report */
    int64_t started_ns, deadline_ns, timer_ns;
    sf_client_done *done; /* NULL: the owner looks at the state */
    void *ctx;
};

/* An engine belongs to the process that made it. A child after fork has a copy that it must not run:
 * its sockets, its timer and its epoll are the parent's too. */
struct sf_engine *sf_engine_create(struct sf_shared *shared);
/* It has no calls. In a child nothing is said to the peers. */
void sf_engine_destroy(struct sf_engine *engine);
/* Takes all calls that were not reported, also those that have their IDs: linked by queue_next, in
 * the order in which they are to be reported, each with a reply that says CANCELLED and why. Nobody
 * is using the engine, which may only be destroyed afterwards. */
struct sf_call *sf_engine_orphans(struct sf_engine *engine, const char *why);

/* Somebody is about to use the engine; has ended using it. May be nested. */
void sf_engine_enter(struct sf_engine *engine);
void sf_engine_leave(struct sf_engine *engine);
/* In a child: was somebody using the parent's engine when it forked? Then its state may be anything.
 */
bool sf_engine_in_use(const struct sf_engine *engine);
/* In a child: closes the descriptors, and touches nothing else. */
void sf_engine_forsake(struct sf_engine *engine);

/* Fills a zeroed call (request set) and starts it. It stays the caller's; after DONE the engine
 * forgets it. */
void sf_engine_start(struct sf_engine *engine, struct sf_call *call);

/* Handles what is ready, waiting for at most the engine's next timer, and not at all unless `wait`.
 * Ended calls with a `done` function have been reported and freed. Returns false when this process
 * is a child that was forked meanwhile (a callback or a signal handler did): what is left of the
 * engine's calls is the parent's. */
bool sf_engine_turn(struct sf_engine *engine, bool wait);

/* From another thread than the one that turns it: its turn ends soon. False when descriptors are out. One
 * caller at a time until it has returned true once. */
bool sf_engine_nudge(struct sf_engine *engine);

/* Descriptor that becomes readable when a turn is due; from then on the timer is kept in it too. -1
 * when descriptors are out. */
int sf_engine_fd(struct sf_engine *engine);
/* Makes the descriptor readable. */
void sf_engine_wake(struct sf_engine *engine);
uint32_t sf_engine_calls(const struct sf_engine *engine);

#endif
