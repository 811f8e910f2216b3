/* config/config.h: the order of file, environment and flags, and the words of every refusal. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "config/config.h"
#include "config/options.h"

#define ARGS_MAX 24

/* One load: arguments and environment given as lists that end in NULL; what came out. */
struct outcome {
    int rc;
    struct sf_config *config;
    enum sf_config_action action;
    struct sf_strbuf errors;
};

static struct outcome load(const char *const args[], const char *const environment[])
{
    /* main's arguments and environment are not const, literals are; nothing here writes to them. */
    const char *argv[ARGS_MAX + 2] = {"snowfleetd"};
    char *argv_plain[ARGS_MAX + 2], *environment_plain[ARGS_MAX + 2];
    int argc = 1;
    for (; args && *args; args++)
        argv[argc++] = *args;
    memcpy(argv_plain, argv, sizeof argv_plain);
    for (int i = 0; i == 0 || environment[i - 1]; i++)
        memcpy(&environment_plain[i], &environment[i], sizeof *environment);
    struct outcome out = {.config = NULL};
    sf_strbuf_init(&out.errors, 65536);
    out.rc =
        sf_config_load(argc, argv_plain, environment_plain, &out.config, &out.action, &out.errors);
    if (out.rc != 0) {
        assert_null(out.config);
        assert_true(out.errors.length > 0);
    } else {
        assert_int_equal(out.errors.length, 0);
    }
    return out;
}

static void done(struct outcome *out)
{
    sf_config_free(out->config);
    sf_strbuf_free(&out->errors);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void has(const struct outcome *out, const char *text)
{
    if (!out->errors.text || !strstr(out->errors.text, text))
        fail_msg("no \"%s\" in:\n%s", text, out->errors.text ? out->errors.text : "(nothing)");
}

/* No input makes a line that is not ours or reaches the terminal. */
static void is_plain(const struct outcome *out)
{
    for (const char *at = out->errors.text; at && *at; at++)
        assert_true((unsigned char)*at >= ' ' || (*at == '\n' && at > out->errors.text));
}

static unsigned lines(const struct outcome *out)
{
    unsigned n = 0;
    for (const char *at = out->errors.text; at && *at; at++)
        n += *at == '\n';
    return n;
}

static char path[64];

static char *file_with(const char *text)
{
    snprintf(path, sizeof path, "/tmp/sf_test_config_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    size_t size = strlen(text);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    close(fd);
    return path;
}

static void defaults(void **state)
{
    (void)state;
    struct outcome out = load(NULL, ARGS("HOME=/home/x", "XDG_RUNTIME_DIR=/run/user/5"));
    assert_int_equal(out.rc, 0);
    assert_int_equal(out.action, SF_CONFIG_RUN);
    const struct sf_config *c = out.config;
    bool root = geteuid() == 0;
    assert_string_equal(c->fleet_name, "default");
    assert_int_equal(c->fleet_datacenter, 0);
    assert_true(c->fleet_worker == -1);
    assert_string_equal(c->fleet_coordinator, root ? "local:///var/lib/snowfleet"
                                                   : "local:///home/x/.local/state/snowfleet");
    assert_true(c->fleet_auto_init);
    assert_true(c->fleet_auto_init_first);
    assert_true(strlen(c->fleet_node) > 0);
    assert_int_equal(c->fleet_slots_per_worker, 1);
    assert_null(c->coordinator_username);
    assert_null(c->listen_tls_cert);
    assert_true(c->reservation_window_ms == 600000);
    assert_true(c->reservation_min_window_ms == 30000);
    assert_string_equal(c->reservation_state_dir,
                        root ? "/run/snowfleet" : "/run/user/5/snowfleet");
    assert_string_equal(c->listen_address.host, "127.0.0.1");
    assert_int_equal(c->listen_address.port, 7450);
    assert_in_range(c->listen_threads, 1, 4);
    assert_int_equal(c->listen_max_batch, 65536);
    assert_int_equal(c->admin_address.port, 7451);
    assert_string_equal(c->advertise_address, "127.0.0.1:7450");
    assert_string_equal(c->advertise_admin, "127.0.0.1:7451");
    assert_int_equal(c->clock_sources.count, 1);
    assert_string_equal(c->clock_sources.list[0].text, "kernel");
    assert_false(c->clock_require_sync);
    assert_int_equal(c->start_timeout_ms, 0);
    assert_int_equal(c->log_level, SF_LOG_INFO);
    assert_int_equal(c->log_format, SF_LOG_TEXT);
    done(&out);
}

static void machine_defaults(void **state)
{
    (void)state;
    /* What listens on every address is advertised under the host's name. */
    static const char *const any[] = {":7000", "0.0.0.0:7000", "[::]:7000"};
    for (size_t i = 0; i < SF_COUNT(any); i++) {
        struct outcome out = load(ARGS("--listen-address", any[i], "--admin-address=[::1]:0",
                                       "--fleet-coordinator", "etcd://h:1"),
                                  ARGS("HOME=/"));
        assert_int_equal(out.rc, 0);
        assert_string_equal(strrchr(out.config->advertise_address, ':'), ":7000");
        assert_true(out.config->advertise_address[0] != '[' &&
                    out.config->advertise_address[0] != ':' &&
                    out.config->advertise_address[0] != '0');
        assert_string_equal(out.config->advertise_admin, "[::1]:0");
        assert_false(out.config->fleet_auto_init);
        assert_false(out.config->fleet_auto_init_first);
        done(&out);
    }
    struct outcome out = load(ARGS("--reservation-window-ms", "5000"), ARGS("HOME=/"));
    assert_int_equal(out.rc, 0);
    assert_true(out.config->reservation_min_window_ms == 5000);
    done(&out);
}

static void precedence(void **state)
{
    (void)state;
    char *file =
        file_with("{\"fleet\": {\"name\": \"from-file\", \"node\": \"file\"},"
                  " \"drain\": {\"delay_ms\": 1}, \"clock\": {\"require_sync\": true,"
                  " \"sources\": [\"ntp:a\", \"chrony:[::1]:5\", \"chrony:/run/c.sock\"]}}");
    struct outcome out = load(ARGS("--config", file, "--fleet-name=from-flag"),
                              ARGS("HOME=/", "SNOWFLEET_FLEET_NAME=from-env",
                                   "SNOWFLEET_DRAIN_DELAY_MS=2", "UNRELATED=1"));
    assert_int_equal(out.rc, 0);
    assert_string_equal(out.config->fleet_name, "from-flag");
    assert_int_equal(out.config->drain_delay_ms, 2);
    assert_string_equal(out.config->fleet_node, "file");
    assert_true(out.config->clock_require_sync);
    assert_int_equal(out.config->clock_sources.count, 3);
    assert_string_equal(out.config->clock_sources.list[0].text, "ntp:a:123");
    assert_string_equal(out.config->clock_sources.list[1].text, "chrony:[::1]:5");
    assert_string_equal(out.config->clock_sources.list[2].text, "chrony:/run/c.sock");
    done(&out);

    char variable[128];
    snprintf(variable, sizeof variable, "SNOWFLEET_CONFIG=%s", file);
    out = load(ARGS("--clock-sources", "kernel,chrony:h"), ARGS("HOME=/", variable));
    assert_int_equal(out.rc, 0);
    assert_string_equal(out.config->fleet_name, "from-file");
    assert_int_equal(out.config->clock_sources.count, 2);
    assert_string_equal(out.config->clock_sources.list[1].text, "chrony:h:323");
    done(&out);
    unlink(file);
}

/* Values at and past the edge of each numeric option, taken from the table. */
static int set(const struct sf_option *option, const char *text, struct sf_config *config)
{
    return option->type->parse(option, text, sf_option_field(option, config), NULL);
}

static void number_edges(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sf_option_count; i++) {
        const struct sf_option *o = &sf_options[i];
        if ((o->type->json & SF_OPTION_JSON_NUMBER) == 0)
            continue;
        struct sf_config config = {0};
        char text[32];
        snprintf(text, sizeof text, "%" PRId64, o->min);
        assert_int_equal(set(o, text, &config), 0);
        snprintf(text, sizeof text, "%" PRId64, o->max);
        assert_int_equal(set(o, text, &config), 0);
        snprintf(text, sizeof text, "%" PRId64, o->min - 1);
        assert_int_equal(set(o, text, &config), -EINVAL);
        snprintf(text, sizeof text, "%" PRId64, o->max + 1);
        assert_int_equal(set(o, text, &config), -EINVAL);
        assert_int_equal(set(o, "", &config), -EINVAL);
        assert_int_equal(set(o, "1x", &config), -EINVAL);
        assert_true(o->min >= 0 && o->max > o->min);
    }
}

static void refused_values(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *value;
        const char *must_be;
    } cases[] = {
        {"--listen-max-batch", "0", "a whole number from 1 to 65536"},
        {"--listen-max-batch", "65537", "a whole number from 1 to 65536"},
        {"--fleet-slots-per-worker", "9", "a whole number from 1 to 8"},
        {"--reservation-window-ms", "999", "a whole number from 1000 to"},
        {"--fleet-worker", "-1", "any, or a whole number"},
        {"--fleet-worker", "all", "any, or a whole number"},
        {"--fleet-name", "", "1 to 63 of"},
        {"--fleet-name", ".x", "1 to 63 of"},
        {"--fleet-name", "a/b", "1 to 63 of"},
        {"--fleet-name", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "63"},
        {"--fleet-coordinator", "http://x", "local:///DIR"},
        {"--fleet-coordinator", "local://relative", "local:///DIR"},
        {"--fleet-coordinator", "zk://", "local:///DIR"},
        {"--fleet-coordinator", "zk:///x", "local:///DIR"},
        {"--fleet-coordinator", "", "local:///DIR"},
        {"--fleet-auto-init", "yes", "true or false"},
        {"--fleet-node", "a b", "visible ASCII"},
        {"--reservation-state-dir", "relative", "an absolute path"},
        {"--listen-address", "localhost", "HOST:PORT"},
        {"--listen-address", "1.2.3.4:70000", "HOST:PORT"},
        {"--advertise-address", ":7450", "HOST:PORT; port 0"},
        {"--advertise-address", "h", "HOST:PORT; port 0"},
        {"--clock-sources", "", "a list of 1 to 16"},
        {"--clock-sources", "kernel,", "a list of 1 to 16"},
        {"--clock-sources", "kernel,kernel", "a list of 1 to 16"},
        {"--clock-sources", "ntp:a,ntp:a:123", "a list of 1 to 16"},
        {"--clock-sources", "gps", "a list of 1 to 16"},
        {"--clock-sources", "ntp:/path", "a list of 1 to 16"},
        {"--clock-sources", "ntp:a:0", "a list of 1 to 16"},
        {"--clock-sources", "ntp:", "a list of 1 to 16"},
        {"--log-level", "verbose", "debug, info, warn or error"},
        {"--log-format", "xml", "text or json"},
        {"--coordinator-username", "a:b", "without a colon"},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        struct outcome out = load(ARGS(cases[i].flag, cases[i].value), ARGS("HOME=/"));
        assert_int_equal(out.rc, -EINVAL);
        has(&out, cases[i].must_be);
        has(&out, cases[i].flag);
        assert_int_equal(lines(&out), 1);
        done(&out);
    }
    char sources[400] = "";
    for (int i = 0; i < 17; i++)
        snprintf(sources + strlen(sources), 20, "%sntp:h%d", i ? "," : "", i);
    struct outcome out = load(ARGS("--clock-sources", sources), ARGS("HOME=/"));
    assert_int_equal(out.rc, -EINVAL);
    done(&out);
    *strrchr(sources, ',') = '\0';
    out = load(ARGS("--clock-sources", sources), ARGS("HOME=/"));
    assert_int_equal(out.rc, 0);
    assert_int_equal(out.config->clock_sources.count, 16);
    done(&out);
}

static void all_errors_at_once(void **state)
{
    (void)state;
    char *file =
        file_with("{\"listen\": {\"adress\": \"x\", \"threads\": \"4\", \"max_batch\": 1.5},"
                  " \"fleet\": {\"auto_init\": 1, \"name\": null}, \"nonsense\": {},"
                  " \"clock\": {\"sources\": \"kernel\"}, \"log\": \"info\"}");
    struct outcome out =
        load(ARGS("--config", file, "--drain-timeout-ms", "-5"),
             ARGS("HOME=/", "SNOWFLEET_LOG_LEVEL=loud\x1b", "SNOWFLEET_LISTEN_ADRESS=x"));
    assert_int_equal(out.rc, -EINVAL);
    has(&out, "\"listen.adress\" (file ");
    has(&out, ") is no option; did you mean {\"listen\": {\"address\": ...}}?");
    has(&out, "listen.threads: \"\\\"4\\\"\" (file ");
    has(&out, "listen.max_batch: \"1.5\" (file ");
    has(&out, "fleet.auto_init: \"1\" (file ");
    has(&out, "fleet.name: \"null\" (file ");
    has(&out, "\"nonsense\" (file ");
    has(&out, "must be a JSON array");
    has(&out, "log (file ");
    has(&out, "drain.timeout_ms: \"-5\" (flag --drain-timeout-ms) must be a whole number from 0");
    has(&out, "log.level: \"loud\\u001b\" (environment SNOWFLEET_LOG_LEVEL)");
    has(&out, "SNOWFLEET_LISTEN_ADRESS (environment) is no option; did you mean "
              "SNOWFLEET_LISTEN_ADDRESS?");
    assert_int_equal(lines(&out), 11);
    done(&out);
    unlink(file);
}

static void bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "is not valid JSON"},
        {"[]", "must hold a JSON object"},
        {"{\"fleet\": {\"name\": \"a\", \"name\": \"b\"}}", "duplicate"},
        {"{\"fleet\": {}, \"fleet\": {}}", "duplicate"},
        {"{} {}", "is not valid JSON"},
        {"{\"drain\": {\"delay_ms\": 6\n\x1b[2J 5}}", "near"},
        {"{\"fleet\": {\"name\": \"a\"},}", "line 1"},
        {"{\"fleet\": {\"name\": \"\xff\"}}", "is not valid JSON"},
        {"{\"drain\": {\"delay_ms\": 99999999999999999999}}", "is not valid JSON"},
        {"{\"listen.address\": \"1.2.3.4:5\"}", "must be nested: {\"listen\": {\"address\": ...}}"},
        {"{\"fleet\": {\"x\": {\"y\": 1}}}", "\"fleet.x\""},
        {"{\"clock\": {\"sources\": [\"kernel\", 1]}}", "a JSON array"},
        {"{\"clock\": {\"sources\": [\"kernel,ntp:a\"]}}", "a JSON array"},
        {"{\"clock\": {\"sources\": []}}", "a list of 1 to 16"},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        char *file = file_with(cases[i].text);
        struct outcome out = load(ARGS("--config", file), ARGS("HOME=/"));
        assert_int_equal(out.rc, -EINVAL);
        has(&out, cases[i].error);
        has(&out, file);
        is_plain(&out);
        assert_int_equal(lines(&out), 1);
        done(&out);
        unlink(file);
    }
    struct outcome out = load(ARGS("--config", "/nonexistent/x.json"), ARGS("HOME=/"));
    assert_int_equal(out.rc, -EINVAL);
    has(&out, "cannot read /nonexistent/x.json: ENOENT");
    done(&out);
    out = load(ARGS("--config", "/tmp"), ARGS("HOME=/"));
    assert_int_equal(out.rc, -EINVAL);
    has(&out, "cannot read /tmp: EISDIR");
    done(&out);

    char *big = malloc((1 << 20) + 2);
    assert_non_null(big);
    memset(big, ' ', (1 << 20) + 1);
    memcpy(big, "{}", 2);
    big[1 << 20] = '\0';
    char *file = file_with(big);
    out = load(ARGS("--config", file), ARGS("HOME=/"));
    assert_int_equal(out.rc, 0);
    done(&out);
    unlink(file);
    big[1 << 20] = ' ';
    big[(1 << 20) + 1] = '\0';
    file = file_with(big);
    out = load(ARGS("--config", file), ARGS("HOME=/"));
    assert_int_equal(out.rc, -EINVAL);
    has(&out, "larger than 1048576 bytes");
    done(&out);
    unlink(file);
    free(big);
}

static void usage_errors(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"--listen-adress", "x:1", "did you mean --listen-address?"},
        {"--listen-address", NULL, "\"--listen-address\" needs a value"},
        {"--config", NULL, "\"--config\" needs a value"},
        {"serve", NULL, "is not understood"},
        {"-v", NULL, "is not understood"},
        {"--", NULL, "is not understood"},
        {"--=x", NULL, "is not understood"},
        {"--help=yes", NULL, "is no option"},
        {"--config=/a", "--config=/b", "is given twice"},
        {"--fleet-name=a", "--fleet-name=b", "is given twice"},
        {"--start-timeout=1", "--start-timeout-ms=2", "is given twice"},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        const char *const args[] = {cases[i][0], cases[i][1], NULL};
        struct outcome out = load(args, ARGS("HOME=/"));
        assert_int_equal(out.rc, -EDOM);
        has(&out, cases[i][2]);
        /* --config=/b cannot be read either. */
        assert_int_equal(lines(&out), strcmp(cases[i][0], "--config=/a") == 0 ? 2 : 1);
        done(&out);
    }
}

static void combinations(void **state)
{
    (void)state;
    static const char *const cases[][5] = {
        {"--reservation-window-ms=5000", "--reservation-min-window-ms=5001", NULL, "larger one"},
        {"--reservation-min-window-ms=1000", "--mint-max-ahead-ms=1000", NULL, "run ahead"},
        {"--coordinator-tls-cert=/c", "--fleet-coordinator=zks://h:1", NULL, "needs its key"},
        {"--coordinator-tls-key=/c", "--fleet-coordinator=zks://h:1", NULL, "its certificate"},
        {"--coordinator-tls-ca=/c", "--fleet-coordinator=zk://h:1", NULL, "TLS needs a URL"},
        {"--coordinator-username=u", "--fleet-coordinator=zk://h:1", NULL, "needs a password"},
        {"--coordinator-password-file=/p", "--fleet-coordinator=zk://h:1", NULL, "its user"},
        {"--coordinator-username=u", "--coordinator-password-file=/p", NULL, "knows no users"},
        {"--fleet-worker=3", "--fleet-slots-per-worker=2", NULL, "not enough"},
        {"--listen-tls-cert=/c", NULL, NULL, "needs its key"},
        {"--listen-tls-key=/c", NULL, NULL, "needs its certificate"},
        {"--listen-tls-client-ca=/c", NULL, NULL, "only asked for inside TLS"},
        {"--listen-address=127.0.0.1:7451", NULL, NULL, "same address"},
        {"--limit-connection-burst=5", NULL, NULL, "needs a rate"},
        {"--limit-worker-burst=5", NULL, NULL, "needs a rate"},
        {"--clock-warn-offset-ms=1001", NULL, NULL, "after the stop"},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        const char *const args[] = {cases[i][0], cases[i][1], NULL};
        struct outcome out = load(args, ARGS("HOME=/"));
        assert_int_equal(out.rc, -EINVAL);
        has(&out, cases[i][3]);
        assert_int_equal(lines(&out), 1);
        done(&out);
    }
    /* The same options in combinations that work. */
    struct outcome out = load(
        ARGS("--fleet-coordinator=zks://h:1,i:2/root", "--coordinator-tls-ca=/a",
             "--coordinator-tls-cert=/c", "--coordinator-tls-key=/k", "--coordinator-username=u",
             "--coordinator-password-file=/p", "--listen-tls-cert=/c", "--listen-tls-key=/k",
             "--listen-tls-client-ca=/a", "--limit-worker-ids-per-s=5", "--limit-worker-burst=5",
             "--fleet-worker=3", "--listen-address=127.0.0.1:0", "--admin-address=127.0.0.1:0",
             "--start-timeout", "250"),
        ARGS("HOME=/"));
    assert_int_equal(out.rc, 0);
    assert_int_equal(out.config->start_timeout_ms, 250);
    assert_true(out.config->fleet_worker == 3);
    done(&out);
}

static void kubernetes_variables(void **state)
{
    (void)state;
    const char *const links[] = {"HOME=/",
                                 "SNOWFLEET_SERVICE_HOST=10.0.0.1",
                                 "SNOWFLEET_SERVICE_PORT_DATA=7450",
                                 "SNOWFLEET_PORT=tcp://10.0.0.1:7450",
                                 "SNOWFLEET_PORT_7450_TCP_ADDR=10.0.0.1",
                                 "SNOWFLEET_ADMIN_PORT=tcp://10.0.0.1:7451",
                                 "KUBERNETES_SERVICE_HOST=10.0.0.2",
                                 NULL};
    struct outcome out = load(NULL, links);
    assert_int_equal(out.rc, 0);
    done(&out);
    const char *const outside[] = {"HOME=/", "SNOWFLEET_SERVICE_HOST=10.0.0.1", NULL};
    out = load(NULL, outside);
    assert_int_equal(out.rc, -EINVAL);
    done(&out);
}

static void actions(void **state)
{
    (void)state;
    static const struct {
        const char *args[4];
        enum sf_config_action action;
    } cases[] = {
        {{"--help"}, SF_CONFIG_HELP},
        {{"--version"}, SF_CONFIG_VERSION},
        {{"--version", "--help"}, SF_CONFIG_HELP},
        {{"--check-config", "--version"}, SF_CONFIG_VERSION},
        {{"--nonsense", "--help"}, SF_CONFIG_HELP},
        {{"--check-config"}, SF_CONFIG_CHECK},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        struct outcome out = load(cases[i].args, ARGS("HOME=/"));
        assert_int_equal(out.rc, 0);
        assert_int_equal(out.action, cases[i].action);
        done(&out);
    }
    /* Not a flag, but the value of one. */
    struct outcome out = load(ARGS("--fleet-node", "--help"), ARGS("HOME=/"));
    assert_int_equal(out.rc, 0);
    assert_string_equal(out.config->fleet_node, "--help");
    done(&out);
}

/* What --check-config prints is a file that gives the same configuration. */
static void json_goes_round(void **state)
{
    (void)state;
    struct outcome out =
        load(ARGS("--fleet-worker=7", "--clock-sources=kernel,ntp:[::1]", "--log-format=json",
                  "--listen-tls-cert=/c\"\\", "--listen-tls-key=/k", "--log-level=debug",
                  "--limit-worker-ids-per-s=1000000000000", "--reservation-state-dir=",
                  "--clock-require-sync=true", "--listen-address=127.0.0.1:0"),
             ARGS("HOME=/"));
    assert_int_equal(out.rc, 0);
    struct sf_strbuf first, second;
    sf_strbuf_init(&first, 65536);
    sf_strbuf_init(&second, 65536);
    sf_config_json(out.config, &first);
    done(&out);
    char *file = file_with(first.text);
    out = load(ARGS("--config", file), ARGS("HOME=/nowhere"));
    if (out.rc != 0)
        fail_msg("%s", out.errors.text);
    sf_config_json(out.config, &second);
    assert_string_equal(first.text, second.text);
    assert_non_null(strstr(first.text, "\"sources\": [\"kernel\", \"ntp:[::1]:123\"]"));
    assert_non_null(strstr(first.text, "\"username\": null"));
    assert_non_null(strstr(first.text, "\"worker\": 7"));
    done(&out);
    unlink(file);
    sf_strbuf_free(&first);
    sf_strbuf_free(&second);
}

static void help_names_every_option(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    assert_non_null(memory);
    sf_config_help(memory);
    fclose(memory);
    for (unsigned i = 0; i < sf_option_count; i++) {
        char flag[SF_OPTION_NAME_MAX + 4] = "  --";
        const char *name =
            sf_options[i].flag ? sf_options[i].flag : sf_option_flag(&sf_options[i], flag + 4);
        if (name != flag + 4)
            snprintf(flag + 4, sizeof flag - 4, "%s", name);
        strcat(flag, "\n");
        if (!strstr(text, flag))
            fail_msg("no %s in --help", flag);
        /* Groups lie together, or the JSON would have one twice. */
        size_t group = strcspn(sf_options[i].name, ".");
        for (unsigned j = 0; i > 0 && j + 1 < i; j++)
            assert_false(strncmp(sf_options[j].name, sf_options[i].name, group + 1) == 0 &&
                         strncmp(sf_options[i - 1].name, sf_options[i].name, group + 1) != 0);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(machine_defaults),
        cmocka_unit_test(precedence),
        cmocka_unit_test(number_edges),
        cmocka_unit_test(refused_values),
        cmocka_unit_test(all_errors_at_once),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(usage_errors),
        cmocka_unit_test(combinations),
        cmocka_unit_test(kubernetes_variables),
        cmocka_unit_test(actions),
        cmocka_unit_test(json_goes_round),
        cmocka_unit_test(help_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
