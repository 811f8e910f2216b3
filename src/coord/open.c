/* coord/open.c - which backend serves a URL. A library of its own (sf_coord_open), because it alone
 * knows which backends this build has; the rest of the room links without any of them. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "coord/backends.h"
#include "coord/records.h"

typedef int open_function(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                          struct sf_error *err);

#ifdef SNOWFLEET_HAVE_ZOOKEEPER
#define ZOOKEEPER_OPEN sf_coord_zookeeper_open
#else
#define ZOOKEEPER_OPEN NULL
#endif
#ifdef SNOWFLEET_HAVE_ETCD
#define ETCD_OPEN sf_coord_etcd_open
#else
#define ETCD_OPEN NULL
#endif

static const struct {
    const char *scheme;
    const char *backend;
    open_function *open; /* NULL: not in this build */
} schemes[] = {
    {"local://", "local", sf_coord_local_open},
    {"zk://", "ZooKeeper", ZOOKEEPER_OPEN},
    {"zks://", "ZooKeeper", ZOOKEEPER_OPEN},
    {"etcd://", "etcd", ETCD_OPEN},
    {"etcds://", "etcd", ETCD_OPEN},
};

int sf_coord_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                  struct sf_error *err)
{
    SF_ASSERT(options->url != NULL && options->fleet != NULL && options->sink != NULL);
    SF_ASSERT(options->ticks != NULL);
    int rc = sf_fleet_name_check(options->fleet, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncmp(options->url, schemes[i].scheme, strlen(schemes[i].scheme)) != 0)
            continue;
        if (schemes[i].open == NULL)
            return sf_error_set(err, -ENOTSUP, "coordinator \"%s\": this build has no %s backend",
                                options->url, schemes[i].backend);
        return schemes[i].open(options, ret_coord, err);
    }
    return sf_error_set(err, -EINVAL,
                        "coordinator \"%s\": not a URL that starts with local://, zk://, zks://, "
                        "etcd:// or etcds://",
                        options->url);
}
