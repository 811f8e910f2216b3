/* unit/test_coord_local_lock.c - lock files of the local backend that are removed while they are taken,
 * locks of a process whose children live on, and a directory whose place another one takes. */
#include "unit/local_fixture.h"

/* Somebody removes the tree between the opening of a lock file and its lock. */
static int remove_it(void *ctx, enum sf_disk_step step, const char *name)
{
    (void)name;
    if (step == SF_DISK_LOCK)
        assert_int_equal(unlinkat(*(const int *)ctx, "lock", 0), 0);
    return 0;
}

static void test_a_lock_on_a_removed_file_is_none(void **state)
{
    (void)state;
    int dirfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
    const struct sf_disk sound = {.fault = NULL};
    const struct sf_disk removed = {.fault = remove_it, .fault_ctx = &dirfd};
    assert_true(dirfd >= 0);
    assert_int_equal(sf_disk_lock_file(&removed, dirfd, "lock", SF_DISK_ALONE, &fd), -EAGAIN);
    assert_int_equal(fd, -1);
    assert_int_equal(sf_disk_lock_file(&sound, dirfd, "lock", SF_DISK_ALONE, &fd), 0);
    sf_disk_unlock(fd);
    close(dirfd);
}

static pid_t live_on(void)
{
    const pid_t child = fork();
    if (child == 0) {
        (void)sleep(30); /* not for ever, where the test fails before it ends it */
        _exit(0);
    }
    assert_true(child > 0);
    return child;
}

static void end(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Another thread of the program forks in the middle of a change. */
static int fork_in_it(void *ctx, enum sf_disk_step step, const char *name)
{
    (void)name;
    pid_t *child = ctx;
    if (step == SF_DISK_RENAME && *child == 0)
        *child = live_on();
    return 0;
}

static void test_a_child_keeps_no_lock(void **state)
{
    (void)state;
    start(NULL);
    init();
    stop();
    pid_t child = 0;
    const struct sf_disk forks = {.fault = fork_in_it, .fault_ctx = &child};
    start(&forks);
    const struct sf_coord_config config = learn();
    claim();
    assert_true(child > 0);
    struct sf_coord_request request = claim_request();
    request.deadline_ms = 3000;
    const struct sf_coord_completion *again = call(&request);
    if (again->outcome != SF_COORD_DONE)
        fail_msg("claim beside a child: %s", again->text);
    struct sf_coord_request anew = init_request(); /* what takes the fleet's lock alone */
    anew.deadline_ms = 3000;
    survey(&anew.u.init);
    memcpy(anew.u.init.config.token, config.token, sizeof config.token);
    const struct sf_coord_completion *made = call(&anew);
    if (made->outcome == SF_COORD_LOST)
        fail_msg("init beside a child: %s", made->text);
    end(child);
    stop();
    forget();
}

/* Nor a claim that its parent gave up without being able to delete it. */
static void test_a_child_keeps_no_claim(void **state)
{
    (void)state;
    start(NULL);
    init();
    claim();
    const pid_t child = live_on();
    shell("mv f away");
    stop();
    shell("mv away f");
    start(NULL);
    learn();
    assert_int_equal(live_claims(), 0);
    end(child);
    stop();
    forget();
}

/* To whoever holds a slot there it is a connection that was lost: what is there now has to be read. */
static void test_another_directory_is_told(void **state)
{
    (void)state;
    start(NULL);
    init();
    struct sf_coord_request watch = {.op = SF_COORD_WATCH};
    assert_int_equal(call(&watch)->outcome, SF_COORD_DONE);
    const unsigned connected = heard(SF_COORD_CONNECTED), changed = heard(SF_COORD_FLEET_CHANGED);
    shell("touch f/x && rm f/x"); /* another file in it is none */
    assert_true(wait_heard(SF_COORD_FLEET_CHANGED, changed));
    assert_int_equal(heard(SF_COORD_DISCONNECTED), 0);
    shell("cp -a f g && mv f old && mv g f");
    assert_true(wait_heard(SF_COORD_DISCONNECTED, 0));
    assert_true(wait_heard(SF_COORD_CONNECTED, connected));
    stop();
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lock_on_a_removed_file_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_child_keeps_no_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_child_keeps_no_claim, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_directory_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
