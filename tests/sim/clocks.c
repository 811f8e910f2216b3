/* Clocks of a machine, and the time sources that its worker asks. */
#include <stdio.h>
#include <string.h>

#include "fleet.h"

#define TURN_NS          (250 * MS)
#define SAMPLE_KEEP_NS   (30 * S) /* as the daemon: a good sample before a worse one */
#define SERVER_ERROR_NS  (3 * MS)
#define STALE_AFTER_NS   (10 * S)
#define EXPIRED_AFTER_NS (40 * S)

int64_t sim_true_unix_ns(const struct sim_world *w)
{
    return (SF_DEFAULT_EPOCH_MS + w->shape.start_ms) * MS + w->now_ns;
}

static int64_t drifted_ns(const struct sim_world *w, const struct sim_host *h)
{
    return h->drift_sum_ns + (w->now_ns - h->drift_base_ns) / 1000 * h->drift_ppb / 1000000;
}

int64_t sim_mono_ns(const struct sim_world *w, const struct sim_host *h)
{
    return w->now_ns + 1000 * S + drifted_ns(w, h);
}

int64_t sim_real_ns(const struct sim_world *w, const struct sim_host *h)
{
    const int64_t stalled_ns = h->stalled_since_ns >= 0 ? w->now_ns - h->stalled_since_ns : 0;
    return sim_true_unix_ns(w) + h->lie_ns + h->real_offset_ns + drifted_ns(w, h) - stalled_ns;
}

int64_t sim_mint_ms(const struct sim_world *w, const struct sim_host *h)
{
    if (!h->policy.has_mint)
        return sim_real_ns(w, h) / MS;
    return sf_minttime_at(&h->policy.mint, sim_mono_ns(w, h)) / MS;
}

void sim_set_drift(struct sim_world *w, struct sim_host *h, int64_t ppb)
{
    h->drift_sum_ns = drifted_ns(w, h);
    h->drift_base_ns = w->now_ns;
    h->drift_ppb = ppb;
}

void sim_unstall(struct sim_world *w, struct sim_host *h)
{
    if (h->stalled_since_ns >= 0)
        h->real_offset_ns -= w->now_ns - h->stalled_since_ns;
    h->stalled_since_ns = -1;
}

void sim_clock_start(struct sim_world *w, struct sim_host *h)
{
    const struct sf_policy_options options = {
        .warn_ns = 100 * MS, .max_ns = SIM_MAX_OFFSET_NS, .start_grace_ns = S};
    memset(&h->verdict, 0, sizeof h->verdict);
    memset(&h->coordinator, 0, sizeof h->coordinator);
    h->reading = (struct sf_reading){.kind = SF_CLOCK_NTP, .status = SF_READING_NONE};
    sf_policy_init(&h->policy, &options, sim_mono_ns(w, h));
}

/* Three servers that each know true time to a few milliseconds; what of it the selection keeps. */
static void ask_servers(struct sim_world *w, struct sim_host *h)
{
    const bool bad = w->now_ns < h->sources_bad_until_ns;
    const int64_t mono_ns = sim_mono_ns(w, h);
    const int64_t base_ns = sim_true_unix_ns(w) + h->lie_ns - mono_ns;
    struct sf_select_interval answers[3];
    int64_t low_ns = 0, high_ns = 0;
    if (bad && h->sources_bad == SIM_SOURCE_SILENT)
        return;
    for (int i = 0; i < 3; i++) {
        int64_t wrong_ns = (int64_t)sim_below(w, 2000000) - 1000000;
        if (bad && i < (h->sources_bad == SIM_SERVER_LIES ? 1 : 2))
            wrong_ns += (i + 1) * 7 * S;
        answers[i] = (struct sf_select_interval){.answered = true,
                                                 .low = base_ns + wrong_ns - SERVER_ERROR_NS,
                                                 .high = base_ns + wrong_ns + SERVER_ERROR_NS};
    }
    h->reading.sources = 3;
    if (sf_select(answers, 3, &low_ns, &high_ns) != SF_SELECT_MAJORITY) {
        h->reading.status = SF_READING_NO_MAJORITY;
        return;
    }
    h->reading.status = SF_READING_SYNCED;
    h->reading.has_time = true;
    h->reading.as_of_mono_ns = h->reading.good_mono_ns = mono_ns;
    h->reading.base_ns = low_ns + (high_ns - low_ns) / 2;
    h->reading.error_ns = (high_ns - low_ns) / 2 + 1;
    h->reading.stale_after_ns = STALE_AFTER_NS;
    h->reading.expired_after_ns = EXPIRED_AFTER_NS;
}

static int64_t highest_minted_ns(const struct sim_world *w, const struct sim_host *h)
{
    int64_t minted_ms = 0;
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++) {
        const struct sim_hold *hold = &h->holds[k];
        if (!hold->res.minted_once)
            continue;
        const int64_t ms = (int64_t)sf_generator_last_ms(&hold->gen) + SF_DEFAULT_EPOCH_MS;
        minted_ms = ms > minted_ms ? ms : minted_ms;
    }
    return minted_ms * MS;
}

void sim_clock_look(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    const uint64_t instance = h->instance;
    const struct sf_policy_input input = {.real_ns = sim_real_ns(w, h),
                                          .mono_ns = sim_mono_ns(w, h),
                                          .readings = &h->reading,
                                          .reading_count = h->has_ntp ? 1 : 0,
                                          .coordinator = h->coordinator,
                                          .minted_ns = highest_minted_ns(w, h)};
    struct sf_policy_output out;
    sf_policy_evaluate(&h->policy, &input, &out);
    const bool changed = out.verdict.may_mint != h->verdict.may_mint;
    h->verdict = out.verdict;
    if (out.mint_changed)
        sim_save_files(w, h);
    if (!changed)
        return;
    h->clear_since_ns = w->now_ns;
    sim_trace(w, index, "clock %s: %s", sf_clock_state_name(h->verdict.state), h->verdict.text);
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
        if (h->alive && h->instance == instance)
            sim_step(w, index, k, &(struct sf_reservation_event){.kind = SF_RES_TICK});
    if (h->alive && h->instance == instance)
        sim_judge_readiness(w, index);
}

void sim_clock_turn(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    sim_at(w, TURN_NS, EV_CLOCK, index);
    if (h->paused)
        return;
    if (h->has_ntp)
        ask_servers(w, h);
    sim_clock_look(w, index);
}

/* As the daemon does it: the error is what the answer took, and a slow answer says little. */
bool sim_learn_time(struct sim_world *w, struct sim_host *h, const struct sim_flight *flight,
                    const struct sf_coord_completion *c)
{
    if (c->server_ms < 0)
        return false;
    const int64_t mono_ns = sim_mono_ns(w, h);
    const int64_t error_ns = (c->server_error_ms + 1) * MS + mono_ns - flight->sent_mono_ns;
    if (h->coordinator.known && error_ns > h->coordinator.error_ns &&
        mono_ns - h->coordinator.mono_ns < SAMPLE_KEEP_NS)
        return false;
    h->coordinator = (struct sf_coordinator_time){
        .known = true, .server_ns = c->server_ms * MS, .error_ns = error_ns, .mono_ns = mono_ns};
    return true;
}

int64_t sim_trusted_ms(const struct sim_world *w, const struct sim_host *h)
{
    const int64_t mono_ns = sim_mono_ns(w, h);
    if (h->verdict.trusted)
        return (h->verdict.trusted_high_ns + mono_ns - h->verdict.trusted_mono_ns) / MS + 1;
    if (h->coordinator.known)
        return (h->coordinator.server_ns + h->coordinator.error_ns + mono_ns -
                h->coordinator.mono_ns) /
                   MS +
               1;
    return -1;
}
