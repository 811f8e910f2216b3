/* IDs for a connection: from its generator, or from another one when that has none. */
#include "server/mint.h"

#include "server/internal.h"

uint32_t sf_mint_max_batch(uint32_t max_batch, unsigned sequence_bits)
{
    if (max_batch > SF_WIRE_COUNT_MAX)
        max_batch = SF_WIRE_COUNT_MAX;
    /* Half of the runs that a frame holds: waiting splits some milliseconds between several
     * requests. */
    if (sequence_bits < 16) {
        const uint64_t fits = (uint64_t)(SF_WIRE_RUNS_MAX / 2) << sequence_bits;
        if (max_batch > fits)
            max_batch = (uint32_t)fits;
    }
    return max_batch;
}

/* What is asked of a generator: words from `floor` on, IDs greater than `after` (0: any). */
struct want {
    uint64_t floor, after;
    uint32_t count;
};

/* The generator may get another slot between the look at it and the mint: then what came may be too small,
 * and is thrown away. */
static enum sf_mint_result mint_above(struct sf_generator *gen, uint64_t now_ms, uint64_t jitter,
                                      const struct want *want, struct sf_mint *ret)
{
    for (;;) {
        uint64_t floor = want->floor;
        if (want->after != 0) {
            const uint64_t above = sf_generator_above(gen, want->after);
            floor = above > floor ? above : floor;
        }
        const enum sf_mint_result result =
            sf_generator_mint(gen, now_ms, floor, jitter, want->count, ret);
        if (result != SF_MINT_OK || want->after == 0 ||
            sf_generator_id(gen, ret->first_word, ret->slot_bits) > want->after)
            return result;
    }
}

static enum sf_mint_result mint_from(struct sf_session *session, unsigned index,
                                     const struct want *want, struct sf_mint *ret)
{
    struct sf_shard *shard = session->shard;
    struct sf_generator *gen = shard->server->options.generators[index];
    if (shard->mint_ms == 0)
        return SF_MINT_CLOSED; /* no fleet yet: the generator is not set up */
    uint32_t jitter = shard->settings.limits.sequence_jitter;
    if (jitter > 1) {
        const uint64_t size = UINT64_C(1) << shard->server->sequence_bits;
        jitter = (uint32_t)sf_prng_below(&shard->prng, jitter < size ? jitter : size);
    } else {
        jitter = 0;
    }
    return mint_above(gen, shard->mint_ms, jitter, want, ret);
}

/* Tries another generator, above the last ID's millisecond, since slots do not ascend with time.
 * The session stays with it if it is open. */
static enum sf_mint_result mint_at(struct sf_session *session, unsigned index,
                                   const struct want *want, struct sf_mint *ret)
{
    struct sf_server *server = session->shard->server;
    const unsigned bits = server->sequence_bits;
    uint64_t above = session->last_word == 0 ? 0 : ((session->last_word >> bits) + 1) << bits;
    if (above < session->floor_word)
        above = session->floor_word;
    struct want there = *want;
    if (there.floor < above)
        there.floor = above;
    const enum sf_mint_result result = mint_from(session, index, &there, ret);
    if (result != SF_MINT_OK && result != SF_MINT_WAIT)
        return result;
    atomic_fetch_sub_explicit(&server->generator_sessions[session->generator], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&server->generator_sessions[index], 1, memory_order_relaxed);
    session->generator = (uint8_t)index;
    session->floor_word = above; /* the request's own floor is for it alone */
    return result;
}

/* The session's generator is closed or used up: goes on with another one that is not. Returns what
 * the best of them said. */
static enum sf_mint_result mint_elsewhere(struct sf_session *session, const struct want *want,
                                          enum sf_mint_result first, struct sf_mint *ret)
{
    const struct sf_server *server = session->shard->server;
    enum sf_mint_result best = first;
    for (unsigned step = 1; step < server->options.generator_count; step++) {
        const unsigned index =
            (session->generator + step) % (unsigned)server->options.generator_count;
        const enum sf_mint_result result = mint_at(session, index, want, ret);
        if (result == SF_MINT_OK || result == SF_MINT_WAIT)
            return result;
        if (result == SF_MINT_EXHAUSTED)
            best = result;
    }
    return best;
}

/* The session would have to wait. Where another open generator has two connections fewer at least
 * (it was closed and is open again) it goes there, and so shares what that one has. */
static enum sf_mint_result mint_less_crowded(struct sf_session *session, const struct want *want,
                                             struct sf_mint *ret)
{
    struct sf_server *server = session->shard->server;
    const uint32_t here =
        atomic_load_explicit(&server->generator_sessions[session->generator], memory_order_relaxed);
    for (unsigned i = 0; i < server->options.generator_count; i++) {
        const uint32_t there =
            atomic_load_explicit(&server->generator_sessions[i], memory_order_relaxed);
        if (there + 2 > here || sf_generator_is_closed(server->options.generators[i]))
            continue;
        const enum sf_mint_result result = mint_at(session, i, want, ret);
        if (result == SF_MINT_OK || result == SF_MINT_WAIT)
            return result;
    }
    return SF_MINT_WAIT;
}

enum sf_mint_result sf_mint_ids(struct sf_session *session, uint64_t after, uint32_t count,
                                struct sf_mint *ret)
{
    const struct want want = {.floor = session->floor_word, .after = after, .count = count};
    enum sf_mint_result result = mint_from(session, session->generator, &want, ret);
    if (result == SF_MINT_CLOSED || result == SF_MINT_EXHAUSTED)
        result = mint_elsewhere(session, &want, result, ret);
    else if (result == SF_MINT_WAIT)
        result = mint_less_crowded(session, &want, ret);
    if (result == SF_MINT_OK) {
        session->last_word = ret->first_word + ret->count - 1;
        session->shard->ids += ret->count;
        if (session->token != NULL)
            atomic_fetch_add_explicit(&session->token->ids, ret->count, memory_order_relaxed);
    }
    return result;
}
