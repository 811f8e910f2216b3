/* coord/coord.h - the coordinator as a worker sees it: who holds which slot, how far, and under
 * which version.
 *
 * Everything is a message. The control thread submits requests; the backend answers each request
 * with exactly one completion and adds notices (connected, disconnected, session lost, changed).
 * Both arrive as events at the sink given when it was opened, on any thread; the receiver owns the
 * event and frees it with sf_coord_event_free. The sink must not block and must not call back into
 * the backend. submit never blocks and never fails: what cannot be sent completes as LOST.
 *
 * A backend never retries a write: whether and when to write again is decided by
 * worker/reservation, which knows what an unknown outcome means. A backend does reconnect by
 * itself, with backoff and jitter, and makes a new session when the old one has ended. Every
 * request completes within its deadline, whatever the coordinator does; SURVEY and INIT, which take a
 * step for each record, on zookeeper and etcd within their deadline of the last step.
 *
 * Backends: local (a directory), zookeeper, etcd; tests/fakes has one in memory. Words of a backend
 * (zxid, lease) stay in its file. Times are Unix milliseconds. The records are the JSON documents
 * of docs/uniqueness.md; coord/records.h reads and writes them. */
#ifndef SF_COORD_COORD_H
#define SF_COORD_COORD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "base/ticks.h"
#include "coord/types.h"

#define SF_COORD_SESSION_MIN_MS 100
#define SF_COORD_SESSION_MAX_MS 3600000
#define SF_COORD_PASSWORD_FILE  "coordinator.password_file" /* as errors name it */

struct sf_coord_options {
    const char *url;             /* local:///DIR, zk://..., zks://..., etcd://..., etcds://... */
    const char *fleet;           /* fleet.name */
    uint32_t session_timeout_ms; /* SF_COORD_SESSION_MIN_MS to _MAX_MS */
    const char *username;        /* NULL: none; else with password_file */
    const char *password_file;   /* one line; must not be readable by others */
    const char *tls_ca, *tls_cert, *tls_key; /* NULL: none */
    struct sf_log *log;
    const struct sf_ticks *ticks;
    sf_coord_sink *sink;
    void *sink_ctx;
};

struct sf_coord;

/* What a backend is to the rest. All are called on the control thread, and only in the process that
 * opened the handle, unless it says otherwise. */
struct sf_coord_ops {
    const char *name;     /* "local", "zookeeper", "etcd", "fake" */
    uint64_t version_max; /* the largest version that it can compare */
    /* One that sf_request_check (coord/request.h) likes. */
    void (*submit)(struct sf_coord *coord, const struct sf_coord_request *request);
    void (*destroy)(struct sf_coord *coord);
    /* In a forked child, instead of destroy: threads, locks and the session are its parent's, so
     * only open files are closed. NULL: nothing to do. The few bytes end with the child. */
    void (*abandon)(struct sf_coord *coord);
};

/* A backend's handle begins with this. */
struct sf_coord {
    const struct sf_coord_ops *ops;
    pid_t pid; /* the process whose handle this is */
    sf_coord_sink *sink;
    void *sink_ctx;
};

/* For backends, when they open: this process owns the handle, and events go to the options' sink. */
void sf_coord_init(struct sf_coord *coord, const struct sf_coord_ops *ops,
                   const struct sf_coord_options *options);

/* Copies the request. Control thread only. One that breaks the contract completes at once as
 * REFUSED, INVALID (the sink is called before this returns); in a forked child, any as LOST. */
void sf_coord_submit(struct sf_coord *coord, const struct sf_coord_request *request);

/* Ends the session (claims left are deleted where that is possible within a second), completes what
 * is outstanding (reads as LOST, writes as UNKNOWN; reason ENDING), then frees. After it returns
 * the sink is not called again. NULL is fine. In a forked child it closes files only. */
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

/* "read_config", ...; "done", "refused", "lost", "unknown"; "version", ... Static strings. */
const char *sf_coord_op_name(enum sf_coord_op op);
const char *sf_coord_outcome_name(enum sf_coord_outcome outcome);
const char *sf_coord_reason_name(enum sf_coord_reason reason);

#endif
