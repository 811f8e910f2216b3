/* unit/test_coord_local_init.c - INIT of the local backend that is cut off, on a disk that is full,
 * and what it costs. */
#include "unit/local_fixture.h"

/* In memory, where there is such a place: a thousand syncs of a disk that is busy take minutes. */
static int setup_in_memory(void **state)
{
    return make_root("/dev/shm") == 0 ? 0 : setup(state);
}

/* Two datacenters of two slots. */
enum { DATACENTERS = 2, SLOTS = 2, CUT_STEPS_MIN = 30, CUT_STEPS_MAX = 400 };

/* Of what is there now; for the handle that is open. */
static struct sf_coord_request cut_request(int64_t floor_ms, bool after_data_loss)
{
    struct sf_coord_request request = init_request();
    struct sf_coord_config *config = &request.u.init.config;
    config->layout = (struct sf_layout){41, 5, 1, 16};
    config->datacenter_count = DATACENTERS;
    config->datacenters[1] = 1;
    config->floor_ms = floor_ms;
    request.u.init.after_data_loss = after_data_loss;
    survey(&request.u.init);
    return request;
}

static struct sf_coord_slot read_slot_in(uint64_t datacenter, uint64_t worker)
{
    struct sf_coord_request request = {
        .op = SF_COORD_READ_SLOT, .datacenter = datacenter, .u.worker = worker};
    struct sf_coord_completion *c = call(&request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    return c->slots[0];
}

/* Every record is there; how many are reserved until then. */
static unsigned reserved_until(int64_t until_ms)
{
    unsigned count = 0;
    for (uint64_t datacenter = 0; datacenter < DATACENTERS; datacenter++)
        for (uint64_t worker = 0; worker < SLOTS; worker++) {
            const struct sf_coord_slot slot = read_slot_in(datacenter, worker);
            assert_int_equal(slot.state, SF_COORD_RECORD_OK);
            count += slot.reserved_until_ms == until_ms;
        }
    return count;
}

/* Nothing that is half made passes for a fleet. Returns whether there is one. */
static bool whole_or_none(void)
{
    struct sf_coord_request read = {.op = SF_COORD_READ_CONFIG}, claim = claim_request();
    struct sf_coord_completion *c = call(&read);
    if (c->outcome == SF_COORD_DONE) {
        assert_true(c->current);
        assert_false(learn().token[0] == '\0');
        assert_int_equal(reserved_until(1000), DATACENTERS * SLOTS);
        return true;
    }
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_int_equal(c->reason, SF_COORD_MISSING);
    basis = (struct sf_coord_basis){.config = {1, 1}, .state = {1, 1}};
    random_hex(basis.token);
    assert_int_equal(call(&claim)->reason, SF_COORD_MISSING);
    return false;
}

static void go_on_after_a_cut(void)
{
    const bool whole = whole_or_none();
    struct sf_coord_request again = cut_request(1000, false);
    struct sf_coord_completion *c = call(&again);
    if (c->outcome != SF_COORD_DONE)
        assert_int_equal(c->reason, SF_COORD_EXISTS);
    assert_int_equal(c->outcome == SF_COORD_DONE, !whole);
    assert_true(whole_or_none());
    claim();
    assert_int_equal(files_in("$T/dc/1/slots"), SLOTS);
}

/* In a child: this request, dying at step n. Returns false when it got through. */
static bool dies_at(int n, const struct sf_coord_request *request)
{
    pid_t child = fork(); /* no thread runs here now */
    assert_true(child >= 0);
    if (child == 0) {
        struct plan plan = {.countdown = n, .code = 0};
        const struct sf_disk disk = {.fault = strike, .fault_ctx = &plan};
        struct sf_coord_request copy = *request;
        start(&disk);
        call(&copy);
        _exit(9);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(n < CUT_STEPS_MAX);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 9);
    return !WIFEXITED(status);
}

static void test_init_dying_at_every_step(void **state)
{
    (void)state;
    int n = 0;
    for (bool died = true; died; n++) {
        shell("rm -rf f");
        start(NULL);
        const struct sf_coord_request request = cut_request(1000, false);
        stop();
        died = dies_at(n, &request);
        start(NULL);
        go_on_after_a_cut();
        stop();
        forget();
    }
    assert_true(n > CUT_STEPS_MIN);
}

static void test_init_on_a_failing_disk(void **state)
{
    (void)state;
    struct plan plan = {.countdown = -1, .code = -ENOSPC};
    const struct sf_disk disk = {.fault = strike, .fault_ctx = &plan};
    start(&disk);
    int n = 0;
    for (bool struck = true; struck; n++) {
        shell("rm -rf f");
        struct sf_coord_request request = cut_request(1000, false);
        atomic_store(&plan.countdown, n);
        struct sf_coord_completion *c = call(&request);
        struck = atomic_exchange(&plan.countdown, -1) < 0;
        if (c->outcome != SF_COORD_DONE) {
            assert_int_equal(c->reason, SF_COORD_STORAGE);
            assert_non_null(strstr(c->text, "ENOSPC"));
        }
        go_on_after_a_cut();
        assert_true(n < CUT_STEPS_MAX);
    }
    stop();
    forget();
    assert_true(n > CUT_STEPS_MIN);
}

/* The old making grants until its name is gone, then nothing does, then the new one does: and what
 * the config names is named by a current-*, or it is the old one. */
static void test_data_loss_dying_at_every_step(void **state)
{
    (void)state;
    unsigned before = 0, in_between = 0, after = 0;
    int n = 0;
    for (bool died = true; died; n++) {
        shell("rm -rf f");
        start(NULL);
        struct sf_coord_request fresh = cut_request(1000, false);
        assert_int_equal(call(&fresh)->outcome, SF_COORD_DONE);
        learn();
        struct sf_coord_request loss = cut_request(50000, true);
        stop();
        forget();
        died = dies_at(n, &loss);
        start(NULL);
        struct sf_coord_request read = {.op = SF_COORD_READ_CONFIG}, request = claim_request();
        struct sf_coord_completion *c = call(&read);
        assert_int_equal(c->outcome, SF_COORD_DONE);
        const bool current = c->current, old = c->config->incarnation == 1;
        assert_int_equal(c->config->floor_ms, old ? 1000 : 50000);
        assert_string_equal(c->config->token, old ? basis.token : loss.u.init.config.token);
        assert_int_equal(reserved_until(1000), DATACENTERS * SLOTS); /* the old tree */
        const struct sf_coord_completion *claimed = call(&request); /* as the old making's worker */
        if (old && current)
            assert_int_equal(claimed->outcome, SF_COORD_DONE);
        else
            assert_int_equal(claimed->reason,
                             old ? SF_COORD_CURRENT_GONE : SF_COORD_CONFIG_CHANGED);
        if (!old) {
            assert_true(current);
            learn();
            assert_int_equal(reserved_until(50000), DATACENTERS * SLOTS);
        }
        before += old && current;
        in_between += old && !current;
        after += !old;
        struct sf_coord_request again = cut_request(60000, true);
        assert_int_equal(call(&again)->outcome, SF_COORD_DONE);
        learn();
        assert_int_equal(reserved_until(60000), DATACENTERS * SLOTS);
        claim();
        stop();
        forget();
    }
    assert_true(n > CUT_STEPS_MIN && before > 1 && in_between > 10 && after >= 1);
}

/* Of two that are made of the same survey, one loses: it finds that the root has moved. */
static void test_of_two_inits_one_loses(void **state)
{
    (void)state;
    start(NULL);
    struct sf_coord_request first = cut_request(1000, false), second = cut_request(1000, false);
    assert_int_equal(call(&first)->outcome, SF_COORD_DONE);
    assert_int_equal(call(&second)->reason, SF_COORD_EXISTS);
    first = cut_request(50000, true);
    second = cut_request(60000, true);
    assert_int_equal(call(&second)->outcome, SF_COORD_DONE);
    assert_int_equal(call(&first)->reason, SF_COORD_VERSION);
    assert_string_equal(learn().token, second.u.init.config.token);
    /* Also when there is no config again, as there was not when it was surveyed. */
    shell("rm -r f");
    first = cut_request(1000, false);
    second = cut_request(1000, false);
    assert_int_equal(call(&first)->outcome, SF_COORD_DONE);
    shell("rm f/config");
    struct sf_coord_completion *c = call(&second);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_int_equal(c->reason, SF_COORD_EXISTS);
    /* Asked again, the one that was done says so. */
    stop();
    start(NULL);
    shell("rm -r f");
    first = cut_request(1000, false);
    assert_int_equal(call(&first)->outcome, SF_COORD_DONE);
    assert_int_equal(call(&first)->outcome, SF_COORD_DONE);
    assert_string_equal(learn().token, first.u.init.config.token);
    stop();
    forget();
}

/* A whole fleet of the default layout costs a few waits for the disk, not some for each slot or
 * datacenter. */
static int count_syncs(void *ctx, enum sf_disk_step step, const char *name)
{
    (void)name;
    if (step == SF_DISK_SYNC || step == SF_DISK_SYNC_DIRECTORY)
        atomic_fetch_add((atomic_int *)ctx, 1);
    return 0;
}

static void test_init_waits_for_the_disk_a_few_times(void **state)
{
    (void)state;
    atomic_int syncs = 0;
    const struct sf_disk disk = {.fault = count_syncs, .fault_ctx = &syncs};
    start(&disk);
    struct sf_coord_request request = init_request();
    request.u.init.config.layout = SF_DEFAULT_LAYOUT;
    request.u.init.config.any_datacenter = true;
    request.deadline_ms = 60000;
    survey(&request.u.init);
    assert_int_equal(call(&request)->outcome, SF_COORD_DONE);
    learn();
    assert_int_equal(read_slot_in(31, 31).state, SF_COORD_RECORD_OK);
    /* Records, their names, that old names are gone; two each, the file and its name: the state, how
     * often the fleet was made, current-*, the config. */
    assert_int_equal(atomic_load(&syncs), 11);
    stop();
    forget();
}

/* A process that has confined itself to the directory that it began with cannot see what is in another one of
 * that name: to it the fleet is gone. That a file cannot be had says nothing of the kind. */
static void test_replaced_by_one_that_is_closed(void **state)
{
    (void)state;
    start(NULL);
    init();
    struct sf_coord_request read = {.op = SF_COORD_READ_CONFIG};
    assert_int_equal(call(&read)->outcome, SF_COORD_DONE);
    shell("mv f/lock lock && mkdir f/lock");
    const struct sf_coord_completion *c = call(&read);
    assert_int_equal(c->reason, SF_COORD_STORAGE);
    assert_false(c->replaced);
    shell("rmdir f/lock && mv lock f/lock");
    assert_int_equal(call(&read)->outcome, SF_COORD_DONE);
    shell("mv f g && mkdir -p f/lock");
    c = call(&read);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_int_equal(c->reason, SF_COORD_MISSING);
    assert_true(c->replaced);
    assert_non_null(strstr(c->text, "start it again"));
    shell("rm -r f && mv g f");
    c = call(&read);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    assert_false(c->replaced);
    stop();
    forget();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup_in_memory, teardown)
    const struct CMUnitTest tests[] = {
        TEST(init_dying_at_every_step),
        TEST(init_on_a_failing_disk),
        TEST(data_loss_dying_at_every_step),
        TEST(of_two_inits_one_loses),
        TEST(init_waits_for_the_disk_a_few_times),
        TEST(replaced_by_one_that_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
