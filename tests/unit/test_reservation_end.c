/* unit/test_reservation_end.c - before a fleet's first timestamp and after its last: nothing is minted,
 * and the worker says so in its state and in words. */
#include "unit/reservation_fixture.h"

#define SHORT_BITS 20 /* 17 minutes */
#define SPAN_MS    ((INT64_C(1) << SHORT_BITS) - 1)

/* A fleet whose last timestamp comes left_ms from now. */
static struct machine *short_lived(int64_t left_ms)
{
    struct sf_coord_config config = fleet_config();
    config.layout = (struct sf_layout){SHORT_BITS, 5, 2, 36};
    config.epoch_ms = mint_ms + left_ms - SPAN_MS;
    make_fleet(&config, false);
    record_rule = false; /* it reckons with the fixture's epoch */
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    return m;
}

static enum sf_mint_result mint_now(struct machine *m)
{
    struct sf_mint got;
    return sf_generator_mint(&m->gen, (uint64_t)(mint_ms - m->res.config.epoch_ms), 0, 0, 1, &got);
}

static void an_epoch_to_come_is_waited_for(void **state)
{
    (void)state;
    struct sf_coord_config config = fleet_config();
    config.epoch_ms = mint_ms + 5000;
    make_fleet(&config, false);
    record_rule = false;
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    assert_state(m, SF_WORKER_QUARANTINED);
    assert_string_equal(m->res.why, "the fleet's epoch is in the future: minting begins at "
                                    "2023-11-14T22:13:25.000Z, 5s from now");
    assert_said(m, "slot.waiting: the fleet's epoch is in the future");
    assert_int_equal(sf_reservation_left_ms(&m->res, mint_ms), 0);
    assert_null(strstr(m->ops, "bind "));
    run(4900);
    assert_state(m, SF_WORKER_QUARANTINED);
    run(1000);
    assert_state(m, SF_WORKER_READY);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) > 0);
    assert_int_equal(mint_now(m), SF_MINT_OK);
}

/* Who holds a slot while its clock says that the epoch is to come has nothing to mint. */
static void nothing_is_left_before_the_epoch(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(sf_reservation_left_ms(&m->res, EPOCH_MS - 1), 0);
}

static void the_last_timestamp_ends_it(void **state)
{
    (void)state;
    struct machine *m = short_lived(10000);
    run(3000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint_now(m), SF_MINT_OK);
    /* What is left is what the layout has, not what the coordinator granted. */
    assert_int_equal(sf_reservation_left_ms(&m->res, mint_ms), 7001);
    run(7000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint_now(m), SF_MINT_OK);
    run(50);
    assert_state(m, SF_WORKER_EXHAUSTED);
    assert_int_equal(mint_now(m), SF_MINT_CLOSED);
    assert_string_equal(
        m->res.why, "the fleet's timestamps ended at 2023-11-14T22:13:30.000Z: no ID can be minted "
                    "in it any more; make another fleet with a later epoch, or more timestamp "
                    "bits than 20,5,2,36");
    assert_said(m, "fleet.exhausted: the fleet's timestamps ended");
    assert_said(m, "worker.state: ready -> exhausted: the fleet's timestamps ended");
    /* The slot and the claim are given back, and the coordinator is left alone. */
    assert_said(m, "slot.released: ");
    assert_false(m->res.hold.active);
    forget_past(m);
    run(130000);
    assert_state(m, SF_WORKER_EXHAUSTED);
    assert_string_equal(m->ops, "read_config read_config ");
    leave(m, 1000);
    assert_int_equal(m->exit_code, 0);
    assert_true(m->finished);
}

static void a_start_after_the_end_claims_no_slot(void **state)
{
    (void)state;
    struct machine *m = short_lived(-1000);
    run(3000);
    assert_state(m, SF_WORKER_EXHAUSTED);
    assert_null(strstr(m->ops, "bind "));
    size_t count;
    assert_string_equal(first_claim(&count).state, "exhausted"); /* others see it */
    assert_int_equal(count, 1);
    assert_false(m->finished); /* restarting helps nobody */
}

static void a_clock_that_was_wrong_leads_out_of_it(void **state)
{
    (void)state;
    struct machine *m = short_lived(60000);
    run(3000);
    const int64_t right_ms = mint_ms;
    mint_ms += 60000;
    tick(m);
    assert_state(m, SF_WORKER_EXHAUSTED);
    m->now.clock_ok = false;
    tick(m);
    assert_state(m, SF_WORKER_RESYNCING);
    m->now.clock_ok = true;
    mint_ms = right_ms;
    run(65000);
    mint_ms = right_ms + 5000;
    run(3000);
    assert_state(m, SF_WORKER_READY);
}

/* While it is cut off nothing can be given back; it is over all the same. */
static void it_ends_without_the_coordinator_too(void **state)
{
    (void)state;
    struct machine *m = short_lived(10000);
    run(3000);
    sf_fake_disconnect(m->coord);
    run(8000);
    assert_state(m, SF_WORKER_EXHAUSTED);
    assert_true(m->res.hold.active);
    sf_fake_connect(m->coord);
    run(2000);
    assert_false(m->res.hold.active);
    assert_state(m, SF_WORKER_EXHAUSTED);
}

static void who_is_suspended_says_why(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    m->now.trusted_ms = mint_ms - 10 * WINDOW_MS; /* no renewal is allowed */
    run(WINDOW_MS + 1000);
    assert_state(m, SF_WORKER_SUSPENDED);
    assert_string_equal(m->res.why, "the reservation is used up, and has not been renewed yet");
}

static void the_last_millisecond_is_counted_without_overflow(void **state)
{
    (void)state;
    struct sf_coord_config config = fleet_config();
    assert_int_equal(sf_config_last_ms(&config), EPOCH_MS + (INT64_C(1) << 41) - 1);
    config.layout = (struct sf_layout){63, 0, 0, 0};
    assert_int_equal(sf_config_last_ms(&config), INT64_MAX);
    config.epoch_ms = -5;
    assert_int_equal(sf_config_last_ms(&config), INT64_MAX - 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario_empty(an_epoch_to_come_is_waited_for),
        scenario(nothing_is_left_before_the_epoch),
        scenario_empty(the_last_timestamp_ends_it),
        scenario_empty(a_start_after_the_end_claims_no_slot),
        scenario_empty(a_clock_that_was_wrong_leads_out_of_it),
        scenario_empty(it_ends_without_the_coordinator_too),
        scenario(who_is_suspended_says_why),
        scenario(the_last_millisecond_is_counted_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
