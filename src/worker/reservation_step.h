/* worker/reservation_step.h - one step of a reservation machine: its arguments together, and what
 * every part of the machine does to the outcome of a step. Only for the files of the machine; the
 * member's thread. */
#ifndef SF_WORKER_RESERVATION_STEP_H
#define SF_WORKER_RESERVATION_STEP_H

#include "worker/reservation_state.h"

struct sf_res_step {
    struct sf_reservation *res;
    const struct sf_reservation_now *now;
    struct sf_reservation_output *out;
    /* A list that was read in this step showed that no slot is free: what one who looks for a slot
     * waits for, SF_WORKER_QUARANTINED or SF_WORKER_CLAIMING. SF_WORKER_STATES: none was read. */
    enum sf_worker_state waits;
};

/* Adds a line to the step's output; the ninth and later ones of a step are dropped. */
void sf_res_log(struct sf_res_step *s, enum sf_log_level level, const char *event,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* What the machine waits for, for people. An argument may be the present text. */
void sf_res_why(struct sf_reservation *res, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Would IDs be minted from a slot that is held? Not while leaving, nor with a bad clock or no
 * timestamps. */
bool sf_res_may_open(const struct sf_reservation *res);
/* How many slots the datacenter has. The config must be known. */
uint64_t sf_res_slots(const struct sf_reservation *res);
/* Is the datacenter too large to be listed? False while the config is not known. */
bool sf_res_probes(const struct sf_reservation *res);
/* Seeks a slot, has what that takes, and is not bound to try one already. */
bool sf_res_may_bid(const struct sf_reservation *res);
/* The one place where the machine's state changes: asserts that the table of reservation_state.h
 * allows it (so `to` is another state) and logs it with the reason; "" where the state says it. */
void sf_res_move(struct sf_res_step *s, enum sf_worker_state to, const char *because);
/* A moment for people who look: minting time, but where that is known to be wrong the trusted one. */
int64_t sf_res_people_ms(const struct sf_reservation_now *now);
/* Ends the machine: closes the generator and logs why. exit_code: base/exit_codes.h. */
void sf_res_fatal(struct sf_res_step *s, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An answer that says nothing about the slot: logged, told, waited for. */
void sf_res_failed(struct sf_res_step *s, const struct sf_coord_completion *c);
/* Waits longer after every failure in a row; reset by sf_res_progress. */
void sf_res_backoff(struct sf_res_step *s);
void sf_res_progress(struct sf_res_step *s);
/* The same, of a write: whatever kept writes from being done is over. */
void sf_res_wrote(struct sf_res_step *s);
/* Looks at the datacenter again, this long from now. */
void sf_res_look_in(struct sf_res_step *s, int64_t wait_ms);
/* The step's one request, with id, datacenter, deadline and what was read of the fleet; the caller
 * fills in the rest. */
struct sf_coord_request *sf_res_request(struct sf_res_step *s, enum sf_coord_op op);
/* No ID after this one; says why. Nothing where the generator is closed already. */
void sf_res_close(struct sf_res_step *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
