/* coord/zookeeper.c - opening, the backend thread, jobs and the life of the connection. See
 * zookeeper_internal.h for the parts.
 *
 * The life of the connection (moved by update_link, on_session and drop_link only):
 *
 *   no link --addresses known, pause over--> link, not connected --CONNECTED--> connected
 *      ^                                        |       ^------------disconnected---'|
 *      '--- not connected for longer than T, or connected and silent for longer than T, expired,
 * auth failed --- drop_link
 *
 * T is the session timeout. Dropping a link whose session was established is the end of that
 * session for us: SESSION_LOST.
 *
 * Not fork-safe: a handle belongs to the process that opened it; requests of a forked child
 * complete as LOST.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/backends.h"
#include "coord/records.h"
#include "coord/zookeeper_internal.h"

#define RESOLVE_PATIENCE_MS 3000 /* then the addresses that we had before are used again */
#define FIRST_COMPLAINT_MS  1000 /* without a connection: say so */
#define BACKOFF_MIN_MS      50
#define BACKOFF_MAX_MS      5000
#define POLL_MS             3000 /* looks at watched claims even when no watch fires */
#define CHANGED_PAUSE_MS    50   /* between CHANGED notices */
#define CLOSE_PATIENCE_MS   1000
#define PASSWORD_MAX        1024

/* Jobs. */

static bool is_write(enum sf_coord_op op)
{
    return op == SF_COORD_INIT || op == SF_COORD_CLAIM || op == SF_COORD_UNCLAIM ||
           op == SF_COORD_BIND || op == SF_COORD_RENEW || op == SF_COORD_RELEASE;
}

static void job_free(struct sf_zk_job *job)
{
    sf_coord_event_free(job->event);
    for (size_t i = 0; i < job->name_count; i++)
        free(job->names[i]);
    free(job->names);
    sf_zk_init_state_free(job->init);
    free(job);
}

static void deliver(struct sf_zk *z, struct sf_zk_job *job)
{
    SF_ASSERT(!job->finished);
    job->finished = true;
    job->event->completion.duration_ns = sf_zk_now_ns(z) - job->start_ns;
    struct sf_coord_event *event = job->event;
    job->event = NULL;
    if (z->link != NULL && job->in_flight > 0)
        sf_zk_forget_job(z->link, job);
    z->sink(z->sink_ctx, event);
}

static void drop_results(struct sf_coord_completion *completion)
{
    free(completion->config);
    free(completion->slots);
    free(completion->claims);
    completion->config = NULL;
    completion->slots = NULL;
    completion->claims = NULL;
    completion->slot_count = completion->claim_count = 0;
}

void sf_zk_finish(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_outcome outcome,
                  enum sf_coord_reason reason, const char *format, ...)
{
    if (job->finished)
        return;
    struct sf_coord_completion *completion = &job->event->completion;
    drop_results(completion);
    completion->outcome = outcome;
    completion->reason = reason;
    va_list args;
    va_start(args, format);
    vsnprintf(completion->text, sizeof completion->text, format, args);
    va_end(args);
    deliver(z, job);
}

void sf_zk_finish_done(struct sf_zk *z, struct sf_zk_job *job)
{
    if (!job->finished)
        deliver(z, job);
}

static void finish_unanswered(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_reason reason,
                              const char *text)
{
    bool unknown = is_write(job->request.op) && job->wrote;
    sf_zk_finish(z, job, unknown ? SF_COORD_UNKNOWN : SF_COORD_LOST, reason, "%s", text);
}

void sf_zk_finish_rc(struct sf_zk *z, struct sf_zk_job *job, int rc, const char *what)
{
    char text[SF_COORD_TEXT_MAX];
    snprintf(text, sizeof text, "%.150s: %s (%d)", what, zerror(rc), rc);
    switch (rc) {
    case ZNOAUTH:
        sf_log_limited(
            z->log, &z->auth_limiter, 10000, SF_LOG_ERROR, "coordinator.auth", "%s: not allowed %s",
            what, z->auth != NULL ? "with this user name and password" : "without credentials");
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_AUTH,
                     "%.150s: the ACL does not allow it %s", what,
                     z->auth != NULL ? "with this user name and password"
                                     : "without credentials (coordinator.username)");
        return;
    case ZNONODE:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_MISSING, "%s", text);
        return;
    case ZBADVERSION:
    case ZNODEEXISTS:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_VERSION, "%s", text);
        return;
    case ZINVALIDACL:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_AUTH, "%s", text);
        return;
    case ZBADARGUMENTS:
    case ZUNIMPLEMENTED:
    case ZNOTREADONLY:
    case ZNOCHILDRENFOREPHEMERALS:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID, "%s", text);
        return;
    case ZTHROTTLEDOP:
    case ZSESSIONMOVED: /* the server says that it has not done it */
        sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_UNREACHABLE, "%s", text);
        return;
    case ZSESSIONEXPIRED:
        finish_unanswered(z, job, SF_COORD_SESSION, text);
        return;
    case ZAUTHFAILED:
        finish_unanswered(z, job, SF_COORD_AUTH, text);
        return;
    default:
        finish_unanswered(z, job, SF_COORD_UNREACHABLE, text);
    }
}

static void pump(struct sf_zk *z, struct sf_zk_job *job)
{
    if (job->pumping)
        return;
    job->pumping = true;
    while (!job->finished && job->next_index < job->total && job->in_flight < SF_ZK_WINDOW) {
        int rc = job->issue(z, job, job->next_index);
        if (rc != 0) { /* it has not been sent; what was sent before may count */
            sf_zk_finish_rc(z, job, rc, "the request could not be sent");
            break;
        }
        job->next_index++;
        job->in_flight++;
    }
    job->pumping = false;
    if (!job->finished && job->in_flight == 0 && job->next_index == job->total)
        job->then(z, job);
}

void sf_zk_phase(struct sf_zk *z, struct sf_zk_job *job, size_t total,
                 int (*issue)(struct sf_zk *z, struct sf_zk_job *job, size_t index),
                 void (*then)(struct sf_zk *z, struct sf_zk_job *job))
{
    SF_ASSERT(job->in_flight == 0);
    job->next_index = 0;
    job->total = total;
    job->issue = issue;
    job->then = then;
    pump(z, job);
}

static void reap_jobs(struct sf_zk *z)
{
    for (struct sf_zk_job *job = z->jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (!job->finished)
            continue;
        if (job->prev != NULL)
            job->prev->next = job->next;
        else
            z->jobs = job->next;
        if (job->next != NULL)
            job->next->prev = job->prev;
        job_free(job);
    }
}

static void start_job(struct sf_zk *z, struct sf_zk_job *job)
{
    static void (*const table[SF_COORD_OPS])(struct sf_zk *, struct sf_zk_job *) = {
        [SF_COORD_READ_CONFIG] = sf_zk_read_config,
        [SF_COORD_INIT] = sf_zk_init,
        [SF_COORD_LIST] = sf_zk_list,
        [SF_COORD_READ_SLOT] = sf_zk_read_slot,
        [SF_COORD_CLAIM] = sf_zk_claim,
        [SF_COORD_UNCLAIM] = sf_zk_unclaim,
        [SF_COORD_BIND] = sf_zk_write,
        [SF_COORD_RENEW] = sf_zk_write,
        [SF_COORD_RELEASE] = sf_zk_write,
        [SF_COORD_WATCH] = sf_zk_watch,
    };
    job->next = z->jobs;
    if (job->next != NULL)
        job->next->prev = job;
    z->jobs = job;
    if (z->stopping)
        sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_ENDING, "the coordinator handle is ending");
    else if (z->link == NULL || !z->link->connected)
        sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                     "not connected to the coordinator");
    else
        table[job->request.op](z, job);
}

static void take_answer(struct sf_zk *z, struct sf_zk_call *call)
{
    if (call->link != NULL)
        sf_zk_call_take(call);
    struct sf_zk_job *job = call->job;
    if (job != NULL) {
        SF_ASSERT(job->in_flight > 0 && !job->finished);
        job->in_flight--;
        call->done(z, job, call);
        if (!job->finished)
            pump(z, job);
    } else if (call->done != NULL && call->link != NULL && call->link == z->link) {
        call->done(z, NULL, call); /* one of the backend's own */
    }
    sf_zk_call_free(call);
}

/* Notices. */

static void notify(struct sf_zk *z, enum sf_coord_event_kind kind, const char *text)
{
    z->sink(z->sink_ctx, sf_coord_event_notice(kind, "%s", text));
}

static void tell_down(struct sf_zk *z, const char *text)
{
    if (z->told_down)
        return;
    z->told_down = true;
    z->told_connected = false;
    sf_log_write(z->log, SF_LOG_WARN, "coordinator.disconnected", "%s", text);
    notify(z, SF_COORD_DISCONNECTED, text);
}

/* The connection. */

static int64_t timeout_ns(const struct sf_zk *z)
{
    return (int64_t)z->session_timeout_ms * SF_NS_PER_MS;
}

static void drop_link(struct sf_zk *z, bool pause, const char *text)
{
    struct sf_zk_link *link = z->link;
    tell_down(z, text);
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        if (!job->finished)
            finish_unanswered(z, job, link->had_session ? SF_COORD_SESSION : SF_COORD_UNREACHABLE,
                              text);
    if (link->had_session)
        notify(z, SF_COORD_SESSION_LOST, text);
    z->link = NULL;
    sf_zk_link_close(z, link, 0);
    int64_t pause_ms = 0;
    if (pause) {
        pause_ms = (int64_t)sf_prng_below(&z->prng, (uint64_t)z->backoff_ms) + z->backoff_ms / 2;
        z->backoff_ms = z->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : z->backoff_ms * 2;
    }
    z->next_link_ns = sf_zk_now_ns(z) + pause_ms * SF_NS_PER_MS;
    if (sf_zk_url_has_names(&z->url) && z->resolver == NULL) { /* addresses may have changed */
        z->resolver = sf_zk_resolver_start(&z->url, z->inbox);
        z->resolve_started_ns = sf_zk_now_ns(z);
    }
}

static void on_session(struct sf_zk *z, int state)
{
    struct sf_zk_link *link = z->link;
    if (state == ZOO_CONNECTED_STATE) {
        if (link->connected)
            return;
        link->connected = true;
        link->had_session = true;
        link->since_ns = sf_zk_now_ns(z);
        z->backoff_ms = BACKOFF_MIN_MS;
        z->told_down = false;
        z->told_connected = true;
        notify(z, SF_COORD_CONNECTED, "");
        for (int i = 0; i < z->watched_count; i++)
            sf_zk_watch_arm(z, i);
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        drop_link(z, false, "the ZooKeeper session has expired");
    } else if (state == ZOO_AUTH_FAILED_STATE) {
        sf_log_limited(z->log, &z->auth_limiter, 10000, SF_LOG_ERROR, "coordinator.auth",
                       "ZooKeeper refuses the credentials");
        drop_link(z, true, "ZooKeeper refuses the credentials");
    } else if (link->connected) {
        link->connected = false;
        link->since_ns = sf_zk_now_ns(z);
        tell_down(z, "the connection to ZooKeeper has broken");
    }
}

static void on_resolved(struct sf_zk *z, struct sf_zk_addresses *addresses)
{
    sf_zk_resolver_abandon(z->resolver);
    z->resolver = NULL;
    if (addresses->failure[0] != '\0')
        sf_log_limited(z->log, &z->resolve_limiter, 10000, SF_LOG_WARN, "coordinator.resolve", "%s",
                       addresses->failure);
    if (addresses->count > 0) {
        free(z->addresses);
        z->addresses = addresses;
        return;
    }
    if (z->addresses == NULL) {
        tell_down(z, addresses->failure);
        z->next_link_ns = sf_zk_now_ns(z) + z->backoff_ms * SF_NS_PER_MS;
        z->backoff_ms = z->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : z->backoff_ms * 2;
    }
    free(addresses);
}

/* There is no link: resolve, or make one from what is resolved. */
static void update_no_link(struct sf_zk *z, int64_t now_ns)
{
    if (now_ns < z->next_link_ns)
        return;
    if (z->addresses == NULL && !sf_zk_url_has_names(&z->url)) {
        z->addresses = calloc(1, sizeof *z->addresses);
        SF_ASSERT(z->addresses != NULL);
        sf_zk_resolve(&z->url, z->addresses); /* literals: at once */
    }
    bool waiting =
        z->resolver != NULL && now_ns - z->resolve_started_ns < RESOLVE_PATIENCE_MS * SF_NS_PER_MS;
    if (z->addresses == NULL && z->resolver == NULL) {
        z->resolver = sf_zk_resolver_start(&z->url, z->inbox);
        z->resolve_started_ns = now_ns;
        waiting = true;
    }
    if (z->addresses == NULL && !waiting)
        tell_down(z, "the names of the coordinator are not resolved yet");
    if (z->addresses == NULL || waiting)
        return;
    struct sf_error err = {0, ""};
    z->link = sf_zk_link_open(z, &err);
    if (z->link == NULL) {
        tell_down(z, err.text);
        z->next_link_ns = now_ns + z->backoff_ms * SF_NS_PER_MS;
        z->backoff_ms = z->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : z->backoff_ms * 2;
    }
}

static void ignore_answer(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)z;
    (void)job;
    (void)call;
}

static void update_link(struct sf_zk *z, int64_t now_ns)
{
    if (z->stopping)
        return;
    struct sf_zk_link *link = z->link;
    if (link == NULL) {
        update_no_link(z, now_ns);
        return;
    }
    int64_t age_ns = now_ns - link->since_ns;
    if (!link->connected) {
        if (!link->had_session && age_ns > FIRST_COMPLAINT_MS * SF_NS_PER_MS)
            tell_down(z, "no server of the coordinator answers");
        if (age_ns > timeout_ns(z))
            drop_link(z, !link->had_session,
                      "no server of the coordinator has answered for a "
                      "whole session timeout");
        return;
    }
    if (link->oldest != NULL && now_ns - link->oldest->sent_ns > timeout_ns(z)) {
        drop_link(z, true,
                  "the coordinator has left a request unanswered for a whole session "
                  "timeout");
        return;
    }
    if (now_ns < z->next_poll_ns)
        return;
    z->next_poll_ns = now_ns + POLL_MS * SF_NS_PER_MS;
    for (int i = 0; i < z->watched_count; i++)
        sf_zk_watch_arm(z, i);
    if (z->watched_count == 0 && link->oldest == NULL) /* is anybody there? */
        sf_zk_exists(z, NULL, 0, z->root, NULL, ignore_answer);
}

/* The thread. */

static void take_message(struct sf_zk *z, struct sf_zk_message *message)
{
    struct sf_zk_note *note = (struct sf_zk_note *)message;
    switch (message->kind) {
    case SF_ZK_SUBMITTED:
        start_job(z, (struct sf_zk_job *)message);
        return;
    case SF_ZK_ANSWERED:
        take_answer(z, (struct sf_zk_call *)message);
        return;
    case SF_ZK_SESSION:
        if (z->link != NULL && z->link->number == note->link_number && !z->stopping)
            on_session(z, note->value);
        free(note);
        return;
    case SF_ZK_WATCHED:
        if (z->link != NULL && z->link->number == note->link_number && z->link->connected)
            sf_zk_watch_arm(z, note->value);
        free(note);
        return;
    case SF_ZK_RESOLVED:
        on_resolved(z, (struct sf_zk_addresses *)message);
        return;
    case SF_ZK_STOP:
        z->stopping = true;
        return;
    }
}

static void time_out_jobs(struct sf_zk *z, int64_t now_ns)
{
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next) {
        if (job->finished || now_ns < job->deadline_ns)
            continue;
        char text[64];
        snprintf(text, sizeof text, "no answer within %u ms", job->request.deadline_ms);
        finish_unanswered(z, job, SF_COORD_UNREACHABLE, text);
    }
}

static void tell_changed(struct sf_zk *z, int64_t now_ns)
{
    if (!z->changed || now_ns < z->next_changed_ns)
        return;
    z->changed = false;
    z->next_changed_ns = now_ns + CHANGED_PAUSE_MS * SF_NS_PER_MS;
    notify(z, SF_COORD_CHANGED, "");
}

static int wait_ms(const struct sf_zk *z, int64_t now_ns)
{
    int64_t until_ns = now_ns + 200 * SF_NS_PER_MS; /* the watchdogs need no better */
    for (const struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        if (job->deadline_ns < until_ns)
            until_ns = job->deadline_ns;
    if (z->changed && z->next_changed_ns < until_ns)
        until_ns = z->next_changed_ns;
    if (z->link == NULL && z->resolver == NULL && z->next_link_ns < until_ns)
        until_ns = z->next_link_ns;
    int64_t left_ns = until_ns - now_ns;
    return left_ns <= 0 ? 0 : (int)(left_ns / SF_NS_PER_MS) + 1;
}

static void end(struct sf_zk *z)
{
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        if (!job->finished) /* the contract: writes that are outstanding are unknown */
            sf_zk_finish(z, job, is_write(job->request.op) ? SF_COORD_UNKNOWN : SF_COORD_LOST,
                         SF_COORD_ENDING, "the coordinator handle is ending");
    reap_jobs(z);
    if (z->link != NULL)
        sf_zk_link_close(z, z->link, CLOSE_PATIENCE_MS);
    z->link = NULL;
    sf_zk_resolver_abandon(z->resolver);
    z->resolver = NULL;
}

static void *thread_main(void *ctx)
{
    struct sf_zk *z = ctx;
    while (!z->stopping) {
        int64_t now_ns = sf_zk_now_ns(z);
        update_link(z, now_ns);
        tell_changed(z, now_ns);
        struct pollfd fd = {.fd = sf_inbox_fd(z->inbox), .events = POLLIN};
        poll(&fd, 1, wait_ms(z, now_ns));
        struct sf_inbox_message *message = sf_inbox_take(z->inbox);
        while (message != NULL) {
            struct sf_inbox_message *next = message->next;
            take_message(z, (struct sf_zk_message *)message);
            message = next;
        }
        time_out_jobs(z, sf_zk_now_ns(z));
        reap_jobs(z);
    }
    end(z);
    return NULL;
}

/* The contract. */

static void zk_submit(struct sf_coord *coord, const struct sf_coord_request *request)
{
    struct sf_zk *z = (struct sf_zk *)coord;
    if (getpid() != z->pid) {
        z->sink(z->sink_ctx,
                sf_coord_event_completion(request, SF_COORD_LOST, SF_COORD_SESSION,
                                          "this handle belongs to the process that forked"));
        return;
    }
    struct sf_zk_job *job = calloc(1, sizeof *job);
    SF_ASSERT(job != NULL);
    job->head.kind = SF_ZK_SUBMITTED;
    job->request = *request;
    job->start_ns = sf_zk_now_ns(z);
    job->deadline_ns = job->start_ns + (int64_t)request->deadline_ms * SF_NS_PER_MS;
    job->event = sf_coord_event_completion(request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
    sf_inbox_post(z->inbox, &job->head.message);
}

static void drop_message(void *ctx, struct sf_inbox_message *message)
{
    struct sf_zk *z = ctx;
    struct sf_zk_message *head = (struct sf_zk_message *)message;
    if (head->kind == SF_ZK_SUBMITTED) {
        z->stopping = true;
        start_job(z, (struct sf_zk_job *)head);
    } else if (head->kind == SF_ZK_ANSWERED) {
        sf_zk_call_free((struct sf_zk_call *)head);
    } else if (head->kind != SF_ZK_STOP) {
        free(head);
    }
}

static void free_all(struct sf_zk *z)
{
    sf_inbox_destroy(z->inbox, drop_message, z);
    reap_jobs(z);
    free(z->addresses);
    if (z->auth != NULL)
        explicit_bzero(z->auth, strlen(z->auth));
    free(z->auth);
    free(z->tls);
    free(z);
}

static void zk_destroy(struct sf_coord *coord)
{
    struct sf_zk *z = (struct sf_zk *)coord;
    if (getpid() != z->pid)
        return; /* a forked child has no thread to end, and the session is its parent's */
    sf_inbox_post(z->inbox, &z->stop.message);
    pthread_join(z->thread, NULL);
    sf_zk_log_detach(z->log);
    free_all(z);
}

static const struct sf_coord_ops zookeeper_ops = {
    .name = "zookeeper", .submit = zk_submit, .destroy = zk_destroy};

static int read_password(const char *path, char to[PASSWORD_MAX], struct sf_error *err)
{
    char why[96];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sf_error_set(err, -errno, "password file \"%s\": %s", path,
                            sf_errno_text(errno, why, sizeof why));
    struct stat info;
    int rc = 0;
    if (fstat(fd, &info) < 0)
        rc = sf_error_set(err, -errno, "password file \"%s\": %s", path,
                          sf_errno_text(errno, why, sizeof why));
    else if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        rc = sf_error_set(err, -EACCES,
                          "password file \"%s\" has mode %04o: take the rights of group and others "
                          "away (chmod 600)",
                          path, (unsigned)(info.st_mode & 07777));
    ssize_t size = rc == 0 ? read(fd, to, PASSWORD_MAX) : 0;
    if (size < 0)
        rc = sf_error_set(err, -errno, "password file \"%s\": %s", path,
                          sf_errno_text(errno, why, sizeof why));
    close(fd);
    if (rc < 0)
        return rc;
    while (size > 0 && (to[size - 1] == '\n' || to[size - 1] == '\r'))
        size--;
    if (size == 0 || size == PASSWORD_MAX || memchr(to, '\0', (size_t)size) != NULL)
        return sf_error_set(err, -EINVAL,
                            "password file \"%s\": must hold one line of 1 to %d bytes", path,
                            PASSWORD_MAX - 1);
    to[size] = '\0';
    return 0;
}

static int set_auth(struct sf_zk *z, const struct sf_coord_options *options, struct sf_error *err)
{
    if (options->username == NULL && options->password_file == NULL)
        return 0;
    if (options->username == NULL || options->username[0] == '\0' ||
        options->password_file == NULL || strchr(options->username, ':') != NULL)
        return sf_error_set(err, -EINVAL,
                            "ZooKeeper digest login needs coordinator.username (without a colon) "
                            "and coordinator.password_file, both or none");
    char password[PASSWORD_MAX];
    int rc = read_password(options->password_file, password, err);
    if (rc == 0 && asprintf(&z->auth, "%s:%s", options->username, password) < 0)
        SF_ASSERT(!"memory");
    explicit_bzero(password, sizeof password);
    return rc;
}

static int set_tls(struct sf_zk *z, const struct sf_coord_options *options, struct sf_error *err)
{
    if (!z->url.tls)
        return 0;
#ifdef SNOWFLEET_ZOOKEEPER_TLS
    if (options->tls_ca == NULL || options->tls_cert == NULL || options->tls_key == NULL)
        return sf_error_set(err, -EINVAL,
                            "zks:// needs coordinator.tls_ca, .tls_cert and .tls_key");
    if (asprintf(&z->tls, "%s,%s,%s,", options->tls_ca, options->tls_cert, options->tls_key) < 0)
        SF_ASSERT(!"memory");
    return 0;
#else
    return sf_error_set(err, -ENOTSUP,
                        "coordinator \"%s\": the ZooKeeper library of this build has no TLS. Run a "
                        "local tunnel (stunnel, socat) for each server and give zk:// with the "
                        "tunnels' addresses: docs/coordinators.md, \"TLS by tunnel\"",
                        options->url);
#endif
}

static int start_thread(struct sf_zk *z, struct sf_error *err)
{
    sigset_t all, before; /* the library's threads inherit the mask: signals are for others */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&z->thread, NULL, thread_main, z);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return sf_error_set(err, -rc, "cannot start the coordinator's thread");
    return 0;
}

int sf_coord_zookeeper_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                            struct sf_error *err)
{
    struct sf_zk *z = calloc(1, sizeof *z);
    SF_ASSERT(z != NULL);
    z->coord.ops = &zookeeper_ops;
    z->pid = getpid();
    z->session_timeout_ms = options->session_timeout_ms;
    z->log = options->log;
    z->ticks = options->ticks != NULL ? *options->ticks : sf_ticks_system;
    z->sink = options->sink;
    z->sink_ctx = options->sink_ctx;
    z->prng.state = sf_random_u64(); /* jitter of reconnection only */
    z->backoff_ms = BACKOFF_MIN_MS;
    z->stop.kind = SF_ZK_STOP;
    int rc = sf_fleet_name_check(options->fleet, err);
    if (rc == 0)
        rc = sf_zk_url_parse(options->url, &z->url, err);
    if (rc == 0 && (z->session_timeout_ms < 100 || z->session_timeout_ms > 3600000))
        rc = sf_error_set(err, -EINVAL, "coordinator.session_timeout_ms %u: 100 to 3600000",
                          z->session_timeout_ms);
    if (rc == 0)
        rc = set_tls(z, options, err);
    if (rc == 0)
        rc = set_auth(z, options, err);
    if (rc == 0) {
        snprintf(z->fleet, sizeof z->fleet, "%s", options->fleet);
        snprintf(z->root, sizeof z->root, "%s/snowfleet/%s", z->url.chroot, options->fleet);
        z->inbox = sf_inbox_create();
        if (z->inbox == NULL)
            rc = sf_error_set(err, -errno, "no descriptor for the coordinator's inbox");
    }
    if (rc == 0) {
        sf_zk_log_attach(z->log);
        z->next_link_ns = sf_zk_now_ns(z);
        rc = start_thread(z, err);
    }
    if (rc < 0) {
        sf_zk_log_detach(z->log);
        free_all(z);
        return rc;
    }
    *ret_coord = &z->coord;
    return 0;
}
