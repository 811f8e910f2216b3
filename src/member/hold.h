/* member/hold.h - one slot's machine and what belongs to it: the page with the generator, the state
 * file, what was last written there. The member's thread only, but for right->gen (any thread). */
#ifndef SF_MEMBER_HOLD_H
#define SF_MEMBER_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "clock/minttime.h"
#include "member/right.h"
#include "worker/reservation.h"
#include "worker/statefile.h"

#define SF_HOLD_INDEX_SHIFT    56 /* the machines of a member share one handle; ids of a machine grow by one */
#define SF_HOLD_REPEATS        4 /* events that are told again for as long as their cause lasts */
#define SF_HOLD_STATE_DIR_MAX  512
#define SF_HOLD_STATE_NAME_MAX 240

/* What all holds of a member begin with. */
struct sf_hold_plan {
    struct sf_reservation_params params;
    uint32_t max_ahead_ms;
    char state_dir[SF_HOLD_STATE_DIR_MAX]; /* "": no state file */
    char state_name[SF_HOLD_STATE_NAME_MAX];
};

struct sf_hold {
    struct sf_reservation res;
    struct sf_right *right;
    struct sf_statefile file; /* block NULL: no fast restart */
    int64_t wake_mono_ms;
    bool finished;
    int exit_code;                /* base/exit_codes.h */
    bool file_held;               /* the file says that a slot is held */
    struct sf_minttime file_mint; /* minting time as the file knows it */
    struct sf_log_limiter repeats[SF_HOLD_REPEATS];
};

/* Maps the page. Returns 0 or a negative errno code. */
int sf_hold_map(struct sf_hold *hold, struct sf_error *err);
/* Opens the state file and sets up the machine: the index-th of the member, which is how a
 * completion finds back (sf_hold_of). What cannot be used is logged. */
void sf_hold_init(struct sf_hold *hold, const struct sf_hold_plan *plan, unsigned index,
                  struct sf_log *log);
/* The index of the hold whose machine made the request with this id. */
unsigned sf_hold_of(uint64_t request_id);
/* Brings the file up to date with the machine (slot, record, lost makings) and minting time. */
void sf_hold_save(struct sf_hold *hold, const struct sf_minttime *mint);
/* Does the file name a slot under another minting time than this? */
bool sf_hold_is_stale(const struct sf_hold *hold, const struct sf_minttime *mint);
/* Unix ms of the last ID; 0: none by this process. */
int64_t sf_hold_minted_ms(const struct sf_hold *hold);
/* Closes the file, unmaps the page. */
void sf_hold_destroy(struct sf_hold *hold);

#endif
