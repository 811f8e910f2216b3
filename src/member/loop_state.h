/* member/loop_state.h - what the member's thread works on: which thread may touch what. Only for the
 * files of the member; no function. */
#ifndef SF_MEMBER_LOOP_STATE_H
#define SF_MEMBER_LOOP_STATE_H

#include <stdatomic.h>

#include "base/inbox.h"
#include "clock/clock.h"
#include "coord/coord.h"
#include "member/hold.h"
#include "member/options.h"
#include "member/shared.h"
#include "member/stall.h"
#include "member/time.h"

#define SF_LOOK_INDEX 255 /* in ids of requests, where those of a machine have its index */
_Static_assert(SF_LOOK_INDEX >= SF_MEMBER_SLOTS_MAX, "no machine has it");

/* Datacenters other than the member's own (member/far.h), by their place in the fleet's list. */
struct sf_look_far {
    _Atomic int64_t wanted_mono_ms; /* any thread: when somebody last looked */
    bool busy;                      /* one is being listed: the one at `at`, by the request `id` */
    unsigned at;
    uint64_t id;
    int64_t looked_mono_ms[SF_MEMBER_FAR_MAX]; /* 0: not yet */
    bool empty[SF_MEMBER_FAR_MAX];             /* nobody ever was there */
    char token[SF_COORD_TOKEN_SIZE];           /* the making of the fleet that all that is of */
};

struct sf_loop {
    /* Set before the thread runs, constant then. */
    struct sf_log *log;
    struct sf_member_host host;
    struct sf_inbox *inbox; /* the coordinator's events */
    struct sf_clock *clock;
    struct sf_coord *coord;
    int64_t stall_ms, leave_ms;
    unsigned hold_count;

    /* The loop's own, but for holds[].right->gen (any thread). */
    struct sf_hold holds[SF_MEMBER_SLOTS_MAX];
    bool leaving, ending_told;
    bool connected_once, was_ready;
    bool coord_time_known; /* the coordinator's clock: the latest it can be */
    int64_t coord_high_ms, coord_error_ms, coord_mono_ms;
    uint64_t session_losses;
    struct sf_stall clock_stall;
    int64_t clock_stalled_ms; /* 0: less than stall_ms */
    struct sf_log_limiter disconnected_limiter;
    bool look_busy; /* a list that somebody wants to see is under way (member/look.h) */
    uint64_t look_count;
    int64_t looked_mono_ms; /* the last list; 0: none */
    struct sf_look_far far;

    /* Any thread. */
    _Atomic bool clock_changed, stop;
    _Atomic bool look_wanted;
    _Atomic int64_t leave_mono_ms; /* asked to have left by then; 0: not asked */
    struct sf_member_time time;
    struct sf_shared shared;
};

#endif
