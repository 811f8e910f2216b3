/* The epochs that a new fleet can live with, each bound at its edge and past it. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "coord/init_plan.h"

#define NOW_MS  INT64_C(1800000000000)
#define YEAR_MS INT64_C(31536000000)

static void check(uint8_t timestamp_bits, int64_t epoch_ms, const char *refused)
{
    const struct sf_coord_config config = {.epoch_ms = epoch_ms,
                                           .layout = {.timestamp_bits = timestamp_bits}};
    struct sf_error err = {0};
    const int rc = sf_init_check_epoch(&config, NOW_MS, &err);
    print_message("%u bits from %" PRId64 ": %d %s\n", timestamp_bits, epoch_ms, rc, err.text);
    assert_int_equal(rc, refused != NULL ? -EINVAL : 0);
    if (refused != NULL)
        assert_non_null(strstr(err.text, refused));
    else
        assert_string_equal(err.text, "");
}

static void test_seconds(void **state)
{
    (void)state;
    check(41, 1704067200,
          "1970-01-20T17:21:07.200Z; if it was given in seconds, 1704067200000 "
          "(milliseconds) is 2024-01-01T00:00:00.000Z");
    check(63, 1, "in seconds");
    check(63, INT64_C(99999999999), "in seconds");
    check(63, INT64_C(100000000000), NULL);
    check(63, 0, NULL); /* Unix time itself, which nobody can have meant as seconds */
    check(63, -1, NULL);
}

static void test_future(void **state)
{
    (void)state;
    check(41, NOW_MS, NULL);
    check(41, NOW_MS + 1, "2027-01-15T08:00:00.001Z, in the future");
    check(41, INT64_C(4102444800000), "in the future");
    check(41, INT64_MAX, "in the future");
}

static void test_ends(void **state)
{
    (void)state;
    const int64_t span_ms = (INT64_C(1) << 41) - 1;
    check(41, NOW_MS - span_ms + YEAR_MS, NULL);
    check(41, NOW_MS - span_ms + YEAR_MS - 1, "less than a year is left");
    check(41, NOW_MS - span_ms, "the last timestamp is 2027-01-15T08:00:00.000Z");
    check(41, NOW_MS - span_ms - 1, "41 timestamp bits");
    check(30, NOW_MS, "less than a year is left"); /* twelve days in all */
    check(41, INT64_MIN, "less than a year is left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_future),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
