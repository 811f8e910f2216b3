/* coord/zookeeper/options.c - see options.h. */
#include "coord/zookeeper/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/secret.h"
#include "coord/records.h"

#define PASSWORD_MAX 1024

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

static int set_auth(struct sf_zk_options *to, const struct sf_coord_options *options,
                    struct sf_error *err)
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
    if (rc == 0 && asprintf(&to->auth, "%s:%s", options->username, password) < 0)
        SF_ASSERT(!"memory");
    explicit_bzero(password, sizeof password);
    return rc;
}

static int set_tls(struct sf_zk_options *to, const struct sf_coord_options *options,
                   struct sf_error *err)
{
    if (!to->url.tls)
        return 0;
#ifdef SNOWFLEET_ZOOKEEPER_TLS
    if (options->tls_ca == NULL || options->tls_cert == NULL || options->tls_key == NULL)
        return sf_error_set(err, -EINVAL,
                            "zks:// needs coordinator.tls_ca, .tls_cert and .tls_key");
    if (asprintf(&to->tls, "%s,%s,%s,", options->tls_ca, options->tls_cert, options->tls_key) < 0)
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

int sf_zk_options_read(const struct sf_coord_options *options, struct sf_zk_options *ret,
                       struct sf_error *err)
{
    struct sf_zk_options to = {.session_timeout_ms = options->session_timeout_ms};
    int rc = sf_fleet_name_check(options->fleet, err);
    if (rc == 0)
        rc = sf_zk_url_parse(options->url, &to.url, err);
    if (rc == 0 && (to.session_timeout_ms < 100 || to.session_timeout_ms > 3600000))
        rc = sf_error_set(err, -EINVAL, "coordinator.session_timeout_ms %u: 100 to 3600000",
                          to.session_timeout_ms);
    if (rc == 0)
        rc = set_tls(&to, options, err);
    if (rc == 0)
        rc = set_auth(&to, options, err);
    if (rc < 0) {
        sf_zk_options_free(&to);
        return rc;
    }
    snprintf(to.fleet, sizeof to.fleet, "%s", options->fleet);
    snprintf(to.root, sizeof to.root, "%s/snowfleet/%s", to.url.chroot, options->fleet);
    *ret = to;
    return 0;
}

void sf_zk_options_free(struct sf_zk_options *options)
{
    if (options->auth != NULL)
        explicit_bzero(options->auth, strlen(options->auth));
    free(options->auth);
    free(options->tls);
    options->auth = options->tls = NULL;
}
