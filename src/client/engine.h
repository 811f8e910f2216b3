/* client/engine.h - the loop that carries calls through: connections, attempts, timers. One thread
 * at a time owns an engine.
 *
 *   QUEUED --- asked a server ---> ASKED --- all answers in ---> DONE
 *     ^  \                          |  |
 *     |   +- nobody to ask --+      |  +--- failed, or silent too long: to WAITING, or at once to
 * QUEUED |                      v      |
 *     +---- time is up --- WAITING <+          from any state: deadline -> DONE
 */
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

struct sf_engine *sf_engine_create(struct sf_shared *shared);
/* Ends calls as CANCELLED. abandon: after fork, nothing is said to the peers. */
void sf_engine_destroy(struct sf_engine *engine, bool abandon);
/* After fork: only closes descriptors; the state may be anything. */
void sf_engine_forsake(struct sf_engine *engine);

/* Fills a zeroed call (request set) and starts it. It stays the caller's; after DONE the engine
 * forgets it. */
void sf_engine_start(struct sf_engine *engine, struct sf_call *call);

/* Handles what is ready, waiting for at most the engine's next timer, and not at all unless `wait`.
 * Ended calls with a `done` function have been reported and freed. */
void sf_engine_turn(struct sf_engine *engine, bool wait);

/* Descriptor that becomes readable when a turn is due; from then on the timer is kept in it too. -1
 * when descriptors are out. */
int sf_engine_fd(struct sf_engine *engine);
uint32_t sf_engine_calls(const struct sf_engine *engine);

#endif
