/* The member's thread. */
#include "member/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/exit_codes.h"
#include "base/ticks.h"
#include "base/wait.h"
#include "member/far.h"
#include "member/look.h"
#include "member/publish.h"
#include "member/step.h"

#define TURN_MS 1000 /* it turns at least so often */

static int64_t mono_ms(void)
{
    return sf_mono_ns() / SF_NS_PER_MS;
}

/* --- other threads --- */

/* The event's first word is the receiver's, so it is its own message. */
void sf_loop_coord_event(void *ctx, struct sf_coord_event *event)
{
    struct sf_loop *loop = ctx;
    sf_inbox_post(loop->inbox, (struct sf_inbox_message *)&event->link);
}

void sf_loop_clock_changed(void *ctx, const struct sf_clock_verdict *verdict)
{
    struct sf_loop *loop = ctx;
    const enum sf_log_level level = verdict->may_mint ? SF_LOG_INFO : SF_LOG_WARN;
    sf_log_write(loop->log, verdict->may_mint ? SF_LOG_INFO : SF_LOG_WARN, "clock.state", "%s: %s",
                 sf_clock_state_name(verdict->state), verdict->text);
    sf_shared_event(&loop->shared, level, "clock.state", verdict->text);
    atomic_store(&loop->clock_changed, true);
    sf_inbox_wake(loop->inbox);
}

void sf_loop_leave(struct sf_loop *loop, int64_t deadline_mono_ms)
{
    int64_t not_asked = 0;
    atomic_compare_exchange_strong(&loop->leave_mono_ms, &not_asked, deadline_mono_ms);
    sf_inbox_wake(loop->inbox);
}

void sf_loop_stop(struct sf_loop *loop)
{
    atomic_store(&loop->stop, true);
    sf_inbox_wake(loop->inbox);
}

/* --- the member's thread --- */

static void on_notice(struct sf_loop *loop, const struct sf_coord_event *event)
{
    switch (event->kind) {
    case SF_COORD_CONNECTED:
        loop->connected_once = true;
        sf_log_write(loop->log, SF_LOG_INFO, "coordinator.connected", "%s", event->text);
        sf_shared_event(&loop->shared, SF_LOG_INFO, "coordinator.connected", event->text);
        break;
    case SF_COORD_DISCONNECTED:
        sf_log_limited(loop->log, &loop->disconnected_limiter, 1000, SF_LOG_WARN,
                       "coordinator.disconnected",
                       "%s; minting goes on to the end of the reservation", event->text);
        sf_shared_event(&loop->shared, SF_LOG_WARN, "coordinator.disconnected", event->text);
        break;
    case SF_COORD_SESSION_LOST:
        loop->session_losses++;
        break;
    case SF_COORD_CHANGED:
    case SF_COORD_FLEET_CHANGED:
        break;
    case SF_COORD_COMPLETION:
        SF_ASSERT(!"a notice");
    }
    sf_step_all(loop, &(struct sf_reservation_event){.kind = SF_RES_COORD, .coord = event});
}

/* An answer goes to the machine that asked. */
static void on_completion(struct sf_loop *loop, struct sf_coord_event *event)
{
    struct sf_coord_completion *completion = &event->completion;
    const unsigned index = sf_hold_of(completion->id);
    sf_step_learn_time(loop, completion);
    const bool looked = sf_far_answered(loop, completion) || sf_look_answered(loop, completion);
    if (loop->host.answered != NULL)
        loop->host.answered(loop->host.ctx, completion->op, completion->outcome,
                            completion->duration_ns);
    if (looked)
        return;
    SF_ASSERT(index < loop->hold_count);
    const bool sample = completion->op == SF_COORD_FIND && loop->holds[index].res.finding_sample;
    sf_step(loop, &loop->holds[index],
            &(struct sf_reservation_event){.kind = SF_RES_COORD, .coord = event});
    sf_look_listed(loop, completion);
    if (sample && completion->outcome == SF_COORD_DONE)
        sf_shared_listed(&loop->shared, completion);
}

static void take_events(struct sf_loop *loop)
{
    struct sf_inbox_message *next;
    for (struct sf_inbox_message *m = sf_inbox_take(loop->inbox); m != NULL; m = next) {
        struct sf_coord_event *event = (struct sf_coord_event *)(void *)m;
        next = m->next;
        if (event->kind == SF_COORD_COMPLETION)
            on_completion(loop, event);
        else
            on_notice(loop, event);
        sf_coord_event_free(event);
    }
}

static void tick(struct sf_loop *loop)
{
    const struct sf_reservation_event event = {.kind = SF_RES_TICK};
    const bool stall_changed = sf_step_watch_clock(loop);
    const bool all = atomic_exchange(&loop->clock_changed, false) || stall_changed;
    const int64_t now_ms = mono_ms();
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (all || now_ms >= loop->holds[i].wake_mono_ms)
            sf_step(loop, &loop->holds[i], &event);
}

/* Begins to leave when that was asked for. A machine that cannot go on takes the member with it,
 * but the others give their slots back first. */
static void leave_if_due(struct sf_loop *loop)
{
    if (sf_publish_exit_code(loop) != SF_EXIT_OK)
        sf_loop_leave(loop, mono_ms() + loop->leave_ms);
    const int64_t deadline_mono_ms = atomic_load(&loop->leave_mono_ms);
    if (loop->leaving || deadline_mono_ms == 0)
        return;
    loop->leaving = true;
    const struct sf_reservation_event event = {.kind = SF_RES_LEAVE,
                                               .deadline_mono_ms = deadline_mono_ms};
    sf_step_all(loop, &event);
}

/* Minting time that jumped or turned must be in the state file before a restart relies on it. */
static void refresh_files(struct sf_loop *loop)
{
    const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(loop->clock));
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (sf_hold_is_stale(&loop->holds[i], &mint))
            sf_hold_save(&loop->holds[i], &mint);
}

static void tell_clock_what_was_minted(struct sf_loop *loop)
{
    int64_t minted_ms = 0;
    for (unsigned i = 0; i < loop->hold_count; i++) {
        const int64_t last_ms = sf_hold_minted_ms(&loop->holds[i]);
        if (last_ms > minted_ms)
            minted_ms = last_ms;
    }
    sf_clock_minted(loop->clock,
                    minted_ms); /* 0: nothing yet, whatever minting time said meanwhile */
}

static int poll_timeout_ms(const struct sf_loop *loop)
{
    const int64_t now_ms = mono_ms();
    int64_t wake_ms = now_ms + TURN_MS;
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (!loop->holds[i].finished && loop->holds[i].wake_mono_ms < wake_ms)
            wake_ms = loop->holds[i].wake_mono_ms;
    if (sf_look_due_mono_ms(loop) < wake_ms)
        wake_ms = sf_look_due_mono_ms(loop);
    if (sf_far_due_mono_ms(loop) < wake_ms)
        wake_ms = sf_far_due_mono_ms(loop);
    return wake_ms < now_ms ? 0 : (int)(wake_ms - now_ms);
}

static void tell_ending(struct sf_loop *loop)
{
    const bool ended = sf_publish_ended(loop);
    if (loop->host.ending != NULL && (ended || (loop->leaving && !loop->ending_told)))
        loop->host.ending(loop->host.ctx);
    loop->ending_told = loop->leaving;
}

/* The kernel no longer lets us wait, or somebody in the process closed what we wait for, and so the
 * coordinator's connection too: the machines end where they stand, their slots are quarantined. */
static void give_up(struct sf_loop *loop, const char *why)
{
    sf_log_write(loop->log, SF_LOG_ERROR, "control.poll", "%s", why);
    loop->leaving = true;
    for (unsigned i = 0; i < loop->hold_count; i++) {
        struct sf_hold *hold = &loop->holds[i];
        if (hold->res.generator_ready)
            sf_generator_close(&hold->right->gen);
        hold->finished = true;
        hold->exit_code = SF_EXIT_INTERNAL;
        (void)snprintf(hold->res.why, sizeof hold->res.why, "%s", why);
    }
    sf_publish(loop);
    tell_ending(loop);
}

void *sf_loop_run(void *ctx)
{
    struct sf_loop *loop = ctx;
    while (!atomic_load(&loop->stop) && !sf_publish_ended(loop)) {
        struct pollfd fd = {.fd = sf_inbox_fd(loop->inbox), .events = POLLIN};
        if (poll(&fd, 1, poll_timeout_ms(loop)) < 0 && errno != EINTR) {
            give_up(loop, strerrordesc_np(errno));
            break;
        }
        if (!sf_wait_is_event(fd.fd)) {
            give_up(loop, "its descriptors were closed by somebody in this process");
            break;
        }
        take_events(loop);
        tick(loop);
        sf_look_turn(loop);
        sf_far_turn(loop);
        leave_if_due(loop);
        refresh_files(loop);
        tell_clock_what_was_minted(loop);
        sf_publish(loop);
        tell_ending(loop);
    }
    return NULL;
}
