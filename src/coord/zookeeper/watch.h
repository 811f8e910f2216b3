/* coord/zookeeper/watch.h - WATCH, and from then on CHANGED and FLEET_CHANGED.
 *
 * CHANGED: on the directory of a datacenter's claims: its names (a worker comes, or goes and leaves
 * its slot) and its own content, which BIND touches. Renewals of records are not watched: with n
 * workers each would wake n others. FLEET_CHANGED: on the config, the children of the fleet's root
 * (among them the names of makings) and the state of the making that was watched last. What a lost
 * watch would hide, the poll (the same calls) shows. */
#ifndef SF_COORD_ZOOKEEPER_WATCH_H
#define SF_COORD_ZOOKEEPER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/zookeeper/call.h"

#define SF_ZK_DATACENTERS_MAX 16 /* that one handle watches */
#define SF_ZK_FLEET_WATCHES   3  /* config, names of makings, state */
#define SF_ZK_WATCHES_MAX     (SF_ZK_FLEET_WATCHES + SF_ZK_DATACENTERS_MAX)

struct sf_zk_watched {
    char token[SF_COORD_TOKEN_SIZE]; /* of the state and the datacenters */
    uint64_t datacenter;
    bool seen;
    bool armed;   /* a notice of it is still to come */
    int64_t zxid; /* of the last change to it */
};

/* Of one handle. By number: config, names, state, then the datacenters. */
struct sf_zk_watches {
    struct sf_zk_watched at[SF_ZK_WATCHES_MAX];
    bool on; /* somebody watches the fleet */
    int datacenters;
    uint64_t fleet_notices;      /* of the first three, so far; and how often it began */
    bool changed, fleet_changed; /* something that was not told yet */
};

void sf_zk_watch_start(struct sf_zk *z, struct sf_zk_job *job);
/* The server says that the node at path has changed: looks at it. One that is not watched is none of
 * ours. */
void sf_zk_watch_event(struct sf_zk *z, const char *path);
/* Would a change to the config or to the state of the basis's making be told before the answer to
 * whatever is asked for from now on? */
bool sf_zk_watch_guards(const struct sf_zk *z, const struct sf_coord_basis *basis);
/* Sets all watches, and compares with what was there. */
void sf_zk_watch_arm_all(struct sf_zk *z);

#endif
