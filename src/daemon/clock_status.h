/* daemon/clock_status.h - the clock's part of /status (docs/http.md). Any thread. */
#ifndef SF_DAEMON_CLOCK_STATUS_H
#define SF_DAEMON_CLOCK_STATUS_H

#include <jansson.h>

#include "daemon/daemon.h"

/* A new reference. */
json_t *sf_clock_status_json(struct sf_daemon *d);

#endif
