/* unit/test_coord_url.c - URLs of coordinators: the parser, the configuration and whoever opens one refuse
 * the same texts with the same words, and none of them says a password. */
#include "unit/coordinator_urls.h"

#include <errno.h>

#include "config/config.h"
#include "coord/open.h"

static const char *const server_schemes[] = {"zk://", "zks://", "etcd://", "etcds://"};

static void drop(void *ctx, struct sf_coord_event *event)
{
    (void)ctx;
    sf_coord_event_free(event);
}

static void parser_says(const char *url, const char *why)
{
    static struct sf_coordinator_url parsed, untouched;
    struct sf_error err = {0};
    memset(&parsed, 0, sizeof parsed);
    const int rc = sf_coordinator_url_parse(url, &parsed, &err);
    assert_int_equal(sf_coordinator_url_parse(url, &parsed, NULL), rc);
    if (why == NULL) {
        assert_int_equal(rc, 0);
        return;
    }
    assert_int_equal(rc, -EINVAL);
    assert_string_equal(err.text, why);
    assert_memory_equal(&parsed, &untouched, sizeof parsed);
    assert_refused(url, why, err.text);
}

static void config_says(const char *url, const char *why)
{
    char flag[SF_COORDINATOR_URL_MAX + 128];
    char program[] = "snowfleetd", check[] = "--check-config";
    snprintf(flag, sizeof flag, "--fleet-coordinator=%s", url);
    char *const argv[] = {program, check, flag, NULL};
    char *const environment[] = {NULL};
    struct sf_config *config = NULL;
    enum sf_config_action action;
    struct sf_strbuf errors;
    sf_strbuf_init(&errors, 65536);
    const int rc = sf_config_load(3, argv, environment, &config, &action, &errors);
    if (why == NULL) {
        assert_int_equal(rc, 0);
        assert_string_equal(config->fleet_coordinator, url);
    } else {
        assert_int_equal(rc, -EINVAL);
        assert_refused(url, why, errors.text);
        assert_refused(url, "must be local:///DIR", errors.text);
    }
    sf_config_free(config);
    sf_strbuf_free(&errors);
}

/* Only what is refused: nothing is reached from here. */
static void open_says(const char *url, const char *why)
{
    const struct sf_coord_options options = {.url = url,
                                             .fleet = "f",
                                             .session_timeout_ms = 10000,
                                             .sink = drop,
                                             .ticks = &sf_ticks_system};
    struct sf_coord *coord = NULL;
    struct sf_error err = {0};
    if (why == NULL)
        return;
    assert_int_equal(sf_coord_open(&options, &coord, &err), -EINVAL);
    assert_null(coord);
    assert_refused(url, why, err.text);
}

static void all_say(const char *url, const char *why)
{
    parser_says(url, why);
    config_says(url, why);
    open_says(url, why);
}

static void servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < SF_COUNT(server_schemes); i++)
        each_server_url(server_schemes[i], all_say);
}

static void schemes_and_directories(void **state)
{
    (void)state;
    static const char *const unknown[] = {"",
                                          "h:1",
                                          "http://h",
                                          "ZK://h",
                                          " zk://h",
                                          "zk:/h",
                                          "local:/x",
                                          "http://u:" URL_PASSWORD "@h",
                                          "u:" URL_PASSWORD "@h",
                                          "ETCD://u:" URL_PASSWORD "@h/@"};
    static const char relative[] =
        "local:// needs an absolute path, as in local:///var/lib/snowfleet";
    for (size_t i = 0; i < SF_COUNT(unknown); i++)
        all_say(unknown[i], url_scheme_reason);
    all_say("local://", relative);
    all_say("local://x", relative);
    all_say("local:///a@b", NULL); /* a directory may be called so */
    char url[SF_COORDINATOR_URL_MAX + 1] = "local:///";
    memset(url + 9, 'x', sizeof url - 9);
    url[strlen("local://") + SF_COORDINATOR_DIR_MAX + 1] = '\0';
    all_say(url, "a path of 3800 bytes, at most 3799 are allowed");
    url[strlen("local://") + SF_COORDINATOR_DIR_MAX] = '\0';
    parser_says(url, NULL);
}

static void what_is_taken_apart(void **state)
{
    (void)state;
    static struct sf_coordinator_url url;
    struct sf_error err = {0};
    assert_int_equal(sf_coordinator_url_parse("zks://a,b-1.c:7,[::1]:8,1.2.3.4/x/y//", &url, &err),
                     0);
    assert_true(url.scheme->tls && url.scheme->kind == SF_COORDINATOR_ZOOKEEPER);
    assert_int_equal(url.host_count, 4);
    static const struct sf_host_port hosts[] = {
        {"a", 2181}, {"b-1.c", 7}, {"::1", 8}, {"1.2.3.4", 2181}};
    for (size_t i = 0; i < SF_COUNT(hosts); i++) {
        assert_string_equal(url.hosts[i].host, hosts[i].host);
        assert_int_equal(url.hosts[i].port, hosts[i].port);
    }
    assert_string_equal(url.path, "/x/y");
    assert_int_equal(sf_coordinator_url_parse("etcd://h", &url, &err), 0);
    assert_int_equal(url.hosts[0].port, 2379);
    assert_string_equal(url.path, "");
    assert_int_equal(sf_coordinator_url_parse("local:///a/b//", &url, &err), 0);
    assert_int_equal(url.host_count, 0);
    assert_string_equal(url.path, "/a/b");
    assert_int_equal(sf_coordinator_url_parse("local:////", &url, &err), 0);
    assert_string_equal(url.path, "/");
}

static void what_is_shown(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"etcd://h:1/p", "etcd://h:1/p"},
        {"etcd://u:" URL_PASSWORD "@h:1/p", "etcd://...@h:1/p"},
        {"zk://u:" URL_PASSWORD "@h,v:" URL_PASSWORD "@i", "zk://...@i"},
        {"u:" URL_PASSWORD "@h", "...@h"},
        {"u:" URL_PASSWORD "@h://", "...@h://"},
        {"local:///a@b", "local:///a@b"},
        {"", ""},
    };
    char shown[SF_COORDINATOR_URL_MAX + 1], longer[SF_COORDINATOR_URL_MAX + 9];
    for (size_t i = 0; i < SF_COUNT(cases); i++)
        assert_string_equal(sf_coordinator_url_shown(cases[i].url, shown), cases[i].shown);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(strlen(sf_coordinator_url_shown(longer, shown)), SF_COORDINATOR_URL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers),
        cmocka_unit_test(schemes_and_directories),
        cmocka_unit_test(what_is_taken_apart),
        cmocka_unit_test(what_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
