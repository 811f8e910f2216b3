/* A client in a process: what it begins with, at creation and in a child after fork, and how a child
 * is set right. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/ticks.h"
#include "client/client_inner.h"

const char sf_client_forked[] =
    "the process forked while the call was under way: it is the parent's";

static int cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return -ENOMEM;
    int rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return -rc;
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
        .subset = options->subset,
    };
}

enum sf_client_error sf_client_begin(struct sf_client *client, char *detail, size_t detail_size)
{
    struct sf_shared *shared = &client->shared;
    if (cond_init(&shared->resolve_wake) != 0 || pthread_mutex_init(&shared->mutex, NULL) != 0 ||
        pthread_mutex_init(&client->pool_mutex, NULL) != 0)
        return SF_CLIENT_MEMORY;
    const struct sf_client_policy_options options = policy_options(&shared->options);
    sf_client_policy_init(&shared->policy, &options);
    shared->prng.state = sf_random_u64();
    shared->rank_seed = sf_random_u64();
    memset(shared->names, 0, shared->name_count * sizeof *shared->names);
    shared->name_count = shared->seed_count = 0;
    shared->look_at_ns = shared->looked_ns = 0;
    shared->resolve_now = false;
    memset(shared->servers, 0, sizeof shared->servers);
    for (int i = 0; i < SF_COUNTERS; i++)
        shared->counters[i] = 0;
    for (int i = 0; i < SF_CLIENT_ERRORS; i++)
        shared->calls_by_error[i] = 0;
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

/* In a child after fork: the sockets are the parent's, as are the calls under way, and engines that
 * somebody was using may be in any state. */
static void adopt(struct sf_client *client)
{
    for (uint32_t i = 0; i < client->engine_count; i++) {
        if (sf_engine_in_use(client->crews[i].engine))
            sf_engine_forsake(client->crews[i].engine);
        else
            sf_engine_destroy(client->crews[i].engine);
    }
    if (client->async != NULL) {
        /* In use: by another thread, which the child lacks, or by the caller of a callback that
         * called us, who will find out. */
        if (sf_engine_in_use(client->async))
            sf_engine_forsake(client->async);
        else
            sf_client_bequeath(client, client->async, sf_client_forked);
    }
    if (client->prefetch != NULL)
        sf_prefetch_clear(client->prefetch);
    char detail[SF_CLIENT_DETAIL_MAX];
    /* Without its thread the client has no servers where they are names; calls then fail with NAME.
     */
    (void)sf_client_begin(client, detail, sizeof detail);
    sf_fork_adopt(&client->shared.fork);
}

uint64_t sf_client_here(struct sf_client *client)
{
    if (sf_fork_is_child(&client->shared.fork))
        adopt(client);
    return sf_fork_number(&client->shared.fork);
}
