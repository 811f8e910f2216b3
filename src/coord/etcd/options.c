/* coord/etcd/options.c - see options.h. */
#include "coord/etcd/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "base/parse.h"
#include "base/secret.h"

#define DEFAULT_PORT 2379

static char *copy(const char *text)
{
    if (text == NULL)
        return NULL;
    char *made = strdup(text);
    SF_ASSERT(made != NULL);
    return made;
}

/* Letters, digits and . - _ : of addresses; what else stands in a host would end up in another part
 * of a URL. */
static bool host_ok(const char *host)
{
    for (const char *c = host; *c != '\0'; c++)
        if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
              strchr(".-_:", *c) != NULL))
            return false;
    return host[0] != '\0';
}

static int add_endpoint(struct sf_etcd_options *to, const char *text, struct sf_error *err)
{
    struct sf_host_port at;
    if (sf_parse_host_port(text, DEFAULT_PORT, false, &at) < 0 || at.port == 0 || !host_ok(at.host))
        return sf_error_set(err, -EINVAL,
                            "\"%s\" is not host, host:port or [address]:port with a port from 1 "
                            "to 65535",
                            text);
    if (to->endpoint_count == SF_ETCD_ENDPOINTS_MAX)
        return sf_error_set(err, -EINVAL, "more than %d hosts", SF_ETCD_ENDPOINTS_MAX);
    struct sf_etcd_endpoint *endpoint = &to->endpoints[to->endpoint_count];
    _Static_assert(sizeof endpoint->name >= SF_HOST_PORT_TEXT_MAX, "an address fits its field");
    sf_format_host_port(&at, endpoint->name);
    for (unsigned i = 0; i < to->endpoint_count; i++)
        if (strcmp(to->endpoints[i].name, endpoint->name) == 0)
            return sf_error_set(err, -EINVAL, "\"%s\" stands there twice", text);
    char url[SF_COORD_ADDRESS_MAX + 16];
    snprintf(url, sizeof url, "%s://%s", to->tls ? "https" : "http", endpoint->name);
    endpoint->url = copy(url);
    to->endpoint_count++;
    return 0;
}

static int read_prefix(struct sf_etcd_options *to, const char *prefix, const char *fleet,
                       struct sf_error *err)
{
    size_t length = strlen(prefix);
    while (length > 0 && prefix[length - 1] == '/')
        length--;
    if (length > SF_ETCD_PREFIX_MAX)
        return sf_error_set(err, -EINVAL, "the prefix has %zu bytes, at most %d are allowed",
                            length, SF_ETCD_PREFIX_MAX);
    for (size_t i = 0; i < length; i++)
        if (prefix[i] <= ' ' || prefix[i] > '~' || strchr("?#%\\\"", prefix[i]) != NULL ||
            (prefix[i] == '/' && prefix[i + 1] == '/'))
            return sf_error_set(err, -EINVAL,
                                "prefix \"%s\": a path of printable ASCII without ? # %%", prefix);
    snprintf(to->root, sizeof to->root, "%.*s/snowfleet/%s", (int)length, prefix, fleet);
    return 0;
}

static int read_url(const struct sf_coord_options *options, struct sf_etcd_options *to,
                    struct sf_error *err)
{
    const char *at = NULL;
    const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(options->url, &at);
    SF_ASSERT(scheme != NULL && scheme->kind == SF_COORDINATOR_ETCD);
    to->tls = scheme->tls;
    char *list = copy(at);
    char *slash = strchr(list, '/');
    int rc = read_prefix(to, slash == NULL ? "" : slash, options->fleet, err);
    if (slash != NULL)
        *slash = '\0';
    char *rest = list;
    for (char *one = strsep(&rest, ","); rc == 0 && one != NULL; one = strsep(&rest, ","))
        rc = add_endpoint(to, one, err);
    free(list);
    return rc;
}

/* A file that we need to read; a secret one must not be open to others. */
static int check_file(const char *what, const char *path, bool secret, struct sf_error *err)
{
    struct stat st;
    char buffer[64];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        const int rc = -errno;
        if (fd >= 0)
            close(fd);
        return sf_error_set(err, rc == -ENOENT || rc == -ENOTDIR ? -ENOENT : -EACCES,
                            "%s \"%s\": %s", what, path, sf_errno_text(rc, buffer, sizeof buffer));
    }
    close(fd);
    if (!S_ISREG(st.st_mode))
        return sf_error_set(err, -EINVAL, "%s \"%s\" is not a regular file", what, path);
    return secret ? sf_secret_check(&st, what, path, err) : 0;
}

int sf_etcd_options_password(struct sf_etcd_options *to, struct sf_error *err)
{
    char password[SF_SECRET_LINE_MAX];
    const int rc = sf_secret_read_line(to->password_file, SF_COORD_PASSWORD_FILE, password, err);
    if (rc == 0)
        memcpy(to->password, password, sizeof password);
    explicit_bzero(password, sizeof password);
    return rc;
}

static int read_files(struct sf_etcd_options *to, struct sf_error *err)
{
    if (!to->tls && (to->tls_ca != NULL || to->tls_cert != NULL))
        return sf_error_set(err, -EINVAL, "coordinator.tls_* needs an etcds:// URL, not etcd://");
    int rc = 0;
    if (to->username != NULL)
        rc = sf_etcd_options_password(to, err);
    if (rc == 0 && to->tls_ca != NULL)
        rc = check_file("coordinator.tls_ca", to->tls_ca, false, err);
    if (rc == 0 && to->tls_cert != NULL)
        rc = check_file("coordinator.tls_cert", to->tls_cert, false, err);
    if (rc == 0 && to->tls_key != NULL)
        rc = check_file("coordinator.tls_key", to->tls_key, true, err);
    return rc;
}

int sf_etcd_options_read(const struct sf_coord_options *options, struct sf_etcd_options *ret,
                         struct sf_error *err)
{
    struct sf_etcd_options to = {.ttl_s = ((uint64_t)options->session_timeout_ms + 999) / 1000};
    if (to.ttl_s < 2)
        to.ttl_s = 2; /* etcd raises it to that as well */
    int rc = read_url(options, &to, err);
    if (rc == 0) {
        to.username = copy(options->username);
        to.password_file = copy(options->password_file);
        to.tls_ca = copy(options->tls_ca);
        to.tls_cert = copy(options->tls_cert);
        to.tls_key = copy(options->tls_key);
        rc = read_files(&to, err);
    }
    if (rc < 0) {
        sf_etcd_options_free(&to);
        return rc;
    }
    *ret = to;
    return 0;
}

void sf_etcd_options_free(struct sf_etcd_options *to)
{
    for (unsigned i = 0; i < to->endpoint_count; i++)
        free(to->endpoints[i].url);
    free(to->username);
    free(to->password_file);
    free(to->tls_ca);
    free(to->tls_cert);
    free(to->tls_key);
    explicit_bzero(to, sizeof *to);
}
