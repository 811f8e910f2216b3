/* coord/zookeeper.c - the backend thread and the life of the connection. See
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
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/zookeeper_internal.h"

#define RESOLVE_PATIENCE_MS 3000 /* then the addresses that we had before are used again */
#define FIRST_COMPLAINT_MS  1000 /* without a connection: say so */
#define BACKOFF_MAX_MS      5000
#define POLL_MS             3000 /* looks at watched claims even when no watch fires */
#define CHANGED_PAUSE_MS    50   /* between CHANGED notices */
#define CLOSE_PATIENCE_MS   1000

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
    notify(z, SF_COORD_DISCONNECTED, text);
}

/* The connection. */

static int64_t timeout_ns(const struct sf_zk *z)
{
    return (int64_t)z->session_timeout_ms * SF_NS_PER_MS;
}

/* The next try after a failure: later each time, and never all workers at once. */
static void pause_after_failure(struct sf_zk *z)
{
    int64_t pause_ms =
        z->backoff_ms / 2 + (int64_t)sf_prng_below(&z->prng, (uint64_t)z->backoff_ms);
    z->backoff_ms = z->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : z->backoff_ms * 2;
    z->next_link_ns = sf_zk_now_ns(z) + pause_ms * SF_NS_PER_MS;
}

static void drop_link(struct sf_zk *z, bool pause, const char *text)
{
    struct sf_zk_link *link = z->link;
    tell_down(z, text);
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        if (!job->finished)
            sf_zk_finish_unanswered(
                z, job, link->had_session ? SF_COORD_SESSION : SF_COORD_UNREACHABLE, text);
    if (link->had_session)
        notify(z, SF_COORD_SESSION_LOST, text);
    z->link = NULL;
    sf_zk_link_close(z, link, 0);
    z->next_link_ns = sf_zk_now_ns(z);
    if (pause)
        pause_after_failure(z);
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
        z->backoff_ms = SF_ZK_BACKOFF_MIN_MS;
        z->told_down = false;
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
        pause_after_failure(z);
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
        pause_after_failure(z);
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
        sf_zk_start_job(z, (struct sf_zk_job *)message);
        return;
    case SF_ZK_ANSWERED:
        sf_zk_take_answer(z, (struct sf_zk_call *)message);
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
        sf_zk_finish_unanswered(z, job, SF_COORD_UNREACHABLE, text);
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
            sf_zk_finish(z, job, sf_zk_is_write(job->request.op) ? SF_COORD_UNKNOWN : SF_COORD_LOST,
                         SF_COORD_ENDING, "the coordinator handle is ending");
    sf_zk_reap_jobs(z);
    if (z->link != NULL)
        sf_zk_link_close(z, z->link, CLOSE_PATIENCE_MS);
    z->link = NULL;
    sf_zk_resolver_abandon(z->resolver);
    z->resolver = NULL;
}

void *sf_zk_thread(void *ctx)
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
        sf_zk_reap_jobs(z);
    }
    end(z);
    return NULL;
}

/* The contract. */

void sf_zk_submit(struct sf_coord *coord, const struct sf_coord_request *request)
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
        sf_zk_start_job(z, (struct sf_zk_job *)head);
    } else if (head->kind == SF_ZK_ANSWERED) {
        sf_zk_call_free((struct sf_zk_call *)head);
    } else if (head->kind != SF_ZK_STOP) {
        free(head);
    }
}

void sf_zk_free(struct sf_zk *z)
{
    sf_inbox_destroy(z->inbox, drop_message, z);
    sf_zk_reap_jobs(z);
    free(z->addresses);
    if (z->auth != NULL)
        explicit_bzero(z->auth, strlen(z->auth));
    free(z->auth);
    free(z->tls);
    free(z);
}

void sf_zk_destroy(struct sf_coord *coord)
{
    struct sf_zk *z = (struct sf_zk *)coord;
    if (getpid() != z->pid)
        return; /* a forked child has no thread to end, and the session is its parent's */
    sf_inbox_post(z->inbox, &z->stop.message);
    pthread_join(z->thread, NULL);
    sf_zk_log_detach(z->log);
    sf_zk_free(z);
}
