/* unit/test_base_secret.c - a secret that is one line, as a password is: at and past each bound. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

static char path[128];

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.80s/snowfleet-secret-XXXXXX", base == NULL ? "/tmp" : base);
    const int fd = mkstemp(path);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void put(const char *bytes, size_t size)
{
    const int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *line; /* NULL: refused */
    } table[] = {
        {"secret", 6, "secret"},
        {"secret\n", 7, "secret"},
        {"secret\r\n", 8, "secret"},
        {"secret\n\n", 8, "secret"},
        {" two words \n", 12, " two words "},
        {"", 0, NULL},
        {"\n", 1, NULL},
        {"first\nsecond\n", 13, NULL},
        {"first\nsecond", 12, NULL},
        {"nul\0behind", 10, NULL},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        char line[SF_SECRET_LINE_MAX] = "untouched";
        struct sf_error err = {0};
        put(table[i].bytes, table[i].size);
        const int rc = sf_secret_read_line(path, "the.option", line, &err);
        if (table[i].line != NULL) {
            assert_int_equal(rc, 0);
            assert_string_equal(line, table[i].line);
            continue;
        }
        if (rc != -EINVAL)
            fail_msg("%zu: %d", i, rc);
        assert_string_equal(line, "untouched");
        assert_non_null(strstr(err.text, "the.option: "));
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, "one line of 1 to 1023 bytes"));
        assert_null(strstr(err.text, "first")); /* never the secret itself */
    }
}

static void test_longest(void **state)
{
    (void)state;
    char bytes[2 * SF_SECRET_LINE_MAX], line[SF_SECRET_LINE_MAX];
    struct sf_error err = {0};
    memset(bytes, 'x', sizeof bytes);
    bytes[SF_SECRET_LINE_MAX - 1] = '\n';
    put(bytes, SF_SECRET_LINE_MAX);
    assert_int_equal(sf_secret_read_line(path, "o", line, &err), 0);
    assert_int_equal(strlen(line), SF_SECRET_LINE_MAX - 1);
    bytes[SF_SECRET_LINE_MAX - 1] = 'x';
    put(bytes, SF_SECRET_LINE_MAX);
    assert_int_equal(sf_secret_read_line(path, "o", line, &err), -EINVAL);
    put(bytes, sizeof bytes);
    assert_int_equal(sf_secret_read_line(path, "o", line, &err), -EINVAL);
}

static void test_who_may_read(void **state)
{
    (void)state;
    char line[SF_SECRET_LINE_MAX];
    struct sf_error err = {0};
    put("secret\n", 7);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(sf_secret_read_line(path, "o", line, &err), -EACCES);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_int_equal(sf_secret_read_line("/nonexistent/x", "o", line, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/x"));
    assert_int_equal(sf_secret_read_line("/tmp", "o", line, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_longest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_may_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
