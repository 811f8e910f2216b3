/* snowfleetd: the only place where the rooms are put together. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/parse.h"
#include "base/ticks.h"
#include "build_info.h"
#include "daemon/admin_host.h"
#include "daemon/collect.h"
#include "daemon/confine.h"
#include "daemon/daemon.h"
#include "daemon/reload.h"
#include "daemon/run.h"
#include "daemon/server_host.h"

extern char **environ;

static void layout_known(void *ctx)
{
    struct sf_daemon *d = ctx;
    sf_server_layout_known(d->server);
}

static void ending(void *ctx)
{
    struct sf_daemon *d = ctx;
    sf_inbox_wake(d->inbox);
}

static int create_member(struct sf_daemon *d, struct sf_error *err)
{
    const struct sf_config *c = d->config;
    char listens[SF_HOST_PORT_TEXT_MAX];
    int64_t epoch_ms = 0;
    struct sf_layout layout = {0};
    const bool has_epoch =
        c->fleet_expect_epoch_ms != NULL &&
        sf_parse_i64(c->fleet_expect_epoch_ms, INT64_MIN, INT64_MAX, &epoch_ms) == 0;
    const bool has_layout =
        c->fleet_expect_layout != NULL && sf_layout_parse(c->fleet_expect_layout, &layout) == 0;
    const struct sf_member_options options = {
        .coord = {.url = c->fleet_coordinator,
                  .fleet = c->fleet_name,
                  .session_timeout_ms = c->coordinator_session_timeout_ms,
                  .username = c->coordinator_username,
                  .password_file = c->coordinator_password_file,
                  .tls_ca = c->coordinator_tls_ca,
                  .tls_cert = c->coordinator_tls_cert,
                  .tls_key = c->coordinator_tls_key},
        .clock = {.sources = &c->clock_sources,
                  .poll_ms = c->clock_poll_ms,
                  .warn_offset_ms = c->clock_warn_offset_ms,
                  .max_offset_ms = c->clock_max_offset_ms,
                  .require_sync = c->clock_require_sync},
        .datacenter = c->fleet_datacenter,
        .pinned_worker = c->fleet_worker,
        .slots = c->fleet_slots_per_worker,
        .expect_id = c->fleet_expect_id,
        .expect_epoch_ms = has_epoch ? &epoch_ms : NULL,
        .expect_layout = has_layout ? &layout : NULL,
        .auto_init = c->fleet_auto_init,
        .node = c->fleet_node,
        .window_ms = c->reservation_window_ms,
        .min_window_ms = c->reservation_min_window_ms,
        .max_silence_ms = c->mint_max_silence_ms,
        .max_ahead_ms = c->mint_max_ahead_ms,
        .state_dir = c->reservation_state_dir,
        .state_name = sf_format_host_port(&c->listen_address, listens),
        .stall_ms = SF_DAEMON_STALL_MS,
        .leave_ms = c->drain_timeout_ms > 0 ? c->drain_timeout_ms : 1,
        .log = d->log,
        .host = {.ctx = d,
                 .layout_known = layout_known,
                 .answered = sf_collect_answer,
                 .turned = sf_collect_counts,
                 .ending = ending},
    };
    const int rc = sf_member_create(&options, &d->member, err);
    if (rc != 0)
        return rc;
    d->time = sf_member_time(d->member);
    d->generator_count = sf_member_generators(d->member, d->generators);
    return 0;
}

/* What others are told: the option, with the port that was really bound where the option left it to
 * the kernel. */
static void advertise(const char *text, uint16_t port, char to[SF_COORD_ADDRESS_MAX])
{
    _Static_assert(SF_COORD_ADDRESS_MAX >= SF_HOST_PORT_TEXT_MAX, "an address fits its field");
    struct sf_host_port address;
    if (sf_parse_host_port(text, -1, true, &address) == 0 && address.port == 0) {
        address.port = port;
        sf_format_host_port(&address, to);
    } else {
        snprintf(to, SF_COORD_ADDRESS_MAX, "%s", text);
    }
}

/* Before anything else: ports under 1024 may need a capability, and threads begin with those of the
 * thread that starts them. */
static int open_ports(struct sf_daemon *d, struct sf_error *err)
{
    struct sf_host_port http;
    int rc = sf_server_listen(&d->config->listen_address, false, &d->listener, err);
    if (rc == 0 && sf_server_host_http(d->config, &http))
        rc = sf_server_listen(&http, true, &d->http_listener, err);
    return rc != 0 ? rc : sf_admin_listen(&d->config->admin_address, &d->admin_listener, err);
}

static int start_server(struct sf_daemon *d, struct sf_error *err)
{
    struct sf_server_options options;
    struct sf_strbuf names;
    sf_server_host_options(d, d->config, &options);
    sf_server_host_names(d->config, &names);
    options.hosts = names.text;
    options.listener = &d->listener;
    options.http_listener = &d->http_listener;
    const int rc = sf_server_create(&options, &d->server, err);
    sf_strbuf_free(&names);
    if (rc != 0)
        return rc;
    advertise(d->config->advertise_address, sf_server_port(d->server), d->address);
    return sf_server_start(d->server, err);
}

static int start_admin(struct sf_daemon *d, struct sf_error *err)
{
    struct sf_strbuf names;
    struct sf_admin_options options = {.address = d->config->admin_address,
                                       .listener = &d->admin_listener,
                                       .metrics = d->metrics,
                                       .log = d->log,
                                       .tls_cert = d->config->admin_tls_cert,
                                       .tls_key = d->config->admin_tls_key,
                                       .token_file = d->config->admin_token_file};
    sf_admin_host_fill(d, &options.host);
    sf_server_host_names(d->config, &names);
    options.hosts = names.text;
    sf_metrics_register(d->metrics, sf_collect, d);
    d->process_start_s = sf_metrics_process_start_s();
    sf_metrics_register(d->metrics, sf_metrics_process, &d->process_start_s);
    const int rc = sf_admin_create(&options, &d->admin, err);
    sf_strbuf_free(&names);
    if (rc != 0)
        return rc;
    advertise(d->config->advertise_admin, sf_admin_port(d->admin), d->admin_address);
    return 0;
}

/* Everything that can fail for the user's sake fails here, before anything is claimed. */
static int set_up(struct sf_daemon *d, struct sf_error *err)
{
    int rc = open_ports(d, err);
    if (rc == 0)
        rc = sf_confine_early(d->config, d->log, err);
    if (rc == 0)
        rc = create_member(d, err);
    if (rc == 0)
        rc = start_server(d, err);
    if (rc == 0)
        rc = start_admin(d, err);
    if (rc == 0)
        rc = sf_confine_late(d->config, d->log, err);
    if (rc != 0)
        return rc;
    char http[24] = "";
    if (sf_server_http_port(d->server) != 0)
        (void)snprintf(http, sizeof http, ", HTTP on port %u", sf_server_http_port(d->server));
    sf_log_write(d->log, SF_LOG_INFO, "worker.started",
                 "version " SF_BUILD_VERSION ", data on %s%s, admin on %s, coordinator %s",
                 d->address, http, d->admin_address, d->config->fleet_coordinator);
    return sf_member_start(d->member, d->address, d->admin_address, err);
}

/* In the order that nobody calls into what is gone: the member tells the server, the server mints
 * from the member's generators. */
static void tear_down(struct sf_daemon *d)
{
    sf_admin_destroy(d->admin);
    if (d->member != NULL)
        sf_member_stop(d->member);
    sf_server_destroy(d->server);
    sf_member_destroy(d->member);
    if (d->listener >= 0)
        (void)close(d->listener);
    if (d->http_listener >= 0)
        (void)close(d->http_listener);
    if (d->admin_listener >= 0)
        (void)close(d->admin_listener);
    sf_inbox_destroy(d->inbox, NULL, NULL);
    sf_metrics_destroy(d->metrics);
    json_decref(d->workers.json);
    pthread_mutex_destroy(&d->workers.mutex);
    pthread_mutex_destroy(&d->rate.mutex);
    sf_reload_destroy(d);
    sf_log_destroy(d->log);
    sf_config_free(d->config);
}

static int run(struct sf_daemon *d, int signal_fd)
{
    struct sf_error err = {0};
    pthread_mutex_init(&d->rate.mutex, NULL);
    pthread_mutex_init(&d->workers.mutex, NULL);
    d->start_mono_ms = sf_mono_ns() / SF_NS_PER_MS;
    atomic_init(&d->turned_mono_ms, d->start_mono_ms);
    atomic_init(&d->phase, SF_PHASE_RUNNING);
    d->log = sf_log_create(STDERR_FILENO, d->config->log_level, d->config->log_format);
    d->inbox = sf_inbox_create();
    d->metrics = sf_metrics_create();
    d->block = d->metrics != NULL ? sf_metrics_block(d->metrics) : NULL;
    if (d->log == NULL || d->inbox == NULL || d->block == NULL) {
        (void)fprintf(stderr, "snowfleetd: no memory or descriptors to start with: %s\n",
                      strerrordesc_np(errno));
        return SF_EXIT_SYSTEM;
    }
    sf_reload_init(d);
    int exit_code = SF_EXIT_CONFIG;
    if (set_up(d, &err) != 0)
        sf_log_write(d->log, SF_LOG_ERROR, "worker.unfit", "%s", err.text);
    else
        exit_code = sf_run(d, signal_fd);
    sf_log_write(d->log, exit_code != SF_EXIT_OK ? SF_LOG_WARN : SF_LOG_INFO, "worker.stopped",
                 "exit code %d", exit_code);
    tear_down(d);
    return exit_code;
}

/* Takes the config over. */
static int run_worker(int argc, char **argv, struct sf_config *config)
{
    const int signal_fd = sf_run_take_signals();
    struct sf_daemon *d = calloc(1, sizeof *d);
    if (signal_fd < 0 || d == NULL) {
        (void)fprintf(stderr, "snowfleetd: cannot take signals: %s\n", strerrordesc_np(errno));
        sf_config_free(config);
        free(d);
        return SF_EXIT_SYSTEM;
    }
    d->config = config;
    d->argc = argc;
    d->argv = argv;
    d->environment = environ;
    d->listener = d->http_listener = d->admin_listener = -1;
    const int exit_code = run(d, signal_fd);
    free(d);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct sf_config *config = NULL;
    enum sf_config_action action = SF_CONFIG_RUN;
    struct sf_strbuf text;
    int exit_code = SF_EXIT_OK;
    sf_strbuf_init(&text, 1 << 20);
    const int rc = sf_config_load(argc, argv, environ, &config, &action, &text);
    if (rc != 0) {
        (void)fprintf(stderr, "snowfleetd: cannot start:\n%s",
                      text.text != NULL ? text.text : "no memory\n");
        (void)fprintf(stderr, "See snowfleetd --help.\n");
        exit_code = rc == -EDOM ? SF_EXIT_USAGE : SF_EXIT_CONFIG;
    } else if (action == SF_CONFIG_HELP) {
        sf_config_help(stdout);
    } else if (action == SF_CONFIG_VERSION) {
        printf("snowfleetd %s (%s)\n", SF_BUILD_VERSION, SF_BUILD_COMMIT);
    } else if (action == SF_CONFIG_CHECK) {
        sf_config_json(config, &text);
        printf("%s\n", text.text != NULL ? text.text : "");
    } else {
        exit_code = run_worker(argc, argv, config);
        config = NULL;
    }
    sf_config_free(config);
    sf_strbuf_free(&text);
    return exit_code;
}
