/* The control thread: carries events into the pure machines and their wishes out. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "daemon/daemon.h"

int64_t sf_control_mono_ms(void)
{
    return sf_mono_ns() / SF_NS_PER_MS;
}

/* Minting time in Unix ms; the wall clock while the clock allows none yet (nothing is minted). */
int64_t sf_control_mint_ms(const struct sf_daemon *d)
{
    const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(d->clock));
    if (mint.anchor_mint_ns == 0)
        return sf_real_ns() / SF_NS_PER_MS;
    return sf_minttime_at(&mint, sf_mono_ns()) / SF_NS_PER_MS;
}

void sf_control_post(struct sf_daemon *d, enum sf_message_kind kind, struct sf_coord_event *event)
{
    struct sf_message *message = malloc(sizeof *message);
    SF_ASSERT(message);
    message->kind = kind;
    message->event = event;
    sf_inbox_post(d->inbox, &message->link);
}

static void now_of(struct sf_daemon *d, const struct sf_clock_verdict *verdict,
                   struct sf_reservation_now *ret)
{
    const int64_t mono_ns = sf_mono_ns();
    ret->mono_ms = mono_ns / SF_NS_PER_MS;
    ret->mint_ms = sf_control_mint_ms(d);
    ret->clock_ok = verdict->may_mint;
    ret->clock_text = verdict->text;
    ret->wants_server_time = !sf_clock_kind_row(verdict->source)->witness;
    ret->trusted_ms = -1;
    if (verdict->trusted)
        ret->trusted_ms =
            (verdict->trusted_high_ns + (mono_ns - verdict->trusted_mono_ns)) / SF_NS_PER_MS + 1;
    else if (d->coord_time_known)
        ret->trusted_ms = d->coord_high_ms + (ret->mono_ms - d->coord_mono_ms);
    sf_random_bytes(ret->random, sizeof ret->random);
}

/* The limiter of an event that comes again with every try, or NULL. */
static struct sf_log_limiter *repeats(struct sf_hold *hold, const char *event)
{
    static const char *const events[SF_DAEMON_REPEATS] = {"coordinator.failed", "fleet.missing",
                                                          "slot.poisoned", "reservation.clock"};
    for (unsigned i = 0; i < SF_DAEMON_REPEATS; i++)
        if (strcmp(event, events[i]) == 0)
            return &hold->repeats[i];
    return NULL;
}

static void tell(struct sf_daemon *d, struct sf_hold *hold, const struct sf_reservation_output *out)
{
    for (unsigned i = 0; i < out->log_count; i++) {
        const char *event = out->logs[i].event, *text = out->logs[i].text;
        struct sf_log_limiter *limiter = repeats(hold, event);
        if (limiter != NULL) {
            sf_log_limited(d->log, limiter, 1000, out->logs[i].level, event, "%s", text);
            continue;
        }
        sf_log_write(d->log, out->logs[i].level, event, "%s", text);
        if (out->logs[i].level >= SF_LOG_INFO)
            sf_shared_event(d, out->logs[i].level, event, text);
    }
}

/* Shards may look at the generators once all of them are set up. */
static void publish_epoch(struct sf_daemon *d)
{
    if (atomic_load(&d->epoch_ms) != INT64_MIN)
        return;
    for (unsigned i = 0; i < d->hold_count; i++)
        if (!d->holds[i].res.generator_ready)
            return;
    sf_server_layout_known(d->server);
    atomic_store(&d->epoch_ms, d->holds[0].res.config.epoch_ms);
}

static void step(struct sf_daemon *d, struct sf_hold *hold,
                 const struct sf_reservation_event *event)
{
    if (hold->finished)
        return;
    struct sf_clock_verdict verdict;
    struct sf_reservation_now now;
    struct sf_reservation_output out;
    sf_clock_verdict(d->clock, &verdict);
    now_of(d, &verdict, &now);
    sf_reservation_step(&hold->res, event, &now, &out);
    if (out.save || out.forget)
        sf_right_save(d, hold);
    tell(d, hold, &out);
    sf_collect_stats(d, hold);
    hold->wake_mono_ms = out.wake_mono_ms;
    publish_epoch(d);
    if (out.finished) {
        hold->finished = true;
        hold->exit_code = out.exit_code;
    }
    if (out.has_request)
        sf_coord_submit(d->coord, &out.request);
}

static void step_all(struct sf_daemon *d, const struct sf_reservation_event *event)
{
    for (unsigned i = 0; i < d->hold_count; i++)
        step(d, &d->holds[i], event);
}

/* The coordinator's clock: a cap on reservations when no source is trusted, and a check of ours. */
static void learn_coordinator_time(struct sf_daemon *d, const struct sf_coord_completion *c)
{
    if (c->server_ms < 0)
        return;
    const int64_t now_ns = sf_mono_ns(), now_ms = now_ns / SF_NS_PER_MS;
    const int64_t error_ms = c->server_error_ms + c->duration_ns / SF_NS_PER_MS + 1;
    /* A slow answer says little: the better one before it is kept for a while. */
    if (d->coord_time_known && error_ms > d->coord_error_ms &&
        now_ms - d->coord_mono_ms < SF_DAEMON_SAMPLE_MS)
        return;
    d->coord_time_known = true;
    d->coord_error_ms = error_ms;
    d->coord_high_ms = c->server_ms + error_ms;
    d->coord_mono_ms = now_ms;
    sf_clock_coordinator_time(d->clock, c->server_ms, error_ms, now_ns);
}

static void on_coord_event(struct sf_daemon *d, struct sf_coord_event *event)
{
    switch (event->kind) {
    case SF_COORD_COMPLETION:
        learn_coordinator_time(d, &event->completion);
        sf_collect_completion(d, &event->completion);
        if (event->completion.op == SF_COORD_LIST && event->completion.outcome == SF_COORD_DONE)
            sf_shared_listed(d, &event->completion);
        break;
    case SF_COORD_CONNECTED:
        d->connected_once = true;
        sf_log_write(d->log, SF_LOG_INFO, "coordinator.connected", "%s", event->text);
        sf_shared_event(d, SF_LOG_INFO, "coordinator.connected", event->text);
        break;
    case SF_COORD_DISCONNECTED:
        sf_log_limited(d->log, &d->disconnected_limiter, 1000, SF_LOG_WARN,
                       "coordinator.disconnected",
                       "%s; minting goes on to the end of the reservation", event->text);
        sf_shared_event(d, SF_LOG_WARN, "coordinator.disconnected", event->text);
        break;
    case SF_COORD_SESSION_LOST:
        sf_metrics_add(d->block, SF_METRIC_COORDINATOR_SESSION_LOSSES, 0, 1);
        break;
    case SF_COORD_CHANGED:
        break;
    }
    step_all(d, &(struct sf_reservation_event){.kind = SF_RES_COORD, .coord = event});
    sf_coord_event_free(event);
}

static void enter(struct sf_daemon *d, enum sf_phase phase)
{
    SF_ASSERT(phase > d->phase);
    d->phase = phase;
    d->phase_mono_ms = sf_control_mono_ms();
}

static void begin_drain(struct sf_daemon *d, const char *because)
{
    if (d->phase != SF_PHASE_RUNNING)
        return;
    sf_log_write(d->log, SF_LOG_INFO, "drain.begin",
                 "%s: not ready from now on, serving for %u ms more, then ending within %u ms",
                 because, d->config->drain_delay_ms, d->config->drain_timeout_ms);
    sf_shared_event(d, SF_LOG_INFO, "drain.begin", because);
    enter(d, SF_PHASE_DELAYING);
}

static uint32_t serve_ms(const struct sf_daemon *d)
{
    const uint32_t all_ms = d->config->drain_timeout_ms;
    return all_ms > 2 * SF_DAEMON_RELEASE_MS ? all_ms - SF_DAEMON_RELEASE_MS : all_ms / 2;
}

static void leave(struct sf_daemon *d)
{
    const int64_t now_ms = sf_control_mono_ms();
    int64_t left_ms = d->config->drain_timeout_ms;
    if (d->phase == SF_PHASE_DRAINING)
        left_ms -= now_ms - d->phase_mono_ms;
    enter(d, SF_PHASE_LEAVING);
    const struct sf_reservation_event event = {
        .kind = SF_RES_LEAVE, .deadline_mono_ms = now_ms + (left_ms > 100 ? left_ms : 100)};
    step_all(d, &event);
}

/* Have all machines ended, and how? A machine that cannot go on takes the process with it, but the
 * others give their slots back first. */
static void gather_exits(struct sf_daemon *d)
{
    bool all_finished = true;
    int exit_code = 0;
    for (unsigned i = 0; i < d->hold_count; i++) {
        all_finished = all_finished && d->holds[i].finished;
        if (d->holds[i].finished && d->holds[i].exit_code)
            exit_code = d->holds[i].exit_code;
    }
    if (exit_code && d->phase < SF_PHASE_LEAVING)
        leave(d);
    if (all_finished && d->phase == SF_PHASE_LEAVING) {
        d->exit_code = exit_code;
        enter(d, SF_PHASE_OVER);
    }
}

static void advance_phase(struct sf_daemon *d)
{
    const int64_t now_ms = sf_control_mono_ms();
    if (d->phase == SF_PHASE_DELAYING && now_ms - d->phase_mono_ms >= d->config->drain_delay_ms) {
        enter(d, SF_PHASE_DRAINING);
        sf_server_drain(d->server, serve_ms(d), "this worker is shutting down");
    }
    if (d->phase == SF_PHASE_DRAINING &&
        (sf_server_connections(d->server) == 0 || now_ms - d->phase_mono_ms >= serve_ms(d)))
        leave(d);
    gather_exits(d);
    const struct sf_config *config = d->config;
    if (config->start_timeout_ms && !d->connected_once && d->phase == SF_PHASE_RUNNING &&
        now_ms - d->start_mono_ms >= config->start_timeout_ms) {
        sf_log_write(d->log, SF_LOG_ERROR, "start.timeout",
                     "coordinator %s not reachable within %u ms (%s); check the address, or raise "
                     "--start-timeout",
                     config->fleet_coordinator, config->start_timeout_ms, d->holds[0].res.why);
        d->exit_code = 69;
        enter(d, SF_PHASE_OVER);
    }
}

static void reload(struct sf_daemon *d)
{
    struct sf_strbuf errors;
    sf_strbuf_init(&errors, 65536);
    struct sf_config *fresh = NULL;
    enum sf_config_action action;
    const int bad = sf_config_load(d->argc, d->argv, d->environment, &fresh, &action, &errors);
    if (bad)
        sf_log_write(d->log, SF_LOG_ERROR, "reload.refused", "nothing changed: %s",
                     errors.text ? errors.text : "");
    sf_strbuf_free(&errors);
    if (bad)
        return;
    struct sf_server_options options;
    struct sf_error err = {0};
    sf_daemon_server_options(d, fresh, &options);
    if (sf_server_reload(d->server, &options, &err)) {
        sf_log_write(d->log, SF_LOG_ERROR, "reload.refused", "nothing changed: %s", err.text);
    } else {
        sf_log_set_level(d->log, fresh->log_level);
        sf_log_write(d->log, SF_LOG_INFO, "reload.done",
                     "log level, limits, TLS files and tokens were read again");
    }
    sf_config_free(fresh);
}

static void on_signals(struct sf_daemon *d, int signal_fd)
{
    struct signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload(d);
        } else if (d->phase == SF_PHASE_RUNNING) {
            begin_drain(d, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
        } else if (d->phase != SF_PHASE_OVER) {
            sf_log_write(
                d->log, SF_LOG_WARN, "drain.cut",
                "a second signal: stopping now; a slot that is still held stays quarantined");
            d->stop_now = true;
        }
    }
}

static void on_inbox(struct sf_daemon *d)
{
    struct sf_inbox_message *next;
    for (struct sf_inbox_message *m = sf_inbox_take(d->inbox); m; m = next) {
        next = m->next;
        struct sf_message *message = (struct sf_message *)m;
        if (message->kind == SF_MESSAGE_COORD)
            on_coord_event(d, message->event);
        else if (message->kind == SF_MESSAGE_DRAIN)
            begin_drain(d, "POST /drain");
        else
            step_all(d, &(struct sf_reservation_event){.kind = SF_RES_TICK});
        free(message);
    }
}

/* Minting time that jumped or turned must be in the state file before a restart relies on it. */
static void refresh_files(struct sf_daemon *d)
{
    const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(d->clock));
    for (unsigned i = 0; i < d->hold_count; i++) {
        struct sf_hold *hold = &d->holds[i];
        if (hold->file_held && hold->res.hold.active &&
            memcmp(&mint, &hold->file_mint, sizeof mint) != 0)
            sf_right_save(d, hold);
    }
}

static void tell_clock_what_was_minted(struct sf_daemon *d)
{
    int64_t minted_ms = 0;
    for (unsigned i = 0; i < d->hold_count; i++) {
        const struct sf_reservation *res = &d->holds[i].res;
        if (!res->minted_once)
            continue;
        const int64_t last_ms = (int64_t)sf_generator_last_ms(res->gen) + res->config.epoch_ms;
        if (last_ms > minted_ms)
            minted_ms = last_ms;
    }
    sf_clock_minted(d->clock, minted_ms); /* 0: nothing yet, whatever minting time said meanwhile */
}

static int poll_timeout_ms(const struct sf_daemon *d)
{
    const int64_t now_ms = sf_control_mono_ms();
    int64_t wake = now_ms + 1000;
    for (unsigned i = 0; i < d->hold_count; i++)
        if (!d->holds[i].finished && d->holds[i].wake_mono_ms < wake)
            wake = d->holds[i].wake_mono_ms;
    if (d->phase == SF_PHASE_DELAYING && d->phase_mono_ms + d->config->drain_delay_ms < wake)
        wake = d->phase_mono_ms + d->config->drain_delay_ms;
    if (d->phase == SF_PHASE_DRAINING)
        wake = now_ms + 5; /* the last connection's end is not signalled */
    return wake < now_ms ? 0 : (int)(wake - now_ms);
}

int sf_control_run(struct sf_daemon *d, int signal_fd)
{
    while (d->phase != SF_PHASE_OVER) {
        struct pollfd fds[2] = {{.fd = sf_inbox_fd(d->inbox), .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
        const int ready = poll(fds, 2, poll_timeout_ms(d));
        if (ready < 0 && errno != EINTR) {
            sf_log_write(d->log, SF_LOG_ERROR, "control.poll", "poll: %s", strerror(errno));
            return 70;
        }
        atomic_store(&d->heartbeat_mono_ms, sf_control_mono_ms());
        if (ready > 0 && fds[1].revents)
            on_signals(d, signal_fd);
        on_inbox(d);
        const int64_t now_ms = sf_control_mono_ms();
        for (unsigned i = 0; i < d->hold_count; i++)
            if (now_ms >= d->holds[i].wake_mono_ms)
                step(d, &d->holds[i], &(struct sf_reservation_event){.kind = SF_RES_TICK});
        if (d->stop_now)
            return 75;
        refresh_files(d);
        tell_clock_what_was_minted(d);
        sf_collect_clock_steps(d);
        advance_phase(d);
        sf_shared_update(d);
    }
    return d->exit_code;
}
