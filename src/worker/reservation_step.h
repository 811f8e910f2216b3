/* worker/reservation_internal.h - what the files of the reservation machine share. Not for others.
 */
#ifndef SF_WORKER_RESERVATION_INTERNAL_H
#define SF_WORKER_RESERVATION_INTERNAL_H

#include "worker/reservation.h"

/* One step's arguments together. */
struct sf_res_step {
    struct sf_reservation *res;
    const struct sf_reservation_now *now;
    struct sf_reservation_output *out;
};

/* reservation.c */
void sf_res_log(struct sf_res_step *s, enum sf_log_level level, const char *event,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
void sf_res_why(struct sf_reservation *res, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Waits longer after every failure in a row; reset by sf_res_progress. */
void sf_res_backoff(struct sf_res_step *s);
void sf_res_progress(struct sf_res_step *s);
struct sf_coord_request *sf_res_request(struct sf_res_step *s, enum sf_coord_op op);
/* The release was applied: slot and claim are gone. */
void sf_res_released(struct sf_res_step *s);
void sf_res_fatal(struct sf_res_step *s, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* reservation_tenure.c: writes to slot records and what their answers mean */
int64_t sf_tenure_granted_ms(const struct sf_tenure *tenure);
void sf_tenure_write(struct sf_res_step *s, enum sf_coord_op op, struct sf_tenure *tenure,
                     int64_t reserved_until_ms);
/* Outcome of a write; returns true when it was applied. */
bool sf_tenure_write_answered(struct sf_res_step *s, struct sf_tenure *tenure,
                              const struct sf_coord_completion *c, bool *ret_released);
enum sf_tenure_view {
    SF_VIEW_UNCHANGED, /* the record is as we know it: write again */
    SF_VIEW_APPLIED,   /* one of our outstanding writes was applied */
    SF_VIEW_RELEASED,  /* and it was a release */
    SF_VIEW_OLDER,     /* a state older than one acknowledged to us: stale, or lost */
    SF_VIEW_FOREIGN,   /* somebody else has written */
    SF_VIEW_GONE       /* missing, garbage, or deleted and made again: positive loss */
};
enum sf_tenure_view sf_tenure_look(struct sf_res_step *s, struct sf_tenure *tenure,
                                   const struct sf_coord_slot *slot);
/* What to write next, or -1 where the clock forbids it. */
int64_t sf_tenure_target_ms(const struct sf_res_step *s, const struct sf_tenure *tenure);

/* Keeps the generator's limit at the least value that the record may hold. */
void sf_res_apply_limit(struct sf_res_step *s);
void sf_res_open(struct sf_res_step *s, int64_t start_ms);
void sf_res_close(struct sf_res_step *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int64_t sf_res_last_ms(const struct sf_reservation *res);

/* reservation_decide.c: what to ask for next */
void sf_res_decide(struct sf_res_step *s);
/* The hold is somebody else's: spend what was acknowledged and look for another slot. */
void sf_res_orphan(struct sf_res_step *s, const char *because);
/* The hold is gone for sure: stop at once. */
void sf_res_drop(struct sf_res_step *s, const char *because);
void sf_res_bid_won(struct sf_res_step *s);
void sf_res_bid_dropped(struct sf_res_step *s, const char *because);

/* reservation_events.c: what answers change */
void sf_res_completed(struct sf_res_step *s, const struct sf_coord_completion *c);
/* Our claim may be there or not: it is deleted when it turns up, and a new one is made. */
void sf_res_give_claim_up(struct sf_reservation *res);

#endif
