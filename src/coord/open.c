/* coord/open.c - which backend serves a URL. See open.h. A library of its own (sf_coord_open). */
#include "coord/open.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "base/secret.h"
#include "coord/etcd/etcd.h"
#include "coord/local/local.h"
#include "coord/records.h"
#include "coord/zookeeper/zookeeper.h"

struct opener {
    int (*open)(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                struct sf_error *err);
    int (*check)(const struct sf_coord_options *options, struct sf_error *err);
};

/* NULL: not in this build. */
static const struct opener openers[SF_COORDINATOR_KINDS] = {
    [SF_COORDINATOR_LOCAL] = {sf_coord_local_open, sf_coord_local_check},
#ifdef SNOWFLEET_HAVE_ZOOKEEPER
    [SF_COORDINATOR_ZOOKEEPER] = {sf_coord_zookeeper_open, sf_coord_zookeeper_check},
#endif
#ifdef SNOWFLEET_HAVE_ETCD
    [SF_COORDINATOR_ETCD] = {sf_coord_etcd_open, sf_coord_etcd_check},
#endif
};

/* What does not depend on the backend. The password is read again by who uses it. */
static int check_options(const struct sf_coord_options *options, struct sf_error *err)
{
    int rc = sf_fleet_name_check(options->fleet, err);
    if (rc < 0)
        return rc;
    if (options->session_timeout_ms < SF_COORD_SESSION_MIN_MS ||
        options->session_timeout_ms > SF_COORD_SESSION_MAX_MS)
        return sf_error_set(err, -EINVAL, "coordinator.session_timeout_ms %u: %d to %d is allowed",
                            options->session_timeout_ms, SF_COORD_SESSION_MIN_MS,
                            SF_COORD_SESSION_MAX_MS);
    if ((options->username == NULL) != (options->password_file == NULL))
        return sf_error_set(err, -EINVAL,
                            "coordinator.username and coordinator.password_file need each other");
    if ((options->tls_cert == NULL) != (options->tls_key == NULL))
        return sf_error_set(err, -EINVAL,
                            "coordinator.tls_cert and coordinator.tls_key need each other");
    if (options->username == NULL)
        return 0;
    if (options->username[0] == '\0')
        return sf_error_set(err, -EINVAL, "coordinator.username is empty");
    char password[SF_SECRET_LINE_MAX];
    rc = sf_secret_read_line(options->password_file, SF_COORD_PASSWORD_FILE, password, err);
    explicit_bzero(password, sizeof password);
    return rc;
}

static int find_opener(const struct sf_coord_options *options, const struct opener **ret_opener,
                       struct sf_error *err)
{
    struct sf_coordinator_url url;
    const int rc = sf_coordinator_url_parse(options->url, &url, err);
    if (rc < 0)
        return rc;
    if (openers[url.scheme->kind].open == NULL)
        return sf_error_set(err, -ENOTSUP, "this build has no %s backend",
                            sf_coordinator_kind_name(url.scheme->kind));
    *ret_opener = &openers[url.scheme->kind];
    return check_options(options, err);
}

static int name_url(int rc, const struct sf_coord_options *options, struct sf_error *err)
{
    char shown[SF_COORDINATOR_URL_MAX + 1];
    if (rc < 0)
        sf_error_prefix(err, "coordinator \"%.200s\"",
                        sf_coordinator_url_shown(options->url, shown));
    return rc;
}

int sf_coord_check(const struct sf_coord_options *options, struct sf_error *err)
{
    const struct opener *opener = NULL;
    int rc = find_opener(options, &opener, err);
    if (rc == 0 && opener != NULL)
        rc = opener->check(options, err);
    return name_url(rc, options, err);
}

int sf_coord_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                  struct sf_error *err)
{
    SF_ASSERT(options->url != NULL && options->fleet != NULL && options->sink != NULL);
    SF_ASSERT(options->ticks != NULL);
    const struct opener *opener = NULL;
    int rc = find_opener(options, &opener, err);
    if (rc == 0 && opener != NULL)
        rc = opener->open(options, ret_coord, err);
    return name_url(rc, options, err);
}
