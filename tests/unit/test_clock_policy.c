/* The policy, driven look by look with clocks of our own. */
#include "base/random.h"
#include "unit/clock_policy_fixture.h"

static void test_start(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, false); /* no sources at all: at once, on the wall clock */
    look(&w);
    expect(&w, SF_CLOCK_OK, "no synchronised source");
    assert_true(w.out.mint_changed && w.out.state_changed && !w.out.verdict.synchronized);
    assert_false(w.out.verdict.trusted);
    assert_int_equal(mint(&w), w.true_ns);

    world_start(&w, false); /* an unsynchronised kernel is no more and no less */
    lose(&w, 0, SF_CLOCK_KERNEL, SF_READING_UNSYNCED);
    look(&w);
    expect(&w, SF_CLOCK_OK, "no synchronised source");

    world_start(&w, true);
    lose(&w, 0, SF_CLOCK_KERNEL, SF_READING_UNSYNCED);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "kernel: unsynchronised, as the test says");
    hear(&w, 0, SF_CLOCK_KERNEL, MS);
    look(&w);
    expect(&w, SF_CLOCK_RESYNCING, "resyncing");
    assert_int_equal(until(&w, SF_CLOCK_OK, 10 * S), 2 * S);
    assert_int_equal(mint(&w), w.true_ns);
}

static void test_start_with_network_sources(void **state)
{
    (void)state;
    struct world w;
    for (int required = 0; required < 2; required++) {
        world_start(&w, required);
        lose(&w, 0, SF_CLOCK_NTP, SF_READING_NONE);
        look(&w);
        expect(&w, SF_CLOCK_RESYNCING, "waiting for the first answer");
        pass(&w, 3 * S - 1);
        look(&w);
        expect(&w, SF_CLOCK_RESYNCING, "waiting for the first answer");
        pass(&w, 1);
        look(&w);
        expect(&w, required ? SF_CLOCK_SUSPENDED : SF_CLOCK_WARN, "ntp: none");

        world_start(&w, required);
        lose(&w, 0, SF_CLOCK_NTP, SF_READING_NONE);
        look(&w);
        pass(&w, S);
        hear(&w, 0, SF_CLOCK_NTP, MS);
        look(&w);
        expect(&w, SF_CLOCK_OK, "offset +0.000 ms (ntp, 3 servers), bound 1.000 ms");
    }
}

static void test_thresholds(void **state)
{
    (void)state;
    static const struct {
        enum sf_clock_kind kind;
        int64_t wall_error_ns, error_ns;
        enum sf_clock_state state;
        const char *text;
    } rows[] = {
        {SF_CLOCK_NTP, -96 * MS, 4 * MS, SF_CLOCK_OK,
         "offset +96 ms (ntp, 3 servers), bound 4.000 ms"},
        {SF_CLOCK_NTP, 96 * MS, 4 * MS, SF_CLOCK_OK, "offset -96 ms"},
        {SF_CLOCK_NTP, -96 * MS, 4 * MS + 1, SF_CLOCK_WARN, "ntp: over warn_offset_ms 100"},
        {SF_CLOCK_NTP, 500 * MS, 500 * MS, SF_CLOCK_WARN, "ntp: over warn_offset_ms 100"},
        {SF_CLOCK_NTP, 500 * MS, 500 * MS + 1, SF_CLOCK_SUSPENDED, "ntp: over max_offset_ms 1000"},
        {SF_CLOCK_CHRONY, -2 * S, MS, SF_CLOCK_SUSPENDED, "offset +2000 ms (chrony, 3 servers)"},
        {SF_CLOCK_CHRONY, HOUR, MS, SF_CLOCK_SUSPENDED, "offset -3600 s"},
        /* The kernel's bound grows by rote: alone it is no reason to stop. */
        {SF_CLOCK_KERNEL, 0, 1100 * MS, SF_CLOCK_WARN, "kernel: bound 1100 ms is over"},
        {SF_CLOCK_KERNEL, 0, 1000 * MS, SF_CLOCK_OK, "bound 1000 ms"},
        {SF_CLOCK_KERNEL, 101 * MS, MS, SF_CLOCK_WARN, "kernel: over warn_offset_ms 100"},
        {SF_CLOCK_KERNEL, 1001 * MS, MS, SF_CLOCK_SUSPENDED, "kernel: over max_offset_ms"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        world_start(&w, false);
        hear(&w, 0, rows[i].kind, rows[i].error_ns);
        w.wall_error_ns = rows[i].wall_error_ns;
        look(&w);
        expect(&w, rows[i].state, rows[i].text);
        assert_int_equal(w.out.verdict.offset_ns, -rows[i].wall_error_ns);
        assert_int_equal(w.out.verdict.error_ns, rows[i].error_ns);
        assert_true(w.out.verdict.trusted);
        assert_int_equal(w.out.verdict.trusted_low_ns, w.true_ns - rows[i].error_ns);
        assert_int_equal(w.out.verdict.trusted_high_ns, w.true_ns + rows[i].error_ns);
    }
    struct world w;
    world_start(&w, true);
    hear(&w, 0, SF_CLOCK_KERNEL, 1100 * MS);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "kernel: bound 1100 ms is over");
}

static void test_worst_kind_wins(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, false);
    hear(&w, 0, SF_CLOCK_NTP, MS);
    hear(&w, 1, SF_CLOCK_CHRONY, 2 * MS);
    w.readings[1].base_ns += 5 * S;
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "offset +5000 ms (chrony");
    assert_true(w.out.verdict.trusted_source == SF_CLOCK_NTP);
    assert_int_equal(w.out.verdict.trusted_high_ns,
                     w.true_ns + MS); /* chrony's does not touch it */
    world_start(&w, true);
    hear(&w, 0, SF_CLOCK_NTP, MS);
    lose(&w, 1, SF_CLOCK_KERNEL, SF_READING_UNSYNCED);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "kernel: unsynchronised");
    world_start(&w, false);
    lose(&w, 0, SF_CLOCK_NTP, SF_READING_NO_MAJORITY);
    look(&w);
    expect(&w, SF_CLOCK_WARN, "ntp: no majority");
    world_start(&w, true);
    lose(&w, 0, SF_CLOCK_NTP, SF_READING_NO_MAJORITY);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "ntp: no majority");
}

static void test_hysteresis(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, false);
    hear(&w, 0, SF_CLOCK_NTP, 0);
    w.wall_error_ns = 101 * MS;
    look(&w);
    expect(&w, SF_CLOCK_WARN, "over warn_offset_ms 100");
    w.wall_error_ns = 81 * MS; /* not yet under 80 % */
    for (int i = 0; i < 40; i++) {
        pass(&w, TICK);
        hear(&w, 0, SF_CLOCK_NTP, 0);
        look(&w);
        expect(&w, SF_CLOCK_WARN, "over warn_offset_ms 100");
    }
    w.wall_error_ns = 79 * MS;
    assert_int_equal(until(&w, SF_CLOCK_OK, 10 * S), 3 * S + TICK);
    w.wall_error_ns = 1001 * MS;
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "over max_offset_ms 1000");
    w.wall_error_ns = 760 * MS;
    pass(&w, 5 * S);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "over max_offset_ms 1000");
    w.wall_error_ns = 740 * MS;
    assert_int_equal(until(&w, SF_CLOCK_WARN, 10 * S), 2 * S + TICK);
    w.wall_error_ns = 1001 * MS;
    look(&w);
    w.wall_error_ns = 0;
    pass(&w, TICK);
    look(&w);
    expect(&w, SF_CLOCK_RESYNCING, "resyncing");
    w.wall_error_ns = 800 * MS; /* bad again before the time is up */
    pass(&w, TICK);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "over max_offset_ms 1000");
}

static void test_holdover(void **state)
{
    (void)state;
    for (int required = 0; required < 2; required++) {
        struct world w;
        world_start(&w, required);
        hear(&w, 0, SF_CLOCK_CHRONY, MS);
        look(&w);
        pass(&w, 13 * S);
        look(&w);
        expect(&w, SF_CLOCK_OK, "bound 1.650 ms");
        pass(&w, S);
        look(&w);
        expect(&w, SF_CLOCK_WARN, "chrony: holdover");
        assert_true(w.out.verdict.synchronized && w.out.verdict.error_ns == 1700001);
        pass(&w, 886 * S);
        look(&w);
        expect(&w, SF_CLOCK_WARN, "bound 46 ms");
        pass(&w, S);
        look(&w);
        expect(&w, required ? SF_CLOCK_SUSPENDED : SF_CLOCK_WARN, "chrony: unsynchronised");
        assert_false(w.out.verdict.synchronized);
        hear(&w, 0, SF_CLOCK_CHRONY, MS);
        assert_true(until(&w, SF_CLOCK_OK, 10 * S) <= 4 * S);
    }
}

/* Steps of a wall clock that nobody watches over. */
static void test_steps(void **state)
{
    (void)state;
    static const int64_t within[] = {MS, -MS, 100 * MS, -100 * MS, 999 * MS, -999 * MS};
    static const int64_t beyond[] = {1001 * MS, HOUR, -HOUR};
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
        struct world w;
        world_start(&w, false);
        look(&w);
        const int64_t before = mint(&w);
        w.wall_error_ns = within[i];
        look(&w);
        expect(&w, SF_CLOCK_OK, "");
        assert_int_equal(w.out.step_ns, within[i]);
        assert_int_equal(mint(&w), before); /* no jump, in either direction */
        assert_int_equal(w.policy.steps_forward, within[i] > 0);
        assert_int_equal(w.policy.steps_backward, within[i] < 0);
        for (int k = 0; k < 4 * 2000; k++) {
            const int64_t last = mint(&w);
            pass(&w, TICK);
            look(&w);
            assert_in_range(mint(&w) - last, TICK - TICK / 2000 - 1, TICK + TICK / 2000 + 1);
        }
        assert_int_equal(w.out.step_ns, 0);
        assert_in_range(mint(&w) - w.true_ns - w.wall_error_ns + 100000, 0, 200000);
    }
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        struct world w;
        world_start(&w, false);
        look(&w);
        w.wall_error_ns = beyond[i];
        pass(&w, TICK);
        look(&w);
        expect(&w, SF_CLOCK_SUSPENDED,
               beyond[i] < 0 ? "back, over" : "forward, and nothing confirms it");
        pass(&w, 60 * S);
        look(&w);
        expect(&w, SF_CLOCK_SUSPENDED, "");
        assert_int_equal(mint(&w), w.true_ns);
        w.wall_error_ns = 0;
        assert_true(until(&w, SF_CLOCK_OK, 10 * S) <= 3 * S);
        assert_int_equal(mint(&w), w.true_ns);
    }
}

/* The wall clock is set back by a second, and minting time was a little ahead of it: with the default of a
 * second minting goes on. */
static void test_leap_second(void **state)
{
    (void)state;
    static const int64_t steps[] = {-1000 * MS, -1000 * MS - 400000, -1009 * MS};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct world w;
        world_start(&w, false);
        look(&w);
        const int64_t before = mint(&w);
        w.wall_error_ns = steps[i];
        look(&w);
        expect(&w, SF_CLOCK_OK, "");
        assert_int_equal(mint(&w), before);
        for (int k = 0; k < 100; k++) {
            pass(&w, TICK);
            look(&w);
            expect(&w, SF_CLOCK_OK, "");
        }
    }
}

/* Just beyond: the wall clock soon passes what was minted, and minting goes on from there, on the
 * wall clock. */
static void test_step_back_is_waited_out(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, false);
    look(&w);
    w.wall_error_ns = -3 * S;
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "the wall clock has gone 3000 ms back, over max_offset_ms 1000");
    assert_in_range(until(&w, SF_CLOCK_OK, 10 * S), 4 * S, 5 * S);
    assert_true(mint(&w) >= w.policy.minted_ns);
    assert_int_equal(mint(&w), w.true_ns - 3 * S);
}

static void test_forward_step_confirmed(void **state)
{
    (void)state;
    /* A machine that slept for an hour: the monotonic clock did not run. */
    struct world w;
    world_start(&w, false);
    hear(&w, 0, SF_CLOCK_NTP, MS);
    look(&w);
    w.true_ns += HOUR;
    hear(&w, 0, SF_CLOCK_NTP, MS);
    look(&w);
    expect(&w, SF_CLOCK_OK, "");
    assert_true(w.out.mint_changed);
    assert_int_equal(mint(&w), w.true_ns);
    /* The same, but the source answers only later: suspended in between. */
    w.true_ns += HOUR;
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "offset -3600 s");
    hear(&w, 0, SF_CLOCK_NTP, MS);
    assert_true(until(&w, SF_CLOCK_OK, 10 * S) <= 3 * S);
    assert_int_equal(mint(&w), w.true_ns);
    /* Confirmed by the coordinator only. */
    world_start(&w, false);
    look(&w);
    w.true_ns += HOUR;
    w.coordinator = (struct sf_coordinator_time){true, w.true_ns, 5 * MS, w.mono_ns};
    look(&w);
    expect(&w, SF_CLOCK_OK, "(coordinator)");
    assert_int_equal(mint(&w), w.true_ns);
}

/* Minting time began by a clock that was wrong; what the clock is set to is right enough to mint by,
 * so it is right enough to go on from, though it is warned of. */
static void test_forward_step_confirmed_within_max(void **state)
{
    (void)state;
    static const int64_t errors_ns[] = {0, 90 * MS, -162 * MS, 700 * MS, -700 * MS};
    for (size_t i = 0; i < sizeof errors_ns / sizeof errors_ns[0]; i++) {
        struct world w;
        world_start(&w, false);
        w.wall_error_ns = -4 * S;
        look(&w);
        w.coordinator = (struct sf_coordinator_time){true, w.true_ns, 5 * MS, w.mono_ns};
        look(&w);
        expect(&w, SF_CLOCK_SUSPENDED, "the coordinator's clock is +4000 ms from ours");
        w.wall_error_ns = errors_ns[i];
        const enum sf_clock_state state_then =
            sf_clock_abs_ns(errors_ns[i]) > 100 * MS ? SF_CLOCK_WARN : SF_CLOCK_OK;
        assert_true(until(&w, state_then, 10 * S) <= 3 * S);
        assert_int_equal(mint(&w), w.true_ns + errors_ns[i]);
    }
}

/* Within max_offset, too, a step forward is taken at once where the sources say that it leads to
 * true time. */
static void test_small_forward_step(void **state)
{
    (void)state;
    static const struct {
        bool ntp, coordinator;
        int64_t from_ns, to_ns; /* wall clock minus true time */
        bool jumps;
    } rows[] = {
        {true, false, -500 * MS, 0, true},
        {false, true, -500 * MS, 0, true},
        {false, false, -500 * MS, 0, false},
        {true, false, -11 * MS, 0, true},
        {true, false, -10 * MS, 0, false},
        {true, false, 0, 500 * MS, false}, /* away from it */
        {true, false, -500 * MS, 2 * MS, false},
        {true, false, -500 * MS, MS, true},
        {true, false, 500 * MS, 0, false}, /* back is never jumped */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        world_start(&w, false);
        if (rows[i].ntp)
            hear(&w, 0, SF_CLOCK_NTP, MS);
        if (rows[i].coordinator)
            w.coordinator = (struct sf_coordinator_time){true, w.true_ns, 5 * MS, w.mono_ns};
        w.wall_error_ns = rows[i].from_ns;
        look(&w);
        const int64_t before = mint(&w);
        w.wall_error_ns = rows[i].to_ns;
        look(&w);
        assert_true(w.out.verdict.may_mint);
        assert_int_equal(mint(&w), rows[i].jumps ? w.true_ns + rows[i].to_ns : before);
    }
}

static void test_ids_minted_ahead(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, false); /* started with a clock an hour ahead, then set right */
    w.wall_error_ns = HOUR;
    look(&w);
    pass(&w, S);
    look(&w);
    expect(&w, SF_CLOCK_OK, "");
    w.wall_error_ns = 0;
    hear(&w, 0, SF_CLOCK_NTP, MS);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "the wall clock has gone 3600 s back");
    pass(&w, TICK);
    hear(&w, 0, SF_CLOCK_NTP, MS);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "IDs were minted up to");
    /* Those who can tell that nothing was minted there need not wait. */
    w.minted_ns = w.true_ns - 2 * S;
    assert_true(until(&w, SF_CLOCK_OK, 10 * S) <= 3 * S);
    assert_int_equal(mint(&w), w.true_ns);
    /* What was minted a little ahead, within max_offset, minting time starts from. */
    world_start(&w, false);
    w.wall_error_ns = HOUR;
    look(&w);
    w.wall_error_ns = 0;
    w.policy.options.max_ns = 5 * S;
    w.minted_ns = w.true_ns + 4 * S;
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "the wall clock has gone 3600 s back");
    assert_true(until(&w, SF_CLOCK_OK, 10 * S) < 3 * S);
    assert_int_equal(mint(&w), w.minted_ns);
    /* Otherwise it lasts until the wall clock is there. */
    world_start(&w, false);
    w.wall_error_ns = HOUR;
    look(&w);
    w.wall_error_ns = 0;
    look(&w);
    pass(&w, HOUR - 2 * S);
    look(&w);
    expect(&w, SF_CLOCK_SUSPENDED, "IDs were minted up to");
    pass(&w, 2 * S);
    look(&w);
    until(&w, SF_CLOCK_OK, 10 * S);
    assert_true(mint(&w) >= w.policy.minted_ns);
}

/* Suspended for a while, with a wall clock that comes back a little behind minting time: within
 * max_offset minting time goes on along its line, and does not restart lower. Not at one moment of it
 * does it go back. */
static void test_minting_time_goes_on_over_a_pause(void **state)
{
    (void)state;
    static const int64_t behind_ns[] = {0, 1, MS, 500 * MS, 999 * MS};
    for (size_t i = 0; i < sizeof behind_ns / sizeof behind_ns[0]; i++) {
        struct world w;
        world_start(&w, false);
        look(&w);
        pass(&w, 10 * S);
        look(&w);
        assert_int_equal(mint(&w), w.true_ns);
        w.wall_error_ns = -3 * S;
        look(&w);
        expect(&w, SF_CLOCK_SUSPENDED, "back");
        pass(&w, 60 * S);
        w.wall_error_ns = -behind_ns[i];
        int64_t last_ns = 0;
        while (w.policy.state != SF_CLOCK_OK && w.policy.state != SF_CLOCK_WARN) {
            pass(&w, TICK);
            look(&w);
            assert_true(mint(&w) >= last_ns);
            last_ns = mint(&w);
        }
        assert_int_equal(mint(&w), w.true_ns);
        assert_true(mint(&w) >= w.policy.minted_ns);
    }
}

static void test_coordinator(void **state)
{
    (void)state;
    static const struct {
        bool ntp;
        int64_t away_ns;
        enum sf_clock_state state;
        const char *text;
    } rows[] = {
        {false, 0, SF_CLOCK_OK, "offset +0.000 ms (coordinator), bound 10 ms"},
        {false, 110 * MS, SF_CLOCK_OK, "offset +110 ms (coordinator)"},
        {false, -111 * MS, SF_CLOCK_WARN,
         "the coordinator's clock is -111 ms from ours, over warn"},
        {false, 1010 * MS, SF_CLOCK_WARN, "over warn"},
        {false, 1011 * MS, SF_CLOCK_SUSPENDED,
         "the coordinator's clock is +1011 ms from ours, over max"},
        {false, -HOUR, SF_CLOCK_SUSPENDED, "the coordinator's clock is -3600 s from ours"},
        {true, -HOUR, SF_CLOCK_WARN, "the coordinator's clock is -3600 s from ours"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        world_start(&w, false);
        if (rows[i].ntp)
            hear(&w, 0, SF_CLOCK_NTP, MS);
        w.coordinator =
            (struct sf_coordinator_time){true, w.true_ns + rows[i].away_ns, 10 * MS, w.mono_ns};
        look(&w);
        expect(&w, rows[i].state, rows[i].text);
        assert_true(w.out.verdict.trusted);
        assert_true(w.out.verdict.trusted_source ==
                    (rows[i].ntp ? SF_CLOCK_NTP : SF_CLOCK_COORDINATOR));
        pass(&w, 601 * S); /* too old to count */
        if (rows[i].ntp)
            hear(&w, 0, SF_CLOCK_NTP, MS);
        look(&w);
        until(&w, SF_CLOCK_OK, 10 * S);
        assert_int_equal(w.out.verdict.trusted, rows[i].ntp);
    }
}

/* Whatever happens: minting time does not go back while minting goes on, is never below what was
 * minted before, and stays within max_offset of the wall clock. */
static void test_properties(void **state)
{
    (void)state;
    const uint64_t seed = sf_random_u64();
    printf("seed %#" PRIx64 "\n", seed);
    struct sf_prng prng = {.state = seed};
    unsigned seen[SF_CLOCK_STATES] = {0};
    for (int history = 0; history < 400; history++) {
        struct world w;
        world_start(&w, sf_prng_below(&prng, 2));
        int64_t last_ns = INT64_MIN;
        bool was_minting = false;
        for (int i = 0; i < 400; i++) {
            const int64_t size =
                (int64_t)sf_prng_below(&prng, UINT64_C(1) << sf_prng_below(&prng, 43));
            switch (sf_prng_below(&prng, 12)) {
            case 0:
                w.wall_error_ns += size;
                break;
            case 1:
                w.wall_error_ns -= size;
                break;
            case 2:
                w.wall_error_ns = 0;
                break;
            case 3:
                w.true_ns += size; /* the machine slept */
                break;
            case 4:
                lose(&w, sf_prng_below(&prng, 2), SF_CLOCK_NTP,
                     (enum sf_reading_status)sf_prng_below(&prng, 5));
                break;
            case 5:
            case 6:
            case 7:
                hear(&w, sf_prng_below(&prng, 2), SF_CLOCK_NTP, size % (400 * MS));
                break;
            case 8:
                w.coordinator = (struct sf_coordinator_time){true, w.true_ns, MS, w.mono_ns};
                break;
            default:
                break;
            }
            pass(&w, (int64_t)sf_prng_below(&prng, UINT64_C(1) << sf_prng_below(&prng, 35)));
            look(&w);
            seen[w.policy.state]++;
            const bool minting = w.out.verdict.may_mint;
            if (minting) {
                const int64_t ahead = mint(&w) - w.true_ns - w.wall_error_ns;
                assert_true(!was_minting || mint(&w) >= last_ns);
                assert_true(mint(&w) >= w.policy.minted_ns);
                /* A hundredth more, so that a leap second is within a second. */
                assert_true(ahead <= 1010 * MS && ahead >= -1000 * MS);
            }
            assert_true(!w.out.verdict.trusted ||
                        w.out.verdict.trusted_low_ns <= w.out.verdict.trusted_high_ns);
            was_minting = minting;
            last_ns = mint(&w);
        }
    }
    for (int i = 0; i < SF_CLOCK_STATES; i++)
        assert_true(seen[i] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_start_with_network_sources),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_worst_kind_wins),
        cmocka_unit_test(test_hysteresis),
        cmocka_unit_test(test_holdover),
        cmocka_unit_test(test_leap_second),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_step_back_is_waited_out),
        cmocka_unit_test(test_forward_step_confirmed),
        cmocka_unit_test(test_forward_step_confirmed_within_max),
        cmocka_unit_test(test_small_forward_step),
        cmocka_unit_test(test_ids_minted_ahead),
        cmocka_unit_test(test_minting_time_goes_on_over_a_pause),
        cmocka_unit_test(test_coordinator),
        cmocka_unit_test(test_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
