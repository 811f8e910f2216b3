/* snowfleetd: the only place where the rooms are put together. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "build_info.h"
#include "coord/open.h"
#include "daemon/daemon.h"
#include "daemon/seccomp.h"

extern char **environ;

static void coord_sink(void *ctx, struct sf_coord_event *event)
{
    sf_control_post(ctx, SF_MESSAGE_COORD, event);
}

static void clock_changed(void *ctx, const struct sf_clock_verdict *verdict)
{
    struct sf_daemon *d = ctx;
    sf_log_write(d->log, verdict->may_mint ? SF_LOG_INFO : SF_LOG_WARN, "clock.state", "%s: %s",
                 sf_clock_state_name(verdict->state), verdict->text);
    sf_shared_event(d, verdict->may_mint ? SF_LOG_INFO : SF_LOG_WARN, "clock.state", verdict->text);
    sf_control_post(d, SF_MESSAGE_CLOCK, NULL);
}

void sf_daemon_server_options(struct sf_daemon *d, const struct sf_config *config,
                              struct sf_server_options *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->address = config->listen_address;
    ret->threads = config->listen_threads;
    ret->limits = (struct sf_server_limits){
        .max_connections = sf_daemon_connections(d, config->listen_max_connections),
        .max_batch = config->listen_max_batch,
        .max_waiting = config->limit_max_waiting,
        .max_wait_ms = config->mint_max_wait_ms,
        .sequence_jitter = config->mint_sequence_jitter,
        .idle_timeout_ms = config->listen_idle_timeout_ms,
        .frame_timeout_ms = config->listen_frame_timeout_ms,
        .write_timeout_ms = config->listen_write_timeout_ms,
        .max_connection_age_ms = config->listen_max_connection_age_ms,
        .connection_ids_per_s = config->limit_connection_ids_per_s,
        .connection_burst = config->limit_connection_burst,
        .worker_ids_per_s = config->limit_worker_ids_per_s,
        .worker_burst = config->limit_worker_burst,
    };
    for (unsigned i = 0; i < d->hold_count; i++)
        ret->generators[i] = &d->holds[i].right->gen;
    ret->generator_count = d->hold_count;
    sf_publish_server_host(d, &ret->host);
    ret->metrics = d->metrics;
    ret->log = d->log;
    ret->tls_cert = config->listen_tls_cert;
    ret->tls_key = config->listen_tls_key;
    ret->tls_client_ca = config->listen_tls_client_ca;
    ret->token_file = config->listen_token_file;
}

static int start_clock(struct sf_daemon *d, struct sf_error *err)
{
    const struct sf_clock_options options = {
        .sources = &d->config->clock_sources,
        .poll_ms = d->config->clock_poll_ms,
        .warn_offset_ms = d->config->clock_warn_offset_ms,
        .max_offset_ms = d->config->clock_max_offset_ms,
        .require_sync = d->config->clock_require_sync,
        .log = d->log,
        .notify = clock_changed,
        .notify_ctx = d,
    };
    const int error = sf_clock_create(&options, &d->clock, err);
    return error ? error : sf_clock_start(d->clock, err);
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

static int open_coordinator(struct sf_daemon *d, struct sf_error *err)
{
    const struct sf_config *config = d->config;
    const struct sf_coord_options options = {
        .url = config->fleet_coordinator,
        .fleet = config->fleet_name,
        .session_timeout_ms = config->coordinator_session_timeout_ms,
        .username = config->coordinator_username,
        .password_file = config->coordinator_password_file,
        .tls_ca = config->coordinator_tls_ca,
        .tls_cert = config->coordinator_tls_cert,
        .tls_key = config->coordinator_tls_key,
        .log = d->log,
        .ticks = &sf_ticks_system,
        .sink = coord_sink,
        .sink_ctx = d,
    };
    return sf_coord_open(&options, &d->coord, err);
}

/* A core file would hold the keys and tokens that were loaded. */
static void hide_secrets(const struct sf_config *c)
{
    if (c->listen_tls_key || c->listen_token_file || c->admin_tls_key || c->admin_token_file ||
        c->coordinator_password_file || c->coordinator_tls_key)
        prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
}

/* As many descriptors as the connections need, where we may. */
static void raise_descriptors(const struct sf_config *c)
{
    const rlim_t wanted = (rlim_t)c->listen_max_connections + SF_DAEMON_DESCRIPTORS;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* accepting says so when it gets short of them */
}

/* The last step of the start: from here on every file and socket is one that a worker needs. */
static int confine(struct sf_daemon *d, struct sf_error *err)
{
    if (!d->config->security_seccomp) {
        sf_log_write(d->log, SF_LOG_INFO, "security.filter", "no system call filter, as asked");
        return 0;
    }
    const int error = sf_seccomp_apply(err);
    if (error == -ENOTSUP)
        sf_log_write(d->log, SF_LOG_WARN, "security.filter", "%s: going on without", err->text);
    else if (error == 0)
        sf_log_write(d->log, SF_LOG_INFO, "security.filter",
                     "only the system calls of a worker are allowed now");
    return error == -ENOTSUP ? 0 : error;
}

/* Everything that can fail for the user's sake fails here, before anything is claimed. */
static int set_up(struct sf_daemon *d, struct sf_error *err)
{
    struct sf_server_options server_options;
    hide_secrets(d->config);
    raise_descriptors(d->config);
    int error = start_clock(d, err);
    for (unsigned i = 0; i < d->hold_count && !error; i++)
        error = sf_right_map(&d->holds[i], err);
    if (error)
        return error;
    sf_daemon_server_options(d, d->config, &server_options);
    error = sf_server_create(&server_options, &d->server, err);
    if (error)
        return error;
    advertise(d->config->advertise_address, sf_server_port(d->server), d->address);
    error = open_coordinator(d, err);
    if (error)
        return error;
    struct sf_admin_options admin_options = {.address = d->config->admin_address,
                                             .metrics = d->metrics,
                                             .log = d->log,
                                             .tls_cert = d->config->admin_tls_cert,
                                             .tls_key = d->config->admin_tls_key,
                                             .token_file = d->config->admin_token_file};
    sf_status_admin_host(d, &admin_options.host);
    sf_metrics_register(d->metrics, sf_collect, d);
    d->process_start_s = sf_metrics_process_start_s();
    sf_metrics_register(d->metrics, sf_metrics_process, &d->process_start_s);
    error = sf_server_start(d->server, err);
    if (error)
        return error;
    error = sf_admin_create(&admin_options, &d->admin, err);
    if (error)
        return error;
    advertise(d->config->advertise_admin, sf_admin_port(d->admin), d->admin_address);
    for (unsigned i = 0; i < d->hold_count; i++)
        sf_right_init(d, i);
    error = confine(d, err);
    if (error)
        return error;
    sf_log_write(d->log, SF_LOG_INFO, "worker.started",
                 "version " SF_BUILD_VERSION ", data on %s, admin on %s, coordinator %s",
                 d->address, d->admin_address, d->config->fleet_coordinator);
    return 0;
}

static void drop_message(void *ctx, struct sf_inbox_message *message)
{
    (void)ctx;
    sf_coord_event_free(((struct sf_message *)message)->event);
    free(message);
}

/* In the order that nobody calls into what is gone. */
static void tear_down(struct sf_daemon *d)
{
    sf_admin_destroy(d->admin);
    sf_server_destroy(d->server);
    sf_coord_destroy(d->coord);
    sf_clock_destroy(d->clock);
    for (unsigned i = 0; i < d->hold_count; i++)
        sf_right_destroy(&d->holds[i]);
    sf_inbox_destroy(d->inbox, drop_message, NULL);
    sf_metrics_destroy(d->metrics);
    free(d->shared.slots);
    free(d->shared.claims);
    json_decref(d->shared.workers);
    pthread_mutex_destroy(&d->shared.mutex);
    sf_log_destroy(d->log);
    sf_config_free(d->config);
}

static int run(struct sf_daemon *d, int signal_fd)
{
    struct sf_error err = {0};
    pthread_mutex_init(&d->shared.mutex, NULL);
    atomic_init(&d->epoch_ms, INT64_MIN);
    d->start_mono_ms = sf_control_mono_ms();
    d->start_real_ms = sf_real_ns() / SF_NS_PER_MS;
    atomic_init(&d->heartbeat_mono_ms, d->start_mono_ms);
    d->hold_count = d->config->fleet_slots_per_worker;
    d->log = sf_log_create(STDERR_FILENO, d->config->log_level, d->config->log_format);
    d->inbox = sf_inbox_create();
    d->metrics = sf_metrics_create();
    d->block = d->metrics ? sf_metrics_block(d->metrics) : NULL;
    if (!d->log || !d->inbox || !d->block) {
        fprintf(stderr, "snowfleetd: no memory or descriptors to start with: %s\n",
                strerror(errno));
        return EX_OSERR;
    }
    int exit_code = EX_CONFIG;
    if (set_up(d, &err))
        sf_log_write(d->log, SF_LOG_ERROR, "worker.unfit", "%s", err.text);
    else
        exit_code = sf_control_run(d, signal_fd);
    sf_log_write(d->log, exit_code ? SF_LOG_WARN : SF_LOG_INFO, "worker.stopped", "exit code %d",
                 exit_code);
    tear_down(d);
    return exit_code;
}

/* Signals go to control's descriptor alone: blocked before any thread exists. */
static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    struct sf_config *config = NULL;
    enum sf_config_action action = SF_CONFIG_RUN;
    struct sf_strbuf text;
    sf_strbuf_init(&text, 1 << 20);
    const int error = sf_config_load(argc, argv, environ, &config, &action, &text);
    if (error) {
        fprintf(stderr, "snowfleetd: cannot start:\n%s", text.text ? text.text : "no memory\n");
        fprintf(stderr, "See snowfleetd --help.\n");
        sf_strbuf_free(&text);
        return error == -EDOM ? EX_USAGE : EX_CONFIG;
    }
    int exit_code = 0;
    if (action == SF_CONFIG_HELP) {
        sf_config_help(stdout);
    } else if (action == SF_CONFIG_VERSION) {
        printf("snowfleetd %s (%s)\n", SF_BUILD_VERSION, SF_BUILD_COMMIT);
    } else if (action == SF_CONFIG_CHECK) {
        sf_config_json(config, &text);
        printf("%s\n", text.text ? text.text : "");
    } else {
        const int signal_fd = take_signals();
        struct sf_daemon *d = calloc(1, sizeof *d);
        if (signal_fd < 0 || !d) {
            fprintf(stderr, "snowfleetd: cannot take signals: %s\n", strerror(errno));
            free(d);
            return EX_OSERR;
        }
        *d = (struct sf_daemon){
            .config = config, .argc = argc, .argv = argv, .environment = environ};
        config = NULL;
        exit_code = run(d, signal_fd);
        free(d);
    }
    sf_config_free(config);
    sf_strbuf_free(&text);
    return exit_code;
}
