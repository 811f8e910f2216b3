/* snowfleet/client.h - IDs from a fleet, as if it were one service that does not fail.
 *
 *     struct sf_client_options options = SF_CLIENT_OPTIONS;
 *     options.servers = "ids-0:7450,ids-1:7450,ids-2:7450";
 *     struct sf_client *client;
 *     if (sf_client_create(&options, &client, NULL, 0) == SF_CLIENT_OK) {
 *         uint64_t id;
 *         enum sf_client_error error = sf_client_next(client, &id);
 *         ...
 *         sf_client_destroy(client);
 *     }
 *
 * A call asks one worker and, when that one cannot serve (not ready, clock, draining, overloaded,
 * lost, silent), the next, until its deadline. Repeating a request is always safe: IDs whose answer
 * was lost are simply never used. The client keeps a warm connection to every worker it uses,
 * learns from every answer which workers to leave alone, and probes those beside the calls.
 *
 * Thread safety: a client may be used by any number of threads at once. Blocking calls share
 * options.pool engines (epoll and connections); health, load and retry budget are shared by all of
 * them. The asynchronous functions (sf_client_fd, submit, process) have an engine
 * of their own and must be called by one thread at a time; blocking calls may go on beside them.
 *
 * fork(): may come at any moment, also inside a completion callback, inside a signal handler that
 * interrupts a call, and while other threads are in calls. A child may go on using the client. It
 * notices by itself, closes the inherited sockets and connects anew; options, fleet, layout and
 * `causal` order are kept, statistics begin at 0. What was not handed out when the process forked is
 * the parent's alone:
 *   - prefetched IDs: the child has none;
 *   - asynchronous calls that were not reported, answered already or not: the child's next
 *     sf_client_process (or sf_client_destroy) reports each as CANCELLED, without IDs. In a callback
 *     that forks, the reply that it was called with is the parent's: the child must not use its IDs.
 *     Where another thread was inside sf_client_submit or sf_client_process, the child does not hear
 *     of its calls;
 *   - a blocking call that a signal handler interrupts to fork returns CANCELLED in the child.
 * IDs that were handed out before are in both copies of the program's memory: it keeps them apart.
 *
 * Order: IDs from one worker ascend; IDs of a fleet are ordered as far as the workers' clocks
 * agree. Who needs every ID to be later than the ones seen before sets options.causal, or
 * request.after.
 */
#ifndef SNOWFLEET_CLIENT_H
#define SNOWFLEET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <snowfleet/id.h>
#include <snowfleet/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SF_CLIENT_DEFAULT_PORT 7450
#define SF_CLIENT_SERVERS_MAX  256     /* addresses known at a time. Of more, those that come first in
                                          this client's own order: a subset is then of all of them */
#define SF_CLIENT_NAMES_MAX    1024    /* entries of options.servers */
#define SF_CLIENT_DISCOVER_MAX 128     /* workers known from other workers only; of more likewise */
#define SF_CLIENT_POOL_MAX     256     /* options.pool */
#define SF_CLIENT_COUNT_MAX    1048576 /* IDs of one call */
#define SF_CLIENT_PREFETCH_MAX 65536
#define SF_CLIENT_CALLS_MAX    65536 /* asynchronous calls under way at a time */
#define SF_CLIENT_TIMEOUT_MAX  3600000
#define SF_CLIENT_DETAIL_MAX   256

/* What can go wrong with a call. Numbers never change; new ones are added before SF_CLIENT_ERRORS.
 */
enum sf_client_error {
    SF_CLIENT_OK = 0,
    SF_CLIENT_INVALID = 1,      /* an argument or option is not allowed; the detail says which */
    SF_CLIENT_UNREACHABLE = 2,  /* no worker could be connected to by the deadline */
    SF_CLIENT_TIMEOUT = 3,      /* connected and asked, but nothing answered by the deadline */
    SF_CLIENT_NOT_READY = 4,    /* every worker said that it holds no slot or reservation */
    SF_CLIENT_CLOCK = 5,        /* every worker said that its clock is not safe */
    SF_CLIENT_OVERLOADED = 6,   /* queues full until the deadline */
    SF_CLIENT_RATE_LIMITED = 7, /* over quota, and the wait is longer than the call may last */
    SF_CLIENT_DRAINING = 8,     /* every worker is shutting down */
    SF_CLIENT_DENIED = 9,       /* the token is missing or was refused */
    SF_CLIENT_CAUSALITY = 10,   /* `after` lies further ahead than the call may wait */
    SF_CLIENT_INTERNAL = 11,    /* a worker reported a defect, or a status unknown to this library */
    SF_CLIENT_REFUSED = 12,     /* the worker does not accept the request (BAD_REQUEST,
                                   UNSUPPORTED, TOO_LARGE) */
    SF_CLIENT_PROTOCOL = 13,    /* what answered does not speak the Snowfleet protocol */
    SF_CLIENT_ORDER = 14,       /* a worker gave an ID that repeats or goes back: page somebody, use
                                   none of these IDs */
    SF_CLIENT_NAME = 15,        /* a server name has no address */
    SF_CLIENT_TLS = 16,         /* certificate, key or handshake */
    SF_CLIENT_WRONG_FLEET = 17, /* a worker belongs to another fleet than the ones before it */
    SF_CLIENT_MEMORY = 18,      /* memory or descriptors are out */
    SF_CLIENT_BUSY = 19,        /* SF_CLIENT_CALLS_MAX asynchronous calls are under way, or no engine
                                   came free by the deadline */
    SF_CLIENT_CANCELLED = 20,   /* the client was destroyed; or the process forked while the call was
                                   under way, and this is the child */
    SF_CLIENT_ERRORS
};

/* "NOT_READY" and a sentence for people. Static strings; "UNKNOWN" for numbers out of range. */
SF_API const char *sf_client_error_name(enum sf_client_error error);
SF_API const char *sf_client_error_text(enum sf_client_error error);

/* Start from SF_CLIENT_OPTIONS. Strings are copied. A 0 in a time or count that has a default means
 * the default. */
struct sf_client_options {
    /* "host:port,host:port": addresses, or names, which are resolved again every resolve_ms (+-20
     * %) and after a connection was lost; every address of a name is a server (headless Service).
     * Without a port: 7450. "unix:/path" and "unix:@name": a worker's UNIX socket (its
     * listen.unix_path), never inside TLS, and always one of the subset. */
    const char *servers;

    uint32_t timeout_ms;         /* deadline of a call that names none: 2000 */
    uint32_t attempt_timeout_ms; /* after this a silent worker is given up for another one: 100 */
    uint32_t connect_timeout_ms; /* 1000 */
    /* A second worker is asked beside the first when this much time has passed, and the first
     * answer counts. hedge_percentile, 50 to 99: the time within which that part of the latest
     * answers came, but not less than hedge_ms. Both 0: never. Each costs a retry token; without
     * one there is none. */
    uint32_t hedge_ms;
    uint32_t hedge_percentile;
    uint32_t pool;       /* sets of connections: blocking calls at one time share them: 1 */
    uint32_t resolve_ms; /* 30000 */

    /* Learn the fleet from the workers: each tells whom its coordinator has for its datacenter, and
     * those are used beside `servers`, which always stay. Looked at again every discover_ms (+-20
     * %), and soon after a GOAWAY or a lost connection, by a request beside a call's. A worker that
     * is named is sent calls once a probe was answered; one that nobody named for discover_ms is
     * dropped when it does not answer. The addresses are what the workers are told to advertise:
     * they must be reachable from here. */
    bool discover;
    uint32_t discover_ms; /* 30000 */

    /* Of all servers known, calls go to so many: the first in an order of this client's own, made of
     * their addresses (rendezvous hashing), that are well at the time. One that fails is replaced by
     * the next, and has its place back when it is well again. So a worker is connected to by a few
     * clients and not by all, and each worker by about as many. 1 to SF_CLIENT_SERVERS_MAX (all of
     * them): 8 */
    uint32_t subset;

    /* Retries on another worker. A retry at once costs one token; each call brings
     * retry_budget_percent of one, so that a fleet in trouble is not asked many times over. Without
     * a token a retry waits backoff_max_ms at most (full jitter). */
    uint32_t retry_budget_percent; /* 20 */
    uint32_t retry_budget_max; /* tokens that can be saved up, and are there at the start: 100 */
    uint32_t backoff_min_ms;   /* 2 */
    uint32_t backoff_max_ms;   /* 100 */

    /* Circuit breaker of each server. */
    uint32_t breaker_failures; /* lost connections in a row that open it; a refusal or silence opens
                                  it at once: 3 */
    uint32_t breaker_open_min_ms; /* first wait before a probe, doubled by each failed one: 100 */
    uint32_t breaker_open_max_ms; /* 1000 */
    uint32_t breaker_idle_ms;     /* between tries of one server while no server works: 75,
                                    or 5 for each server if that is more */

    /* 0: none. Else sf_client_next takes from a buffer that one request of this many IDs fills.
     * Gives up real-time order: an ID may be up to prefetch_max_age_ms old when it is handed out.
     * Not together with causal. */
    uint32_t prefetch;
    uint32_t prefetch_max_age_ms; /* 100 */

    bool causal; /* every ID handed out is greater, as a number, than every one handed out before by
                    this client */

    /* TLS 1.2 or later; used when tls is true. */
    bool tls;
    const char *tls_ca;   /* file of trusted certificates; NULL: the system's */
    const char *tls_cert; /* own certificate chain and key, for mutual TLS; NULL: none */
    const char *tls_key;
    const char *tls_server_name; /* what the certificate must bear; NULL: the host of `servers` */
    const char *token;           /* sent with AUTH on every connection; NULL: none */
};

/* clang-format off */
#define SF_CLIENT_OPTIONS                                                                          \
    { .servers = "127.0.0.1:7450" }
/* clang-format on */

struct sf_client;

/* Makes a client. Does not connect yet, and does not wait for names. On failure ret_client is left
 * alone and detail (may be NULL) gets a sentence that names the option, the value and what is
 * allowed. Errors: INVALID, TLS, MEMORY. */
SF_API enum sf_client_error sf_client_create(const struct sf_client_options *options,
                                             struct sf_client **ret_client, char *detail,
                                             size_t detail_size);

/* Ends everything; asynchronous calls under way get CANCELLED. No other thread may be inside a
 * function of this client. NULL is fine. */
SF_API void sf_client_destroy(struct sf_client *client);

/* One ID, within options.timeout_ms. */
SF_API enum sf_client_error sf_client_next(struct sf_client *client, uint64_t *ret_id);

/* count IDs (1 to SF_CLIENT_COUNT_MAX) into ret_ids, all of them or none. Up to the worker's
 * max_batch they come from one worker and ascend; more are asked for in several requests, each of
 * which ascends. */
SF_API enum sf_client_error sf_client_next_many(struct sf_client *client, uint32_t count,
                                                uint64_t *ret_ids);

/* IDs first, first+1, ... first+count-1. */
struct sf_client_run {
    uint64_t first;
    uint32_t count;
};

struct sf_client_request {
    uint32_t count;      /* 1 to SF_CLIENT_COUNT_MAX */
    uint32_t timeout_ms; /* 0: options.timeout_ms */
    bool has_after;      /* every ID shall be greater, as a number, than `after` */
    uint64_t after;
};

struct sf_client_reply {
    enum sf_client_error error;
    uint32_t count;     /* IDs in all */
    uint32_t run_count; /* 0 when error is not OK */
    struct sf_client_run *runs;
    uint32_t attempts;       /* requests sent, retries included */
    uint32_t retry_after_ms; /* RATE_LIMITED, CAUSALITY, OVERLOADED: what the worker asked for */
    int64_t duration_ns;
    char server[64];                   /* who answered last, "address:port" */
    char detail[SF_CLIENT_DETAIL_MAX]; /* for people; empty when OK */
};

/* The whole of it: request in, reply out (always filled, also on failure). Give the reply to
 * sf_client_reply_free. Prefetch is not used. Returns reply.error. */
SF_API enum sf_client_error sf_client_ask(struct sf_client *client,
                                          const struct sf_client_request *request,
                                          struct sf_client_reply *ret_reply);
SF_API void sf_client_reply_free(struct sf_client_reply *reply);

/* --- from somebody else's event loop --- */

/* Called from sf_client_process (or from sf_client_destroy) exactly once for each call submitted.
 * The reply is valid until it returns. It may submit further calls, and fork (see the top); it must
 * neither process nor destroy the client.
 */
typedef void sf_client_done(void *ctx, const struct sf_client_reply *reply);

/* A descriptor that is readable whenever sf_client_process has something to do (timeouts included).
 * It stays the same during the client's life (a child after fork asks again). -1 when memory or
 * descriptors are out. */
SF_API int sf_client_fd(struct sf_client *client);

/* Starts a call. Errors at once: INVALID, BUSY, MEMORY; `done` is not called then. */
SF_API enum sf_client_error sf_client_submit(struct sf_client *client,
                                             const struct sf_client_request *request,
                                             sf_client_done *done, void *ctx);

/* Does what can be done now, never blocks; call it when sf_client_fd is readable. Returns the
 * number of calls still under way. */
SF_API uint32_t sf_client_process(struct sf_client *client);

/* --- what happened so far --- */

struct sf_client_stats {
    uint64_t calls;                            /* ended */
    uint64_t calls_by_error[SF_CLIENT_ERRORS]; /* [SF_CLIENT_OK]: succeeded */
    uint64_t ids;                              /* handed out */
    uint64_t attempts, retries, hedges; /* requests sent; of these after a failure; as a hedge */
    uint64_t silences;                  /* attempts that got no answer within attempt_timeout_ms */
    uint64_t late_answers; /* answers to calls that had ended or been answered by another worker */
    uint64_t budget_waits; /* retries that had to wait for want of budget */
    uint64_t connects, connect_failures, disconnects, goaways;
    uint64_t breaker_opens, probes;
    uint64_t order_errors; /* IDs that repeated or went back */
    uint64_t protocol_errors, wrong_fleet;
    char last_protocol_error[SF_CLIENT_DETAIL_MAX]; /* of these two and order_errors the last one:
                                                       server and what was wrong; empty: none yet */
    uint64_t prefetch_hits, prefetch_fills, prefetch_expired;
    uint64_t resolves, resolve_failures;
    uint64_t discoveries;             /* lists of workers that were read */
    uint32_t servers, servers_usable; /* now */
    uint32_t servers_discovered;      /* of these, known from other workers only */
    uint64_t servers_passed_over; /* how often an address was left out, or made room, because more are
                                     known than SF_CLIENT_SERVERS_MAX or SF_CLIENT_DISCOVER_MAX */
};
SF_API void sf_client_stats(struct sf_client *client, struct sf_client_stats *ret_stats);

/* The layout of the fleet as the workers told it. False while no worker has answered yet. */
SF_API bool sf_client_layout(struct sf_client *client, struct sf_layout *ret_layout,
                             int64_t *ret_epoch_ms);

#ifdef __cplusplus
}
#endif

#endif
