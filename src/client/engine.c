/* The loop of an engine, its timers, and what becomes of it in a child after fork. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "client/engine_inner.h"

#define EVENTS_MAX 64
/* A connection whose oldest request has waited this many attempt timeouts is given up. */
#define SILENCE_FACTOR 10
#define SILENCE_MIN_NS (INT64_C(1000) * SF_NS_PER_MS)
/* Requests of one call that may wait for an answer at a time. */
#define IN_FLIGHT_MAX 8
/* An engine that was left alone this long looks at its sockets before it uses them. */
#define STALE_NS (INT64_C(500) * SF_NS_PER_MS)

struct sf_engine *sf_engine_create(struct sf_shared *shared)
{
    struct sf_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return NULL;
    engine->shared = shared;
    engine->process = sf_fork_number(&shared->fork);
    engine->timer_fd = -1;
    atomic_init(&engine->nudge_fd, -1);
    engine->queue_end = &engine->queue;
    engine->ended_end = &engine->ended;
    engine->timer_ns = INT64_MAX;
    engine->timer_set_ns = INT64_MAX;
    engine->now_ns = engine->turned_ns = sf_mono_ns();
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll_fd < 0) {
        free(engine);
        return NULL;
    }
    return engine;
}

/* --- timers --- */

/* Does some server that was reached hold a request of the call? */
static bool is_heard(struct sf_engine *engine, const struct sf_call *call)
{
    for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        for (uint32_t i = 0; conn->announced && i < sf_conn_pending(conn); i++)
            if (sf_conn_pending_at(conn, i)->owner == call)
                return true;
    return false;
}

static void expire(struct sf_engine *engine, struct sf_call *call)
{
    enum sf_client_error error = call->last_error;
    const long long waited_ms = (engine->now_ns - call->started_ns) / SF_NS_PER_MS;
    char *detail = call->reply.detail;
    if (error == SF_CLIENT_OK || error == SF_CLIENT_UNREACHABLE || error == SF_CLIENT_TIMEOUT) {
        error = is_heard(engine, call) ? SF_CLIENT_TIMEOUT : SF_CLIENT_UNREACHABLE;
        if (error == SF_CLIENT_TIMEOUT)
            (void)snprintf(detail, sizeof call->reply.detail,
                           "no answer within %lld ms (%u requests)", waited_ms,
                           call->reply.attempts);
        else if (detail[0] == '\0')
            (void)snprintf(detail, sizeof call->reply.detail,
                           "no server could be connected to within %lld ms", waited_ms);
    }
    sf_engine_finish(engine, call, error);
}

/* Takes a token for a request beside one that is not answered. */
static bool may_hedge(struct sf_engine *engine)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    const bool may = sf_client_policy_may_hedge(&shared->policy);
    pthread_mutex_unlock(&shared->mutex);
    sf_count(shared, SF_COUNT_HEDGES, may);
    return may;
}

/* The attempt has had its time: mark the server (unless the time was a short one), ask another one
 * beside it. Its answer still counts if it comes first. */
static void grow_impatient(struct sf_engine *engine, struct sf_call *call)
{
    if (sf_call_may_hedge(engine, call)) {
        call->hedged = true;
        if (!may_hedge(engine)) {
            sf_engine_set_attempt_timer(engine, call); /* the rest of its time */
            return;
        }
    } else if (call->silenced || call->hasty) {
        sf_count(engine->shared, SF_COUNT_HEDGES, 1);
    } else {
        call->silenced = true;
        sf_count(engine->shared, SF_COUNT_SILENCES, 1);
        if (call->last_error == SF_CLIENT_OK)
            call->last_error = SF_CLIENT_TIMEOUT;
        sf_engine_report(engine, call->last_server, call->last_generation, SF_OUTCOME_SILENT, 0);
    }
    sf_client_policy_tried_add(&call->tried, call->last_server);
    if (call->in_flight < IN_FLIGHT_MAX)
        sf_engine_enqueue(engine, call);
    else
        sf_engine_set_attempt_timer(engine, call);
}

static void call_timer(struct sf_engine *engine, struct sf_call *call)
{
    if (engine->now_ns >= call->deadline_ns) {
        expire(engine, call);
        return;
    }
    if (call->state != SF_CALL_QUEUED && engine->now_ns >= call->timer_ns) {
        if (call->state == SF_CALL_WAITING)
            sf_engine_enqueue(engine, call);
        else
            grow_impatient(engine, call);
    }
    sf_engine_want_timer(engine, call->deadline_ns);
    if (call->state != SF_CALL_QUEUED)
        sf_engine_want_timer(engine, call->timer_ns);
}

static void conn_timer(struct sf_engine *engine, struct sf_conn *conn)
{
    const struct sf_client_options *options = &engine->shared->options;
    const int64_t attempt_ns = sf_ms(options->attempt_timeout_ms);
    if (conn->state == SF_CONN_CONNECTING || conn->state == SF_CONN_HANDSHAKING) {
        const int64_t due = conn->started_ns + sf_ms(options->connect_timeout_ms);
        if (engine->now_ns >= due)
            sf_conn_close(conn, "no connection within %u ms", options->connect_timeout_ms);
        else
            sf_engine_want_timer(engine, due);
    } else if (sf_conn_pending(conn) > 0) {
        const int64_t most = attempt_ns * SILENCE_FACTOR > SILENCE_MIN_NS
                                 ? attempt_ns * SILENCE_FACTOR
                                 : SILENCE_MIN_NS;
        const int64_t due = sf_conn_pending_at(conn, 0)->sent_ns + most;
        if (engine->now_ns >= due)
            sf_conn_close(conn, "silent for %" PRId64 " ms", most / SF_NS_PER_MS);
        else
            sf_engine_want_timer(engine, due);
    }
    /* Whoever waits for an answer judges the server himself. Nobody waits for a probe, nor for what
     * another server has answered meanwhile: there the oldest is enough. */
    for (uint32_t i = 0; i < sf_conn_pending(conn) && (i == 0 || engine->probes > 0); i++) {
        struct sf_pending *pending = sf_conn_pending_at(conn, i);
        const bool left = i == 0 && pending->kind == SF_PENDING_CALL && pending->owner == NULL;
        if (pending->silent || !(left || pending->kind == SF_PENDING_PROBE))
            continue;
        if (engine->now_ns >= pending->sent_ns + attempt_ns) {
            pending->silent = true;
            sf_engine_report(engine, conn->server, conn->generation, SF_OUTCOME_SILENT, 0);
        } else {
            sf_engine_want_timer(engine, pending->sent_ns + attempt_ns);
        }
    }
}

static void run_timers(struct sf_engine *engine)
{
    engine->timer_ns = INT64_MAX;
    for (struct sf_call *call = engine->calls, *next; call != NULL; call = next) {
        next = call->next;
        call_timer(engine, call);
    }
    for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        conn_timer(engine, conn);
}

/* --- the loop --- */

/* Returns false in a child that was forked meanwhile: those that are left are the parent's. */
static bool report_ended(struct sf_engine *engine)
{
    while (engine->ended != NULL && sf_engine_is_ours(engine)) {
        struct sf_call *call = engine->ended;
        engine->ended = call->queue_next;
        if (engine->ended == NULL)
            engine->ended_end = &engine->ended;
        call->done(call->ctx, &call->reply);
        free(call->reply.runs);
        free(call);
    }
    return sf_engine_is_ours(engine);
}

static void set_timer_fd(struct sf_engine *engine)
{
    if (engine->timer_fd < 0 || engine->timer_ns == engine->timer_set_ns)
        return;
    engine->timer_set_ns = engine->timer_ns;
    struct itimerspec spec = {0};
    if (engine->timer_ns != INT64_MAX) {
        const int64_t wait =
            engine->timer_ns > engine->now_ns ? engine->timer_ns - engine->now_ns : 1;
        spec.it_value.tv_sec = wait / SF_NS_PER_S;
        spec.it_value.tv_nsec = wait % SF_NS_PER_S;
    }
    SF_ASSERT(timerfd_settime(engine->timer_fd, 0, &spec, NULL) == 0);
}

static int wait_ms(struct sf_engine *engine, bool wait)
{
    if (!wait)
        return 0;
    if (engine->timer_ns == INT64_MAX)
        return -1;
    const int64_t left = engine->timer_ns - engine->now_ns;
    return left <= 0 ? 0 : (int)((left + SF_NS_PER_MS - 1) / SF_NS_PER_MS);
}

static bool turn(struct sf_engine *engine, bool wait)
{
    struct epoll_event events[EVENTS_MAX];
    const int timeout = wait_ms(engine, wait && engine->queue == NULL && engine->ended == NULL);
    const int count = epoll_wait(engine->epoll_fd, events, EVENTS_MAX, timeout);
    if (!sf_engine_is_ours(engine))
        return false;
    engine->now_ns = engine->turned_ns = sf_mono_ns();
    for (int i = 0; i < count; i++) {
        uint64_t ticks;
        if (events[i].data.ptr == &engine->nudge_fd) {
            (void)!read(atomic_load(&engine->nudge_fd), &ticks, sizeof ticks);
            continue;
        }
        if (events[i].data.ptr == engine) {
            (void)!read(engine->timer_fd, &ticks, sizeof ticks);
            engine->timer_set_ns = INT64_MAX;
            continue;
        }
        struct sf_conn *conn = events[i].data.ptr;
        if (conn->state != SF_CONN_CLOSED)
            sf_conn_on_ready(conn, events[i].events, &sf_engine_handler, engine, engine->now_ns);
    }
    sf_engine_bury_closed(engine);
    if (engine->now_ns >= engine->timer_ns) {
        run_timers(engine);
        sf_engine_bury_closed(engine);
    }
    sf_engine_pump(engine);
    while (engine->ended != NULL) {
        if (!report_ended(engine))
            return false;
        sf_engine_pump(engine); /* what the callbacks submitted */
    }
    set_timer_fd(engine);
    return true;
}

bool sf_engine_turn(struct sf_engine *engine, bool wait)
{
    SF_ASSERT(!engine->turning); /* a callback must not call process */
    engine->turning = true;
    const bool ours = turn(engine, wait);
    engine->turning = false;
    return ours;
}

void sf_engine_start(struct sf_engine *engine, struct sf_call *call)
{
    const int64_t now = sf_mono_ns();
    struct sf_shared *shared = engine->shared;
    /* Not in the asynchronous engine: callbacks come from process alone, which its owner calls when
     * a socket has news. */
    if (engine->timer_fd < 0 && !engine->turning &&
        (engine->probes > 0 || now - engine->turned_ns > STALE_NS))
        (void)sf_engine_turn(engine, false); /* a child learns it from the next one */
    engine->now_ns = now;
    call->started_ns = now;
    const uint32_t timeout_ms =
        call->request.timeout_ms > 0 ? call->request.timeout_ms : shared->options.timeout_ms;
    call->deadline_ns = now + sf_ms(timeout_ms);
    call->next = engine->calls;
    call->link = &engine->calls;
    if (call->next != NULL)
        call->next->link = &call->next;
    engine->calls = call;
    engine->call_count++;
    sf_engine_want_timer(engine, call->deadline_ns);
    pthread_mutex_lock(&shared->mutex);
    sf_client_policy_call(&shared->policy);
    pthread_mutex_unlock(&shared->mutex);
    sf_engine_enqueue(engine, call);
    if (!engine->turning) {
        sf_engine_pump(engine);
        set_timer_fd(engine);
    }
}

bool sf_engine_nudge(struct sf_engine *engine)
{
    int fd = atomic_load(&engine->nudge_fd);
    if (fd < 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &engine->nudge_fd};
        fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd < 0)
            return false;
        atomic_store(&engine->nudge_fd, fd);
        if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
            atomic_store(&engine->nudge_fd, -1);
            (void)close(fd);
            return false;
        }
    }
    const uint64_t one = 1;
    return write(fd, &one, sizeof one) == sizeof one || errno == EAGAIN;
}

int sf_engine_fd(struct sf_engine *engine)
{
    if (engine->timer_fd >= 0)
        return engine->epoll_fd;
    engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (engine->timer_fd < 0)
        return -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = engine};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->timer_fd, &event) != 0) {
        (void)close(engine->timer_fd);
        engine->timer_fd = -1;
        return -1;
    }
    set_timer_fd(engine);
    return engine->epoll_fd;
}

void sf_engine_wake(struct sf_engine *engine)
{
    sf_engine_want_timer(engine, engine->now_ns);
    set_timer_fd(engine);
}

uint32_t sf_engine_calls(const struct sf_engine *engine)
{
    return engine->call_count;
}

/* --- fork, and the end --- */

void sf_engine_enter(struct sf_engine *engine)
{
    atomic_fetch_add(&engine->users, 1);
}

void sf_engine_leave(struct sf_engine *engine)
{
    atomic_fetch_sub(&engine->users, 1);
}

bool sf_engine_in_use(const struct sf_engine *engine)
{
    return atomic_load(&engine->users) > 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_nudge(struct sf_engine *engine)
{
    int fd = atomic_exchange(&engine->nudge_fd, -1);
    close_fd(&fd);
}

void sf_engine_forsake(struct sf_engine *engine)
{
    for (struct sf_conn *conn = engine->conns; conn != NULL; conn = conn->next)
        close_fd(&conn->fd);
    close_nudge(engine);
    close_fd(&engine->timer_fd);
    close_fd(&engine->epoll_fd);
}

/* Appends the call, with a reply that has no IDs. Returns where the next one goes. */
static struct sf_call **orphan(struct sf_call *call, const char *why, struct sf_call **end)
{
    struct sf_client_reply *const reply = &call->reply;
    free(reply->runs);
    reply->runs = NULL;
    reply->run_count = reply->count = 0;
    reply->error = SF_CLIENT_CANCELLED;
    (void)snprintf(reply->detail, sizeof reply->detail, "%s", why);
    *end = call;
    call->queue_next = NULL;
    return &call->queue_next;
}

struct sf_call *sf_engine_orphans(struct sf_engine *engine, const char *why)
{
    struct sf_call *orphans = NULL, **end = &orphans, *next;
    for (struct sf_call *call = engine->ended; call != NULL; call = next) {
        next = call->queue_next;
        end = orphan(call, why, end);
    }
    for (struct sf_call *call = engine->queue; call != NULL; call = next) {
        next = call->queue_next;
        if (call->state == SF_CALL_DONE) /* the others are under way, and come below */
            end = orphan(call, why, end);
    }
    for (struct sf_call *call = engine->calls; call != NULL; call = call->next)
        end = orphan(call, why, end);
    engine->ended = engine->queue = engine->calls = NULL;
    engine->call_count = 0;
    return orphans;
}

void sf_engine_destroy(struct sf_engine *engine)
{
    SF_ASSERT(engine->calls == NULL && engine->ended == NULL);
    const bool abandon = !sf_engine_is_ours(engine);
    for (struct sf_conn *conn = engine->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        sf_conn_destroy(conn, abandon);
    }
    close_nudge(engine);
    close_fd(&engine->timer_fd);
    close_fd(&engine->epoll_fd);
    free(engine);
}
