/* unit/test_daemon_halted.c - a fleet that is halted, from the coordinator's record to what people see: the
 * machine, the member's snapshot, the gauge, /status and INFO. Nothing listens to clients. */
#include "unit/cmocka_all.h"

#include <ftw.h>
#include <jansson.h>
#include <unistd.h>

#include "coord/open.h"
#include "daemon/collect.h"
#include "daemon/info.h"
#include "daemon/server_host.h"
#include "daemon/status.h"

#define DEADLINE_MS INT64_C(60000)

static const struct sf_clock_specs no_sources; /* the wall clock is believed */
static struct sf_daemon daemon_;
static char root[64], url[128];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void load_config(void)
{
    char program[] = "snowfleetd", coordinator[160], listen[] = "--listen-address=127.0.0.1:0";
    snprintf(coordinator, sizeof coordinator, "--fleet-coordinator=%s", url);
    char *const argv[] = {program, coordinator, listen, NULL};
    char *const environment[] = {NULL};
    enum sf_config_action action;
    struct sf_strbuf errors;
    sf_strbuf_init(&errors, 4096);
    assert_int_equal(sf_config_load(3, argv, environment, &daemon_.config, &action, &errors), 0);
    sf_strbuf_free(&errors);
}

/* A member of the fleet, without anybody who mints. */
static void begin_member(void)
{
    struct sf_error err = {0};
    const struct sf_member_options options = {
        .coord = {.url = url, .fleet = daemon_.config->fleet_name, .session_timeout_ms = 10000},
        .clock = {.sources = &no_sources,
                  .poll_ms = 1000,
                  .warn_offset_ms = 100,
                  .max_offset_ms = 1000},
        .pinned_worker = -1,
        .slots = 1,
        .auto_init = true,
        .auto_init_first = true,
        .node = "test",
        .window_ms = 60000,
        .min_window_ms = 10000,
        .max_ahead_ms = 10,
        .stall_ms = 5000,
        .leave_ms = 5000,
    };
    if (sf_member_create(&options, &daemon_.member, &err) != 0)
        fail_msg("%s", err.text);
    daemon_.time = sf_member_time(daemon_.member);
    daemon_.generator_count = sf_member_generators(daemon_.member, daemon_.generators);
    if (sf_member_start(daemon_.member, "127.0.0.1:1", "", &err) != 0)
        fail_msg("%s", err.text);
}

static int set_up(void **state)
{
    (void)state;
    struct sf_error err = {0};
    struct sf_server_options options;
    memset(&daemon_, 0, sizeof daemon_);
    pthread_mutex_init(&daemon_.rate.mutex, NULL);
    pthread_mutex_init(&daemon_.workers.mutex, NULL);
    snprintf(root, sizeof root, "%s/sf-halted-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); /* see test_member.c */
    assert_non_null(mkdtemp(root));
    snprintf(url, sizeof url, "local://%s/c", root);
    load_config();
    daemon_.metrics = sf_metrics_create();
    daemon_.window = sf_window_create();
    sf_metrics_register(daemon_.metrics, sf_collect, &daemon_);
    begin_member();
    sf_server_host_options(&daemon_, daemon_.config, &options);
    if (sf_server_create(&options, &daemon_.server, &err) != 0)
        fail_msg("%s", err.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sf_server_destroy(daemon_.server);
    sf_member_destroy(daemon_.member);
    sf_window_destroy(daemon_.window);
    sf_metrics_destroy(daemon_.metrics);
    sf_config_free(daemon_.config);
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void await(enum sf_worker_state wanted, bool halted)
{
    const int64_t end_ns = sf_mono_ns() + DEADLINE_MS * SF_NS_PER_MS;
    struct sf_member_snapshot seen;
    for (;;) {
        sf_member_snapshot(daemon_.member, &seen);
        if (seen.state == wanted && seen.halted == halted)
            return;
        if (sf_mono_ns() > end_ns)
            fail_msg("%s%s: %s", sf_worker_state_name(seen.state), seen.halted ? ", halted" : "",
                     seen.why);
        sf_sleep_ms(5);
    }
}

/* Somebody else notices that data was lost. */
static void halt_fleet(void)
{
    struct sf_coord_calls *calls = sf_coord_calls_create();
    const struct sf_coord_options options = {.url = url,
                                             .fleet = daemon_.config->fleet_name,
                                             .session_timeout_ms = 10000,
                                             .sink = sf_coord_call_sink,
                                             .sink_ctx = calls,
                                             .ticks = &sf_ticks_system};
    struct sf_coord *coord = NULL;
    struct sf_error err = {0};
    if (sf_coord_open(&options, &coord, &err) != 0)
        fail_msg("%s", err.text);
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG, .deadline_ms = 20000};
    struct sf_coord_event *read = sf_coord_call(coord, calls, &request);
    assert_int_equal(read->completion.outcome, SF_COORD_DONE);
    request.op = SF_COORD_HALT;
    memcpy(request.basis.token, read->completion.config->token, sizeof request.basis.token);
    request.basis.config = read->completion.config->version;
    request.basis.state = read->completion.state->version;
    request.u.report = (struct sf_coord_report){.worker = 7,
                                                .held_until_ms = INT64_C(1700000060000),
                                                .last_ms = INT64_C(1700000000000),
                                                .reported_ms = INT64_C(1700000000000)};
    strcpy(request.u.report.claim, "claim-0123456789abcdef0123456789abcdef-0000000007");
    strcpy(request.u.report.node, "noticer");
    struct sf_coord_event *done = sf_coord_call(coord, calls, &request);
    if (done->completion.outcome != SF_COORD_DONE)
        fail_msg("%s", done->completion.text);
    sf_coord_event_free(read);
    sf_coord_event_free(done);
    sf_coord_destroy(coord);
    sf_coord_calls_destroy(calls);
}

static void assert_metric(const char *line)
{
    struct sf_strbuf page;
    char whole[128];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    sf_strbuf_init(&page, 1 << 20);
    sf_metrics_scrape(daemon_.metrics, false, &page);
    if (strstr(page.text, whole) == NULL)
        fail_msg("no line \"%s\" in:\n%s", line, page.text);
    sf_strbuf_free(&page);
}

/* All that says so agrees. */
static void assert_told(const char *state, bool halted)
{
    char line[96], info[16384];
    struct sf_strbuf text;
    json_t *documents[2];
    sf_strbuf_init(&text, 1 << 20);
    sf_status(&daemon_, &text);
    documents[0] = json_loads(text.text, 0, NULL);
    const size_t size = sf_info_text(&daemon_, info, sizeof info);
    documents[1] = json_loadb(info, size, 0, NULL);
    for (size_t i = 0; i < SF_COUNT(documents); i++) {
        const json_t *flag = json_object_get(documents[i], "halted");
        assert_true(json_is_boolean(flag));
        assert_int_equal(json_is_true(flag), halted);
        assert_string_equal(json_string_value(json_object_get(documents[i], "state")), state);
        json_decref(documents[i]);
    }
    sf_strbuf_free(&text);
    snprintf(line, sizeof line, "snowfleet_fleet_halted %d", halted);
    assert_metric(line);
    snprintf(line, sizeof line, "snowfleet_state{state=\"%s\"} 1", state);
    assert_metric(line);
    for (unsigned s = 0; s < SF_WORKER_STATES; s++)
        if (strcmp(sf_worker_state_name(s), state) != 0) {
            snprintf(line, sizeof line, "snowfleet_state{state=\"%s\"} 0", sf_worker_state_name(s));
            assert_metric(line);
        }
}

static void a_halt_reaches_gauge_and_status(void **state)
{
    (void)state;
    await(SF_WORKER_READY, false);
    assert_told("ready", false);
    halt_fleet();
    await(SF_WORKER_READY, true); /* it spends what was acknowledged */
    assert_told("ready", true);
    /* Who comes now finds nothing granted. */
    sf_member_destroy(daemon_.member);
    begin_member();
    await(SF_WORKER_HALTED, true);
    assert_told("halted", true);
    struct sf_member_snapshot seen;
    sf_member_snapshot(daemon_.member, &seen);
    assert_non_null(strstr(seen.why, "noticer"));
    assert_non_null(strstr(seen.why, "init --after-data-loss"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_halt_reaches_gauge_and_status, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
