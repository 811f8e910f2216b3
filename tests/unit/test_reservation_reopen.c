/* unit/test_reservation_reopen.c - minting that ended because the clock was wrong, and goes on when it is
 * right again: never by what was granted before a release was sent, and never below what another worker
 * has reported of the slot (docs/uniqueness.md, traps 3 and 14, rule 8). */
#include "unit/reservation_fixture.h"

#include "worker/reservation_tenure.h"

static void set_clock(struct machine *m, bool ok)
{
    m->now.clock_ok = ok;
    m->now.clock_text = ok ? "fine" : "off by 3 s";
    tick(m);
}

/* The release was done, its repetition refused, and the read behind it tells what was so before: a cache, a
 * connection with an answer too many. Only a write of ours that is acknowledged opens again. */
static void an_old_read_behind_a_refused_release_opens_nothing(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    run(1000);
    sf_fake_freeze_reads(m->coord);
    sf_fake_fault(m->coord, SF_COORD_RELEASE, SF_FAKE_DONE_TWICE);
    sf_fake_fault(m->coord, SF_COORD_READ_SLOT, SF_FAKE_ANSWERED_OLD);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_HELD);
    forget_past(m);
    set_clock(m, false);
    assert_non_null(strstr(m->ops, "release read_slot claim "));
    assert_true(record_of(0).reserved_until_ms < mint_ms); /* anybody may have it */
    set_clock(m, true);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    assert_state(m, SF_WORKER_SUSPENDED);
    sf_fake_disconnect(m->coord);
    settle();
    run(3000);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    sf_fake_thaw_reads(m->coord);
    sf_fake_connect(m->coord);
    run(5000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

/* A release that was refused because it was not done costs one write more, and nothing else. */
static void after_a_release_that_was_not_done_the_next_write_opens(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    run(1000);
    forge_next(m, SF_COORD_RELEASE, SF_COORD_REFUSED, SF_COORD_VERSION);
    sf_fake_fault(m->coord, SF_COORD_READ_SLOT, SF_FAKE_HELD);
    forget_past(m);
    set_clock(m, false);
    assert_string_equal(m->ops, "release read_slot ");
    set_clock(m, true);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    sf_fake_release(store);
    run(1000);
    assert_non_null(strstr(m->ops, "release read_slot renew "));
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 0);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

/* By another worker, of slot 0. */
static void reported(uint64_t claim, int64_t until_ms)
{
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&request);
    request.op = SF_COORD_HALT;
    request.basis.config = c->config->version;
    request.basis.state = c->state->version;
    request.u.report = (struct sf_coord_report){.datacenter = 0,
                                                .worker = 0,
                                                .held_until_ms = until_ms,
                                                .last_ms = mint_ms,
                                                .reported_ms = mint_ms,
                                                .node = "other"};
    snprintf(request.u.report.claim, sizeof request.u.report.claim, "claim-%032" PRIx64 "-%010u",
             claim, 1);
    assert_int_equal(call(&request)->outcome, SF_COORD_DONE);
}

/* Halted by a report that changes nothing for it, so it spends. While its clock is wrong its own slot is reported by
 * another worker; what tells it of that comes when the clock is right again. */
static void a_report_that_comes_while_nothing_is_minted_counts(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    reported(7, mint_ms - 500);
    run(300);
    assert_said(m, "worker.halted: ");
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    sf_fake_fault(m->coord, SF_COORD_READ_CONFIG, SF_FAKE_HELD);
    forget_past(m);
    while (strstr(m->ops, "read_config ") == NULL)
        run(100);
    set_clock(m, false);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    const int64_t until_ms = mint_ms + 10000;
    reported(8, until_ms);
    settle(); /* that something has changed, it hears with its clock wrong */
    m->now.clock_ok = true;
    sf_fake_release(store);
    while (!take_event(m))
        assert_true(sf_fake_pump(store));
    assert_said(m, "worker.resumed: ");
    assert_int_not_equal(mint(m, 1), SF_MINT_OK);
    run(10000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_true((int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS >= until_ms);
}

/* A list that is full of writes. The oldest that was refused makes room, and what it would have given back is never minted
 * in again: it counts as acknowledged. Where none was refused nothing more is written. */
static void a_refused_write_makes_room(void **state)
{
    (void)state;
    struct sf_tenure tenure = {.acked_ms = 9000};
    assert_true(sf_tenure_has_room(&tenure));
    for (unsigned i = 0; i < SF_RES_OUTSTANDING_MAX; i++)
        tenure.outstanding[i].reserved_until_ms = 10000 + i;
    tenure.outstanding_count = SF_RES_OUTSTANDING_MAX;
    assert_false(sf_tenure_has_room(&tenure));
    assert_int_equal(tenure.outstanding_count, SF_RES_OUTSTANDING_MAX);
    tenure.outstanding[1].refused = tenure.outstanding[2].refused = true;
    assert_true(sf_tenure_has_room(&tenure));
    assert_int_equal(tenure.outstanding_count, SF_RES_OUTSTANDING_MAX - 1);
    assert_int_equal(tenure.outstanding[0].reserved_until_ms, 10000);
    assert_int_equal(tenure.outstanding[1].reserved_until_ms, 10002);
    assert_true(tenure.outstanding[1].refused);
    assert_int_equal(tenure.acked_ms, 9000);
    assert_int_equal(sf_tenure_granted_ms(&tenure), 9000);
    tenure.outstanding_count = SF_RES_OUTSTANDING_MAX;
    tenure.outstanding[1].reserved_until_ms = 7000; /* a release, say */
    assert_true(sf_tenure_has_room(&tenure));
    assert_int_equal(tenure.acked_ms, 7000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(an_old_read_behind_a_refused_release_opens_nothing),
        scenario(after_a_release_that_was_not_done_the_next_write_opens),
        scenario(a_report_that_comes_while_nothing_is_minted_counts),
        cmocka_unit_test(a_refused_write_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
