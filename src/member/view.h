/* member/view.h - what others may see of a member: copies of what its thread knows, made after each
 * of its turns, and what it counts. Plain values; no function.
 *
 * Times ending in _ms without another word are Unix milliseconds of minting time; mono_ms is the
 * monotonic clock. */
#ifndef SF_MEMBER_VIEW_H
#define SF_MEMBER_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "coord/coord.h"
#include "worker/reservation_state.h"

#define SF_MEMBER_SLOTS_MAX      8
#define SF_MEMBER_EVENTS_MAX     32 /* recent events that are kept */
#define SF_MEMBER_EVENT_NAME_MAX 32
#define SF_MEMBER_EVENT_TEXT_MAX 200

/* Totals since the start. */
struct sf_member_counts {
    uint64_t renewals_ok, renewals_uncertain, renewals_lost;
    uint64_t slots_won, slots_taken; /* slots got, and slots that others got first */
    uint64_t looks_full;             /* looks that found no free slot */
    uint64_t claims_failed;          /* claims that were not made, or not answered */
    uint64_t session_losses;
    uint64_t data_losses; /* losses of the coordinator's data that were noticed here */
    uint64_t clock_steps_forward, clock_steps_backward;
};

/* One slot that the member holds or wants. */
struct sf_member_slot {
    enum sf_worker_state state;
    char why[SF_COORD_TEXT_MAX]; /* what it waits for */
    bool held;                   /* the four below mean something */
    bool orphan;                 /* somebody else's by now: only what was acknowledged is spent */
    uint64_t worker, fence;
    uint64_t claim_fence; /* of its claim, also without a slot; 0: it has none */
    int64_t reserved_until_ms;
    int64_t left_ms; /* of the reservation; 0: nothing may be minted */
    int64_t window_ms;
    /* No ID of this slot by this member lies at or above this, whatever was answered or not: minted,
     * acknowledged, asked for. 0: none was minted and nothing is held. */
    int64_t may_spend_until_ms;
};

struct sf_member_snapshot {
    enum sf_worker_state state; /* of the slot that does best: the member mints while one can */
    char why[SF_COORD_TEXT_MAX];
    bool was_ready; /* has been ready once */
    bool config_known;
    struct sf_coord_config config;
    bool halted; /* the fleet grants nothing: somebody noticed that the coordinator lost data */
    unsigned slot_count;
    struct sf_member_slot slots[SF_MEMBER_SLOTS_MAX];
    bool connected;               /* to the coordinator */
    bool connected_once;          /* ever */
    int64_t heard_mono_ms;        /* its last answer; 0: never */
    int64_t disconnected_mono_ms; /* since then; 0: connected, or never was */
    struct sf_census census;
    bool leaving;             /* asked to, or one of the slots' machines cannot go on */
    bool ended;               /* every machine has ended, with: */
    int exit_code;            /* base/exit_codes.h; the last one that is not SF_EXIT_OK */
    int64_t turned_mono_ms;   /* when the member's thread last turned */
    int64_t clock_stalled_ms; /* the clock's thread has been seen to stand still; 0: it turns */
    struct sf_member_counts counts;
};

struct sf_member_event {
    int64_t at_ms; /* Unix ms of the wall clock */
    enum sf_log_level level;
    char event[SF_MEMBER_EVENT_NAME_MAX];
    char text[SF_MEMBER_EVENT_TEXT_MAX];
};

/* Of the other datacenters of a fleet, so many can be looked at: the first ones of its list. */
#define SF_MEMBER_FAR_MAX 64

/* A datacenter as last listed. Never changed once it is seen; counted references. */
struct sf_member_list {
    _Atomic unsigned references; /* sf_member_list_release alone */
    uint64_t serial;             /* a later list has a larger one */
    int64_t read_at_ms;          /* Unix ms of the wall clock */
    uint64_t datacenter;         /* of one that is not the member's own */
    size_t slot_count, claim_count;
    struct sf_coord_slot *slots;
    struct sf_coord_claim *claims;
};

#endif
