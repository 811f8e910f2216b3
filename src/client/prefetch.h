/* client/prefetch.h - IDs fetched but not yet handed out, in memory that a forked child finds empty
 * (client/fork.h), so that parent and child never hand out the same one. The caller holds a mutex.
 */
#ifndef SF_CLIENT_PREFETCH_H
#define SF_CLIENT_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>

#include <snowfleet/client.h>

struct sf_prefetch;

/* Room for `max` IDs, 1 to SF_CLIENT_PREFETCH_MAX. NULL when memory is out. */
struct sf_prefetch *sf_prefetch_create(uint32_t max);
void sf_prefetch_destroy(struct sf_prefetch *prefetch);

/* One ID at most max_age_ns old, oldest first. Older ones are dropped and counted. Returns false
 * when there is none; ret_id is left alone then. */
bool sf_prefetch_take(struct sf_prefetch *prefetch, int64_t now_ns, int64_t max_age_ns,
                      uint64_t *ret_id, uint32_t *ret_expired);
/* Keeps as many as there is room for; the rest is dropped. */
void sf_prefetch_put(struct sf_prefetch *prefetch, const struct sf_client_run *run,
                     int64_t fetched_ns);
/* Drops everything. In a child that was forked in the middle of a take or put (a signal handler):
 * what was interrupted has gone on in memory that was emptied under it. */
void sf_prefetch_clear(struct sf_prefetch *prefetch);

#endif
