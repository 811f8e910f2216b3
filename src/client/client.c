/* A client from its beginning to its end, and what happened so far. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "client/client_inner.h"
#include "client/options.h"
#include "client/tls.h"

/* What lies in memory that fork empties. */
static enum sf_client_error map(struct sf_client *client)
{
    const uint32_t prefetch = client->shared.options.prefetch;
    if (sf_fork_init(&client->shared.fork) != 0)
        return SF_CLIENT_MEMORY;
    if (prefetch == 0)
        return SF_CLIENT_OK;
    client->prefetch = sf_prefetch_create(prefetch);
    return client->prefetch == NULL ? SF_CLIENT_MEMORY : SF_CLIENT_OK;
}

/* Nothing is under way, or nobody was told of the client. */
static void end(struct sf_client *client)
{
    sf_resolver_stop(client->resolver);
    SF_ASSERT(client->idle_count == client->engine_count);
    for (uint32_t i = 0; i < client->engine_count; i++)
        sf_engine_destroy(client->crews[i].engine);
    sf_client_tls_destroy(client->shared.tls);
    sf_prefetch_destroy(client->prefetch);
    sf_fork_end(&client->shared.fork);
    sf_options_free(&client->shared.options);
    free(client);
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
    if (error == SF_CLIENT_OK)
        error = map(client);
    if (error == SF_CLIENT_OK)
        error = sf_client_begin(client, detail, detail_size);
    if (error == SF_CLIENT_OK) {
        *ret_client = client;
        return SF_CLIENT_OK;
    }
    if (detail[0] == '\0')
        (void)snprintf(detail, detail_size, "%s", sf_client_error_text(error));
    if (client != NULL)
        end(client);
    return error;
}

void sf_client_destroy(struct sf_client *client)
{
    if (client == NULL)
        return;
    (void)sf_client_here(client);
    while (client->async != NULL || client->orphans != NULL) { /* callbacks may submit */
        if (client->async != NULL)
            sf_client_bequeath(client, client->async, sf_client_error_text(SF_CLIENT_CANCELLED));
        sf_client_report_orphans(client);
        (void)sf_client_here(client); /* callbacks may fork */
    }
    end(client);
}

/* --- statistics --- */

void sf_client_stats(struct sf_client *client, struct sf_client_stats *ret_stats)
{
    struct sf_shared *shared = &client->shared;
    struct sf_client_stats stats = {0};
    (void)sf_client_here(client);
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
    stats.servers_passed_over = c[SF_COUNT_PASSED_OVER];
    pthread_mutex_lock(&shared->mutex);
    memcpy(stats.last_protocol_error, shared->last_protocol_error,
           sizeof stats.last_protocol_error);
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
    (void)sf_client_here(client);
    pthread_mutex_lock(&shared->mutex);
    const bool known = shared->has_layout;
    if (known) {
        *ret_layout = shared->layout;
        *ret_epoch_ms = shared->epoch_ms;
    }
    pthread_mutex_unlock(&shared->mutex);
    return known;
}
