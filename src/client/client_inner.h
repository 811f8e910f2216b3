/* client/client_inner.h - what the files of the public functions share: client.c (making, ending,
 * statistics), process.c (beginning, fork), orphans.c, blocking.c, async.c. Nobody else includes it.
 */
#ifndef SF_CLIENT_CLIENT_INNER_H
#define SF_CLIENT_CLIENT_INNER_H

#include <semaphore.h>

#include "client/engine.h"
#include "client/prefetch.h"
#include "client/shared.h"

/* A blocking call that shares the engine of another one. On the stack of its thread. */
enum sf_joined_state { SF_JOINED_WAITS, SF_JOINED_LEADS, SF_JOINED_ENDED };
struct sf_joined {
    struct sf_joined *next;
    struct sf_call call;
    sem_t woken; /* the state has changed */
    _Atomic int state;
};

/* An engine and the blocking calls in it. One thread leads: it turns the engine until its own call has
 * ended, and hands the lead on to one of those that wait. */
struct sf_crew {
    struct sf_engine *engine;
    struct sf_joined *coming; /* not seen by the leader yet; under the mutex */
    struct sf_joined *aboard; /* the leader's */
};

struct sf_client {
    struct sf_shared shared;
    struct sf_resolver *resolver; /* NULL: every server is an address */

    /* Guards what follows up to the blank line, and the prefetched IDs. A child finds the lists as
     * they were in the middle of a change, so each is changed in one step: an engine is stored
     * before it is counted. */
    pthread_mutex_t pool_mutex;
    struct sf_prefetch *prefetch;             /* NULL: option not given */
    struct sf_crew crews[SF_CLIENT_POOL_MAX]; /* all that were made */
    _Atomic uint32_t engine_count;
    /* The last one put back is taken first: its sockets are warm. */
    struct sf_crew *idle[SF_CLIENT_POOL_MAX];
    uint32_t idle_count;
    uint32_t joins; /* whose turn it is to be joined */

    /* The asynchronous thread's. */
    struct sf_engine *async;
    struct sf_call *orphans; /* to be reported as CANCELLED; linked by queue_next */
};

/* --- process.c --- */

/* All that a child has anew too, from nothing. As sf_client_create. */
enum sf_client_error sf_client_begin(struct sf_client *client, char *detail, size_t detail_size);

/* Sets a child right that has just been forked. Returns the number of this process: whoever is about
 * to hand IDs out compares it (sf_client_is_still), for a signal handler may fork at any moment. */
uint64_t sf_client_here(struct sf_client *client);

static inline bool sf_client_is_still(const struct sf_client *client, uint64_t process)
{
    return sf_fork_is(&client->shared.fork, process);
}

/* Why a child gets CANCELLED. */
extern const char sf_client_forked[];

static inline void sf_client_count_call(struct sf_client *client, enum sf_client_error error)
{
    atomic_fetch_add_explicit(&client->shared.calls_by_error[error], 1, memory_order_relaxed);
}

static inline bool sf_client_request_is_valid(const struct sf_client_request *request)
{
    return request->count >= 1 && request->count <= SF_CLIENT_COUNT_MAX &&
           request->timeout_ms <= SF_CLIENT_TIMEOUT_MAX && request->after >> 63 == 0;
}

/* --- orphans.c --- */

/* The calls of the engine, which nobody uses and which ends here, are to be reported as CANCELLED.
 */
void sf_client_bequeath(struct sf_client *client, struct sf_engine *engine, const char *why);
/* Reports them. */
void sf_client_report_orphans(struct sf_client *client);

#endif
