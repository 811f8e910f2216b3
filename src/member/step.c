/* One step of a machine, with the world around it. */
#include "member/step.h"

#include <inttypes.h>
#include <string.h>

#include "base/random.h"
#include "base/ticks.h"
#include "member/publish.h"

/* How long a good sample of the coordinator's clock is kept before a worse one. */
#define SAMPLE_MS 30000

static void now_of(const struct sf_loop *loop, const struct sf_clock_verdict *verdict,
                   struct sf_reservation_now *ret)
{
    const int64_t mono_ns = sf_mono_ns();
    ret->mono_ms = mono_ns / SF_NS_PER_MS;
    ret->mint_ms = sf_publish_now_ms(loop);
    ret->clock_ok = verdict->may_mint;
    ret->clock_text = verdict->text;
    ret->wants_server_time = verdict->source != SF_CLOCK_NTP && verdict->source != SF_CLOCK_CHRONY;
    ret->trusted_ms = -1;
    if (verdict->trusted)
        ret->trusted_ms =
            (verdict->trusted_high_ns + (mono_ns - verdict->trusted_mono_ns)) / SF_NS_PER_MS + 1;
    else if (loop->coord_time_known)
        ret->trusted_ms = loop->coord_high_ms + (ret->mono_ms - loop->coord_mono_ms);
    sf_random_bytes(ret->random, sizeof ret->random);
}

/* The limiter of an event that comes again with every try, or NULL. */
static struct sf_log_limiter *repeats(struct sf_hold *hold, const char *event)
{
    static const char *const events[SF_HOLD_REPEATS] = {"coordinator.failed", "fleet.missing",
                                                        "slot.poisoned", "reservation.clock"};
    for (unsigned i = 0; i < SF_HOLD_REPEATS; i++)
        if (strcmp(event, events[i]) == 0)
            return &hold->repeats[i];
    return NULL;
}

static void tell(struct sf_loop *loop, struct sf_hold *hold,
                 const struct sf_reservation_output *out)
{
    for (unsigned i = 0; i < out->log_count; i++) {
        const char *event = out->logs[i].event, *text = out->logs[i].text;
        struct sf_log_limiter *limiter = repeats(hold, event);
        if (limiter != NULL) {
            sf_log_limited(loop->log, limiter, 1000, out->logs[i].level, event, "%s", text);
            continue;
        }
        sf_log_write(loop->log, out->logs[i].level, event, "%s", text);
        if (out->logs[i].level >= SF_LOG_INFO)
            sf_shared_event(&loop->shared, out->logs[i].level, event, text);
    }
}

void sf_step(struct sf_loop *loop, struct sf_hold *hold, const struct sf_reservation_event *event)
{
    if (hold->finished)
        return;
    struct sf_clock_verdict verdict;
    struct sf_reservation_now now;
    struct sf_reservation_output out;
    sf_clock_verdict(loop->clock, &verdict);
    sf_stall_verdict(loop->clock_stalled_ms, &verdict);
    now_of(loop, &verdict, &now);
    sf_reservation_step(&hold->res, event, &now, &out);
    if (out.save || out.forget) {
        const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(loop->clock));
        sf_hold_save(hold, &mint);
    }
    tell(loop, hold, &out);
    hold->wake_mono_ms = out.wake_mono_ms;
    sf_publish_epoch(loop);
    if (out.finished) {
        hold->finished = true;
        hold->exit_code = out.exit_code;
    }
    if (out.has_request)
        sf_coord_submit(loop->coord, &out.request);
}

void sf_step_all(struct sf_loop *loop, const struct sf_reservation_event *event)
{
    for (unsigned i = 0; i < loop->hold_count; i++)
        sf_step(loop, &loop->holds[i], event);
}

bool sf_step_watch_clock(struct sf_loop *loop)
{
    const bool stood = loop->clock_stalled_ms != 0;
    const int64_t mono_ms = sf_mono_ns() / SF_NS_PER_MS;
    const int64_t stalled_ms =
        sf_stall_look(&loop->clock_stall, sf_clock_stall_ms(loop->clock), mono_ms);
    loop->clock_stalled_ms = stalled_ms >= loop->stall_ms ? stalled_ms : 0;
    const bool stands = loop->clock_stalled_ms != 0;
    if (stands && !stood) {
        sf_log_write(loop->log, SF_LOG_ERROR, "clock.stalled",
                     "the clock's thread has not turned for %" PRId64
                     " ms: minting ends, the slots are given back; restart the process",
                     stalled_ms);
        sf_shared_event(&loop->shared, SF_LOG_ERROR, "clock.stalled",
                        "the clock's thread does not turn");
    } else if (stood && !stands) {
        sf_log_write(loop->log, SF_LOG_INFO, "clock.turns", "the clock's thread turns again");
        sf_shared_event(&loop->shared, SF_LOG_INFO, "clock.turns",
                        "the clock's thread turns again");
    }
    return stands != stood;
}

void sf_step_learn_time(struct sf_loop *loop, const struct sf_coord_completion *completion)
{
    if (completion->server_ms < 0)
        return;
    const int64_t now_ns = sf_mono_ns(), now_ms = now_ns / SF_NS_PER_MS;
    const int64_t error_ms =
        completion->server_error_ms + completion->duration_ns / SF_NS_PER_MS + 1;
    /* A slow answer says little: the better one before it is kept for a while. */
    if (loop->coord_time_known && error_ms > loop->coord_error_ms &&
        now_ms - loop->coord_mono_ms < SAMPLE_MS)
        return;
    loop->coord_time_known = true;
    loop->coord_error_ms = error_ms;
    loop->coord_high_ms = completion->server_ms + error_ms;
    loop->coord_mono_ms = now_ms;
    sf_clock_coordinator_time(loop->clock, completion->server_ms, error_ms, now_ns);
}
