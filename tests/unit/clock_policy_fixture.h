/* The clock policy, driven look by look with clocks of a test's own. */
#ifndef SF_TESTS_CLOCK_POLICY_FIXTURE_H
#define SF_TESTS_CLOCK_POLICY_FIXTURE_H

#include "unit/cmocka_all.h"

#include <inttypes.h>

#include "base/ticks.h"
#include "clock/policy.h"

#define MS   SF_NS_PER_MS
#define S    SF_NS_PER_S
#define TICK (250 * MS)
#define HOUR (3600 * S)

/* True time runs with the monotonic clock; the wall clock is wrong by what the test says. */
struct world {
    struct sf_policy policy;
    struct sf_policy_output out;
    struct sf_reading readings[2];
    size_t reading_count;
    struct sf_coordinator_time coordinator;
    int64_t true_ns, mono_ns;
    int64_t wall_error_ns; /* wall clock minus true time */
    int64_t minted_ns;
};

static void world_start(struct world *w, bool require_sync)
{
    const struct sf_policy_options options = {.warn_ns = 100 * MS,
                                              .max_ns = 1000 * MS,
                                              .require_sync = require_sync,
                                              .start_grace_ns = 3 * S};
    memset(w, 0, sizeof *w);
    w->true_ns = INT64_C(1795212995) * S;
    w->mono_ns = 500 * S;
    w->minted_ns = INT64_MIN;
    sf_policy_init(&w->policy, &options, w->mono_ns);
}

static void look(struct world *w)
{
    const struct sf_policy_input input = {.real_ns = w->true_ns + w->wall_error_ns,
                                          .mono_ns = w->mono_ns,
                                          .readings = w->readings,
                                          .reading_count = w->reading_count,
                                          .coordinator = w->coordinator,
                                          .minted_ns = w->minted_ns};
    sf_policy_evaluate(&w->policy, &input, &w->out);
}

static void pass(struct world *w, int64_t ns)
{
    w->mono_ns += ns;
    w->true_ns += ns;
}

/* A source that tells the truth, within error_ns, as of now. */
static void hear(struct world *w, size_t i, enum sf_clock_kind kind, int64_t error_ns)
{
    w->readings[i] = (struct sf_reading){.kind = kind,
                                         .status = SF_READING_SYNCED,
                                         .has_time = true,
                                         .as_of_mono_ns = w->mono_ns,
                                         .base_ns = w->true_ns - w->mono_ns,
                                         .error_ns = error_ns,
                                         .good_mono_ns = w->mono_ns,
                                         .stale_after_ns = 13 * S,
                                         .expired_after_ns = 900 * S,
                                         .sources = 3};
    if (i >= w->reading_count)
        w->reading_count = i + 1;
}

static void lose(struct world *w, size_t i, enum sf_clock_kind kind, enum sf_reading_status status)
{
    w->readings[i] =
        (struct sf_reading){.kind = kind, .status = status, .text = "as the test says"};
    if (i >= w->reading_count)
        w->reading_count = i + 1;
}

static int64_t mint(const struct world *w)
{
    return sf_minttime_at(&w->policy.mint, w->mono_ns);
}

static void expect(const struct world *w, enum sf_clock_state state, const char *text)
{
    if (w->out.verdict.state != state || !strstr(w->out.verdict.text, text))
        fail_msg("is %s: \"%s\", expected %s: \"%s\"", sf_clock_state_name(w->out.verdict.state),
                 w->out.verdict.text, sf_clock_state_name(state), text);
    assert_int_equal(w->out.verdict.may_mint, state == SF_CLOCK_OK || state == SF_CLOCK_WARN);
}

/* Looks every tick until the state is reached; returns how long it took. */
static int64_t until(struct world *w, enum sf_clock_state state, int64_t limit_ns)
{
    int64_t taken = 0;
    while (w->policy.state != state) {
        assert_true(taken < limit_ns);
        pass(w, TICK);
        taken += TICK;
        look(w);
    }
    return taken;
}

#endif
