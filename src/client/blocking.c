/* Calls that wait for their answer: a pool of engines, and IDs fetched ahead.
 *
 * A call that began in the parent never hands IDs out in a child: a signal handler may have forked
 * at any moment of it, and then both processes are at the same place with the same IDs in hand. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/ticks.h"
#include "client/client_inner.h"

static struct timespec monotonic_in(int64_t ns)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    ns += at.tv_nsec;
    at.tv_sec += ns / SF_NS_PER_S;
    at.tv_nsec = ns % SF_NS_PER_S;
    return at;
}

/* An engine for one call, which is in use from now on; NULL with the error when none comes free in
 * time. */
static struct sf_engine *take_engine(struct sf_client *client, uint32_t timeout_ms,
                                     enum sf_client_error *ret_error)
{
    const int64_t deadline_ns = sf_mono_ns() + timeout_ms * SF_NS_PER_MS;
    struct sf_engine *engine = NULL;
    pthread_mutex_lock(&client->pool_mutex);
    for (;;) {
        if (client->idle_count > 0) {
            engine = client->idle[client->idle_count - 1];
            sf_engine_enter(engine);
            client->idle_count--;
            break;
        }
        if (client->engine_count < client->shared.options.pool) {
            engine = sf_engine_create(&client->shared);
            *ret_error = SF_CLIENT_MEMORY;
            if (engine == NULL)
                break;
            sf_engine_enter(engine);
            client->engines[client->engine_count] = engine;
            client->engine_count++;
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
    sf_engine_leave(engine);
    client->idle[client->idle_count++] = engine;
    pthread_mutex_unlock(&client->pool_mutex);
    pthread_cond_signal(&client->pool_free);
}

static enum sf_client_error fail(struct sf_client *client, struct sf_client_reply *ret_reply,
                                 enum sf_client_error error, const char *detail)
{
    sf_client_count_call(client, error);
    *ret_reply = (struct sf_client_reply){.error = error};
    (void)snprintf(ret_reply->detail, sizeof ret_reply->detail, "%s",
                   detail != NULL ? detail : sf_client_error_text(error));
    return error;
}

/* The call was the parent's, and this is a child that was forked in the middle of it. What it has
 * is the parent's too. */
static enum sf_client_error disown(struct sf_client *client, struct sf_client_reply *ret_reply)
{
    (void)sf_client_here(client);
    return fail(client, ret_reply, SF_CLIENT_CANCELLED, sf_client_forked);
}

static const char *const invalid_request =
    "the request is not allowed: count 1 to 1048576, timeout_ms up to 3600000, after below 2^63";

enum sf_client_error sf_client_ask(struct sf_client *client,
                                   const struct sf_client_request *request,
                                   struct sf_client_reply *ret_reply)
{
    const uint64_t process = sf_client_here(client);
    if (!sf_client_request_is_valid(request))
        return fail(client, ret_reply, SF_CLIENT_INVALID, invalid_request);
    struct sf_call call = {.request = *request};
    if (call.request.timeout_ms == 0)
        call.request.timeout_ms = client->shared.options.timeout_ms;
    enum sf_client_error error = SF_CLIENT_BUSY;
    struct sf_engine *engine = take_engine(client, call.request.timeout_ms, &error);
    if (engine == NULL)
        return fail(client, ret_reply, error, NULL);
    sf_engine_start(engine, &call);
    bool ours = true;
    while (call.state != SF_CALL_DONE && ours)
        ours = sf_engine_turn(engine, true);
    if (call.state == SF_CALL_DONE)
        put_engine(client, engine);
    if (!sf_client_is_still(client, process)) {
        free(call.reply.runs);
        return disown(client, ret_reply); /* an engine that was not put back is forsaken there */
    }
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
    const uint64_t process = sf_client_here(client);
    const struct sf_client_request request = {.count = count};
    struct sf_client_reply reply;
    const enum sf_client_error error = sf_client_ask(client, &request, &reply);
    uint64_t *to = ret_ids;
    for (uint32_t i = 0; error == SF_CLIENT_OK && i < reply.run_count; i++)
        for (uint32_t k = 0; k < reply.runs[i].count; k++)
            *to++ = reply.runs[i].first + k;
    sf_client_reply_free(&reply);
    return sf_client_is_still(client, process) ? error : SF_CLIENT_CANCELLED;
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

/* In a child that was forked meanwhile the reply's IDs land in a buffer that is cleared before it
 * is used. */
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
    if (client->prefetch == NULL)
        return sf_client_next_many(client, 1, ret_id);
    const uint64_t process = sf_client_here(client);
    uint64_t id = 0;
    const enum sf_client_error error =
        take_prefetched(client, &id) ? SF_CLIENT_OK : next_and_fill(client, &id);
    if (!sf_client_is_still(client, process))
        return SF_CLIENT_CANCELLED;
    if (error == SF_CLIENT_OK)
        *ret_id = id;
    return error;
}
