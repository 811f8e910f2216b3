/* unit/test_reservation_leave.c - giving a slot back, because the worker leaves or because its
 * clock is wrong, with every kind of doubt. */
#include "unit/reservation_fixture.h"

static size_t claims(void)
{
    size_t count;
    first_claim(&count);
    return count;
}

/* --- leave --- */

static void it_leaves_before_it_has_come(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    leave(m, 5000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_int_equal(m->res.stats.releases, 0);
    /* And while it looks for its config. */
    teardown(state);
    setup(state);
    m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_pump(store);
    while (take_event(m)) {
    }
    assert_true(m->res.busy);
    leave(m, 5000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
}

static void it_gives_its_slot_back(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 5), SF_MINT_OK);
    const int64_t last_ms = (int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS;
    run(2000);
    forget_past(m);
    leave(m, 5000);
    assert_string_equal(m->ops, "release ");
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_state(m, SF_WORKER_STOPPED);
    assert_said(m, "minting.closed: leaving the fleet");
    assert_said(m, "slot.released: slot 0/0 given back");
    assert_int_equal(m->forgets, 1);
    assert_int_equal(record_of(0).reserved_until_ms, last_ms + 1);
    assert_int_equal(record_of(0).last_ms, last_ms);
    assert_int_equal(claims(), 0);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
}

static void a_release_that_fails_is_tried_until_the_deadline(void **state)
{
    (void)state;
    static const struct {
        enum sf_coord_outcome outcome;
        enum sf_coord_reason reason;
        const char *then;
    } table[] = {
        {SF_COORD_LOST, SF_COORD_UNREACHABLE, "release release "},
        {SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE, "release read_slot release "},
        {SF_COORD_REFUSED, SF_COORD_INVALID, "release release "},
        {SF_COORD_REFUSED, SF_COORD_VERSION, "release read_slot release "},
        {SF_COORD_REFUSED, SF_COORD_CLAIM_GONE, "release read_slot claim release "},
    };
    for (unsigned i = 0; i < SF_COUNT(table); i++) {
        struct machine *m = ready_machine(0);
        run(2000);
        forget_past(m);
        forge_next(m, SF_COORD_RELEASE, table[i].outcome, table[i].reason);
        leave(m, 5000);
        run(1000);
        assert_string_equal(m->ops, table[i].then);
        assert_true(m->finished);
        assert_int_equal(m->exit_code, 0);
        assert_true(record_of(0).reserved_until_ms <= mint_ms);
        teardown(state);
        setup(state);
    }
}

static void a_release_on_a_record_that_is_gone_ends_it(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    spoil_record(0);
    forge_next(m, SF_COORD_RELEASE, SF_COORD_REFUSED, SF_COORD_GARBAGE);
    leave(m, 5000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_said(m, "slot.gone");
}

static void a_release_of_unknown_outcome_is_looked_after(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    forget_past(m);
    sf_fake_fault(m->coord, SF_COORD_RELEASE, SF_FAKE_ANSWER_LOST_APPLIED);
    leave(m, 5000);
    assert_false(m->finished);
    assert_state(m, SF_WORKER_DRAINING);
    run(1000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    /* Its claim went with it, so it takes one to ask. */
    assert_non_null(strstr(m->ops, "release "));
    assert_non_null(strstr(m->ops, "read_slot "));
    assert_int_equal(m->res.stats.releases, 1);
}

static void what_cannot_be_given_back_in_time_is_said(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_disconnect(m->coord);
    settle();
    leave(m, 3000);
    assert_false(m->finished);
    run(2900);
    assert_false(m->finished);
    run(200);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 75);
    assert_said(m, "slot.not_released: slot 0/0 could not be given back in time (coordinator "
                   "unreachable: the connection is down); it stays quarantined until its "
                   "reservation ends");
    assert_true(record_of(0).reserved_until_ms > mint_ms);
}

static void a_release_waits_for_its_answer_up_to_the_deadline(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    sf_fake_fault(m->coord, SF_COORD_RELEASE, SF_FAKE_HELD);
    leave(m, 1000);
    assert_false(m->finished);
    run(1100);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 75);
}

static void releases_without_answers_do_not_pile_up(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    for (unsigned i = 0; i < 2 * SF_RES_OUTSTANDING_MAX; i++)
        sf_fake_fault(m->coord, SF_COORD_RELEASE, SF_FAKE_ANSWER_LOST_NOT_APPLIED);
    leave(m, 400000);
    run(390000);
    assert_false(m->finished);
    assert_int_equal(m->res.hold.outstanding_count, SF_RES_OUTSTANDING_MAX);
    run(11000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 75);
}

/* What nobody else may know, the fleet is told first. */
static void who_leaves_tells_of_a_loss(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    struct sf_coord_config seen = m->res.config;
    char *bytes = sf_record_config_encode(&seen);
    sf_fake_delete(store, "/f/config");
    run(1000);
    sf_fake_fault(m->coord, SF_COORD_HALT, SF_FAKE_NEVER_SENT);
    sf_fake_put(store, "/f/config", bytes, strlen(bytes));
    free(bytes);
    while (m->res.state != SF_WORKER_HALTED)
        run(10);
    assert_true(m->res.notice.due && !is_halted(NULL));
    leave(m, 5000);
    run(3000);
    assert_true(m->finished);
    assert_true(is_halted(NULL));
}

static void it_leaves_while_a_bid_is_in_doubt(void **state)
{
    (void)state;
    for (unsigned applied = 0; applied < 2; applied++) {
        struct machine *m = new_machine(0);
        open_machine(m, NULL);
        sf_fake_fault(m->coord, SF_COORD_BIND,
                      applied ? SF_FAKE_ANSWER_LOST_APPLIED : SF_FAKE_APPLIED_LATE);
        forge_next(m, SF_COORD_READ_SLOT, SF_COORD_LOST, SF_COORD_UNREACHABLE);
        settle();
        assert_true(m->res.bid.active && m->res.bid.outstanding_count == 1);
        leave(m, 5000);
        run(2000);
        assert_true(m->finished);
        assert_int_equal(m->exit_code, 0);
        sf_fake_apply_late(store); /* its condition is dead: the release moved the version */
        assert_true(record_of(0).reserved_until_ms <= mint_ms);
        teardown(state);
        setup(state);
    }
}

static void it_leaves_while_a_bid_is_under_way(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_HELD);
    settle();
    assert_true(m->res.busy);
    leave(m, 5000);
    assert_false(m->finished);
    sf_fake_release(store);
    settle();
    run(100);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_true(record_of(0).reserved_until_ms <= mint_ms);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
}

static void it_leaves_with_a_bid_that_was_never_sent(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    forge_next(m, SF_COORD_BIND, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    start_machine(m, NULL);
    assert_true(m->res.bid.active);
    leave(m, 5000);
    run(200);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_int_equal(m->res.stats.releases, 0);
}

static void an_orphan_has_nothing_to_give_back(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + 200000);
    run(8000);
    assert_true(m->res.orphan);
    forget_past(m);
    leave(m, 5000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_null(strstr(m->ops, "release "));
}

static void a_leaver_without_a_claim_makes_one(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    forget_past(m);
    sf_fake_fault(m->coord, SF_COORD_RELEASE, SF_FAKE_EXPIRE_BEFORE);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_ANSWER_LOST_APPLIED);
    leave(m, 5000);
    run(3000);
    assert_non_null(strstr(m->ops, "release read_slot claim list release "));
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
}

static void leaving_twice_keeps_the_first_deadline(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_disconnect(m->coord);
    settle();
    leave(m, 2000);
    leave(m, 60000);
    run(2100);
    assert_int_equal(m->exit_code, 75);
}

/* --- a wrong clock --- */

static void set_clock(struct machine *m, bool ok)
{
    m->now.clock_ok = ok;
    m->now.clock_text = ok ? "fine" : "off by 3 s";
    tick(m);
}

/* Others see the worker by a claim that names no slot and waits for none. */
static void assert_seen(const struct machine *m, const char *as, const char *because)
{
    size_t count;
    const struct sf_coord_claim claim = first_claim(&count);
    assert_int_equal(count, 1);
    assert_string_equal(claim.name, m->res.claim.name);
    assert_int_equal(claim.slot, -1);
    assert_false(claim.seeks);
    assert_string_equal(claim.state, as);
    assert_string_equal(claim.reason, because);
}

static void a_wrong_clock_gives_the_slot_back(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    forget_past(m);
    set_clock(m, false);
    assert_said(m, "minting.closed: the clock is not safe: off by 3 s");
    assert_said(m, "worker.suspended: clock: off by 3 s; the slot is given back until it is right");
    assert_said(m, "worker.state: ready -> suspended");
    assert_said(m, "worker.state: suspended -> resyncing");
    assert_string_equal(m->ops, "release claim ");
    assert_seen(m, "resyncing", "off by 3 s");
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    run(5000);
    assert_string_equal(m->ops, "release claim ");
    set_clock(m, true);
    run(2000);
    assert_said(m, "worker.resumed: the clock is right again");
    assert_said(m, "worker.state: resyncing -> claiming");
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

static void a_clock_that_was_wrong_for_a_moment_keeps_the_slot(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_disconnect(m->coord);
    settle();
    m->now.clock_text = NULL;
    m->now.clock_ok = false;
    tick(m);
    assert_state(m, SF_WORKER_SUSPENDED);
    assert_said(m, "worker.suspended: clock: not safe");
    run(1000);
    set_clock(m, true);
    assert_state(m, SF_WORKER_READY); /* nothing was given back */
    assert_int_equal(m->res.hold.worker, 0);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

static void a_slot_that_ran_out_meanwhile_opens_only_with_a_new_write(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_disconnect(m->coord);
    settle();
    set_clock(m, false);
    run(WINDOW_MS + 5000);
    set_clock(m, true);
    assert_state(m, SF_WORKER_SUSPENDED);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    sf_fake_connect(m->coord);
    run(3000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

static void after_a_release_in_doubt_only_an_answer_opens(void **state)
{
    (void)state;
    for (unsigned applied = 0; applied < 2; applied++) {
        struct machine *m = ready_machine(0);
        assert_int_equal(mint(m, 1), SF_MINT_OK);
        run(2000);
        sf_fake_fault(m->coord, SF_COORD_RELEASE,
                      applied ? SF_FAKE_ANSWER_LOST_APPLIED : SF_FAKE_ANSWER_LOST_NOT_APPLIED);
        forge_next(m, SF_COORD_READ_SLOT, SF_COORD_LOST, SF_COORD_UNREACHABLE);
        set_clock(m, false);
        assert_state(m, SF_WORKER_SUSPENDED);
        set_clock(m, true);
        assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
        run(3000);
        assert_state(m, SF_WORKER_READY);
        assert_int_equal(mint(m, 1), SF_MINT_OK);
        assert_int_equal(m->res.stats.releases, applied);
        teardown(state);
        setup(state);
    }
}

static void a_bid_that_is_won_while_suspended_is_given_back(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_HELD);
    settle();
    set_clock(m, false);
    sf_fake_release(store);
    settle();
    run(500);
    assert_state(m, SF_WORKER_RESYNCING);
    assert_int_equal(m->res.stats.releases, 1);
    assert_seen(m, "resyncing", "off by 3 s");
    assert_silent(m, "slot.claimed");
}

static void a_waiting_claim_leaves_the_queue_while_suspended(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + 500000);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(2000);
    assert_int_equal(claims(), 1);
    forge_next(m, SF_COORD_TELL, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    set_clock(m, false);
    run(2500);
    assert_said(m, "coordinator.failed: tell lost");
    assert_seen(m, "resyncing", "off by 3 s");
    assert_state(m, SF_WORKER_RESYNCING);
    /* One whose making was not answered is looked for first. */
    set_clock(m, true);
    run(1000);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_ANSWER_LOST_APPLIED);
    sf_fake_expire(m->coord);
    settle();
    assert_int_equal(m->res.claim_status, SF_CLAIM_DOUBTFUL);
    set_clock(m, false);
    run(2500);
    assert_seen(m, "resyncing", "off by 3 s");
}

/* The deletion may be done at any moment: a slot held with that claim would stand without one. */
static void a_claim_whose_deletion_was_not_answered_is_not_used_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + 500000);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(2000);
    const struct sf_coord_claim old = m->res.claim;
    set_clock(m, false);
    run(2000);
    forge_next(m, SF_COORD_UNCLAIM, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE);
    put_record(0, "", mint_ms - 1);
    set_clock(m, true);
    run(3000);
    assert_said(m, "coordinator.failed: unclaim unknown");
    assert_state(m, SF_WORKER_READY);
    assert_string_not_equal(m->res.hold.claim, old.name);
    size_t count;
    assert_string_equal(first_claim(&count).name, m->res.hold.claim);
    assert_int_equal(count, 1); /* the old one was deleted when it turned up */
}

static void a_worker_without_a_source_asks_the_coordinator_for_its_time(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    m->now.wants_server_time = true;
    set_clock(m, false);
    forget_past(m);
    run(10000);
    unsigned probes = 0;
    for (const char *at = m->ops; (at = strstr(at, "tell ")); at++)
        probes++;
    assert_in_range(probes, 3, 6); /* every 2 to 2.5 s */
    assert_int_equal(claims(), 1);
}

static void an_orphan_with_a_wrong_clock_forgets_its_slot(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + 200000);
    run(8000);
    assert_true(m->res.orphan);
    set_clock(m, false);
    run(500);
    assert_state(m, SF_WORKER_RESYNCING);
    assert_int_equal(m->res.stats.releases, 0);
    assert_true(record_of(0).reserved_until_ms > mint_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(it_leaves_before_it_has_come),
        scenario(it_gives_its_slot_back),
        scenario(a_release_that_fails_is_tried_until_the_deadline),
        scenario(a_release_on_a_record_that_is_gone_ends_it),
        scenario(a_release_of_unknown_outcome_is_looked_after),
        scenario(what_cannot_be_given_back_in_time_is_said),
        scenario(a_release_waits_for_its_answer_up_to_the_deadline),
        scenario(releases_without_answers_do_not_pile_up),
        scenario(who_leaves_tells_of_a_loss),
        scenario(it_leaves_while_a_bid_is_in_doubt),
        scenario(it_leaves_while_a_bid_is_under_way),
        scenario(it_leaves_with_a_bid_that_was_never_sent),
        scenario(an_orphan_has_nothing_to_give_back),
        scenario(a_leaver_without_a_claim_makes_one),
        scenario(leaving_twice_keeps_the_first_deadline),
        scenario(a_wrong_clock_gives_the_slot_back),
        scenario(a_clock_that_was_wrong_for_a_moment_keeps_the_slot),
        scenario(a_slot_that_ran_out_meanwhile_opens_only_with_a_new_write),
        scenario(after_a_release_in_doubt_only_an_answer_opens),
        scenario(a_bid_that_is_won_while_suspended_is_given_back),
        scenario(a_waiting_claim_leaves_the_queue_while_suspended),
        scenario(a_claim_whose_deletion_was_not_answered_is_not_used_again),
        scenario(a_worker_without_a_source_asks_the_coordinator_for_its_time),
        scenario(an_orphan_with_a_wrong_clock_forgets_its_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
