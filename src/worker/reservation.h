/* worker/reservation.h - how one worker gets, keeps and gives back one slot: the rule of
 * docs/uniqueness.md as a pure state machine.
 *
 * Events go in (start, coordinator events, clock verdicts, timers, leave), at most one coordinator
 * request comes out per step; at most one request of a machine is outstanding at any time, so one
 * write per slot, ever. The machine moves the generator itself (open, raise, lower, close), because
 * the order between that and the writes is what the rule is about. It does no I/O, reads no clock
 * and draws no randomness: struct sf_reservation_now brings all of it.
 *
 * Level-triggered: an event only changes what is known; sf_reservation_step then decides what to
 * ask for next. A lost event can delay the machine, never confuse it.
 *
 * Times ending in _ms without another word are Unix milliseconds of minting time; mono_ms is the
 * monotonic clock. One thread (the member's). The generator's word may be used by minters at the same
 * time. */
#ifndef SF_WORKER_RESERVATION_H
#define SF_WORKER_RESERVATION_H

#include <stdint.h>

#include "worker/reservation_state.h"

/* gen and word must outlive the machine; gen is initialised (over word) once the fleet's layout is
 * known, and only then may be used by minters (sf_reservation.generator_ready). memory may be NULL.
 * random: seeds the machine's jitter. */
void sf_reservation_init(struct sf_reservation *res, const struct sf_reservation_params *params,
                         struct sf_generator *gen, _Atomic uint64_t *word, uint64_t max_ahead_ms,
                         const struct sf_reservation_memory *memory, const uint8_t random[16]);

/* Takes one event and says what to do now. */
void sf_reservation_step(struct sf_reservation *res, const struct sf_reservation_event *event,
                         const struct sf_reservation_now *now, struct sf_reservation_output *ret);

#endif
