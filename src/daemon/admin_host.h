/* daemon/admin_host.h - what the admin port asks for (admin/admin.h). The callbacks run on admin
 * threads. */
#ifndef SF_DAEMON_ADMIN_HOST_H
#define SF_DAEMON_ADMIN_HOST_H

#include "daemon/daemon.h"

/* ctx is d, which outlives the admin server. */
void sf_admin_host_fill(struct sf_daemon *d, struct sf_admin_host *ret);

#endif
