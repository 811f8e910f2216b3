/* client/engine_inner.h - what the files of the engine share: engine.c (loop and timers), attempt.c
 * (calls, connections, requests), answer.c (what comes back). Nobody else includes it. */
#ifndef SF_CLIENT_ENGINE_INNER_H
#define SF_CLIENT_ENGINE_INNER_H

#include "base/ticks.h"
#include "client/engine.h"

struct sf_engine {
    struct sf_shared *shared;
    int epoll_fd, timer_fd;
    _Atomic int nudge_fd; /* -1: nobody else has had to wake whoever turns it */
    struct sf_conn *conns;                          /* all */
    struct sf_conn *current[SF_CLIENT_SERVERS_MAX]; /* where new requests for a server go */
    struct sf_call *calls;
    uint32_t call_count;
    struct sf_call *queue, **queue_end; /* calls to be looked at */
    struct sf_call *ended, **ended_end; /* calls to be reported */
    int64_t now_ns, timer_ns, turned_ns, timer_set_ns;
    uint32_t probes;
    uint64_t removals; /* of servers, as far as the connections know of them */
    uint64_t process;       /* the number of the one that made it */
    _Atomic uint32_t users; /* functions of this engine that somebody is inside of */
    bool turning;
};

/* False in a child, where the engine is the parent's. */
static inline bool sf_engine_is_ours(const struct sf_engine *engine)
{
    return sf_fork_is(&engine->shared->fork, engine->process);
}

static inline int64_t sf_ms(uint32_t value)
{
    return (int64_t)value * SF_NS_PER_MS;
}

static inline void sf_engine_want_timer(struct sf_engine *engine, int64_t at_ns)
{
    if (at_ns < engine->timer_ns)
        engine->timer_ns = at_ns;
}

/* --- attempt.c --- */

/* The call is to be looked at by the next pump. */
void sf_engine_enqueue(struct sf_engine *engine, struct sf_call *call);
/* No pending request points to the call any more. */
void sf_engine_detach(struct sf_engine *engine, struct sf_call *call);
/* Ends the call. It is reported by the loop, or found DONE by its owner. */
void sf_engine_finish(struct sf_engine *engine, struct sf_call *call, enum sf_client_error error);
/* Tells the policy what came of a server. */
void sf_engine_report(struct sf_engine *engine, int server, uint32_t generation,
                      enum sf_outcome outcome, int64_t retry_after_ns);
/* The call failed at its last server: waits, or asks another one at once. */
void sf_engine_retry(struct sf_engine *engine, struct sf_call *call);
/* What the call will report if nothing better comes until its deadline. */
void sf_call_note_failure(struct sf_call *call, enum sf_client_error error, const char *server,
                          const char *what);
void sf_engine_bury_closed(struct sf_engine *engine);
/* The fleet may have changed: who is there is asked soon. */
void sf_engine_look_soon(struct sf_engine *engine);
/* Is a second request due when the attempt timer runs out? */
bool sf_call_may_hedge(const struct sf_engine *engine, const struct sf_call *call);
void sf_engine_set_attempt_timer(struct sf_engine *engine, struct sf_call *call);
/* Works off the queue: asks servers for its calls. */
void sf_engine_pump(struct sf_engine *engine);

/* --- answer.c --- */

extern const struct sf_conn_handler sf_engine_handler;

#endif
