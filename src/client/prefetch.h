/* client/prefetch.h - IDs fetched but not yet handed out, in memory that a forked child finds empty
 * (MADV_WIPEONFORK), so that parent and child never hand out the same one. Also tells a child that
 * it is one. The caller holds a mutex. */
#ifndef SF_CLIENT_PREFETCH_H
#define SF_CLIENT_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>

#include <snowfleet/client.h>

struct sf_prefetch;

/* Room for `max` IDs (0: only the mark of the process). NULL when memory is out or the kernel lacks
 * MADV_WIPEONFORK (before 4.14). */
struct sf_prefetch *sf_prefetch_create(uint32_t max);
void sf_prefetch_destroy(struct sf_prefetch *prefetch);

/* One ID at most max_age_ns old, oldest first. Older ones are dropped and counted. Returns false
 * when there is none. */
bool sf_prefetch_take(struct sf_prefetch *prefetch, int64_t now_ns, int64_t max_age_ns,
                      uint64_t *ret_id, uint32_t *ret_expired);
/* Keeps as many as there is room for; the rest is dropped. */
void sf_prefetch_put(struct sf_prefetch *prefetch, const struct sf_client_run *run,
                     int64_t fetched_ns);

/* Is this process a child that has not been set right yet? The first caller gets true and must call
 * sf_prefetch_adopt; others wait. */
bool sf_prefetch_is_child(struct sf_prefetch *prefetch);
void sf_prefetch_adopt(struct sf_prefetch *prefetch);

#endif
