/* coord/zookeeper_open.c - from options to a handle. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/secret.h"
#include "coord/backends.h"
#include "coord/records.h"
#include "coord/zookeeper_internal.h"

#define PASSWORD_MAX 1024

static const struct sf_coord_ops zookeeper_ops = {
    .name = "zookeeper", .submit = sf_zk_submit, .destroy = sf_zk_destroy};

static int read_password(const char *path, char to[PASSWORD_MAX], struct sf_error *err)
{
    char why[96];
    int fd;
    int rc = sf_secret_open(path, "password file", &fd, err);
    if (rc < 0)
        return rc;
    ssize_t size = read(fd, to, PASSWORD_MAX);
    if (size < 0)
        rc = sf_error_set(err, -errno, "password file \"%s\": %s", path,
                          sf_errno_text(errno, why, sizeof why));
    close(fd);
    if (rc < 0)
        return rc;
    while (size > 0 && (to[size - 1] == '\n' || to[size - 1] == '\r'))
        size--;
    if (size == 0 || size == PASSWORD_MAX || memchr(to, '\0', (size_t)size) != NULL)
        return sf_error_set(err, -EINVAL,
                            "password file \"%s\": must hold one line of 1 to %d bytes", path,
                            PASSWORD_MAX - 1);
    to[size] = '\0';
    return 0;
}

static int set_auth(struct sf_zk *z, const struct sf_coord_options *options, struct sf_error *err)
{
    if (options->username == NULL && options->password_file == NULL)
        return 0;
    if (options->username == NULL || options->username[0] == '\0' ||
        options->password_file == NULL || strchr(options->username, ':') != NULL)
        return sf_error_set(err, -EINVAL,
                            "ZooKeeper digest login needs coordinator.username (without a colon) "
                            "and coordinator.password_file, both or none");
    char password[PASSWORD_MAX];
    int rc = read_password(options->password_file, password, err);
    if (rc == 0 && asprintf(&z->auth, "%s:%s", options->username, password) < 0)
        SF_ASSERT(!"memory");
    explicit_bzero(password, sizeof password);
    return rc;
}

static int set_tls(struct sf_zk *z, const struct sf_coord_options *options, struct sf_error *err)
{
    if (!z->url.tls)
        return 0;
#ifdef SNOWFLEET_ZOOKEEPER_TLS
    if (options->tls_ca == NULL || options->tls_cert == NULL || options->tls_key == NULL)
        return sf_error_set(err, -EINVAL,
                            "zks:// needs coordinator.tls_ca, .tls_cert and .tls_key");
    if (asprintf(&z->tls, "%s,%s,%s,", options->tls_ca, options->tls_cert, options->tls_key) < 0)
        SF_ASSERT(!"memory");
    return 0;
#else
    return sf_error_set(err, -ENOTSUP,
                        "coordinator \"%s\": the ZooKeeper library of this build has no TLS. Run a "
                        "local tunnel (stunnel, socat) for each server and give zk:// with the "
                        "tunnels' addresses: docs/coordinators.md, \"TLS by tunnel\"",
                        options->url);
#endif
}

static int start_thread(struct sf_zk *z, struct sf_error *err)
{
    sigset_t all, before; /* the library's threads inherit the mask: signals are for others */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&z->thread, NULL, sf_zk_thread, z);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return sf_error_set(err, -rc, "cannot start the coordinator's thread");
    return 0;
}

int sf_coord_zookeeper_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                            struct sf_error *err)
{
    struct sf_zk *z = calloc(1, sizeof *z);
    SF_ASSERT(z != NULL);
    z->coord.ops = &zookeeper_ops;
    z->pid = getpid();
    z->session_timeout_ms = options->session_timeout_ms;
    z->log = options->log;
    z->ticks = options->ticks != NULL ? *options->ticks : sf_ticks_system;
    z->sink = options->sink;
    z->sink_ctx = options->sink_ctx;
    z->prng.state = sf_random_u64(); /* jitter of reconnection only */
    z->backoff_ms = SF_ZK_BACKOFF_MIN_MS;
    z->stop.kind = SF_ZK_STOP;
    int rc = sf_fleet_name_check(options->fleet, err);
    if (rc == 0)
        rc = sf_zk_url_parse(options->url, &z->url, err);
    if (rc == 0 && (z->session_timeout_ms < 100 || z->session_timeout_ms > 3600000))
        rc = sf_error_set(err, -EINVAL, "coordinator.session_timeout_ms %u: 100 to 3600000",
                          z->session_timeout_ms);
    if (rc == 0)
        rc = set_tls(z, options, err);
    if (rc == 0)
        rc = set_auth(z, options, err);
    if (rc == 0) {
        snprintf(z->fleet, sizeof z->fleet, "%s", options->fleet);
        snprintf(z->root, sizeof z->root, "%s/snowfleet/%s", z->url.chroot, options->fleet);
        z->inbox = sf_inbox_create();
        if (z->inbox == NULL)
            rc = sf_error_set(err, -errno, "no descriptor for the coordinator's inbox");
    }
    if (rc == 0) {
        sf_zk_log_attach(z->log);
        z->next_link_ns = sf_zk_now_ns(z);
        rc = start_thread(z, err);
    }
    if (rc < 0) {
        sf_zk_log_detach(z->log);
        sf_zk_free(z);
        return rc;
    }
    *ret_coord = &z->coord;
    return 0;
}
