/* The reservation machine: one step, and what the passing of time changes. */
#include "worker/reservation.h"

#include <inttypes.h>
#include <string.h>

#include "base/exit_codes.h"
#include "base/parse.h"
#include "coord/records.h"
#include "worker/reservation_decide.h"
#include "worker/reservation_events.h"
#include "worker/reservation_loss.h"
#include "worker/reservation_tenure.h"

#define MOVED_MS 10 /* after a change of state it looks again so soon */

void sf_reservation_init(struct sf_reservation *res, const struct sf_reservation_params *params,
                         struct sf_generator *gen, _Atomic uint64_t *word, uint64_t max_ahead_ms,
                         const struct sf_reservation_memory *memory, const uint8_t random[16])
{
    memset(res, 0, sizeof *res);
    res->params = *params;
    res->gen = gen;
    res->word = word;
    res->max_ahead_ms = max_ahead_ms;
    memcpy(&res->prng.state, random, sizeof res->prng.state);
    res->state = SF_WORKER_STARTING;
    res->census.read_mono_ms = -1;
    res->census.earliest_free_ms = -1;
    if (memory != NULL) {
        res->memory = *memory;
        memcpy(res->lost, memory->lost, sizeof res->lost);
        res->notice = memory->notice;
        while (res->lost_next < SF_RES_LOST_MAX && res->lost[res->lost_next][0] != '\0')
            res->lost_next++;
    }
    sf_res_why(res, "waiting for the coordinator");
}

static const char *clock_text(const struct sf_res_step *s)
{
    return s->now->clock_text != NULL ? s->now->clock_text : "not safe";
}

/* The clock's verdict changed: leave at once, or come back. */
static void on_clock(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!s->now->clock_ok && !res->suspended) {
        res->suspended = true;
        sf_res_close(s, "the clock is not safe: %s", clock_text(s));
        sf_res_progress(s);
        sf_res_log(s, SF_LOG_ERROR, "worker.suspended",
                   "clock: %s; the slot is given back until it is right", clock_text(s));
        return;
    }
    if (!s->now->clock_ok || !res->suspended)
        return;
    res->suspended = false;
    sf_res_log(s, SF_LOG_INFO, "worker.resumed", "the clock is right again");
    /* Nothing was given back: what was acknowledged is still ours. After a release was sent only an
     * acknowledged write opens again. */
    if (res->hold.active && !res->leaving && !sf_tenure_release_sent(&res->hold) &&
        res->hold.acked_ms > s->now->mint_ms)
        sf_res_open(s, res->hold.floor_ms);
}

/* The layout has no timestamp for now any more: the slot is of no use, here or to anybody. */
static void on_end(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const bool was = res->exhausted;
    if (!res->config_known)
        return;
    const int64_t last_ms = sf_config_last_ms(&res->config);
    /* A clock that is known to be wrong proves no end. */
    res->exhausted = !res->suspended && s->now->mint_ms > last_ms;
    if (!res->exhausted)
        return;
    char date[SF_TIME_TEXT_MAX], layout[SF_LAYOUT_TEXT_MAX];
    sf_format_time_ms(last_ms, date, sizeof date);
    sf_res_why(
        res,
        "the fleet's timestamps ended at %s: no ID can be minted in it any more; make another "
        "fleet with a later epoch, or more timestamp bits than %s",
        date, sf_layout_format(&res->config.layout, layout));
    if (was)
        return;
    sf_res_close(s, "the fleet's timestamps ended at %s", date);
    sf_res_progress(s);
    sf_res_log(s, SF_LOG_ERROR, "fleet.exhausted", "%s", res->why);
}

/* An orphan's or a doomed worker's window has ended: nothing more to spend. */
static void on_window_end(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!res->hold.active || !(res->orphan || res->doomed))
        return;
    if (sf_tenure_granted_ms(&res->hold) > s->now->mint_ms)
        return;
    if (res->orphan) {
        sf_res_close(s, "the reservation of the slot that was lost has been used up");
        res->hold.active = false;
        res->orphan = false;
    } else {
        sf_res_fatal(s, SF_EXIT_CONFIG, "%s", res->why);
    }
}

static void finish_leaving(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!res->leaving || s->out->finished)
        return;
    const bool nothing_held = (!res->hold.active || res->orphan) && !res->bid.active;
    const bool in_doubt =
        res->busy && (res->busy_op == SF_COORD_BIND || res->busy_op == SF_COORD_RELEASE);
    /* A loss that was noticed is told before one goes, as long as there is time. */
    const bool time_is_over = s->now->mono_ms >= res->leave_deadline_mono_ms;
    if (nothing_held && !in_doubt && (!res->notice.due || time_is_over)) {
        s->out->exit_code = SF_EXIT_OK;
        sf_res_move(s, SF_WORKER_STOPPED, "nothing is held any more");
    } else if (time_is_over) {
        s->out->exit_code = SF_EXIT_NOT_RELEASED;
        sf_res_log(s, SF_LOG_ERROR, "slot.not_released",
                   "slot %" PRIu64 "/%" PRIu64 " could not be given back in time (%s); it stays "
                   "quarantined until its reservation ends",
                   res->params.datacenter, res->hold.worker, res->why);
        sf_res_move(s, SF_WORKER_STOPPED, "its time to leave is over");
    }
    s->out->finished = res->state == SF_WORKER_STOPPED;
}

/* The state that one has who neither leaves nor may mint nor holds a slot. */
static enum sf_worker_state seeking(const struct sf_res_step *s)
{
    const enum sf_worker_state state = s->res->state;
    if (!s->res->config_known)
        return SF_WORKER_STARTING;
    if (state != SF_WORKER_CLAIMING && state != SF_WORKER_QUARANTINED)
        return SF_WORKER_CLAIMING;
    if (s->waits != SF_WORKER_STATES)
        return s->waits;
    return state; /* what was waited for may have come: whether it is ours, the bid will show */
}

/* Nobody else has said what the slot waits for. */
static void tell_used_up(struct sf_res_step *s)
{
    sf_res_why(s->res, "the reservation is used up, and %s",
               s->res->connected ? "has not been renewed yet" : "the coordinator is not reached");
}

/* Where the machine stands after a step, and why. */
static void next_state(struct sf_res_step *s)
{
    const struct sf_reservation *res = s->res;
    const char *because = res->why;
    enum sf_worker_state to;
    if (res->leaving) {
        to = SF_WORKER_DRAINING;
        because = "leaving the fleet";
    } else if (res->suspended) {
        to = res->hold.active ? SF_WORKER_SUSPENDED : SF_WORKER_RESYNCING;
        because = clock_text(s);
    } else if (res->exhausted && res->state != SF_WORKER_STARTING) {
        to = SF_WORKER_EXHAUSTED;
    } else if (sf_reservation_left_ms(res, s->now->mint_ms) > 0) {
        to = SF_WORKER_READY;
        because = "";
    } else if (res->hold.active) {
        to = SF_WORKER_SUSPENDED;
        if (res->why[0] == '\0')
            tell_used_up(s);
    } else if (res->state != SF_WORKER_STARTING && res->config_known &&
               (res->halted || sf_res_is_lost(res, res->config.token))) {
        to = SF_WORKER_HALTED;
        (void)sf_res_grants(s->res); /* says why, whatever has come and gone since */
    } else {
        to = seeking(s);
    }
    if (to != res->state)
        sf_res_move(s, to, because);
}

static void earlier(int64_t *wake, int64_t at)
{
    if (at < *wake)
        *wake = at;
}

/* When something will be due without an event. */
static int64_t next_wake(const struct sf_res_step *s)
{
    const struct sf_reservation *res = s->res;
    const int64_t now = s->now->mono_ms;
    int64_t wake = now + 1000;
    if (res->retry_at_mono_ms > now)
        earlier(&wake, res->retry_at_mono_ms);
    if (res->census_due_set && res->census_due_mono_ms > now)
        earlier(&wake, res->census_due_mono_ms);
    if (res->leaving)
        earlier(&wake, res->leave_deadline_mono_ms);
    if (res->config_known && !res->exhausted) {
        const int64_t to_end_ms = sf_config_last_ms(&res->config) - s->now->mint_ms;
        if (to_end_ms >= 0 && to_end_ms < wake - now)
            wake = now + to_end_ms + 1;
    }
    if (res->hold.active) {
        const int64_t window_ms = sf_reservation_window_ms(res);
        const int64_t left_ms = sf_tenure_granted_ms(&res->hold) - s->now->mint_ms;
        const int64_t until_renewal = left_ms - (window_ms - sf_reservation_renew_after_ms(res));
        /* One that is due and was not asked for waits for an event, or for the clock. */
        const int64_t soon = window_ms / 20 > 10 ? window_ms / 20 : 10;
        earlier(&wake, now + (until_renewal > 0 ? until_renewal : soon));
        if (left_ms > 0)
            earlier(&wake, now + left_ms);
    }
    return wake;
}

void sf_reservation_step(struct sf_reservation *res, const struct sf_reservation_event *event,
                         const struct sf_reservation_now *now, struct sf_reservation_output *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->wake_mono_ms = now->mono_ms + 1000;
    if (res->state == SF_WORKER_STOPPED)
        return;
    struct sf_res_step s = {.res = res, .now = now, .out = ret, .waits = SF_WORKER_STATES};
    const enum sf_worker_state before = res->state;
    if (event->kind == SF_RES_COORD) {
        sf_res_on_coord(&s, event->coord);
    } else if (event->kind == SF_RES_LEAVE && !res->leaving) {
        res->leaving = true;
        res->leave_deadline_mono_ms = event->deadline_mono_ms;
        sf_res_close(&s, "leaving the fleet");
        sf_res_progress(&s);
    }
    if (!ret->finished)
        on_clock(&s);
    if (!ret->finished)
        on_window_end(&s);
    if (!ret->finished)
        on_end(&s);
    sf_res_decide(&s);
    if (!ret->finished) {
        sf_res_apply_limit(&s);
        next_state(&s);
        finish_leaving(&s);
    }
    ret->wake_mono_ms = next_wake(&s);
    if (res->state != before) /* others are told */
        earlier(&ret->wake_mono_ms, now->mono_ms + MOVED_MS);
}
