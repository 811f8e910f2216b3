/* What of the machines others see. */
#include "member/publish.h"

#include <string.h>

#include "base/exit_codes.h"
#include "base/ticks.h"

int64_t sf_publish_now_ms(const struct sf_loop *loop)
{
    const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(loop->clock));
    if (mint.anchor_mint_ns == 0)
        return sf_real_ns() / SF_NS_PER_MS;
    return sf_minttime_at(&mint, sf_mono_ns()) / SF_NS_PER_MS;
}

bool sf_publish_ended(const struct sf_loop *loop)
{
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (!loop->holds[i].finished)
            return false;
    return true;
}

int sf_publish_exit_code(const struct sf_loop *loop)
{
    int exit_code = SF_EXIT_OK;
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (loop->holds[i].finished && loop->holds[i].exit_code != SF_EXIT_OK)
            exit_code = loop->holds[i].exit_code;
    return exit_code;
}

static void copy_slot(const struct sf_reservation *res, int64_t mint_ms, struct sf_member_slot *to)
{
    const int64_t left_ms = sf_reservation_left_ms(res, mint_ms);
    to->state = res->state;
    memcpy(to->why, res->why, sizeof to->why);
    to->held = res->hold.active;
    to->orphan = res->orphan;
    to->worker = res->hold.worker;
    to->fence = res->hold.fence;
    to->claim_fence = res->claim_status == SF_CLAIM_HAVE ? res->claim.fence : 0;
    to->reserved_until_ms = res->hold.acked_ms;
    to->left_ms = left_ms > 0 ? left_ms : 0;
    to->window_ms = sf_reservation_window_ms(res);
    to->may_spend_until_ms = sf_reservation_may_spend_until_ms(res);
}

static void count(const struct sf_loop *loop, struct sf_member_counts *counts)
{
    for (unsigned i = 0; i < loop->hold_count; i++) {
        const struct sf_reservation_stats *stats = &loop->holds[i].res.stats;
        counts->renewals_ok += stats->renewals_ok;
        counts->renewals_uncertain += stats->renewals_uncertain;
        counts->renewals_lost += stats->renewals_lost;
        counts->slots_won += stats->bids_won;
        counts->slots_taken += stats->bids_lost;
        counts->looks_full += stats->bids_full;
        counts->claims_failed += stats->claims_failed;
        counts->data_losses += stats->data_losses;
    }
    struct sf_clock_snapshot clock;
    sf_clock_snapshot(loop->clock, &clock);
    counts->session_losses = loop->session_losses;
    counts->clock_steps_forward = clock.steps_forward;
    counts->clock_steps_backward = clock.steps_backward;
}

/* Of several slots the one that does best speaks for the member: it can mint while one of them can.
 */
static const struct sf_reservation *speaker(const struct sf_loop *loop)
{
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (loop->holds[i].res.state == SF_WORKER_READY)
            return &loop->holds[i].res;
    return &loop->holds[0].res;
}

/* One machine may have heard of it before the others. */
static bool halted(const struct sf_loop *loop)
{
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (loop->holds[i].res.halted)
            return true;
    return false;
}

/* Makes the snapshot that others see. */
static struct sf_member_counts show(struct sf_loop *loop)
{
    const struct sf_reservation *res = speaker(loop);
    const int64_t mint_ms = sf_publish_now_ms(loop);
    loop->was_ready = loop->was_ready || res->state == SF_WORKER_READY;
    struct sf_member_snapshot snapshot = {
        .state = res->state,
        .was_ready = loop->was_ready,
        .config_known = res->config_known,
        .config = res->config,
        .halted = halted(loop),
        .slot_count = loop->hold_count,
        .connected = res->connected,
        .connected_once = loop->connected_once,
        .heard_mono_ms = res->heard_mono_ms,
        .disconnected_mono_ms = res->disconnected_mono_ms,
        .census = res->census,
        .leaving = loop->leaving,
        .ended = sf_publish_ended(loop),
        .exit_code = sf_publish_exit_code(loop),
        .turned_mono_ms = sf_mono_ns() / SF_NS_PER_MS,
        .clock_stalled_ms = loop->clock_stalled_ms,
    };
    memcpy(snapshot.why, res->why, sizeof snapshot.why);
    for (unsigned i = 0; i < loop->hold_count; i++)
        copy_slot(&loop->holds[i].res, mint_ms, &snapshot.slots[i]);
    count(loop, &snapshot.counts);
    sf_shared_publish(&loop->shared, &snapshot);
    return snapshot.counts;
}

void sf_publish_epoch(struct sf_loop *loop)
{
    if (atomic_load(&loop->time.epoch_ms) != INT64_MIN)
        return;
    for (unsigned i = 0; i < loop->hold_count; i++)
        if (!loop->holds[i].res.generator_ready)
            return;
    (void)show(loop); /* the fleet is seen before anybody can mint for it */
    if (loop->host.layout_known != NULL)
        loop->host.layout_known(loop->host.ctx);
    atomic_store_explicit(&loop->time.epoch_ms, loop->holds[0].res.config.epoch_ms,
                          memory_order_release);
}

void sf_publish(struct sf_loop *loop)
{
    const struct sf_member_counts counts = show(loop);
    if (loop->host.turned != NULL)
        loop->host.turned(loop->host.ctx, &counts);
}
