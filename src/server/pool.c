/* Buffers of a shard in two sizes. A connection holds one only while it has something half read, so
 * an idle one costs none. */
#include "server/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "server/internal.h"

static uint8_t *pop(uint8_t **list, unsigned *count)
{
    uint8_t *buffer = *list;
    if (buffer != NULL) {
        memcpy(list, buffer, sizeof *list);
        (*count)--;
    }
    return buffer;
}

uint8_t *sf_pool_take(struct sf_pool *pool, uint32_t size, uint32_t *ret_capacity)
{
    SF_ASSERT(size <= SF_POOL_LARGE);
    const bool small = size <= SF_POOL_SMALL;
    const uint32_t capacity = small ? SF_POOL_SMALL : SF_POOL_LARGE;
    uint8_t *buffer =
        small ? pop(&pool->small, &pool->small_count) : pop(&pool->large, &pool->large_count);
    if (buffer == NULL)
        buffer = malloc(capacity);
    if (buffer != NULL)
        *ret_capacity = capacity;
    return buffer;
}

void sf_pool_give(struct sf_pool *pool, uint8_t *buffer, uint32_t capacity)
{
    if (buffer == NULL)
        return;
    const bool small = capacity == SF_POOL_SMALL;
    uint8_t **list = small ? &pool->small : &pool->large;
    unsigned *count = small ? &pool->small_count : &pool->large_count;
    if ((!small && capacity != SF_POOL_LARGE) || *count == SF_POOL_FREE_MAX) {
        free(buffer);
        return;
    }
    memcpy(buffer, list, sizeof *list);
    *list = buffer;
    (*count)++;
}

void sf_pool_free(struct sf_pool *pool)
{
    while (pool->small != NULL)
        free(pop(&pool->small, &pool->small_count));
    while (pool->large != NULL)
        free(pop(&pool->large, &pool->large_count));
}
