/* clock/minttime.h - minting time: the monotonic clock plus an offset that is slewed towards the
 * wall clock.
 *
 * A step of the system clock never moves it back: it advances with CLOCK_MONOTONIC at a rate within
 * SF_MINTTIME_SLEW_PPM of one, so it never stands still or runs backward. Where it should be (the
 * target offset) is decided by clock/policy; here is only the arithmetic. Pure values: `at` may be
 * called by any thread on its own copy; changes make a new value (published by a cell). Unix
 * nanoseconds (the wall clock's scale) and CLOCK_MONOTONIC nanoseconds. */
#ifndef SF_CLOCK_MINTTIME_H
#define SF_CLOCK_MINTTIME_H

#include <stdatomic.h>
#include <stdint.h>

#define SF_MINTTIME_SLEW_PPM 500

struct sf_minttime {
    int64_t anchor_mono_ns;
    int64_t anchor_mint_ns; /* minting time at the anchor */
    int64_t pending_ns;     /* correction still to be worked in from the anchor on, at
                               SF_MINTTIME_SLEW_PPM; signed */
};

/* Starts at the given time, nothing pending. */
void sf_minttime_start(struct sf_minttime *mint, int64_t mono_ns, int64_t mint_ns);

/* Minting time at a reading of the monotonic clock at or after the anchor (an earlier one counts as
 * the anchor). */
int64_t sf_minttime_at(const struct sf_minttime *mint, int64_t mono_ns);

/* Correction not worked in yet at that moment; 0 when it is done. */
int64_t sf_minttime_pending(const struct sf_minttime *mint, int64_t mono_ns);

/* From now on slew so that minting time ends up correction_ns away from where it would be without.
 * Replaces what was pending. */
void sf_minttime_slew(struct sf_minttime *mint, int64_t mono_ns, int64_t correction_ns);

/* Jumps forward at once (a forward step that a source has confirmed). step_ns at least 0; negative
 * is asserted against. */
void sf_minttime_step_forward(struct sf_minttime *mint, int64_t mono_ns, int64_t step_ns);

/* One writer, many readers, no locks (a sequence lock with atomic fields: clean under TSan).
 * Readers get a consistent value. */
struct sf_minttime_cell {
    _Atomic uint64_t sequence;
    _Atomic int64_t anchor_mono_ns, anchor_mint_ns, pending_ns;
};
void sf_minttime_publish(struct sf_minttime_cell *cell, const struct sf_minttime *mint);
struct sf_minttime sf_minttime_read(const struct sf_minttime_cell *cell);

#endif
