/* coord/zookeeper_internal.h - the parts of the ZooKeeper backend (on libzookeeper_mt) and how they
 * talk.
 *
 * URL: zk://host[:port][,host[:port]...][/chroot], port 2181 where none is given; zks:// only where
 * the library has TLS.
 *
 *   control thread --submit--> inbox --> backend thread --zoo_a*--> library --callback--> inbox -->
 * backend thread --> sink
 *
 * The backend thread owns everything here but what is marked. The library's callbacks copy what
 * they were given and post it; they decide nothing. A `link` is one library handle, so at most one
 * session; a `call` is one request of the library; a `job` is one request of the contract and makes
 * one or more calls.
 */
#ifndef SF_COORD_ZOOKEEPER_INTERNAL_H
#define SF_COORD_ZOOKEEPER_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef THREADED
#define THREADED
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <zookeeper/zookeeper.h>
#pragma GCC diagnostic pop

#include "base/inbox.h"
#include "base/parse.h"
#include "coord/coord.h"

#define SF_ZK_HOSTS_MAX     32  /* names in the URL */
#define SF_ZK_ADDRESSES_MAX 64  /* addresses that they may resolve to */
#define SF_ZK_CHROOT_MAX    512 /* bytes of the chroot, with its NUL */
#define SF_ZK_ROOT_MAX      (SF_ZK_CHROOT_MAX + SF_COORD_FLEET_MAX + 16)
#define SF_ZK_PATH_MAX      (SF_ZK_ROOT_MAX + SF_COORD_CLAIM_MAX + 64)
#define SF_ZK_VERSION_MAX                                                                          \
    (UINT64_C(1) << 30)       /* refused above: the library's versions are signed 32 bits */
#define SF_ZK_WINDOW      256 /* calls of one job in flight */
#define SF_ZK_BATCH       64  /* writes in one multi of INIT */
#define SF_ZK_WATCHES_MAX 16  /* datacenters that one handle watches */

struct sf_zk;
struct sf_zk_job;
struct sf_zk_link;
struct sf_zk_call;

/* What lies in the inbox. */
enum sf_zk_message_kind {
    SF_ZK_SUBMITTED, /* struct sf_zk_job */
    SF_ZK_ANSWERED,  /* struct sf_zk_call */
    SF_ZK_SESSION,   /* struct sf_zk_note: value is the state */
    SF_ZK_WATCHED,   /* struct sf_zk_note: value is the number of the watch */
    SF_ZK_RESOLVED,  /* struct sf_zk_addresses */
    SF_ZK_STOP       /* in struct sf_zk */
};

struct sf_zk_message {
    struct sf_inbox_message message;
    enum sf_zk_message_kind kind;
};

struct sf_zk_note {
    struct sf_zk_message head;
    uint64_t link_number;
    int value;
};

/* Names and addresses (zookeeper_hosts.c). */

struct sf_zk_url {
    bool tls;
    size_t host_count;
    struct sf_host_port hosts[SF_ZK_HOSTS_MAX];
    char chroot[SF_ZK_CHROOT_MAX]; /* "" or "/a/b" */
};

struct sf_zk_addresses {
    struct sf_zk_message head;
    size_t count;
    char text[SF_ZK_ADDRESSES_MAX][64]; /* "1.2.3.4:2181", "[::1]:2181" */
    char failure[SF_COORD_TEXT_MAX]; /* of a name that gave nothing; "" when all gave something */
};

int sf_zk_url_parse(const char *url, struct sf_zk_url *ret, struct sf_error *err);

/* Resolves all names: blocks for as long as the system's resolver does. Pure otherwise. */
void sf_zk_resolve(const struct sf_zk_url *url, struct sf_zk_addresses *ret);

/* Does any name need the resolver? */
bool sf_zk_url_has_names(const struct sf_zk_url *url);

/* The list for the library: without duplicates, and odd, since the library's cursor moves by two on
 * a failure and would never try half of an even list. The caller frees. */
char *sf_zk_address_list(const struct sf_zk_addresses *addresses);

/* Resolves on a thread of its own and posts a SF_ZK_RESOLVED; the resolver may hang for longer than
 * we want to wait, so the thread is detached and holds the task alone once it was abandoned. */
struct sf_zk_resolver;
struct sf_zk_resolver *sf_zk_resolver_start(const struct sf_zk_url *url, struct sf_inbox *inbox);
void sf_zk_resolver_abandon(struct sf_zk_resolver *resolver);

/* Calls. */

struct sf_zk_multi {
    int count;
    zoo_op_t *ops;
    zoo_op_result_t *results;
    struct Stat *stats;
    char **strings; /* paths and contents; two for each op */
};

typedef void sf_zk_done(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call);

struct sf_zk_call {
    struct sf_zk_message head;
    struct sf_zk_call *next, *prev; /* in link->calls */
    struct sf_zk_link *link;
    bool posted;           /* under link->lock */
    struct sf_zk_job *job; /* NULL: nobody waits any more */
    sf_zk_done *done;
    size_t index;
    int64_t sent_ns;
    struct sf_zk_multi *multi;
    /* The answer. */
    int rc;
    bool has_stat;
    struct Stat stat;
    char *data; /* NUL-terminated behind size bytes; NULL: none */
    size_t size;
    char **names;
    size_t name_count;
};

/* One library handle. Two own it once it is closing: the backend thread (until it lets go) and the
 * thread that closes it. */
struct sf_zk_link {
    uint64_t number; /* of the link, to tell late messages apart */
    zhandle_t *handle;
    struct sf_zk_call *calls; /* newest first */
    struct sf_zk_call *oldest;
    struct sf_zk_watch {
        struct sf_zk_link *link;
        int number;
    } watches[SF_ZK_WATCHES_MAX];
    pthread_mutex_t lock; /* guards inbox, posted of the calls, closed, owners */
    pthread_cond_t closed_changed;
    struct sf_inbox *inbox; /* NULL: callbacks no longer post */
    bool closed;
    int owners;
    bool connected;
    bool had_session;
    int64_t since_ns; /* of the last change of connected */
};

/* Jobs. A job goes through phases; in a phase `total` calls are issued, at most SF_ZK_WINDOW at
 * once, then `then` is called. */
struct sf_zk_init_state;
struct sf_zk_job {
    struct sf_zk_message head;
    struct sf_zk_job *next, *prev;
    struct sf_coord_request request;
    struct sf_coord_event *event; /* made when the job starts */
    int64_t start_ns, deadline_ns;
    bool wrote;    /* a write has left: without an answer the outcome is unknown */
    bool finished; /* the event was delivered; freed when the step that did it returns */
    bool pumping;
    size_t next_index, total, in_flight;
    int (*issue)(struct sf_zk *z, struct sf_zk_job *job, size_t index);
    void (*then)(struct sf_zk *z, struct sf_zk_job *job);
    /* Used by one op or another. */
    size_t watch_number;
    struct Stat stat;
    char **names;
    size_t name_count;
    struct sf_zk_init_state *init;
};

struct sf_zk {
    struct sf_coord coord; /* first */
    /* Fixed at open. */
    pid_t pid;
    struct sf_zk_url url;
    char fleet[SF_COORD_FLEET_MAX];
    char root[SF_ZK_ROOT_MAX];
    uint32_t session_timeout_ms;
    char *auth; /* "user:password" or NULL */
    char *tls;  /* "ca,cert,key," or NULL */
    struct sf_log *log;
    struct sf_ticks ticks;
    sf_coord_sink *sink;
    void *sink_ctx;
    struct sf_inbox *inbox;
    pthread_t thread;
    struct sf_zk_message stop;
    /* The backend thread's. */
    struct sf_zk_job *jobs;
    struct sf_zk_link *link;
    uint64_t link_count;
    struct sf_zk_resolver *resolver;
    int64_t resolve_started_ns;
    bool resolve_complained;
    struct sf_zk_addresses *addresses; /* last that resolved; NULL: none yet */
    bool told_down;                    /* since the last CONNECTED */
    int64_t next_link_ns;              /* when a new link is due, if there is none */
    int64_t backoff_ms;
    struct sf_prng prng;
    struct sf_zk_watched {
        uint64_t datacenter;
        bool seen;
        int64_t zxid; /* of the last change to the claims' directory */
    } watched[SF_ZK_WATCHES_MAX];
    int watched_count;
    int64_t next_poll_ns;
    bool changed;
    int64_t next_changed_ns;
    bool stopping;
    struct sf_log_limiter auth_limiter, resolve_limiter, garbage_limiter;
};

static inline int64_t sf_zk_now_ns(const struct sf_zk *z)
{
    return z->ticks.mono_ns(z->ticks.ctx);
}

/* zookeeper.c: the thread, and the ops of the handle. */
#define SF_ZK_BACKOFF_MIN_MS 50
void *sf_zk_thread(void *z);
void sf_zk_submit(struct sf_coord *coord, const struct sf_coord_request *request);
void sf_zk_destroy(struct sf_coord *coord);
void sf_zk_free(struct sf_zk *z); /* without a thread */

/* zookeeper_jobs.c. */
bool sf_zk_is_write(enum sf_coord_op op);
void sf_zk_start_job(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_take_answer(struct sf_zk *z, struct sf_zk_call *call); /* frees the call */
void sf_zk_reap_jobs(struct sf_zk *z); /* frees those that are finished */

/* LOST, or UNKNOWN for a write that has left. */
void sf_zk_finish_unanswered(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_reason reason,
                             const char *text);

/* Delivers the event and forgets the job; it is freed when the message that led here is done with.
 */
void sf_zk_finish(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_outcome outcome,
                  enum sf_coord_reason reason, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void sf_zk_finish_done(struct sf_zk *z, struct sf_zk_job *job);

/* Finishes by the result code of a call to the server. */
void sf_zk_finish_rc(struct sf_zk *z, struct sf_zk_job *job, int rc, const char *what);

/* Starts a phase of total calls (0: `then` follows at once). */
void sf_zk_phase(struct sf_zk *z, struct sf_zk_job *job, size_t total,
                 int (*issue)(struct sf_zk *z, struct sf_zk_job *job, size_t index),
                 void (*then)(struct sf_zk *z, struct sf_zk_job *job));

/* zookeeper_link.c: handles and calls. Each sf_zk_call_* returns 0 or the library's code: then
 * nothing has been sent. */

/* Returns NULL and fills err when the library refuses. */
struct sf_zk_link *sf_zk_link_open(struct sf_zk *z, struct sf_error *err);
/* Closes on a thread of its own: the library may take seconds. Waits for that at most wait_ms.
 * Calls without an answer are forgotten. */
void sf_zk_link_close(struct sf_zk *z, struct sf_zk_link *link, int64_t wait_ms);
void sf_zk_call_take(struct sf_zk_call *call); /* off the link's list: it has been answered */
void sf_zk_call_free(struct sf_zk_call *call);
void sf_zk_forget_job(struct sf_zk_link *link, const struct sf_zk_job *job);

int sf_zk_get(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
              sf_zk_done *done);
int sf_zk_exists(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 struct sf_zk_watch *watch, sf_zk_done *done);
int sf_zk_children(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                   struct sf_zk_watch *watch, sf_zk_done *done);
int sf_zk_sync(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done);
int sf_zk_create(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 const char *content, const struct ACL_vector *acl, int mode, sf_zk_done *done);
int sf_zk_set(struct sf_zk *z, struct sf_zk_job *job, const char *path, const char *content,
              uint64_t version, sf_zk_done *done);
int sf_zk_delete(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done);

/* A multi is filled op by op, then sent; sending takes it over, also on failure. */
struct sf_zk_multi *sf_zk_multi_create(int count);
void sf_zk_multi_free(struct sf_zk_multi *multi);
void sf_zk_multi_check(struct sf_zk_multi *multi, const char *path, uint64_t version);
void sf_zk_multi_check_exists(struct sf_zk_multi *multi, const char *path);
void sf_zk_multi_set(struct sf_zk_multi *multi, const char *path, const char *content,
                     uint64_t version);
void sf_zk_multi_create_node(struct sf_zk_multi *multi, const char *path, const char *content,
                             const struct ACL_vector *acl);
/* Writes nothing into a directory, whatever its version: it wakes who watches the directory. */
void sf_zk_multi_touch(struct sf_zk_multi *multi, const char *path);
void sf_zk_multi_delete(struct sf_zk_multi *multi, const char *path);
int sf_zk_multi_send(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                     struct sf_zk_multi *multi, sf_zk_done *done);

/* The library's log lines have no context: they go to the log of the backend that was opened last.
 */
void sf_zk_log_attach(struct sf_log *log);
void sf_zk_log_detach(struct sf_log *log);

/* zookeeper_read.c, zookeeper_write.c, zookeeper_init.c: the ops. Each starts its job. */
void sf_zk_read_config(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_list(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_read_slot(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_watch(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_watch_arm(struct sf_zk *z,
                     int number); /* sets the watch of watched[number] and compares */
void sf_zk_claim(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_unclaim(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_write(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_init(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_init_state_free(struct sf_zk_init_state *init);

/* Paths, below z->root. */
void sf_zk_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sf_zk_slot_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], uint64_t datacenter,
                     uint64_t worker);
void sf_zk_claim_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], uint64_t datacenter,
                      const char *name);

/* What an answer of the server is: config and slot documents with their version, from one read.
 * Return 0 or -EBADMSG. */
int sf_zk_config_from(const struct sf_zk_call *call, struct sf_coord_config *ret,
                      struct sf_error *err);
int sf_zk_slot_from(const struct sf_zk_call *call, uint64_t worker, struct sf_coord_slot *ret,
                    struct sf_error *err);
void sf_zk_slot_state(struct sf_zk *z, const struct sf_zk_call *call, uint64_t worker,
                      struct sf_coord_slot *ret);

/* ACLs: with credentials, only who has them; without, anyone. */
const struct ACL_vector *sf_zk_acl_record(
    const struct sf_zk *z); /* read, write: no children, and the parent forbids delete */
const struct ACL_vector *
sf_zk_acl_slots(const struct sf_zk *z); /* read, create: records are never deleted */
const struct ACL_vector *sf_zk_acl_directory(const struct sf_zk *z); /* all */
const struct ACL_vector *sf_zk_acl_shared(void); /* the chroot and /snowfleet: shared by fleets */

#endif
