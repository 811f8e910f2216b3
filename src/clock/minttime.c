/* clock/minttime.c - minting time: a line that is bent, and how others read it. */
#include "clock/minttime.h"

#include "base/assert.h"

#define SLEW_DIVISOR (1000000 / SF_MINTTIME_SLEW_PPM)

/* One of the two is never negative, so there is only one end to stop at. */
static int64_t add_saturating(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Monotonic time since the anchor, never negative. */
static int64_t elapsed_ns(const struct sf_minttime *mint, int64_t mono_ns)
{
    int64_t elapsed;
    if (mono_ns <= mint->anchor_mono_ns)
        return 0;
    if (__builtin_sub_overflow(mono_ns, mint->anchor_mono_ns, &elapsed))
        return INT64_MAX;
    return elapsed;
}

/* How much of the pending correction has been worked in: at most elapsed * SF_MINTTIME_SLEW_PPM,
 * with the sign of pending. */
static int64_t worked_in_ns(const struct sf_minttime *mint, int64_t elapsed)
{
    const int64_t room = elapsed / SLEW_DIVISOR;
    if (mint->pending_ns >= 0)
        return mint->pending_ns < room ? mint->pending_ns : room;
    return mint->pending_ns > -room ? mint->pending_ns : -room;
}

void sf_minttime_start(struct sf_minttime *mint, int64_t mono_ns, int64_t mint_ns)
{
    mint->anchor_mono_ns = mono_ns;
    mint->anchor_mint_ns = mint_ns;
    mint->pending_ns = 0;
}

int64_t sf_minttime_at(const struct sf_minttime *mint, int64_t mono_ns)
{
    const int64_t elapsed = elapsed_ns(mint, mono_ns);
    /* The advance is between 0 and 1.0005 * elapsed: added first, so that only one sum can reach
     * the end of the type. */
    return add_saturating(mint->anchor_mint_ns,
                          add_saturating(elapsed, worked_in_ns(mint, elapsed)));
}

int64_t sf_minttime_pending(const struct sf_minttime *mint, int64_t mono_ns)
{
    return mint->pending_ns - worked_in_ns(mint, elapsed_ns(mint, mono_ns));
}

/* Moves the anchor to this moment without changing what minting time is, now or later. */
static void reanchor(struct sf_minttime *mint, int64_t mono_ns)
{
    if (mono_ns <= mint->anchor_mono_ns)
        return;
    const int64_t now = sf_minttime_at(mint, mono_ns);
    mint->pending_ns = sf_minttime_pending(mint, mono_ns);
    mint->anchor_mono_ns = mono_ns;
    mint->anchor_mint_ns = now;
}

void sf_minttime_slew(struct sf_minttime *mint, int64_t mono_ns, int64_t correction_ns)
{
    reanchor(mint, mono_ns);
    mint->pending_ns = correction_ns;
}

void sf_minttime_step_forward(struct sf_minttime *mint, int64_t mono_ns, int64_t step_ns)
{
    SF_ASSERT(step_ns >= 0);
    reanchor(mint, mono_ns);
    mint->anchor_mint_ns = add_saturating(mint->anchor_mint_ns, step_ns);
}

/* Sequence lock without fences (TSan does not know them): a reader that sees any field of a change
 * (acquire) also sees the odd number that was stored before it (release), and then finds the
 * sequence changed. */
void sf_minttime_publish(struct sf_minttime_cell *cell, const struct sf_minttime *mint)
{
    const uint64_t sequence = atomic_load_explicit(&cell->sequence, memory_order_relaxed);
    atomic_store_explicit(&cell->sequence, sequence + 1, memory_order_relaxed);
    atomic_store_explicit(&cell->anchor_mono_ns, mint->anchor_mono_ns, memory_order_release);
    atomic_store_explicit(&cell->anchor_mint_ns, mint->anchor_mint_ns, memory_order_release);
    atomic_store_explicit(&cell->pending_ns, mint->pending_ns, memory_order_release);
    atomic_store_explicit(&cell->sequence, sequence + 2, memory_order_release);
}

struct sf_minttime sf_minttime_read(const struct sf_minttime_cell *cell)
{
    for (;;) {
        struct sf_minttime mint;
        const uint64_t before = atomic_load_explicit(&cell->sequence, memory_order_acquire);
        mint.anchor_mono_ns = atomic_load_explicit(&cell->anchor_mono_ns, memory_order_acquire);
        mint.anchor_mint_ns = atomic_load_explicit(&cell->anchor_mint_ns, memory_order_acquire);
        mint.pending_ns = atomic_load_explicit(&cell->pending_ns, memory_order_acquire);
        const uint64_t after = atomic_load_explicit(&cell->sequence, memory_order_relaxed);
        if (before == after && before % 2 == 0)
            return mint;
    }
}
