/* daemon/fleet.h - /fleet (docs/http.md): slots and workers of the datacenter as last listed, as
 * JSON; and who is among them. Any thread. */
#ifndef SF_DAEMON_FLEET_H
#define SF_DAEMON_FLEET_H

#include "base/strbuf.h"
#include "daemon/daemon.h"

void sf_fleet(struct sf_daemon *d, struct sf_strbuf *to);

/* Is this HOST:PORT the admin address of a live worker, as last listed? */
bool sf_fleet_has_admin(struct sf_daemon *d, const char *address);

#endif
