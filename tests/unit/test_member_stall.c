/* unit/test_member_stall.c - when another thread counts as stalled: by what was seen while one was
 * running oneself. */
#include "unit/cmocka_all.h"

#include "member/stall.h"

static void a_thread_that_turns_is_never_stalled(void **state)
{
    (void)state;
    struct sf_stall stall = {.looked_mono_ms = 0};
    for (int64_t now_ms = 1000; now_ms < 60000; now_ms += 7) /* the other turns every 250 ms */
        assert_in_range(sf_stall_look(&stall, now_ms % 250, now_ms), 0, 250);
    /* Looked at so often that the clock does not move in between. */
    for (unsigned i = 0; i < 100; i++)
        assert_in_range(sf_stall_look(&stall, 60, 60060), 0, 250);
}

static void one_that_stands_still_is_seen_to(void **state)
{
    (void)state;
    struct sf_stall stall = {.looked_mono_ms = 0};
    assert_int_equal(sf_stall_look(&stall, 10, 1000), 0); /* the first look tells nothing */
    assert_int_equal(sf_stall_look(&stall, 1010, 2000), 1000);
    assert_int_equal(sf_stall_look(&stall, 1510, 2500), 1500);
    assert_int_equal(sf_stall_look(&stall, 2510, 3500), 2500);
    /* It turned 300 ms ago, since the last look. */
    assert_int_equal(sf_stall_look(&stall, 300, 4000), 0);
    assert_int_equal(sf_stall_look(&stall, 800, 4500), 500);
}

static void whoever_was_stopped_together_has_seen_nothing(void **state)
{
    (void)state;
    struct sf_stall stall = {.looked_mono_ms = 0};
    (void)sf_stall_look(&stall, 100, 1000);
    /* A minute in which nobody ran; the other has not turned yet when we look. */
    assert_int_equal(sf_stall_look(&stall, 60100, 61000), SF_STALL_LOOK_MAX_MS);
    assert_int_equal(sf_stall_look(&stall, 1, 61002), 0);
}

static void a_stalled_clock_is_not_minted_by(void **state)
{
    (void)state;
    struct sf_clock_verdict verdict = {.state = SF_CLOCK_OK,
                                       .may_mint = true,
                                       .synchronized = true,
                                       .trusted = true,
                                       .text = "offset +0.100 ms"};
    sf_stall_verdict(0, &verdict);
    assert_true(verdict.may_mint && verdict.synchronized && verdict.trusted);
    assert_string_equal(verdict.text, "offset +0.100 ms");
    sf_stall_verdict(6000, &verdict);
    assert_false(verdict.may_mint || verdict.synchronized || verdict.trusted);
    assert_int_equal(verdict.state, SF_CLOCK_SUSPENDED);
    assert_string_equal(verdict.text,
                        "its thread has not turned for 6000 ms: nobody looks whether it is right");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_turns_is_never_stalled),
        cmocka_unit_test(one_that_stands_still_is_seen_to),
        cmocka_unit_test(whoever_was_stopped_together_has_seen_nothing),
        cmocka_unit_test(a_stalled_clock_is_not_minted_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
