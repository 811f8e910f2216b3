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
 *               | starting claiming quarantined ready suspended resyncing halted exhausted draining stopped
 *   starting    |    .        x          .        .       .         x        .        .        x       x
 *   claiming    |    .        .          x        x       x         x        x        x        x       x
 *   quarantined |    .        x          .        x       x         x        x        x        x       x
 *   ready       |    .        x          .        .       x         x        x        x        x       x
 *   suspended   |    .        x          .        x       .         x        x        x        x       x
 *   resyncing   |    x        x          .        x       x         .        x        x        x       x
 *   halted      |    .        x          .        x       x         x        .        x        x       x
 *   exhausted   |    .        x          .        x       x         x        x        .        x       x
 *   draining    |    .        .          .        .       .         .        .        .        .       x
 *   stopped     |    .        .          .        .       .         .        .        .        .       .
 *
 * starting: the fleet's config is not known yet. claiming: a slot is looked for. quarantined: none
 * is free, but the reservations of some that nobody holds will end. ready: IDs may be minted.
 * suspended: a slot is held but nothing may be minted (clock bad and release under way, or
 * reservation used up). resyncing: no slot is held because of the clock; waits until that is right,
 * and then goes on where it was. halted: the coordinator has lost data, and what was acknowledged
 * has been spent; waits for a person to make the fleet anew. exhausted: the layout has no timestamp
 * for now any more, so nothing is minted in this fleet again; nothing is held, and only a clock that
 * was wrong leads out of it. draining: leaving. stopped: the machine has ended. */
enum sf_worker_state {
    SF_WORKER_STARTING,
    SF_WORKER_CLAIMING,
    SF_WORKER_QUARANTINED,
    SF_WORKER_READY,
    SF_WORKER_SUSPENDED,
    SF_WORKER_RESYNCING,
    SF_WORKER_HALTED,
    SF_WORKER_EXHAUSTED,
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
#define SF_RES_PATIENT_MS                                                                          \
    4000 /* instead, for who holds nothing and was not answered in time: what is asked anew is one more    \
            question for a coordinator that has too many */
#define SF_RES_RETRY_MIN_MS   50   /* first wait after a failure; doubles */
#define SF_RES_RETRY_MAX_MS   5000
#define SF_RES_CENSUS_MS      60000 /* a holder looks at its datacenter at least this often */
#define SF_RES_WAIT_LIST_MS   1000  /* a waiting claimant looks this often without a hint */
#define SF_RES_TELL_MS        1000 /* a claim's content is changed at most this often, but by a write to the slot */
#define SF_RES_STRAYS_MAX     64 /* left-over claims taken from one list; the next has the others */
#define SF_RES_EARLY_OF 1024
#define SF_RES_LIST_SLOTS                                                                          \
    64 /* a datacenter of so many slots is listed as a whole; in a larger one nobody lists to find    \
          a slot or to hold it: what one member costs must not grow with all of them */
#define SF_RES_PASS_MS 500 /* a seeker that found nothing in any slot looks at the next few so often */
#define SF_RES_COUNTS_IN_WINDOW                                                                    \
    4 /* so often a holder with a long window counts the claims of a large datacenter, along with a      \
         renewal */
#define SF_RES_SAMPLE 16 /* claims that a member of a large datacenter knows of */
#define SF_RES_SAMPLE_MS                                                                           \
    3600000 /* how long it knows these; then it looks for others */
#define SF_RES_LOST_MAX                                                                            \
    4                        /* makings in which a loss was noticed; more makings than that in a
                                    process's life are told apart by their floors */
#define SF_RES_FLEET_MS 1000 /* how often the config is read again while nothing is granted */
#define SF_RES_LIMIT_MARGIN_MS                                                                     \
    1000 /* a floor lies this far above the latest clock and the longest window */
#define SF_RES_PROBE_MS      2000 /* resyncing: how often the coordinator is asked for its time */
#define SF_RES_FAR_FUTURE_MS 86400000 /* a reservation this far ahead is a poisoned slot */

struct sf_reservation_params {
    uint64_t datacenter;
    int64_t pinned_worker; /* -1: any */
    int64_t window_ms, min_window_ms;
    int64_t max_silence_ms; /* 0: off */
    int64_t max_behind_ms;  /* fast restart: how far the clock may be behind the last ID
                               (clock.max_offset_ms) */
    bool probes; /* For tests: seeks as in a large datacenter, however few slots there are */
    bool auto_init;
    bool fleet_known; /* with auto_init: a fleet of this name may have minted: what is made is not a
                         first one */
    bool first_only;  /* with auto_init: nothing but a first one is made: when another may begin this
                         machine alone cannot tell */
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

/* A loss of data that this worker noticed, as the fleet is to be told. */
struct sf_loss_notice {
    bool due; /* it is to be written into the making's state */
    char token
        [SF_COORD_TOKEN_SIZE]; /* the making; "": none was noticed, or there is nothing to tell */
    struct sf_coord_report report;
};

/* What a fast restart knows (worker/statefile.h): who we were, and the last word minted. */
struct sf_reservation_memory {
    bool valid;
    char fleet_id[SF_UUID_SIZE];
    char token[SF_COORD_TOKEN_SIZE]; /* of the making that granted */
    uint64_t datacenter, worker;
    struct sf_coord_slot record; /* as last acknowledged: version, nonce, claim, from_ms,
                                    reserved_until_ms */
    uint64_t last_word;          /* nothing above it was minted */
    int64_t not_before_ms; /* Unix ms: minted timestamps of the old process are surely below this */
    /* Makings in which a loss was noticed, and what is to be told of the last one; also when there is
     * no slot to go on with. */
    char lost[SF_RES_LOST_MAX][SF_COORD_TOKEN_SIZE];
    struct sf_loss_notice notice;
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

/* A slot that is ours or may be: every write to it is remembered until it is settled. All of them
 * are conditional on `record`, so at most one of them can ever be applied. */
struct sf_tenure {
    bool active;
    bool must_read; /* read the record before the next write */
    bool absent;    /* the record is not there: what that means, the config will tell */
    uint64_t worker;
    char token[SF_COORD_TOKEN_SIZE]; /* of the making that it belongs to */
    struct sf_coord_slot record; /* as it was read before our first write, then as acknowledged */
    struct sf_coord_slot sent;   /* the last write */
    uint64_t fence;              /* of the claim that was last written into the record */
    char claim[SF_COORD_CLAIM_MAX];
    int64_t from_ms;     /* as its first write says: the owner's mark, the same in all its writes */
    int64_t floor_ms;    /* this owner started here: a release never writes less */
    int64_t acked_ms;    /* last reserved_until_ms acknowledged; 0: none yet */
    int64_t acked_at_ms; /* minting time of that */
    /* Not settled: not answered, or refused, which is no proof (a hop may have delivered the write
     * twice and handed on the second answer). A look that shows the record as it was is none either,
     * since a hop may answer it with what it read before: only what is acknowledged later settles
     * them. */
    struct {
        char nonce[SF_HEX128_SIZE];
        int64_t reserved_until_ms;
        bool release, refused;
    } outstanding[SF_RES_OUTSTANDING_MAX];
    unsigned outstanding_count;
    bool opened; /* the generator was opened for it: last minted + 1 counts in a release */
};

/* A seeker's way through a large datacenter: every slot once, from a place of its own on, in steps of
 * its own (first + i * step, modulo the number of slots). */
struct sf_seek {
    bool begun;
    uint64_t place; /* of our claim among those that were made about then; 0: by its name */
    uint64_t first, step;
    uint32_t asked, rounds;       /* slots of this pass; requests of it */
    uint32_t held, quarantined;   /* seen in this pass */
    uint32_t passes;              /* that found nothing */
    int64_t earliest_ms; /* when the first reservation seen ends; -1: none was seen */
    uint64_t earliest;            /* of which slot: looked at first then, out of turn */
    bool out_of_turn;             /* what is asked for begins with it */
    int64_t crowd_until_mono_ms;  /* the share of quarantined slots that was met counts until then */
    uint32_t crowd_quarantined;   /* so many of all slots, by that share */
};

enum sf_claim_status { SF_CLAIM_NONE, SF_CLAIM_DOUBTFUL, SF_CLAIM_HAVE };

struct sf_reservation_stats {
    uint64_t renewals_ok, renewals_uncertain, renewals_lost;
    uint64_t claims_failed; /* claims that were not made, or not answered */
    uint64_t bids_won, bids_lost,
        bids_full; /* slots got, slots taken by others first, looks that found none free */
    uint64_t session_losses, releases, slots_lost;
    uint64_t data_losses; /* losses of the coordinator's data that this machine noticed */
};

struct sf_reservation {
    struct sf_reservation_params params;
    struct sf_generator *gen; /* initialised once the layout is known */
    _Atomic uint64_t *word;
    _Atomic uint64_t
        *copy; /* of the word, for the process after this one; NULL: none. To be set before
                               the first step */
    uint64_t max_ahead_ms;
    struct sf_prng prng;

    enum sf_worker_state state;  /* moved by sf_res_move alone (reservation_step.h) */
    int64_t since_ms;            /* when it moved there, for people */
    char why[SF_COORD_TEXT_MAX]; /* for people: what it waits for */

    /* The fleet. */
    bool config_known, config_stale, generator_ready;
    struct sf_coord_config config;
    bool config_gone; /* it was, when last read */
    bool current;     /* the config's making is named: it grants */
    bool halted;      /* it grants nothing any more: somebody noticed that data was lost */
    struct sf_coord_version state_version; /* {0,0}: the making's state is not there */
    char halted_why[SF_COORD_TEXT_MAX];    /* who reported what */
    int64_t fleet_due_mono_ms;             /* while nothing is granted: when to look again */
    /* Makings in which this machine noticed a loss, the newest at lost_next - 1: nothing is claimed,
     * bound or renewed in them any more. */
    char lost[SF_RES_LOST_MAX][SF_COORD_TOKEN_SIZE];
    unsigned lost_next;
    struct sf_loss_notice notice; /* of the last one */
    int64_t least_start_ms; /* whatever slot is got, minting starts no lower; 0: nothing is known */

    /* Our claim. */
    enum sf_claim_status claim_status;
    struct sf_coord_claim claim;
    bool claim_bound;  /* its content names a slot */
    bool unclaim_sent; /* its deletion was asked for */
    struct sf_coord_claim telling; /* what was last written into it, or is being written: state, reason,
                                      since_ms, made_ms, slot, seeks (reservation_tell.h) */
    bool telling_by_bind; /* by a write to the slot's record: what becomes of that one is the other's fate */
    int64_t told_mono_ms;
    unsigned tells_failed; /* in a row: it is told again ever later */
    /* The first half of the guid of every claim that this machine asked for in this session: what
     * bears it and is not `claim` was given up, or made twice, and is deleted. "": none was asked for. */
    char mark[SF_COORD_MARK_SIZE];
    char strays[SF_RES_STRAYS_MAX][SF_COORD_CLAIM_MAX]; /* those that the last list showed */
    unsigned stray_count;

    /* Slots: hold is what we mint from; orphan means it is somebody else's by now and we only spend
     * what was acknowledged. bid is one we are trying to get. */
    struct sf_tenure hold, bid;
    bool orphan;
    bool
        doomed; /* the fleet's config no longer fits: spend what is left, then exit SF_EXIT_CONFIG */
    bool bid_from_memory;
    struct sf_reservation_memory memory;

    struct sf_census census;
    struct sf_seek seek;
    bool claims_doubted; /* in this session: one may exist that is not ours any more */
    int64_t find_due_mono_ms;   /* when to look for such; 0: not at all */
    int64_t sample_due_mono_ms; /* when to look for some claims of others; 0: as soon as one holds */
    bool finding_sample; /* the FIND asked for is for one */
    bool waiting_told; /* since it last held a slot: that none is to be had */
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
    uint32_t renew_early; /* of SF_RES_EARLY_OF: how much sooner than late the next renewal is */
    int64_t retry_at_mono_ms;
    int64_t retry_wait_ms;
    bool patient;     /* the coordinator left the last request unanswered until its deadline */
    bool why_failed;  /* `why` is that a request was not answered: over with the next answer, and nothing that
                         could be told before */
    bool writes_fail; /* the last write met what lasts: a full store, a missing right */

    bool leaving, suspended, minted_once;
    bool exhausted; /* minting time is beyond what the layout can express */
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
    bool forget;   /* nothing is held, or another tenure is about to be written: the state file must
                      say so before the request leaves */
    bool finished; /* stop the process with exit_code */
    int exit_code; /* base/exit_codes.h */
    unsigned log_count;
    struct {
        enum sf_log_level level;
        const char *event;
        char text[SF_COORD_TEXT_MAX * 2];
    } logs[SF_RES_LOGS_MAX];
};

/* Milliseconds of the acknowledged reservation that are left; 0 or less when nothing may be minted,
 * also before the fleet's epoch. */
int64_t sf_reservation_left_ms(const struct sf_reservation *res, int64_t mint_ms);

/* No ID of this machine has or will get a timestamp at or above this, whatever becomes of what was
 * asked for: minted, acknowledged and outstanding. Unix ms; 0: nothing was minted, nothing asked for.
 */
int64_t sf_reservation_may_spend_until_ms(const struct sf_reservation *res);

/* The window to reserve now: window_ms, or min_window_ms while the datacenter has fewer free slots
 * than held ones. */
int64_t sf_reservation_window_ms(const struct sf_reservation *res);

/* How much of that window is used when the reservation is renewed: a tenth, or half where short ones
 * rule, for then everybody renews often; and a little less, each time another, so that those that
 * started together do not stay in step. */
int64_t sf_reservation_renew_after_ms(const struct sf_reservation *res);

#endif
