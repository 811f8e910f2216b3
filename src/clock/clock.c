/* clock/clock.c - the clock's thread and what others may ask and tell it. */
#include "clock/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/thread.h"
#include "base/wait.h"
#include "clock/sources.h"

#define LOOK_NS        (SF_NS_PER_S / 4)
#define START_GRACE_NS (3 * SF_NS_PER_S)
#define UNKNOWN_NS     (16 * SF_NS_PER_S)
#define FAR_AHEAD_S    (100LL * 365 * 86400)

/* What others may read, and what they have told us: under the mutex. */
struct shared {
    pthread_mutex_t mutex;
    struct sf_clock_snapshot snapshot;
    int64_t turned_mono_ns;
    struct sf_coordinator_time coordinator;
    int64_t minted_ns;
    bool stop;
};

struct sf_clock {
    struct sf_minttime_cell cell; /* written by the clock thread, read by all */
    struct shared shared;
    /* Set by create, then constant. */
    struct sf_ticks ticks;
    struct sf_log *log;
    sf_clock_notify *notify;
    void *notify_ctx;
    bool started;
    pthread_t thread;
    int wake_fd;
    /* The clock thread only (start before it runs, destroy after). */
    int step_fd; /* a timer that is cancelled when the wall clock is set; -1: none */
    struct sf_source_env env;
    struct sf_policy policy;
    struct sf_clock_sources sources;
};

static int check_options(const struct sf_clock_options *options, struct sf_error *err)
{
    if (options->poll_ms == 0)
        return sf_error_set(err, -EINVAL, "clock.poll_ms: 0; allowed: 1 or more");
    if (options->warn_offset_ms == 0 || options->warn_offset_ms > options->max_offset_ms)
        return sf_error_set(err, -EINVAL,
                            "clock.warn_offset_ms: %" PRIu32
                            "; allowed: 1 to clock.max_offset_ms (%" PRIu32 ")",
                            options->warn_offset_ms, options->max_offset_ms);
    if (options->require_sync && options->sources->count == 0)
        return sf_error_set(err, -EINVAL,
                            "clock.require_sync: true, but clock.sources names no source");
    return 0;
}

int sf_clock_create(const struct sf_clock_options *options, struct sf_clock **ret_clock,
                    struct sf_error *err)
{
    int rc = check_options(options, err);
    if (rc < 0)
        return rc;
    struct sf_clock *clock = calloc(1, sizeof *clock);
    if (clock == NULL)
        return sf_error_set(err, -ENOMEM, "clock: out of memory");
    pthread_mutex_init(&clock->shared.mutex, NULL);
    clock->shared.minted_ns = INT64_MIN;
    clock->step_fd = -1;
    clock->ticks = options->ticks != NULL ? *options->ticks : sf_ticks_system;
    clock->log = options->log;
    clock->notify = options->notify;
    clock->notify_ctx = options->notify_ctx;
    clock->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (clock->wake_fd < 0)
        rc = sf_error_set(err, -errno, "clock: no eventfd: %s", strerrordesc_np(errno));
    else if (sf_sources_open(&clock->sources, options->sources) < 0)
        rc = sf_error_set(err, -ENOMEM, "clock: out of memory");
    if (rc < 0) {
        sf_clock_destroy(clock);
        return rc;
    }
    clock->env = (struct sf_source_env){.ticks = &clock->ticks,
                                        .log = clock->log,
                                        .prng = {.state = sf_random_u64()},
                                        .poll_ns = options->poll_ms * SF_NS_PER_MS,
                                        .wake_fd = clock->wake_fd,
                                        .fast = true};
    const struct sf_policy_options policy = {.warn_ns = options->warn_offset_ms * SF_NS_PER_MS,
                                             .max_ns = options->max_offset_ms * SF_NS_PER_MS,
                                             .require_sync = options->require_sync,
                                             .start_grace_ns = START_GRACE_NS};
    sf_policy_init(&clock->policy, &policy, clock->ticks.mono_ns(clock->ticks.ctx));
    *ret_clock = clock;
    return 0;
}

/* --- the clock thread: looking --- */

static void log_look(struct sf_clock *clock, const struct sf_policy_output *out)
{
    const bool fine = out->verdict.state == SF_CLOCK_OK || out->verdict.state == SF_CLOCK_RESYNCING;
    if (out->step_ns != 0)
        sf_log_write(clock->log, SF_LOG_WARN, "clock.step",
                     "the wall clock was set %s by %" PRId64 " us",
                     out->step_ns > 0 ? "forward" : "back", sf_clock_abs_ns(out->step_ns) / 1000);
    if (out->state_changed && clock->notify == NULL) /* whoever is notified tells it */
        sf_log_write(clock->log, fine ? SF_LOG_INFO : SF_LOG_WARN, "clock.state", "%s: %s",
                     sf_clock_state_name(out->verdict.state), out->verdict.text);
}

static void publish(struct sf_clock *clock, struct sf_clock_now now,
                    const struct sf_policy_input *in, const struct sf_policy_output *out)
{
    struct sf_clock_snapshot *snapshot = &clock->shared.snapshot;
    if (out->mint_changed)
        sf_minttime_publish(&clock->cell, &clock->policy.mint);
    pthread_mutex_lock(&clock->shared.mutex);
    snapshot->verdict = out->verdict;
    sf_sources_describe(&clock->sources, now, in->readings, snapshot);
    snapshot->steps_forward = clock->policy.steps_forward;
    snapshot->steps_backward = clock->policy.steps_backward;
    snapshot->slew_left_ns =
        clock->policy.has_mint ? sf_minttime_pending(&clock->policy.mint, now.mono_ns) : 0;
    snapshot->slewing = snapshot->slew_left_ns != 0;
    snapshot->coordinator_known = in->coordinator.known;
    snapshot->coordinator_offset_ns =
        in->coordinator.known
            ? sf_clock_sub_ns(
                  sf_clock_add_ns(in->coordinator.server_ns, now.mono_ns - in->coordinator.mono_ns),
                  now.real_ns)
            : 0;
    snapshot->coordinator_error_ns =
        in->coordinator.known
            ? sf_clock_add_ns(in->coordinator.error_ns,
                              sf_clock_drift_ns(now.mono_ns - in->coordinator.mono_ns))
            : 0;
    clock->shared.turned_mono_ns = now.mono_ns;
    pthread_mutex_unlock(&clock->shared.mutex);
}

static void look(struct sf_clock *clock)
{
    struct sf_reading readings[SF_CLOCK_SOURCES_MAX];
    struct sf_policy_output out;
    sf_sources_read(&clock->sources, &clock->env, readings);
    const struct sf_clock_now now = sf_clock_read_now(&clock->ticks);
    struct sf_policy_input in = {.real_ns = now.real_ns,
                                 .mono_ns = now.mono_ns,
                                 .readings = readings,
                                 .reading_count = clock->sources.count};
    pthread_mutex_lock(&clock->shared.mutex);
    in.coordinator = clock->shared.coordinator;
    in.minted_ns = clock->shared.minted_ns;
    pthread_mutex_unlock(&clock->shared.mutex);
    sf_policy_evaluate(&clock->policy, &in, &out);
    clock->env.fast = !out.verdict.may_mint;
    publish(clock, now, &in, &out);
    log_look(clock, &out);
    if (out.state_changed && clock->notify != NULL)
        clock->notify(clock->notify_ctx, &out.verdict);
}

/* --- the clock thread: waiting --- */

/* Absolute on the wall clock, but never meant to go off: setting the wall clock cancels it, which
 * makes it readable. */
static void arm_step_timer(struct sf_clock *clock)
{
    const struct itimerspec far = {.it_value = {.tv_sec = time(NULL) + FAR_AHEAD_S}};
    if (clock->step_fd < 0)
        return;
    if (timerfd_settime(clock->step_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) <
        0) {
        /* The difference of the two clocks still shows steps, a little later. */
        close(clock->step_fd);
        clock->step_fd = -1;
    }
}

static void drain_wake_ups(struct sf_clock *clock)
{
    uint64_t count;
    while (sf_wait_is_event(clock->wake_fd) && read(clock->wake_fd, &count, sizeof count) > 0)
        ;
    if (sf_wait_is_event(clock->step_fd) && read(clock->step_fd, &count, sizeof count) < 0 &&
        errno == ECANCELED)
        arm_step_timer(clock);
}

/* Until a source wants to be polled, at most until the next look; at least 1 ms, so that nothing
 * spins. */
static int wait_ms(const struct sf_clock *clock)
{
    const int64_t mono_ns = clock->ticks.mono_ns(clock->ticks.ctx);
    const int64_t left_ns = sf_clock_sub_ns(sf_sources_due_mono_ns(&clock->sources), mono_ns);
    const int64_t wait_ns = left_ns < LOOK_NS ? left_ns : LOOK_NS;
    return wait_ns < SF_NS_PER_MS ? 1 : (int)(wait_ns / SF_NS_PER_MS) + 1;
}

static void wait_for_something(struct sf_clock *clock)
{
    struct pollfd fds[2 + SF_CLOCK_SOURCES_MAX];
    fds[0] = (struct pollfd){.fd = clock->wake_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = clock->step_fd, .events = POLLIN};
    const size_t count = 2 + sf_sources_fds(&clock->sources, fds + 2);
    if (sf_wait(fds, count, wait_ms(clock)) > 0 && (fds[0].revents != 0 || fds[1].revents != 0))
        drain_wake_ups(clock);
}

static bool stopping(struct sf_clock *clock)
{
    pthread_mutex_lock(&clock->shared.mutex);
    const bool stop = clock->shared.stop;
    pthread_mutex_unlock(&clock->shared.mutex);
    return stop;
}

static void *clock_thread(void *ctx)
{
    struct sf_clock *clock = ctx;
    while (!stopping(clock)) {
        sf_sources_poll(&clock->sources, &clock->env);
        look(clock);
        wait_for_something(clock);
    }
    return NULL;
}

int sf_clock_start(struct sf_clock *clock, struct sf_error *err)
{
    SF_ASSERT(!clock->started);
    clock->step_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    arm_step_timer(clock);
    look(clock);
    const int rc = sf_thread_start(&clock->thread, "clock", clock_thread, clock);
    if (rc != 0)
        return sf_error_set(err, rc, "clock: no thread: %s", strerrordesc_np(-rc));
    clock->started = true;
    return 0;
}

static void wake(struct sf_clock *clock)
{
    const uint64_t one = 1;
    const ssize_t written =
        sf_wait_is_event(clock->wake_fd) ? write(clock->wake_fd, &one, sizeof one) : 0;
    (void)written; /* full means readable */
}

void sf_clock_destroy(struct sf_clock *clock)
{
    if (clock == NULL)
        return;
    if (clock->started) {
        pthread_mutex_lock(&clock->shared.mutex);
        clock->shared.stop = true;
        pthread_mutex_unlock(&clock->shared.mutex);
        wake(clock);
        pthread_join(clock->thread, NULL);
    }
    sf_sources_close(&clock->sources);
    if (clock->step_fd >= 0)
        close(clock->step_fd);
    if (clock->wake_fd >= 0)
        close(clock->wake_fd);
    pthread_mutex_destroy(&clock->shared.mutex);
    free(clock);
}

/* --- for everybody --- */

const struct sf_minttime_cell *sf_clock_cell(const struct sf_clock *clock)
{
    return &clock->cell;
}

/* A coordinator may tell any number: one beyond the type stops at its end, and is far off. */
static int64_t ns_of_ms(int64_t ms)
{
    int64_t ns;
    if (!__builtin_mul_overflow(ms, SF_NS_PER_MS, &ns))
        return ns;
    return ms > 0 ? INT64_MAX : INT64_MIN;
}

void sf_clock_coordinator_time(struct sf_clock *clock, int64_t server_ms, int64_t error_ms,
                               int64_t mono_ns)
{
    const struct sf_coordinator_time time = {.known = true,
                                             .server_ns = ns_of_ms(server_ms),
                                             .error_ns = ns_of_ms(error_ms),
                                             .mono_ns = mono_ns};
    pthread_mutex_lock(&clock->shared.mutex);
    clock->shared.coordinator = time;
    pthread_mutex_unlock(&clock->shared.mutex);
    wake(clock);
}

void sf_clock_minted(struct sf_clock *clock, int64_t minted_ms)
{
    pthread_mutex_lock(&clock->shared.mutex);
    clock->shared.minted_ns = minted_ms * SF_NS_PER_MS;
    pthread_mutex_unlock(&clock->shared.mutex);
}

void sf_clock_verdict(struct sf_clock *clock, struct sf_clock_verdict *ret_verdict)
{
    pthread_mutex_lock(&clock->shared.mutex);
    *ret_verdict = clock->shared.snapshot.verdict;
    pthread_mutex_unlock(&clock->shared.mutex);
}

int64_t sf_clock_stall_ms(struct sf_clock *clock)
{
    pthread_mutex_lock(&clock->shared.mutex);
    const int64_t turned_ns = clock->shared.turned_mono_ns;
    pthread_mutex_unlock(&clock->shared.mutex);
    return (clock->ticks.mono_ns(clock->ticks.ctx) - turned_ns) / SF_NS_PER_MS;
}

void sf_clock_snapshot(struct sf_clock *clock, struct sf_clock_snapshot *ret_snapshot)
{
    pthread_mutex_lock(&clock->shared.mutex);
    *ret_snapshot = clock->shared.snapshot;
    pthread_mutex_unlock(&clock->shared.mutex);
}

void sf_clock_interval(struct sf_clock *clock, struct sf_clock_interval *ret_interval)
{
    struct sf_clock_verdict verdict;
    struct sf_clock_interval interval = {.source = SF_CLOCK_NONE};
    sf_clock_verdict(clock, &verdict);
    const struct sf_clock_now now = sf_clock_read_now(&clock->ticks);
    if (verdict.trusted) {
        const int64_t age_ns = now.mono_ns - verdict.trusted_mono_ns;
        const int64_t drift_ns = sf_clock_drift_ns(age_ns);
        interval.earliest_ns = verdict.trusted_low_ns + age_ns - drift_ns;
        interval.latest_ns = verdict.trusted_high_ns + age_ns + drift_ns;
        interval.source = verdict.trusted_source;
        interval.synchronized = verdict.synchronized;
    } else {
        interval.earliest_ns = now.real_ns - UNKNOWN_NS;
        interval.latest_ns = now.real_ns + UNKNOWN_NS;
    }
    interval.error_ns = (interval.latest_ns - interval.earliest_ns + 1) / 2;
    interval.offset_ns = interval.earliest_ns + interval.error_ns - now.real_ns;
    *ret_interval = interval;
}
