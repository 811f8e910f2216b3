/* unit/test_reservation_told.c - a loss that was noticed is told to the fleet, whatever becomes of
 * who noticed it: a fleet of which only one worker knows would wait for nobody's word
 * (docs/uniqueness.md, rule 8). */
#include "unit/reservation_fixture.h"

/* Its record is gone, and it looks: one step before the fleet is told. */
static struct machine *about_to_tell(void)
{
    struct machine *m = ready_machine(0);
    delete_record(0);
    sf_fake_disconnect(m->coord);
    settle();
    forge_next(m, SF_COORD_HALT, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    sf_fake_connect(m->coord);
    for (unsigned i = 0; i < 1000 && strstr(m->logs, "fleet.lost: ") == NULL; i++)
        run(1);
    assert_said(m, "fleet.lost: ");
    assert_false(is_halted(NULL));
    return m;
}

static void who_leaves_tells_first(void **state)
{
    (void)state;
    struct machine *m = about_to_tell();
    leave(m, 10000);
    assert_true(is_halted(NULL));
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
}

static void who_leaves_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct machine *m = about_to_tell();
    sf_fake_disconnect(m->coord);
    settle();
    leave(m, 3000);
    assert_false(m->finished);
    run(3000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0); /* nothing is held */
}

static void who_was_killed_tells_when_it_is_back(void **state)
{
    (void)state;
    struct machine *m = about_to_tell();
    struct sf_reservation_memory memory = {.notice = m->res.notice};
    assert_true(memory.notice.due);
    memcpy(memory.lost, m->res.lost, sizeof memory.lost);
    kill_machine(m);
    memset(m, 0, sizeof *m);
    start_machine(new_machine(0), &memory);
    run(1000);
    unsigned reports = 0;
    assert_true(is_halted(&reports));
    assert_int_equal(reports, 1);
    assert_state(m, SF_WORKER_HALTED);
}

static void it_is_told_again_when_the_word_was_lost_too(void **state)
{
    (void)state;
    struct machine *m = about_to_tell();
    struct sf_fake_tree *before = sf_fake_snapshot(store);
    run(3000);
    assert_true(is_halted(NULL));
    assert_false(m->res.notice.due);
    sf_fake_restore(store, before);
    sf_fake_snapshot_free(before);
    assert_false(is_halted(NULL));
    sf_fake_disconnect(m->coord);
    settle();
    sf_fake_connect(m->coord);
    run(1000);
    assert_true(is_halted(NULL));
}

/* A making without a state is not whole, and grants nothing: it is told as soon as there is one. */
static void where_nothing_can_be_told_yet_it_waits(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"format\":2,\"halted\":false,\"reports\":[],\"others_held_until_ms\":0}";
    struct machine *m = about_to_tell();
    char path[96];
    snprintf(path, sizeof path, "/f/%s/state", token);
    sf_fake_delete(store, path);
    run(3000);
    forget_past(m);
    run(10000);
    assert_null(strstr(m->ops, "halt "));
    assert_null(strstr(m->ops, "claim "));
    assert_true(m->res.notice.due);
    sf_fake_put(store, path, whole, strlen(whole));
    run(3000);
    assert_true(is_halted(NULL));
    assert_false(m->res.notice.due);
}

/* A slot that nobody had held: its record named no claim yet when it was read. */
static void who_never_got_an_answer_tells_too(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    open_machine(m, NULL);
    sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_ANSWER_LOST_NOT_APPLIED);
    settle();
    assert_true(m->res.bid.active && m->res.bid.outstanding_count == 1);
    delete_record(m->res.bid.worker);
    leave(m, 10000);
    run(3000);
    assert_said(m, "fleet.lost: ");
    unsigned reports = 0;
    assert_true(is_halted(&reports));
    assert_int_equal(reports, 1);
    assert_true(m->finished);
}

/* Its release was under way when it was killed, and somebody followed right above its last ID: what
 * could have been minted by now, as far as the file can tell, counts for our own start alone; and so
 * does what the file's word says on top of the last ID. */
static void who_followed_a_release_took_nothing(void **state)
{
    (void)state;
    for (unsigned below = 0; below < 2; below++) {
        struct machine *m = ready_machine(0);
        run(2000);
        assert_int_equal(mint(m, 1), SF_MINT_OK);
        struct sf_reservation_memory memory = {.valid = true,
                                               .record = m->res.hold.record,
                                               .last_word = m->word,
                                               .not_before_ms = mint_ms + 500};
        const unsigned bits = fleet_config().layout.sequence_bits;
        memory.last_word |= ((uint64_t)SF_GENERATOR_COPY_SPAN_MS << bits) - 1;
        memcpy(memory.fleet_id, FLEET_ID, sizeof FLEET_ID);
        memcpy(memory.token, token, sizeof token);
        const int64_t last_ms = (int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS;
        kill_machine(m);
        memset(m, 0, sizeof *m);
        put_record(0, "", below ? last_ms - SF_GENERATOR_COPY_SPAN_MS : last_ms + 1);
        start_machine(new_machine(0), &memory);
        run(500);
        assert_int_equal(is_halted(NULL), below);
        teardown(state);
        setup(state);
    }
}

/* A file that is not believed is forgotten before its word begins anew: it names a slot still. */
static void what_is_not_believed_is_forgotten_first(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    struct sf_reservation_memory memory = {
        .valid = true, .record = m->res.hold.record, .last_word = m->word};
    memory.not_before_ms = mint_ms - 60000;
    memcpy(memory.fleet_id, FLEET_ID, sizeof FLEET_ID);
    memcpy(memory.token, token, sizeof token);
    kill_machine(m);
    memset(m, 0, sizeof *m);
    m = new_machine(0);
    open_machine(m, &memory);
    while (strstr(m->ops, "claim ") == NULL) {
        assert_int_equal(m->forgets, 0);
        if (!take_event(m))
            assert_true(sf_fake_pump(store));
    }
    assert_said(m, "restart.forgotten: ");
    assert_int_equal(m->forgets, 1);
}

/* The session outlives it that an older state is put back: a claim that was given back with its slot is
 * there again, and would keep everybody from the slot. */
static void a_claim_that_comes_back_is_deleted(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    char claim[SF_COORD_CLAIM_MAX];
    memcpy(claim, m->res.hold.claim, sizeof claim);
    struct sf_fake_tree *before = sf_fake_snapshot(store);
    m->now.clock_ok = false;
    run(2000);
    assert_said(m, "slot.released: ");
    record_rule = false;
    sf_fake_restore(store, before);
    sf_fake_snapshot_free(before);
    sf_fake_disconnect(m->coord);
    settle();
    sf_fake_connect(m->coord);
    m->now.clock_ok = true;
    run(5000);
    struct sf_coord_request request = {.op = SF_COORD_LIST, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    for (size_t i = 0; i < c->claim_count; i++)
        assert_string_not_equal(c->claims[i].name, claim);
    assert_state(m, SF_WORKER_READY);
}

/* Nothing happens to the connection: a directory of which a copy takes the place. */
static void an_older_copy_is_noticed_before_the_next_write(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    struct sf_fake_tree *before = sf_fake_snapshot(store);
    const uint64_t first = m->res.stats.renewals_ok;
    while (m->res.stats.renewals_ok == first)
        run(10);
    run(100);
    record_rule = false; /* the record says less from here on */
    sf_fake_restore(store, before);
    sf_fake_snapshot_free(before);
    run(1500);
    assert_int_equal(m->res.stats.renewals_ok, first + 1);
    assert_int_equal(m->res.stats.renewals_lost, 0);
    assert_said(m, "fleet.lost: slot 0/0: the coordinator has lost data (its record has been put "
                   "back from an older state)");
}

/* By its from_ms an owner is told from the next one: it starts above its own last ID in a slot that was
 * free for long, and says the same in all its writes. */
static void an_owner_keeps_its_mark(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    m->now.clock_ok = false;
    run(1000);
    assert_false(m->res.hold.active);
    m->now.clock_ok = true;
    run(1000);
    assert_state(m, SF_WORKER_READY);
    const int64_t from_ms = record_of(m->res.hold.worker).from_ms;
    assert_int_not_equal(m->res.hold.floor_ms, from_ms);
    run(WINDOW_MS / 2);
    assert_non_null(strstr(m->ops, "renew "));
    assert_int_equal(record_of(m->res.hold.worker).from_ms, from_ms);
    const uint64_t worker = m->res.hold.worker;
    leave(m, 1000);
    assert_int_equal(record_of(worker).from_ms, from_ms);
}

/* Everything was wiped, the worker stopped at once; then an older state of its making comes back. */
static void who_holds_nothing_any_more_tells_too(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    struct sf_fake_tree *before = sf_fake_snapshot(store);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    sf_fake_wipe(store);
    struct sf_coord_config config = fleet_config();
    config.floor_ms = mint_ms + 100000;
    make_fleet(&config, true);
    run(3000);
    sf_fake_delete(store, "/f/config");
    run(3000);
    assert_false(m->res.hold.active);
    sf_fake_restore(store, before);
    sf_fake_snapshot_free(before);
    run(3000);
    assert_said(m, "fleet.lost: ");
    unsigned reports = 0;
    assert_true(is_halted(&reports));
    assert_int_equal(reports, 1);
}

/* --- who finds it halted --- */

/* The clock is bad, nobody but the coordinator can tell when it is right again, and its time comes
 * with a claim only: which a fleet that grants nothing does not get. */
static void nobody_claims_in_a_halted_fleet_to_learn_the_time(void **state)
{
    (void)state;
    struct machine *m = about_to_tell();
    run(3000);
    assert_true(is_halted(NULL));
    m->now.clock_ok = false;
    m->now.wants_server_time = true;
    forget_past(m);
    run(10000);
    assert_null(strstr(m->ops, " claim "));
    /* Made anew, it is found and asked. */
    struct sf_coord_config config = fleet_config();
    config.floor_ms = mint_ms + 100000;
    make_fleet(&config, true);
    run(10000);
    assert_non_null(strstr(m->ops, " claim "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(who_leaves_tells_first),
        scenario(who_leaves_does_not_wait_for_ever),
        scenario(who_was_killed_tells_when_it_is_back),
        scenario(it_is_told_again_when_the_word_was_lost_too),
        scenario(where_nothing_can_be_told_yet_it_waits),
        scenario(who_never_got_an_answer_tells_too),
        scenario(who_followed_a_release_took_nothing),
        scenario(what_is_not_believed_is_forgotten_first),
        scenario(a_claim_that_comes_back_is_deleted),
        scenario(an_older_copy_is_noticed_before_the_next_write),
        scenario(an_owner_keeps_its_mark),
        scenario(who_holds_nothing_any_more_tells_too),
        scenario(nobody_claims_in_a_halted_fleet_to_learn_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
