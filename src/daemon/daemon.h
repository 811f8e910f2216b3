/* daemon/daemon.h - one worker process: what its parts share. No function: who does what stands in
 * the header of each part.
 *
 * Threads: main (this struct's owner: signals, how far the process has come with ending), the
 * member's (slots, coordinator), shards (server), admin HTTP, clock, the coordinator backend's own.
 * Which of them may touch what stands beside each field. */
#ifndef SF_DAEMON_DAEMON_H
#define SF_DAEMON_DAEMON_H

#include <pthread.h>
#include <stdatomic.h>

#include "admin/admin.h"
#include "base/inbox.h"
#include "config/config.h"
#include "daemon/files.h"
#include "member/member.h"
#include "member/wish.h"
#include "metrics/history.h"
#include "metrics/window.h"
#include "server/server.h"

#define SF_DAEMON_STALL_MS SF_MEMBER_STALL_MS /* as the member judges the clock's */

/* How far the process has come with ending. From the phase at the left to the one above:
 *
 *              | running delaying draining leaving over
 *   running    |    .       x        .        x     x
 *   delaying   |    .       .        x        x     .
 *   draining   |    .       .        .        x     .
 *   leaving    |    .       .        .        .     x
 *   over       |    .       .        .        .     .
 *
 * delaying: not ready any more, and still serving while load balancers notice (drain.delay_ms).
 * draining: work that was begun is finished. leaving: the slots are given back; also where a slot's
 * machine cannot go on, from any phase before. over: the process ends (from running: the
 * coordinator was not reached in time). */
enum sf_phase {
    SF_PHASE_RUNNING,
    SF_PHASE_DELAYING,
    SF_PHASE_DRAINING,
    SF_PHASE_LEAVING,
    SF_PHASE_OVER,
    SF_PHASES
};

/* IDs a second as last measured. */
struct sf_daemon_rate {
    pthread_mutex_t mutex;
    int64_t at_ns;
    uint64_t minted;
    double per_s;
};

/* The addresses of the workers that hold a slot, as INFO tells them: made once for each list. */
struct sf_daemon_workers {
    pthread_mutex_t mutex;
    uint64_t serial;     /* of the member's list that it was made from; 0: none yet */
    struct json_t *json; /* never changed once it is here: whoever answers takes a reference */
};

/* Other threads ask main to read its options again, and wait. */
#define SF_RELOAD_REFUSAL_MAX 512

struct sf_daemon_reload {
    pthread_mutex_t lock;
    pthread_cond_t done_changed;
    uint64_t asked, done; /* how many times; equal: nothing is due */
    int rc;               /* of the last time, with its answer */
    struct sf_strbuf answer;
    _Atomic uint64_t taken, refused; /* times, of files alone too */
    char refusal[SF_RELOAD_REFUSAL_MAX]; /* under lock: why the last one was refused; "": it was not */
};

struct sf_daemon {
    /* Set at the start, constant then. */
    struct sf_config *config;
    int argc;
    char **argv;
    char **environment;
    struct sf_log *log;
    struct sf_inbox *inbox; /* wakes main; no messages in it */
    struct sf_metrics *metrics;
    struct sf_window *window;   /* filled by main, once a second */
    struct sf_history *history; /* the same, each ten seconds */
    struct sf_member *member;
    const struct sf_member_time *time;
    struct sf_generator *generators[SF_MEMBER_SLOTS_MAX];
    unsigned generator_count;
    struct sf_server *server;
    struct sf_admin *admin;
    char address[SF_COORD_ADDRESS_MAX], admin_address[SF_COORD_ADDRESS_MAX];
    double process_start_s;
    int64_t start_mono_ms;

    /* Main only. */
    struct sf_config *current; /* as last read: config itself, or with what may change while it runs */
    int listener, http_listener, admin_listener; /* until server and admin have taken them; -1 */
    struct sf_unix_socket unix_socket;           /* likewise; its fd is -1 */
    int64_t phase_mono_ms;        /* when the phase began */
    int exit_code;                /* base/exit_codes.h */

    /* The member's thread only. */
    struct sf_metrics_block *block; /* what it counts */
    struct sf_member_counts told;   /* what of its counts metrics have been told */

    /* Any thread. */
    _Atomic enum sf_phase phase; /* moved by drain.c alone */
    _Atomic bool drain_asked;
    _Atomic int64_t turned_mono_ms; /* when main's loop last turned */
    struct sf_daemon_rate rate;
    struct sf_daemon_workers workers;
    struct sf_daemon_reload reload;
    struct sf_files files; /* main, but for its certificates */
};

#endif
