/* client/attempt.c - what happens to a call: a server is chosen and asked, asked again or beside
 * another, and the call ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "client/engine_inner.h"

/* The part of attempt_timeout_ms that a worker has alone once another one was silent or lost. */
#define AFTER_LOSS 4

/* --- calls --- */

void sf_engine_enqueue(struct sf_engine *engine, struct sf_call *call)
{
    call->state = SF_CALL_QUEUED;
    call->queue_next = NULL;
    *engine->queue_end = call;
    engine->queue_end = &call->queue_next;
}

/* No pending request points to the call any more. */
void sf_engine_detach(struct sf_engine *engine, struct sf_call *call)
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

void sf_engine_finish(struct sf_engine *engine, struct sf_call *call, enum sf_client_error error)
{
    SF_ASSERT(call->state != SF_CALL_DONE);
    if (call->in_flight > 0)
        sf_engine_detach(engine, call);
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

void sf_engine_report(struct sf_engine *engine, int server, uint32_t generation,
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

void sf_engine_look_soon(struct sf_engine *engine)
{
    pthread_mutex_lock(&engine->shared->mutex);
    sf_discover_soon(engine->shared, engine->now_ns);
    pthread_mutex_unlock(&engine->shared->mutex);
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
void sf_engine_retry(struct sf_engine *engine, struct sf_call *call)
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
        sf_engine_enqueue(engine, call);
        return;
    }
    if (!no_budget) {
        call->round++;
        memset(&call->tried, 0, sizeof call->tried);
    }
    call->state = SF_CALL_WAITING;
    call->timer_ns = engine->now_ns + wait;
    sf_engine_want_timer(engine, call->timer_ns);
}

void sf_call_note_failure(struct sf_call *call, enum sf_client_error error, const char *server,
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
    if (conn->broken)
        (void)snprintf(engine->shared->last_protocol_error,
                       sizeof engine->shared->last_protocol_error, "%s: %s", server, conn->why);
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
        sf_engine_report(engine, conn->server, conn->generation, outcome, 0);
    uint32_t load = 0;
    for (uint32_t i = 0; i < pending; i++) {
        const struct sf_pending *p = sf_conn_pending_at(conn, i);
        load += p->kind == SF_PENDING_CALL;
        engine->probes -= p->kind == SF_PENDING_PROBE;
        struct sf_call *call = p->owner;
        if (call == NULL)
            continue;
        call->in_flight--;
        sf_call_note_failure(call, error, server, conn->why);
        call->bereft = call->bereft || outcome == SF_OUTCOME_LOST;
        /* A worker that closed a connection that had worked may well answer on a new one: it may be
         * asked again. */
        if (conn->answered && outcome == SF_OUTCOME_LOST && call->round == 0)
            call->round++;
        else
            sf_client_policy_tried_add(&call->tried, conn->server);
        sf_engine_retry(engine, call);
    }
    end_load(engine, conn, load);
    if (conn->announced)
        sf_engine_look_soon(engine);
    if (engine->current[conn->server] == conn)
        engine->current[conn->server] = NULL;
    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    sf_conn_destroy(conn, false);
}

void sf_engine_bury_closed(struct sf_engine *engine)
{
    for (struct sf_conn *conn = engine->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->state == SF_CONN_CLOSED)
            bury(engine, conn);
    }
}

/* Who the worker is, and who its fellows are: beside the other requests of the connection. */
static void ask_info(struct sf_engine *engine, struct sf_conn *conn)
{
    conn->info_asked =
        conn->info_asked || sf_conn_put_plain(conn, SF_PENDING_INFO, NULL, engine->now_ns) == 0;
}

/* What comes before the first request of a connection. */
static void introduce(struct sf_engine *engine, struct sf_conn *conn)
{
    const char *token = engine->shared->options.token;
    if (token != NULL)
        (void)sf_conn_put_plain(conn, SF_PENDING_AUTH, token, engine->now_ns);
    ask_info(engine, conn);
    conn->denied = false;
}

static struct sf_conn *connect_to(struct sf_engine *engine, int server, uint32_t generation)
{
    struct sf_conn *conn = engine->current[server];
    if (conn != NULL && conn->generation == generation && sf_conn_open(conn)) {
        if (conn->denied)
            introduce(engine, conn); /* the token may be known by now */
        else if (conn->nameless)
            ask_info(engine, conn);
        return conn;
    }
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    const struct sf_server at = shared->servers[server];
    pthread_mutex_unlock(&shared->mutex);
    const char *name =
        shared->options.tls_server_name != NULL ? shared->options.tls_server_name : at.host;
    conn =
        sf_conn_create(engine->epoll_fd, (const struct sockaddr *)&at.address, at.address_size,
                       at.address.ss_family == AF_UNIX ? NULL : shared->tls, name, engine->now_ns);
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
    sf_engine_want_timer(engine, engine->now_ns + sf_ms(shared->options.connect_timeout_ms));
    introduce(engine, conn);
    return conn;
}

/* Connections to servers that are no longer in use end, at once or with their last answer. */
static void let_go(struct sf_engine *engine, uint64_t removals)
{
    struct sf_shared *shared = engine->shared;
    if (engine->removals == removals)
        return;
    engine->removals = removals;
    pthread_mutex_lock(&shared->mutex);
    for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next) {
        const struct sf_client_policy_server *server = &shared->policy.servers[conn->server];
        if (server->in_use && server->generation == conn->generation)
            continue;
        conn->unwanted = true;
        if (engine->current[conn->server] == conn)
            engine->current[conn->server] = NULL;
        if (sf_conn_pending(conn) == 0)
            sf_conn_close(conn, "its server is no longer in use");
    }
    pthread_mutex_unlock(&shared->mutex);
}

/* Has the connection a request that went unanswered for an attempt timeout? Then another one would
 * only join the queue. */
static bool is_silent(const struct sf_engine *engine, struct sf_conn *conn)
{
    return sf_conn_pending(conn) > 0 && engine->now_ns - sf_conn_pending_at(conn, 0)->sent_ns >=
                                            sf_ms(engine->shared->options.attempt_timeout_ms);
}

/* A request for one ID that nobody waits for: does the server mint? */
static void send_probe(struct sf_engine *engine, int server, uint32_t generation)
{
    sf_count(engine->shared, SF_COUNT_PROBES, 1);
    struct sf_conn *conn = connect_to(engine, server, generation);
    if (conn == NULL || is_silent(engine, conn)) {
        sf_engine_report(engine, server, generation, SF_OUTCOME_SILENT, 0);
        return;
    }
    const struct sf_wire_next next = {.count = 1};
    const struct sf_pending pending = {
        .kind = SF_PENDING_PROBE, .count = 1, .sent_ns = engine->now_ns};
    if (sf_conn_put_next(conn, &next, &pending) != 0) {
        sf_engine_report(engine, server, generation, SF_OUTCOME_SILENT, 0);
        return;
    }
    engine->probes++;
    sf_engine_want_timer(engine,
                         engine->now_ns + sf_ms(engine->shared->options.attempt_timeout_ms));
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
    int64_t hedge_ns;
    bool nothing; /* no server is known at all */
    bool shaky;   /* the server's last news were bad */
    bool look;    /* it is time to ask who is there */
    uint64_t removals;
};

static void choose(struct sf_engine *engine, const struct sf_call *call, struct choice *ret)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    struct sf_client_policy *policy = &shared->policy;
    *ret = (struct choice){.server = sf_client_policy_choose(policy, engine->now_ns, &call->tried,
                                                             sf_prng_next(&shared->prng)),
                           .probe = sf_client_policy_probe(policy, engine->now_ns),
                           .causal_id = shared->causal_id,
                           .removals = policy->removals,
                           .hedge_ns = sf_client_policy_hedge_ns(policy)};
    if (ret->server >= 0) {
        ret->generation = policy->servers[ret->server].generation;
        ret->max_batch = shared->servers[ret->server].max_batch;
        ret->shaky = policy->servers[ret->server].failures > 0;
        ret->floor = shared->has_layout ? shared->servers[ret->server].last_id : 0;
        sf_client_policy_begin(policy, ret->server);
        ret->look = sf_discover_due(shared, engine->now_ns);
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

bool sf_call_may_hedge(const struct sf_engine *engine, const struct sf_call *call)
{
    return !call->hedged && call->hedge_ns < sf_ms(engine->shared->options.attempt_timeout_ms);
}

/* Where one worker fell silent others may have (a rack, a datacenter), and one that broke off may
 * still be dying: it takes connections and answers none. There the next worker is asked quickly. */
void sf_engine_set_attempt_timer(struct sf_engine *engine, struct sf_call *call)
{
    const int64_t attempt_ns = sf_ms(engine->shared->options.attempt_timeout_ms);
    int64_t wait_ns = attempt_ns;
    if (call->silenced || call->hasty)
        wait_ns = attempt_ns / AFTER_LOSS;
    if (sf_call_may_hedge(engine, call) && call->hedge_ns < wait_ns)
        wait_ns = call->hedge_ns;
    call->timer_ns = engine->now_ns + wait_ns;
    sf_engine_want_timer(engine, call->timer_ns);
}

/* Returns false when the choice came to nothing and the call must be looked at again. */
static bool ask(struct sf_engine *engine, struct sf_call *call, const struct choice *choice)
{
    struct sf_conn *conn = connect_to(engine, choice->server, choice->generation);
    if (conn == NULL) {
        sf_call_note_failure(call, SF_CLIENT_MEMORY, "connect", strerror(errno));
        sf_engine_report(engine, choice->server, choice->generation, SF_OUTCOME_UNREACHED, 0);
        return false;
    }
    const uint32_t left = call->request.count - call->reply.count;
    const uint32_t most = choice->max_batch > 0 ? choice->max_batch : SF_WIRE_COUNT_MAX;
    struct sf_wire_next next = {.count = left < most ? left : most,
                                .has_after = call->request.has_after,
                                .after = call->request.has_after ? call->request.after : 0};
    if (choice->causal_id > next.after && engine->shared->options.causal) {
        next.has_after = true;
        next.after = choice->causal_id;
    }
    const struct sf_pending pending = {.kind = SF_PENDING_CALL,
                                       .owner = call,
                                       .sent_ns = engine->now_ns,
                                       .floor = choice->floor,
                                       .after = next.has_after ? next.after : 0,
                                       .count = next.count};
    if (sf_conn_put_next(conn, &next, &pending) != 0) {
        sf_call_note_failure(call, SF_CLIENT_OVERLOADED, "connection", "too much waits to be sent");
        sf_client_policy_tried_add(&call->tried, choice->server);
        return false;
    }
    if (choice->look)
        ask_info(engine, conn);
    call->in_flight++;
    call->last_server = choice->server;
    call->last_generation = choice->generation;
    call->state = SF_CALL_ASKED;
    call->reply.attempts++;
    sf_count(engine->shared, SF_COUNT_ATTEMPTS, 1);
    if (call->reply.attempts > 1 && call->last_error != SF_CLIENT_OK)
        sf_count(engine->shared, SF_COUNT_RETRIES, 1);
    call->hedge_ns = choice->hedge_ns;
    call->hasty = call->bereft || choice->shaky;
    sf_engine_set_attempt_timer(engine, call);
    return true;
}

static void attempt(struct sf_engine *engine, struct sf_call *call)
{
    struct choice choice;
    choose(engine, call, &choice);
    let_go(engine, choice.removals);
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
        sf_engine_set_attempt_timer(engine, call);
        return;
    }
    memset(&call->tried, 0, sizeof call->tried);
    call->state = SF_CALL_WAITING;
    call->timer_ns = choice.wake_ns;
    sf_engine_want_timer(engine, call->timer_ns);
}

static void work_off(struct sf_engine *engine)
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
        sf_engine_bury_closed(engine);
    }
}

void sf_engine_pump(struct sf_engine *engine)
{
    while (engine->queue != NULL) {
        work_off(engine);
        /* One write for all the requests of a connection. */
        for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next)
            if (conn->out_end > 0)
                sf_conn_flush(conn);
        sf_engine_bury_closed(engine);
    }
}
