/* unit/test_reservation_seek.c - in a datacenter that is too large to be listed: what it costs to find a
 * slot, to hold it and to lose it does not grow with the datacenter, and who seeks finds what is free. */
#include "unit/reservation_fixture.h"

enum { SLOTS = 1024 };

static int setup_large(void **state)
{
    setup_empty(state);
    struct sf_coord_config config = fleet_config();
    config.layout = (struct sf_layout){41, 5, 10, 7};
    make_fleet(&config, false);
    return 0;
}

static unsigned count_ops(const struct machine *m, const char *op)
{
    unsigned count = 0;
    for (const char *at = strstr(m->ops, op); at != NULL; at = strstr(at + 1, op))
        count++;
    return count;
}

static unsigned all_ops(const struct machine *m)
{
    return count_ops(m, " ");
}

static unsigned claims_left(void)
{
    const struct sf_coord_request request = {.op = SF_COORD_LIST, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    return (unsigned)c->claim_count;
}

/* All slots rest until then. */
static void fill(int64_t reserved_until_ms)
{
    for (unsigned i = 0; i < SLOTS; i++)
        put_record(i, "", reserved_until_ms);
}

static void a_start_costs_a_few_requests(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(count_ops(m, "list "), 0);
    assert_int_equal(count_ops(m, "probe "), 1);
    assert_in_range(all_ops(m), 4, 6); /* config, claim, probe, bind, watch */
    /* Counted when the claim was made: the window is the long one from the start. */
    assert_in_range(m->res.hold.acked_ms - mint_ms, WINDOW_MS - 3000, WINDOW_MS);
}

static void holding_costs_renewals_and_little_else(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    forget_past(m);
    const int minutes = 5;
    run(minutes * 60000);
    const unsigned renewals = count_ops(m, "renew ");
    const unsigned expected = minutes * 60000 / (WINDOW_MS / 10);
    assert_in_range(renewals, expected * 9 / 10, expected * 13 / 10);
    assert_in_range(all_ops(m) - renewals, 0, 3); /* once for claims of ours, once for a sample */
    assert_int_equal(count_ops(m, "list "), 0);
}

static void others_that_come_and_go_wake_nobody(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    forget_past(m);
    for (unsigned i = 0; i < 50; i++) {
        put_claim(i);
        put_record(i + 100, "", mint_ms + 1000);
        settle();
    }
    assert_string_equal(m->ops, "");
}

static void machines_that_start_together_do_not_meet(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MACHINES; i++)
        open_machine(new_machine(i), NULL);
    run(3000);
    for (unsigned i = 0; i < MACHINES; i++) {
        assert_state(&machines[i], SF_WORKER_READY);
        assert_int_equal(machines[i].res.stats.bids_lost, 0);
        assert_int_equal(count_ops(&machines[i], "probe "), 1);
    }
}

/* Every slot is looked at, once, in ever larger steps. */
static void the_only_free_slot_is_found(void **state)
{
    (void)state;
    fill(mint_ms + 1000000);
    put_record(777, "", mint_ms - 1);
    struct machine *m = ready_machine(0);
    assert_int_equal(m->res.hold.worker, 777);
    assert_in_range(count_ops(m, "probe "), 1, SLOTS / SF_COORD_PROBE_MAX + 5);
    assert_int_equal(m->res.stats.bids_full, 0);
}

static void a_slot_that_comes_free_is_found(void **state)
{
    (void)state;
    fill(mint_ms + 1000000);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(3000);
    assert_state(m, SF_WORKER_QUARANTINED);
    assert_non_null(strstr(m->res.why, "1024 quarantined"));
    put_record(5, "", mint_ms - 1);
    run((int64_t)SLOTS / SF_COORD_PROBE_MAX * 2 * SF_RES_PASS_MS);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 5);
}

/* A reservation that ends is known before: its slot is looked at out of turn. */
static void a_reservation_that_ends_is_waited_for(void **state)
{
    (void)state;
    fill(mint_ms + 1000000);
    put_record(600, "", mint_ms + 20000);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(19900);
    assert_state(m, SF_WORKER_QUARANTINED);
    run(1000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 600);
}

/* The reservation has passed, but its holder lives: it is not taken away. */
static void a_living_holder_keeps_its_slot(void **state)
{
    (void)state;
    char claim[SF_COORD_CLAIM_MAX];
    put_claim(1);
    snprintf(claim, sizeof claim, "claim-ff%030x-%010u", 1, 1);
    for (unsigned i = 0; i < SLOTS; i++)
        put_record(i, claim, mint_ms - 1);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(3000);
    assert_state(m, SF_WORKER_CLAIMING);
    assert_non_null(strstr(m->res.why, "the fleet is full"));
}

static void who_loses_a_bid_seeks_on(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    for (unsigned i = 0; i < 3; i++)
        forge_next(m, SF_COORD_BIND, SF_COORD_REFUSED, SF_COORD_VERSION);
    run(3000);
    assert_state(m, SF_WORKER_READY);
    assert_in_range(count_ops(m, "probe "), 2, 4);
    assert_int_equal(count_ops(m, "list "), 0);
}

static void crowding_is_told_by_the_number_of_claims(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < SLOTS / 2 - 2; i++)
        put_claim(i);
    run(WINDOW_MS);
    assert_in_range(sf_reservation_left_ms(&m->res, mint_ms), WINDOW_MS * 8 / 10, WINDOW_MS);
    for (unsigned i = 5000; i < 5003; i++)
        put_claim(i);
    run(WINDOW_MS);
    assert_in_range(sf_reservation_left_ms(&m->res, mint_ms), 1, MIN_MS);
}

/* Who meets many that rest reserves briefly, though so few claims would leave room. */
static void slots_that_rest_make_it_crowded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SLOTS / 4; i++)
        put_claim(i);
    fill(mint_ms + 1000000);
    put_record(9, "", mint_ms - 1);
    struct machine *m = ready_machine(0);
    run(WINDOW_MS / 2);
    assert_in_range(sf_reservation_left_ms(&m->res, mint_ms), 1, MIN_MS);
}

/* Another question would stand behind all that a busy coordinator has not answered yet; nor is it told
 * what it could not be asked. Who holds a slot has no time for that. */
static void who_was_not_answered_in_time_waits_longer(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    for (int i = 0; i < 3; i++)
        sf_fake_fault(m->coord, SF_COORD_PROBE, SF_FAKE_HELD);
    run(1900);
    assert_int_equal(count_ops(m, "probe "), 1);
    run(300);
    assert_int_equal(count_ops(m, "probe "), 2);
    assert_non_null(strstr(m->res.why, "no answer"));
    run(3600);
    assert_int_equal(count_ops(m, "probe "), 2);
    run(600);
    assert_int_equal(count_ops(m, "probe "), 3);
    run(6000);
    assert_state(m, SF_WORKER_READY);
    assert_string_equal(m->res.why, "");
    assert_in_range(count_ops(m, "tell "), 0, 2);
    /* What is told is left alone even longer: nobody mints by it. */
    const unsigned tells = count_ops(m, "tell ");
    m->res.claim.state[0] = '\0'; /* as after one that was not answered */
    for (int i = 0; i < 20; i++)
        sf_fake_fault(m->coord, SF_COORD_TELL, SF_FAKE_ANSWER_LOST_NOT_APPLIED);
    run(21000);
    assert_in_range(count_ops(m, "tell ") - tells, 3, 7);
    const size_t before = count_ops(m, "renew ");
    for (int i = 0; i < 2; i++)
        sf_fake_fault(m->coord, SF_COORD_RENEW, SF_FAKE_HELD);
    run(WINDOW_MS / 5);
    assert_in_range(count_ops(m, "renew ") - before, 2, 100);
}

static void the_double_of_a_claim_goes(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    run(2000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(claims_left(), 2);
    run(SF_RES_CENSUS_MS + 5000);
    assert_int_equal(claims_left(), 1);
    assert_int_equal(count_ops(m, "list "), 0);
}

static void a_claim_in_doubt_is_found(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_ANSWER_LOST_APPLIED);
    run(8000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(claims_left(), 1);
    assert_int_equal(count_ops(m, "list "), 0);
}

static void claims_that_come_late_all_go(void **state)
{
    (void)state;
    enum { LATE = 5 };
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    for (unsigned i = 0; i < LATE; i++)
        sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_APPLIED_LATE);
    run(LATE * SF_RES_RETRY_MAX_MS);
    assert_state(m, SF_WORKER_READY);
    sf_fake_apply_late(store);
    assert_int_equal(claims_left(), 1 + LATE);
    run(2 * SF_RES_CENSUS_MS);
    assert_int_equal(claims_left(), 1);
    assert_state(m, SF_WORKER_READY);
}

static void a_pinned_slot_is_waited_for(void **state)
{
    (void)state;
    put_record(900, "", mint_ms + 5000);
    struct machine *m = new_machine(0);
    m->params.pinned_worker = 900;
    start_machine(m, NULL);
    run(3000);
    assert_state(m, SF_WORKER_QUARANTINED);
    assert_non_null(strstr(m->res.why, "slot 0/900 (fleet.worker) is quarantined"));
    run(4000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 900);
}

/* Why the one slot cannot be had is said: by whom, or what it is. */
/* Its reservation ends between the question and the answer: nobody has looked whether its holder lives. */
static void a_reservation_that_ends_meanwhile_is_looked_at_again(void **state)
{
    (void)state;
    char claim[SF_COORD_CLAIM_MAX];
    put_claim(1);
    snprintf(claim, sizeof claim, "claim-ff%030x-%010u", 1, 1);
    put_record(900, claim, mint_ms + 300);
    struct machine *m = new_machine(0);
    m->params.pinned_worker = 900;
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_PROBE, SF_FAKE_HELD);
    run(600);
    sf_fake_release(store);
    run(5000);
    assert_state(m, SF_WORKER_CLAIMING);
    assert_int_equal(count_ops(m, "bind "), 0);
}

static void a_pinned_slot_that_cannot_be_had_is_told_apart(void **state)
{
    (void)state;
    char claim[SF_COORD_CLAIM_MAX];
    struct machine *m = new_machine(0);
    put_claim(1);
    snprintf(claim, sizeof claim, "claim-ff%030x-%010u", 1, 1);
    put_record(900, claim, mint_ms - 1);
    m->params.pinned_worker = 900;
    start_machine(m, NULL);
    run(3000);
    assert_state(m, SF_WORKER_CLAIMING);
    assert_non_null(strstr(m->res.why, "slot 0/900 (fleet.worker) is held by somebody else"));
    spoil_record(900);
    run(3000);
    assert_non_null(strstr(m->res.why, "slot 0/900 (fleet.worker) is without a usable record"));
}

/* What was asked and not answered is asked again, whichever way it failed; what is missing also has the config read. */
static void a_look_that_fails_is_repeated(void **state)
{
    (void)state;
    static const struct {
        enum sf_coord_op op;
        enum sf_coord_outcome outcome;
        enum sf_coord_reason reason;
        const char *said;
    } table[] = {
        {SF_COORD_PROBE, SF_COORD_LOST, SF_COORD_UNREACHABLE, "coordinator.failed: probe lost"},
        {SF_COORD_PROBE, SF_COORD_REFUSED, SF_COORD_MISSING, "coordinator.failed: probe refused"},
        {SF_COORD_PROBE, SF_COORD_REFUSED, SF_COORD_STORAGE, "coordinator.failed: probe refused"},
        {SF_COORD_FIND, SF_COORD_LOST, SF_COORD_UNREACHABLE, "coordinator.failed: find lost"},
        {SF_COORD_FIND, SF_COORD_REFUSED, SF_COORD_MISSING, "coordinator.failed: find refused"},
        {SF_COORD_FIND, SF_COORD_REFUSED, SF_COORD_STORAGE, "coordinator.failed: find refused"}};
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct machine *m = new_machine(0);
        forge_next(m, table[i].op, table[i].outcome, table[i].reason);
        start_machine(m, NULL);
        run(3 * SF_RES_CENSUS_MS);
        assert_state(m, SF_WORKER_READY);
        assert_said(m, table[i].said);
        assert_true(count_ops(m, table[i].op == SF_COORD_PROBE ? "probe " : "find ") >= 2);
        const unsigned configs = count_ops(m, "read_config ");
        assert_true(table[i].reason != SF_COORD_MISSING || configs >= 2);
        teardown(state);
        setup_large(state);
    }
}

/* With mint.max_silence_ms something has to be heard, also where nothing is listed. */
static void silence_is_broken_in_time(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    m->params.max_silence_ms = 3000;
    start_machine(m, NULL);
    run(1000);
    for (unsigned i = 0; i < 60; i++) {
        run(500);
        assert_state(m, SF_WORKER_READY);
        assert_true(mono_ms - m->res.heard_mono_ms < 3000);
    }
}

int main(void)
{
#define in_a_large_one(function) cmocka_unit_test_setup_teardown(function, setup_large, teardown)
    const struct CMUnitTest tests[] = {
        in_a_large_one(a_start_costs_a_few_requests),
        in_a_large_one(holding_costs_renewals_and_little_else),
        in_a_large_one(others_that_come_and_go_wake_nobody),
        in_a_large_one(machines_that_start_together_do_not_meet),
        in_a_large_one(the_only_free_slot_is_found),
        in_a_large_one(a_slot_that_comes_free_is_found),
        in_a_large_one(a_reservation_that_ends_is_waited_for),
        in_a_large_one(a_living_holder_keeps_its_slot),
        in_a_large_one(who_loses_a_bid_seeks_on),
        in_a_large_one(crowding_is_told_by_the_number_of_claims),
        in_a_large_one(slots_that_rest_make_it_crowded),
        in_a_large_one(who_was_not_answered_in_time_waits_longer),
        in_a_large_one(the_double_of_a_claim_goes),
        in_a_large_one(a_claim_in_doubt_is_found),
        in_a_large_one(claims_that_come_late_all_go),
        in_a_large_one(a_pinned_slot_is_waited_for),
        in_a_large_one(a_reservation_that_ends_meanwhile_is_looked_at_again),
        in_a_large_one(a_pinned_slot_that_cannot_be_had_is_told_apart),
        in_a_large_one(a_look_that_fails_is_repeated),
        in_a_large_one(silence_is_broken_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
