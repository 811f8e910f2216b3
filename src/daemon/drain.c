/* How a worker ends: the phases, and when the next one begins. */
#include "daemon/drain.h"

#include "base/assert.h"
#include "base/exit_codes.h"
#include "base/ticks.h"

#define RELEASE_MS   2000 /* of drain.timeout_ms, kept for giving the slots back */
#define LEAVE_MIN_MS 100  /* and never less than this */
#define TURN_MS      1000 /* main turns at least so often */
#define LOOK_MS      5    /* while draining: the last connection's end is not signalled */

static void enter(struct sf_daemon *d, enum sf_phase to)
{
    static const bool allowed[SF_PHASES][SF_PHASES] = {
        [SF_PHASE_RUNNING] =
            {[SF_PHASE_DELAYING] = true, [SF_PHASE_LEAVING] = true, [SF_PHASE_OVER] = true},
        [SF_PHASE_DELAYING] = {[SF_PHASE_DRAINING] = true, [SF_PHASE_LEAVING] = true},
        [SF_PHASE_DRAINING] = {[SF_PHASE_LEAVING] = true},
        [SF_PHASE_LEAVING] = {[SF_PHASE_OVER] = true},
    };
    SF_ASSERT(allowed[atomic_load(&d->phase)][to]);
    atomic_store(&d->phase, to);
    d->phase_mono_ms = sf_mono_ns() / SF_NS_PER_MS;
}

void sf_drain_begin(struct sf_daemon *d, const char *because)
{
    if (atomic_load(&d->phase) != SF_PHASE_RUNNING)
        return;
    sf_log_write(d->log, SF_LOG_INFO, "drain.begin",
                 "%s: not ready from now on, serving for %u ms more, then ending within %u ms",
                 because, d->config->drain_delay_ms, d->config->drain_timeout_ms);
    sf_member_tell(d->member, SF_LOG_INFO, "drain.begin", because);
    enter(d, SF_PHASE_DELAYING);
}

void sf_drain_ask(struct sf_daemon *d)
{
    atomic_store(&d->drain_asked, true);
    sf_inbox_wake(d->inbox);
}

/* How long work that was begun is waited for. */
static uint32_t serve_ms(const struct sf_daemon *d)
{
    const uint32_t all_ms = d->config->drain_timeout_ms;
    return all_ms > 2 * RELEASE_MS ? all_ms - RELEASE_MS : all_ms / 2;
}

static void leave(struct sf_daemon *d, int64_t drained_ms)
{
    const int64_t left_ms = d->config->drain_timeout_ms - drained_ms;
    enter(d, SF_PHASE_LEAVING);
    sf_member_leave(d->member, left_ms > LEAVE_MIN_MS ? left_ms : LEAVE_MIN_MS);
}

static void check_start(struct sf_daemon *d, const struct sf_member_snapshot *member)
{
    const struct sf_config *config = d->config;
    const int64_t since_ms = sf_mono_ns() / SF_NS_PER_MS - d->start_mono_ms;
    if (config->start_timeout_ms == 0 || member->connected_once ||
        since_ms < config->start_timeout_ms)
        return;
    sf_log_write(d->log, SF_LOG_ERROR, "start.timeout",
                 "coordinator %s not reachable within %u ms (%s); check the address, or raise "
                 "--start-timeout",
                 config->fleet_coordinator, config->start_timeout_ms, member->why);
    d->exit_code = SF_EXIT_UNREACHABLE;
    enter(d, SF_PHASE_OVER);
}

void sf_drain_advance(struct sf_daemon *d)
{
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    const int64_t in_phase_ms = sf_mono_ns() / SF_NS_PER_MS - d->phase_mono_ms;
    /* A machine that cannot go on takes the process with it. */
    if (member.leaving && atomic_load(&d->phase) < SF_PHASE_LEAVING)
        enter(d, SF_PHASE_LEAVING);
    switch (atomic_load(&d->phase)) {
    case SF_PHASE_RUNNING:
        check_start(d, &member);
        break;
    case SF_PHASE_DELAYING:
        if (in_phase_ms < d->config->drain_delay_ms)
            break;
        enter(d, SF_PHASE_DRAINING);
        sf_server_drain(d->server, serve_ms(d), "this worker is shutting down");
        break;
    case SF_PHASE_DRAINING:
        if (sf_server_connections(d->server) == 0 || in_phase_ms >= serve_ms(d))
            leave(d, in_phase_ms);
        break;
    case SF_PHASE_LEAVING:
        if (!member.ended)
            break;
        d->exit_code = member.exit_code;
        enter(d, SF_PHASE_OVER);
        break;
    case SF_PHASE_OVER:
    case SF_PHASES:
        break;
    }
}

int sf_drain_wait_ms(const struct sf_daemon *d)
{
    const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
    int64_t wake_ms = now_ms + TURN_MS;
    switch (atomic_load(&d->phase)) {
    case SF_PHASE_RUNNING:
        if (d->config->start_timeout_ms > 0 &&
            d->start_mono_ms + d->config->start_timeout_ms > now_ms)
            wake_ms = d->start_mono_ms + d->config->start_timeout_ms;
        break;
    case SF_PHASE_DELAYING:
        wake_ms = d->phase_mono_ms + d->config->drain_delay_ms;
        break;
    case SF_PHASE_DRAINING:
        wake_ms = now_ms + LOOK_MS;
        break;
    default:
        break;
    }
    if (wake_ms > now_ms + TURN_MS)
        wake_ms = now_ms + TURN_MS;
    return wake_ms < now_ms ? 0 : (int)(wake_ms - now_ms);
}
