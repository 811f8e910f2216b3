/* worker/reservation_tenure.h - writes to slot records, what their answers mean, and the limit of
 * the generator that follows from them. Only for the files of the reservation machine; the member's
 * thread. */
#ifndef SF_WORKER_RESERVATION_TENURE_H
#define SF_WORKER_RESERVATION_TENURE_H

#include "worker/reservation_step.h"

/* The least value that the record may hold, whatever is still under way. Unix ms. */
int64_t sf_tenure_granted_ms(const struct sf_tenure *tenure);

/* Asks for the write (BIND, RENEW, RELEASE) and remembers it. A RELEASE writes what was used,
 * whatever reserved_until_ms says. There is room for one more, and a claim is at hand. */
void sf_tenure_write(struct sf_res_step *s, enum sf_coord_op op, struct sf_tenure *tenure,
                     int64_t reserved_until_ms);

/* Outcome of the last write; returns true when it was applied, and then whether it was a release. */
bool sf_tenure_write_answered(struct sf_res_step *s, struct sf_tenure *tenure,
                              const struct sf_coord_completion *c, bool *ret_released);

enum sf_tenure_view {
    SF_VIEW_UNCHANGED, /* the record is as we know it: write again */
    SF_VIEW_APPLIED,   /* one of our outstanding writes was applied */
    SF_VIEW_RELEASED,  /* and it was a release */
    SF_VIEW_FOREIGN,   /* somebody else has written, rightly above us */
    SF_VIEW_LOST,      /* what was acknowledged to us has been forgotten */
    SF_VIEW_ABSENT,    /* there is no record: the config tells what that means */
    SF_VIEW_GONE       /* garbage, or deleted and made again: by hand, this slot only */
};
/* What a confirmed read of the record says about our writes. Content decides, not counters: what was
 * made anew or put back counts from the start again. */
enum sf_tenure_view sf_tenure_look(struct sf_res_step *s, struct sf_tenure *tenure,
                                   const struct sf_coord_slot *slot);

/* Is there room to remember one more write? A refused one makes room where there is none. */
bool sf_tenure_has_room(struct sf_tenure *tenure);

/* Is a write under way that nobody has answered? Those that were refused count no more once the record
 * was read: as far as that read can be believed they were not done. */
bool sf_tenure_in_doubt(const struct sf_tenure *tenure);

/* Was a release sent, be it refused, that no write was acknowledged after? Nothing may be minted then
 * before one is. */
bool sf_tenure_release_sent(const struct sf_tenure *tenure);

/* What to write next (Unix ms), or -1 where the clock forbids it. */
int64_t sf_tenure_target_ms(const struct sf_res_step *s, const struct sf_tenure *tenure);

/* Keeps the generator's limit at the least value that the record of `hold` may hold. */
void sf_res_apply_limit(struct sf_res_step *s);
/* Opens the generator for the slot of `hold`, from start_ms (Unix ms) on; what does not fit the
 * layout is fatal. */
void sf_res_open(struct sf_res_step *s, int64_t start_ms);
/* Unix ms of the last ID; 0 while there is no generator. */
int64_t sf_res_last_ms(const struct sf_reservation *res);

#endif
