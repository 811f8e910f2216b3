/* IDs: from the thread's slot, or from another one when that has none. */
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "base/ticks.h"
#include "minter/internal.h"

/* The way of one ID is one function. */
#define HOT inline __attribute__((always_inline))

/* What is asked of a generator: words from `floor` on, IDs greater than `after` (0: any). */
struct want {
    uint64_t floor, after;
    uint32_t count;
};

/* What came: of this generator. */
struct got {
    const struct sf_generator *gen;
    struct sf_mint mint;
};

/* Only for a millisecond that this thread has not minted in. */
static inline uint64_t jitter_of(const struct sf_minter *minter, struct sf_seat *seat,
                                 const struct sf_generator *gen, uint64_t now_ms)
{
    const uint64_t last = atomic_load_explicit(&seat->last_word, memory_order_relaxed);
    if (last >> gen->layout.sequence_bits >= now_ms)
        return 0;
    const uint64_t size = UINT64_C(1) << gen->layout.sequence_bits;
    const uint64_t jitter = minter->sequence_jitter < size ? minter->sequence_jitter : size;
    if (jitter <= 1)
        return 0;
    struct sf_prng prng = {atomic_load_explicit(&seat->random, memory_order_relaxed)};
    const uint64_t value = sf_prng_below(&prng, jitter);
    atomic_store_explicit(&seat->random, prng.state, memory_order_relaxed);
    return value;
}

/* The generator may get another slot between the look at it and the mint: then what came may be too
 * small, and is thrown away. */
static HOT enum sf_mint_result mint_above(struct sf_generator *gen, uint64_t now_ms,
                                          uint64_t jitter, const struct want *want,
                                          struct sf_mint *ret)
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

static HOT enum sf_mint_result mint_from(struct sf_minter *minter, struct sf_seat *seat,
                                         unsigned index, const struct want *want, struct got *ret)
{
    struct sf_generator *gen = minter->generators[index];
    const uint64_t now_ms = sf_member_time_ms(minter->time, sf_mono_ns());
    /* No fleet yet: it is not set up. No word: a child. */
    if (now_ms == 0 || gen->word == NULL)
        return SF_MINT_CLOSED;
    ret->gen = gen;
    return mint_above(gen, now_ms, jitter_of(minter, seat, gen, now_ms), want, &ret->mint);
}

/* Another generator, above the last ID's millisecond, since slots do not ascend with time. The thread
 * stays with it if it is open. */
static enum sf_mint_result mint_at(struct sf_minter *minter, struct sf_seat *seat, unsigned index,
                                   const struct want *want, struct got *ret)
{
    const struct sf_generator *gen = minter->generators[index];
    const uint64_t last = atomic_load_explicit(&seat->last_word, memory_order_relaxed);
    const uint64_t floor = atomic_load_explicit(&seat->floor_word, memory_order_relaxed);
    if (sf_member_time_ms(minter->time, sf_mono_ns()) == 0 || gen->word == NULL)
        return SF_MINT_CLOSED;
    const unsigned bits = gen->layout.sequence_bits;
    uint64_t above = last == 0 ? 0 : ((last >> bits) + 1) << bits;
    if (above < floor)
        above = floor;
    struct want there = *want;
    if (there.floor < above)
        there.floor = above;
    const enum sf_mint_result result = mint_from(minter, seat, index, &there, ret);
    if (result != SF_MINT_OK && result != SF_MINT_WAIT)
        return result;
    atomic_store_explicit(&seat->generator, (uint8_t)index, memory_order_relaxed);
    atomic_store_explicit(&seat->floor_word, above, memory_order_relaxed);
    return result;
}

static enum sf_mint_result mint_elsewhere(struct sf_minter *minter, struct sf_seat *seat,
                                          const struct want *want, enum sf_mint_result first,
                                          struct got *ret)
{
    const unsigned here = atomic_load_explicit(&seat->generator, memory_order_relaxed);
    enum sf_mint_result best = first;
    for (unsigned step = 1; step < minter->generator_count; step++) {
        const enum sf_mint_result result =
            mint_at(minter, seat, (here + step) % minter->generator_count, want, ret);
        if (result == SF_MINT_OK || result == SF_MINT_WAIT)
            return result;
        if (result == SF_MINT_EXHAUSTED)
            best = result;
    }
    return best;
}

/* Up to `count` IDs, without waiting. */
static HOT enum sf_mint_result mint(struct sf_minter *minter, struct sf_seat *seat, uint64_t after,
                                    uint32_t count, struct got *ret)
{
    const struct want want = {.floor =
                                  atomic_load_explicit(&seat->floor_word, memory_order_relaxed),
                              .after = after,
                              .count = count};
    unsigned index = atomic_load_explicit(&seat->generator, memory_order_relaxed);
    if (__builtin_expect(index >= minter->generator_count, 0)) { /* a seat's number, at first */
        index %= minter->generator_count;
        atomic_store_explicit(&seat->generator, (uint8_t)index, memory_order_relaxed);
    }
    enum sf_mint_result result = mint_from(minter, seat, index, &want, ret);
    if (__builtin_expect(result == SF_MINT_CLOSED || result == SF_MINT_EXHAUSTED, 0))
        result = mint_elsewhere(minter, seat, &want, result, ret);
    if (result == SF_MINT_OK)
        atomic_store_explicit(&seat->last_word, ret->mint.first_word + ret->mint.count - 1,
                              memory_order_relaxed);
    return result;
}

/* Until the next millisecond of minting time. */
static void rest(const struct sf_minter *minter, int64_t mono_ns)
{
    const struct sf_minttime time = sf_minttime_read(minter->time->cell);
    const int64_t ns = SF_NS_PER_MS - sf_minttime_at(&time, mono_ns) % SF_NS_PER_MS;
    const struct timespec wait = {.tv_nsec = ns > 0 && ns <= SF_NS_PER_MS ? ns : SF_NS_PER_MS};
    const int cancel = sf_minter_no_cancel();
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
    sf_minter_cancel_as(cancel);
}

/* `after` can be passed within max_wait_ms? */
static bool is_in_reach(const struct sf_minter *minter, uint64_t after)
{
    const uint64_t now_ms = sf_member_time_ms(minter->time, sf_mono_ns());
    const struct sf_generator *gen = minter->generators[0];
    return now_ms == 0 || gen->word == NULL ||
           after >> gen->timestamp_shift <= now_ms + gen->max_ahead_ms + minter->max_wait_ms;
}

/* At least one of `count` IDs; waits for a later millisecond until *deadline_ns (0: not waited yet). */
static enum sf_minter_error obtain(struct sf_minter *minter, struct sf_seat *seat, uint64_t after,
                                   uint32_t count, int64_t *deadline_ns, struct got *ret)
{
    for (;;) {
        const enum sf_mint_result result = mint(minter, seat, after, count, ret);
        if (__builtin_expect(result == SF_MINT_OK, 1))
            return SF_MINTER_OK;
        /* Too far ahead, it is past the reservation too. */
        if (after != 0 && result != SF_MINT_CLOSED && !is_in_reach(minter, after))
            return SF_MINTER_CAUSALITY;
        if (result != SF_MINT_WAIT)
            return sf_minter_refusal(minter, result == SF_MINT_EXHAUSTED);
        const int64_t now_ns = sf_mono_ns();
        if (*deadline_ns == 0)
            *deadline_ns = now_ns + minter->max_wait_ms * SF_NS_PER_MS;
        if (now_ns >= *deadline_ns)
            return SF_MINTER_OVERLOADED;
        sf_seat_count(&seat->waits, 1);
        rest(minter, now_ns);
        if (sf_minter_serial(minter) == 0)
            return sf_minter_gone(minter); /* a child, by a signal handler */
        if (atomic_load(&minter->seats.closed))
            return SF_MINTER_DRAINING;
    }
}

static inline void count(struct sf_seat *seat, uint32_t n, enum sf_minter_error error)
{
    const bool ok = error == SF_MINTER_OK;
    sf_seat_count(ok ? &seat->ids : &seat->refusals, ok ? n : 1);
}

/* What was minted may leave? Not in a child that was forked meanwhile. The last thing that a call does: a
 * handler that forks after it forks a program that has its ID. */
static inline enum sf_minter_error let_go(const struct sf_minter *minter, uint64_t serial,
                                          enum sf_minter_error error)
{
    atomic_signal_fence(memory_order_seq_cst);
    const bool same = sf_minter_serial(minter) == serial || atomic_load(&minter->life->ours);
    return __builtin_expect(same, 1) ? error : SF_MINTER_NOT_READY;
}

static HOT enum sf_minter_error next_one(struct sf_minter *minter, uint64_t after, uint64_t *ret_id)
{
    const uint64_t serial = sf_minter_serial(minter);
    if (__builtin_expect(serial == 0, 0))
        return sf_minter_gone(minter);
    struct sf_seat *seat = sf_seat_take(&minter->seats, serial);
    if (__builtin_expect(seat == NULL, 0))
        return SF_MINTER_DRAINING;
    struct got got;
    int64_t deadline_ns = 0;
    enum sf_minter_error error = SF_MINTER_OK;
    if (__builtin_expect(mint(minter, seat, after, 1, &got) != SF_MINT_OK, 0))
        error = obtain(minter, seat, after, 1, &deadline_ns, &got);
    uint64_t id = 0;
    if (__builtin_expect(error == SF_MINTER_OK, 1))
        id = sf_generator_id(got.gen, got.mint.first_word, got.mint.slot_bits);
    count(seat, 1, error);
    sf_seat_leave(&minter->seats, seat);
    error = let_go(minter, serial, error);
    if (__builtin_expect(error == SF_MINTER_OK, 1))
        *ret_id = id;
    return error;
}

enum sf_minter_error sf_minter_next(struct sf_minter *minter, uint64_t *ret_id)
{
    return next_one(minter, 0, ret_id);
}

enum sf_minter_error sf_minter_next_after(struct sf_minter *minter, uint64_t after,
                                          uint64_t *ret_id)
{
    return next_one(minter, after, ret_id);
}

static enum sf_minter_error fill(struct sf_minter *minter, struct sf_seat *seat, uint32_t count,
                                 uint64_t *ret_ids)
{
    uint32_t have = 0;
    int64_t deadline_ns = 0;
    while (have < count) {
        struct got got;
        struct sf_run run;
        const enum sf_minter_error error =
            obtain(minter, seat, 0, count - have, &deadline_ns, &got);
        if (error != SF_MINTER_OK)
            return error;
        while (sf_run_take(got.gen, &got.mint, count - have, &run))
            for (uint32_t i = 0; i < run.count; i++)
                ret_ids[have++] = run.first + i;
    }
    return SF_MINTER_OK;
}

enum sf_minter_error sf_minter_next_n(struct sf_minter *minter, uint32_t n, uint64_t *ret_ids)
{
    const uint64_t serial = sf_minter_serial(minter);
    if (n < 1 || n > SF_MINTER_COUNT_MAX)
        return SF_MINTER_INVALID;
    if (serial == 0)
        return sf_minter_gone(minter);
    struct sf_seat *seat = sf_seat_take(&minter->seats, serial);
    if (seat == NULL)
        return SF_MINTER_DRAINING;
    enum sf_minter_error error = fill(minter, seat, n, ret_ids);
    count(seat, n, error);
    sf_seat_leave(&minter->seats, seat);
    error = let_go(minter, serial, error);
    if (error != SF_MINTER_OK)
        memset(ret_ids, 0, n * sizeof *ret_ids);
    return error;
}
