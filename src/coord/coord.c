/* coord/coord.c - what every backend shares: events, names, and the synchronous call. See coord.h.
 */
#include "coord/coord.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/request.h"

#define LONG_STEPS 100 /* deadlines after which even a long request is given up */
#define CALL_GRACE_MS                                                                              \
    5000 /* beyond a request's deadline: only a defect of a backend lasts that long */

void sf_coord_init(struct sf_coord *coord, const struct sf_coord_ops *ops,
                   const struct sf_coord_options *options)
{
    SF_ASSERT(ops->version_max > 0);
    *coord = (struct sf_coord){
        .ops = ops, .pid = getpid(), .sink = options->sink, .sink_ctx = options->sink_ctx};
}

/* A forked child has the handle's memory, but neither its threads nor its session. */
static bool is_inherited(const struct sf_coord *coord)
{
    return getpid() != coord->pid;
}

void sf_coord_submit(struct sf_coord *coord, const struct sf_coord_request *request)
{
    SF_ASSERT(request->op >= 0 && request->op < SF_COORD_OPS && request->deadline_ms >= 1);
    struct sf_error err = {0};
    if (is_inherited(coord))
        coord->sink(coord->sink_ctx,
                    sf_coord_event_completion(request, SF_COORD_LOST, SF_COORD_SESSION,
                                              "this handle belongs to the process that forked"));
    else if (sf_request_check(request, coord->ops->version_max, &err) < 0)
        coord->sink(coord->sink_ctx,
                    sf_coord_event_completion(request, SF_COORD_REFUSED, SF_COORD_INVALID, "%.*s",
                                              SF_COORD_TEXT_MAX - 1, err.text));
    else
        coord->ops->submit(coord, request);
}

void sf_coord_destroy(struct sf_coord *coord)
{
    if (coord == NULL)
        return;
    if (!is_inherited(coord))
        coord->ops->destroy(coord);
    else if (coord->ops->abandon != NULL)
        coord->ops->abandon(coord);
}

/* Events. */

static struct sf_coord_event *event_make(enum sf_coord_event_kind kind)
{
    struct sf_coord_event *event = calloc(1, sizeof *event);
    SF_ASSERT(event != NULL);
    event->kind = kind;
    event->completion.server_ms = -1;
    return event;
}

struct sf_coord_event *sf_coord_event_completion(const struct sf_coord_request *request,
                                                 enum sf_coord_outcome outcome,
                                                 enum sf_coord_reason reason, const char *format,
                                                 ...)
{
    struct sf_coord_event *event = event_make(SF_COORD_COMPLETION);
    event->completion.id = request->id;
    event->completion.op = request->op;
    event->completion.outcome = outcome;
    event->completion.reason = reason;
    va_list args;
    va_start(args, format);
    vsnprintf(event->completion.text, sizeof event->completion.text, format, args);
    va_end(args);
    return event;
}

struct sf_coord_event *sf_coord_event_notice(enum sf_coord_event_kind kind, const char *format, ...)
{
    SF_ASSERT(kind != SF_COORD_COMPLETION);
    struct sf_coord_event *event = event_make(kind);
    va_list args;
    va_start(args, format);
    vsnprintf(event->text, sizeof event->text, format, args);
    va_end(args);
    return event;
}

void sf_coord_event_free(struct sf_coord_event *event)
{
    if (event == NULL)
        return;
    sf_completion_drop_results(&event->completion);
    free(event);
}

/* Names. */

const char *sf_coord_op_name(enum sf_coord_op op)
{
    static const char *const names[SF_COORD_OPS] = {
        "read_config", "init", "survey", "list",  "probe",   "find", "read_slot",  "claim",
        "unclaim",     "tell", "bind",   "renew", "release", "halt", "reset_slot", "watch"};
    SF_ASSERT(op >= 0 && op < SF_COORD_OPS);
    return names[op];
}

const char *sf_coord_outcome_name(enum sf_coord_outcome outcome)
{
    static const char *const names[] = {"done", "refused", "lost", "unknown"};
    SF_ASSERT(outcome >= SF_COORD_DONE && outcome <= SF_COORD_UNKNOWN);
    return names[outcome];
}

const char *sf_coord_reason_name(enum sf_coord_reason reason)
{
    static const char *const names[SF_COORD_REASONS] = {
        "none",          "version",     "claim_gone", "config_changed", "current_gone",
        "state_changed", "missing",     "exists",     "garbage",        "auth",
        "storage",       "unreachable", "session",    "invalid",        "ending"};
    SF_ASSERT(reason >= 0 && reason < SF_COORD_REASONS);
    return names[reason];
}

/* The synchronous call. The sink queues completions and remembers whether we are connected; the
 * caller waits. */

struct sf_coord_calls {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool connected;
    char disconnected_text[SF_COORD_TEXT_MAX];
    struct sf_coord_event
        *completions; /* newest first: one is outstanding, so order does not matter */
};

struct sf_coord_calls *sf_coord_calls_create(void)
{
    struct sf_coord_calls *calls = calloc(1, sizeof *calls);
    SF_ASSERT(calls != NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&calls->lock, NULL);
    pthread_cond_init(&calls->changed, &attr);
    pthread_condattr_destroy(&attr);
    return calls;
}

void sf_coord_calls_destroy(struct sf_coord_calls *calls)
{
    if (calls == NULL)
        return;
    while (calls->completions != NULL) {
        struct sf_coord_event *event = calls->completions;
        calls->completions = event->link;
        sf_coord_event_free(event);
    }
    pthread_cond_destroy(&calls->changed);
    pthread_mutex_destroy(&calls->lock);
    free(calls);
}

void sf_coord_call_sink(void *ctx, struct sf_coord_event *event)
{
    struct sf_coord_calls *calls = ctx;
    pthread_mutex_lock(&calls->lock);
    if (event->kind == SF_COORD_COMPLETION) {
        event->link = calls->completions;
        calls->completions = event;
        event = NULL;
    } else if (event->kind == SF_COORD_CONNECTED) {
        calls->connected = true;
    } else if (event->kind == SF_COORD_DISCONNECTED) {
        calls->connected = false;
        memcpy(calls->disconnected_text, event->text, sizeof event->text);
    }
    pthread_cond_broadcast(&calls->changed);
    pthread_mutex_unlock(&calls->lock);
    sf_coord_event_free(event);
}

/* Waits a little, at most left_ms, for the sink to change something. A short step makes the wait
 * independent of how absolute times behave under a faked clock. */
static void wait_step(struct sf_coord_calls *calls, int64_t left_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t step_ns = (left_ms < 100 ? left_ms : 100) * SF_NS_PER_MS + until.tv_nsec;
    until.tv_sec += (time_t)(step_ns / SF_NS_PER_S);
    until.tv_nsec = (long)(step_ns % SF_NS_PER_S);
    pthread_cond_timedwait(&calls->changed, &calls->lock, &until);
}

static int64_t left_ms(int64_t end_ns)
{
    const int64_t left_ns = end_ns - sf_mono_ns();
    return left_ns <= 0 ? 0 : left_ns / SF_NS_PER_MS + 1;
}

/* Takes the completion with this id out of the list; with the lock held. Answers to earlier calls
 * that gave up are dropped. */
static struct sf_coord_event *take(struct sf_coord_calls *calls, uint64_t id)
{
    struct sf_coord_event *found = NULL;
    while (calls->completions != NULL) {
        struct sf_coord_event *event = calls->completions;
        calls->completions = event->link;
        event->link = NULL;
        if (event->completion.id == id && found == NULL)
            found = event;
        else
            sf_coord_event_free(event);
    }
    return found;
}

struct sf_coord_event *sf_coord_call(struct sf_coord *coord, struct sf_coord_calls *calls,
                                     const struct sf_coord_request *request)
{
    int64_t end_ns = sf_mono_ns() + (int64_t)request->deadline_ms * SF_NS_PER_MS;
    pthread_mutex_lock(&calls->lock);
    while (!calls->connected && left_ms(end_ns) > 0)
        wait_step(calls, left_ms(end_ns));
    if (!calls->connected) {
        struct sf_coord_event *event = sf_coord_event_completion(
            request, SF_COORD_LOST, SF_COORD_UNREACHABLE, "no connection within %u ms%s%s",
            request->deadline_ms, calls->disconnected_text[0] != '\0' ? ": " : "",
            calls->disconnected_text);
        pthread_mutex_unlock(&calls->lock);
        return event;
    }
    pthread_mutex_unlock(&calls->lock);

    struct sf_coord_request rest = *request;
    const int64_t rest_ms = left_ms(end_ns);
    rest.deadline_ms = rest_ms > 0 ? (uint32_t)rest_ms : 1;
    sf_coord_submit(coord, &rest);

    end_ns += CALL_GRACE_MS * SF_NS_PER_MS;
    if (sf_request_is_long(request->op)) /* for each of its steps: the backend counts them */
        end_ns += (int64_t)request->deadline_ms * LONG_STEPS * SF_NS_PER_MS;
    pthread_mutex_lock(&calls->lock);
    struct sf_coord_event *event = take(calls, request->id);
    while (event == NULL && left_ms(end_ns) > 0) {
        wait_step(calls, left_ms(end_ns));
        event = take(calls, request->id);
    }
    pthread_mutex_unlock(&calls->lock);
    if (event == NULL)
        event = sf_coord_event_completion(
            request, sf_request_writes(request->op) ? SF_COORD_UNKNOWN : SF_COORD_LOST,
            SF_COORD_UNREACHABLE, "no answer within %u ms", request->deadline_ms + CALL_GRACE_MS);
    return event;
}
