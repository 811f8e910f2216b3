/* The strings of clock.sources, and the table of kinds behind them. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "base/clock_source.h"

/* A list of one. */
static int parse_one(const char *text, struct sf_clock_spec *ret_spec, struct sf_error *err)
{
    struct sf_clock_specs list;
    const int rc = sf_clock_specs_parse(text, &list, err);
    if (rc == 0) {
        assert_int_equal(list.count, 1);
        *ret_spec = list.list[0];
    }
    return rc;
}

static void specs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *full;
        enum sf_clock_kind kind;
        const char *host, *path;
        uint16_t port;
    } good[] = {
        {"kernel", "kernel", SF_CLOCK_KERNEL, "", "", 0},
        {"ntp:10.0.0.1", "ntp:10.0.0.1:123", SF_CLOCK_NTP, "10.0.0.1", "", 123},
        {"ntp:time.example:1123", "ntp:time.example:1123", SF_CLOCK_NTP, "time.example", "", 1123},
        {"ntp:[fd00:ec2::123]", "ntp:[fd00:ec2::123]:123", SF_CLOCK_NTP, "fd00:ec2::123", "", 123},
        {"chrony:127.0.0.1", "chrony:127.0.0.1:323", SF_CLOCK_CHRONY, "127.0.0.1", "", 323},
        {"chrony:127.0.0.1:65535", "chrony:127.0.0.1:65535", SF_CLOCK_CHRONY, "127.0.0.1", "",
         65535},
        {"chrony:/run/chrony/chronyd.sock", "chrony:/run/chrony/chronyd.sock", SF_CLOCK_CHRONY, "",
         "/run/chrony/chronyd.sock", 0},
    };
    for (size_t i = 0; i < SF_COUNT(good); i++) {
        struct sf_clock_spec spec, again;
        assert_int_equal(parse_one(good[i].text, &spec, NULL), 0);
        assert_int_equal(spec.kind, good[i].kind);
        assert_string_equal(spec.text, good[i].full);
        assert_string_equal(spec.address.host, good[i].host);
        assert_int_equal(spec.address.port, good[i].port);
        assert_string_equal(spec.path, good[i].path);
        /* The full form means the same. */
        assert_int_equal(parse_one(spec.text, &again, NULL), 0);
        assert_memory_equal(&spec, &again, sizeof spec);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "'' is no time source"},
        {"Kernel", "'Kernel' is no time source"},
        {"kernel ", "is no time source"},
        {"none", "is no time source"},
        {"coordinator", "is no time source"},
        {"ptp:eth0", "is no time source"},
        {"kernel:", "'kernel:' takes nothing behind its name"},
        {"kernel:x", "takes nothing behind its name"},
        {"ntp", "'ntp' needs a host or a path"},
        {"ntp:", "has no valid host and port"},
        {"ntp:a:", "has no valid host and port"},
        {"ntp:a:0", "'ntp:a:0' has no valid host and port"},
        {"ntp:a:65536", "has no valid host and port"},
        {"ntp:/path", "has no valid host and port"},
        {"chrony:", "has no valid host and port"},
    };
    struct sf_clock_spec spec;
    for (size_t i = 0; i < SF_COUNT(bad); i++) {
        struct sf_error err = {0};
        assert_int_equal(parse_one(bad[i].text, &spec, &err), -EINVAL);
        if (strstr(err.text, bad[i].why) == NULL)
            fail_msg("'%s': %s", bad[i].text, err.text);
    }
}

/* At each limit, and past it. */
static void limits(void **state)
{
    (void)state;
    struct sf_clock_spec spec;
    struct sf_error err = {0};
    char path[SF_CLOCK_SPEC_MAX] = "chrony:/";
    memset(path + 8, 'x', SF_CLOCK_PATH_MAX - 2); /* with the slash: the longest that fits */
    assert_int_equal(parse_one(path, &spec, &err), 0);
    assert_int_equal(strlen(spec.path), SF_CLOCK_PATH_MAX - 1);
    path[8 + SF_CLOCK_PATH_MAX - 2] = 'x';
    assert_int_equal(parse_one(path, &spec, &err), -EINVAL);
    assert_non_null(strstr(err.text, "has a path over 79 bytes"));

    /* The longest host fits with the longest name and port. */
    char host[SF_CLOCK_SPEC_MAX] = "chrony:";
    memset(host + 7, 'x', SF_HOST_MAX - 1);
    memcpy(host + 7 + SF_HOST_MAX - 1, ":65535", 7);
    assert_int_equal(parse_one(host, &spec, &err), 0);
    assert_string_equal(spec.text, host);
}

static void lists(void **state)
{
    (void)state;
    struct sf_clock_specs specs = {.count = 7};
    struct sf_error err = {0};
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "'' is no time source"},
               {",", "'' is no time source"},
               {"kernel,", "'' is no time source"},
               {"kernel,kernel", "'kernel' stands there twice"},
               {"ntp:a,ntp:a:123", "'ntp:a:123' stands there twice"},
               {"kernel,ntp:a,x", "'x' is no time source"}};
    for (size_t i = 0; i < SF_COUNT(bad); i++) {
        assert_int_equal(sf_clock_specs_parse(bad[i].text, &specs, &err), -EINVAL);
        assert_string_equal(err.text, bad[i].why);
        assert_int_equal(specs.count, 7);
    }
    char list[2048] = "ntp:h0", huge[1024] = "ntp:";
    for (int i = 1; i < SF_CLOCK_SOURCES_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), ",ntp:h%d", i);
    assert_int_equal(sf_clock_specs_parse(list, &specs, &err), 0);
    assert_int_equal(specs.count, SF_CLOCK_SOURCES_MAX);
    assert_string_equal(specs.list[15].text, "ntp:h15:123");
    snprintf(list + strlen(list), sizeof list - strlen(list), ",kernel");
    assert_int_equal(sf_clock_specs_parse(list, &specs, &err), -EINVAL);
    assert_string_equal(err.text, "'kernel' is one too many: up to 16 are allowed");
    assert_int_equal(specs.count, SF_CLOCK_SOURCES_MAX);
    memset(huge + 4, 'x', sizeof huge - 5);
    assert_int_equal(sf_clock_specs_parse(huge, &specs, &err), -EINVAL);
    assert_string_equal(err.text, "a source of 1023 bytes is too long");
}

static void table(void **state)
{
    (void)state;
    char forms[SF_CLOCK_FORMS_MAX];
    assert_string_equal(sf_clock_source_forms(forms),
                        "kernel, ntp:HOST[:PORT], chrony:HOST[:PORT], chrony:/PATH");
    /* The numbers of the protocol. */
    assert_string_equal(sf_clock_kind_name(0), "none");
    assert_string_equal(sf_clock_kind_name(1), "kernel");
    assert_string_equal(sf_clock_kind_name(2), "ntp");
    assert_string_equal(sf_clock_kind_name(3), "chrony");
    assert_string_equal(sf_clock_kind_name(4), "coordinator");
    assert_string_equal(sf_clock_kind_name(SF_CLOCK_KINDS), "unknown");
    for (unsigned kind = 0; kind < SF_CLOCK_KINDS; kind++) {
        const struct sf_clock_kind_row *row = sf_clock_kind_row((enum sf_clock_kind)kind);
        assert_int_equal((row->arguments & SF_CLOCK_HOST) != 0, row->port != 0);
        assert_int_equal(row->arguments != 0, row->trust != 0);
        assert_true(row->trust < SF_CLOCK_KINDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs), cmocka_unit_test(refusals), cmocka_unit_test(limits),
        cmocka_unit_test(lists), cmocka_unit_test(table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
