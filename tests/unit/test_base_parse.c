/* base/parse.h: every parser at the edges of its range, and what none of them accepts. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "base/parse.h"

static void u64_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t min, max;
        int rc;
        uint64_t value;
    } cases[] = {
        {"0", 0, UINT64_MAX, 0, 0},
        {"007", 0, 10, 0, 7},
        {"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999999x", 0, UINT64_MAX, -EINVAL, 0},
        {"5", 5, 5, 0, 5},
        {"4", 5, 6, -ERANGE, 0},
        {"7", 5, 6, -ERANGE, 0},
        {"", 0, 9, -EINVAL, 0},
        {" 1", 0, 9, -EINVAL, 0},
        {"1 ", 0, 9, -EINVAL, 0},
        {"+1", 0, 9, -EINVAL, 0},
        {"-1", 0, 9, -EINVAL, 0},
        {"0x1", 0, 9, -EINVAL, 0},
        {"1.0", 0, 9, -EINVAL, 0},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        uint64_t value = 77;
        print_message("%s\n", cases[i].text);
        assert_int_equal(sf_parse_u64(cases[i].text, cases[i].min, cases[i].max, &value),
                         cases[i].rc);
        assert_true(value == (cases[i].rc ? 77 : cases[i].value));
    }
}

static void i64_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        int64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"-1", 0, -1},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", -ERANGE, 0},
        {"-9223372036854775808", 0, INT64_MIN},
        {"-9223372036854775809", -ERANGE, 0},
        {"-", -EINVAL, 0},
        {"--1", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        int64_t value = 77;
        print_message("%s\n", cases[i].text);
        assert_int_equal(sf_parse_i64(cases[i].text, INT64_MIN, INT64_MAX, &value), cases[i].rc);
        assert_true(value == (cases[i].rc ? 77 : cases[i].value));
    }
    int64_t value = 77;
    assert_int_equal(sf_parse_i64("-3", -2, 2, &value), -ERANGE);
    assert_int_equal(sf_parse_i64("3", -2, 2, &value), -ERANGE);
    assert_int_equal(sf_parse_i64("-2", -2, 2, &value), 0);
    assert_true(value == -2);
}

static void ids_and_bools(void **state)
{
    (void)state;
    uint64_t id = 1;
    assert_int_equal(sf_parse_id("0x7fffffffffffffff", &id), 0);
    assert_true(id == INT64_MAX);
    assert_int_equal(sf_parse_id("0XfF", &id), 0);
    assert_true(id == 255);
    assert_int_equal(sf_parse_id("12", &id), 0);
    assert_true(id == 12);
    assert_int_equal(sf_parse_id("0x", &id), -EINVAL);
    assert_int_equal(sf_parse_id("0xg", &id), -EINVAL);
    assert_int_equal(sf_parse_id("ff", &id), -EINVAL);
    assert_int_equal(sf_parse_id("0x10000000000000000", &id), -ERANGE);
    assert_true(id == 12);
    bool flag = false;
    assert_int_equal(sf_parse_bool("true", &flag), 0);
    assert_true(flag);
    assert_int_equal(sf_parse_bool("false", &flag), 0);
    assert_false(flag);
    static const char *const bad[] = {"", "True", "yes", "1", "true ", "falsee"};
    for (size_t i = 0; i < SF_COUNT(bad); i++)
        assert_int_equal(sf_parse_bool(bad[i], &flag), -EINVAL);
}

static void hosts_and_ports(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int default_port;
        bool allow_any;
        int rc;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"localhost:7450", -1, false, 0, "localhost", 7450},
        {"1.2.3.4:0", -1, false, 0, "1.2.3.4", 0},
        {"1.2.3.4:65535", -1, false, 0, "1.2.3.4", 65535},
        {"1.2.3.4:65536", -1, false, -ERANGE, NULL, 0},
        {"[::1]:80", -1, false, 0, "::1", 80},
        {"[fe80::1%eth0]:80", -1, false, 0, "fe80::1%eth0", 80},
        {"[::1]", 123, false, 0, "::1", 123},
        {"[::1]", -1, false, -EINVAL, NULL, 0},
        {"host", 123, false, 0, "host", 123},
        {"a_b.c-d.", 1, false, 0, "a_b.c-d.", 1},
        {"host", -1, false, -EINVAL, NULL, 0},
        {":7450", -1, true, 0, "", 7450},
        {":7450", -1, false, -EINVAL, NULL, 0},
        {"", 1, true, -EINVAL, NULL, 0},
        {"::1", 1, true, -EINVAL, NULL, 0},
        {"::1:80", 1, true, -EINVAL, NULL, 0},
        {"[]:80", 1, true, -EINVAL, NULL, 0},
        {"[1.2.3.4]:80", 1, true, -EINVAL, NULL, 0},
        {"[::1]80", 1, true, -EINVAL, NULL, 0},
        {"[::1", 1, true, -EINVAL, NULL, 0},
        {"[::1%]:1", 1, true, -EINVAL, NULL, 0},
        {"host:", 1, true, -EINVAL, NULL, 0},
        {"host:x", 1, true, -EINVAL, NULL, 0},
        {"host:-1", 1, true, -EINVAL, NULL, 0},
        {"ho st:1", 1, true, -EINVAL, NULL, 0},
        {"ho/st:1", 1, true, -EINVAL, NULL, 0},
        {"-host:1", 1, true, -EINVAL, NULL, 0},
        {".host:1", 1, true, -EINVAL, NULL, 0},
        {"a..b:1", 1, true, -EINVAL, NULL, 0},
        {"host:1:2", 1, true, -EINVAL, NULL, 0},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        struct sf_host_port got = {"before", 9};
        print_message("%s\n", cases[i].text);
        assert_int_equal(
            sf_parse_host_port(cases[i].text, cases[i].default_port, cases[i].allow_any, &got),
            cases[i].rc);
        assert_string_equal(got.host, cases[i].rc ? "before" : cases[i].host);
        assert_int_equal(got.port, cases[i].rc ? 9 : cases[i].port);
    }
    char text[SF_HOST_MAX + 8];
    struct sf_host_port got;
    memset(text, 'a', sizeof text);
    memcpy(text + SF_HOST_MAX - 1, ":1", 3);
    assert_int_equal(sf_parse_host_port(text, -1, false, &got), 0);
    assert_int_equal(strlen(got.host), SF_HOST_MAX - 1);
    text[SF_HOST_MAX - 1] = 'a';
    memcpy(text + SF_HOST_MAX, ":1", 3);
    assert_int_equal(sf_parse_host_port(text, -1, false, &got), -EINVAL);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        int64_t unix_ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"2024-01-01T00:00:00Z", 0, 1704067200000},
        {"2026-11-20T12:00:00.250Z", 0, 1795176000250},
        {"2026-11-20t12:00:00.2509999z", 0, 1795176000250},
        {"2026-11-20 12:00:00.2Z", 0, 1795176000200},
        {"2026-11-20T13:30:00+01:30", 0, 1795176000000},
        {"2026-11-20T10:59:00-01:01", 0, 1795176000000},
        {"1969-12-31T23:59:59.999Z", 0, -1},
        {"2024-02-29T00:00:00Z", 0, 1709164800000},
        {"2000-02-29T00:00:00Z", 0, 951782400000},
        {"1900-02-29T00:00:00Z", -EINVAL, 0},
        {"2023-02-29T00:00:00Z", -EINVAL, 0},
        {"2016-12-31T23:59:60Z", 0, 1483228800000},
        {"2016-12-31T23:59:61Z", -EINVAL, 0},
        {"0000-01-01T00:00:00Z", 0, -62167219200000},
        {"9999-12-31T23:59:59.999Z", 0, 253402300799999},
        {"2026-13-01T00:00:00Z", -EINVAL, 0},
        {"2026-00-01T00:00:00Z", -EINVAL, 0},
        {"2026-04-31T00:00:00Z", -EINVAL, 0},
        {"2026-04-00T00:00:00Z", -EINVAL, 0},
        {"2026-04-01T24:00:00Z", -EINVAL, 0},
        {"2026-04-01T00:60:00Z", -EINVAL, 0},
        {"2026-04-01T00:00:00", -EINVAL, 0},
        {"2026-04-01T00:00:00.Z", -EINVAL, 0},
        {"2026-04-01T00:00:00Z ", -EINVAL, 0},
        {"2026-04-01T00:00:00+0100", -EINVAL, 0},
        {"2026-04-01T00:00:00+24:00", -EINVAL, 0},
        {"2026-04-01", -EINVAL, 0},
        {"1704067200000", 0, 1704067200000},
        {"2024", 0, 2024},
        {"-5", 0, -5},
        {"9223372036854775808", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"now", -EINVAL, 0},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        int64_t unix_ms = 77;
        print_message("%s\n", cases[i].text);
        assert_int_equal(sf_parse_time_ms(cases[i].text, &unix_ms), cases[i].rc);
        assert_true(unix_ms == (cases[i].rc ? 77 : cases[i].unix_ms));
    }
}

static void time_texts(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {1795176000250, "2026-11-20T12:00:00.250Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {253402300800000, "10000-01-01T00:00:00.000Z"},
        {-62167219200001, "-0001-12-31T23:59:59.999Z"},
        {INT64_MAX, "292278994-08-17T07:12:55.807Z"},
        {INT64_MIN, "-292275055-05-16T16:47:04.192Z"},
    };
    char buffer[SF_TIME_TEXT_MAX];
    for (size_t i = 0; i < SF_COUNT(cases); i++)
        assert_string_equal(sf_format_time_ms(cases[i].unix_ms, buffer, sizeof buffer),
                            cases[i].text);
    /* Every day of 800 years survives the way there and back. */
    for (int64_t day = -200000; day < 92000; day++) {
        int64_t back = 0, unix_ms = day * 86400000 + 86399999;
        sf_format_time_ms(unix_ms, buffer, sizeof buffer);
        assert_int_equal(sf_parse_time_ms(buffer, &back), 0);
        assert_true(back == unix_ms);
    }
}

static void duration_texts(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0ms"},
        {250, "250ms"},
        {999, "999ms"},
        {1000, "1s"},
        {48999, "48s"},
        {59999, "59s"},
        {60000, "1m00s"},
        {552000, "9m12s"},
        {3599999, "59m59s"},
        {3600000, "1h00m"},
        {3900000, "1h05m"},
        {86399999, "23h59m"},
        {86400000, "1d00h"},
        {-552000, "-9m12s"},
        {-1, "-1ms"},
        {183600000, "2d03h"},
        {INT64_MAX, "106751991167d07h"},
        {INT64_MIN, "-106751991167d07h"},
    };
    char buffer[SF_DURATION_TEXT_MAX];
    for (size_t i = 0; i < SF_COUNT(cases); i++)
        assert_string_equal(sf_format_duration_ms(cases[i].ms, buffer, sizeof buffer),
                            cases[i].text);
}

static void host_port_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"h:0", "1.2.3.4:65535", "[::1]:7", "[fe80::1%eth0]:123",
                                        ":7450"};
    char text[SF_HOST_PORT_TEXT_MAX], longest[SF_HOST_PORT_TEXT_MAX];
    struct sf_host_port address;
    for (size_t i = 0; i < SF_COUNT(texts); i++) {
        assert_int_equal(sf_parse_host_port(texts[i], -1, true, &address), 0);
        assert_string_equal(sf_format_host_port(&address, text), texts[i]);
    }
    /* The longest that can be read, an IPv6 address with its zone. */
    const int n = snprintf(longest, sizeof longest, "[fe80::1%%%0*d]:65535", SF_HOST_MAX - 9, 0);
    assert_true(n > 0 && (size_t)n == strlen(longest));
    assert_int_equal(sf_parse_host_port(longest, -1, true, &address), 0);
    assert_string_equal(sf_format_host_port(&address, text), longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_port_text),  cmocka_unit_test(u64_values),
        cmocka_unit_test(i64_values),      cmocka_unit_test(ids_and_bools),
        cmocka_unit_test(hosts_and_ports), cmocka_unit_test(times),
        cmocka_unit_test(time_texts),      cmocka_unit_test(duration_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
