/* A NEXT whose IDs are not all there yet: the response as far as it has got. */
#include "server/partial.h"

#include <stdlib.h>
#include <string.h>

#include "server/internal.h"

void sf_partial_drop(struct sf_session *session)
{
    struct sf_partial *partial = &session->partial;
    if (partial->frame != NULL)
        sf_pool_give(&session->shard->pool, partial->frame, partial->capacity);
    memset(partial, 0, sizeof *partial);
}

bool sf_partial_start(struct sf_session *session, uint32_t request_id, uint32_t count,
                      uint64_t after)
{
    struct sf_partial *partial = &session->partial;
    partial->frame = sf_pool_take(&session->shard->pool, SF_POOL_SMALL, &partial->capacity);
    if (partial->frame == NULL)
        return false;
    partial->size = SF_WIRE_HEADER_SIZE;
    partial->request_id = request_id;
    partial->remaining = count;
    partial->after = after;
    return true;
}

/* Grows to the next size; false when memory is out or the frame can hold no more runs. */
static bool grow_partial(struct sf_session *session)
{
    struct sf_partial *partial = &session->partial;
    struct sf_pool *pool = &session->shard->pool;
    uint32_t capacity = SF_WIRE_FRAME_MAX;
    uint8_t *frame;
    if (partial->capacity == SF_WIRE_FRAME_MAX)
        return false;
    if (partial->capacity == SF_POOL_SMALL)
        frame = sf_pool_take(pool, SF_POOL_LARGE, &capacity);
    else
        frame = malloc(capacity);
    if (frame == NULL)
        return false;
    memcpy(frame, partial->frame, partial->size);
    sf_pool_give(pool, partial->frame, partial->capacity);
    partial->frame = frame;
    partial->capacity = capacity;
    return true;
}

/* Appends what was minted; false when the response cannot hold it. */
bool sf_partial_add(struct sf_session *session, const struct sf_generator *gen,
                    struct sf_mint *minted)
{
    struct sf_partial *partial = &session->partial;
    struct sf_run run;
    while (partial->remaining > 0 && sf_run_take(gen, minted, partial->remaining, &run)) {
        if (partial->size + SF_WIRE_RUN_SIZE > partial->capacity && !grow_partial(session))
            return false;
        sf_wire_put_run(partial->frame + partial->size, run.first, run.count);
        partial->size += SF_WIRE_RUN_SIZE;
        partial->remaining -= run.count;
    }
    return true;
}
