/* unit/test_reservation_config.c - a worker and the config of its fleet at the start: missing, made
 * by the worker itself, not the one it was told of. */
#include "unit/reservation_fixture.h"

static void without_a_fleet_it_waits(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(3000);
    assert_state(m, SF_WORKER_STARTING);
    assert_said(m, "fleet.missing: there is no fleet at ");
    const struct sf_coord_config config = fleet_config();
    make_fleet(&config, false);
    run(2 * SF_RES_RETRY_MAX_MS);
    assert_state(m, SF_WORKER_READY);
}

static void a_config_without_its_version_is_read_again(void **state)
{
    (void)state;
    const struct sf_coord_config config = fleet_config();
    make_fleet(&config, false);
    struct machine *m = new_machine(0);
    m->unversioned = 3;
    start_machine(m, NULL);
    run(2000);
    assert_state(m, SF_WORKER_READY);
    assert_said(m,
                "coordinator.failed: read_config: the coordinator gave the fleet's config without "
                "its version");
    /* Also of one that holds a slot: it goes on, and reads again, ever less often. */
    const size_t before = strlen(m->ops);
    m->unversioned = 1000;
    make_fleet(&config, true);
    run(10000);
    unsigned reads = 0;
    for (const char *at = m->ops + before; (at = strstr(at, "read_config ")) != NULL; at++)
        reads++;
    assert_in_range(reads, 2, 15);
    m->unversioned = 0;
    run(2 * SF_RES_RETRY_MAX_MS);
    assert_state(m, SF_WORKER_READY);
}

/* A quota that is used up, a login that is demanded: what can be read meanwhile changes nothing. */
static void writes_that_cannot_succeed_are_few(void **state)
{
    (void)state;
    static const struct {
        enum sf_coord_op op;
        enum sf_coord_outcome outcome;
        enum sf_coord_reason reason;
    } rows[] = {{SF_COORD_CLAIM, SF_COORD_UNKNOWN, SF_COORD_STORAGE},
                {SF_COORD_CLAIM, SF_COORD_REFUSED, SF_COORD_AUTH},
                {SF_COORD_BIND, SF_COORD_UNKNOWN, SF_COORD_STORAGE}};
    for (unsigned i = 0; i < SF_COUNT(rows); i++) {
        const struct sf_coord_config config = fleet_config();
        make_fleet(&config, false);
        struct machine *m = new_machine(0);
        for (unsigned n = 0; n < FORGED_MAX; n++)
            forge_next(m, rows[i].op, rows[i].outcome, rows[i].reason);
        start_machine(m, NULL);
        run(10000);
        assert_in_range(FORGED_MAX - m->forged_count, 3, 12);
        m->forged_count = 0;
        run(2 * SF_RES_RETRY_MAX_MS);
        assert_state(m, SF_WORKER_READY);
        teardown(state);
        setup_empty(state);
    }
}

static void it_makes_its_fleet_when_told_to(void **state)
{
    (void)state;
    static const struct {
        enum sf_coord_outcome outcome;
        enum sf_coord_reason reason;
        const char *said;
    } answers[] = {
        {SF_COORD_LOST, SF_COORD_UNREACHABLE, "coordinator.failed: init lost: forged"},
        {SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE, "coordinator.failed: init unknown: forged"},
        {SF_COORD_REFUSED, SF_COORD_AUTH, "coordinator.failed: init refused: forged"},
        {SF_COORD_REFUSED, SF_COORD_EXISTS, NULL}};
    for (unsigned i = 0; i <= SF_COUNT(answers); i++) {
        struct machine *m = new_machine(0);
        m->params.auto_init = true;
        m->params.init_config = fleet_config();
        if (i < SF_COUNT(answers))
            forge_next(m, SF_COORD_INIT, answers[i].outcome, answers[i].reason);
        start_machine(m, NULL);
        run(3000);
        assert_state(m, SF_WORKER_READY); /* the second INIT was let through */
        assert_said(m, "fleet.created: made the fleet's config");
        if (i < SF_COUNT(answers) && answers[i].said)
            assert_said(m, answers[i].said);
        else
            assert_silent(m, "coordinator.failed");
        teardown(state);
        setup_empty(state);
    }
}

/* Where several machines meet only a first one is made by a worker, and none where the state directory tells of
 * another. */
static void it_makes_no_other_fleet_than_the_first(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const bool known = i % 2 == 1, first_only = i >= 2;
        struct machine *m = new_machine(0);
        m->params.auto_init = true;
        m->params.fleet_known = known;
        m->params.first_only = first_only;
        m->params.init_config = fleet_config();
        start_machine(m, NULL);
        run(3000);
        if (known && first_only) {
            assert_silent(m, "fleet.created");
            assert_said(m, "fleet.missing");
        } else {
            assert_said(m, "fleet.created: made the fleet's config");
        }
        teardown(state);
        setup_empty(state);
    }
}

static void it_refuses_a_fleet_that_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        const char *expect_fleet_id;
        bool expect_epoch, expect_layout;
        uint64_t datacenter;
        int64_t pinned_worker;
    } table[] = {
        {"fleet id: the coordinator has " FLEET_ID ", this worker was told " OTHER_FLEET,
         OTHER_FLEET, false, false, 0, -1},
        {"epoch_ms: the coordinator has 1600000000000, this worker was told 5", FLEET_ID, true,
         false, 0, -1},
        {"layout: the coordinator has 41,5,2,15, this worker was told 41,5,5,12", "", false, true,
         0, -1},
        {"fleet.datacenter 32: the fleet's layout 41,5,2,15 allows 0 to 31", "", false, false, 32,
         -1},
        {"fleet.worker 4: the fleet's layout 41,5,2,15 allows 0 to 3", "", false, false, 0, 4},
        {"fleet.datacenter 7 is not among the datacenters of the fleet's config", "", false, false,
         7, -1},
    };
    for (unsigned i = 0; i < SF_COUNT(table); i++) {
        struct machine *m = new_machine(0);
        snprintf(m->params.expect_fleet_id, sizeof m->params.expect_fleet_id, "%s",
                 table[i].expect_fleet_id ? table[i].expect_fleet_id : "");
        m->params.expect_epoch = table[i].expect_epoch;
        m->params.epoch_ms = 5;
        m->params.expect_layout = table[i].expect_layout;
        m->params.layout = (struct sf_layout){41, 5, 5, 12};
        m->params.datacenter = table[i].datacenter;
        m->params.pinned_worker = table[i].pinned_worker;
        start_machine(m, NULL);
        assert_true(m->finished);
        assert_int_equal(m->exit_code, 78);
        assert_state(m, SF_WORKER_STOPPED);
        assert_said(m, table[i].said);
        assert_said(m, "worker.fatal: ");
        /* Stopped is stopped. */
        forget_past(m);
        step(m, SF_RES_TICK, NULL, 0);
        leave(m, 1000);
        assert_string_equal(m->ops, "");
        teardown(state);
        setup(state);
    }
}

static void what_it_was_told_may_be_right(void **state)
{
    (void)state;
    struct machine *m = new_machine(0);
    memcpy(m->params.expect_fleet_id, FLEET_ID, sizeof FLEET_ID);
    m->params.expect_epoch = m->params.expect_layout = true;
    m->params.epoch_ms = EPOCH_MS;
    m->params.layout = fleet_config().layout;
    m->params.pinned_worker = 3;
    start_machine(m, NULL);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 3);
}

static void any_datacenter_will_do_when_none_is_listed(void **state)
{
    struct sf_coord_config config = fleet_config();
    config.any_datacenter = true;
    config.datacenter_count = 0;
    (void)state;
    make_fleet(&config, false);
    struct machine *m = new_machine(0);
    m->params.datacenter = 31;
    start_machine(m, NULL);
    assert_state(m, SF_WORKER_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario_empty(without_a_fleet_it_waits),
        scenario_empty(a_config_without_its_version_is_read_again),
        scenario_empty(writes_that_cannot_succeed_are_few),
        scenario_empty(it_makes_its_fleet_when_told_to),
        cmocka_unit_test_setup_teardown(it_makes_no_other_fleet_than_the_first, setup_empty,
                                        teardown),
        scenario(it_refuses_a_fleet_that_does_not_fit),
        scenario(what_it_was_told_may_be_right),
        scenario_empty(any_datacenter_will_do_when_none_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
