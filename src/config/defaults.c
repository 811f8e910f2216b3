/* config/defaults.c - defaults, the ones of this machine among them. */
#include "config/defaults.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
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
    return path != NULL && path[0] == '/' ? path : NULL;
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
    else if (runtime != NULL)
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
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

/* An address that others can use: the host's name where we listen on every address. The port may be
 * 0: whoever binds it fills in the real one. */
static void default_advertised(struct sf_config_loader *loader, const char *advertised,
                               const char *listened, const struct sf_host_port *address)
{
    static const char *const any[] = {"", "0.0.0.0", "::"};
    char text[SF_HOST_PORT_TEXT_MAX];
    struct sf_host_port full = *address;
    if (!is_unset_name(loader, advertised) || loader->refused[sf_option_by_name(listened)])
        return;
    for (size_t i = 0; i < sizeof any / sizeof *any; i++)
        if (strcmp(address->host, any[i]) == 0)
            snprintf(full.host, sizeof full.host, "%s", host_name(text));
    set_default(loader, advertised, sf_format_host_port(&full, text));
}

void sf_config_fill_defaults(struct sf_config_loader *loader)
{
    struct sf_config *config = loader->config;
    char text[160];
    for (unsigned i = 0; i < sf_option_count; i++)
        if (sf_options[i].fallback != NULL && is_unset(loader, (int)i))
            sf_config_take(loader, (int)i, SF_FROM_DEFAULT, sf_options[i].fallback);
    if (is_unset_name(loader, "fleet.coordinator"))
        default_coordinator(loader);
    if (is_unset_name(loader, "fleet.auto_init"))
        config->fleet_auto_init =
            config->fleet_coordinator != NULL && is_local(config->fleet_coordinator);
    if (is_unset_name(loader, "fleet.auto_init_first"))
        config->fleet_auto_init_first =
            config->fleet_coordinator != NULL && is_local(config->fleet_coordinator);
    if (is_unset_name(loader, "fleet.node"))
        set_default(loader, "fleet.node", host_name(text));
    if (is_unset_name(loader, "reservation.state_dir"))
        default_state_dir(loader);
    if (is_unset_name(loader, "reservation.min_window_ms")) {
        const bool shorter = config->reservation_window_ms < MIN_WINDOW_DEFAULT_MS &&
                             !loader->refused[sf_option_by_name("reservation.window_ms")];
        config->reservation_min_window_ms =
            shorter ? config->reservation_window_ms : MIN_WINDOW_DEFAULT_MS;
    }
    if (is_unset_name(loader, "listen.threads"))
        config->listen_threads = cpus() < THREADS_MOST ? cpus() : THREADS_MOST;
    default_advertised(loader, "advertise.address", "listen.address", &config->listen_address);
    default_advertised(loader, "advertise.admin", "admin.address", &config->admin_address);
}
