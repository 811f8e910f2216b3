/* id/generator.h - mints IDs for one slot: one atomic 64-bit word that only grows.
 *
 * The word is timestamp << sequence_bits | sequence of the last ID minted, with a closed bit on top
 * (bit 63). Minting n IDs is one compare-and-swap to max(word + 1, now << sequence_bits) + n - 1; a
 * sequence that overflows carries into the timestamp by itself. An ID is minted only if its
 * timestamp is below the limit (the acknowledged reservation) and at most max_ahead_ms ahead of the
 * caller's time. Once the closed bit is set nothing can be in flight: whoever loaded the word
 * earlier fails its compare-and-swap, and the word left behind is the exact high-water mark.
 *
 * Why a generator may be opened for another slot in place: slot and limit are stored while the word
 * is closed, and opening stores a word that never stood there before (it only grows). A minter
 * loads the word first and the slot and limit after; its compare-and-swap succeeds only if the word
 * has not moved since, so they belong together.
 *
 * Times are milliseconds since the fleet's epoch. Pure: time and randomness are arguments. mint and
 * the reads: any thread. open, close, raise, lower: the control thread only (one thread at a time).
 * The word is in memory that nobody but this process can write. Where a process that comes after this one
 * is to go on, there is a copy elsewhere (a mapped file, worker/statefile.h): it is raised before an ID
 * leaves, and never read, so that whoever writes over it cannot make an ID come twice. */
#ifndef SF_ID_GENERATOR_H
#define SF_ID_GENERATOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <snowfleet/id.h>

#define SF_GENERATOR_CLOSED (UINT64_C(1) << 63)

struct sf_generator {
    /* Read by minters, written by control. */
    _Atomic uint64_t *word;
    _Atomic uint64_t *copy;      /* never below an ID that has left; NULL: none */
    _Atomic uint64_t limit_word; /* exclusive: limit_ms << sequence_bits */
    _Atomic uint64_t slot_bits;  /* datacenter and worker at their place in the ID */
    uint64_t max_ahead_ms;
    uint64_t end_ms; /* first millisecond that the layout cannot express */
    struct sf_layout layout;
    uint8_t timestamp_shift; /* datacenter_bits + worker_bits + sequence_bits */
};

enum sf_mint_result {
    SF_MINT_OK,   /* ret is filled; count is at least 1 and at most what was asked for */
    SF_MINT_WAIT, /* every ID up to now + max_ahead_ms is used: try again in a later millisecond */
    SF_MINT_EXHAUSTED, /* the reservation has been used up */
    SF_MINT_CLOSED     /* the generator is closed */
};

/* Consecutive words first_word .. first_word + count - 1 of one slot. They may cross milliseconds:
 * sf_run_take splits them. */
struct sf_mint {
    uint64_t first_word;
    uint64_t slot_bits;
    uint32_t count;
};

/* IDs first, first+1, ... first+count-1, all of one millisecond. */
struct sf_run {
    uint64_t first;
    uint32_t count;
};

/* Sets up a closed generator over *word, which the caller owns. The word's value is kept (where the
 * process before ended), its closed bit is set. No copy is kept. Layout must be valid. */
void sf_generator_init(struct sf_generator *gen, const struct sf_layout *layout,
                       uint64_t max_ahead_ms, _Atomic uint64_t *word);

/* Before it is opened for the first time: *copy, which the caller owns, is kept at or above every ID that
 * leaves; NULL: none. It begins anew with each opening, and is only raised from there on. */
void sf_generator_keep_copy(struct sf_generator *gen, _Atomic uint64_t *copy);

/* Opens a closed generator for a slot. The first ID lies at or above both start_ms and everything
 * minted before through this word; IDs stay below limit_ms (exclusive). Returns 0, -ERANGE if
 * datacenter, worker or start_ms do not fit the layout, -EALREADY if it is open. A limit beyond the
 * layout's last timestamp counts as that. */
int sf_generator_open(struct sf_generator *gen, uint64_t datacenter, uint64_t worker,
                      uint64_t start_ms, uint64_t limit_ms);

/* Sets the closed bit; idempotent. Afterwards no mint succeeds and sf_generator_last_ms is
 * final. */
void sf_generator_close(struct sf_generator *gen);
bool sf_generator_is_closed(const struct sf_generator *gen);

/* Moves the limit. raise: at or above the present one. lower: below it; one sequence number is
 * skipped so that a minter that read the old limit must read again. When lower returns, every later
 * success obeys the new limit; IDs minted before may lie above it if the caller chose one below the
 * last minted timestamp, so choose one above (asserted). */
void sf_generator_raise(struct sf_generator *gen, uint64_t limit_ms);
void sf_generator_lower(struct sf_generator *gen, uint64_t limit_ms);
uint64_t sf_generator_limit_ms(const struct sf_generator *gen);

/* Timestamp of the last ID minted (or of the place just below the start, when none was). */
uint64_t sf_generator_last_ms(const struct sf_generator *gen);

/* The smallest word whose ID, in the slot that this generator has now, is greater than `id` as a number. To be
 * passed as at_least; whoever may meet another slot by the time of the mint looks at what came. Slots count
 * between timestamp and sequence: from a lower slot it is the next millisecond. */
uint64_t sf_generator_above(const struct sf_generator *gen, uint64_t id);

/* Puts a word into an ID. */
static inline uint64_t sf_generator_id(const struct sf_generator *gen, uint64_t word,
                                       uint64_t slot_bits)
{
    const unsigned sequence_bits = gen->layout.sequence_bits;
    const uint64_t mask = (UINT64_C(1) << sequence_bits) - 1;
    /* Two shifts: with a 63-bit timestamp shift 0 and no slot, and never a shift by 64. */
    return ((word >> sequence_bits) << gen->timestamp_shift) | slot_bits | (word & mask);
}

/* What a minter does that lost the word to another: waits a few microseconds, so that the winner
 * keeps the cache line for a number of mints. Passing the line between cores for every mint takes
 * about twice as long as the mints themselves. Any thread. */
void sf_generator_step_back(void);

/* The copy is raised by whole spans of so many milliseconds, so that nearly every mint only has to look at
 * it; a process that goes on from it begins that much later at most. */
#define SF_GENERATOR_COPY_SPAN_MS 8

/* Raises the copy above `last`; never lowers it, whoever of two minters comes first. For
 * sf_generator_mint. */
void sf_generator_raise_copy(struct sf_generator *gen, uint64_t last);

/* What a minter wants: up to `want` IDs (at least 1). */
struct sf_mint_ask {
    uint64_t now_ms;   /* the caller's minting time */
    uint64_t at_least; /* smallest word wanted (0: none) */
    uint64_t jitter;   /* added to the sequence of a millisecond that has not been used yet; below
                          1 << sequence_bits (0: none) */
    uint32_t want;
};

/* A mint between its two steps: the word as it was seen, and the IDs that are next to it. */
struct sf_mint_try {
    uint64_t word;
    struct sf_mint mint;
};

/* The first step of a mint: loads word, limit and slot, in this order, and decides what is to be
 * taken. Anything but OK is the mint's result, and ret is left alone. Nothing is taken yet, and any
 * time may pass before the second step. */
static inline enum sf_mint_result
sf_mint_look(const struct sf_generator *gen, const struct sf_mint_ask *ask, struct sf_mint_try *ret)
{
    const unsigned sequence_bits = gen->layout.sequence_bits;
    /* At the end of the timestamps: a time beyond it would lose bits in the shift, and come back
     * small. */
    const uint64_t now_ms = ask->now_ms < gen->end_ms ? ask->now_ms : gen->end_ms;
    const uint64_t until_ms =
        gen->end_ms - now_ms > gen->max_ahead_ms ? now_ms + gen->max_ahead_ms + 1 : gen->end_ms;
    const uint64_t fresh = (now_ms << sequence_bits) + ask->jitter;
    const uint64_t horizon = until_ms << sequence_bits;
    _Atomic uint64_t *const at = gen->word;
    if (at == NULL)
        return SF_MINT_CLOSED; /* a forked child finds all of it empty, also in the middle of a mint */
    const uint64_t word = atomic_load_explicit(at, memory_order_acquire);
    if (word & SF_GENERATOR_CLOSED)
        return SF_MINT_CLOSED;
    const uint64_t limit = atomic_load_explicit(&gen->limit_word, memory_order_acquire);
    const uint64_t slot_bits = atomic_load_explicit(&gen->slot_bits, memory_order_acquire);
    uint64_t first = word + 1 > fresh ? word + 1 : fresh;
    if (first < ask->at_least)
        first = ask->at_least;
    if (first >= limit)
        return SF_MINT_EXHAUSTED;
    if (first >= horizon)
        return SF_MINT_WAIT;
    const uint64_t room = (limit < horizon ? limit : horizon) - first;
    ret->word = word;
    ret->mint.first_word = first;
    ret->mint.slot_bits = slot_bits;
    ret->mint.count = room < ask->want ? (uint32_t)room : ask->want;
    return SF_MINT_OK;
}

/* The second step: takes what was decided, if the word is still the one that was seen, and sees to the
 * copy before any ID can leave. On false
 * nothing is taken, and the first step is due again. */
static inline bool sf_mint_swap(struct sf_generator *gen, const struct sf_mint_try *attempt)
{
    _Atomic uint64_t *const at = gen->word, *const copy = gen->copy;
    if (at == NULL)
        return false; /* a forked child's, as above */
    uint64_t word = attempt->word;
    const uint64_t last = attempt->mint.first_word + attempt->mint.count - 1;
    const bool taken = atomic_compare_exchange_weak_explicit(at, &word, last, memory_order_acq_rel,
                                                             memory_order_acquire);
    if (taken && copy != NULL && atomic_load_explicit(copy, memory_order_relaxed) < last)
        sf_generator_raise_copy(gen, last);
    return taken;
}

/* Mints: both steps, again and again while other minters are faster. Parameters as in struct
 * sf_mint_ask. */
static inline enum sf_mint_result sf_generator_mint(struct sf_generator *gen, uint64_t now_ms,
                                                    uint64_t at_least, uint64_t jitter,
                                                    uint32_t want, struct sf_mint *ret)
{
    const struct sf_mint_ask ask = {
        .now_ms = now_ms, .at_least = at_least, .jitter = jitter, .want = want};
    for (;;) {
        struct sf_mint_try attempt;
        const enum sf_mint_result result = sf_mint_look(gen, &ask, &attempt);
        if (result != SF_MINT_OK)
            return result;
        if (sf_mint_swap(gen, &attempt)) {
            *ret = attempt.mint;
            return SF_MINT_OK;
        }
        sf_generator_step_back();
    }
}

/* Takes the next run (up to max IDs, never across a millisecond) off the front of a mint; false
 * when it is empty. */
bool sf_run_take(const struct sf_generator *gen, struct sf_mint *mint, uint32_t max,
                 struct sf_run *ret_run);

#endif
