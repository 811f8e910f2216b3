/* unit/test_reservation_strays.c - claims that were made twice, late, or deleted in vain: whatever a hop
 * does with them, a machine has one claim in the end, and goes on renewing meanwhile
 * (docs/uniqueness.md, rule 7). */
#include "unit/reservation_fixture.h"

static unsigned claims_left(void)
{
    const struct sf_coord_request request = {.op = SF_COORD_LIST, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    return (unsigned)c->claim_count;
}

static unsigned count_ops(const struct machine *m, const char *op)
{
    unsigned count = 0;
    for (const char *at = strstr(m->ops, op); at != NULL; at = strstr(at + 1, op))
        count++;
    return count;
}

static void the_double_of_a_claim_goes(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    run(5000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(claims_left(), 1);
    assert_string_equal(record_of(m->res.hold.worker).claim, m->res.claim.name);
}

/* More of them than anybody would remember, each made when it had been given up. */
static void claims_that_come_late_all_go(void **state)
{
    (void)state;
    enum { LATE = 70 };
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    for (unsigned i = 0; i < LATE; i++)
        sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_APPLIED_LATE);
    run(LATE * SF_RES_RETRY_MAX_MS);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(claims_left(), 1);
    sf_fake_apply_late(store);
    assert_int_equal(claims_left(), 1 + LATE);
    run(15000);
    assert_int_equal(claims_left(), 1);
    assert_state(m, SF_WORKER_READY);
    assert_string_equal(record_of(m->res.hold.worker).claim, m->res.claim.name);
}

/* While a deletion is under way the session ends, or the fleet is made anew, and what was to be deleted is
 * forgotten; then the answer comes. */
static void an_answer_that_comes_after_the_strays_are_forgotten(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    sf_fake_fault(m->coord, SF_COORD_UNCLAIM, SF_FAKE_HELD);
    for (unsigned i = 0; i < 500 && !m->res.busy_on_stray; i++)
        run(10);
    assert_true(m->res.busy_on_stray);
    struct sf_coord_event *lost = sf_coord_event_notice(SF_COORD_SESSION_LOST, "expired");
    step(m, SF_RES_COORD, lost, 0);
    sf_coord_event_free(lost);
    assert_int_equal(m->res.stray_count, 0);
    sf_fake_release(store);
    settle();
    assert_false(m->res.busy_on_stray);
    assert_int_equal(m->res.stray_count, 0);
    run(15000);
    assert_state(m, SF_WORKER_READY);
}

/* What cannot be deleted must not keep it from its reservation. */
static void a_claim_that_cannot_be_deleted_costs_no_renewal(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    for (unsigned i = 0; i < FORGED_MAX; i++)
        forge_next(m, SF_COORD_UNCLAIM, SF_COORD_REFUSED, SF_COORD_AUTH);
    run(1000);
    assert_state(m, SF_WORKER_READY);
    forget_past(m);
    for (unsigned i = 0; i < 2 * WINDOW_MS / 1000; i++) {
        run(1000);
        assert_true(sf_reservation_left_ms(&m->res, mint_ms) > WINDOW_MS / 2);
        while (m->forged_count < FORGED_MAX)
            forge_next(m, SF_COORD_UNCLAIM, SF_COORD_REFUSED, SF_COORD_AUTH);
    }
    assert_true(count_ops(m, "unclaim ") > 2);
    m->forged_count = 0;
    run(15000);
    assert_int_equal(claims_left(), 1);
}

/* The deletion of the claim is heard of twice, the second time as "it is gone": nothing new is made
 * to hold a slot that was given back. */
static void a_release_that_is_done_twice_leaves_no_claim(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    const uint64_t worker = m->res.hold.worker;
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    forget_past(m);
    sf_fake_fault(m->coord, SF_COORD_RELEASE, SF_FAKE_DONE_TWICE);
    m->now.clock_ok = false;
    run(5000);
    assert_false(m->res.hold.active);
    assert_string_equal(m->ops,
                        "release read_slot claim "); /* the last one for who looks at the fleet */
    assert_int_equal(claims_left(), 1);
    assert_true(record_of(worker).reserved_until_ms <= mint_ms);
    assert_state(m, SF_WORKER_RESYNCING);
}

/* The clock is bad, and the claim by which others see that was made twice. */
static void who_is_suspended_looks_for_the_double_of_its_claim(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    m->now.clock_ok = false;
    m->now.wants_server_time = true;
    run(2000);
    assert_state(m, SF_WORKER_RESYNCING);
    assert_int_equal(claims_left(), 2);
    run(2 * SF_RES_CENSUS_MS);
    assert_int_equal(claims_left(), 1);
    assert_state(m, SF_WORKER_RESYNCING);
}

/* A whole life behind a hop that delivers every write twice. */
static void every_write_twice(void **state)
{
    (void)state;
    static const enum sf_coord_op writes[] = {SF_COORD_CLAIM, SF_COORD_UNCLAIM, SF_COORD_BIND,
                                              SF_COORD_RENEW, SF_COORD_RELEASE};
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    for (unsigned i = 0; i < sizeof writes / sizeof writes[0]; i++)
        for (unsigned k = 0; k < 30; k++)
            sf_fake_fault(m->coord, writes[i], SF_FAKE_DONE_TWICE);
    run(WINDOW_MS);
    assert_state(m, SF_WORKER_READY);
    assert_true(count_ops(m, "renew ") >= 4);
    assert_int_equal(count_ops(m, " claim "), 1);
    assert_int_equal(claims_left(), 1);
    const uint64_t worker = m->res.hold.worker;
    leave(m, 5000);
    run(5000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_true(record_of(worker).reserved_until_ms <= mint_ms);
    assert_int_equal(claims_left(), 0);
}

/* Two machines of one process: neither takes the other's claims for its own. */
static void nobody_deletes_the_claims_of_another(void **state)
{
    (void)state;
    struct machine *a = ready_machine(0);
    struct machine *b = new_machine(1);
    open_machine(b, NULL);
    for (unsigned i = 0; i < 10; i++)
        sf_fake_fault(b->coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    run(2 * WINDOW_MS);
    assert_state(a, SF_WORKER_READY);
    assert_state(b, SF_WORKER_READY);
    assert_int_equal(count_ops(a, "unclaim "), 0);
    assert_int_equal(count_ops(b, "unclaim "), 1);
    assert_int_equal(claims_left(), 2);
}

/* What ended with its session is not looked for: others may still be shown it. */
static void a_new_session_begins_anew(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_freeze_reads(m->coord);
    sf_fake_expire(m->coord);
    run(5000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(count_ops(m, "unclaim "), 0);
    sf_fake_thaw_reads(m->coord);
    run(5000);
    assert_int_equal(claims_left(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(the_double_of_a_claim_goes),
        scenario(claims_that_come_late_all_go),
        scenario(an_answer_that_comes_after_the_strays_are_forgotten),
        scenario(a_claim_that_cannot_be_deleted_costs_no_renewal),
        scenario(a_release_that_is_done_twice_leaves_no_claim),
        scenario(who_is_suspended_looks_for_the_double_of_its_claim),
        scenario(every_write_twice),
        scenario(nobody_deletes_the_claims_of_another),
        scenario(a_new_session_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
