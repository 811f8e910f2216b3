/* server/quota.h - rate limits on IDs. Scopes are those of rate_limited_total (SF_RATE_SCOPE_...). Its shard's thread; the buckets of
 * the worker and of names are shared and lock-free. */
#ifndef SF_SERVER_QUOTA_H
#define SF_SERVER_QUOTA_H

#include "server/session.h"

/* Whether any limit does. */
static inline bool sf_quota_applies(const struct sf_session *session)
{
    const struct sf_server_limits *limits = &session->shard->settings.limits;
    return limits->connection_ids_per_s > 0 || limits->worker_ids_per_s > 0 ||
           limits->address_ids_per_s > 0 ||
           (session->token != NULL &&
            atomic_load_explicit(&session->token->ids_per_s, memory_order_relaxed) > 0);
}

/* Largest count of NEXT that this session is given: beyond a burst it could never be had at once. */
uint32_t sf_quota_max_batch_of_name(const struct sf_session *session);
static inline uint32_t sf_quota_max_batch(const struct sf_session *session)
{
    return session->token == NULL ? session->shard->settings.limits.max_batch
                                  : sf_quota_max_batch_of_name(session);
}

/* The smallest burst of the limits that all sessions are under; UINT64_MAX without any. */
uint64_t sf_quota_common_burst(const struct sf_server_limits *limits);
/* The smallest burst of the buckets that apply; UINT64_MAX without any. */
uint64_t sf_quota_burst(struct sf_session *session);
/* Takes the IDs from every bucket: 0, or how long (ns) until there are so many, and which one is short. */
int64_t sf_quota_take(struct sf_session *session, uint32_t ids, unsigned *ret_scope);
void sf_quota_give_back(struct sf_session *session, uint32_t ids);
/* What to say to who is over this limit: a static text. */
const char *sf_quota_reason(struct sf_session *session, unsigned scope);

#endif
