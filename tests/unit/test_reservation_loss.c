/* unit/test_reservation_loss.c - a coordinator that was wiped, made anew, put back from an older
 * copy, or halted: what a worker does then, and that nothing is minted twice (docs/uniqueness.md,
 * rules 5 to 9). */
#include "unit/reservation_fixture.h"

#include "coord/version.h"

static struct sf_fake_tree *backup;

static void back_up(void)
{
    backup = sf_fake_snapshot(store);
}

static void put_back(void)
{
    sf_fake_restore(store, backup);
    sf_fake_snapshot_free(backup);
    backup = NULL;
}

/* Cut off, and back: what it finds there may be another world. */
static void reconnect(struct machine *m)
{
    sf_fake_disconnect(m->coord);
    settle();
    sf_fake_connect(m->coord);
    settle();
}

/* --- the fleet is gone, or another one is there --- */

static void a_missing_config_stops_it_at_once(void **state)
{
    (void)state;
    for (unsigned wiped = 0; wiped < 2; wiped++) {
        struct machine *m = ready_machine(0);
        if (wiped)
            sf_fake_wipe(store);
        else
            sf_fake_delete(store, "/f/config");
        run(1000);
        assert_said(m, "slot.gone: stopped minting at once: the fleet's config is gone from the "
                       "coordinator");
        assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
        run(10000);
        assert_state(m, SF_WORKER_CLAIMING);
        assert_non_null(strstr(m->res.why, "snowfleet init --after-data-loss"));
        assert_false(m->finished);
        teardown(state);
        setup(state);
    }
}

/* Between being taken away and being put back there is a moment without a config. */
static void a_config_that_comes_back_was_put_back(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    const struct sf_coord_config config = m->res.config;
    struct sf_coord_config seen = config;
    char *bytes = sf_record_config_encode(&seen);
    const int64_t last_ms = (int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS;
    sf_fake_delete(store, "/f/config");
    run(1000);
    assert_said(m, "slot.gone: stopped minting at once");
    sf_fake_put(store, "/f/config", bytes, strlen(bytes));
    free(bytes);
    run(3000);
    assert_said(m, "fleet.lost: ");
    assert_said(m, "its config was gone and is there again");
    assert_said(m, "fleet.halted: ");
    assert_state(m, SF_WORKER_HALTED);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    assert_true(m->res.notice.report.held_until_ms > last_ms);
}

/* Whoever noticed has not been able to tell the fleet yet; the coordinator goes and comes. */
static void who_noticed_says_why_in_every_moment(void **state)
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
    sf_fake_disconnect(m->coord);
    settle();
    assert_state(m, SF_WORKER_HALTED);
    assert_non_null(strstr(m->res.why, "init --after-data-loss"));
    sf_fake_connect(m->coord);
    while (!take_event(m))
        assert_true(sf_fake_pump(store));
    assert_true(m->res.connected && m->res.notice.due);
    assert_state(m, SF_WORKER_HALTED);
    assert_non_null(strstr(m->res.why, "init --after-data-loss"));
    settle();
    assert_said(m, "fleet.halted: ");
}

static void it_comes_back_above_its_last_id_when_the_fleet_does(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 300000), SF_MINT_OK);
    const int64_t last_ms = (int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS;
    sf_fake_wipe(store);
    run(1000);
    struct sf_coord_config config = fleet_config();
    config.floor_ms = mint_ms + 5000;
    make_fleet(&config, true);
    run(9000);
    assert_state(m, SF_WORKER_READY);
    assert_true(m->res.hold.floor_ms > last_ms && m->res.hold.floor_ms >= config.floor_ms);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

static void another_fleet_stops_it_at_once(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        struct machine *m = new_machine(0);
        if (told)
            memcpy(m->params.expect_fleet_id, FLEET_ID, sizeof FLEET_ID);
        start_machine(m, NULL);
        run(2000);
        assert_state(m, SF_WORKER_READY);
        struct sf_coord_config config = fleet_config();
        memcpy(config.fleet_id, OTHER_FLEET, sizeof OTHER_FLEET);
        make_fleet(&config, true);
        run(1000);
        assert_state(m, SF_WORKER_STOPPED);
        assert_said(m, "fleet.replaced: the coordinator holds another fleet (" OTHER_FLEET);
        assert_int_equal(m->exit_code, 75);
        assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
        teardown(state);
        setup(state);
    }
}

/* The case that broke the promise: cut off, wiped, made anew, taken by another, and the counters
 * are the same. */
static void a_remade_fleet_is_not_taken_for_the_old_one(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 1000), SF_MINT_OK);
    const struct sf_coord_version before = record_of(0).version;
    sf_fake_disconnect(m->coord);
    settle();
    sf_fake_wipe(store);
    const struct sf_coord_config config = fleet_config();
    make_fleet(&config, false); /* a floor of 0: as if --first had been said wrongly */
    struct machine *other = new_machine(1);
    start_machine(other, NULL);
    run(100);
    assert_state(other, SF_WORKER_READY);
    assert_int_equal(other->res.hold.worker, 0);
    (void)before;
    sf_fake_connect(m->coord);
    run(500);
    /* Its floor is below what was minted: a loss, and that making is halted. */
    assert_said(m, "fleet.lost: ");
    assert_said(m, "fleet.halted: ");
    assert_true(is_halted(NULL));
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    run(200);
    assert_said(other, "worker.halted: the fleet is halted: ");
    run(2 * WINDOW_MS);
    assert_state(m, SF_WORKER_HALTED);
    assert_state(other, SF_WORKER_HALTED);
    /* A person makes it anew, above everything. */
    struct sf_coord_config anew = fleet_config();
    anew.floor_ms = mint_ms + 1000;
    make_fleet(&anew, true);
    run(5000);
    assert_state(m, SF_WORKER_READY);
    assert_state(other, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_int_equal(mint(other, 1), SF_MINT_OK);
}

/* Put back from an older copy, and written by somebody since: the counters are those of its own last
 * write, the content is not. */
static void the_same_version_is_not_the_same_content(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    struct sf_fake_tree *copy = sf_fake_snapshot(store);
    forget_past(m);
    while (strstr(m->ops, "renew ") == NULL)
        run(100);
    const struct sf_coord_version ours = record_of(0).version;
    sf_fake_disconnect(m->coord);
    settle();
    sf_fake_restore(store, copy);
    sf_fake_snapshot_free(copy);
    record_rule = false;
    struct sf_coord_slot there = record_of(0);
    while (there.version.version < ours.version) {
        put_record(0, "claim-ffffffffffffffffffffffffffffffff-0000000099",
                   there.reserved_until_ms + WINDOW_MS);
        there = record_of(0);
    }
    assert_true(sf_version_same(&there.version, &ours));
    sf_fake_connect(m->coord);
    run(1000);
    assert_said(m, "fleet.lost: ");
    assert_true(is_halted(NULL));
    const struct sf_coord_slot after = record_of(0);
    assert_true(sf_slot_content_same(&after, &there));
}

static void a_making_above_supersedes(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    const int64_t acked_ms = m->res.hold.acked_ms;
    struct sf_coord_config config = fleet_config();
    config.floor_ms = acked_ms;
    make_fleet(&config, true);
    run(500);
    assert_said(m, "fleet.superseded: the fleet was made anew (");
    assert_silent(m, "fleet.lost");
    assert_state(m, SF_WORKER_READY); /* it spends what it has */
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_true(m->res.orphan);
    run(WINDOW_MS + 2000);
    assert_state(m, SF_WORKER_READY);
    assert_false(m->res.orphan);
    assert_true(m->res.hold.floor_ms >= acked_ms);
    assert_false(is_halted(NULL));
}

static void a_making_below_lowers_the_limit(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    struct sf_coord_config config = fleet_config();
    config.floor_ms = mint_ms + 4000; /* above what was minted, below what may be */
    record_rule = false;              /* its record is in the making before */
    sf_fake_wipe(store);
    make_fleet(&config, true);
    run(500);
    assert_said(m, "fleet.lost: ");
    assert_state(m, SF_WORKER_READY);
    assert_true(sf_reservation_left_ms(&m->res, mint_ms) <= 4000);
    unsigned reports = 0;
    assert_true(is_halted(&reports));
    assert_int_equal(reports, 1);
    run(5000);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    assert_state(m, SF_WORKER_HALTED);
    assert_non_null(strstr(m->res.why, "snowfleet init --after-data-loss"));
}

static void a_making_that_is_not_named_grants_nothing(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    char path[96];
    snprintf(path, sizeof path, "/f/current-%s", token);
    sf_fake_delete(store, path);
    run(2000);
    forget_past(m);
    run(WINDOW_MS / 2);
    assert_null(strstr(m->ops, "renew "));
    assert_null(strstr(m->ops, "claim "));
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    /* It is looked for each second. */
    unsigned looks = 0;
    for (const char *at = m->ops; (at = strstr(at, "read_config ")) != NULL; at++)
        looks++;
    assert_in_range(looks, 20, 40);
    run(WINDOW_MS);
    assert_int_not_equal(mint(m, 1), SF_MINT_OK);
    sf_fake_put(store, path, "", 0);
    run(3000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

/* --- what was acknowledged is forgotten --- */

static void an_older_copy_is_noticed_and_halts_the_fleet(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    back_up();
    run(WINDOW_MS / 4);  /* renewed twice: the copy is older */
    record_rule = false; /* the record says less from here on */
    put_back();
    reconnect(m);
    run(300);
    assert_said(m, "fleet.lost: slot 0/0: the coordinator has lost data (its record has been put "
                   "back from an older state)");
    unsigned reports = 0;
    assert_true(is_halted(&reports));
    assert_int_equal(reports, 1);
    assert_int_equal(m->res.stats.data_losses, 1);
    assert_state(m, SF_WORKER_READY); /* what was acknowledged is spent */
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    forget_past(m);
    run(2 * WINDOW_MS);
    assert_state(m, SF_WORKER_HALTED);
    assert_null(strstr(m->ops, "claim "));
    assert_null(strstr(m->ops, "bind "));
    assert_null(strstr(m->ops, "renew "));
}

static void a_record_that_is_not_there_is_a_loss(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    delete_record(0);
    reconnect(m);
    run(300);
    assert_said(m, "the coordinator has lost data (its record is not there any more)");
    assert_true(is_halted(NULL));
}

/* Who followed us rightly is no loss, whatever the order in which the claims were made. */
static void an_older_claim_that_follows_is_no_loss(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    const int64_t until_ms = m->res.hold.acked_ms;
    /* By a lower fence than ours. */
    struct sf_coord_slot slot = record_of(0);
    slot.fence = 1;
    slot.from_ms = until_ms;
    slot.reserved_until_ms = until_ms + WINDOW_MS;
    snprintf(slot.claim, sizeof slot.claim, "claim-%032x-%010u", 7, 1);
    memcpy(slot.nonce, "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", SF_HEX128_SIZE);
    char path[96], *bytes = sf_record_slot_encode(&slot);
    record_path(0, path);
    sf_fake_put(store, path, bytes, strlen(bytes));
    free(bytes);
    reconnect(m);
    run(500);
    assert_said(m, "slot.lost: slot 0/0 belongs to somebody else now");
    assert_silent(m, "fleet.lost");
    assert_false(is_halted(NULL));
}

static void a_halted_fleet_lets_nobody_in_and_says_why(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    back_up();
    run(WINDOW_MS / 4);
    record_rule = false;
    put_back();
    reconnect(m);
    run(300);
    assert_true(is_halted(NULL));
    struct machine *late = new_machine(1);
    start_machine(late, NULL);
    run(3000);
    assert_state(late, SF_WORKER_HALTED);
    assert_null(strstr(late->ops, "claim "));
    assert_non_null(strstr(late->res.why, "the fleet is halted: node reported at "));
}

/* The new owner of a slot that was reported mints only above what the reporter may still mint. */
static void the_holder_of_a_reported_slot_makes_way(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    struct sf_coord_config config = fleet_config();
    (void)config;
    run(2000);
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&request);
    request.op = SF_COORD_HALT;
    request.basis.config = c->config->version;
    request.basis.state = c->state->version;
    struct sf_coord_report *report = &request.u.report;
    *report = (struct sf_coord_report){.datacenter = 0,
                                       .worker = 0,
                                       .held_until_ms = mint_ms + 20000,
                                       .last_ms = mint_ms,
                                       .reported_ms = mint_ms,
                                       .node = "other"};
    snprintf(report->claim, sizeof report->claim, "claim-%032x-%010u", 7, 1);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_int_equal(call(&request)->outcome, SF_COORD_DONE);
    run(300);
    assert_said(m, "minting.closed: another worker reported slot 0/0 up to ");
    assert_int_not_equal(mint(m, 1), SF_MINT_OK); /* not before the reported end */
    run(20000);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_true((int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS >= report->held_until_ms);
}

/* Who reported may mint as far as the new owner was ever granted: he has nothing above that to go on with. */
static void nothing_is_left_above_a_report(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&request);
    request.op = SF_COORD_HALT;
    request.basis.config = c->config->version;
    request.basis.state = c->state->version;
    request.u.report = (struct sf_coord_report){.datacenter = 0,
                                                .worker = 0,
                                                .held_until_ms = m->res.hold.acked_ms,
                                                .last_ms = mint_ms,
                                                .reported_ms = mint_ms,
                                                .node = "other"};
    snprintf(request.u.report.claim, sizeof request.u.report.claim, "claim-%032x-%010u", 7, 1);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
    assert_int_equal(call(&request)->outcome, SF_COORD_DONE);
    run(300);
    assert_said(m, "minting.closed: another worker reported slot 0/0 up to ");
    assert_false(m->res.hold.active);
    assert_false(m->res.orphan);
    assert_state(m, SF_WORKER_HALTED);
    run(2 * WINDOW_MS);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
}

/* Somebody halted it by hand. */
static void a_halt_without_a_report_is_one(void **state)
{
    (void)state;
    static const char halted[] =
        "{\"format\":2,\"halted\":true,\"reports\":[],\"others_held_until_ms\":0}";
    struct machine *m = ready_machine(0);
    char path[96];
    snprintf(path, sizeof path, "/f/%s/state", token);
    sf_fake_put(store, path, halted, strlen(halted));
    run(3000);
    assert_said(m,
                "worker.halted: the fleet is halted; `snowfleet init --after-data-loss` makes it "
                "anew; ");
    assert_int_equal(mint(m, 1), SF_MINT_OK); /* what was acknowledged is spent */
    run(WINDOW_MS);
    assert_state(m, SF_WORKER_HALTED);
    assert_non_null(strstr(m->res.why, "the fleet is halted; `snowfleet init"));
}

/* --- restarts --- */

static struct sf_reservation_memory memory_of(const struct machine *m)
{
    struct sf_reservation_memory memory = {.valid = true,
                                           .datacenter = m->params.datacenter,
                                           .worker = m->res.hold.worker,
                                           .record = m->res.hold.record,
                                           .last_word = m->word,
                                           .not_before_ms = mint_ms + 11};
    memcpy(memory.fleet_id, FLEET_ID, sizeof FLEET_ID);
    memcpy(memory.token, token, sizeof token);
    memcpy(memory.lost, m->res.lost, sizeof memory.lost);
    return memory;
}

static struct machine *killed(struct sf_reservation_memory *ret)
{
    struct machine *m = ready_machine(0);
    run(2000);
    assert_int_equal(mint(m, 40000), SF_MINT_OK);
    *ret = memory_of(m);
    kill_machine(m);
    memset(m, 0, sizeof *m);
    return new_machine(0);
}

static void a_restart_calls_loss_only_what_is_certain(void **state)
{
    (void)state;
    enum { ABSENT, OLDER, SAME_VERSION, BELOW, OWN_WRITE, FOLLOWED, CASES };
    for (unsigned i = 0; i < CASES; i++) {
        struct sf_reservation_memory memory;
        struct machine *m = killed(&memory);
        struct sf_coord_slot slot = memory.record;
        memcpy(slot.nonce, "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", SF_HEX128_SIZE);
        switch (i) {
        case ABSENT:
            delete_record(0);
            break;
        case OLDER:
            memory.record.version.version += 5;
            memcpy(memory.record.nonce, slot.nonce, sizeof slot.nonce);
            break;
        case SAME_VERSION:
            memcpy(memory.record.nonce, slot.nonce, sizeof slot.nonce);
            break;
        case BELOW: /* another owner who started below what was minted */
            slot.from_ms = mint_ms - 1000;
            break;
        case OWN_WRITE: /* one that was under way when it was killed */
            slot.reserved_until_ms += 7;
            break;
        default:
            slot.from_ms = slot.reserved_until_ms;
            slot.reserved_until_ms += WINDOW_MS;
            break;
        }
        if (i >= BELOW) {
            char path[96], *bytes = sf_record_slot_encode(&slot);
            record_path(0, path);
            sf_fake_put(store, path, bytes, strlen(bytes));
            free(bytes);
        }
        start_machine(m, &memory);
        run(1000);
        assert_int_equal(is_halted(NULL), i <= BELOW);
        if (i <= BELOW) {
            assert_said(m, "fleet.lost: ");
            assert_state(m, SF_WORKER_HALTED);
        } else {
            assert_silent(m, "fleet.lost");
            assert_state(m, SF_WORKER_READY);
        }
        teardown(state);
        setup(state);
    }
}

static void a_restart_under_another_making_starts_above_its_word(void **state)
{
    (void)state;
    for (unsigned low = 0; low < 2; low++) {
        struct sf_reservation_memory memory;
        struct machine *m = killed(&memory);
        const int64_t word_ms =
            (int64_t)(memory.last_word >> fleet_config().layout.sequence_bits) + EPOCH_MS;
        sf_fake_wipe(store);
        struct sf_coord_config config = fleet_config();
        config.floor_ms = low ? word_ms - 500 : memory.not_before_ms + 200;
        make_fleet(&config, true);
        start_machine(m, &memory);
        run(2000);
        if (low) {
            assert_said(m, "fleet.lost: ");
            assert_true(is_halted(NULL));
            assert_state(m, SF_WORKER_HALTED);
        } else {
            assert_said(m, "restart.forgotten: the state file is of another making");
            assert_state(m, SF_WORKER_READY);
            assert_true(m->res.hold.floor_ms >= config.floor_ms);
            assert_false(is_halted(NULL));
        }
        teardown(state);
        setup(state);
    }
}

static void what_was_lost_stays_lost_over_a_restart(void **state)
{
    (void)state;
    struct sf_reservation_memory memory;
    struct machine *m = killed(&memory);
    memory.valid = false; /* it had no slot any more */
    memcpy(memory.lost[0], token, sizeof token);
    start_machine(m, &memory);
    run(5000);
    assert_state(m, SF_WORKER_HALTED);
    assert_null(strstr(m->ops, "claim "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(a_missing_config_stops_it_at_once),
        scenario(a_config_that_comes_back_was_put_back),
        scenario(who_noticed_says_why_in_every_moment),
        scenario(it_comes_back_above_its_last_id_when_the_fleet_does),
        scenario(another_fleet_stops_it_at_once),
        scenario(a_remade_fleet_is_not_taken_for_the_old_one),
        scenario(the_same_version_is_not_the_same_content),
        scenario(a_making_above_supersedes),
        scenario(a_making_below_lowers_the_limit),
        scenario(a_making_that_is_not_named_grants_nothing),
        scenario(an_older_copy_is_noticed_and_halts_the_fleet),
        scenario(a_record_that_is_not_there_is_a_loss),
        scenario(an_older_claim_that_follows_is_no_loss),
        scenario(a_halted_fleet_lets_nobody_in_and_says_why),
        scenario(the_holder_of_a_reported_slot_makes_way),
        scenario(nothing_is_left_above_a_report),
        scenario(a_halt_without_a_report_is_one),
        scenario(a_restart_calls_loss_only_what_is_certain),
        scenario(a_restart_under_another_making_starts_above_its_word),
        scenario(what_was_lost_stays_lost_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
