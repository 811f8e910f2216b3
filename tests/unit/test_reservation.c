/* unit/test_reservation.c - how a worker learns of its fleet, claims, and gets a slot: every answer
 * of every request on the way, the waits, and the texts. */
#include "unit/reservation_fixture.h"

static void its_states_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"starting",  "claiming",  "quarantined", "ready",
                                        "suspended", "resyncing", "halted",      "exhausted",
                                        "draining",  "stopped"};
    for (unsigned i = 0; i < SF_WORKER_STATES; i++)
        assert_string_equal(sf_worker_state_name((enum sf_worker_state)i), names[i]);
    assert_string_equal(sf_worker_state_name(SF_WORKER_STATES), "unknown");
}

static void it_comes_up(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    assert_state(m, SF_WORKER_STARTING);
    assert_string_equal(m->res.why, "waiting for the coordinator");
    settle();
    assert_string_equal(m->ops, "read_config claim list bind watch ");
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.stats.bids_won, 1);
    assert_said(m, "slot.claimed: slot 0/0 under claim claim-");
    assert_said(m, "worker.state: claiming -> ready\n");
    assert_true(m->saves > 0);
    /* Alone among four slots: no crowd, the whole window. */
    assert_int_equal(sf_reservation_window_ms(&m->res), WINDOW_MS);
    assert_int_equal(sf_reservation_left_ms(&m->res, mint_ms), WINDOW_MS);
    assert_int_equal(record_of(0).reserved_until_ms, mint_ms + WINDOW_MS);
    assert_int_equal(mint(m, 100), SF_MINT_OK);
    /* The list that showed the slot as free is read again, and later once in a while. */
    forget_past(m);
    run(1000);
    assert_string_equal(m->ops, "list ");
    forget_past(m);
    run(SF_RES_CENSUS_MS + 2000);
    assert_non_null(strstr(m->ops, "list "));
    assert_non_null(strstr(m->ops, "renew "));
    assert_state(m, SF_WORKER_READY);
}

static void it_renews_after_a_tenth_of_its_window(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    const uint64_t before = m->res.stats.renewals_ok;
    for (unsigned i = 0; i < 600; i++) {
        run(1000);
        assert_int_equal(mint(m, 100), SF_MINT_OK);
        const int64_t left_ms = sf_reservation_left_ms(&m->res, mint_ms);
        assert_true(left_ms > WINDOW_MS * 8 / 10 && left_ms <= WINDOW_MS);
        mint_count = mint_count > 1 ? 1 : mint_count; /* one is enough to see a word go back */
    }
    const uint64_t renewals = m->res.stats.renewals_ok - before;
    assert_true(renewals >= 90 && renewals <= 110);
    assert_int_equal(m->res.stats.renewals_lost + m->res.stats.renewals_uncertain, 0);
}

static void every_answer_on_the_way_is_asked_again(void **state)
{
    (void)state;
    static const enum sf_coord_op ops[] = {SF_COORD_READ_CONFIG, SF_COORD_CLAIM, SF_COORD_LIST,
                                           SF_COORD_BIND, SF_COORD_WATCH};
    static const struct {
        enum sf_coord_outcome outcome;
        enum sf_coord_reason reason;
    } answers[] = {{SF_COORD_LOST, SF_COORD_UNREACHABLE},   {SF_COORD_REFUSED, SF_COORD_AUTH},
                   {SF_COORD_REFUSED, SF_COORD_STORAGE},    {SF_COORD_REFUSED, SF_COORD_SESSION},
                   {SF_COORD_REFUSED, SF_COORD_INVALID},    {SF_COORD_LOST, SF_COORD_ENDING},
                   {SF_COORD_REFUSED, SF_COORD_UNREACHABLE}};
    for (unsigned o = 0; o < SF_COUNT(ops); o++) {
        for (unsigned a = 0; a < SF_COUNT(answers); a++) {
            struct machine *m = new_machine(0);
            forge_next(m, ops[o], answers[a].outcome, answers[a].reason);
            start_machine(m, NULL);
            char said[128];
            snprintf(said, sizeof said, "coordinator.failed: %s %s: forged\n",
                     sf_coord_op_name(ops[o]), sf_coord_outcome_name(answers[a].outcome));
            assert_said(m, said);
            run(3000);
            assert_state(m, SF_WORKER_READY);
            assert_int_equal(m->res.stats.claims_failed, ops[o] == SF_COORD_CLAIM);
            teardown(state);
            setup(state);
        }
    }
}

static void a_failure_without_a_text_names_its_reason(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    forge_next(m, SF_COORD_CLAIM, SF_COORD_REFUSED, SF_COORD_AUTH);
    m->forged[0].text = "";
    start_machine(m, NULL);
    char said[64];
    snprintf(said, sizeof said, "claim refused: %s\n", sf_coord_reason_name(SF_COORD_AUTH));
    assert_said(m, said);
}

static void it_waits_longer_after_each_failure(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    for (unsigned i = 0; i < 12; i++)
        forge_next(m, SF_COORD_READ_CONFIG, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    start_machine(m, NULL);
    for (int64_t wait_ms = SF_RES_RETRY_MIN_MS; m->forged_count > 0;
         wait_ms = wait_ms * 2 < SF_RES_RETRY_MAX_MS ? wait_ms * 2 : SF_RES_RETRY_MAX_MS) {
        const int64_t until_ms = m->res.retry_at_mono_ms - mono_ms;
        assert_true(until_ms >= wait_ms / 2 && until_ms <= wait_ms);
        const unsigned left = m->forged_count;
        run(until_ms - 1);
        assert_int_equal(m->forged_count, left);
        run(1);
        assert_int_equal(m->forged_count, left - 1);
    }
    run(SF_RES_RETRY_MAX_MS);
    assert_state(m, SF_WORKER_READY);
}

static void a_vanished_fleet_is_looked_for_again(void **state)
{
    (void)state;
    static const enum sf_coord_op ops[] = {SF_COORD_CLAIM, SF_COORD_LIST};
    for (unsigned o = 0; o < SF_COUNT(ops); o++) {
        struct machine *m = new_machine(0);
        forge_next(m, ops[o], SF_COORD_REFUSED, SF_COORD_MISSING);
        start_machine(m, NULL);
        forget_past(m);
        run(3000);
        assert_int_equal(strncmp(m->ops, "read_config ", 12), 0);
        assert_state(m, SF_WORKER_READY);
        teardown(state);
        setup(state);
    }
}

/* --- claims --- */

static void a_claim_of_unknown_outcome_is_found_by_its_guid(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_ANSWER_LOST_APPLIED);
    run(3000);
    assert_int_equal(strncmp(m->ops, "read_config claim list bind ", 28), 0);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.stats.claims_failed, 1);
}

static void a_claim_that_was_not_made_is_made_again(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    forge_next(m, SF_COORD_CLAIM, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE);
    start_machine(m, NULL);
    run(3000);
    assert_int_equal(strncmp(m->ops, "read_config claim list claim ", 29), 0);
    assert_state(m, SF_WORKER_READY);
}

static void a_claim_that_turns_up_late_is_deleted(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    for (unsigned i = 0; i < 2; i++) { /* the second time its deletion fails at first */
        sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_APPLIED_LATE);
        sf_fake_expire(m->coord); /* a new claim is wanted: its making is not answered */
        run(3000);
        assert_state(m, SF_WORKER_READY);
        struct sf_coord_request list = {.op = SF_COORD_LIST, .id = 9, .deadline_ms = 1000};
        assert_int_equal(call(&list)->claim_count, 1);
        sf_fake_apply_late(store);
        assert_int_equal(call(&list)->claim_count, 2);
        forget_past(m);
        if (i == 1)
            forge_next(m, SF_COORD_UNCLAIM, SF_COORD_LOST, SF_COORD_UNREACHABLE);
        run(SF_RES_CENSUS_MS + 3000);
        assert_non_null(strstr(m->ops, "list unclaim "));
        assert_int_equal(call(&list)->claim_count, 1);
        assert_state(m, SF_WORKER_READY);
    }
}

/* --- bids --- */

static void a_bid_that_was_lost_to_another_goes_on_elsewhere(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    forge_next(m, SF_COORD_BIND, SF_COORD_REFUSED, SF_COORD_VERSION);
    start_machine(m, NULL);
    assert_int_equal(strncmp(m->ops, "read_config claim list bind read_slot ", 38), 0);
    assert_said(m,
                "bid.dropped: slot 0/0 not taken: its write was refused, and the record is as it "
                "was");
    assert_int_equal(m->res.stats.bids_lost, 1);
    run(100);
    assert_state(m, SF_WORKER_READY);
}

static void a_bid_whose_claim_is_gone_gets_a_new_one(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    forge_next(m, SF_COORD_BIND, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE);
    start_machine(m, NULL);
    assert_int_equal(strncmp(m->ops, "read_config claim list bind claim read_slot ", 44), 0);
    run(100);
    assert_state(m, SF_WORKER_READY);
}

static void a_bid_under_a_changed_config_reads_it_first(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    forge_next(m, SF_COORD_BIND, SF_COORD_REFUSED, SF_COORD_CONFIG_CHANGED);
    start_machine(m, NULL);
    assert_int_equal(strncmp(m->ops, "read_config claim list bind read_config read_slot ", 50), 0);
    run(100);
    assert_state(m, SF_WORKER_READY);
}

static void a_bid_on_a_record_that_is_gone_is_dropped(void **state)
{
    (void)state;
    static const enum sf_coord_reason reasons[] = {SF_COORD_MISSING, SF_COORD_GARBAGE};
    for (unsigned i = 0; i < SF_COUNT(reasons); i++) {
        struct machine *m = new_machine(0);
        forge_next(m, SF_COORD_BIND, SF_COORD_REFUSED, reasons[i]);
        start_machine(m, NULL);
        assert_non_null(strstr(m->ops, "bind read_config read_slot "));
        run(3000);
        assert_state(m, SF_WORKER_READY);
        teardown(state);
        setup(state);
    }
}

static struct machine *with_bind_fault(enum sf_fake_fault fault, unsigned times)
{
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    for (unsigned i = 0; i < times; i++)
        sf_fake_fault(m->coord, SF_COORD_BIND, fault);
    return m;
}

static void a_bid_of_unknown_outcome_is_adopted_by_its_nonce(void **state)
{
    (void)state;
    struct machine *m = with_bind_fault(SF_FAKE_ANSWER_LOST_APPLIED, 1);
    run(1000);
    assert_int_equal(strncmp(m->ops, "read_config claim list bind read_slot watch ", 44), 0);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.stats.bids_won, 1);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

static void a_bid_that_was_not_applied_is_written_again(void **state)
{
    (void)state;
    struct machine *m = with_bind_fault(SF_FAKE_ANSWER_LOST_NOT_APPLIED, 1);
    run(1000);
    assert_int_equal(strncmp(m->ops, "read_config claim list bind read_slot bind ", 43), 0);
    assert_state(m, SF_WORKER_READY);
}

static void a_bid_is_not_answered_forever(void **state)
{
    (void)state;
    struct machine *m = with_bind_fault(SF_FAKE_ANSWER_LOST_NOT_APPLIED, SF_RES_OUTSTANDING_MAX);
    run(200000);
    assert_said(m, "not taken: too many writes without an answer");
    assert_state(m, SF_WORKER_READY);
}

static void a_bid_whose_record_was_taken_meanwhile_is_dropped(void **state)
{
    (void)state;
    struct machine *m = with_bind_fault(SF_FAKE_APPLIED_LATE, 1);
    forge_next(m, SF_COORD_READ_SLOT, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    settle();
    assert_true(m->res.bid.active);
    put_record(0, "", mint_ms + 1000);
    run(1000);
    assert_said(m, "not taken: its record was written by somebody else");
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 1);
    sf_fake_apply_late(store); /* its condition does not hold any more */
    assert_int_equal(record_of(0).claim[0], '\0');
}

static void a_bid_whose_record_was_deleted_is_dropped(void **state)
{
    (void)state;
    struct machine *m = with_bind_fault(SF_FAKE_ANSWER_LOST_NOT_APPLIED, 1);
    forge_next(m, SF_COORD_READ_SLOT, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    settle();
    delete_record(0);
    run(3000);
    assert_said(m, "not taken: its record is not there");
    assert_int_equal(m->res.census.broken, 1);
    assert_int_equal(m->res.hold.worker, 1);
}

static void a_bid_is_not_made_while_the_clock_is_ahead(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    m->now.trusted_ms = mint_ms - WINDOW_MS - SF_RES_MARGIN_MS - 5000;
    start_machine(m, NULL);
    run(3000);
    assert_state(m, SF_WORKER_CLAIMING);
    assert_null(strstr(m->ops, "bind"));
    assert_said(m, "reservation.clock: no reservation is made: the clock is ahead of the "
                   "coordinator's by more than a window");
    m->now.trusted_ms = mint_ms + 10000;
    run(3000);
    assert_state(m, SF_WORKER_READY);
}

static void a_reservation_never_passes_trusted_time_and_a_window(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    m->now.trusted_ms = mint_ms - 20000;
    start_machine(m, NULL);
    assert_int_equal(record_of(0).reserved_until_ms,
                     m->now.trusted_ms + WINDOW_MS + SF_RES_MARGIN_MS);
}

/* --- waits --- */

static void a_full_fleet_is_waited_for(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + 20000 + i);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    assert_state(m, SF_WORKER_QUARANTINED);
    assert_said(m, "slot.waiting: no free slot in datacenter 0: 0 held, 4 quarantined, the first "
                   "comes free in 20s");
    assert_silent(m, "slot.poisoned");
    assert_true(m->res.stats.bids_full > 0);
    run(19000);
    assert_state(m, SF_WORKER_QUARANTINED);
    run(2500);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 0);
    assert_true(record_of(0).reserved_until_ms > mint_ms);
}

/* One slot number only: what is in the way there, not how full the rest is. */
static void who_asks_for_one_number_waits_for_that(void **state)
{
    (void)state;
    struct machine *holder = ready_machine(0);
    struct machine *m = new_machine(1);
    m->params.pinned_worker = (int64_t)holder->res.hold.worker;
    start_machine(m, NULL);
    run(1000);
    assert_state(m, SF_WORKER_CLAIMING);
    assert_string_equal(m->res.why,
                        "slot 0/0 (fleet.worker) is held by node; of the others 3 are free");
    assert_said(m, "slot.waiting: slot 0/0 (fleet.worker) is held by node");
    kill_machine(holder);
    run(1000);
    assert_state(m, SF_WORKER_QUARANTINED);
    assert_non_null(
        strstr(m->res.why, "slot 0/0 (fleet.worker) is quarantined: it comes free in "));
    assert_said(m, "slot.waiting: slot 0/0 (fleet.worker) is quarantined");
    run(WINDOW_MS + 1000);
    assert_state(m, SF_WORKER_READY);
    spoil_record(2);
    m = new_machine(2);
    m->params.pinned_worker = 2;
    start_machine(m, NULL);
    run(1000);
    assert_string_equal(m->res.why,
                        "slot 0/2 (fleet.worker) has no usable record; `snowfleet slots "
                        "reset 0/2` writes it anew");
}

static void all_slots_may_be_held(void **state)
{
    (void)state;
    struct sf_coord_config config = fleet_config();
    config.layout = (struct sf_layout){41, 6, 1, 15};
    make_fleet(&config, false);
    spoil_record(1);
    ready_machine(0);
    struct machine *m = new_machine(1);
    start_machine(m, NULL);
    run(3000);
    assert_state(m, SF_WORKER_CLAIMING);
    assert_string_equal(m->res.why, "the fleet is full: all 1 slots of datacenter 0 are held, and "
                                    "others have no usable record");
    /* Told once, however often it looks. */
    const char *told = strstr(m->logs, "slot.waiting: the fleet is full");
    assert_non_null(told);
    assert_null(strstr(told + 1, "slot.waiting"));
    leave(&machines[0], 1000);
    run(3000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 0);
    assert_int_equal(mint(m, 5), SF_MINT_OK);
}

static void a_poisoned_slot_is_told_of(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    m->params.pinned_worker = 2;
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + SF_RES_FAR_FUTURE_MS + 1 + i);
    start_machine(m, NULL);
    assert_said(m, "slot.poisoned: a slot of datacenter 0 is reserved for 1d00h from now");
    put_record(2, "", mint_ms - 1);
    run(1500);
    assert_int_equal(m->res.hold.worker, 2);
}

static void nothing_is_minted_below_the_floor(void **state)
{
    (void)state;
    struct sf_coord_config config = fleet_config();
    config.floor_ms = mint_ms + 5000;
    make_fleet(&config, false);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    assert_state(m, SF_WORKER_QUARANTINED);
    assert_string_equal(m->res.why, "the fleet mints nothing before its floor, "
                                    "2023-11-14T22:13:25.000Z, 5s from now");
    run(7000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_true((int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS >= config.floor_ms);
}

static void many_claimants_take_one_slot_each(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MACHINES; i++) {
        new_machine(i);
        start_machine(&machines[i], NULL);
    }
    run(5000);
    unsigned taken = 0;
    for (unsigned i = 0; i < MACHINES; i++) {
        assert_state(&machines[i], SF_WORKER_READY);
        taken |= 1U << machines[i].res.hold.worker;
        assert_int_equal(mint(&machines[i], 10), SF_MINT_OK);
    }
    assert_int_equal(taken, 7);
    /* Three held, one free: crowded, reservations are short. */
    assert_int_equal(sf_reservation_window_ms(&machines[0].res), MIN_MS);
}

static void a_fleet_past_its_layout_is_exhausted(void **state)
{
    (void)state;
    struct sf_coord_config config = fleet_config();
    config.layout = (struct sf_layout){36, 5, 2, 20};
    make_fleet(&config, false);
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms - 1);
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    assert_state(m, SF_WORKER_EXHAUSTED);
    assert_false(m->finished);
    assert_said(m, "fleet.exhausted: the fleet's timestamps ended at 2022-");
    assert_null(strstr(m->ops, "bind "));
}

static void notices_for_others_change_nothing(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    const struct sf_coord_request request = {.op = SF_COORD_RELEASE, .id = 12345};
    struct sf_coord_event *event =
        sf_coord_event_completion(&request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
    forget_past(m);
    step(m, SF_RES_COORD, event, 0);
    sf_coord_event_free(event);
    assert_state(m, SF_WORKER_READY);
    assert_string_equal(m->ops, "");
}

/* Somebody changed the passwords: neither the slot nor the bid is given up for that. */
static void a_record_that_may_not_be_read_is_asked_for_again(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    forge_next(m, SF_COORD_BIND, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE);
    forge_next(m, SF_COORD_READ_SLOT, SF_COORD_REFUSED, SF_COORD_AUTH);
    start_machine(m, NULL);
    assert_string_equal(m->ops, "read_config claim list bind ");
    run(3000);
    assert_said(m, "coordinator.failed: read_slot refused: forged");
    assert_silent(m, "bid.dropped");
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 0);
    forge_next(m, SF_COORD_RENEW, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE);
    forge_next(m, SF_COORD_READ_SLOT, SF_COORD_REFUSED, SF_COORD_AUTH);
    run(WINDOW_MS / 2);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 0);
    assert_int_equal(m->forged_count, 0);
    assert_silent(m, "slot.lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(its_states_have_names),
        scenario(it_comes_up),
        scenario(it_renews_after_a_tenth_of_its_window),
        scenario(every_answer_on_the_way_is_asked_again),
        scenario(a_failure_without_a_text_names_its_reason),
        scenario(it_waits_longer_after_each_failure),
        scenario(a_vanished_fleet_is_looked_for_again),
        scenario(a_claim_of_unknown_outcome_is_found_by_its_guid),
        scenario(a_claim_that_was_not_made_is_made_again),
        scenario(a_claim_that_turns_up_late_is_deleted),
        scenario(a_bid_that_was_lost_to_another_goes_on_elsewhere),
        scenario(a_bid_whose_claim_is_gone_gets_a_new_one),
        scenario(a_bid_under_a_changed_config_reads_it_first),
        scenario(a_bid_on_a_record_that_is_gone_is_dropped),
        scenario(a_bid_of_unknown_outcome_is_adopted_by_its_nonce),
        scenario(a_bid_that_was_not_applied_is_written_again),
        scenario(a_bid_is_not_answered_forever),
        scenario(a_bid_whose_record_was_taken_meanwhile_is_dropped),
        scenario(a_bid_whose_record_was_deleted_is_dropped),
        scenario(a_bid_is_not_made_while_the_clock_is_ahead),
        scenario(a_reservation_never_passes_trusted_time_and_a_window),
        scenario(a_full_fleet_is_waited_for),
        scenario(who_asks_for_one_number_waits_for_that),
        scenario_empty(all_slots_may_be_held),
        scenario(a_poisoned_slot_is_told_of),
        scenario_empty(nothing_is_minted_below_the_floor),
        scenario(many_claimants_take_one_slot_each),
        scenario_empty(a_fleet_past_its_layout_is_exhausted),
        scenario(notices_for_others_change_nothing),
        scenario(a_record_that_may_not_be_read_is_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
