/* base/coordinator.h - how a coordinator is named: the schemes of its URLs, and the place that is
 * meant when nobody names one. In base, because config (which judges fleet.coordinator), coord
 * (which opens it) and the command line (which has the same default) may not include each other.
 * Pure; any thread. */
#ifndef SF_BASE_COORDINATOR_H
#define SF_BASE_COORDINATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/parse.h"

/* The longest URL, in bytes: room for a list of hosts or a path, and for the rest of a file's name
 * behind that path. */
#define SF_COORDINATOR_URL_MAX 4000
/* The longest directory of a local coordinator, in bytes: its files lie deeper. */
#define SF_COORDINATOR_DIR_MAX 3799

/* A fleet's name is a folder's and a key's: what it may be, in words, and whether this is one. */
#define SF_FLEET_NAME_RULE "1 to 63 of A-Z a-z 0-9 . _ - and not begin with a dot"
bool sf_fleet_name_ok(const char *name);

/* What a URL may be, as the end of "must be ...". */
#define SF_COORDINATOR_URL_FORMS                                                                   \
    "local:///DIR, zk://HOST:PORT,...[/CHROOT], etcd://HOST:PORT,..., or with TLS zks://... and "  \
    "etcds://..."

/* Those of them that talk TLS, as the end of "begins with ...". */
#define SF_COORDINATOR_TLS_FORMS "zks:// or etcds://"

enum sf_coordinator_kind {
    SF_COORDINATOR_LOCAL, /* a directory of this machine */
    SF_COORDINATOR_ZOOKEEPER,
    SF_COORDINATOR_ETCD,
    SF_COORDINATOR_KINDS
};

/* Every scheme: X(prefix, kind, the kind's name for people, whether it talks TLS). */
#define SF_COORDINATOR_SCHEMES(X)                                                                  \
    X("local://", SF_COORDINATOR_LOCAL, "local", false)                                            \
    X("zk://", SF_COORDINATOR_ZOOKEEPER, "ZooKeeper", false)                                       \
    X("zks://", SF_COORDINATOR_ZOOKEEPER, "ZooKeeper", true)                                       \
    X("etcd://", SF_COORDINATOR_ETCD, "etcd", false)                                               \
    X("etcds://", SF_COORDINATOR_ETCD, "etcd", true)

/* "local", "ZooKeeper", "etcd": for people. */
const char *sf_coordinator_kind_name(enum sf_coordinator_kind kind);

/* One scheme. */
struct sf_coordinator_scheme {
    const char *prefix; /* "zk://" */
    enum sf_coordinator_kind kind;
    const char *kind_name;
    bool tls;
};

/* The scheme that a URL begins with, or NULL. What follows the prefix is not looked at.
 * ret_rest (may be NULL): where it begins. */
const struct sf_coordinator_scheme *sf_coordinator_scheme(const char *url, const char **ret_rest);

#define SF_COORDINATOR_HOSTS_MAX 32
#define SF_COORDINATOR_PATH_MAX  256 /* bytes of the path behind the hosts */

/* A URL taken apart. */
struct sf_coordinator_url {
    const struct sf_coordinator_scheme *scheme;
    size_t host_count;                                   /* 0 for local:// */
    struct sf_host_port hosts[SF_COORDINATOR_HOSTS_MAX]; /* different ones; no port is 0 */
    /* local://: the directory. Else what stands behind the hosts, "" or "/a/b": chroot, prefix of keys. */
    char path[SF_COORDINATOR_DIR_MAX + 1];
};

/* Takes a URL apart: the one judge of what is allowed, for the configuration and for every backend.
 * Trailing slashes of the path are left out. Returns 0, or -EINVAL with the reason in err, which may be
 * NULL; ret_url is left alone then. The reason never quotes anything of a URL with an @ in it, which may
 * be a password. */
int sf_coordinator_url_parse(const char *url, struct sf_coordinator_url *ret_url,
                             struct sf_error *err);

/* A URL for people: what stands before an @ is left out ("etcd://...@h:1"). Returns buffer. Any text. */
const char *sf_coordinator_url_shown(const char *url, char buffer[SF_COORDINATOR_URL_MAX + 1]);

/* The default: local:///var/lib/snowfleet for root, else snowfleet below state_home, or below
 * home's .local/state (the XDG base directory specification, which ignores paths that are not
 * absolute). as_root: the effective user is root. state_home, home: the values of XDG_STATE_HOME
 * and HOME, NULL where they are not set. Returns 0, -ENOENT when neither is an absolute path, or
 * -ENAMETOOLONG for a URL that is not ok; ret_url is left alone then. */
int sf_coordinator_default(bool as_root, const char *state_home, const char *home,
                           char ret_url[SF_COORDINATOR_URL_MAX + 1]);

#endif
