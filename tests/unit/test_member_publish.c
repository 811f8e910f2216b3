/* unit/test_member_publish.c - from the machines of a member to the snapshot that everybody else sees: what
 * one of several machines knows of the fleet, the member knows. */
#include "unit/cmocka_all.h"

#include "member/publish.h"

static struct sf_loop loop;
static struct sf_member_snapshot seen;

static void turned(void *ctx, const struct sf_member_counts *counts)
{
    (void)counts;
    sf_shared_read(ctx, &seen);
}

static int set_up(void **state)
{
    (void)state;
    static const struct sf_clock_specs no_sources;
    const struct sf_clock_options clock = {
        .sources = &no_sources, .poll_ms = 1000, .warn_offset_ms = 100, .max_offset_ms = 1000};
    struct sf_error err = {0};
    memset(&loop, 0, sizeof loop);
    loop.hold_count = 3;
    loop.host = (struct sf_member_host){.ctx = &loop.shared, .turned = turned};
    sf_shared_init(&loop.shared);
    for (unsigned i = 0; i < loop.hold_count; i++) {
        uint8_t random[16] = {0};
        const struct sf_reservation_params params = {.pinned_worker = -1};
        const struct sf_reservation_memory memory = {.valid = false};
        assert_int_equal(sf_hold_map(&loop.holds[i], &err), 0);
        sf_reservation_init(&loop.holds[i].res, &params, &loop.holds[i].right->gen,
                            &loop.holds[i].right->word, 10, &memory, random);
    }
    return sf_clock_create(&clock, &loop.clock, &err);
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < loop.hold_count; i++)
        sf_hold_destroy(&loop.holds[i]);
    sf_clock_destroy(loop.clock);
    sf_shared_destroy(&loop.shared);
    return 0;
}

static const struct sf_member_snapshot *published(void)
{
    memset(&seen, 0xff, sizeof seen);
    sf_publish(&loop);
    return &seen;
}

/* Whichever of them heard of it, and whatever state the one has that speaks for the member. */
static void a_machine_that_knows_a_halt_tells_it(void **state)
{
    (void)state;
    assert_false(published()->halted);
    for (unsigned who = 0; who < loop.hold_count; who++)
        for (unsigned speaks = 0; speaks < loop.hold_count; speaks++) {
            for (unsigned i = 0; i < loop.hold_count; i++) {
                loop.holds[i].res.halted = i == who;
                loop.holds[i].res.state = i == speaks ? SF_WORKER_READY : SF_WORKER_CLAIMING;
            }
            assert_true(published()->halted);
            assert_int_equal(seen.state, SF_WORKER_READY); /* while something is left to spend */
            loop.holds[who].res.halted = false;
            assert_false(published()->halted);
        }
}

static void the_state_halted_is_told_with_its_reason(void **state)
{
    (void)state;
    for (unsigned i = 0; i < loop.hold_count; i++) {
        loop.holds[i].res.halted = true;
        loop.holds[i].res.state = SF_WORKER_HALTED;
        snprintf(loop.holds[i].res.why, sizeof loop.holds[i].res.why, "reported by %u", i);
    }
    assert_int_equal(published()->state, SF_WORKER_HALTED);
    assert_true(seen.halted);
    assert_string_equal(seen.why, "reported by 0");
    for (unsigned i = 0; i < loop.hold_count; i++) {
        char why[32];
        snprintf(why, sizeof why, "reported by %u", i);
        assert_int_equal(seen.slots[i].state, SF_WORKER_HALTED);
        assert_string_equal(seen.slots[i].why, why);
    }
    char why[SF_COORD_TEXT_MAX];
    assert_int_equal(sf_shared_state(&loop.shared, why), SF_WORKER_HALTED);
    assert_string_equal(why, "reported by 0");
}

static void losses_of_all_are_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < loop.hold_count; i++)
        loop.holds[i].res.stats.data_losses = 1U << i;
    assert_int_equal(published()->counts.data_losses, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_machine_that_knows_a_halt_tells_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_state_halted_is_told_with_its_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(losses_of_all_are_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
