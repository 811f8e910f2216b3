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
#define SF_COORD_DATACENTERS_MAX 1024
#define SF_COORD_WORKER_BITS_MAX                                                                   \
    14 /* init refuses layouts with more slots per datacenter: it makes a record for each */
#define SF_COORD_DATACENTER_BITS_MAX 10
#define SF_COORD_RECORDS_MAX         16384 /* records that init makes in all */
#define SF_COORD_RECORD_SIZE_MAX                                                                   \
    8192 /* bytes of one JSON record; a larger one is garbage. A config that lists 1024            \
            datacenters fits */

/* Identifies one state of one record. Equal tokens mean: nobody wrote in between. `incarnation`
 * tells a record that was deleted and made again (ZooKeeper czxid, etcd create_revision, a random
 * number in local); `version` grows with every write to it. */
struct sf_coord_version {
    uint64_t incarnation;
    uint64_t version;
};

struct sf_coord_config {
    char fleet_id[SF_UUID_SIZE];
    int64_t epoch_ms;
    struct sf_layout layout;
    bool any_datacenter; /* "datacenters": null */
    uint16_t datacenter_count;
    uint16_t datacenters[SF_COORD_DATACENTERS_MAX];
    int64_t floor_ms; /* no timestamp below this may be minted (after a loss of data) */
    uint64_t incarnation;
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
    uint64_t fence; /* 0: never held */
    char claim[SF_COORD_CLAIM_MAX];
    int64_t reserved_until_ms;
    int64_t last_ms;
    char nonce[SF_HEX128_SIZE];
    char node[SF_COORD_NODE_MAX];
    int64_t updated_ms;
    struct sf_coord_version version; /* of the very read that gave the rest */
};

struct sf_coord_claim {
    char name[SF_COORD_CLAIM_MAX];
    char guid[SF_HEX128_SIZE];
    uint64_t fence;
    int64_t slot; /* -1: waiting */
    char node[SF_COORD_NODE_MAX];
    char address[SF_COORD_ADDRESS_MAX];
    char admin[SF_COORD_ADDRESS_MAX];
    char version[32];
    int64_t since_ms;
};

enum sf_coord_op {
    SF_COORD_READ_CONFIG,
    SF_COORD_INIT, /* make (or, after a loss of data, remake) the fleet's records. A new config is
                      written last: half made is no fleet. One that is replaced is written first:
                      its floor holds back what the records do not yet. What is half made is gone on
                      with by the next INIT */
    SF_COORD_LIST, /* all slots of a datacenter, then (in this order) its live claims */
    SF_COORD_READ_SLOT, /* one slot record, as fresh as the backend can; missing or garbage is DONE
                           with that state */
    SF_COORD_CLAIM,     /* make a claim of our session; its name carries the guid */
    SF_COORD_UNCLAIM,   /* delete a claim by name; DONE also when it is already gone */
    SF_COORD_BIND,    /* one step: config unchanged, claim exists (its content is set to the slot),
                         record at `expected` := record */
    SF_COORD_RENEW,   /* one step: config unchanged, claim exists, record at `expected` := record */
    SF_COORD_RELEASE, /* one step: claim exists, record at `expected` := record, claim deleted. The
                         config is not looked at */
    SF_COORD_WATCH, /* from now on, CHANGED notices when claims or records of a datacenter change */
    SF_COORD_OPS
};

enum sf_coord_outcome {
    SF_COORD_DONE,    /* done and acknowledged */
    SF_COORD_REFUSED, /* surely not done: a condition did not hold or the request was not allowed;
                         reason tells which */
    SF_COORD_LOST,    /* surely not done: it never left us; or it was a read that got no answer */
    SF_COORD_UNKNOWN  /* a write that got no answer: it may have been done, may be done later, or
                         never */
};

enum sf_coord_reason {
    SF_COORD_NO_REASON,
    SF_COORD_VERSION,        /* the record has another version than expected */
    SF_COORD_CLAIM_GONE,     /* our claim does not exist (any more) */
    SF_COORD_CONFIG_CHANGED, /* the config has another version than expected */
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
    struct sf_coord_config config; /* version ignored */
    bool after_data_loss; /* replace a config that is there; raise every record to at least floor_ms
                           */
};

struct sf_coord_claim_request {
    char guid[SF_HEX128_SIZE]; /* fresh for every attempt */
    char node[SF_COORD_NODE_MAX];
    char address[SF_COORD_ADDRESS_MAX];
    char admin[SF_COORD_ADDRESS_MAX];
    char version[32];
};

/* BIND, RENEW, RELEASE. `slot` is the record to write (worker, fence, claim, reserved_until_ms,
 * last_ms, nonce, node, updated_ms). */
struct sf_coord_write {
    struct sf_coord_slot slot;
    struct sf_coord_version expected;   /* incarnation 0 is refused as INVALID */
    struct sf_coord_version config;     /* ignored by RELEASE */
    struct sf_coord_claim_request body; /* BIND: the claim's content (guid ignored) */
    int64_t since_ms;                   /* BIND: the claim's since_ms */
};

struct sf_coord_request {
    uint64_t id; /* the caller's; echoed */
    enum sf_coord_op op;
    uint32_t deadline_ms; /* from now; at least 1 */
    uint64_t datacenter;
    union {
        struct sf_coord_init init;
        uint64_t worker; /* READ_SLOT */
        struct sf_coord_claim_request claim;
        char claim_name[SF_COORD_CLAIM_MAX]; /* UNCLAIM */
        struct sf_coord_write write;
    } u;
};

struct sf_coord_completion {
    uint64_t id;
    enum sf_coord_op op;
    enum sf_coord_outcome outcome;
    enum sf_coord_reason reason;
    char text[SF_COORD_TEXT_MAX]; /* for people; empty when DONE, but for the first garbage that
                                     LIST or READ_SLOT met */
    int64_t duration_ns;
    /* The coordinator's own wall clock while it did the request, if it told: true time there was
     * within [server_ms - server_error_ms, server_ms + server_error_ms] at some moment between
     * submit and completion. -1: not told. */
    int64_t server_ms;
    uint32_t server_error_ms;
    /* Results, filled when DONE, by op: */
    struct sf_coord_config *config; /* READ_CONFIG, INIT; owned by the event */
    struct sf_coord_slot *slots;    /* LIST: one for every worker number of the layout, in order;
                                       READ_SLOT: one. Owned */
    size_t slot_count;
    struct sf_coord_claim
        *claims; /* LIST: live claims, by fence; CLAIM: one (name, guid, fence, since_ms). Owned */
    size_t claim_count;
    struct sf_coord_version version; /* BIND, RENEW, RELEASE: of the record as we wrote it */
};

enum sf_coord_event_kind {
    SF_COORD_COMPLETION,
    SF_COORD_CONNECTED,    /* requests can be answered again */
    SF_COORD_DISCONNECTED, /* text says why; requests will complete as LOST until CONNECTED */
    SF_COORD_SESSION_LOST, /* every claim made so far is gone, or will be; new ones can be made
                              after the next CONNECTED */
    SF_COORD_CHANGED       /* a hint, possibly spurious, coalesced: list again */
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
