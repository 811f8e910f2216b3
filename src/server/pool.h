/* server/pool.h - buffers of a shard in two sizes. A connection holds one only while it has something half read, so an idle one
 * costs none. Belongs to the shard's thread. */
#ifndef SF_SERVER_POOL_H
#define SF_SERVER_POOL_H

#include <stdint.h>

#include "server/limits.h"

#define SF_POOL_SMALL    (SF_FRAME_KEPT_MAX + 64)
#define SF_POOL_LARGE    (SF_INPUT_MAX)
#define SF_POOL_FREE_MAX 64 /* kept for the next one; the rest goes back */

struct sf_pool {
    uint8_t *small, *large; /* free buffers, linked through their first bytes */
    unsigned small_count, large_count;
};

/* A buffer of at least `size` bytes, at most SF_POOL_LARGE; ret_capacity: what it really holds. NULL: no memory. The caller gives it
 * back with the same capacity. */
uint8_t *sf_pool_take(struct sf_pool *pool, uint32_t size, uint32_t *ret_capacity);
/* Also takes buffers of other sizes that came from malloc, and NULL. */
void sf_pool_give(struct sf_pool *pool, uint8_t *buffer, uint32_t capacity);
/* Frees what is kept. */
void sf_pool_free(struct sf_pool *pool);

#endif
