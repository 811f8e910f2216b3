/* coord/etcd_internal.h - the parts of the etcd backend among themselves.
 *
 * One thread per handle (etcd.c) owns everything here except `submitted` and `stopping`, which the
 * lock guards. It sleeps in curl_multi_poll; submit and destroy wake it with curl_multi_wakeup.
 * Times ending in _ns are monotonic.
 */
#ifndef SF_COORD_ETCD_INTERNAL_H
#define SF_COORD_ETCD_INTERNAL_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/random.h"
#include "coord/coord.h"
#include "coord/etcd_answer.h"
#include "coord/etcd_body.h"

#define SF_ETCD_ENDPOINTS_MAX 16
#define SF_ETCD_CONNECT_MS    300
#define SF_ETCD_REQUEST_MS    700
#define SF_ETCD_LOGIN_MS      3000 /* bcrypt: 120 ms on an idle machine */
#define SF_ETCD_INIT_MS                                                                            \
    5000 /* one transaction of INIT; any write when there is one member only                       \
          */
#define SF_ETCD_INIT_OPS           100 /* below etcd's --max-txn-ops of 128 */
#define SF_ETCD_RETRY_MIN_MS       50
#define SF_ETCD_RETRY_MAX_MS       1000
#define SF_ETCD_LOGIN_RETRY_MIN_MS 1000
#define SF_ETCD_READ_RETRY_MS      20 /* between two rounds over the endpoints */
#define SF_ETCD_POLL_MS            5000
#define SF_ETCD_CHANGED_MS         100 /* CHANGED at most this often */
#define SF_ETCD_TERM_BACK_MS                                                                       \
    3000 /* nothing but lower terms for so long: the cluster itself went back */
#define SF_ETCD_FAREWELL_MS    900
#define SF_ETCD_WATCHES_MAX    64
#define SF_ETCD_ANSWER_MAX     (32 << 20)
#define SF_ETCD_WATCH_LINE_MAX (4 << 20)
#define SF_ETCD_SECRET_MAX     1024
#define SF_ETCD_PREFIX_MAX     256
#define SF_ETCD_KEY_MAX        640 /* prefix, fleet, "/dc/<d>/claims/", name */
#define SF_ETCD_LOG_EVERY_MS   10000
#define SF_ETCD_LOG_CHANGE_MS  1000

struct sf_etcd_endpoint {
    char *url; /* http://host:port */
    char name[SF_COORD_ADDRESS_MAX];
};

/* What the options say; does not change after open. */
struct sf_etcd_setup {
    struct sf_etcd_endpoint endpoints[SF_ETCD_ENDPOINTS_MAX];
    unsigned endpoint_count;
    bool tls;
    char root[SF_ETCD_PREFIX_MAX + SF_COORD_FLEET_MAX + 16]; /* <prefix>/snowfleet/<fleet> */
    uint64_t ttl_s;
    char *username, *password_file, *tls_ca, *tls_cert, *tls_key;
    char password[SF_ETCD_SECRET_MAX];
};

int sf_etcd_setup_read(const struct sf_coord_options *options, struct sf_etcd_setup *ret,
                       struct sf_error *err);
void sf_etcd_setup_free(struct sf_etcd_setup *setup);
/* Reads the password again (it may have been changed); keeps the old one when that fails. */
int sf_etcd_setup_password(struct sf_etcd_setup *setup, struct sf_error *err);

struct sf_etcd;
struct sf_etcd_transfer;

/* How far a request got. */
enum sf_etcd_fate {
    SF_ETCD_ANSWERED, /* answer is set */
    SF_ETCD_NOT_SENT, /* surely no byte of it was sent */
    SF_ETCD_NO_ANSWER /* sent, perhaps in part; no whole answer, or one that must not be believed */
};

struct sf_etcd_result {
    enum sf_etcd_fate fate;
    enum sf_coord_reason reason; /* unless ANSWERED */
    char text[SF_COORD_TEXT_MAX];
    struct sf_etcd_answer answer;
    unsigned endpoint;
    int64_t server_ms; /* -1: not told */
    uint32_t server_error_ms;
};

typedef void sf_etcd_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result);
typedef void sf_etcd_line(struct sf_etcd *etcd, void *ctx, const char *line, size_t size);

struct sf_etcd_send {
    const char *path; /* "/v3/..." */
    char *body;       /* taken over */
    bool write;       /* never sent twice, not even by libcurl */
    bool with_token;
    int64_t timeout_ms; /* 0: none (streams) */
    unsigned endpoint;
    sf_etcd_done *done;
    sf_etcd_line *line; /* streams: each line */
    void *ctx;
};

/* Starts a request. done is called exactly once, later, from sf_etcd_http_turn, unless cancelled.
 */
struct sf_etcd_transfer *sf_etcd_http_send(struct sf_etcd *etcd, const struct sf_etcd_send *send);
/* Ends it without a call of done. NULL is fine. */
void sf_etcd_http_cancel(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer);
/* Moves bytes, and calls line and done for what has come. Returns whether it called any. */
bool sf_etcd_http_turn(struct sf_etcd *etcd);
/* Cancels everything. */
void sf_etcd_http_end(struct sf_etcd *etcd);
void sf_etcd_http_global(void);

/* A request of the contract under way. */
struct sf_etcd_init_work;
struct sf_etcd_job {
    struct sf_etcd_job *next;
    struct sf_coord_request request;
    int64_t start_ns, deadline_ns, wake_ns; /* wake_ns: not before this; 0: now */
    bool writing;                           /* the transfer out is a write */
    bool touched;                           /* INIT: an earlier transaction of it was applied */
    bool watching;                          /* WATCH: waits for its stream */
    unsigned attempts;
    struct sf_etcd_transfer *transfer;
    char last_text[SF_COORD_TEXT_MAX];
    enum sf_coord_reason last_reason;
    struct sf_etcd_init_work *init;
    char claim_name[SF_COORD_CLAIM_MAX]; /* CLAIM */
    int64_t claim_since_ms;
};

/* The session.
 *
 *   down --> login --> open --> up
 *    ^  \______________^        |  lease: kept alive every third of its TTL
 *    |_________|________|_______|
 *
 * down: waits for retry_ns. login: asks for a token (only with a username). open: makes a lease, or
 * keeps the one there is alive. up: requests are sent. renewing the token happens in up (relogin).
 */
enum sf_etcd_state { SF_ETCD_DOWN, SF_ETCD_LOGIN, SF_ETCD_OPEN, SF_ETCD_UP };

struct sf_etcd_session {
    enum sf_etcd_state state;
    struct sf_etcd_transfer *transfer; /* login, grant or keepalive: one at a time */
    unsigned current;                  /* endpoint */
    unsigned failures;                 /* in a row */
    int64_t retry_ns, keepalive_ns;
    uint64_t lease, ttl_s;
    char *token;
    uint64_t token_serial; /* grows with every login */
    bool relogin;
    bool announced;               /* CONNECTED was said last */
    char told[SF_COORD_TEXT_MAX]; /* text of the last DISCONNECTED */
    char logged[SF_COORD_TEXT_MAX];
    uint64_t cluster_id, raft_term, revision;
    int64_t term_back_since_ns; /* 0: the last answer had a good term */
};

struct sf_etcd_watch {
    struct sf_etcd_watch *next;
    uint64_t datacenter;
    struct sf_etcd_transfer *stream, *poll;
    unsigned endpoint, failures;
    uint64_t token_serial;
    bool created, was_created;
    uint64_t seen_revision;  /* of the last line of the stream */
    uint64_t known_revision; /* nothing up to it was missed */
    bool baseline;           /* newest and count are of the last poll, and no event came since */
    uint64_t newest, count;
    int64_t retry_ns, poll_ns;
};

struct sf_etcd {
    struct sf_coord base; /* first */
    struct sf_etcd_setup setup;
    struct sf_log *log;
    const struct sf_ticks *ticks;
    sf_coord_sink *sink;
    void *sink_ctx;
    pid_t pid; /* whose thread and session they are: a forked child has neither */
    pthread_t thread;
    CURLM *multi;
    struct sf_prng prng;

    pthread_mutex_t lock;
    struct sf_etcd_job *submitted, **submitted_end;
    bool stopping;

    /* The thread's own. */
    struct sf_etcd_transfer *transfers;
    bool called; /* http_turn: a callback ran */
    struct sf_etcd_job *jobs;
    struct sf_etcd_session session;
    struct sf_etcd_watch *watches;
    int64_t changed_due_ns, changed_last_ns;
    struct sf_log_limiter limit_down, limit_login, limit_watch, limit_record, limit_stale;
};

int64_t sf_etcd_now_ns(const struct sf_etcd *etcd);
/* now + ms, with up to half of it more at random. */
int64_t sf_etcd_after_ms(struct sf_etcd *etcd, int64_t ms);
void sf_etcd_key(const struct sf_etcd *etcd, char to[SF_ETCD_KEY_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sf_etcd_notice(struct sf_etcd *etcd, enum sf_coord_event_kind kind, const char *text);

/* etcd_session.c */
void sf_etcd_session_turn(struct sf_etcd *etcd);
int64_t sf_etcd_session_due_ns(const struct sf_etcd *etcd);
/* An endpoint did not answer (or not well): use the next one, and look at the session now. */
void sf_etcd_session_suspect(struct sf_etcd *etcd, unsigned endpoint);
/* The token was refused: log in again. serial: that of the token used. */
void sf_etcd_session_relogin(struct sf_etcd *etcd, uint64_t serial);
/* May this answer be believed? Otherwise says why not; checks cluster id and term, learns the
 * revision. */
bool sf_etcd_session_believes(struct sf_etcd *etcd, const struct sf_etcd_header *header,
                              unsigned endpoint, char text[SF_COORD_TEXT_MAX]);
/* The end: gives the lease back, waiting at most SF_ETCD_FAREWELL_MS. */
void sf_etcd_session_farewell(struct sf_etcd *etcd);

/* etcd_job.c */
void sf_etcd_job_turn(struct sf_etcd *etcd);
int64_t sf_etcd_job_due_ns(const struct sf_etcd *etcd);
void sf_etcd_job_end_all(struct sf_etcd *etcd, enum sf_coord_reason reason, const char *text);
/* Delivers, and frees the job. Takes the event. */
void sf_etcd_job_finish(struct sf_etcd *etcd, struct sf_etcd_job *job, struct sf_coord_event *event,
                        const struct sf_etcd_result *result);
void sf_etcd_job_refuse(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result, enum sf_coord_outcome outcome,
                        enum sf_coord_reason reason, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
bool sf_etcd_op_writes(enum sf_coord_op op);
void sf_etcd_job_send(struct sf_etcd *etcd, struct sf_etcd_job *job, const char *path, char *body,
                      bool write, int64_t most_ms);

/* A read whose answer was no use: again at another endpoint, or LOST when there is no time. */
void sf_etcd_job_again(struct sf_etcd *etcd, struct sf_etcd_job *job, enum sf_coord_reason reason,
                       const char *text);

/* Start a job (send its first body, or refuse it), and read an answer that is OK. */
void sf_etcd_read_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_read_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);
void sf_etcd_write_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_write_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result);
void sf_etcd_init_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_init_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);
void sf_etcd_init_free(struct sf_etcd_init_work *work);
/* The config of an answer's range. Returns the reason, SF_COORD_NO_REASON when ret is filled. */
enum sf_coord_reason sf_etcd_read_config(const struct sf_etcd_range *range,
                                         struct sf_coord_config *ret, char text[SF_COORD_TEXT_MAX]);

/* etcd_watch.c */
void sf_etcd_watch_turn(struct sf_etcd *etcd);
int64_t sf_etcd_watch_due_ns(const struct sf_etcd *etcd);
/* Returns 0, or -ENOSPC when there are too many. */
int sf_etcd_watch_add(struct sf_etcd *etcd, uint64_t datacenter);
bool sf_etcd_watch_ready(const struct sf_etcd *etcd, uint64_t datacenter);
/* The endpoint is in doubt: streams on it are opened anew. */
void sf_etcd_watch_suspect(struct sf_etcd *etcd, unsigned endpoint);
void sf_etcd_watch_end(struct sf_etcd *etcd);

#endif
