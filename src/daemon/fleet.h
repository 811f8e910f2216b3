/* daemon/fleet.h - /fleet (docs/http.md): slots and workers of the fleet's datacenters as last listed, as
 * JSON and as metrics; and who is among them. Any thread. */
#ifndef SF_DAEMON_FLEET_H
#define SF_DAEMON_FLEET_H

#include "base/strbuf.h"
#include "daemon/daemon.h"
#include "metrics/metrics.h"

void sf_fleet(struct sf_daemon *d, struct sf_strbuf *to);

/* snowfleet_slots and snowfleet_members. A scrape is a look, too, but one that a whole fleet makes all the time: so
 * each worker reads its datacenter the more rarely, the more of them there are. */
void sf_fleet_collect(struct sf_daemon *d, const struct sf_member_snapshot *member,
                      struct sf_metrics_page *page);

/* Is this HOST:PORT the admin address of a live worker of any of them, as last listed? */
bool sf_fleet_has_admin(struct sf_daemon *d, const char *address);

#endif
