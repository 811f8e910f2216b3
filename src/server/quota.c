/* Rate limits on IDs: the token buckets of a connection, of the worker, of a token's name and of an
 * address. */
#include "server/quota.h"

#include "server/internal.h"

static uint64_t burst_of(uint64_t rate_per_s, uint64_t burst)
{
    return rate_per_s == 0 ? UINT64_MAX : burst == 0 ? rate_per_s : burst;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t sf_quota_common_burst(const struct sf_server_limits *limits)
{
    return lesser(burst_of(limits->connection_ids_per_s, limits->connection_burst),
                  lesser(burst_of(limits->worker_ids_per_s, limits->worker_burst),
                         burst_of(limits->address_ids_per_s, limits->address_burst)));
}

uint32_t sf_quota_max_batch_of_name(const struct sf_session *session)
{
    const struct sf_token *token = session->token;
    const uint32_t max_batch = session->shard->settings.limits.max_batch;
    return (uint32_t)lesser(max_batch,
                            burst_of(atomic_load_explicit(&token->ids_per_s, memory_order_relaxed),
                                     atomic_load_explicit(&token->burst, memory_order_relaxed)));
}

/* The limits that a session is under: buckets and what to say. */
struct quota {
    struct sf_bucket *bucket;
    uint64_t ids_per_s, burst;
    const char *reason;
};

static struct quota quota_of(struct sf_session *session, unsigned scope)
{
    const struct sf_server_limits *limits = &session->shard->settings.limits;
    struct sf_token *token = session->token;
    if (scope == SF_RATE_SCOPE_CONNECTION && session->inside)
        return (struct quota){0};
    if (scope == SF_RATE_SCOPE_CONNECTION)
        return (struct quota){&session->bucket, limits->connection_ids_per_s,
                              limits->connection_burst, "over this connection's quota of IDs"};
    if (scope == SF_RATE_SCOPE_WORKER)
        return (struct quota){&session->shard->server->bucket, limits->worker_ids_per_s,
                              limits->worker_burst, "over this worker's quota of IDs"};
    if (scope == SF_RATE_SCOPE_ADDRESS)
        return (struct quota){&session->address->ids, limits->address_ids_per_s,
                              limits->address_burst, "over the quota of IDs of this address"};
    if (token == NULL)
        return (struct quota){0};
    return (struct quota){&token->bucket,
                          atomic_load_explicit(&token->ids_per_s, memory_order_relaxed),
                          atomic_load_explicit(&token->burst, memory_order_relaxed),
                          "over the quota of IDs of this token's name"};
}

/* Puts IDs back into the first `scopes` buckets. */
static void give_back(struct sf_session *session, unsigned scopes, uint32_t ids)
{
    for (unsigned scope = 0; scope < scopes; scope++) {
        const struct quota quota = quota_of(session, scope);
        if (quota.ids_per_s > 0)
            sf_bucket_give_back(quota.bucket, quota.ids_per_s, ids);
    }
}

/* 0, or how long until there are so many in every bucket, and which one is short. */
int64_t sf_quota_take(struct sf_session *session, uint32_t ids, unsigned *ret_scope)
{
    for (unsigned scope = 0; scope < SF_RATE_SCOPES; scope++) {
        const struct quota quota = quota_of(session, scope);
        if (quota.ids_per_s == 0)
            continue;
        const int64_t wait_ns =
            sf_bucket_take(quota.bucket, quota.ids_per_s, quota.burst, ids, session->shard->now_ns);
        if (wait_ns == 0)
            continue;
        give_back(session, scope, ids);
        *ret_scope = scope;
        return wait_ns;
    }
    return 0;
}

void sf_quota_give_back(struct sf_session *session, uint32_t ids)
{
    give_back(session, SF_RATE_SCOPES, ids);
}

uint64_t sf_quota_burst(struct sf_session *session)
{
    uint64_t least = UINT64_MAX;
    for (unsigned scope = 0; scope < SF_RATE_SCOPES; scope++) {
        const struct quota quota = quota_of(session, scope);
        const uint64_t burst = burst_of(quota.ids_per_s, quota.burst);
        least = lesser(least, burst);
    }
    return least;
}

const char *sf_quota_reason(struct sf_session *session, unsigned scope)
{
    return quota_of(session, scope).reason;
}
