/* The public functions: a pool of engines for blocking calls, one engine for asynchronous ones,
 * prefetch, fork, statistics. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "client/engine.h"
#include "client/options.h"
#include "client/prefetch.h"
#include "client/shared.h"
#include "client/tls.h"

struct sf_client {
    struct sf_shared shared;
    struct sf_prefetch *prefetch;
    struct sf_resolver *resolver; /* NULL: every server is an address */

    pthread_mutex_t
        pool_mutex; /* guards what follows up to the blank line, and the prefetched IDs */
    pthread_cond_t pool_free;
    struct sf_engine *engines[SF_CLIENT_POOL_MAX]; /* all that were made */
    uint32_t engine_count;
    struct sf_engine
        *idle[SF_CLIENT_POOL_MAX]; /* the last one put back is taken first: its sockets are warm */
    uint32_t idle_count;

    struct sf_engine *async; /* the asynchronous thread's */
};

/* --- making and ending --- */

static int mutex_init(pthread_mutex_t *mutex, pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return -ENOMEM;
    int r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (r == 0)
        r = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return r == 0 ? -pthread_mutex_init(mutex, NULL) : -r;
}

static struct sf_client_policy_options policy_options(const struct sf_client_options *options)
{
    return (struct sf_client_policy_options){
        .breaker_failures = options->breaker_failures,
        .open_min_ns = options->breaker_open_min_ms * SF_NS_PER_MS,
        .open_max_ns = options->breaker_open_max_ms * SF_NS_PER_MS,
        .idle_probe_ns = options->breaker_idle_ms * SF_NS_PER_MS,
        .backoff_min_ns = options->backoff_min_ms * SF_NS_PER_MS,
        .backoff_max_ns = options->backoff_max_ms * SF_NS_PER_MS,
        .budget_percent = options->retry_budget_percent,
        .budget_max = options->retry_budget_max,
        .hedge_percentile = options->hedge_percentile,
        .hedge_ns = options->hedge_ms * SF_NS_PER_MS,
    };
}

/* Everything but the options, from nothing: at creation, and in a child after fork. */
static enum sf_client_error begin(struct sf_client *client, char *detail, size_t detail_size)
{
    struct sf_shared *shared = &client->shared;
    if (mutex_init(&shared->mutex, &shared->resolve_wake) != 0 ||
        mutex_init(&client->pool_mutex, &client->pool_free) != 0)
        return SF_CLIENT_MEMORY;
    const struct sf_client_policy_options options = policy_options(&shared->options);
    sf_client_policy_init(&shared->policy, &options);
    shared->prng.state = sf_random_u64();
    shared->name_count = shared->seed_count = 0;
    shared->look_at_ns = shared->looked_ns = 0;
    shared->resolve_now = false;
    shared->has_layout = false;
    shared->fleet_id[0] = '\0';
    memset(shared->names, 0, sizeof shared->names);
    memset(shared->servers, 0, sizeof shared->servers);
    client->engine_count = client->idle_count = 0;
    client->async = NULL;
    client->resolver = NULL;
    const enum sf_client_error error = sf_resolve_parse(shared, detail, detail_size);
    if (error != SF_CLIENT_OK)
        return error;
    if (sf_resolver_needed(shared)) {
        client->resolver = sf_resolver_start(shared);
        if (client->resolver == NULL)
            return SF_CLIENT_MEMORY;
    }
    return SF_CLIENT_OK;
}

enum sf_client_error sf_client_create(const struct sf_client_options *options,
                                      struct sf_client **ret_client, char *detail,
                                      size_t detail_size)
{
    char unused[SF_CLIENT_DETAIL_MAX];
    if (detail == NULL || detail_size == 0) {
        detail = unused;
        detail_size = sizeof unused;
    }
    struct sf_client *client = calloc(1, sizeof *client);
    enum sf_client_error error = client == NULL ? SF_CLIENT_MEMORY : SF_CLIENT_OK;
    detail[0] = '\0';
    if (error == SF_CLIENT_OK)
        error = sf_options_copy(options, &client->shared.options, detail, detail_size);
    if (error == SF_CLIENT_OK && client->shared.options.tls)
        error =
            sf_client_tls_create(&client->shared.options, &client->shared.tls, detail, detail_size);
    if (error == SF_CLIENT_OK) {
        client->prefetch = sf_prefetch_create(client->shared.options.prefetch);
        error = client->prefetch == NULL ? SF_CLIENT_MEMORY : begin(client, detail, detail_size);
    }
    if (error == SF_CLIENT_OK) {
        *ret_client = client;
        return SF_CLIENT_OK;
    }
    if (detail[0] == '\0')
        (void)snprintf(detail, detail_size, "%s", sf_client_error_text(error));
    sf_client_destroy(client);
    return error;
}

/* In a child after fork: the sockets are the parent's, and other threads' engines may be in any
 * state. */
static void adopt(struct sf_client *client)
{
    for (uint32_t i = 0; i < client->engine_count; i++) {
        bool idle = false;
        for (uint32_t k = 0; k < client->idle_count; k++)
            idle = idle || client->idle[k] == client->engines[i];
        if (idle)
            sf_engine_destroy(client->engines[i], true);
        else
            sf_engine_forsake(client->engines[i]);
    }
    if (client->async != NULL) {
        if (sf_engine_calls(client->async) == 0)
            sf_engine_destroy(client->async, true);
        else
            sf_engine_forsake(client->async);
    }
    char detail[SF_CLIENT_DETAIL_MAX];
    /* Without its thread the client has no servers where they are names; calls then fail with NAME.
     */
    (void)begin(client, detail, sizeof detail);
    sf_prefetch_adopt(client->prefetch);
}

static void check_fork(struct sf_client *client)
{
    if (sf_prefetch_is_child(client->prefetch))
        adopt(client);
}

void sf_client_destroy(struct sf_client *client)
{
    if (client == NULL)
        return;
    if (client->prefetch != NULL)
        check_fork(client);
    sf_resolver_stop(client->resolver);
    SF_ASSERT(client->idle_count == client->engine_count);
    sf_engine_destroy(client->async, false);
    for (uint32_t i = 0; i < client->engine_count; i++)
        sf_engine_destroy(client->engines[i], false);
    sf_client_tls_destroy(client->shared.tls);
    sf_prefetch_destroy(client->prefetch);
    sf_options_free(&client->shared.options);
    free(client);
}

/* --- blocking calls --- */

static struct timespec monotonic_in(int64_t ns)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    ns += at.tv_nsec;
    at.tv_sec += ns / SF_NS_PER_S;
    at.tv_nsec = ns % SF_NS_PER_S;
    return at;
}

/* An engine for one call; NULL with the error when none comes free in time. */
static struct sf_engine *take_engine(struct sf_client *client, uint32_t timeout_ms,
                                     enum sf_client_error *ret_error)
{
    const int64_t deadline_ns = sf_mono_ns() + timeout_ms * SF_NS_PER_MS;
    struct sf_engine *engine = NULL;
    pthread_mutex_lock(&client->pool_mutex);
    for (;;) {
        if (client->idle_count > 0) {
            engine = client->idle[--client->idle_count];
            break;
        }
        if (client->engine_count < client->shared.options.pool) {
            engine = sf_engine_create(&client->shared);
            if (engine != NULL)
                client->engines[client->engine_count++] = engine;
            *ret_error = SF_CLIENT_MEMORY;
            break;
        }
        const int64_t left_ns = deadline_ns - sf_mono_ns();
        *ret_error = SF_CLIENT_BUSY;
        if (left_ns <= 0)
            break;
        const struct timespec at = monotonic_in(left_ns);
        (void)pthread_cond_timedwait(&client->pool_free, &client->pool_mutex, &at);
    }
    pthread_mutex_unlock(&client->pool_mutex);
    return engine;
}

static void put_engine(struct sf_client *client, struct sf_engine *engine)
{
    pthread_mutex_lock(&client->pool_mutex);
    client->idle[client->idle_count++] = engine;
    pthread_mutex_unlock(&client->pool_mutex);
    pthread_cond_signal(&client->pool_free);
}

static bool valid(const struct sf_client_request *request)
{
    return request->count >= 1 && request->count <= SF_CLIENT_COUNT_MAX &&
           request->timeout_ms <= SF_CLIENT_TIMEOUT_MAX && request->after >> 63 == 0;
}

static enum sf_client_error fail(struct sf_client *client, struct sf_client_reply *ret_reply,
                                 enum sf_client_error error, const char *detail)
{
    atomic_fetch_add_explicit(&client->shared.calls_by_error[error], 1, memory_order_relaxed);
    *ret_reply = (struct sf_client_reply){.error = error};
    (void)snprintf(ret_reply->detail, sizeof ret_reply->detail, "%s",
                   detail != NULL ? detail : sf_client_error_text(error));
    return error;
}

static const char *const invalid_request =
    "the request is not allowed: count 1 to 1048576, timeout_ms up to 3600000, after below 2^63";

enum sf_client_error sf_client_ask(struct sf_client *client,
                                   const struct sf_client_request *request,
                                   struct sf_client_reply *ret_reply)
{
    check_fork(client);
    if (!valid(request))
        return fail(client, ret_reply, SF_CLIENT_INVALID, invalid_request);
    struct sf_call call = {.request = *request};
    if (call.request.timeout_ms == 0)
        call.request.timeout_ms = client->shared.options.timeout_ms;
    enum sf_client_error error = SF_CLIENT_BUSY;
    struct sf_engine *engine = take_engine(client, call.request.timeout_ms, &error);
    if (engine == NULL)
        return fail(client, ret_reply, error, NULL);
    sf_engine_start(engine, &call);
    while (call.state != SF_CALL_DONE)
        sf_engine_turn(engine, true);
    put_engine(client, engine);
    *ret_reply = call.reply;
    return call.reply.error;
}

void sf_client_reply_free(struct sf_client_reply *reply)
{
    free(reply->runs);
    reply->runs = NULL;
    reply->run_count = 0;
}

enum sf_client_error sf_client_next_many(struct sf_client *client, uint32_t count,
                                         uint64_t *ret_ids)
{
    const struct sf_client_request request = {.count = count};
    struct sf_client_reply reply;
    const enum sf_client_error error = sf_client_ask(client, &request, &reply);
    uint64_t *to = ret_ids;
    for (uint32_t i = 0; error == SF_CLIENT_OK && i < reply.run_count; i++)
        for (uint32_t k = 0; k < reply.runs[i].count; k++)
            *to++ = reply.runs[i].first + k;
    sf_client_reply_free(&reply);
    return error;
}

static bool take_prefetched(struct sf_client *client, uint64_t *ret_id)
{
    uint32_t expired;
    const int64_t max_age_ns = client->shared.options.prefetch_max_age_ms * SF_NS_PER_MS;
    pthread_mutex_lock(&client->pool_mutex);
    const bool hit = sf_prefetch_take(client->prefetch, sf_mono_ns(), max_age_ns, ret_id, &expired);
    pthread_mutex_unlock(&client->pool_mutex);
    sf_count(&client->shared, SF_COUNT_PREFETCH_HITS, hit);
    sf_count(&client->shared, SF_COUNT_PREFETCH_EXPIRED, expired);
    return hit;
}

static enum sf_client_error next_and_fill(struct sf_client *client, uint64_t *ret_id)
{
    const struct sf_client_request request = {.count = client->shared.options.prefetch};
    struct sf_client_reply reply;
    const int64_t asked_ns = sf_mono_ns();
    const enum sf_client_error error = sf_client_ask(client, &request, &reply);
    if (error == SF_CLIENT_OK) {
        *ret_id = reply.runs[0].first++;
        reply.runs[0].count--;
        sf_count(&client->shared, SF_COUNT_PREFETCH_FILLS, 1);
        pthread_mutex_lock(&client->pool_mutex);
        for (uint32_t i = 0; i < reply.run_count; i++)
            sf_prefetch_put(client->prefetch, &reply.runs[i], asked_ns);
        pthread_mutex_unlock(&client->pool_mutex);
    }
    sf_client_reply_free(&reply);
    return error;
}

enum sf_client_error sf_client_next(struct sf_client *client, uint64_t *ret_id)
{
    if (client->shared.options.prefetch == 0)
        return sf_client_next_many(client, 1, ret_id);
    check_fork(client);
    if (take_prefetched(client, ret_id))
        return SF_CLIENT_OK;
    return next_and_fill(client, ret_id);
}

/* --- asynchronous calls --- */

static struct sf_engine *async_engine(struct sf_client *client)
{
    check_fork(client);
    if (client->async == NULL)
        client->async = sf_engine_create(&client->shared);
    return client->async;
}

int sf_client_fd(struct sf_client *client)
{
    struct sf_engine *engine = async_engine(client);
    return engine != NULL ? sf_engine_fd(engine) : -1;
}

enum sf_client_error sf_client_submit(struct sf_client *client,
                                      const struct sf_client_request *request, sf_client_done *done,
                                      void *ctx)
{
    if (!valid(request) || done == NULL)
        return SF_CLIENT_INVALID;
    struct sf_engine *engine = async_engine(client);
    if (engine == NULL || sf_engine_fd(engine) < 0)
        return SF_CLIENT_MEMORY;
    if (sf_engine_calls(engine) >= SF_CLIENT_CALLS_MAX)
        return SF_CLIENT_BUSY;
    struct sf_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return SF_CLIENT_MEMORY;
    call->request = *request;
    call->done = done;
    call->ctx = ctx;
    sf_engine_start(engine, call);
    return SF_CLIENT_OK;
}

uint32_t sf_client_process(struct sf_client *client)
{
    struct sf_engine *engine = async_engine(client);
    if (engine == NULL)
        return 0;
    sf_engine_turn(engine, false);
    return sf_engine_calls(engine);
}

/* --- statistics --- */

void sf_client_stats(struct sf_client *client, struct sf_client_stats *ret_stats)
{
    struct sf_shared *shared = &client->shared;
    struct sf_client_stats stats = {0};
    check_fork(client);
    for (int i = 0; i < SF_CLIENT_ERRORS; i++) {
        stats.calls_by_error[i] = shared->calls_by_error[i];
        stats.calls += stats.calls_by_error[i];
    }
    const _Atomic uint64_t *c = shared->counters;
    stats.ids = c[SF_COUNT_IDS];
    stats.attempts = c[SF_COUNT_ATTEMPTS];
    stats.retries = c[SF_COUNT_RETRIES];
    stats.hedges = c[SF_COUNT_HEDGES];
    stats.silences = c[SF_COUNT_SILENCES];
    stats.late_answers = c[SF_COUNT_LATE_ANSWERS];
    stats.budget_waits = c[SF_COUNT_BUDGET_WAITS];
    stats.connects = c[SF_COUNT_CONNECTS];
    stats.connect_failures = c[SF_COUNT_CONNECT_FAILURES];
    stats.disconnects = c[SF_COUNT_DISCONNECTS];
    stats.goaways = c[SF_COUNT_GOAWAYS];
    stats.probes = c[SF_COUNT_PROBES];
    stats.order_errors = c[SF_COUNT_ORDER_ERRORS];
    stats.protocol_errors = c[SF_COUNT_PROTOCOL_ERRORS];
    stats.wrong_fleet = c[SF_COUNT_WRONG_FLEET];
    stats.prefetch_hits = c[SF_COUNT_PREFETCH_HITS];
    stats.prefetch_fills = c[SF_COUNT_PREFETCH_FILLS];
    stats.prefetch_expired = c[SF_COUNT_PREFETCH_EXPIRED];
    stats.resolves = c[SF_COUNT_RESOLVES];
    stats.resolve_failures = c[SF_COUNT_RESOLVE_FAILURES];
    stats.discoveries = c[SF_COUNT_DISCOVERIES];
    pthread_mutex_lock(&shared->mutex);
    stats.breaker_opens = shared->policy.opens;
    stats.servers_usable = sf_client_policy_usable(&shared->policy, sf_mono_ns());
    for (uint32_t i = 0; i < shared->policy.places; i++) {
        const bool in_use = shared->policy.servers[i].in_use;
        stats.servers += in_use;
        stats.servers_discovered += in_use && shared->names[shared->servers[i].name].discovered;
    }
    pthread_mutex_unlock(&shared->mutex);
    *ret_stats = stats;
}

bool sf_client_layout(struct sf_client *client, struct sf_layout *ret_layout, int64_t *ret_epoch_ms)
{
    struct sf_shared *shared = &client->shared;
    pthread_mutex_lock(&shared->mutex);
    const bool known = shared->has_layout;
    if (known) {
        *ret_layout = shared->layout;
        *ret_epoch_ms = shared->epoch_ms;
    }
    pthread_mutex_unlock(&shared->mutex);
    return known;
}
