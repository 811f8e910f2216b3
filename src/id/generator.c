/* The slow side of the generator: setting up, limits, closing. */
#include "id/generator.h"

#include <errno.h>

#include "base/assert.h"

/* Exclusive bound of what the layout can express, as a word. */
static uint64_t limit_word_of(const struct sf_generator *gen, uint64_t limit_ms)
{
    return (limit_ms < gen->end_ms ? limit_ms : gen->end_ms) << gen->layout.sequence_bits;
}

void sf_generator_init(struct sf_generator *gen, const struct sf_layout *layout,
                       uint64_t max_ahead_ms, _Atomic uint64_t *word)
{
    SF_ASSERT(sf_layout_validate(layout, NULL) == 0);
    gen->layout = *layout;
    gen->timestamp_shift =
        (uint8_t)(layout->datacenter_bits + layout->worker_bits + layout->sequence_bits);
    gen->max_ahead_ms = max_ahead_ms;
    gen->end_ms = sf_layout_max_timestamp(layout) + 1;
    gen->word = word;
    gen->copy = NULL;
    atomic_init(&gen->limit_word, 0);
    atomic_init(&gen->slot_bits, 0);
    atomic_fetch_or(gen->word, SF_GENERATOR_CLOSED);
}

void sf_generator_keep_copy(struct sf_generator *gen, _Atomic uint64_t *copy)
{
    gen->copy = copy;
}

/* Slot and limit are stored while the word is closed; the release store of the word publishes
 * them. */
int sf_generator_open(struct sf_generator *gen, uint64_t datacenter, uint64_t worker,
                      uint64_t start_ms, uint64_t limit_ms)
{
    const unsigned sequence_bits = gen->layout.sequence_bits;
    const uint64_t before = atomic_load(gen->word);
    if (!(before & SF_GENERATOR_CLOSED))
        return -EALREADY;
    if (start_ms > sf_layout_max_timestamp(&gen->layout) ||
        datacenter > sf_layout_max_datacenter(&gen->layout) ||
        worker > sf_layout_max_worker(&gen->layout))
        return -ERANGE;
    const uint64_t start_word = start_ms << sequence_bits;
    const uint64_t last_word = start_word > 0 ? start_word - 1 : 0;
    /* One past where it stood, so that this value never stood in the word before: a minter that
     * slept since then fails. */
    uint64_t word = (before & ~SF_GENERATOR_CLOSED) + 1;
    if (word < last_word)
        word = last_word;
    if (word & SF_GENERATOR_CLOSED)
        return -ERANGE;
    atomic_store(&gen->slot_bits, (datacenter << (gen->layout.worker_bits + sequence_bits)) |
                                      (worker << sequence_bits));
    atomic_store(&gen->limit_word, limit_word_of(gen, limit_ms));
    /* Whatever stood there of somebody else; nobody can be minting. Nothing has left at `word` yet, so
     * the copy does not say so. */
    const uint64_t left = before & ~SF_GENERATOR_CLOSED;
    if (gen->copy != NULL)
        atomic_store(gen->copy, left > last_word ? left : last_word);
    atomic_store(gen->word, word);
    return 0;
}

void sf_generator_raise_copy(struct sf_generator *gen, uint64_t last)
{
    const uint64_t span = (uint64_t)SF_GENERATOR_COPY_SPAN_MS << gen->layout.sequence_bits;
    const uint64_t to = (last | (span - 1)) & ~SF_GENERATOR_CLOSED;
    _Atomic uint64_t *const copy = gen->copy;
    uint64_t there = copy != NULL ? atomic_load(copy) : to;
    while (there < to && !atomic_compare_exchange_weak(copy, &there, to))
        ;
}

void sf_generator_close(struct sf_generator *gen)
{
    atomic_fetch_or(gen->word, SF_GENERATOR_CLOSED);
}

bool sf_generator_is_closed(const struct sf_generator *gen)
{
    const _Atomic uint64_t *const at = gen->word;
    return at == NULL || (atomic_load(at) & SF_GENERATOR_CLOSED) != 0;
}

void sf_generator_raise(struct sf_generator *gen, uint64_t limit_ms)
{
    const uint64_t limit = limit_word_of(gen, limit_ms);
    SF_ASSERT(limit >= atomic_load(&gen->limit_word));
    atomic_store(&gen->limit_word, limit);
}

void sf_generator_lower(struct sf_generator *gen, uint64_t limit_ms)
{
    const uint64_t limit = limit_word_of(gen, limit_ms);
    SF_ASSERT(limit <= atomic_load(&gen->limit_word));
    atomic_store(&gen->limit_word, limit);
    /* Move the word by one: whoever loaded it before the new limit was there fails its
     * compare-and-swap. */
    const uint64_t before = atomic_fetch_add(gen->word, 1) & ~SF_GENERATOR_CLOSED;
    SF_ASSERT(before + 1 < limit);
}

uint64_t sf_generator_limit_ms(const struct sf_generator *gen)
{
    return atomic_load(&gen->limit_word) >> gen->layout.sequence_bits;
}

uint64_t sf_generator_last_ms(const struct sf_generator *gen)
{
    const _Atomic uint64_t *const at = gen->word;
    return at == NULL ? 0 : (atomic_load(at) & ~SF_GENERATOR_CLOSED) >> gen->layout.sequence_bits;
}

uint64_t sf_generator_above(const struct sf_generator *gen, uint64_t id)
{
    const unsigned sequence_bits = gen->layout.sequence_bits;
    const uint64_t mask = (UINT64_C(1) << sequence_bits) - 1;
    const uint64_t millisecond = (id >> gen->timestamp_shift) << sequence_bits;
    const uint64_t slot_bits = atomic_load_explicit(&gen->slot_bits, memory_order_acquire);
    const uint64_t least = sf_generator_id(gen, millisecond, slot_bits); /* its first in there */
    if (least > id)
        return millisecond;
    return least + mask > id ? millisecond + (id - least) + 1 : millisecond + mask + 1;
}

bool sf_run_take(const struct sf_generator *gen, struct sf_mint *mint, uint32_t max,
                 struct sf_run *ret_run)
{
    if (mint->count == 0 || max == 0)
        return false;
    const uint64_t mask = (UINT64_C(1) << gen->layout.sequence_bits) - 1;
    const uint64_t left_in_ms = mask - (mint->first_word & mask) + 1;
    uint32_t count = mint->count < max ? mint->count : max;
    if (count > left_in_ms)
        count = (uint32_t)left_in_ms;
    ret_run->first = sf_generator_id(gen, mint->first_word, mint->slot_bits);
    ret_run->count = count;
    mint->first_word += count;
    mint->count -= count;
    return true;
}
