/* Defaults, the ones of this machine among them, and the combinations of values that cannot work.
 */
#include "config/options.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/coordinator.h"

#define THREADS_MOST          4
#define MIN_WINDOW_DEFAULT_MS 30000
#define PATH_TEXT_MAX         4096

/* Was this option neither given nor refused? */
static bool is_unset(const struct sf_config_loader *loader, int option)
{
    return loader->source[option] == SF_FROM_DEFAULT && !loader->refused[option];
}

static bool is_unset_name(const struct sf_config_loader *loader, const char *name)
{
    return is_unset(loader, sf_option_by_name(name));
}

static void set_default(struct sf_config_loader *loader, const char *name, const char *text)
{
    sf_config_take(loader, sf_option_by_name(name), SF_FROM_DEFAULT, text);
}

/* The value of an environment variable that holds an absolute path (the XDG rules ignore others),
 * or NULL. */
static const char *absolute_path(const struct sf_config_loader *loader, const char *variable)
{
    const char *path = sf_config_variable(loader->environment, variable);
    return path && path[0] == '/' ? path : NULL;
}

static bool is_local(const char *url)
{
    const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(url, NULL);
    return scheme != NULL && scheme->kind == SF_COORDINATOR_LOCAL;
}

static void default_coordinator(struct sf_config_loader *loader)
{
    char url[SF_COORDINATOR_URL_MAX + 1];
    const int rc = sf_coordinator_default(geteuid() == 0,
                                          sf_config_variable(loader->environment, "XDG_STATE_HOME"),
                                          sf_config_variable(loader->environment, "HOME"), url);
    if (rc == 0) {
        set_default(loader, "fleet.coordinator", url);
        return;
    }
    sf_config_complain(loader,
                       "fleet.coordinator must be given: its default lies below "
                       "$XDG_STATE_HOME or $HOME, and %s",
                       rc == -ENOENT ? "neither is an absolute path" : "that path is too long");
    loader->refused[sf_option_by_name("fleet.coordinator")] = true;
}

static void default_state_dir(struct sf_config_loader *loader)
{
    char path[PATH_TEXT_MAX] = "";
    const char *runtime = absolute_path(loader, "XDG_RUNTIME_DIR");
    if (geteuid() == 0)
        snprintf(path, sizeof path, "/run/snowfleet");
    else if (runtime)
        snprintf(path, sizeof path, "%s/snowfleet", runtime);
    set_default(loader, "reservation.state_dir", path);
}

static const char *host_name(char buffer[128])
{
    /* Names longer than the buffer are cut; gethostname need not end them. */
    if (gethostname(buffer, 127) != 0 || buffer[0] == '\0')
        snprintf(buffer, 128, "localhost");
    buffer[127] = '\0';
    return buffer;
}

static unsigned cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

/* An address that others can use: the host's name where we listen on every address. The port may be
 * 0: whoever binds it fills in the real one. */
static int default_advertised(const char *text, const struct sf_host_port *address, char **to)
{
    char full[SF_HOST_MAX + 16], host[128];
    const char *any[] = {"", "0.0.0.0", "::"};
    bool is_any = false;
    for (size_t i = 0; i < sizeof any / sizeof *any; i++)
        is_any = is_any || strcmp(address->host, any[i]) == 0;
    if (is_any)
        snprintf(full, sizeof full, "%s:%u", host_name(host), (unsigned)address->port);
    else
        snprintf(full, sizeof full, "%s", text);
    free(*to);
    *to = strdup(full);
    return *to ? 0 : -1;
}

void sf_config_fill_defaults(struct sf_config_loader *loader)
{
    struct sf_config *config = loader->config;
    char text[160];
    for (unsigned i = 0; i < sf_option_count; i++)
        if (sf_options[i].fallback && is_unset(loader, (int)i))
            sf_config_take(loader, (int)i, SF_FROM_DEFAULT, sf_options[i].fallback);
    if (is_unset_name(loader, "fleet.coordinator"))
        default_coordinator(loader);
    if (is_unset_name(loader, "fleet.auto_init"))
        config->fleet_auto_init =
            config->fleet_coordinator != NULL && is_local(config->fleet_coordinator);
    if (is_unset_name(loader, "fleet.node"))
        set_default(loader, "fleet.node", host_name(text));
    if (is_unset_name(loader, "reservation.state_dir"))
        default_state_dir(loader);
    if (is_unset_name(loader, "reservation.min_window_ms")) {
        bool shorter = config->reservation_window_ms < MIN_WINDOW_DEFAULT_MS &&
                       !loader->refused[sf_option_by_name("reservation.window_ms")];
        config->reservation_min_window_ms =
            shorter ? config->reservation_window_ms : MIN_WINDOW_DEFAULT_MS;
    }
    if (is_unset_name(loader, "listen.threads"))
        config->listen_threads = cpus() < THREADS_MOST ? cpus() : THREADS_MOST;
    int failed = 0;
    if (is_unset_name(loader, "advertise.address") && config->listen_address_text)
        failed |= default_advertised(config->listen_address_text, &config->listen_address,
                                     &config->advertise_address);
    if (is_unset_name(loader, "advertise.admin") && config->admin_address_text)
        failed |= default_advertised(config->admin_address_text, &config->admin_address,
                                     &config->advertise_admin);
    if (failed)
        sf_config_complain(loader, "config: out of memory");
}

/* Complains about a combination, unless one of its values was refused anyway. */
static void forbid(struct sf_config_loader *loader, bool holds, const char *first,
                   const char *second, const char *why)
{
    if (holds && !loader->refused[sf_option_by_name(first)] &&
        !loader->refused[sf_option_by_name(second)])
        sf_config_complain(loader, "%s and %s do not fit: %s", first, second, why);
}

static void check_coordinator(struct sf_config_loader *loader)
{
    const struct sf_config *c = loader->config;
    const struct sf_coordinator_scheme *scheme =
        sf_coordinator_scheme(c->fleet_coordinator != NULL ? c->fleet_coordinator : "", NULL);
    const bool local = scheme != NULL && scheme->kind == SF_COORDINATOR_LOCAL;
    const bool tls = scheme != NULL && scheme->tls;
    forbid(loader, c->coordinator_tls_cert && !c->coordinator_tls_key, "coordinator.tls_cert",
           "coordinator.tls_key", "a certificate needs its key");
    forbid(loader, c->coordinator_tls_key && !c->coordinator_tls_cert, "coordinator.tls_cert",
           "coordinator.tls_key", "a key needs its certificate");
    forbid(loader, c->coordinator_tls_ca && !tls, "fleet.coordinator", "coordinator.tls_ca",
           "TLS needs a URL that begins with zks:// or etcds://");
    forbid(loader, c->coordinator_tls_cert && !tls, "fleet.coordinator", "coordinator.tls_cert",
           "TLS needs a URL that begins with zks:// or etcds://");
    forbid(loader, c->coordinator_username && !c->coordinator_password_file, "coordinator.username",
           "coordinator.password_file", "a user needs a password");
    forbid(loader, c->coordinator_password_file && !c->coordinator_username, "coordinator.username",
           "coordinator.password_file", "a password needs its user");
    forbid(loader, c->coordinator_username && local, "fleet.coordinator", "coordinator.username",
           "a local coordinator knows no users");
}

static bool same_address(const struct sf_host_port *a, const struct sf_host_port *b)
{
    return a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0;
}

void sf_config_check_combinations(struct sf_config_loader *loader)
{
    const struct sf_config *c = loader->config;
    check_coordinator(loader);
    forbid(loader, c->reservation_min_window_ms > c->reservation_window_ms,
           "reservation.min_window_ms", "reservation.window_ms",
           "the smaller window must not be the larger one");
    forbid(loader, (int64_t)c->mint_max_ahead_ms >= c->reservation_min_window_ms,
           "mint.max_ahead_ms", "reservation.min_window_ms",
           "IDs must not run ahead further than a reservation reaches");
    forbid(loader, c->fleet_worker >= 0 && c->fleet_slots_per_worker > 1, "fleet.worker",
           "fleet.slots_per_worker", "one slot number is not enough for several slots");
    forbid(loader, c->listen_tls_cert && !c->listen_tls_key, "listen.tls_cert", "listen.tls_key",
           "a certificate needs its key");
    forbid(loader, c->listen_tls_key && !c->listen_tls_cert, "listen.tls_cert", "listen.tls_key",
           "a key needs its certificate");
    forbid(loader, c->listen_tls_client_ca && !c->listen_tls_cert, "listen.tls_client_ca",
           "listen.tls_cert", "client certificates are only asked for inside TLS");
    forbid(loader, c->admin_tls_cert && !c->admin_tls_key, "admin.tls_cert", "admin.tls_key",
           "a certificate needs its key");
    forbid(loader, c->admin_tls_key && !c->admin_tls_cert, "admin.tls_cert", "admin.tls_key",
           "a key needs its certificate");
    forbid(loader, same_address(&c->listen_address, &c->admin_address), "listen.address",
           "admin.address", "they are the same address");
    forbid(loader, c->limit_connection_burst > 0 && c->limit_connection_ids_per_s == 0,
           "limit.connection_burst", "limit.connection_ids_per_s", "a burst needs a rate");
    forbid(loader, c->limit_worker_burst > 0 && c->limit_worker_ids_per_s == 0,
           "limit.worker_burst", "limit.worker_ids_per_s", "a burst needs a rate");
    forbid(loader, c->clock_warn_offset_ms > c->clock_max_offset_ms, "clock.warn_offset_ms",
           "clock.max_offset_ms", "the warning would come after the stop");
}
