/* The states of a reservation machine, and what can be told from what it knows. */
#include "worker/reservation_state.h"

const char *sf_worker_state_name(enum sf_worker_state state)
{
    static const char *const names[SF_WORKER_STATES] = {
        "starting",  "claiming", "quarantined", "ready",    "suspended",
        "resyncing", "halted",   "exhausted",   "draining", "stopped"};
    return (unsigned)state < SF_WORKER_STATES ? names[state] : "unknown";
}

/* The table in the comment above the enum; a test compares the two. */
bool sf_worker_state_may_move(enum sf_worker_state from, enum sf_worker_state to)
{
#define TO(state) (1U << SF_WORKER_##state)
    static const unsigned ends = TO(DRAINING) | TO(STOPPED);
    static const unsigned holds = TO(READY) | TO(SUSPENDED);
    static const unsigned dead = TO(HALTED) | TO(EXHAUSTED); /* of the fleet, not of the worker */
    static const unsigned allowed[SF_WORKER_STATES] = {
        [SF_WORKER_STARTING] = TO(CLAIMING) | TO(RESYNCING) | ends,
        [SF_WORKER_CLAIMING] = TO(QUARANTINED) | holds | TO(RESYNCING) | dead | ends,
        [SF_WORKER_QUARANTINED] = TO(CLAIMING) | holds | TO(RESYNCING) | dead | ends,
        [SF_WORKER_READY] = TO(CLAIMING) | TO(SUSPENDED) | TO(RESYNCING) | dead | ends,
        [SF_WORKER_SUSPENDED] = TO(CLAIMING) | TO(READY) | TO(RESYNCING) | dead | ends,
        [SF_WORKER_RESYNCING] = TO(STARTING) | TO(CLAIMING) | holds | dead | ends,
        [SF_WORKER_HALTED] = TO(CLAIMING) | holds | TO(RESYNCING) | TO(EXHAUSTED) | ends,
        [SF_WORKER_EXHAUSTED] = TO(CLAIMING) | holds | TO(RESYNCING) | TO(HALTED) | ends,
        [SF_WORKER_DRAINING] = TO(STOPPED),
        [SF_WORKER_STOPPED] = 0,
    };
#undef TO
    return (unsigned)from < SF_WORKER_STATES && (unsigned)to < SF_WORKER_STATES &&
           (allowed[from] >> to & 1) != 0;
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

int64_t sf_reservation_renew_after_ms(const struct sf_reservation *res)
{
    const int64_t window_ms = sf_reservation_window_ms(res);
    const bool is_short = window_ms < res->params.window_ms;
    const int64_t latest_ms = is_short ? window_ms / 2 : window_ms / 10;
    return latest_ms - latest_ms / 8 * res->renew_early / SF_RES_EARLY_OF;
}

static int64_t most_of(const struct sf_tenure *tenure, int64_t most_ms)
{
    if (!tenure->active)
        return most_ms;
    if (tenure->acked_ms > most_ms)
        most_ms = tenure->acked_ms;
    for (unsigned i = 0; i < tenure->outstanding_count; i++)
        if (tenure->outstanding[i].reserved_until_ms > most_ms)
            most_ms = tenure->outstanding[i].reserved_until_ms;
    return most_ms;
}

int64_t sf_reservation_may_spend_until_ms(const struct sf_reservation *res)
{
    int64_t most_ms = res->least_start_ms;
    if (res->minted_once && res->generator_ready) {
        const int64_t last_ms = (int64_t)sf_generator_last_ms(res->gen) + res->config.epoch_ms;
        if (last_ms + 1 > most_ms)
            most_ms = last_ms + 1;
    }
    return most_of(&res->hold, most_of(&res->bid, most_ms));
}

int64_t sf_reservation_left_ms(const struct sf_reservation *res, int64_t mint_ms)
{
    if (!res->hold.active || !res->generator_ready || sf_generator_is_closed(res->gen))
        return 0;
    if (mint_ms < res->config.epoch_ms)
        return 0; /* no ID can carry that time */
    return (int64_t)sf_generator_limit_ms(res->gen) + res->config.epoch_ms - mint_ms;
}
