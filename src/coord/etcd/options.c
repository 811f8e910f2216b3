/* coord/etcd/options.c - see options.h. */
#include "coord/etcd/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "base/parse.h"
#include "base/secret.h"
#include "coord/etcd/etcd.h"

static char *copy(const char *text)
{
    if (text == NULL)
        return NULL;
    char *made = strdup(text);
    SF_ASSERT(made != NULL);
    return made;
}

static void add_endpoint(struct sf_etcd_options *to, const struct sf_host_port *host)
{
    struct sf_etcd_endpoint *endpoint = &to->endpoints[to->endpoint_count++];
    _Static_assert(sizeof endpoint->name >= SF_HOST_PORT_TEXT_MAX, "an address fits its field");
    sf_format_host_port(host, endpoint->name);
    char url[SF_COORD_ADDRESS_MAX + 16];
    (void)snprintf(url, sizeof url, "%s://%s", to->tls ? "https" : "http", endpoint->name);
    endpoint->url = copy(url);
}

static int read_url(const struct sf_coord_options *options, struct sf_etcd_options *to,
                    struct sf_error *err)
{
    struct sf_coordinator_url url;
    const int rc = sf_coordinator_url_parse(options->url, &url, err);
    if (rc < 0)
        return rc;
    SF_ASSERT(url.scheme->kind == SF_COORDINATOR_ETCD);
    to->tls = url.scheme->tls;
    for (size_t i = 0; i < url.host_count; i++)
        add_endpoint(to, &url.hosts[i]);
    (void)snprintf(to->root, sizeof to->root, "%.*s/snowfleet/%s", SF_COORDINATOR_PATH_MAX,
                   url.path, options->fleet);
    return 0;
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
        rc = sf_plain_check_path(to->tls_ca, "coordinator.tls_ca", err);
    if (rc == 0 && to->tls_cert != NULL)
        rc = sf_plain_check_path(to->tls_cert, "coordinator.tls_cert", err);
    if (rc == 0 && to->tls_key != NULL)
        rc = sf_secret_check_path(to->tls_key, "coordinator.tls_key", err);
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

int sf_coord_etcd_check(const struct sf_coord_options *options, struct sf_error *err)
{
    struct sf_etcd_options to = {0};
    const int rc = sf_etcd_options_read(options, &to, err);
    if (rc == 0)
        sf_etcd_options_free(&to);
    return rc;
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
