/* coord/open.c - which backend serves a URL. See open.h. A library of its own (sf_coord_open). */
#include "coord/open.h"

#include <errno.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "coord/etcd/etcd.h"
#include "coord/local/local.h"
#include "coord/records.h"
#include "coord/zookeeper/zookeeper.h"

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

/* NULL: not in this build. */
static open_function *const openers[SF_COORDINATOR_KINDS] = {
    [SF_COORDINATOR_LOCAL] = sf_coord_local_open,
    [SF_COORDINATOR_ZOOKEEPER] = ZOOKEEPER_OPEN,
    [SF_COORDINATOR_ETCD] = ETCD_OPEN,
};

int sf_coord_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                  struct sf_error *err)
{
    SF_ASSERT(options->url != NULL && options->fleet != NULL && options->sink != NULL);
    SF_ASSERT(options->ticks != NULL);
    const int rc = sf_fleet_name_check(options->fleet, err);
    if (rc < 0)
        return rc;
    const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(options->url, NULL);
    if (scheme == NULL)
        return sf_error_set(err, -EINVAL, "coordinator \"%s\": must be %s", options->url,
                            SF_COORDINATOR_URL_FORMS);
    if (openers[scheme->kind] == NULL)
        return sf_error_set(err, -ENOTSUP, "coordinator \"%s\": this build has no %s backend",
                            options->url, sf_coordinator_kind_name(scheme->kind));
    return openers[scheme->kind](options, ret_coord, err);
}
