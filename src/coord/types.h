/* coord/types.h - the words of the coordinator contract (coord/coord.h): records, requests and
 * events as plain data. Times are Unix milliseconds.
 */
#ifndef SF_COORD_TYPES_H
#define SF_COORD_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <snowfleet/id.h>

#include "base/random.h"

#define SF_COORD_FLEET_MAX       64 /* fleet name: 1 to 63 of [A-Za-z0-9._-], not starting with '.' */
#define SF_COORD_NODE_MAX        128
#define SF_COORD_ADDRESS_MAX     280
#define SF_COORD_CLAIM_MAX       80 /* "claim-<32 hex>-<sequence>" */
#define SF_COORD_TEXT_MAX        256
#define SF_COORD_CLAIM_STATE_MAX 16 /* a worker's state in one word */
#define SF_COORD_DATACENTERS_MAX 1024
#define SF_COORD_WORKER_BITS_MAX                                                                   \
    14 /* init refuses layouts with more slots per datacenter: it makes a record for each */
#define SF_COORD_DATACENTER_BITS_MAX 10
#define SF_COORD_RECORDS_MAX         1048576 /* records that init makes in all: what one coordinator may hold beside other things */
#define SF_COORD_RECORD_SIZE_MAX                                                                   \
    8192 /* bytes of one JSON record; a larger one is garbage. A config that lists 1024            \
            datacenters fits */
#define SF_COORD_REPORTS_MAX     256 /* of one halt; what comes on top of them goes into `others` */
#define SF_COORD_REPORT_NODE_MAX 48
#define SF_COORD_STATE_SIZE_MAX                                                                    \
    147456 /* bytes of a state record. The most reports, each with all that it may hold, fit */
#define SF_COORD_TOKEN_SIZE        SF_HEX128_SIZE
#define SF_COORD_WINDOW_DEFAULT_MS INT64_C(600000)      /* of max_window_ms */
#define SF_COORD_WINDOW_MAX_MS     INT64_C(31536000000) /* of max_window_ms: a year */

/* Identifies one state of one record. Equal tokens mean: nobody wrote in between. `incarnation`
 * tells a record that was deleted and made again (ZooKeeper czxid, etcd create_revision, a random
 * number in local); `version` grows with every write to it. */
struct sf_coord_version {
    uint64_t incarnation;
    uint64_t version;
};

struct sf_coord_config {
    unsigned format; /* 2. What SURVEY finds may be 1: then fleet_id, epoch_ms, layout, datacenters,
                        floor_ms, incarnation and created_ms are filled, and there is no token */
    char token[SF_COORD_TOKEN_SIZE]; /* names this making of the fleet: fresh for each INIT */
    char fleet_id[SF_UUID_SIZE];     /* stays when the fleet is made anew after a loss of data */
    int64_t epoch_ms;
    struct sf_layout layout;
    bool any_datacenter; /* "datacenters": null */
    uint16_t datacenter_count;
    uint16_t datacenters[SF_COORD_DATACENTERS_MAX];
    int64_t floor_ms;      /* no timestamp below this may be minted */
    int64_t max_window_ms; /* workers may not reserve further ahead */
    uint64_t incarnation;  /* counts makings, for people only */
    int64_t created_ms;
    struct sf_coord_version version; /* not in the JSON */
};

enum sf_coord_record_state {
    SF_COORD_RECORD_OK,
    SF_COORD_RECORD_MISSING,
    SF_COORD_RECORD_GARBAGE /* there, but not a record of ours: text says why */
};

struct sf_coord_slot {
    uint64_t worker;
    enum sf_coord_record_state state;
    uint64_t fence;  /* 0: never held */
    int64_t from_ms; /* where the present owner started */
    char claim[SF_COORD_CLAIM_MAX];
    int64_t reserved_until_ms;
    int64_t last_ms;
    char nonce[SF_HEX128_SIZE];
    char node[SF_COORD_NODE_MAX];
    int64_t updated_ms;
    bool reset; /* written by a person (RESET_SLOT), not by an owner */
    /* Not in the JSON: */
    bool canonical; /* encoding this again gives the very bytes that were read, so that they can be
                       compared in a write */
    struct sf_coord_version version; /* of the very read that gave the rest */
};

/* What a worker says that noticed a loss of data: under which claim it holds (or held) which slot,
 * how far it may have minted or may still mint there, and what it minted last. */
struct sf_coord_report {
    uint64_t datacenter, worker;
    char claim[SF_COORD_CLAIM_MAX];
    int64_t held_until_ms, last_ms;
    int64_t reported_ms;
    char node[SF_COORD_REPORT_NODE_MAX];
};

/* Whether a making grants at all (docs/uniqueness.md, rule 8). */
struct sf_coord_state {
    bool halted;
    unsigned report_count;
    struct sf_coord_report reports[SF_COORD_REPORTS_MAX];
    int64_t others_held_until_ms; /* of reports that found no room: holds for every slot. 0: none */
    struct sf_coord_version version; /* not in the JSON */
};

/* What a coordinator still holds of a fleet, of all its makings. For INIT, which has to start above
 * it, and for people. */
struct sf_coord_survey {
    unsigned trees, currents; /* makings whose records are there; nodes that name one */
    uint64_t records, garbage;
    uint64_t ever_held; /* of the records: somebody has held the slot */
    bool config_garbage;
    char why[SF_COORD_TEXT_MAX]; /* of the first garbage */
    /* The highest reservation that any record shows, and where; -1: no record. */
    int64_t reserved_until_ms;
    char token[SF_COORD_TOKEN_SIZE];
    uint64_t datacenter, worker;
    char node[SF_COORD_NODE_MAX];
    int64_t reported_until_ms;    /* the highest held_until_ms of all reports; -1: none */
    struct sf_coord_version root; /* of the fleet's root, which every making moves; {0,0}: none */
    uint64_t live_claims;         /* of the config's making, that hold a slot */
    bool halted;                  /* the config's making */
};

struct sf_coord_claim {
    char name[SF_COORD_CLAIM_MAX];
    char guid[SF_HEX128_SIZE];
    uint64_t fence;
    int64_t slot; /* -1: none */
    char node[SF_COORD_NODE_MAX];
    char address[SF_COORD_ADDRESS_MAX];
    char admin[SF_COORD_ADDRESS_MAX];
    char version[32];
    /* For people who look at the fleet, as its owner last told it; it may be wrong by now. */
    char state[SF_COORD_CLAIM_STATE_MAX]; /* "": not told (an older worker) */
    char reason[SF_COORD_TEXT_MAX];       /* why it is in that state; "": nothing to say */
    int64_t since_ms;                     /* since when it is in that state */
    int64_t made_ms;                      /* when the claim was made; never told: since_ms */
    /* Its owner looks for a slot. Only such claims wait in order: who cannot use a slot now keeps a
     * claim, so that others see it, and is in nobody's way. */
    bool seeks;
};

/* "Confirmed" reads are ordered behind a write of this very session, or linearizable: what they show
 * was so after the request was submitted. Others may be old.
 * "Basis": config at basis.config, the node current-<token> there (looked up by name), state at
 * basis.state, all in the same atomic step as the write. */
enum sf_coord_op {
    SF_COORD_READ_CONFIG, /* the config, whether its making is named, and the making's state.
                             Confirmed. None there: REFUSED, MISSING */
    SF_COORD_INIT, /* make (or, after a loss of data, remake) the fleet under a fresh token: its whole
                        tree first, its name last (coord/init_plan.h). Cut off anywhere it grants
                        nothing. Trees are never deleted */
    SF_COORD_SURVEY, /* what there is of the fleet, of all its makings. Always DONE where it can be
                        read */
    SF_COORD_LIST,   /* all slots of a datacenter, then (in this order) its live claims */
    SF_COORD_PROBE,  /* some slots, by number, and the live claims that stand in those of them whose
                        reservation has passed: what it costs does not grow with the datacenter */
    SF_COORD_FIND,   /* some live claims, and how many there are: not whose they are, nor any slot */
    SF_COORD_READ_SLOT, /* one slot record, confirmed; missing or garbage is DONE with that state */
    SF_COORD_CLAIM,     /* basis; make a claim of our session; its name carries the guid */
    SF_COORD_UNCLAIM,   /* delete a claim by name; DONE also when it is already gone */
    SF_COORD_TELL, /* one step: claim exists, is ours, and was not written since this was begun; its content
                      is set. So one that is done late undoes nothing. The basis is not looked at: it
                      grants nothing. Wakes no more watchers than it must */
    SF_COORD_BIND,    /* basis; one step: claim exists (its content is set to the slot), record at
                         `expected` := record */
    SF_COORD_RENEW,   /* basis; one step: claim exists, record at `expected` := record */
    SF_COORD_RELEASE, /* one step: claim exists, record at `expected` := record, claim deleted. The
                         basis is not looked at */
    SF_COORD_HALT,    /* one step: config at basis.config, state at basis.state := halted, with the
                         report added */
    SF_COORD_RESET_SLOT, /* for people: basis; a record that is garbage, missing or made by hand
                            := u.write.slot (reset) at expected.version; {0,0}: there must be none.
                            A live claim on the slot refuses */
    SF_COORD_WATCH, /* from now on CHANGED notices when claims of a datacenter come, go or bind a
                       slot (with u.fleet_only not; renewals of records are never told), and
                       FLEET_CHANGED when config, names of makings or the state of the basis's token
                       do */
    SF_COORD_OPS
};

/* A write that left us is REFUSED only for a condition that can never become true again (VERSION,
 * CLAIM_GONE, CURRENT_GONE, CONFIG_CHANGED, STATE_CHANGED, MISSING, EXISTS, GARBAGE); anything else
 * that comes back instead of an answer (AUTH, STORAGE, a quota, a moved or ended session) is UNKNOWN:
 * a hop may have delivered it twice and handed on the second answer. */
enum sf_coord_outcome {
    SF_COORD_DONE,    /* done and acknowledged */
    SF_COORD_REFUSED, /* not done as far as its answerer knows: a condition did not hold or the
                         request was not allowed; reason tells which */
    SF_COORD_LOST,    /* surely not done: it never left us; or it was a read that got no answer */
    SF_COORD_UNKNOWN  /* a write that got no answer: it may have been done, may be done later, or
                         never */
};

enum sf_coord_reason {
    SF_COORD_NO_REASON,
    SF_COORD_VERSION,    /* the record has another version than expected */
    SF_COORD_CLAIM_GONE, /* our claim does not exist (any more); another session's is not ours */
    SF_COORD_CONFIG_CHANGED, /* the config has another version than expected */
    SF_COORD_CURRENT_GONE,   /* the making is not (or no longer) the one that grants */
    SF_COORD_STATE_CHANGED,  /* the making's state has another version than expected, or is gone */
    SF_COORD_MISSING,        /* no such config or record (or root) */
    SF_COORD_EXISTS,         /* INIT: the fleet is there already */
    SF_COORD_GARBAGE,        /* what is there is not ours; nothing was touched */
    SF_COORD_AUTH,           /* password, certificate or ACL refused */
    SF_COORD_STORAGE,        /* local: disk full, read-only, I/O error */
    SF_COORD_UNREACHABLE,    /* no connection, name not resolved, timeout */
    SF_COORD_SESSION,        /* the session ended */
    SF_COORD_INVALID, /* the request breaks this contract (a defect of ours) or the coordinator
                         rejected its form */
    SF_COORD_ENDING,  /* the handle is being destroyed */
    SF_COORD_REASONS
};

struct sf_coord_init {
    struct sf_coord_config config; /* version: of the config that it replaces; {0,0}: there must be
                                      none. A garbage config has a version too */
    bool after_data_loss;         /* take the name from the making that is there before reading what
                             survives, and start above that */
    struct sf_coord_version root; /* as surveyed, before anything else was looked at; {0,0}: none.
                                     "No config" can come true again, this cannot */
    int64_t survivor_max_ms; /* a surviving reservation or report above this refuses: one liar must
                                not fix the floor. INT64_MAX: none does */
    bool
        floor_stands; /* whoever named the floor knows of what lies above survivor_max_ms, and passes
                          over it */
    uint8_t seed[16]; /* random: for the nonces of the records */
};

/* PROBE. */
#define SF_COORD_PROBE_MAX 16
struct sf_coord_probe {
    unsigned count; /* 1 to SF_COORD_PROBE_MAX */
    uint64_t workers[SF_COORD_PROBE_MAX];
    int64_t now_ms; /* at which a reservation has passed or not */
};

/* FIND: those whose guid begins with `mark`, from the one at or behind mark and `start` on; behind the
 * last comes the first. */
#define SF_COORD_FIND_MAX  64
#define SF_COORD_MARK_SIZE 17 /* 16 hexadecimal digits and the NUL */
struct sf_coord_find {
    char mark[SF_COORD_MARK_SIZE]; /* hexadecimal digits in lower case, none to 16 */
    char start[SF_HEX128_SIZE];    /* likewise; from where on a sample is taken. "": the first */
    unsigned most;                 /* 1 to SF_COORD_FIND_MAX */
};

/* What a claim is to hold, as in struct sf_coord_claim. */
struct sf_coord_claim_request {
    char guid[SF_HEX128_SIZE]; /* CLAIM: fresh for every attempt */
    char node[SF_COORD_NODE_MAX];
    char address[SF_COORD_ADDRESS_MAX];
    char admin[SF_COORD_ADDRESS_MAX];
    char version[32];
    char state[SF_COORD_CLAIM_STATE_MAX];
    char reason[SF_COORD_TEXT_MAX];
    int64_t since_ms, made_ms;
    bool seeks;
};

/* BIND, RENEW, RELEASE. `slot` is the record to write (worker, fence, claim, reserved_until_ms,
 * from_ms, last_ms, nonce, node, updated_ms). RESET_SLOT: slot and expected only. TELL: the claim and
 * the fence of slot, body, and claim_slot. */
struct sf_coord_write {
    struct sf_coord_slot slot;
    struct sf_coord_slot
        expected; /* the record as read or last acknowledged. Its version is compared,
                                      and where the coordinator can, its content (canonical).
                                      Incarnation 0 is refused as INVALID */
    struct sf_coord_claim_request body; /* BIND, TELL: the claim's content */
    int64_t claim_slot;                 /* TELL: the slot that the claim names; -1: none */
};

/* The making that a request is for, and what its sender read of the fleet. */
struct sf_coord_basis {
    char token[SF_COORD_TOKEN_SIZE]; /* whose tree: all ops but READ_CONFIG, INIT and SURVEY */
    struct sf_coord_version config, state;
};

struct sf_coord_request {
    uint64_t id; /* the caller's; echoed */
    enum sf_coord_op op;
    uint32_t deadline_ms; /* from now; at least 1 */
    uint64_t datacenter;
    struct sf_coord_basis basis;
    bool count_claims; /* CLAIM, BIND, RENEW: claim_total is wanted */
    union {
        struct sf_coord_init init;
        uint64_t worker; /* READ_SLOT */
        struct sf_coord_probe probe;
        struct sf_coord_find find;
        bool fleet_only; /* WATCH */
        struct sf_coord_claim_request claim;
        char claim_name[SF_COORD_CLAIM_MAX]; /* UNCLAIM */
        struct sf_coord_write write;
        struct sf_coord_report report; /* HALT */
    } u;
};

struct sf_coord_completion {
    uint64_t id;
    enum sf_coord_op op;
    enum sf_coord_outcome outcome;
    enum sf_coord_reason reason;
    bool
        replaced; /* MISSING: another place has its name now, which this process may not look into */
    char text[SF_COORD_TEXT_MAX]; /* for people; empty when DONE, but for the first garbage that
                                     LIST or READ_SLOT met */
    int64_t duration_ns;
    /* The coordinator's own wall clock while it did the request, if it told: true time there was
     * within [server_ms - server_error_ms, server_ms + server_error_ms] at some moment between
     * submit and completion. -1: not told. */
    int64_t server_ms;
    uint32_t server_error_ms;
    /* Results, filled when DONE, by op: */
    struct sf_coord_config *config; /* READ_CONFIG, INIT, SURVEY (when there is one); owned by the
                                       event */
    bool current;                   /* READ_CONFIG: current-<token> of that config is there */
    struct sf_coord_state *state;   /* READ_CONFIG: NULL when it is not there. Owned */
    struct sf_coord_survey *survey; /* SURVEY. Owned */
    struct sf_coord_slot *slots;    /* LIST: one for every worker number of the layout, in order;
                                       PROBE: as asked for; READ_SLOT: one. Owned */
    size_t slot_count;
    struct sf_coord_claim
        *claims; /* LIST, FIND: live claims, by fence; PROBE: by name, their content may be missing;
                    CLAIM: the one as it was made. Owned */
    size_t claim_count;
    /* FIND, and CLAIM, BIND and RENEW where it is wanted: live claims of the datacenter at about that
     * time; 0: not told. */
    uint64_t claim_total;
    uint64_t place; /* CLAIM: numbers of claims made one after the other follow each other, about; 0:
                       that in the name does */
    /* BIND, RENEW, RELEASE, RESET_SLOT: of the record as we wrote it. HALT: of the state. READ_CONFIG,
     * also when REFUSED, MISSING: of the fleet's root; {0,0}: nothing of this fleet was ever here. */
    struct sf_coord_version version;
};

enum sf_coord_event_kind {
    SF_COORD_COMPLETION,
    SF_COORD_CONNECTED,    /* requests can be answered again */
    SF_COORD_DISCONNECTED, /* text says why; requests will complete as LOST until CONNECTED */
    SF_COORD_SESSION_LOST, /* every claim made so far is gone, or will be; new ones can be made
                              after the next CONNECTED */
    SF_COORD_CHANGED,      /* a hint, possibly spurious, coalesced: list again */
    SF_COORD_FLEET_CHANGED /* likewise: read the config again */
};

struct sf_coord_event {
    void *link; /* for the receiver's use: the first word, so that a queue needs no memory of its
                   own */
    enum sf_coord_event_kind kind;
    char text[SF_COORD_TEXT_MAX];
    struct sf_coord_completion completion;
};

typedef void sf_coord_sink(void *ctx, struct sf_coord_event *event);

#endif
