/* The schemes of coordinator URLs, and the coordinator that is meant when nobody names one. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "base/coordinator.h"

static void schemes(void **state)
{
    (void)state;
    static const struct {
        const char *url, *rest;
        enum sf_coordinator_kind kind;
        bool tls;
    } cases[] = {
        {"local:///x", "/x", SF_COORDINATOR_LOCAL, false},
        {"zk://h:1/c", "h:1/c", SF_COORDINATOR_ZOOKEEPER, false},
        {"zks://h", "h", SF_COORDINATOR_ZOOKEEPER, true},
        {"etcd://h", "h", SF_COORDINATOR_ETCD, false},
        {"etcds://", "", SF_COORDINATOR_ETCD, true},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        const char *rest = NULL;
        const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(cases[i].url, &rest);
        assert_non_null(scheme);
        assert_string_equal(rest, cases[i].rest);
        assert_int_equal(scheme->kind, cases[i].kind);
        assert_int_equal(scheme->tls, cases[i].tls);
        assert_ptr_equal(sf_coordinator_scheme(cases[i].url, NULL), scheme);
    }
    static const char *const unknown[] = {"",       "zk",           "zk:/h",   "zk:h",
                                          "ZK://h", "zkss://h",     " zk://h", "http://h",
                                          "local:", "zookeeper://h"};
    for (size_t i = 0; i < SF_COUNT(unknown); i++)
        assert_null(sf_coordinator_scheme(unknown[i], NULL));
    assert_string_equal(sf_coordinator_kind_name(SF_COORDINATOR_LOCAL), "local");
    assert_string_equal(sf_coordinator_kind_name(SF_COORDINATOR_ZOOKEEPER), "ZooKeeper");
    assert_string_equal(sf_coordinator_kind_name(SF_COORDINATOR_ETCD), "etcd");
}

static void default_place(void **state)
{
    (void)state;
    static const struct {
        bool as_root;
        const char *state_home, *home, *url;
    } cases[] = {
        {true, "/s", "/h", "local:///var/lib/snowfleet"},
        {false, "/s", "/h", "local:///s/snowfleet"},
        {false, NULL, "/h", "local:///h/.local/state/snowfleet"},
        {false, "", "/h", "local:///h/.local/state/snowfleet"},
        {false, "relative", "/h", "local:///h/.local/state/snowfleet"},
        {false, NULL, NULL, NULL},
        {false, "relative", "h", NULL},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        char url[SF_COORDINATOR_URL_MAX + 1] = "kept";
        const int rc =
            sf_coordinator_default(cases[i].as_root, cases[i].state_home, cases[i].home, url);
        assert_int_equal(rc, cases[i].url != NULL ? 0 : -ENOENT);
        assert_string_equal(url, cases[i].url != NULL ? cases[i].url : "kept");
    }
    /* At the limit, and past it. */
    char path[SF_COORDINATOR_URL_MAX + 1] = "/", url[SF_COORDINATOR_URL_MAX + 1] = "kept";
    const size_t most = SF_COORDINATOR_DIR_MAX - strlen("/snowfleet");
    memset(path + 1, 'x', most);
    path[most + 1] = '\0';
    assert_int_equal(sf_coordinator_default(false, path, NULL, url), -ENAMETOOLONG);
    assert_string_equal(url, "kept");
    path[most] = '\0';
    assert_int_equal(sf_coordinator_default(false, path, NULL, url), 0);
    assert_int_equal(strlen(url), strlen("local://") + SF_COORDINATOR_DIR_MAX);
    struct sf_coordinator_url parsed;
    assert_int_equal(sf_coordinator_url_parse(url, &parsed, NULL), 0);
}

static void fleet_names(void **state)
{
    (void)state;
    char name[66];
    memset(name, 'a', sizeof name);
    name[63] = '\0';
    assert_true(sf_fleet_name_ok("a") && sf_fleet_name_ok("A-9_b.c") && sf_fleet_name_ok(name));
    name[63] = 'a';
    name[64] = '\0';
    static const char *const bad[] = {"", ".a", "a/b", "a b", "\xc3\xa4"};
    assert_false(sf_fleet_name_ok(name));
    for (size_t i = 0; i < SF_COUNT(bad); i++)
        assert_false(sf_fleet_name_ok(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemes),
        cmocka_unit_test(default_place),
        cmocka_unit_test(fleet_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
