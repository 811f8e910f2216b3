/* server/internal.h - what the files of the server share: the server itself, and the map of its parts. Nobody else includes it.
 *
 * A part calls only parts that stand below it: there is no circle of files, though session, queue and sending are parts of one thread.
 *
 *      server      create, start, drain, reload, destroy; what other threads may ask
 *      shard       the loop of one thread: wake, serve, sleep
 *      waiting     serving those who wait for a later millisecond
 *      turn        one turn of one connection: read, serve, send, settle
 *      request     frames in, answers out          listener    binding, accepting
 *      http        HTTP in, answers out            inside      a connection from within the process
 *                                                  unix_socket the file of a UNIX socket
 *      next        NEXT for many requests at once  place       choosing a shard   adopt   taking a connection in, or turning it away
 *      answer      answers and their counting      goaway      telling a peer to go         auth        tokens
 *      output      sending, and what the socket did not take
 *      close       the end of a connection         sleep       how long the loop may sleep
 *      queue       who waits for a later millisecond
 *      session     one connection: its states      wheel       deadlines, coarse       partial   a NEXT that is half answered
 *      info        the text of INFO                address     what is counted for a peer's address
 *      mint        IDs      quota   rate limits    backlog     how long input lay in the socket      deadline   when something is due
 *      pool        buffers  list    rings          tls         TLS                                   limits     bounds   work   the length of a turn
 *
 * base/bucket.h and base/tokens.h have rate limits and tokens, id/generator.h the minting itself.
 */
#ifndef SF_SERVER_INTERNAL_H
#define SF_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/address.h"
#include "server/info.h"
#include "server/session.h"
#include "server/shard.h"

/* A socket that is listened on: the data port, the one for HTTP, and the data port as a UNIX socket. */
struct sf_listener {
    int fd;
    uint16_t port; /* 0: a UNIX socket */
    bool http, local;
};
#define SF_LISTENERS_MAX 3

struct sf_server {
    struct sf_server_options options; /* strings are not kept: see hosts, settings, tls */
    char *hosts;
    struct sf_listener listeners[SF_LISTENERS_MAX]; /* the data port is the first */
    unsigned listener_count;
    struct sf_unix_socket unix_socket; /* its descriptor is the listener's */
    unsigned shard_count;
    struct sf_shard *shards[SF_SERVER_THREADS_MAX];
    bool started;
    /* Written once by whoever makes the layout known, before minting time is given. */
    _Atomic uint8_t sequence_bits;
    _Atomic uint64_t max_ahead_ms;
    _Atomic uint32_t max_batch; /* the effective one, for who asks without the lock */
    struct sf_log_limiter accept_limiter, tls_limiter, auth_limiter;

    pthread_mutex_t lock; /* guards settings and goaway; shards take it only when the generation has changed */
    struct sf_settings settings;
    char goaway_reason[200];
    int64_t goaway_end_ms; /* CLOCK_MONOTONIC */

    pthread_mutex_t info_lock; /* guards info, for as long as a reference is taken */
    struct sf_info *info;      /* the last one that was built; NULL before the start */
    _Atomic uint32_t info_built; /* what info_wanted was when its building began */

    struct sf_addresses addresses; /* has its own lock */

    /* Any thread. */
    _Atomic uint32_t info_generation;
    _Atomic uint32_t info_wanted; /* counts what INFO must show at once */
    struct sf_bucket info_bucket; /* of builds */
    _Atomic uint32_t generation; /* of the settings */
    atomic_bool draining, stopping;
    _Atomic uint32_t shards_draining; /* the last one shuts the listeners */
    _Atomic uint32_t connections;
    _Atomic uint32_t generator_sessions[SF_SERVER_GENERATORS_MAX];
    struct sf_bucket bucket;
    _Atomic uint32_t waiting;     /* requests */
    _Atomic uint64_t waiting_ids; /* IDs that they still need */
    _Atomic uint32_t waiting_sessions;
};

static inline uint32_t sf_clip_ms(uint64_t ms)
{
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* A wait as it is told to a peer: rounded up. */
static inline uint32_t sf_clip_ns(int64_t ns)
{
    return sf_clip_ms((uint64_t)(ns + 999999) / 1000000);
}

#endif
