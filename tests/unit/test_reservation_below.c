/* unit/test_reservation_below.c - a fleet that was made anew, unseen, with a floor below what was
 * minted and a config that does not fit any more (docs/uniqueness.md, rule 9). */
#include "unit/reservation_fixture.h"

/* Behind the back of a machine that is cut off: wiped, and made with this. */
static void remade_unseen(struct machine *m, struct sf_coord_config *config)
{
    sf_fake_disconnect(m->coord);
    settle();
    sf_fake_wipe(store);
    record_rule = false;
    make_fleet(config, true);
    sf_fake_connect(m->coord);
}

/* It fits no more, but what it says of its floor counts all the same, and later ones do too. */
static void a_making_below_counts_whatever_else_it_changed(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    assert_int_equal(mint(m, 1000), SF_MINT_OK);
    const int64_t last_ms = (int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS;
    struct sf_coord_config config = fleet_config();
    config.max_window_ms = WINDOW_MS / 10;
    config.floor_ms = last_ms;
    remade_unseen(m, &config);
    run(500);
    assert_said(m, "config.changed: ");
    assert_said(m, "fleet.lost: ");
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    run(2000);
    assert_state(m, SF_WORKER_STOPPED);
    assert_int_equal(m->exit_code, 78);
}

static void who_only_spends_looks_on(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    struct sf_coord_config config = fleet_config();
    config.max_window_ms = WINDOW_MS / 10;
    config.floor_ms = m->res.hold.acked_ms;
    remade_unseen(m, &config);
    run(500);
    assert_said(m, "config.changed: ");
    assert_int_equal(mint(m, 1000), SF_MINT_OK);
    config = fleet_config();
    config.floor_ms = (int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS;
    remade_unseen(m, &config);
    run(2000);
    assert_said(m, "fleet.lost: ");
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(a_making_below_counts_whatever_else_it_changed),
        scenario(who_only_spends_looks_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
