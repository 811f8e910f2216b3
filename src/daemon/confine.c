/* What the process gives up. */
#include "daemon/confine.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/coordinator.h"
#include "base/unix_address.h"
#include "daemon/capabilities.h"
#include "daemon/landlock.h"
#include "daemon/seccomp.h"

#define RULES_MAX (3 + SF_CLOCK_SOURCES_MAX)

/* A core file would hold the keys and tokens that were loaded. */
static void hide_secrets(const struct sf_config *c)
{
    if (c->listen_tls_key != NULL || c->listen_token_file != NULL || c->admin_tls_key != NULL ||
        c->admin_token_file != NULL || c->coordinator_password_file != NULL ||
        c->coordinator_tls_key != NULL)
        prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
}

static int drop_capabilities(struct sf_log *log, struct sf_error *err)
{
    bool had = false;
    const int rc = sf_capabilities_drop(&had, err);
    if (rc == 0 && geteuid() == 0)
        sf_log_write(
            log, SF_LOG_WARN, "security.root",
            "running as root, without any capability from here on: files that root does not "
            "own may be out of reach. Run it as a user of its own");
    else if (rc == 0 && had)
        sf_log_write(log, SF_LOG_INFO, "security.capabilities",
                     "every capability was given up: none is needed now");
    return rc;
}

/* What a local coordinator's directory lies in: who wipes a fleet removes that directory, and a living
 * worker must be able to write to the one that is made in its place. A directory of the root is
 * taken itself: below the root lies everything. */
static void outside(const char *directory, char ret[SF_COORDINATOR_DIR_MAX + 1])
{
    (void)snprintf(ret, SF_COORDINATOR_DIR_MAX + 1, "%s", directory);
    size_t size = strlen(ret);
    while (size > 1 && ret[size - 1] == '/')
        ret[--size] = '\0';
    char *slash = strrchr(ret, '/');
    if (slash != NULL && slash != ret)
        *slash = '\0';
}

static int confine_files(const struct sf_config *c, struct sf_error *err)
{
    struct sf_landlock_rule rules[RULES_MAX];
    char folders[SF_CLOCK_SOURCES_MAX][SF_CLOCK_PATH_MAX];
    char outer[SF_COORDINATOR_DIR_MAX + 1], local_folder[sizeof(struct sockaddr_un)];
    size_t count = 0;
    const char *at = NULL;
    const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(c->fleet_coordinator, &at);
    if (scheme != NULL && scheme->kind == SF_COORDINATOR_LOCAL) {
        outside(at, outer);
        rules[count++] = (struct sf_landlock_rule){outer, SF_LANDLOCK_WRITE};
    }
    if (c->reservation_state_dir[0] != '\0') {
        (void)mkdir(c->reservation_state_dir, 0700);
        rules[count++] = (struct sf_landlock_rule){c->reservation_state_dir, SF_LANDLOCK_WRITE};
    }
    /* The file of our UNIX socket is removed at the end. */
    const char *local = c->listen_unix_path;
    if (local != NULL && local[0] == '/') {
        snprintf(local_folder, sizeof local_folder, "%.*s", (int)(strrchr(local, '/') - local),
                 local);
        rules[count++] = (struct sf_landlock_rule){local_folder, SF_LANDLOCK_SOCKET};
    }
    /* chronyd answers to a socket of ours beside its own. */
    for (size_t i = 0; i < c->clock_sources.count; i++) {
        const char *path = c->clock_sources.list[i].path;
        const char *slash = strrchr(path, '/');
        if (slash == NULL)
            continue;
        snprintf(folders[i], sizeof folders[i], "%.*s", slash == path ? 1 : (int)(slash - path),
                 path);
        rules[count++] = (struct sf_landlock_rule){folders[i], SF_LANDLOCK_SOCKET};
    }
    return sf_landlock_apply(rules, count, err);
}

int sf_confine_early(const struct sf_config *config, struct sf_log *log, struct sf_error *err)
{
    hide_secrets(config);
    int rc = drop_capabilities(log, err);
    if (rc != 0 || !config->security_seccomp)
        return rc;
    rc = confine_files(config, err);
    if (rc == 0)
        sf_log_write(log, SF_LOG_INFO, "security.files",
                     "files can be changed in the directories of this worker only");
    else
        sf_log_write(log, SF_LOG_WARN, "security.files", "%s: going on without", err->text);
    return 0;
}

/* Libraries that are loaded at their first use: no code is mapped any more once the filter is set.
 * The modules of the name service that nsswitch.conf names for hosts, and what ends a thread. */
static void load_late_libraries(void)
{
    (void)dlopen("libgcc_s.so.1", RTLD_NOW);
    FILE *file = fopen("/etc/nsswitch.conf", "re");
    char line[512], name[128];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *rest = line, *word = strsep(&rest, " \t\n");
        if (strcmp(word, "hosts:") != 0)
            continue;
        while ((word = strsep(&rest, " \t\n")) != NULL) {
            if (word[0] == '\0' || word[0] == '[' || strchr(word, '/') != NULL)
                continue;
            snprintf(name, sizeof name, "libnss_%.100s.so.2", word);
            (void)dlopen(name, RTLD_NOW); /* those that are not there are not asked later either */
        }
    }
    if (file != NULL)
        (void)fclose(file);
}

int sf_confine_late(const struct sf_config *config, struct sf_log *log, struct sf_error *err)
{
    if (config->security_allow_injection)
        sf_log_write(log, SF_LOG_WARN, "security.injection",
                     "security.allow_injection is on: who may trace this process can put code into "
                     "it. For chaos tests; never where IDs matter");
    if (!config->security_seccomp) {
        sf_log_write(log, SF_LOG_INFO, "security.filter", "no system call filter, as asked");
        return 0;
    }
    load_late_libraries();
    const int rc = sf_seccomp_apply(config->security_allow_injection, err);
    if (rc == -ENOTSUP)
        sf_log_write(log, SF_LOG_WARN, "security.filter", "%s: going on without", err->text);
    else if (rc == 0)
        sf_log_write(log, SF_LOG_INFO, "security.filter",
                     "only the system calls of a worker are allowed now");
    return rc == -ENOTSUP ? 0 : rc;
}
