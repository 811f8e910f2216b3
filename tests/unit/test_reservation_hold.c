/* unit/test_reservation_hold.c - what a holder does about every answer to its writes, about losing
 * its claim, its slot or its coordinator, and about a fleet that changes under it. */
#include "unit/reservation_fixture.h"

/* Until its next renewal is on its way. */
static void until_renewal(struct machine *m)
{
    const size_t before = strlen(m->ops);
    for (unsigned i = 0; i < 100 && !strstr(m->ops + before, "renew "); i++)
        run(100);
    assert_non_null(strstr(m->ops + before, "renew "));
}

static void a_renewal_that_fails_is_tried_again(void **state)
{
    (void)state;
    static const struct {
        enum sf_coord_outcome outcome;
        enum sf_coord_reason reason;
        unsigned uncertain, lost;
        const char *then;
    } table[] = {
        {SF_COORD_LOST, SF_COORD_UNREACHABLE, 1, 0, "renew renew "},
        {SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE, 1, 0, "renew read_slot renew "},
        {SF_COORD_REFUSED, SF_COORD_INVALID, 0, 1, "renew renew "},
        {SF_COORD_REFUSED, SF_COORD_VERSION, 0, 1, "renew read_slot renew "},
        {SF_COORD_REFUSED, SF_COORD_CLAIM_GONE, 0, 1, "renew claim read_slot bind "},
        {SF_COORD_REFUSED, SF_COORD_CONFIG_CHANGED, 0, 1, "renew read_config read_slot renew "},
        {SF_COORD_REFUSED, SF_COORD_CURRENT_GONE, 0, 1, "renew read_config read_slot renew "},
        {SF_COORD_REFUSED, SF_COORD_STATE_CHANGED, 0, 1, "renew read_config read_slot renew "},
        {SF_COORD_REFUSED, SF_COORD_MISSING, 0, 1, "renew read_config read_slot renew "},
    };
    for (unsigned i = 0; i < SF_COUNT(table); i++) {
        struct machine *m = ready_machine(0);
        forget_past(m);
        forge_next(m, SF_COORD_RENEW, table[i].outcome, table[i].reason);
        until_renewal(m);
        run(1000);
        assert_non_null(strstr(m->ops, table[i].then));
        assert_int_equal(m->res.stats.renewals_uncertain, table[i].uncertain);
        assert_int_equal(m->res.stats.renewals_lost, table[i].lost);
        assert_state(m, SF_WORKER_READY);
        assert_int_equal(m->res.hold.outstanding_count, 0);
        assert_true(sf_reservation_left_ms(&m->res, mint_ms) > WINDOW_MS - 3000);
        assert_int_equal(mint(m, 3), SF_MINT_OK);
        teardown(state);
        setup(state);
    }
}

/* A refusal is no proof: the write may have been delivered twice. */
static void a_renewal_that_was_applied_and_refused_is_adopted(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    forget_past(m);
    sf_fake_fault(m->coord, SF_COORD_RENEW, SF_FAKE_DONE_TWICE);
    until_renewal(m);
    run(500);
    assert_non_null(strstr(m->ops, "renew read_slot "));
    assert_int_equal(m->res.hold.acked_ms, record_of(0).reserved_until_ms);
    assert_int_equal(m->res.hold.outstanding_count, 0);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.stats.slots_lost, 0);
}

/* The same of a bid: a slot that is bound to a live claim must be minted in. */
static void a_bid_that_was_applied_and_refused_is_adopted(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_DONE_TWICE);
    run(1000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 0);
    assert_int_equal(m->res.stats.bids_won, 1);
    assert_string_equal(record_of(0).claim, m->res.claim.name);
}

/* And of a claim: two with one guid; the lower is ours, the other is deleted. */
static void a_claim_that_was_made_twice_leaves_one(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    run(3000);
    assert_state(m, SF_WORKER_READY);
    run(SF_RES_CENSUS_MS + 3000);
    const struct sf_coord_request list = {.op = SF_COORD_LIST, .id = 1, .deadline_ms = 1000};
    assert_int_equal(call(&list)->claim_count, 1);
    assert_string_equal(record_of(m->res.hold.worker).claim, m->res.claim.name);
}

static void a_renewal_of_unknown_outcome_is_adopted(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    forget_past(m);
    const uint64_t ok = m->res.stats.renewals_ok;
    sf_fake_fault(m->coord, SF_COORD_RENEW, SF_FAKE_ANSWER_LOST_APPLIED);
    until_renewal(m);
    const int64_t until_ms = record_of(0).reserved_until_ms;
    /* It may have been applied: but nobody has said so, and the old limit holds. */
    run(500);
    assert_non_null(strstr(m->ops, "renew read_slot "));
    assert_int_equal(m->res.stats.renewals_ok, ok + 1);
    assert_int_equal(m->res.hold.acked_ms, until_ms);
    assert_int_equal(m->res.hold.outstanding_count, 0);
}

static void a_renewal_that_is_applied_late_is_adopted_too(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < 4; i++)
        sf_fake_fault(m->coord, SF_COORD_RENEW, SF_FAKE_APPLIED_LATE);
    until_renewal(m);
    while (m->res.hold.outstanding_count < 3)
        run(10);
    sf_fake_apply_late(store); /* the first is applied; the others' conditions do not hold then */
    run(2000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.outstanding_count, 0);
    assert_int_equal(m->res.hold.acked_ms, record_of(0).reserved_until_ms);
    assert_int_equal(m->res.stats.slots_lost, 0);
}

static void a_holder_that_gets_no_answers_gives_its_slot_up(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < SF_RES_OUTSTANDING_MAX; i++)
        sf_fake_fault(m->coord, SF_COORD_RENEW, SF_FAKE_ANSWER_LOST_NOT_APPLIED);
    run(150000);
    assert_said(m, "slot.lost: slot 0/0 belongs to somebody else now (too many writes without an "
                   "answer)");
    assert_int_equal(m->res.stats.slots_lost, 1);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 1);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

/* --- the slot is lost --- */

static void a_lost_slot_is_spent_while_another_is_sought(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 1; i < 4; i++)
        put_record(i, "", mint_ms + 40000);
    put_record(0, "claim-00000000000000000000000000000000-0000000099", mint_ms + 80000);
    until_renewal(m);
    run(100);
    assert_said(m, "slot.lost: slot 0/0 belongs to somebody else now (its record was written by "
                   "somebody else)");
    assert_true(m->forgets > 0);
    const int64_t left_ms = sf_reservation_left_ms(&m->res, mint_ms);
    assert_true(left_ms > 0);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    run(45000);
    assert_said(m, "minting.closed: moving to another slot");
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 1);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_int_equal(m->res.stats.bids_won, 2);
}

static void a_lost_slot_ends_with_what_was_acknowledged(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + 200000);
    until_renewal(m);
    run(WINDOW_MS);
    assert_said(m, "minting.closed: the reservation of the slot that was lost has been used up");
    assert_state(m, SF_WORKER_QUARANTINED);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    assert_int_equal(sf_reservation_left_ms(&m->res, mint_ms), 0);
}

static void words_go_on_ascending_on_another_slot(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 300000), SF_MINT_OK); /* ahead of the clock */
    const uint64_t before = sf_generator_last_ms(&m->gen);
    assert_true((int64_t)before + EPOCH_MS > mint_ms);
    spoil_record(0);
    forge_next(m, SF_COORD_RENEW, SF_COORD_REFUSED, SF_COORD_GARBAGE);
    pass(WINDOW_MS / 9);
    tick(m);
    mint_ms = (int64_t)before + EPOCH_MS - 5; /* and the clock lags */
    run(1000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_true(m->res.hold.floor_ms > (int64_t)before + EPOCH_MS);
}

/* Garbage, or made again by hand: this slot only. */
static void a_damaged_record_stops_minting_in_it_at_once(void **state)
{
    (void)state;
    for (unsigned remade = 0; remade < 2; remade++) {
        struct machine *m = ready_machine(0);
        forge_next(m, SF_COORD_RENEW, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE);
        if (remade) {
            delete_record(0);
            put_record(0, "", mint_ms + 90000);
        } else {
            spoil_record(0);
        }
        until_renewal(m);
        run(100);
        assert_said(m, "slot.gone: stopped minting at once: its record is damaged, or was made by "
                       "hand");
        assert_int_equal(m->res.stats.slots_lost, 0);
        run(3000);
        assert_state(m, SF_WORKER_READY);
        assert_int_equal(m->res.hold.worker, 1);
        assert_false(is_halted(NULL));
        teardown(state);
        setup(state);
    }
}

static void a_missing_datacenter_is_asked_for_again(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    forge_next(m, SF_COORD_RENEW, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE);
    forge_next(m, SF_COORD_READ_SLOT, SF_COORD_REFUSED, SF_COORD_MISSING);
    forget_past(m);
    until_renewal(m);
    run(500);
    assert_non_null(strstr(m->ops, "renew read_slot read_config read_slot renew "));
    assert_state(m, SF_WORKER_READY);
}

/* Lists may be old: whatever they show, nobody halts a fleet for it. */
static void old_lists_are_no_loss(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_freeze_reads(m->coord);
    until_renewal(m); /* acknowledged: what lists show is older now */
    run(2 * SF_RES_CENSUS_MS);
    assert_state(m, SF_WORKER_READY);
    assert_silent(m, "fleet.lost");
    assert_false(is_halted(NULL));
}

/* --- the claim, the session, the connection --- */

static void a_lost_session_costs_no_id(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    forget_past(m);
    sf_fake_expire(m->coord);
    settle();
    run(300);
    assert_said(m, "coordinator.session_lost: the session has ended; a new claim is made, minting "
                   "goes on");
    assert_int_equal(strncmp(m->ops, "claim read_config bind ", 23), 0);
    assert_int_equal(m->res.stats.session_losses, 1);
    assert_int_equal(m->res.hold.worker, 0);
    assert_string_equal(m->res.hold.claim, m->res.claim.name);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    /* Without a claim there is nothing more to lose. */
    forge_next(m, SF_COORD_CLAIM, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    sf_fake_expire(m->coord);
    sf_fake_expire(m->coord);
    settle();
    assert_int_equal(m->res.stats.session_losses, 2);
}

static void a_new_claim_is_bound_even_if_the_clock_allows_no_more(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    const int64_t acked_ms = m->res.hold.acked_ms;
    m->now.trusted_ms = mint_ms - WINDOW_MS - SF_RES_MARGIN_MS - 1;
    sf_fake_expire(m->coord);
    settle();
    run(300);
    assert_string_equal(m->res.hold.claim, m->res.claim.name);
    assert_int_equal(m->res.hold.acked_ms, acked_ms);
    assert_state(m, SF_WORKER_READY);
    /* And no renewal comes while that is so; the reservation just ends. */
    forget_past(m);
    m->now.trusted_ms = mint_ms - 10 * WINDOW_MS;
    run(WINDOW_MS + 1000);
    assert_null(strstr(m->ops, "renew "));
    assert_state(m, SF_WORKER_SUSPENDED);
    assert_int_equal(mint(m, 1), SF_MINT_EXHAUSTED);
    m->now.trusted_ms = mint_ms;
    run(2000);
    assert_state(m, SF_WORKER_READY);
}

static void writes_under_a_new_claim_have_room_too(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < SF_RES_OUTSTANDING_MAX; i++)
        sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_ANSWER_LOST_NOT_APPLIED);
    sf_fake_expire(m->coord);
    run(150000);
    assert_said(m, "slot.lost: slot 0/0 belongs to somebody else now (too many writes");
    assert_state(m, SF_WORKER_READY);
}

static void a_bind_of_unknown_outcome_tells_whether_it_bound(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_ANSWER_LOST_APPLIED);
    sf_fake_expire(m->coord);
    run(1000);
    assert_true(m->res.claim_bound);
    assert_string_equal(m->res.hold.claim, m->res.claim.name);
    assert_string_equal(record_of(0).claim, m->res.claim.name);
}

static void an_outage_is_outlived(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    sf_fake_disconnect(m->coord);
    run(20000);
    assert_string_equal(m->res.why, "coordinator unreachable: the connection is down");
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    /* Told twice, it remembers the first. */
    const int64_t since_ms = m->res.disconnected_mono_ms;
    struct sf_coord_event *again = sf_coord_event_notice(SF_COORD_DISCONNECTED, "%s", "still");
    step(m, SF_RES_COORD, again, 0);
    sf_coord_event_free(again);
    assert_int_equal(m->res.disconnected_mono_ms, since_ms);
    run(45000);
    assert_state(m, SF_WORKER_SUSPENDED);
    assert_int_equal(mint(m, 1), SF_MINT_EXHAUSTED);
    sf_fake_connect(m->coord);
    run(1000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_int_equal(m->res.disconnected_mono_ms, 0);
}

/* An outage costs no more turns than health: a renewal that is overdue waits for the connection. */
static void an_outage_is_no_busy_time(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    sf_fake_disconnect(m->coord);
    run(WINDOW_MS / 4);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) < WINDOW_MS * 8 / 10);
    tick(m);
    assert_true(m->out.wake_mono_ms >= mono_ms + 500);
    sf_fake_connect(m->coord);
    run(1000);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) > WINDOW_MS * 9 / 10);
}

/* A renewal of somebody else's is no news. */
static void a_renewal_is_no_hint(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    m->res.census_due_set = false;
    put_record(3, "", mint_ms - 1);
    settle();
    assert_false(m->res.census_due_set);
}

static void hints_are_gathered(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    forget_past(m);
    for (unsigned i = 0; i < 20; i++) {
        put_claim(i);
        settle();
        assert_true(m->res.census_due_set);
        run(5);
    }
    run(1200);
    unsigned looks = 0; /* twenty hints, one or two looks */
    for (const char *at = m->ops; (at = strstr(at, "list ")); at++)
        looks++;
    assert_in_range(looks, 1, 2);
}

/* --- the fleet changes --- */

static void a_touched_config_is_read_and_minting_goes_on(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    struct sf_coord_config config = fleet_config();
    forget_past(m);
    put_config(&config);
    run(100);
    assert_string_equal(m->ops, "read_config ");
    until_renewal(m);
    run(500);
    assert_state(m, SF_WORKER_READY);
    assert_false(m->res.doomed);
}

static void a_config_that_no_longer_fits_ends_the_worker(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        int64_t epoch_ms;
        struct sf_layout layout;
        uint16_t datacenter;
    } table[] = {
        {"config.changed: epoch_ms: the coordinator has 1600000000001, this worker mints with "
         "1600000000000; minting ends with the reservation",
         EPOCH_MS + 1,
         {41, 5, 2, 15},
         0},
        {"config.changed: layout: the coordinator has 41,5,3,14, this worker mints with "
         "41,5,2,15; minting ends",
         EPOCH_MS,
         {41, 5, 3, 14},
         0},
        {"config.changed: fleet.datacenter 0 is not among the datacenters of the fleet's config; "
         "minting ends",
         EPOCH_MS,
         {41, 5, 2, 15},
         1},
    };
    for (unsigned i = 0; i < SF_COUNT(table); i++) {
        struct machine *m = ready_machine(0);
        struct sf_coord_config config = fleet_config();
        config.epoch_ms = table[i].epoch_ms;
        config.layout = table[i].layout;
        config.datacenters[0] = table[i].datacenter;
        put_config(&config);
        run(500);
        assert_said(m, table[i].said);
        assert_true(m->res.doomed);
        assert_int_equal(mint(m, 1), SF_MINT_OK);
        forget_past(m);
        run(WINDOW_MS / 2);
        assert_false(m->finished);
        for (const char *op = m->ops; *op != '\0'; op += strlen("read_config "))
            assert_memory_equal(op, "read_config ", strlen("read_config "));
        /* it only looks */ /* it asks for nothing more */
        run(WINDOW_MS / 2);
        assert_state(m, SF_WORKER_STOPPED);
        assert_said(m, "worker.fatal: ");
        assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
        teardown(state);
        setup(state);
    }
}

static void a_doomed_worker_may_leave(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    struct sf_coord_config config = fleet_config();
    config.epoch_ms++;
    put_config(&config);
    run(500);
    assert_true(m->res.doomed);
    leave(m, 5000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    assert_int_equal(m->res.stats.releases, 1);
}

/* --- windows --- */

static void a_crowd_makes_reservations_short(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) > 8 * MIN_MS);
    ready_machine(1);
    ready_machine(2);
    run(2000);
    assert_int_equal(sf_reservation_window_ms(&m->res), MIN_MS);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) <= MIN_MS);
    assert_true(record_of(m->res.hold.worker).reserved_until_ms <= mint_ms + MIN_MS);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    /* The crowd goes: long ones again. */
    leave(&machines[1], 1000);
    leave(&machines[2], 1000);
    run(MIN_MS + 3000);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) > 8 * MIN_MS);
}

static void a_lone_window_is_never_shortened(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    m->params.min_window_ms = 2 * WINDOW_MS;
    start_machine(m, NULL);
    assert_int_equal(sf_reservation_window_ms(&m->res), WINDOW_MS);
}

static void silence_ends_minting_when_so_configured(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    m->params.max_silence_ms = 9000;
    start_machine(m, NULL);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) <= 9000);
    /* It looks often enough never to be silent by itself. */
    for (unsigned i = 0; i < 30; i++) {
        run(1000);
        assert_int_equal(mint(m, 1), SF_MINT_OK);
        assert_true(sf_reservation_left_ms(&m->res, mint_ms) > 4000);
    }
    sf_fake_disconnect(m->coord);
    run(9500);
    assert_int_equal(mint(m, 1), SF_MINT_EXHAUSTED);
    assert_true(m->res.hold.acked_ms > mint_ms + 30000);
    assert_state(m, SF_WORKER_SUSPENDED);
    sf_fake_connect(m->coord);
    run(4000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

static void a_clock_that_went_back_below_what_was_minted_waits(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    ready_machine(1);
    ready_machine(2);
    run(1000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    /* Minting time never goes back; were it to, no reservation below the last ID is asked for. */
    const int64_t last_ms = (int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS;
    mint_ms = last_ms - MIN_MS - 100;
    const int64_t acked_ms = m->res.hold.acked_ms;
    forget_past(m);
    tick(m);
    assert_null(strstr(m->ops, "renew "));
    assert_int_equal(m->res.hold.acked_ms, acked_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(a_renewal_that_fails_is_tried_again),
        scenario(a_renewal_that_was_applied_and_refused_is_adopted),
        scenario(a_bid_that_was_applied_and_refused_is_adopted),
        scenario(a_claim_that_was_made_twice_leaves_one),
        scenario(a_renewal_of_unknown_outcome_is_adopted),
        scenario(a_renewal_that_is_applied_late_is_adopted_too),
        scenario(a_holder_that_gets_no_answers_gives_its_slot_up),
        scenario(a_lost_slot_is_spent_while_another_is_sought),
        scenario(a_lost_slot_ends_with_what_was_acknowledged),
        scenario(words_go_on_ascending_on_another_slot),
        scenario(a_damaged_record_stops_minting_in_it_at_once),
        scenario(a_missing_datacenter_is_asked_for_again),
        scenario(old_lists_are_no_loss),
        scenario(a_lost_session_costs_no_id),
        scenario(a_new_claim_is_bound_even_if_the_clock_allows_no_more),
        scenario(writes_under_a_new_claim_have_room_too),
        scenario(a_bind_of_unknown_outcome_tells_whether_it_bound),
        scenario(an_outage_is_outlived),
        scenario(an_outage_is_no_busy_time),
        scenario(hints_are_gathered),
        scenario(a_renewal_is_no_hint),
        scenario(a_touched_config_is_read_and_minting_goes_on),
        scenario(a_config_that_no_longer_fits_ends_the_worker),
        scenario(a_doomed_worker_may_leave),
        scenario(a_crowd_makes_reservations_short),
        scenario(a_lone_window_is_never_shortened),
        scenario(silence_ends_minting_when_so_configured),
        scenario(a_clock_that_went_back_below_what_was_minted_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
