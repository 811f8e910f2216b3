/* coord/coord.h - the coordinator as a worker sees it: who holds which slot, how far, and under
 * which version.
 *
 * Everything is a message. The control thread submits requests; the backend answers each request
 * with exactly one completion and adds notices (connected, disconnected, session lost, changed).
 * Both arrive as events at the sink given to sf_coord_open, on any thread; the receiver owns the
 * event and frees it with sf_coord_event_free. The sink must not block and must not call back into
 * the backend. submit never blocks and never fails: what cannot be sent completes as LOST.
 *
 * A backend never retries a write: whether and when to write again is decided by
 * worker/reservation, which knows what an unknown outcome means. A backend does reconnect by
 * itself, with backoff and jitter, and makes a new session when the old one has ended. Every
 * request completes within its deadline, whatever the coordinator does.
 *
 * Backends: local (a directory), zookeeper, etcd; tests/fakes has one in memory. Words of a backend
 * (zxid, lease) stay in its file. Times are Unix milliseconds. The records are the JSON documents
 * of docs/uniqueness.md; coord/records.h reads and writes them.
 */
#ifndef SF_COORD_COORD_H
#define SF_COORD_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <snowfleet/id.h>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/ticks.h"

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
    struct sf_coord_version expected;   /* version 0 in incarnation 0 is refused as INVALID */
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

struct sf_coord_options {
    const char *url;   /* local:///DIR, zk://..., zks://..., etcd://..., etcds://... */
    const char *fleet; /* fleet.name */
    uint32_t session_timeout_ms;
    const char *username;                    /* NULL: none */
    const char *password_file;               /* NULL: none; must not be readable by others */
    const char *tls_ca, *tls_cert, *tls_key; /* NULL: none */
    struct sf_log *log;
    const struct sf_ticks *ticks;
    sf_coord_sink *sink;
    void *sink_ctx;
};

struct sf_coord; /* a backend's handle; first member is its ops */

struct sf_coord_ops {
    const char *name; /* "local", "zookeeper", "etcd", "fake" */
    void (*submit)(struct sf_coord *coord, const struct sf_coord_request *request);
    void (*destroy)(struct sf_coord *coord);
};

struct sf_coord {
    const struct sf_coord_ops *ops;
};

/* Opens a handle for the URL's backend. Starts connecting at once, in the background: a coordinator
 * that does not answer is no error here. Returns 0; -EINVAL for a URL or option that cannot work
 * (err says which); -ENOTSUP for a backend or TLS that this build lacks; -EACCES/-ENOENT for
 * password or TLS files. Options are copied. */
int sf_coord_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                  struct sf_error *err);

/* Copies the request. Control thread only. */
void sf_coord_submit(struct sf_coord *coord, const struct sf_coord_request *request);

/* Ends the session (claims left are deleted where that is possible within a second), completes what
 * is outstanding (reads as LOST, writes as UNKNOWN; reason ENDING), then frees. After it returns
 * the sink is not called again. NULL is fine. */
void sf_coord_destroy(struct sf_coord *coord);

void sf_coord_event_free(struct sf_coord_event *event);

/* A completion for this request, not yet delivered, everything else zeroed (server_ms -1). Never
 * NULL (aborts when memory is out). For backends and fakes. */
struct sf_coord_event *sf_coord_event_completion(const struct sf_coord_request *request,
                                                 enum sf_coord_outcome outcome,
                                                 enum sf_coord_reason reason, const char *format,
                                                 ...) __attribute__((format(printf, 4, 5)));
struct sf_coord_event *sf_coord_event_notice(enum sf_coord_event_kind kind, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One request, waiting for its completion: for the command line tool. Opens nothing; `coord` must
 * have been opened with sf_coord_call_sink and a struct sf_coord_calls as its context. Returns the
 * event (free it). Waits for CONNECTED first, up to the request's deadline. */
struct sf_coord_calls;
struct sf_coord_calls *sf_coord_calls_create(void);
void sf_coord_calls_destroy(struct sf_coord_calls *calls);
void sf_coord_call_sink(void *calls, struct sf_coord_event *event);
struct sf_coord_event *sf_coord_call(struct sf_coord *coord, struct sf_coord_calls *calls,
                                     const struct sf_coord_request *request);

const char *sf_coord_op_name(enum sf_coord_op op); /* "read_config", ... */
const char *
sf_coord_outcome_name(enum sf_coord_outcome o); /* "done", "refused", "lost", "unknown" */
const char *sf_coord_reason_name(enum sf_coord_reason reason);

#endif
