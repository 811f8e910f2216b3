/* server/shard.h - one thread of the data plane and its loop: wake, serve, sleep. A shard belongs to its thread, but for the fields
 * that say otherwise. */
#ifndef SF_SERVER_SHARD_H
#define SF_SERVER_SHARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/inbox.h"
#include "base/random.h"
#include "base/tokens.h"
#include "server/info.h"
#include "server/limits.h"
#include "server/list.h"
#include "server/pool.h"
#include "server/server.h"
#include "server/tls.h"

/* What SIGHUP may change; each shard has its copy. */
struct sf_settings {
    struct sf_server_limits limits; /* max_batch: the effective one */
    struct sf_tokens *tokens;       /* NULL: no AUTH needed */
    struct sf_tls *tls;             /* NULL: plain TCP */
    bool wants_certificate;         /* of clients */
};

struct sf_shard {
    struct sf_server *server;
    unsigned number;
    pthread_t thread;
    int epoll, heartbeat;
    struct sf_inbox *inbox;
    struct sf_metrics_block *metrics;
    _Atomic int64_t beat_ms;      /* read by any thread */
    _Atomic uint32_t connections; /* read by accepting shards */

    struct sf_settings settings;
    uint32_t settings_generation;
    int64_t now_ns, now_ms; /* CLOCK_MONOTONIC at the last reading */
    uint64_t mint_ms;       /* minting time at the last reading */
    int64_t phase_ns;       /* lower bound of minting time minus monotonic time; see shard.c */
    bool phase_known;
    struct sf_prng prng;
    struct sf_link ready;
    /* WAITING sessions: for lack of IDs, by generator; and those whose AFTER lies ahead. */
    struct sf_link waiting[SF_SERVER_GENERATORS_MAX], waiting_after;
    uint64_t after_ms; /* no session of waiting_after can be served before this timestamp may be minted */
    unsigned waiting_sessions, handshakes;
    unsigned waiting_few, waiting_deep; /* of them */
    /* Each turn of the loop gives the queue a round. coming_back: deep sessions that got all that they waited for in this one and
     * have not queued again yet. */
    uint32_t round;
    unsigned coming_back;
    bool slept_blind; /* before this turn, the sockets were not watched */
    struct sf_link wheel[SF_WHEEL_SLOTS];
    int64_t wheel_tick;     /* the last tick that was worked off */
    int64_t wheel_empty_to; /* nobody stands behind wheel_tick up to and with this one */
    struct sf_link half_open; /* HANDSHAKE, oldest first; `handshakes` of them */
    bool stormy;              /* there were many: memory is to go back to the system */
    struct sf_link dead;
    struct sf_link by_activity; /* oldest first, exact to SF_ACTIVITY_STEP_MS */
    _Atomic int64_t oldest_ms;  /* activity of the first; read by accepting shards */
    bool few_descriptors;       /* seen when accepting last */
    struct sf_pool pool;
    bool accepting, draining;
    int64_t accept_again_ms; /* 0: not paused */
    /* Of this turn, added to the metrics at its end. */
    uint64_t bytes_in, bytes_out, ids;
    uint32_t answered[SF_REQUESTS];
    uint32_t refused; /* of the NEXT among them */
    struct sf_info *info; /* a reference; NULL until it is asked for */
    uint32_t info_generation;
    /* Of the session being served: its work since the clock was looked at, and when its turn ends (ns; 0: not known yet); scratch. */
    unsigned work;
    int64_t turn_end_ns;
    uint32_t output_size;
    uint8_t input[SF_INPUT_MAX];
    uint8_t output[SF_OUTPUT_MAX];
};

/* NULL: no memory or no descriptors. */
struct sf_shard *sf_shard_create(struct sf_server *server, unsigned number);
/* Closes its connections. The thread has ended, or was never started. NULL: nothing. */
void sf_shard_destroy(struct sf_shard *shard);
/* The thread's function; ends when server->stopping. */
void *sf_shard_main(void *shard);

#endif
