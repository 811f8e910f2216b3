/* Calls that wait for their answer, and IDs fetched ahead.
 *
 * A call takes an engine that nobody uses; where all are in use it joins one, so that a program has no more
 * connections for all its threads. Of the calls in an engine one leads: its thread turns the engine, the
 * others sleep. When it has its answer it hands the lead on.
 *
 * A call that began in the parent never hands IDs out in a child: a signal handler may have forked
 * at any moment of it, and then both processes are at the same place with the same IDs in hand. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/ticks.h"
#include "client/client_inner.h"

/* A sleeper looks so often whether it is in a child, where nobody wakes it. */
#define LOOK_NS (INT64_C(50) * SF_NS_PER_MS)

/* --- who turns the engine --- */

/* Behind the others that come. Under the mutex. */
static void come(struct sf_crew *crew, struct sf_joined *joined)
{
    struct sf_joined **at = &crew->coming;
    while (*at != NULL)
        at = &(*at)->next;
    *at = joined;
}

/* The crew that the call is in from now on, and whether it leads from the start. NULL when memory or
 * descriptors are out. */
static struct sf_crew *board(struct sf_client *client, struct sf_joined *joined, bool *ret_leads)
{
    struct sf_crew *crew = NULL;
    *ret_leads = true;
    atomic_init(&joined->state, SF_JOINED_WAITS);
    pthread_mutex_lock(&client->pool_mutex);
    if (client->idle_count > 0) {
        crew = client->idle[client->idle_count - 1];
        sf_engine_enter(crew->engine);
        client->idle_count--;
    } else if (client->engine_count < client->shared.options.pool) {
        struct sf_engine *const engine = sf_engine_create(&client->shared);
        if (engine != NULL) {
            crew = &client->crews[client->engine_count];
            sf_engine_enter(engine);
            *crew = (struct sf_crew){.engine = engine};
            client->engine_count++;
        }
    } else {
        crew = &client->crews[client->joins++ % client->engine_count];
        *ret_leads = false;
        if (sf_engine_nudge(crew->engine))
            come(crew, joined);
        else
            crew = NULL;
    }
    if (*ret_leads)
        atomic_store(&joined->state, SF_JOINED_LEADS);
    pthread_mutex_unlock(&client->pool_mutex);
    return crew;
}

static struct sf_joined *take_coming(struct sf_client *client, struct sf_crew *crew)
{
    pthread_mutex_lock(&client->pool_mutex);
    struct sf_joined *const coming = crew->coming;
    crew->coming = NULL;
    pthread_mutex_unlock(&client->pool_mutex);
    return coming;
}

static void wake(struct sf_joined *joined, int state)
{
    atomic_store(&joined->state, state);
    (void)sem_post(&joined->woken); /* it may be gone from here on */
}

/* Starts the calls of those that have come, and wakes those whose calls have ended. The leader's. */
static void look_after_others(struct sf_client *client, struct sf_crew *crew)
{
    struct sf_joined *next;
    for (struct sf_joined *joined = take_coming(client, crew); joined != NULL; joined = next) {
        next = joined->next;
        joined->next = crew->aboard;
        crew->aboard = joined;
        sf_engine_start(crew->engine, &joined->call);
    }
    for (struct sf_joined **at = &crew->aboard; *at != NULL;) {
        struct sf_joined *const joined = *at;
        if (joined->call.state != SF_CALL_DONE) {
            at = &joined->next;
            continue;
        }
        *at = joined->next;
        wake(joined, SF_JOINED_ENDED);
    }
}

/* The leader's own call has ended: one of those aboard leads, or nobody uses the engine. */
static void hand_on(struct sf_client *client, struct sf_crew *crew)
{
    for (;;) {
        look_after_others(client, crew);
        struct sf_joined *const heir = crew->aboard;
        if (heir != NULL) {
            crew->aboard = heir->next;
            wake(heir, SF_JOINED_LEADS);
            return;
        }
        pthread_mutex_lock(&client->pool_mutex);
        const bool alone = crew->coming == NULL;
        if (alone) {
            sf_engine_leave(crew->engine);
            client->idle[client->idle_count++] = crew;
        }
        pthread_mutex_unlock(&client->pool_mutex);
        if (alone)
            return;
    }
}

/* Returns false in a child that was forked meanwhile. */
static bool lead(struct sf_client *client, struct sf_crew *crew, const struct sf_call *call)
{
    look_after_others(client, crew);
    while (call->state != SF_CALL_DONE) {
        if (!sf_engine_turn(crew->engine, true))
            return false;
        look_after_others(client, crew);
    }
    return true;
}

/* Sleeps until the call has ended, or leads. Returns false in a child that was forked meanwhile. */
static bool follow(struct sf_client *client, struct sf_joined *joined, uint64_t process)
{
    for (;;) {
        struct timespec at;
        (void)clock_gettime(CLOCK_MONOTONIC, &at);
        const int64_t ns = at.tv_nsec + LOOK_NS;
        at.tv_sec += ns / SF_NS_PER_S;
        at.tv_nsec = ns % SF_NS_PER_S;
        /* Whoever wakes is done with us then, and not before. */
        if (sem_clockwait(&joined->woken, CLOCK_MONOTONIC, &at) == 0)
            return sf_client_is_still(client, process);
        if (!sf_client_is_still(client, process))
            return false;
    }
}

/* Carries the call through. Returns false in a child that was forked meanwhile: what is there of the call
 * and its engine is the parent's. */
static bool carry(struct sf_client *client, struct sf_crew *crew, struct sf_joined *joined,
                  bool leads, uint64_t process)
{
    if (leads)
        sf_engine_start(crew->engine, &joined->call);
    else if (!follow(client, joined, process))
        return false;
    if (atomic_load(&joined->state) == SF_JOINED_ENDED)
        return true;
    if (!lead(client, crew, &joined->call) || !sf_client_is_still(client, process))
        return false;
    hand_on(client, crew);
    return true;
}

/* --- calls --- */

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
    struct sf_joined joined = {.call.request = *request};
    struct sf_call *const call = &joined.call;
    if (call->request.timeout_ms == 0)
        call->request.timeout_ms = client->shared.options.timeout_ms;
    (void)sem_init(&joined.woken, 0, 0);
    bool leads = false;
    struct sf_crew *const crew = board(client, &joined, &leads);
    if (crew == NULL)
        return fail(client, ret_reply, SF_CLIENT_MEMORY, NULL);
    if (!carry(client, crew, &joined, leads, process) || !sf_client_is_still(client, process)) {
        if (atomic_load(&joined.state) != SF_JOINED_WAITS) /* else another thread may be at it */
            free(call->reply.runs);
        return disown(client, ret_reply); /* an engine that was not put back is forsaken there */
    }
    *ret_reply = call->reply;
    return call->reply.error;
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
