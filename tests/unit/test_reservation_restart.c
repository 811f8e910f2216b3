/* unit/test_reservation_restart.c - going on with the slot of a process that was killed: what is
 * accepted, every reason to start anew, and that IDs lie above all that was minted. */
#include "unit/reservation_fixture.h"

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
    return memory;
}

/* A holder that was killed; ret: what its state file says. */
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

static void a_restart_goes_on_with_its_slot(void **state)
{
    (void)state;
    struct sf_reservation_memory memory;
    struct machine *m = killed(&memory);
    start_machine(m, &memory);
    assert_int_equal(strncmp(m->ops, "read_config claim read_slot bind ", 33), 0);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, memory.worker);
    assert_int_equal(m->res.hold.floor_ms, memory.not_before_ms);
    run(20);
    assert_int_equal(mint(m, 10), SF_MINT_OK);
    assert_true(m->word > memory.last_word);
    assert_true((int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS >= memory.not_before_ms);
    assert_silent(m, "restart.forgotten");
}

/* A claim in doubt is looked up in the list; a free slot there is not taken before the own one. */
static void a_restart_asks_for_its_own_slot_first(void **state)
{
    (void)state;
    struct sf_reservation_memory memory;
    struct machine *m = killed(&memory);
    open_machine(m, &memory);
    sf_fake_fault(m->coord, SF_COORD_CLAIM, SF_FAKE_ANSWER_LOST_APPLIED);
    settle();
    run(3000);
    assert_int_equal(strncmp(m->ops, "read_config claim list read_slot bind ", 38), 0);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, memory.worker);
}

static void a_restart_starts_above_all_that_was_said(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct sf_reservation_memory memory;
        struct machine *m = killed(&memory);
        struct sf_coord_config config = fleet_config();
        const int64_t word_ms = memory.not_before_ms + SF_GENERATOR_COPY_SPAN_MS - 1;
        if (i == 0) {
            memory.last_word = (uint64_t)(word_ms - EPOCH_MS) << config.layout.sequence_bits;
        } else {
            config.floor_ms = mint_ms + 700;
            memcpy(config.token, token, sizeof token);
            sf_fake_delete(store, "/f/config");
            char *bytes = sf_record_config_encode(&config);
            sf_fake_put(store, "/f/config", bytes, strlen(bytes));
            free(bytes);
        }
        start_machine(m, &memory);
        assert_state(m, SF_WORKER_READY);
        assert_int_equal(m->res.hold.floor_ms, i == 0 ? word_ms + 1 : config.floor_ms);
        teardown(state);
        setup(state);
    }
}

/* The file is on a disk that others can write to: what nobody can have minted was not minted. */
static void a_word_that_cannot_be_is_not_believed(void **state)
{
    (void)state;
    const uint64_t words[] = {UINT64_C(0x5555555555555555), SF_GENERATOR_CLOSED - 1, 0};
    for (unsigned i = 0; i < 3; i++) {
        struct sf_reservation_memory memory;
        struct machine *m = killed(&memory);
        memory.last_word = words[i];
        if (i == 2)
            memory.last_word =
                (uint64_t)(memory.not_before_ms + SF_GENERATOR_COPY_SPAN_MS - EPOCH_MS)
                << fleet_config().layout.sequence_bits;
        start_machine(m, &memory);
        run(20);
        assert_non_null(strstr(m->logs, "restart.forgotten"));
        assert_int_equal(m->res.least_start_ms, memory.not_before_ms);
        teardown(state);
        setup(state);
    }
}

static void a_restart_that_does_not_fit_is_forgotten(void **state)
{
    (void)state;
    enum { FLEET, DATACENTER, WORKER, PINNED, FOREIGN, GONE, REFUSED, CASES };
    static const char *const said[CASES] = {
        [FLEET] = "it was written for another fleet, datacenter or slot",
        [DATACENTER] = "it was written for another fleet, datacenter or slot",
        [WORKER] = "it was written for another fleet, datacenter or slot",
        [PINNED] = "it was written for another fleet, datacenter or slot",
        [FOREIGN] = "its record was written by somebody else",
        [GONE] = "its record was written by somebody else",
        [REFUSED] = "its write was refused, and the record is as it was",
    };
    for (unsigned i = 0; i < CASES; i++) {
        struct sf_reservation_memory memory;
        struct machine *m = killed(&memory);
        switch (i) {
        case FLEET:
            memcpy(memory.fleet_id, OTHER_FLEET, sizeof OTHER_FLEET);
            break;
        case DATACENTER:
            memory.datacenter = 3;
            break;
        case WORKER:
            memory.worker = 4;
            break;
        case PINNED:
            m->params.pinned_worker = 2;
            break;
        case FOREIGN:
            put_record(0, "", mint_ms + 100000);
            break;
        case GONE:
            spoil_record(0);
            break;
        default:
            forge_next(m, SF_COORD_BIND, SF_COORD_REFUSED, SF_COORD_VERSION);
            break;
        }
        start_machine(m, &memory);
        run(1500);
        char line[160];
        snprintf(line, sizeof line,
                 "restart.forgotten: the state file does not continue our slot: %s\n", said[i]);
        assert_said(m, line);
        run(2000);
        assert_state(m, SF_WORKER_READY);
        if (i == PINNED)
            assert_int_equal(m->res.hold.worker, 2);
        else
            assert_int_not_equal(m->res.hold.worker, 0); /* its old one is quarantined */
        assert_int_equal(mint(m, 1), SF_MINT_OK);
        teardown(state);
        setup(state);
    }
}

static void a_pinned_worker_may_restart(void **state)
{
    (void)state;
    struct sf_reservation_memory memory;
    struct machine *m = killed(&memory);
    m->params.pinned_worker = 0;
    start_machine(m, &memory);
    assert_state(m, SF_WORKER_READY);
}

static void a_restart_waits_for_a_clock_that_is_behind(void **state)
{
    (void)state;
    struct sf_reservation_memory memory;
    struct machine *m = killed(&memory);
    memory.not_before_ms = mint_ms + m->params.max_behind_ms + 3000;
    start_machine(m, &memory);
    assert_state(m, SF_WORKER_CLAIMING);
    assert_string_equal(m->res.why,
                        "the clock is 4s behind the last ID minted here before the restart");
    run(2500);
    assert_int_equal(mint(m, 1), SF_MINT_CLOSED);
    run(2500);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, 0);
    assert_int_equal(m->res.hold.floor_ms, memory.not_before_ms);
}

static void a_restart_whose_bid_is_in_doubt_may_leave(void **state)
{
    (void)state;
    struct sf_reservation_memory memory;
    struct machine *m = killed(&memory);
    open_machine(m, &memory);
    sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_ANSWER_LOST_APPLIED);
    settle();
    leave(m, 5000);
    run(2000);
    assert_true(m->finished);
    assert_int_equal(m->exit_code, 0);
    /* What the dead process minted stays covered. */
    assert_true(record_of(0).reserved_until_ms >= memory.not_before_ms);
}

/* The clock is wrong for a moment while nobody knows whether the slot was bound: it is kept, and
 * what the state file said is over with that. */
static void a_restart_in_doubt_outlives_a_wrong_clock(void **state)
{
    (void)state;
    struct sf_reservation_memory memory;
    struct machine *m = killed(&memory);
    open_machine(m, &memory);
    sf_fake_fault(m->coord, SF_COORD_BIND, SF_FAKE_ANSWER_LOST_APPLIED);
    settle();
    forge_next(m, SF_COORD_READ_SLOT, SF_COORD_LOST, SF_COORD_UNREACHABLE);
    m->now.clock_ok = false;
    tick(m);
    assert_true(m->res.hold.active);
    m->now.clock_ok = true;
    tick(m);
    run(3000);
    assert_state(m, SF_WORKER_READY);
    assert_int_equal(m->res.hold.worker, memory.worker);
    assert_int_equal(mint(m, 10), SF_MINT_OK);
    assert_true((int64_t)sf_generator_last_ms(&m->gen) + EPOCH_MS >= memory.not_before_ms);
    /* Another one is claimed like a stranger's when this one is lost. */
    put_record(memory.worker, "claim-00000000000000000000000000000000-0000000099", mint_ms + 80000);
    run(WINDOW_MS);
    assert_silent(m, "restart.forgotten");
    assert_true(m->res.hold.worker != memory.worker);
    assert_int_equal(mint(m, 1), SF_MINT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(a_restart_goes_on_with_its_slot),
        scenario(a_restart_asks_for_its_own_slot_first),
        scenario(a_restart_starts_above_all_that_was_said),
        scenario(a_word_that_cannot_be_is_not_believed),
        scenario(a_restart_that_does_not_fit_is_forgotten),
        scenario(a_pinned_worker_may_restart),
        scenario(a_restart_waits_for_a_clock_that_is_behind),
        scenario(a_restart_whose_bid_is_in_doubt_may_leave),
        scenario(a_restart_in_doubt_outlives_a_wrong_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
