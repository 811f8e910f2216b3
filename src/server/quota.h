/* server/quota.h - rate limits on IDs. Scopes are those of rate_limited_total (SF_RATE_SCOPE_...). Its shard's thread; the buckets of
 * the worker and of names are shared and lock-free. */
#ifndef SF_SERVER_QUOTA_H
#define SF_SERVER_QUOTA_H

#include "server/session.h"

bool sf_quota_applies(const struct sf_session *session);
/* The smallest burst of the buckets that apply; UINT64_MAX without any. */
uint64_t sf_quota_burst(struct sf_session *session);
/* Takes the IDs from every bucket: 0, or how long (ns) until there are so many, and which one is short. */
int64_t sf_quota_take(struct sf_session *session, uint32_t ids, unsigned *ret_scope);
void sf_quota_give_back(struct sf_session *session, uint32_t ids);
/* What to say to who is over this limit: a static text. */
const char *sf_quota_reason(struct sf_session *session, unsigned scope);

#endif
