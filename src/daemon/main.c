/* snowfleetd: the only place where the rooms are put together. */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/parse.h"
#include "base/ticks.h"
#include "base/unix_address.h"
#include "build_info.h"
#include "daemon/admin_host.h"
#include "daemon/collect.h"
#include "daemon/confine.h"
#include "daemon/daemon.h"
#include "daemon/fitness.h"
#include "daemon/reload.h"
#include "daemon/run.h"
#include "daemon/server_host.h"
#include "member/wish.h"

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
    struct sf_member_wish wish;
    sf_member_wish_fill(d->config, &wish);
    wish.options.log = d->log;
    wish.options.host = (struct sf_member_host){.ctx = d,
                                                .layout_known = layout_known,
                                                .answered = sf_collect_answer,
                                                .turned = sf_collect_counts,
                                                .ending = ending};
    const int rc = sf_member_create(&wish.options, &d->member, err);
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
    int rc = 0;
    if (d->listener < 0)
        rc = sf_server_listen(&d->config->listen_address, false, &d->listener, err);
    if (rc == 0 && d->http_listener < 0 && sf_server_host_http(d->config, &http))
        rc = sf_server_listen(&http, true, &d->http_listener, err);
    const struct sf_unix_wish wish = sf_server_host_unix(d->config);
    if (rc == 0 && d->unix_socket.fd < 0 && wish.path != NULL)
        rc = sf_unix_listen(&wish, &d->unix_socket, err);
    return rc != 0 ? rc : sf_admin_listen(&d->config->admin_address, &d->admin_listener, err);
}

#define TRY_FOR_MS   5000
#define TRY_EVERY_MS 100

/* Again and again, where that can help: a process before this one may still be ending, an address come
 * up late. -ECANCELED: a signal ended it. */
static int await_ports(struct sf_daemon *d, int signal_fd, struct sf_error *err)
{
    const int64_t end_ms = sf_mono_ns() / SF_NS_PER_MS + TRY_FOR_MS;
    bool told = false;
    for (;;) {
        const int rc = open_ports(d, err);
        if (rc == 0 || sf_fitness_exit_code(rc) == SF_EXIT_CONFIG ||
            sf_mono_ns() / SF_NS_PER_MS >= end_ms)
            return rc;
        if (!told)
            sf_log_write(d->log, SF_LOG_WARN, "worker.port", "%s; tried again for %d s", err->text,
                         TRY_FOR_MS / 1000);
        told = true;
        struct pollfd fd = {.fd = signal_fd, .events = POLLIN};
        if (poll(&fd, 1, TRY_EVERY_MS) > 0)
            return sf_error_set(err, -ECANCELED, "a signal ended it before it had its ports");
    }
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
    options.unix_listener = &d->unix_socket;
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
static int set_up(struct sf_daemon *d, int signal_fd, struct sf_error *err)
{
    int rc = await_ports(d, signal_fd, err);
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
    const char *local = d->config->listen_unix_path;
    char http[24] = "";
    if (sf_server_http_port(d->server) != 0)
        (void)snprintf(http, sizeof http, ", HTTP on port %u", sf_server_http_port(d->server));
    sf_log_write(d->log, SF_LOG_INFO, "worker.started",
                 "version " SF_BUILD_VERSION ", data on %s%s%s%s, admin on %s, coordinator %s",
                 d->address, local != NULL ? " and " SF_UNIX_PREFIX : "",
                 local != NULL ? local : "", http, d->admin_address, d->config->fleet_coordinator);
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
    sf_unix_close(&d->unix_socket);
    if (d->admin_listener >= 0)
        (void)close(d->admin_listener);
    sf_inbox_destroy(d->inbox, NULL, NULL);
    sf_history_destroy(d->history);
    sf_window_destroy(d->window);
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
    d->window = sf_window_create();
    d->history = sf_history_create();
    if (d->log == NULL || d->inbox == NULL || d->block == NULL || d->window == NULL ||
        d->history == NULL) {
        (void)fprintf(stderr, "snowfleetd: no memory or descriptors to start with: %s\n",
                      strerrordesc_np(errno));
        return SF_EXIT_SYSTEM;
    }
    sf_reload_init(d);
    int exit_code;
    const int rc = set_up(d, signal_fd, &err);
    if (rc == -ECANCELED) {
        exit_code = SF_EXIT_OK;
        sf_log_write(d->log, SF_LOG_INFO, "worker.unfit", "%s", err.text);
    } else if (rc != 0) {
        exit_code = sf_fitness_exit_code(rc);
        sf_log_write(d->log, SF_LOG_ERROR, "worker.unfit", "%s", err.text);
    } else {
        exit_code = sf_run(d, signal_fd);
    }
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
    d->listener = d->http_listener = d->admin_listener = d->unix_socket.fd = -1;
    const int exit_code = run(d, signal_fd);
    free(d);
    return exit_code;
}

/* What the options name is looked at by one function, before the start and for --check-config alike.
 */
static int judge(const struct sf_config *config, struct sf_strbuf *errors)
{
    const int exit_code = sf_fitness_judge(config, errors);
    if (exit_code != SF_EXIT_OK)
        (void)fprintf(stderr, "snowfleetd: cannot start:\n%s",
                      errors->text != NULL ? errors->text : "no memory\n");
    return exit_code;
}

static int check(struct sf_config *config, struct sf_strbuf *text)
{
    const int exit_code = judge(config, text);
    if (exit_code == SF_EXIT_OK) {
        sf_config_json(config, text);
        printf("%s\n", text->text != NULL ? text->text : "");
    }
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
        exit_code = check(config, &text);
    } else {
        exit_code = judge(config, &text);
        if (exit_code == SF_EXIT_OK) {
            exit_code = run_worker(argc, argv, config);
            config = NULL;
        }
    }
    sf_config_free(config);
    sf_strbuf_free(&text);
    return exit_code;
}
