/* worker/reservation_state.h - what a reservation machine knows: its types, the states that people
 * see, and what can be told from it without changing it. The machine itself: worker/reservation.h.
 *
 * Times ending in _ms without another word are Unix milliseconds of minting time; mono_ms is the
 * monotonic clock. One thread (the member's); the generator's word may be used by minters at the
 * same time.
 */
#ifndef SF_WORKER_RESERVATION_STATE_H
#define SF_WORKER_RESERVATION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/random.h"
#include "coord/coord.h"
#include "id/generator.h"
#include "worker/reservation_choose.h"

/* What the worker is doing, for people and metrics. From the state at the left to that above
 * (x: the machine may move there, sf_worker_state_may_move; anything else is a mistake of ours):
 *
 *               | starting claiming quarantined ready suspended resyncing draining stopped
 *   starting    |    .        x          .        .       .         x         x       x
 *   claiming    |    .        .          x        x       x         x         x       x
 *   quarantined |    .        x          .        x       x         x         x       x
 *   ready       |    .        x          .        .       x         x         x       x
 *   suspended   |    .        x          .        x       .         x         x       x
 *   resyncing   |    x        x          .        x       x         .         x       x
 *   draining    |    .        .          .        .       .         .         .       x
 *   stopped     |    .        .          .        .       .         .         .       .
 *
 * starting: the fleet's config is not known yet. claiming: a slot is looked for. quarantined: none
 * is free, but the reservations of some that nobody holds will end. ready: IDs may be minted.
 * suspended: a slot is held but nothing may be minted (clock bad and release under way, or
 * reservation used up). resyncing: no slot is held because of the clock; waits until that is right,
 * and then goes on where it was. draining: leaving. stopped: the machine has ended. */
enum sf_worker_state {
    SF_WORKER_STARTING,
    SF_WORKER_CLAIMING,
    SF_WORKER_QUARANTINED,
    SF_WORKER_READY,
    SF_WORKER_SUSPENDED,
    SF_WORKER_RESYNCING,
    SF_WORKER_DRAINING,
    SF_WORKER_STOPPED,
    SF_WORKER_STATES
};

/* "starting", "claiming", ...; "unknown" for what is no state. */
const char *sf_worker_state_name(enum sf_worker_state state);

/* The table above. */
bool sf_worker_state_may_move(enum sf_worker_state from, enum sf_worker_state to);

/* Limits and periods that are not options, with their reasons. */
#define SF_RES_OUTSTANDING_MAX                                                                     \
    16 /* writes of unknown outcome remembered; past it the slot is given up */
#define SF_RES_MARGIN_MS                                                                           \
    1000 /* a reservation may pass trusted time + window by this (clock error) */
#define SF_RES_OP_DEADLINE_MS 2000 /* longest wait for one coordinator answer */
#define SF_RES_RETRY_MIN_MS   50   /* first wait after a failure; doubles */
#define SF_RES_RETRY_MAX_MS   5000
#define SF_RES_CENSUS_MS      60000 /* a holder looks at its datacenter at least this often */
#define SF_RES_WAIT_LIST_MS   1000  /* a waiting claimant looks this often without a hint */
#define SF_RES_STRAYS_MAX     8 /* given-up claims remembered; older ones end with the session */
#define SF_RES_REGRESS_MAX                                                                         \
    3 /* reads older than what was acknowledged before we call it lost state */
#define SF_RES_PROBE_MS      2000 /* resyncing: how often the coordinator is asked for its time */
#define SF_RES_FAR_FUTURE_MS 86400000 /* a reservation this far ahead is a poisoned slot */

struct sf_reservation_params {
    uint64_t datacenter;
    int64_t pinned_worker; /* -1: any */
    int64_t window_ms, min_window_ms;
    int64_t max_silence_ms; /* 0: off */
    int64_t max_behind_ms;  /* fast restart: how far the clock may be behind the last ID
                               (clock.max_offset_ms) */
    bool auto_init;
    struct sf_coord_config init_config; /* with auto_init: what to make (fleet_id fresh) */
    /* Expectations, for a worker that was told what its fleet looks like; empty or zero: take what
     * the coordinator says. */
    char expect_fleet_id[SF_UUID_SIZE];
    bool expect_layout, expect_epoch;
    struct sf_layout layout;
    int64_t epoch_ms;
    char node[SF_COORD_NODE_MAX];
    char address[SF_COORD_ADDRESS_MAX];
    char admin[SF_COORD_ADDRESS_MAX];
    char version[32];
};

/* What a fast restart knows (worker/statefile.h): who we were, and the last word minted. */
struct sf_reservation_memory {
    bool valid;
    char fleet_id[SF_UUID_SIZE];
    uint64_t datacenter, worker;
    struct sf_coord_version version;
    uint64_t last_word;    /* nothing above it was minted */
    int64_t not_before_ms; /* Unix ms: minted timestamps of the old process are surely below this */
};

struct sf_reservation_now {
    int64_t mono_ms;
    int64_t mint_ms;
    int64_t trusted_ms; /* latest that true time can be, by trusted sources or the coordinator; -1:
                           nobody has said yet */
    bool clock_ok;
    const char *clock_text; /* why not; NULL: no words for it */
    bool wants_server_time; /* no source but the coordinator can tell that the clock is right again
                             */
    uint8_t random[16];     /* fresh for every step */
};

enum sf_reservation_event_kind {
    SF_RES_TICK,  /* time has passed, or now->clock_ok changed */
    SF_RES_COORD, /* coord is set */
    SF_RES_LEAVE, /* release and stop; deadline_mono_ms is set */
};

struct sf_reservation_event {
    enum sf_reservation_event_kind kind;
    const struct sf_coord_event *coord; /* stays the caller's */
    int64_t deadline_mono_ms;
};

/* A slot that is ours or may be: every write to it that has not been answered is remembered. All of
 * them are conditional on `version`, so at most one of them can ever be applied. */
struct sf_tenure {
    bool active;
    bool must_read; /* read the record before the next write */
    uint64_t worker;
    struct sf_coord_version version;
    uint64_t fence; /* of the claim that was last written into the record */
    char claim[SF_COORD_CLAIM_MAX];
    int64_t floor_ms;    /* this owner started here: a release never writes less */
    int64_t acked_ms;    /* last reserved_until_ms acknowledged; 0: none yet */
    int64_t acked_at_ms; /* minting time of that */
    struct {
        char nonce[SF_HEX128_SIZE];
        int64_t reserved_until_ms;
        bool release;
    } outstanding[SF_RES_OUTSTANDING_MAX];
    unsigned outstanding_count;
    unsigned regressions;
    bool opened; /* the generator was opened for it: last minted + 1 counts in a release */
};

enum sf_claim_status { SF_CLAIM_NONE, SF_CLAIM_DOUBTFUL, SF_CLAIM_HAVE };

struct sf_reservation_stats {
    uint64_t renewals_ok, renewals_uncertain, renewals_lost;
    uint64_t claims_failed; /* claims that were not made, or not answered */
    uint64_t bids_won, bids_lost,
        bids_full; /* slots got, slots taken by others first, looks that found none free */
    uint64_t session_losses, releases, slots_lost;
};

struct sf_reservation {
    struct sf_reservation_params params;
    struct sf_generator *gen; /* initialised once the layout is known */
    _Atomic uint64_t *word;
    uint64_t max_ahead_ms;
    struct sf_prng prng;

    enum sf_worker_state state;  /* moved by sf_res_move alone (reservation_step.h) */
    char why[SF_COORD_TEXT_MAX]; /* for people: what it waits for */

    /* The fleet. */
    bool config_known, config_stale, generator_ready;
    struct sf_coord_config config;

    /* Our claim. */
    enum sf_claim_status claim_status;
    struct sf_coord_claim claim;
    bool claim_bound;  /* its content names a slot */
    bool unclaim_sent; /* its deletion was asked for */
    /* Claims that may be there or not and were given up: deleted when they turn up. */
    char strays[SF_RES_STRAYS_MAX][SF_HEX128_SIZE];
    unsigned stray_next;
    char stray_name[SF_COORD_CLAIM_MAX]; /* one that turned up; "" when none */

    /* Slots: hold is what we mint from; orphan means it is somebody else's by now and we only spend
     * what was acknowledged. bid is one we are trying to get. */
    struct sf_tenure hold, bid;
    bool orphan;
    bool doomed; /* the fleet's config no longer fits: spend what is left, then exit SF_EXIT_CONFIG */
    bool bid_from_memory;
    struct sf_reservation_memory memory;

    struct sf_census census;
    bool census_due_set;
    int64_t census_due_mono_ms;
    int64_t waiting_since_mono_ms;

    /* The one request outstanding. */
    uint64_t next_id, busy_id;
    enum sf_coord_op busy_op;
    bool busy, busy_on_bid, busy_on_stray;
    int64_t busy_submit_mint_ms;

    bool connected, watching;
    int64_t heard_mono_ms, heard_mint_ms; /* last answer of the coordinator; 0 mono: none */
    int64_t disconnected_mono_ms;
    int64_t retry_at_mono_ms;
    int64_t retry_wait_ms;

    bool leaving, suspended, minted_once;
    int64_t leave_deadline_mono_ms;
    int64_t probe_mono_ms; /* resyncing: when to ask the coordinator for its time again */

    struct sf_reservation_stats stats;
};

#define SF_RES_LOGS_MAX 8

struct sf_reservation_output {
    bool has_request;
    struct sf_coord_request request;
    int64_t wake_mono_ms; /* step again no later than this */
    bool save;     /* the slot, version or claim of `hold` changed: write the state file before
                      answering anybody */
    bool forget;   /* nothing is held: the state file must say so */
    bool finished; /* stop the process with exit_code */
    int exit_code; /* base/exit_codes.h */
    unsigned log_count;
    struct {
        enum sf_log_level level;
        const char *event;
        char text[SF_COORD_TEXT_MAX * 2];
    } logs[SF_RES_LOGS_MAX];
};

/* Milliseconds of the acknowledged reservation that are left; 0 or less when nothing may be minted.
 */
int64_t sf_reservation_left_ms(const struct sf_reservation *res, int64_t mint_ms);

/* The window to reserve now: window_ms, or min_window_ms while the datacenter has fewer free slots
 * than held ones. */
int64_t sf_reservation_window_ms(const struct sf_reservation *res);

#endif
