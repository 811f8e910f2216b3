/* coord/etcd/watch.h - CHANGED and FLEET_CHANGED: a watch stream for the claims of each datacenter (its
 * records are not watched: with n workers each renewal would wake n others), one for the fleet's config and names, one for the state of the making last named; opened again when they end, and
 * a poll that notices when one stalls.
 *
 * A stream that is opened again starts at the present, and says CHANGED as soon as it is there:
 * whatever happened before that is in the list that the receiver reads then. So there is no
 * revision to resume from, and compaction cannot disturb. A stalled stream is invisible. But every
 * answer tells the store's revision: when that has moved past everything the stream has told, a
 * range that costs little (the newest revision and the number of keys below the datacenter) tells
 * whether it missed something. */
#ifndef SF_COORD_ETCD_WATCH_H
#define SF_COORD_ETCD_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "coord/etcd/shared.h"

#define SF_ETCD_WATCHES_MAX 64 /* datacenters that one handle watches */

struct sf_etcd_watch;

/* Of one handle. */
struct sf_etcd_watches {
    struct sf_etcd_watch *list;
    int64_t changed_due_ns, changed_last_ns;
    bool changed, fleet_changed; /* what is due */
    bool datacenters;            /* some are watched, not the fleet alone */
    struct sf_log_limiter limit_watch;
};

void sf_etcd_watch_turn(struct sf_etcd *etcd);
int64_t sf_etcd_watch_due_ns(const struct sf_etcd *etcd);
/* For the claims of a datacenter of a making (unless only the fleet is to be watched), and for what
 * names and halts it. Returns 0, or -ENOSPC when there are too many. */
int sf_etcd_watch_add(struct sf_etcd *etcd, const struct sf_coord_request *request);
/* Are its streams there? */
bool sf_etcd_watch_ready(const struct sf_etcd *etcd, const struct sf_coord_request *request);
void sf_etcd_watch_end(struct sf_etcd *etcd);

#endif
