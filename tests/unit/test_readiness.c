/* Readiness: which facts make a worker ready, and the sentences that people read. */
#include "unit/cmocka_all.h"

#include "worker/readiness.h"

static struct sf_readiness_facts healthy(void)
{
    return (struct sf_readiness_facts){.slot_held = true,
                                       .worker = 3,
                                       .fence = 17,
                                       .slot_text = "waiting",
                                       .reservation_left_ms = 552000,
                                       .reservation_needed_ms = 15000,
                                       .coordinator_connected = true,
                                       .clock_ok = true,
                                       .clock_text = "offset 0.2 ms",
                                       .drain_text = "SIGTERM",
                                       .shards = 2};
}

static void expect(const struct sf_readiness_facts *facts, enum sf_check check, bool ok, bool ready,
                   const char *text)
{
    struct sf_readiness readiness;
    sf_readiness_judge(facts, &readiness);
    assert_int_equal(readiness.checks[check].ok, ok);
    assert_int_equal(readiness.ready, ready);
    assert_string_equal(readiness.checks[check].text, text);
}

static void a_healthy_worker_is_ready(void **state)
{
    (void)state;
    struct sf_readiness_facts facts = healthy();
    expect(&facts, SF_CHECK_SLOT, true, true, "0/3, fence 17");
    expect(&facts, SF_CHECK_RESERVATION, true, true, "9m12s left");
    expect(&facts, SF_CHECK_CLOCK, true, true, "offset 0.2 ms");
    expect(&facts, SF_CHECK_DRAIN, true, true, "not draining");
    expect(&facts, SF_CHECK_SHARDS, true, true, "2 turning");
}

static void an_outage_alone_does_not_fail_it(void **state)
{
    (void)state;
    struct sf_readiness_facts facts = healthy();
    struct sf_readiness readiness;
    facts.coordinator_connected = false;
    facts.coordinator_silent_ms = 48000;
    expect(&facts, SF_CHECK_RESERVATION, true, true, "9m12s left, coordinator unreachable for 48s");
    sf_readiness_judge(&facts, &readiness);
    assert_true(readiness.checks[SF_CHECK_RESERVATION].note);
    facts.reservation_left_ms = 15001;
    expect(&facts, SF_CHECK_RESERVATION, true, true, "15s left, coordinator unreachable for 48s");
    facts.reservation_left_ms = 15000; /* just what a drain needs: from here on not ready */
    expect(&facts, SF_CHECK_RESERVATION, false, false, "15s left, coordinator unreachable for 48s");
    facts.reservation_left_ms = 0;
    expect(&facts, SF_CHECK_RESERVATION, false, false, "used up, coordinator unreachable for 48s");
    /* In reach, a short reservation is about to be renewed. */
    facts.coordinator_connected = true;
    facts.reservation_left_ms = 1;
    expect(&facts, SF_CHECK_RESERVATION, true, true, "1ms left");
}

static void each_failure_is_named(void **state)
{
    (void)state;
    struct sf_readiness_facts facts = healthy();
    assert_string_equal(sf_check_name(SF_CHECKS), "unknown");
    facts.reservation_left_ms = -1;
    expect(&facts, SF_CHECK_RESERVATION, false, false, "used up");
    facts = healthy();
    facts.slot_held = false;
    facts.reservation_left_ms = 0;
    expect(&facts, SF_CHECK_SLOT, false, false, "waiting");
    expect(&facts, SF_CHECK_RESERVATION, false, false, "none");
    facts = healthy();
    facts.clock_ok = false;
    expect(&facts, SF_CHECK_CLOCK, false, false, "offset 0.2 ms");
    facts = healthy();
    facts.draining = true;
    expect(&facts, SF_CHECK_DRAIN, false, false, "SIGTERM");
    facts = healthy();
    facts.shards_stalled = 1;
    expect(&facts, SF_CHECK_SHARDS, false, false, "1 of 2 stalled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_worker_is_ready),
        cmocka_unit_test(an_outage_alone_does_not_fail_it),
        cmocka_unit_test(each_failure_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
