/* unit/test_coord_local_lock.c - lock files of the local backend that are removed while they are taken. */
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
    close(fd);
    close(dirfd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lock_on_a_removed_file_is_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
