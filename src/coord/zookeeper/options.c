/* coord/zookeeper/options.c - see options.h. */
#include "coord/zookeeper/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/secret.h"
#include "coord/zookeeper/tls.h"
#include "coord/zookeeper/zookeeper.h"

static void free_secret(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

int sf_zk_options_login(struct sf_zk_options *options, bool *ret_changed, struct sf_error *err)
{
    char password[SF_SECRET_LINE_MAX];
    char *auth = NULL;
    *ret_changed = false;
    if (options->username == NULL)
        return 0;
    const int rc =
        sf_secret_read_line(options->password_file, SF_COORD_PASSWORD_FILE, password, err);
    if (rc < 0)
        return rc;
    if (asprintf(&auth, "%s:%s", options->username, password) < 0)
        auth = NULL;
    explicit_bzero(password, sizeof password);
    SF_ASSERT(auth != NULL);
    if (options->auth == NULL || strcmp(options->auth, auth) != 0) {
        char *before = options->auth;
        options->auth = auth;
        auth = before;
        *ret_changed = true;
    }
    free_secret(auth);
    return 0;
}

static char *copy(const char *text)
{
    char *result = text != NULL ? strdup(text) : NULL;
    SF_ASSERT((result != NULL) == (text != NULL));
    return result;
}

static int set_auth(struct sf_zk_options *to, const struct sf_coord_options *options,
                    struct sf_error *err)
{
    if (options->username == NULL)
        return 0;
    if (strchr(options->username, ':') != NULL)
        return sf_error_set(err, -EINVAL,
                            "coordinator.username \"%s\" has a colon, which ends the name in "
                            "ZooKeeper's digest login",
                            options->username);
    bool changed;
    to->username = copy(options->username);
    to->password_file = copy(options->password_file);
    return sf_zk_options_login(to, &changed, err);
}

static int set_tls(struct sf_zk_options *to, const struct sf_coord_options *options,
                   struct sf_error *err)
{
    to->tls = to->url.scheme->tls;
    if (!to->tls)
        return 0;
    if ((options->tls_cert == NULL) != (options->tls_key == NULL))
        return sf_error_set(err, -EINVAL,
                            "coordinator.tls_cert and coordinator.tls_key need each other");
    to->tls_files.ca = copy(options->tls_ca);
    to->tls_files.cert = copy(options->tls_cert);
    to->tls_files.key = copy(options->tls_key);
    return sf_zk_tls_check(&to->tls_files, err);
}

int sf_zk_options_read(const struct sf_coord_options *options, struct sf_zk_options *ret,
                       struct sf_error *err)
{
    struct sf_zk_options to = {.session_timeout_ms = options->session_timeout_ms};
    int rc = sf_coordinator_url_parse(options->url, &to.url, err);
    SF_ASSERT(rc < 0 || to.url.scheme->kind == SF_COORDINATOR_ZOOKEEPER);
    if (rc == 0)
        rc = set_tls(&to, options, err);
    if (rc == 0)
        rc = set_auth(&to, options, err);
    if (rc < 0) {
        sf_zk_options_free(&to);
        return rc;
    }
    snprintf(to.fleet, sizeof to.fleet, "%s", options->fleet);
    snprintf(to.root, sizeof to.root, "%.*s/snowfleet/%s", SF_COORDINATOR_PATH_MAX, to.url.path,
             options->fleet);
    *ret = to;
    return 0;
}

int sf_coord_zookeeper_check(const struct sf_coord_options *options, struct sf_error *err)
{
    struct sf_zk_options to = {0};
    const int rc = sf_zk_options_read(options, &to, err);
    if (rc == 0)
        sf_zk_options_free(&to);
    return rc;
}

void sf_zk_options_free(struct sf_zk_options *options)
{
    free_secret(options->auth);
    free(options->username);
    free(options->password_file);
    options->auth = options->username = options->password_file = NULL;
    free(options->tls_files.ca);
    free(options->tls_files.cert);
    free(options->tls_files.key);
    options->tls_files = (struct sf_zk_tls_files){0};
}
