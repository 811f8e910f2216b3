/* server/server.h - the data plane: N shards, one epoll loop and thread each, that turn request
 * frames into response frames.
 *
 * The server knows neither worker nor coordinator: what it may mint comes from generators, what it
 * must say when it may not comes from struct sf_server_host. Shards share nothing but the
 * generators and the worker-wide limits; no locks and no allocation per request.
 *
 * Threads: create/start/drain/stop/destroy and set_* by one thread; layout_known by any one thread
 * before destroy. host callbacks run on shard threads, must not block, and must be safe to call from
 * several of them. Metrics cells are written by shards and summed by whoever scrapes
 * (metrics/metrics.h).
 */
#ifndef SF_SERVER_SERVER_H
#define SF_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "base/parse.h"
#include "id/generator.h"
#include "metrics/metrics.h"
#include "server/unix_socket.h"
#include "wire/frame.h"

#define SF_SERVER_THREADS_MAX    64
#define SF_SERVER_GENERATORS_MAX 64
#define SF_SERVER_DECODED_MAX    512

/* Why nothing can be minted just now. status is what a NEXT is answered with. */
struct sf_server_refusal {
    enum sf_wire_status status; /* NOT_READY, CLOCK or DRAINING */
    uint32_t retry_after_ms;
    char reason[160];
};

struct sf_server_host {
    void *ctx;
    /* Minting time at this reading of the monotonic clock, in ms since the fleet's epoch (0 while
     * there is no epoch yet). Reads no clock. */
    uint64_t (*mint_now_ms)(void *ctx, int64_t mono_ns);
    /* Asked when every generator is closed or its reservation used up (exhausted says which). */
    void (*refusal)(void *ctx, bool exhausted, struct sf_server_refusal *ret);
    /* The INFO object (JSON, compact: `"max_batch":N` is found in it and lowered for who is allowed less); returns its length, at most
     * size. Asked for at the start (on the control thread), then when a
     * client asks, ten times at once at most and once a second in the long run; and once more after
     * sf_server_layout_known. */
    size_t (*info)(void *ctx, char *to, size_t size);
    /* The TIME answer. Returns false when there is none to give (UNSUPPORTED). */
    bool (*time)(void *ctx, struct sf_wire_time *ret);
    /* What an ID says: a JSON object and a line break, at most SF_SERVER_DECODED_MAX bytes; returns its length. 0: the fleet is not
     * known yet, or the ID's time is out of range. */
    size_t (*decode)(void *ctx, uint64_t id, char *to, size_t size);
};

struct sf_server_limits {
    uint32_t max_connections;
    uint32_t max_handshakes; /* half-open TLS connections */
    uint32_t max_batch;
    uint32_t max_waiting;
    uint32_t max_wait_ms;
    uint32_t sequence_jitter;
    uint32_t idle_timeout_ms, frame_timeout_ms, write_timeout_ms;
    uint32_t max_connection_age_ms;                  /* 0: never */
    uint64_t connection_ids_per_s, connection_burst; /* 0: none */
    uint64_t address_ids_per_s, address_burst;       /* 0: none */
    uint64_t worker_ids_per_s, worker_burst;         /* 0: none */
};

struct sf_server_options {
    struct sf_host_port address; /* port 0: the kernel chooses */
    int *listener;               /* of sf_server_listen: taken over by create, -1 then; NULL: create listens */
    struct sf_host_port http_address; /* where has_http; likewise */
    bool has_http;
    int *http_listener; /* as listener */
    struct sf_unix_wish unix_wish; /* the data port as a UNIX socket too; path NULL: none. Without TLS: the file's mode says who may */
    struct sf_unix_socket *unix_listener; /* as listener, of sf_unix_listen */
    const char *hosts; /* names that requests over HTTP may come under where nobody proves who he is (http/hosts.h); NULL: no further ones */
    uint32_t threads;
    struct sf_server_limits limits;
    struct sf_generator *generators[SF_SERVER_GENERATORS_MAX]; /* outlive the server */
    size_t generator_count;
    struct sf_server_host host;
    struct sf_metrics *metrics;
    struct sf_log *log;
    const char *tls_cert, *tls_key, *tls_client_ca; /* NULL: plain TCP */
    const char *token_file;                         /* NULL: no AUTH */
};

struct sf_server;

/* Binds and listens alone, for who does it before there are threads. ret_fd: the caller's until create has taken it. Returns 0
 * or a negative errno code; err names the option: listen.http_address where http, else listen.address. */
int sf_server_listen(const struct sf_host_port *address, bool http, int *ret_fd, struct sf_error *err);
/* Would sf_server_create refuse a file? For --check-config: only the names of files are looked at.
 * Returns 0, or what it would return, with the same text. */
int sf_server_check(const struct sf_server_options *options, struct sf_error *err);

/* Binds and listens, so that errors of addresses and files come at once (err names them); serves
 * nothing yet. */
int sf_server_create(const struct sf_server_options *options, struct sf_server **ret_server,
                     struct sf_error *err);
/* The fleet's layout and mint.max_ahead_ms, once they are known: the generators are set up by then.
 * Until then (when generators[0] has no word at create) nothing is minted and host.mint_now_ms must
 * give 0; call this before it gives anything else. host.info tells the fleet by then: whoever is
 * given IDs is not told afterwards that their fleet is unknown. */
void sf_server_layout_known(struct sf_server *server);
/* Starts the shard threads. */
int sf_server_start(struct sf_server *server, struct sf_error *err);
/* The port that is bound. */
uint16_t sf_server_port(const struct sf_server *server);
/* Likewise for HTTP; 0: none. */
uint16_t sf_server_http_port(const struct sf_server *server);

/* Largest count that NEXT is given: limits.max_batch, or less where a response of so many IDs would not fit a frame (layouts with a
 * handful of sequence numbers a millisecond), or where it is beyond the burst of a limit that all are under. This is what INFO
 * should say; who is under a limit of its token's name is told less. */
uint32_t sf_server_max_batch(const struct sf_server *server);

/* Answers NEXT with DRAINING from now on where the generators are closed, sends GOAWAY on every
 * connection, stops accepting. What was sent before is still answered; connections end when they
 * are idle, at the latest after deadline_ms. Returns at once. */
void sf_server_drain(struct sf_server *server, uint32_t deadline_ms, const char *reason);
/* A connection from within the process: /v1 over HTTP (docs/http.md) for somebody who asked elsewhere, whose address is `peer`, with the same
 * queue, limits and tokens as any, but for the limit of a connection: each request of such a peer is one. ret_fd is its
 * other end, a non-blocking socket that the caller closes. After start and before destroy; any thread. Returns 0, -EAGAIN with
 * listen.max_connections open, or another negative errno code. */
int sf_server_connect(struct sf_server *server, const struct sockaddr *peer, int *ret_fd);
/* Connections still open. */
uint32_t sf_server_connections(const struct sf_server *server);
/* Requests that wait for a timestamp. */
uint32_t sf_server_waiting(const struct sf_server *server);
/* IDs that they still need. */
uint64_t sf_server_waiting_ids(const struct sf_server *server);

/* New limits (SIGHUP); bind address, threads and generators stay. TLS and token files are read
 * again; on error nothing changes. */
int sf_server_reload(struct sf_server *server, const struct sf_server_options *options,
                     struct sf_error *err);

/* Milliseconds since each shard's loop last turned; the count of shards is returned. For /livez. */
size_t sf_server_stalls_ms(const struct sf_server *server, uint32_t ret_ms[SF_SERVER_THREADS_MAX]);

/* Stops the threads and closes every connection at once; frees. NULL is fine. */
void sf_server_destroy(struct sf_server *server);

#endif
