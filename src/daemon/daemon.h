/* daemon/daemon.h - one worker process: where the rooms are put together.
 *
 * Threads: control (this struct's owner; main thread), shards (server), admin HTTP, clock, the
 * coordinator backend's own. Others reach control only through the inbox. What others may read
 * lives in `shared`, under its mutex, or in the atomics.
 */
#ifndef SF_DAEMON_DAEMON_H
#define SF_DAEMON_DAEMON_H

#include <pthread.h>
#include <stdatomic.h>

#include "admin/admin.h"
#include "base/inbox.h"
#include "clock/clock.h"
#include "config/config.h"
#include "coord/coord.h"
#include "metrics/metrics.h"
#include "server/server.h"
#include "worker/readiness.h"
#include "worker/reservation.h"
#include "worker/statefile.h"

#define SF_DAEMON_HOLDS_MAX  8
#define SF_DAEMON_STALL_MS   5000 /* a loop that has not turned for this long is dead */
#define SF_DAEMON_RELEASE_MS 2000 /* of drain.timeout_ms, kept for giving the slot back */
#define SF_DAEMON_SAMPLE_MS                                                                        \
    30000 /* how long a good sample of the coordinator's clock is kept before a worse one */
#define SF_DAEMON_DESCRIPTORS   256 /* for everything but data connections */
#define SF_DAEMON_EVENTS_MAX    32  /* recent events shown by the console */
#define SF_DAEMON_EVENT_TEXT    200
#define SF_DAEMON_REPEATS       4 /* events that are told again for as long as their cause lasts */
#define SF_DAEMON_WORKERS_MAX   128         /* addresses in INFO, */
#define SF_DAEMON_WORKERS_BYTES (16 * 1024) /* and what they may take of it */

/* What holds the right to mint, on a page of its own that a forked child finds zeroed: its limit
 * is 0 there. */
struct sf_right {
    struct sf_generator gen;
    _Atomic uint64_t private_word; /* used when there is no state file */
};

/* One slot's machine and what belongs to it. Control only, but for right->gen (any thread). */
struct sf_hold {
    struct sf_reservation res;
    struct sf_right *right;
    struct sf_statefile file; /* block NULL: no fast restart */
    int64_t wake_mono_ms;
    bool finished;
    int exit_code;
    bool file_held;                   /* the file says that a slot is held */
    struct sf_minttime file_mint;     /* minting time as the file knows it */
    struct sf_reservation_stats told; /* what metrics have been told */
    struct sf_log_limiter repeats[SF_DAEMON_REPEATS];
};

/* How far the process has come with ending.
 *   running --> delaying (drain.delay_ms: keeps serving) --> draining (in-flight work)
 *           --> leaving (slots) --> over
 * A fatal error goes from any to leaving. */
enum sf_phase {
    SF_PHASE_RUNNING,
    SF_PHASE_DELAYING,
    SF_PHASE_DRAINING,
    SF_PHASE_LEAVING,
    SF_PHASE_OVER
};

struct sf_daemon_event {
    int64_t time_ms;
    enum sf_log_level level;
    char event[32];
    char text[SF_DAEMON_EVENT_TEXT];
};

struct sf_shared_hold {
    enum sf_worker_state state;
    char why[SF_COORD_TEXT_MAX];
    bool held, orphan;
    uint64_t worker, fence;
    int64_t reserved_until_ms, left_ms, window_ms;
    struct sf_reservation_stats stats;
};

/* Copied out by control after every turn; read by shards and admin threads under the mutex. */
struct sf_shared {
    pthread_mutex_t mutex;
    enum sf_worker_state state;
    char why[SF_COORD_TEXT_MAX];
    bool config_known;
    struct sf_coord_config config;
    struct sf_shared_hold holds[SF_DAEMON_HOLDS_MAX];
    bool connected;
    int64_t heard_mono_ms;        /* last answer; 0: never */
    int64_t disconnected_mono_ms; /* 0: connected */
    struct sf_census census;
    enum sf_phase phase;
    /* The datacenter as last listed. */
    struct sf_coord_slot *slots;
    struct sf_coord_claim *claims;
    size_t slot_count, claim_count;
    int64_t listed_ms;
    struct json_t *workers; /* their addresses, as INFO tells them; never changed once it is here */
    struct sf_daemon_event events[SF_DAEMON_EVENTS_MAX]; /* ring */
    uint64_t event_count;
};

/* IDs a second as last measured; under shared.mutex. */
struct sf_daemon_rate {
    int64_t at_ns;
    uint64_t minted;
    double per_s;
};

struct sf_daemon {
    struct sf_config *config;
    int argc;
    char **argv;
    char **environment;
    struct sf_log *log;
    struct sf_inbox *inbox;
    struct sf_metrics *metrics;
    double process_start_s;
    struct sf_metrics_block *block; /* control's counters */
    struct sf_clock *clock;
    struct sf_coord *coord;
    struct sf_server *server;
    struct sf_admin *admin;
    struct sf_hold holds[SF_DAEMON_HOLDS_MAX];
    unsigned hold_count;
    char address[SF_COORD_ADDRESS_MAX], admin_address[SF_COORD_ADDRESS_MAX];

    /* Control only. */
    enum sf_phase phase;
    int64_t phase_mono_ms; /* when the phase began */
    int64_t start_mono_ms, start_real_ms;
    bool connected_once;
    bool coord_time_known; /* the coordinator's clock: the latest it can be */
    int64_t coord_high_ms, coord_error_ms, coord_mono_ms;
    int exit_code;
    bool stop_now;
    uint64_t told_steps_forward, told_steps_backward;
    struct sf_log_limiter disconnected_limiter;

    /* Any thread. */
    _Atomic int64_t epoch_ms; /* INT64_MIN: not known yet */
    _Atomic int64_t heartbeat_mono_ms;
    _Atomic bool started; /* has been ready once */
    struct sf_shared shared;
    struct sf_daemon_rate rate;
};

/* Messages to control. */
enum sf_message_kind { SF_MESSAGE_COORD, SF_MESSAGE_CLOCK, SF_MESSAGE_DRAIN };
struct sf_message {
    struct sf_inbox_message link;
    enum sf_message_kind kind;
    struct sf_coord_event *event; /* COORD */
};

/* main.c: what the server is told, from options. */
void sf_daemon_server_options(struct sf_daemon *d, const struct sf_config *config,
                              struct sf_server_options *ret);

/* descriptors.c: raises the limit of open files as far as it goes, and returns how many data
 * connections fit below it beside what the coordinator, the admin port and files need: `wanted`, or
 * less, which is logged. */
uint32_t sf_daemon_connections(struct sf_daemon *d, uint32_t wanted);

/* control.c: runs until the process should end; returns its exit code. */
int sf_control_run(struct sf_daemon *d, int signal_fd);
/* Any thread. The event is given away. */
void sf_control_post(struct sf_daemon *d, enum sf_message_kind kind, struct sf_coord_event *event);
int64_t sf_control_mint_ms(const struct sf_daemon *d);
int64_t sf_control_mono_ms(void);

/* right.c: the page, the state file. */
int sf_right_map(struct sf_hold *hold, struct sf_error *err);
/* Once the addresses are known: opens the state file and sets up the machine. */
void sf_right_init(struct sf_daemon *d, unsigned index);
void sf_right_destroy(struct sf_hold *hold);
/* Brings the file up to date with the hold (slot, version, minting time). */
void sf_right_save(struct sf_daemon *d, struct sf_hold *hold);

/* publish.c: what other threads see. */
void sf_shared_update(struct sf_daemon *d);
void sf_shared_listed(struct sf_daemon *d, const struct sf_coord_completion *completion);
void sf_shared_event(struct sf_daemon *d, enum sf_log_level level, const char *event,
                     const char *text);
void sf_publish_server_host(struct sf_daemon *d, struct sf_server_host *ret);
void sf_publish_readiness(struct sf_daemon *d, struct sf_readiness *ret);
bool sf_publish_live(struct sf_daemon *d, struct sf_strbuf *to);

/* status.c: JSON for the admin port and INFO. */
void sf_status_admin_host(struct sf_daemon *d, struct sf_admin_host *ret);
size_t sf_status_info(struct sf_daemon *d, char *to, size_t size);
/* The addresses of the workers that hold a slot, ours first. */
struct json_t *sf_status_workers(const struct sf_daemon *d, const struct sf_coord_claim *claims,
                                 size_t count);

/* collect.c: metrics that are looked up, and those that control counts. */
void sf_collect(void *daemon, struct sf_metrics_page *page);
void sf_collect_completion(struct sf_daemon *d, const struct sf_coord_completion *completion);
void sf_collect_stats(struct sf_daemon *d, struct sf_hold *hold);
void sf_collect_clock_steps(struct sf_daemon *d);

#endif
