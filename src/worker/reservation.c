#include "worker/reservation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "worker/reservation_internal.h"

const char *sf_worker_state_name(enum sf_worker_state state)
{
    static const char *const names[SF_WORKER_STATES] = {"starting", "claiming",  "quarantined",
                                                        "ready",    "suspended", "resyncing",
                                                        "draining", "stopped"};
    return state < SF_WORKER_STATES ? names[state] : "unknown";
}

void sf_res_log(struct sf_res_step *s, enum sf_log_level level, const char *event,
                const char *format, ...)
{
    if (s->out->log_count == SF_RES_LOGS_MAX)
        return;
    const unsigned i = s->out->log_count++;
    s->out->logs[i].level = level;
    s->out->logs[i].event = event;
    va_list args;
    va_start(args, format);
    vsnprintf(s->out->logs[i].text, sizeof s->out->logs[i].text, format, args);
    va_end(args);
}

void sf_res_why(struct sf_reservation *res, const char *format, ...)
{
    char text[sizeof res->why]; /* an argument may be res->why itself */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(res->why, text, sizeof text);
}

void sf_res_fatal(struct sf_res_step *s, int exit_code, const char *format, ...)
{
    char text[SF_COORD_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sf_res_why(s->res, "%s", text);
    sf_res_log(s, SF_LOG_ERROR, "worker.fatal", "%s", text);
    if (s->res->generator_ready)
        sf_generator_close(s->res->gen);
    s->res->state = SF_WORKER_STOPPED;
    s->out->finished = true;
    s->out->exit_code = exit_code;
}

void sf_res_backoff(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    res->retry_wait_ms = res->retry_wait_ms ? res->retry_wait_ms * 2 : SF_RES_RETRY_MIN_MS;
    if (res->retry_wait_ms > SF_RES_RETRY_MAX_MS)
        res->retry_wait_ms = SF_RES_RETRY_MAX_MS;
    const int64_t half = res->retry_wait_ms / 2;
    res->retry_at_mono_ms =
        s->now->mono_ms + half + (int64_t)sf_prng_below(&res->prng, (uint64_t)half + 1);
}

void sf_res_progress(struct sf_res_step *s)
{
    s->res->retry_wait_ms = 0;
    s->res->retry_at_mono_ms = 0;
}

struct sf_coord_request *sf_res_request(struct sf_res_step *s, enum sf_coord_op op)
{
    struct sf_reservation *res = s->res;
    SF_ASSERT(!res->busy && !s->out->has_request);
    struct sf_coord_request *request = &s->out->request;
    memset(request, 0, sizeof *request);
    request->id = ++res->next_id;
    request->op = op;
    request->deadline_ms = SF_RES_OP_DEADLINE_MS;
    request->datacenter = res->params.datacenter;
    s->out->has_request = true;
    res->busy = true;
    res->busy_id = request->id;
    res->busy_op = op;
    res->busy_on_bid = false;
    res->busy_on_stray = false;
    res->busy_submit_mint_ms = s->now->mint_ms;
    return request;
}

void sf_res_close(struct sf_res_step *s, const char *format, ...)
{
    struct sf_reservation *res = s->res;
    if (!res->generator_ready || sf_generator_is_closed(res->gen))
        return;
    sf_generator_close(res->gen);
    char text[SF_COORD_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sf_res_log(s, SF_LOG_INFO, "minting.closed", "%s", text);
}

void sf_res_released(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    sf_res_log(s, SF_LOG_INFO, "slot.released", "slot %llu/%llu given back, reserved until %lld",
               (unsigned long long)res->params.datacenter, (unsigned long long)res->hold.worker,
               (long long)res->hold.acked_ms);
    res->stats.releases++;
    res->hold.active = false;
    res->orphan = false;
    res->claim_status = SF_CLAIM_NONE; /* deleted in the same step */
    res->claim_bound = false;
    res->waiting_since_mono_ms = s->now->mono_ms;
    s->out->forget = true;
    sf_res_progress(s);
}

int64_t sf_reservation_window_ms(const struct sf_reservation *res)
{
    const struct sf_reservation_params *params = &res->params;
    /* Our own bid counts as held: after it there is one more. */
    const uint32_t seeking = !res->hold.active || res->orphan;
    const uint32_t held = res->census.held + seeking;
    const uint32_t free_slots = res->census.free > seeking ? res->census.free - seeking : 0;
    const bool crowded = res->census.read_mono_ms < 0 || free_slots < held;
    return crowded && params->min_window_ms < params->window_ms ? params->min_window_ms
                                                                : params->window_ms;
}

int64_t sf_reservation_left_ms(const struct sf_reservation *res, int64_t mint_ms)
{
    if (!res->hold.active || !res->generator_ready || sf_generator_is_closed(res->gen))
        return 0;
    return (int64_t)sf_generator_limit_ms(res->gen) + res->config.epoch_ms - mint_ms;
}

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
    if (memory)
        res->memory = *memory;
    sf_res_why(res, "waiting for the coordinator");
}

static void on_coord(struct sf_res_step *s, const struct sf_coord_event *event)
{
    struct sf_reservation *res = s->res;
    switch (event->kind) {
    case SF_COORD_COMPLETION:
        if (!res->busy || event->completion.id != res->busy_id)
            return; /* of another machine on the same handle */
        res->busy = false;
        sf_res_completed(s, &event->completion);
        return;
    case SF_COORD_CONNECTED:
        res->connected = true;
        sf_res_progress(s);
        /* After an outage everybody comes back at once. */
        if (res->disconnected_mono_ms && res->hold.active)
            res->retry_at_mono_ms = s->now->mono_ms + (int64_t)sf_prng_below(&res->prng, 200);
        res->disconnected_mono_ms = 0;
        sf_res_why(res, "%s", "");
        return;
    case SF_COORD_DISCONNECTED:
        if (res->connected || !res->disconnected_mono_ms)
            res->disconnected_mono_ms = s->now->mono_ms;
        res->connected = false;
        sf_res_why(res, "coordinator unreachable: %s", event->text);
        return;
    case SF_COORD_SESSION_LOST:
        res->stats.session_losses += res->claim_status != SF_CLAIM_NONE;
        res->claim_status = SF_CLAIM_NONE;
        res->claim_bound = false;
        sf_res_log(s, SF_LOG_WARN, "coordinator.session_lost",
                   "%s; a new claim is made, minting goes on", event->text);
        return;
    case SF_COORD_CHANGED: {
        const bool holds = res->hold.active && !res->orphan;
        const int64_t due = s->now->mono_ms + (int64_t)sf_prng_below(&res->prng, holds ? 1000 : 30);
        if (!res->census_due_set || due < res->census_due_mono_ms) {
            res->census_due_set = true;
            res->census_due_mono_ms = due;
        }
        return;
    }
    }
}

/* The clock's verdict changed: leave at once, or come back. */
static void on_clock(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!s->now->clock_ok && !res->suspended) {
        res->suspended = true;
        res->suspend_deadline_mono_ms = s->now->mono_ms + SF_RES_SUSPEND_RELEASE_MS;
        sf_res_close(s, "the clock is not safe: %s", s->now->clock_text ? s->now->clock_text : "");
        sf_res_progress(s);
        sf_res_log(s, SF_LOG_ERROR, "worker.suspended",
                   "clock: %s; the slot is given back until it is right",
                   s->now->clock_text ? s->now->clock_text : "not safe");
        return;
    }
    if (!s->now->clock_ok || !res->suspended)
        return;
    res->suspended = false;
    sf_res_log(s, SF_LOG_INFO, "worker.resumed", "the clock is right again");
    bool release_sent = false;
    for (unsigned i = 0; i < res->hold.outstanding_count; i++)
        release_sent |= res->hold.outstanding[i].release;
    /* Nothing was given back: what was acknowledged is still ours. After a release was sent only an
     * acknowledged write opens again. */
    if (res->hold.active && !res->leaving && !release_sent && res->hold.acked_ms > s->now->mint_ms)
        sf_res_open(s, res->hold.floor_ms);
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
        sf_res_fatal(s, 78, "%s", res->why);
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
    if (nothing_held && !in_doubt) {
        res->state = SF_WORKER_STOPPED;
        s->out->finished = true;
        s->out->exit_code = 0;
    } else if (s->now->mono_ms >= res->leave_deadline_mono_ms) {
        res->state = SF_WORKER_STOPPED;
        s->out->finished = true;
        s->out->exit_code = 75;
        sf_res_log(s, SF_LOG_ERROR, "slot.not_released",
                   "slot %llu/%llu could not be given back in time (%s); it stays quarantined "
                   "until its reservation ends",
                   (unsigned long long)res->params.datacenter, (unsigned long long)res->hold.worker,
                   res->why);
    }
}

/* The state that people see follows from what is known. */
static void judge_state(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (res->state == SF_WORKER_STOPPED)
        return;
    const bool mints = sf_reservation_left_ms(res, s->now->mint_ms) > 0;
    enum sf_worker_state state = res->state;
    if (res->leaving)
        state = SF_WORKER_DRAINING;
    else if (res->suspended)
        state = res->hold.active ? SF_WORKER_SUSPENDED : SF_WORKER_RESYNCING;
    else if (mints)
        state = SF_WORKER_READY;
    else if (res->hold.active)
        state = SF_WORKER_SUSPENDED;
    else if (!res->config_known)
        state = SF_WORKER_STARTING;
    else if (state != SF_WORKER_QUARANTINED)
        state = SF_WORKER_CLAIMING;
    if (state != res->state || mints != res->last_ready)
        sf_res_log(s, state == SF_WORKER_SUSPENDED ? SF_LOG_WARN : SF_LOG_INFO, "worker.state",
                   "%s -> %s%s%s", sf_worker_state_name(res->state), sf_worker_state_name(state),
                   state == SF_WORKER_READY ? "" : ": ", state == SF_WORKER_READY ? "" : res->why);
    res->state = state;
    res->last_ready = mints;
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
    if (res->hold.active) {
        const int64_t window_ms = sf_reservation_window_ms(res);
        const int64_t left_ms = sf_tenure_granted_ms(&res->hold) - s->now->mint_ms;
        const int64_t until_renewal = left_ms - (window_ms - window_ms / 10);
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
    struct sf_res_step s = {.res = res, .now = now, .out = ret};
    if (event->kind == SF_RES_COORD) {
        on_coord(&s, event->coord);
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
    sf_res_decide(&s);
    if (!ret->finished) {
        sf_res_apply_limit(&s);
        finish_leaving(&s);
        judge_state(&s);
    }
    ret->wake_mono_ms = next_wake(&s);
}
