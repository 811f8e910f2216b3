#include "client/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/ticks.h"

#define EVENTS_MAX 64
/* A connection whose oldest request has waited this many attempt timeouts is given up. */
#define SILENCE_FACTOR 10
#define SILENCE_MIN_NS (INT64_C(1000) * SF_NS_PER_MS)
/* Requests of one call that may wait for an answer at a time. */
#define IN_FLIGHT_MAX 8
/* An engine that was left alone this long looks at its sockets before it uses them. */
#define STALE_NS (INT64_C(500) * SF_NS_PER_MS)

struct sf_engine {
    struct sf_shared *shared;
    int epoll_fd, timer_fd;
    struct sf_conn *conns;                          /* all */
    struct sf_conn *current[SF_CLIENT_SERVERS_MAX]; /* where new requests for a server go */
    struct sf_call *calls;
    uint32_t call_count;
    struct sf_call *queue, **queue_end; /* calls to be looked at */
    struct sf_call *ended, **ended_end; /* calls to be reported */
    int64_t now_ns, timer_ns, turned_ns, timer_set_ns;
    uint32_t probes;
    bool turning;
};

static const struct sf_conn_handler handler;

static int64_t ms(uint32_t value)
{
    return (int64_t)value * SF_NS_PER_MS;
}

static void want_timer(struct sf_engine *engine, int64_t at_ns)
{
    if (at_ns < engine->timer_ns)
        engine->timer_ns = at_ns;
}

struct sf_engine *sf_engine_create(struct sf_shared *shared)
{
    struct sf_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return NULL;
    engine->shared = shared;
    engine->timer_fd = -1;
    engine->queue_end = &engine->queue;
    engine->ended_end = &engine->ended;
    engine->timer_ns = INT64_MAX;
    engine->timer_set_ns = INT64_MAX;
    engine->now_ns = engine->turned_ns = sf_mono_ns();
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll_fd < 0) {
        free(engine);
        return NULL;
    }
    return engine;
}

/* --- calls --- */

static void enqueue(struct sf_engine *engine, struct sf_call *call)
{
    call->state = SF_CALL_QUEUED;
    call->queue_next = NULL;
    *engine->queue_end = call;
    engine->queue_end = &call->queue_next;
}

/* No pending request points to the call any more. */
static void detach(struct sf_engine *engine, struct sf_call *call)
{
    for (struct sf_conn *conn = engine->conns; conn != NULL && call->in_flight > 0;
         conn = conn->next) {
        for (uint32_t i = 0; i < sf_conn_pending(conn); i++) {
            struct sf_pending *pending = sf_conn_pending_at(conn, i);
            if (pending->owner == call) {
                pending->owner = NULL;
                call->in_flight--;
            }
        }
    }
    SF_ASSERT(call->in_flight == 0);
}

static void finish(struct sf_engine *engine, struct sf_call *call, enum sf_client_error error)
{
    SF_ASSERT(call->state != SF_CALL_DONE);
    if (call->in_flight > 0)
        detach(engine, call);
    struct sf_client_reply *reply = &call->reply;
    const bool queued = call->state == SF_CALL_QUEUED;
    call->state = SF_CALL_DONE;
    reply->error = error;
    reply->duration_ns = engine->now_ns - call->started_ns;
    if (error != SF_CLIENT_OK) {
        free(reply->runs);
        reply->runs = NULL;
        reply->run_count = reply->count = 0;
        if (reply->detail[0] == '\0')
            (void)snprintf(reply->detail, sizeof reply->detail, "%s", sf_client_error_text(error));
    } else {
        reply->detail[0] = '\0';
        sf_count(engine->shared, SF_COUNT_IDS, reply->count);
    }
    atomic_fetch_add_explicit(&engine->shared->calls_by_error[error], 1, memory_order_relaxed);
    *call->link = call->next;
    if (call->next != NULL)
        call->next->link = call->link;
    engine->call_count--;
    if (call->done == NULL || queued)
        return; /* a queued call is reported when the queue comes to it */
    call->queue_next = NULL;
    *engine->ended_end = call;
    engine->ended_end = &call->queue_next;
}

static void report(struct sf_engine *engine, int server, uint32_t generation,
                   enum sf_outcome outcome, int64_t retry_after_ns)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    if (shared->policy.servers[server].generation == generation)
        sf_client_policy_report(&shared->policy, server, outcome, retry_after_ns, engine->now_ns,
                                sf_prng_next(&shared->prng));
    if (outcome == SF_OUTCOME_LOST || outcome == SF_OUTCOME_UNREACHED) {
        shared->resolve_now = true;
        pthread_cond_signal(&shared->resolve_wake);
    }
    pthread_mutex_unlock(&shared->mutex);
}

static void end_load(struct sf_engine *engine, const struct sf_conn *conn, uint32_t count)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    if (shared->policy.servers[conn->server].generation == conn->generation)
        while (count-- > 0)
            sf_client_policy_end(&shared->policy, conn->server);
    pthread_mutex_unlock(&shared->mutex);
}

/* The call failed with this at its last server: wait, or ask another one at once. */
static void retry(struct sf_engine *engine, struct sf_call *call)
{
    struct sf_shared *shared = engine->shared;
    if (call->state == SF_CALL_DONE || call->state == SF_CALL_QUEUED || call->in_flight > 0)
        return;
    bool no_budget;
    pthread_mutex_lock(&shared->mutex);
    const int64_t wait =
        sf_client_policy_retry_wait_ns(&shared->policy, engine->now_ns, &call->tried, call->round,
                                       sf_prng_next(&shared->prng), &no_budget);
    pthread_mutex_unlock(&shared->mutex);
    if (no_budget)
        sf_count(shared, SF_COUNT_BUDGET_WAITS, 1);
    if (wait == 0) {
        enqueue(engine, call);
        return;
    }
    if (!no_budget) {
        call->round++;
        memset(&call->tried, 0, sizeof call->tried);
    }
    call->state = SF_CALL_WAITING;
    call->timer_ns = engine->now_ns + wait;
    want_timer(engine, call->timer_ns);
}

static void note_failure(struct sf_call *call, enum sf_client_error error, const char *server,
                         const char *what)
{
    call->last_error = error;
    (void)snprintf(call->reply.detail, sizeof call->reply.detail, "%s: %s", server, what);
}

/* --- connections --- */

/* The connection is CLOSED: judge the server, hand its calls on, free it. */
static void bury(struct sf_engine *engine, struct sf_conn *conn)
{
    const uint32_t pending = sf_conn_pending(conn);
    char server[64];
    pthread_mutex_lock(&engine->shared->mutex);
    (void)snprintf(server, sizeof server, "%s", engine->shared->servers[conn->server].text);
    pthread_mutex_unlock(&engine->shared->mutex);
    enum sf_client_error error = conn->broken ? SF_CLIENT_PROTOCOL : SF_CLIENT_UNREACHABLE;
    enum sf_outcome outcome = conn->broken ? SF_OUTCOME_BROKEN : SF_OUTCOME_LOST;
    if (conn->tls_failed)
        error = SF_CLIENT_TLS;
    if (!conn->announced && !conn->broken)
        outcome = SF_OUTCOME_UNREACHED;
    if (conn->broken)
        sf_count(engine->shared, SF_COUNT_PROTOCOL_ERRORS, 1);
    sf_count(engine->shared, conn->announced ? SF_COUNT_DISCONNECTS : SF_COUNT_CONNECT_FAILURES, 1);
    /* A connection that the server wanted to end, or that ended while nothing was asked, says
     * nothing bad about the server. */
    if (pending > 0 || outcome != SF_OUTCOME_LOST)
        report(engine, conn->server, conn->generation, outcome, 0);
    uint32_t load = 0;
    for (uint32_t i = 0; i < pending; i++) {
        const struct sf_pending *p = sf_conn_pending_at(conn, i);
        load += p->kind == SF_PENDING_CALL;
        engine->probes -= p->kind == SF_PENDING_PROBE;
        struct sf_call *call = p->owner;
        if (call == NULL)
            continue;
        call->in_flight--;
        note_failure(call, error, server, conn->why);
        /* A worker that closed a connection that had worked may well answer on a new one: it may be
         * asked again. */
        if (conn->answered && outcome == SF_OUTCOME_LOST && call->round == 0)
            call->round++;
        else
            sf_client_policy_tried_add(&call->tried, conn->server);
        retry(engine, call);
    }
    end_load(engine, conn, load);
    if (engine->current[conn->server] == conn)
        engine->current[conn->server] = NULL;
    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    sf_conn_destroy(conn, false);
}

static void bury_closed(struct sf_engine *engine)
{
    for (struct sf_conn *conn = engine->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->state == SF_CONN_CLOSED)
            bury(engine, conn);
    }
}

static struct sf_conn *connect_to(struct sf_engine *engine, int server, uint32_t generation)
{
    struct sf_conn *conn = engine->current[server];
    if (conn != NULL && conn->generation == generation && sf_conn_open(conn))
        return conn;
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    const struct sf_server at = shared->servers[server];
    pthread_mutex_unlock(&shared->mutex);
    const char *name =
        shared->options.tls_server_name != NULL ? shared->options.tls_server_name : at.host;
    if (conn != NULL && conn->state != SF_CONN_CLOSED && sf_conn_pending(conn) == 0)
        sf_conn_close(conn, "its server is no longer in use");
    conn = sf_conn_create(engine->epoll_fd, (const struct sockaddr *)&at.address, at.address_size,
                          shared->tls, name, engine->now_ns);
    if (conn == NULL)
        return NULL;
    conn->server = server;
    conn->generation = generation;
    conn->next = engine->conns;
    conn->link = &engine->conns;
    if (conn->next != NULL)
        conn->next->link = &conn->next;
    engine->conns = conn;
    engine->current[server] = conn;
    want_timer(engine, engine->now_ns + ms(shared->options.connect_timeout_ms));
    if (shared->options.token != NULL)
        (void)sf_conn_put_plain(conn, SF_PENDING_AUTH, shared->options.token, engine->now_ns);
    (void)sf_conn_put_plain(conn, SF_PENDING_INFO, NULL, engine->now_ns);
    return conn;
}

/* Has the connection a request that went unanswered for an attempt timeout? Then another one would
 * only join the queue. */
static bool is_silent(const struct sf_engine *engine, struct sf_conn *conn)
{
    return sf_conn_pending(conn) > 0 && engine->now_ns - sf_conn_pending_at(conn, 0)->sent_ns >=
                                            ms(engine->shared->options.attempt_timeout_ms);
}

/* A request for one ID that nobody waits for: does the server mint? */
static void send_probe(struct sf_engine *engine, int server, uint32_t generation)
{
    sf_count(engine->shared, SF_COUNT_PROBES, 1);
    struct sf_conn *conn = connect_to(engine, server, generation);
    if (conn == NULL || is_silent(engine, conn)) {
        report(engine, server, generation, SF_OUTCOME_SILENT, 0);
        return;
    }
    const struct sf_wire_next next = {.count = 1};
    const struct sf_pending pending = {
        .kind = SF_PENDING_PROBE, .count = 1, .sent_ns = engine->now_ns};
    if (sf_conn_put_next(conn, &next, &pending) != 0) {
        report(engine, server, generation, SF_OUTCOME_SILENT, 0);
        return;
    }
    engine->probes++;
    want_timer(engine, engine->now_ns + ms(engine->shared->options.attempt_timeout_ms));
    sf_conn_flush(conn);
}

/* --- attempts --- */

struct choice {
    int server;
    uint32_t generation;
    uint32_t max_batch;
    uint64_t floor;
    uint64_t causal_id;
    int probe;
    uint32_t probe_generation;
    int64_t wake_ns;
    bool nothing; /* no server is known at all */
};

static void choose(struct sf_engine *engine, const struct sf_call *call, struct choice *ret)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    struct sf_client_policy *policy = &shared->policy;
    *ret = (struct choice){.server = sf_client_policy_choose(policy, engine->now_ns, &call->tried,
                                                             sf_prng_next(&shared->prng)),
                           .probe = sf_client_policy_probe(policy, engine->now_ns),
                           .causal_id = shared->causal_id};
    if (ret->server >= 0) {
        ret->generation = policy->servers[ret->server].generation;
        ret->max_batch = shared->servers[ret->server].max_batch;
        ret->floor = shared->has_layout ? shared->servers[ret->server].last_id : 0;
        sf_client_policy_begin(policy, ret->server);
    } else {
        ret->wake_ns = sf_client_policy_wake_ns(policy, engine->now_ns);
        ret->nothing = true;
        for (uint32_t i = 0; i < policy->places; i++)
            ret->nothing = ret->nothing && !policy->servers[i].in_use;
    }
    if (ret->probe >= 0)
        ret->probe_generation = policy->servers[ret->probe].generation;
    pthread_mutex_unlock(&shared->mutex);
}

static void unbegin(struct sf_engine *engine, const struct choice *choice)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    if (shared->policy.servers[choice->server].generation == choice->generation)
        sf_client_policy_end(&shared->policy, choice->server);
    pthread_mutex_unlock(&shared->mutex);
}

static void set_attempt_timer(struct sf_engine *engine, struct sf_call *call)
{
    const struct sf_client_options *options = &engine->shared->options;
    const uint32_t hedge = options->hedge_ms;
    const bool may_hedge = hedge > 0 && hedge < options->attempt_timeout_ms && !call->hedged;
    call->timer_ns = engine->now_ns + ms(may_hedge ? hedge : options->attempt_timeout_ms);
    want_timer(engine, call->timer_ns);
}

/* Returns false when the choice came to nothing and the call must be looked at again. */
static bool ask(struct sf_engine *engine, struct sf_call *call, const struct choice *choice)
{
    struct sf_conn *conn = connect_to(engine, choice->server, choice->generation);
    if (conn == NULL) {
        note_failure(call, SF_CLIENT_MEMORY, "connect", strerror(errno));
        report(engine, choice->server, choice->generation, SF_OUTCOME_UNREACHED, 0);
        return false;
    }
    const uint32_t left = call->request.count - call->reply.count;
    const uint32_t most = choice->max_batch > 0 ? choice->max_batch : SF_WIRE_COUNT_MAX;
    struct sf_wire_next next = {.count = left < most ? left : most,
                                .has_after = call->request.has_after,
                                .after = call->request.after};
    if (!next.has_after && choice->causal_id != 0 && engine->shared->options.causal) {
        next.has_after = true;
        next.after = choice->causal_id;
    }
    const struct sf_pending pending = {.kind = SF_PENDING_CALL,
                                       .owner = call,
                                       .sent_ns = engine->now_ns,
                                       .floor = choice->floor,
                                       .count = next.count};
    if (sf_conn_put_next(conn, &next, &pending) != 0) {
        note_failure(call, SF_CLIENT_OVERLOADED, "connection", "too much waits to be sent");
        sf_client_policy_tried_add(&call->tried, choice->server);
        return false;
    }
    call->in_flight++;
    call->last_server = choice->server;
    call->last_generation = choice->generation;
    call->state = SF_CALL_ASKED;
    call->reply.attempts++;
    sf_count(engine->shared, SF_COUNT_ATTEMPTS, 1);
    if (call->reply.attempts > 1 && call->last_error != SF_CLIENT_OK)
        sf_count(engine->shared, SF_COUNT_RETRIES, 1);
    set_attempt_timer(engine, call);
    sf_conn_flush(conn);
    return true;
}

static void attempt(struct sf_engine *engine, struct sf_call *call)
{
    struct choice choice;
    choose(engine, call, &choice);
    if (choice.probe >= 0)
        send_probe(engine, choice.probe, choice.probe_generation);
    if (choice.server >= 0) {
        if (ask(engine, call, &choice))
            return;
        unbegin(engine, &choice);
        choice.wake_ns = engine->now_ns + SF_NS_PER_MS;
    } else if (call->last_error == SF_CLIENT_OK) {
        call->last_error = choice.nothing ? SF_CLIENT_NAME : SF_CLIENT_UNREACHABLE;
    }
    if (call->in_flight > 0) { /* nobody else to ask: go on waiting for the answers that are due */
        call->state = SF_CALL_ASKED;
        set_attempt_timer(engine, call);
        return;
    }
    memset(&call->tried, 0, sizeof call->tried);
    call->state = SF_CALL_WAITING;
    call->timer_ns = choice.wake_ns;
    want_timer(engine, call->timer_ns);
}

static void pump(struct sf_engine *engine)
{
    while (engine->queue != NULL) {
        struct sf_call *call = engine->queue;
        engine->queue = call->queue_next;
        if (engine->queue == NULL)
            engine->queue_end = &engine->queue;
        if (call->state == SF_CALL_QUEUED) {
            call->state = SF_CALL_WAITING; /* so that it may be queued again */
            attempt(engine, call);
        } else if (call->state == SF_CALL_DONE && call->done != NULL) {
            call->queue_next = NULL;
            *engine->ended_end = call;
            engine->ended_end = &call->queue_next;
        }
        bury_closed(engine);
    }
}

/* --- answers --- */

static bool keep_runs(struct sf_call *call, const uint8_t *body, size_t runs, uint32_t ids)
{
    struct sf_client_reply *reply = &call->reply;
    const size_t need = reply->run_count + runs;
    if (need > call->run_capacity) {
        struct sf_client_run *bigger = realloc(reply->runs, need * sizeof *bigger);
        if (bigger == NULL)
            return false;
        reply->runs = bigger;
        call->run_capacity = (uint32_t)need;
    }
    for (size_t i = 0; i < runs; i++) {
        const struct sf_wire_run run = sf_wire_run_at(body, i);
        reply->runs[reply->run_count++] =
            (struct sf_client_run){.first = run.first, .count = run.count};
    }
    reply->count += ids;
    return true;
}

/* Do these IDs go on from what the connection and the server gave before? Remembers the last one.
 */
static bool in_order(struct sf_engine *engine, struct sf_conn *conn,
                     const struct sf_pending *pending, uint64_t first, uint64_t last, bool keep)
{
    struct sf_shared *shared = engine->shared;
    bool fine = conn->last_id == 0 || first > conn->last_id;
    pthread_mutex_lock(&shared->mutex);
    if (pending->floor != 0 && shared->has_layout && first <= pending->floor &&
        sf_id_same_slot(&shared->layout, first, pending->floor))
        fine = false;
    struct sf_server *server = &shared->servers[conn->server];
    if (fine && shared->policy.servers[conn->server].generation == conn->generation &&
        (server->last_id < last || !shared->has_layout ||
         !sf_id_same_slot(&shared->layout, server->last_id, last)))
        server->last_id = last;
    if (fine && keep && shared->options.causal &&
        (shared->causal_id == 0 || !shared->has_layout ||
         sf_id_is_later(&shared->layout, last, shared->causal_id)))
        shared->causal_id = last;
    pthread_mutex_unlock(&shared->mutex);
    conn->last_id = last;
    return fine;
}

/* What came for the call (may be NULL) cannot be used: another server, and `why` for the
 * connection. */
static const char *nonsense(struct sf_engine *engine, const struct sf_conn *conn,
                            struct sf_call *call, const char *why)
{
    if (call != NULL) {
        call->in_flight--;
        note_failure(call, SF_CLIENT_PROTOCOL, call->reply.server, why);
        sf_client_policy_tried_add(&call->tried, conn->server);
        retry(engine, call);
    }
    return why;
}

static const char *on_ids(struct sf_engine *engine, struct sf_conn *conn,
                          const struct sf_pending *pending, const uint8_t *body, size_t size)
{
    size_t runs;
    uint32_t ids;
    struct sf_call *call = pending->owner;
    if (sf_wire_get_runs(body, size, &runs, &ids) != 0 || ids != pending->count)
        return nonsense(engine, conn, call, "an answer to NEXT is malformed");
    const struct sf_wire_run end = sf_wire_run_at(body, runs - 1);
    if (!in_order(engine, conn, pending, sf_wire_run_at(body, 0).first, end.first + end.count - 1,
                  call != NULL)) {
        sf_count(engine->shared, SF_COUNT_ORDER_ERRORS, 1);
        if (call != NULL) {
            call->in_flight--;
            (void)snprintf(call->reply.detail, sizeof call->reply.detail,
                           "ID %llu came after an ID that is not below it",
                           (unsigned long long)sf_wire_run_at(body, 0).first);
            finish(engine, call, SF_CLIENT_ORDER);
        }
        return "IDs repeated or went back";
    }
    if (call == NULL)
        return NULL;
    call->in_flight--;
    if (!keep_runs(call, body, runs, ids)) {
        finish(engine, call, SF_CLIENT_MEMORY);
        return NULL;
    }
    if (call->reply.count == call->request.count) {
        finish(engine, call, SF_CLIENT_OK);
        return NULL;
    }
    if (call->in_flight > 0) /* an answer to a repeated request would be counted twice */
        detach(engine, call);
    memset(&call->tried, 0, sizeof call->tried);
    if (call->state != SF_CALL_QUEUED)
        enqueue(engine, call);
    return NULL;
}

struct verdict {
    enum sf_outcome outcome;
    enum sf_client_error error;
    bool another; /* another worker may do better */
};

static const struct verdict verdicts[SF_WIRE_STATUSES] = {
    [SF_WIRE_BAD_REQUEST] = {SF_OUTCOME_OK, SF_CLIENT_REFUSED, false},
    [SF_WIRE_UNSUPPORTED] = {SF_OUTCOME_OK, SF_CLIENT_REFUSED, false},
    [SF_WIRE_TOO_LARGE] = {SF_OUTCOME_OK, SF_CLIENT_REFUSED, false},
    [SF_WIRE_NOT_READY] = {SF_OUTCOME_UNUSABLE, SF_CLIENT_NOT_READY, true},
    [SF_WIRE_CLOCK] = {SF_OUTCOME_UNUSABLE, SF_CLIENT_CLOCK, true},
    [SF_WIRE_OVERLOADED] = {SF_OUTCOME_OVERLOADED, SF_CLIENT_OVERLOADED, true},
    [SF_WIRE_RATE_LIMITED] = {SF_OUTCOME_OK, SF_CLIENT_RATE_LIMITED, false},
    [SF_WIRE_DRAINING] = {SF_OUTCOME_UNUSABLE, SF_CLIENT_DRAINING, true},
    [SF_WIRE_DENIED] = {SF_OUTCOME_OK, SF_CLIENT_DENIED, false},
    [SF_WIRE_CAUSALITY] = {SF_OUTCOME_OK, SF_CLIENT_CAUSALITY, false},
    [SF_WIRE_INTERNAL] = {SF_OUTCOME_FAULT, SF_CLIENT_INTERNAL, true},
};

/* The call waits as long as the worker asked, if it may last that long. */
static void wait_as_told(struct sf_engine *engine, struct sf_call *call, enum sf_client_error error,
                         uint32_t retry_after_ms)
{
    const int64_t at = engine->now_ns + ms(retry_after_ms > 0 ? retry_after_ms : 1);
    if (at >= call->deadline_ns) {
        finish(engine, call, error);
        return;
    }
    memset(&call->tried, 0, sizeof call->tried);
    call->state = SF_CALL_WAITING;
    call->timer_ns = at;
    want_timer(engine, at);
}

/* UINT32_MAX while INFO has not told. */
static uint32_t known_max_batch(struct sf_engine *engine, const struct sf_conn *conn)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    const uint32_t most = shared->servers[conn->server].max_batch;
    pthread_mutex_unlock(&shared->mutex);
    return most > 0 ? most : UINT32_MAX;
}

static const char *on_refusal(struct sf_engine *engine, struct sf_conn *conn,
                              const struct sf_pending *pending, uint16_t status,
                              const uint8_t *body, size_t size)
{
    struct sf_wire_error told;
    if (sf_wire_get_error(body, size, &told) != 0)
        return nonsense(engine, conn, pending->owner, "an error answer is malformed");
    const struct verdict verdict =
        status < SF_WIRE_STATUSES ? verdicts[status] : verdicts[SF_WIRE_INTERNAL];
    report(engine, conn->server, conn->generation, verdict.outcome, ms(told.retry_after_ms));
    struct sf_call *call = pending->owner;
    if (call == NULL)
        return NULL;
    call->in_flight--;
    call->reply.retry_after_ms = told.retry_after_ms;
    call->last_error = verdict.error;
    (void)snprintf(call->reply.detail, sizeof call->reply.detail, "%s says %s%s%.*s",
                   call->reply.server, sf_wire_status_name(status),
                   told.reason_size > 0 ? ": " : "",
                   told.reason_size > 150 ? 150 : (int)told.reason_size,
                   told.reason_size > 0 ? told.reason : "");
    if (call->state == SF_CALL_QUEUED)
        return NULL; /* already on its way to another worker */
    if (verdict.error == SF_CLIENT_RATE_LIMITED || verdict.error == SF_CLIENT_CAUSALITY) {
        if (call->in_flight > 0)
            detach(engine, call);
        wait_as_told(engine, call, verdict.error, told.retry_after_ms);
        return NULL;
    }
    if (status == SF_WIRE_TOO_LARGE && pending->count > known_max_batch(engine, conn)) {
        enqueue(engine, call); /* INFO has told us meanwhile how much it gives at a time */
        return NULL;
    }
    if (!verdict.another) {
        finish(engine, call, verdict.error);
        return NULL;
    }
    sf_client_policy_tried_add(&call->tried, conn->server);
    retry(engine, call);
    return NULL;
}

static const char *on_info(struct sf_engine *engine, struct sf_conn *conn, uint16_t status,
                           const uint8_t *body, size_t size)
{
    struct sf_info info;
    if (status != SF_WIRE_OK)
        return NULL; /* an AUTH that failed shows in NEXT too; an older worker may lack INFO */
    if (sf_info_parse(body, size, &info) != 0)
        return "an answer to INFO is malformed";
    struct sf_shared *shared = engine->shared;
    bool same = true;
    pthread_mutex_lock(&shared->mutex);
    if (shared->policy.servers[conn->server].generation == conn->generation)
        shared->servers[conn->server].max_batch = info.max_batch;
    if (info.fleet_id[0] != '\0') {
        if (shared->fleet_id[0] == '\0') {
            memcpy(shared->fleet_id, info.fleet_id, sizeof shared->fleet_id);
            shared->layout = info.layout;
            shared->epoch_ms = info.epoch_ms;
            shared->has_layout = true;
        }
        same = strcmp(shared->fleet_id, info.fleet_id) == 0;
    }
    pthread_mutex_unlock(&shared->mutex);
    if (same)
        return NULL;
    sf_count(shared, SF_COUNT_WRONG_FLEET, 1);
    return "the worker belongs to another fleet than the first one that answered";
}

static const char *on_answer(void *ctx, struct sf_conn *conn, const struct sf_pending *pending,
                             const struct sf_wire_header *header, const uint8_t *body)
{
    struct sf_engine *engine = ctx;
    struct sf_shared *shared = engine->shared;
    const size_t size = header->length - 8;
    if (pending->kind == SF_PENDING_INFO)
        return on_info(engine, conn, header->code, body, size);
    if (pending->kind == SF_PENDING_AUTH)
        return NULL;
    struct sf_call *call = pending->owner;
    pthread_mutex_lock(&shared->mutex);
    if (call != NULL)
        memcpy(call->reply.server, shared->servers[conn->server].text, sizeof call->reply.server);
    if (shared->policy.servers[conn->server].generation == conn->generation) {
        if (pending->kind == SF_PENDING_CALL)
            sf_client_policy_end(&shared->policy, conn->server);
        if (header->code == SF_WIRE_OK)
            sf_client_policy_report(&shared->policy, conn->server, SF_OUTCOME_OK, 0, engine->now_ns,
                                    sf_prng_next(&shared->prng));
    }
    pthread_mutex_unlock(&shared->mutex);
    if (pending->kind == SF_PENDING_PROBE)
        engine->probes--;
    else if (call == NULL)
        sf_count(shared, SF_COUNT_LATE_ANSWERS, 1);
    return header->code == SF_WIRE_OK ? on_ids(engine, conn, pending, body, size)
                                      : on_refusal(engine, conn, pending, header->code, body, size);
}

static void on_up(void *ctx, struct sf_conn *conn)
{
    struct sf_engine *engine = ctx;
    (void)conn;
    sf_count(engine->shared, SF_COUNT_CONNECTS, 1);
}

static void on_goaway(void *ctx, struct sf_conn *conn, const struct sf_wire_goaway *goaway)
{
    struct sf_engine *engine = ctx;
    (void)goaway;
    sf_count(engine->shared, SF_COUNT_GOAWAYS, 1);
    if (engine->current[conn->server] == conn)
        engine->current[conn->server] = NULL;
}

static const struct sf_conn_handler handler = {
    .on_answer = on_answer, .on_up = on_up, .on_goaway = on_goaway};

/* --- timers --- */

/* Does some server that was reached hold a request of the call? */
static bool is_heard(struct sf_engine *engine, const struct sf_call *call)
{
    for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        for (uint32_t i = 0; conn->announced && i < sf_conn_pending(conn); i++)
            if (sf_conn_pending_at(conn, i)->owner == call)
                return true;
    return false;
}

static void expire(struct sf_engine *engine, struct sf_call *call)
{
    enum sf_client_error error = call->last_error;
    const long long waited_ms = (engine->now_ns - call->started_ns) / SF_NS_PER_MS;
    char *detail = call->reply.detail;
    if (error == SF_CLIENT_OK || error == SF_CLIENT_UNREACHABLE || error == SF_CLIENT_TIMEOUT) {
        error = is_heard(engine, call) ? SF_CLIENT_TIMEOUT : SF_CLIENT_UNREACHABLE;
        if (error == SF_CLIENT_TIMEOUT)
            (void)snprintf(detail, sizeof call->reply.detail,
                           "no answer within %lld ms (%u requests)", waited_ms,
                           call->reply.attempts);
        else if (detail[0] == '\0')
            (void)snprintf(detail, sizeof call->reply.detail,
                           "no server could be connected to within %lld ms", waited_ms);
    }
    finish(engine, call, error);
}

/* The attempt has had its time: mark the server, ask another one beside it. Its answer still counts
 * if it comes first. */
static void grow_impatient(struct sf_engine *engine, struct sf_call *call)
{
    const struct sf_client_options *options = &engine->shared->options;
    const bool hedge =
        options->hedge_ms > 0 && options->hedge_ms < options->attempt_timeout_ms && !call->hedged;
    if (hedge) {
        call->hedged = true;
        sf_count(engine->shared, SF_COUNT_HEDGES, 1);
    } else {
        sf_count(engine->shared, SF_COUNT_SILENCES, 1);
        if (call->last_error == SF_CLIENT_OK)
            call->last_error = SF_CLIENT_TIMEOUT;
        report(engine, call->last_server, call->last_generation, SF_OUTCOME_SILENT, 0);
    }
    sf_client_policy_tried_add(&call->tried, call->last_server);
    if (call->in_flight < IN_FLIGHT_MAX)
        enqueue(engine, call);
    else
        set_attempt_timer(engine, call);
}

static void call_timer(struct sf_engine *engine, struct sf_call *call)
{
    if (engine->now_ns >= call->deadline_ns) {
        expire(engine, call);
        return;
    }
    if (call->state != SF_CALL_QUEUED && engine->now_ns >= call->timer_ns) {
        if (call->state == SF_CALL_WAITING)
            enqueue(engine, call);
        else
            grow_impatient(engine, call);
    }
    want_timer(engine, call->deadline_ns);
    if (call->state != SF_CALL_QUEUED)
        want_timer(engine, call->timer_ns);
}

static void conn_timer(struct sf_engine *engine, struct sf_conn *conn)
{
    const struct sf_client_options *options = &engine->shared->options;
    const int64_t attempt_ns = ms(options->attempt_timeout_ms);
    if (conn->state == SF_CONN_CONNECTING || conn->state == SF_CONN_HANDSHAKING) {
        const int64_t due = conn->started_ns + ms(options->connect_timeout_ms);
        if (engine->now_ns >= due)
            sf_conn_close(conn, "no connection within %u ms", options->connect_timeout_ms);
        else
            want_timer(engine, due);
    } else if (sf_conn_pending(conn) > 0) {
        const int64_t most = attempt_ns * SILENCE_FACTOR > SILENCE_MIN_NS
                                 ? attempt_ns * SILENCE_FACTOR
                                 : SILENCE_MIN_NS;
        const int64_t due = sf_conn_pending_at(conn, 0)->sent_ns + most;
        if (engine->now_ns >= due)
            sf_conn_close(conn, "silent for %lld ms", (long long)(most / SF_NS_PER_MS));
        else
            want_timer(engine, due);
    }
    for (uint32_t i = 0; engine->probes > 0 && i < sf_conn_pending(conn); i++) {
        struct sf_pending *pending = sf_conn_pending_at(conn, i);
        if (pending->kind != SF_PENDING_PROBE || pending->silent)
            continue;
        if (engine->now_ns >= pending->sent_ns + attempt_ns) {
            pending->silent = true;
            report(engine, conn->server, conn->generation, SF_OUTCOME_SILENT, 0);
        } else {
            want_timer(engine, pending->sent_ns + attempt_ns);
        }
    }
}

static void run_timers(struct sf_engine *engine)
{
    engine->timer_ns = INT64_MAX;
    for (struct sf_call *call = engine->calls, *next; call != NULL; call = next) {
        next = call->next;
        call_timer(engine, call);
    }
    for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        conn_timer(engine, conn);
}

/* --- the loop --- */

static void report_ended(struct sf_engine *engine)
{
    while (engine->ended != NULL) {
        struct sf_call *call = engine->ended;
        engine->ended = call->queue_next;
        if (engine->ended == NULL)
            engine->ended_end = &engine->ended;
        call->done(call->ctx, &call->reply);
        free(call->reply.runs);
        free(call);
    }
}

static void set_timer_fd(struct sf_engine *engine)
{
    if (engine->timer_fd < 0 || engine->timer_ns == engine->timer_set_ns)
        return;
    engine->timer_set_ns = engine->timer_ns;
    struct itimerspec spec = {0};
    if (engine->timer_ns != INT64_MAX) {
        const int64_t wait =
            engine->timer_ns > engine->now_ns ? engine->timer_ns - engine->now_ns : 1;
        spec.it_value.tv_sec = wait / SF_NS_PER_S;
        spec.it_value.tv_nsec = wait % SF_NS_PER_S;
    }
    SF_ASSERT(timerfd_settime(engine->timer_fd, 0, &spec, NULL) == 0);
}

static int wait_ms(struct sf_engine *engine, bool wait)
{
    if (!wait)
        return 0;
    if (engine->timer_ns == INT64_MAX)
        return -1;
    const int64_t left = engine->timer_ns - engine->now_ns;
    return left <= 0 ? 0 : (int)((left + SF_NS_PER_MS - 1) / SF_NS_PER_MS);
}

void sf_engine_turn(struct sf_engine *engine, bool wait)
{
    SF_ASSERT(!engine->turning); /* a callback must not call process */
    engine->turning = true;
    struct epoll_event events[EVENTS_MAX];
    const int timeout = wait_ms(engine, wait && engine->queue == NULL && engine->ended == NULL);
    const int count = epoll_wait(engine->epoll_fd, events, EVENTS_MAX, timeout);
    engine->now_ns = engine->turned_ns = sf_mono_ns();
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == engine) {
            uint64_t ticks;
            (void)!read(engine->timer_fd, &ticks, sizeof ticks);
            engine->timer_set_ns = INT64_MAX;
            continue;
        }
        struct sf_conn *conn = events[i].data.ptr;
        if (conn->state != SF_CONN_CLOSED)
            sf_conn_on_ready(conn, events[i].events, &handler, engine, engine->now_ns);
    }
    bury_closed(engine);
    if (engine->now_ns >= engine->timer_ns) {
        run_timers(engine);
        bury_closed(engine);
    }
    pump(engine);
    engine->turning = false;
    report_ended(engine);
    pump(engine); /* what the callbacks submitted */
    set_timer_fd(engine);
}

void sf_engine_start(struct sf_engine *engine, struct sf_call *call)
{
    const int64_t now = sf_mono_ns();
    struct sf_shared *shared = engine->shared;
    if (!engine->turning && (engine->probes > 0 || now - engine->turned_ns > STALE_NS))
        sf_engine_turn(engine, false);
    engine->now_ns = now;
    call->started_ns = now;
    const uint32_t timeout_ms =
        call->request.timeout_ms > 0 ? call->request.timeout_ms : shared->options.timeout_ms;
    call->deadline_ns = now + ms(timeout_ms);
    call->next = engine->calls;
    call->link = &engine->calls;
    if (call->next != NULL)
        call->next->link = &call->next;
    engine->calls = call;
    engine->call_count++;
    want_timer(engine, call->deadline_ns);
    pthread_mutex_lock(&shared->mutex);
    sf_client_policy_call(&shared->policy);
    pthread_mutex_unlock(&shared->mutex);
    enqueue(engine, call);
    if (!engine->turning) {
        pump(engine);
        set_timer_fd(engine);
    }
}

int sf_engine_fd(struct sf_engine *engine)
{
    if (engine->timer_fd >= 0)
        return engine->epoll_fd;
    engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (engine->timer_fd < 0)
        return -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = engine};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->timer_fd, &event) != 0) {
        (void)close(engine->timer_fd);
        engine->timer_fd = -1;
        return -1;
    }
    set_timer_fd(engine);
    return engine->epoll_fd;
}

uint32_t sf_engine_calls(const struct sf_engine *engine)
{
    return engine->call_count;
}

void sf_engine_forsake(struct sf_engine *engine)
{
    for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        if (conn->fd >= 0)
            (void)close(conn->fd);
    if (engine->timer_fd >= 0)
        (void)close(engine->timer_fd);
    (void)close(engine->epoll_fd);
}

void sf_engine_destroy(struct sf_engine *engine, bool abandon)
{
    if (engine == NULL)
        return;
    engine->turning = true; /* what callbacks submit now is cancelled below as well */
    while (engine->calls != NULL || engine->ended != NULL || engine->queue != NULL) {
        while (engine->calls != NULL)
            finish(engine, engine->calls, SF_CLIENT_CANCELLED);
        pump(engine);
        report_ended(engine);
    }
    for (struct sf_conn *conn = engine->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        sf_conn_destroy(conn, abandon);
    }
    if (engine->timer_fd >= 0)
        (void)close(engine->timer_fd);
    (void)close(engine->epoll_fd);
    free(engine);
}
