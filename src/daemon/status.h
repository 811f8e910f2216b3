/* daemon/status.h - /status (docs/http.md): this worker, as JSON. Any thread. */
#ifndef SF_DAEMON_STATUS_H
#define SF_DAEMON_STATUS_H

#include "base/strbuf.h"
#include "daemon/daemon.h"

void sf_status(struct sf_daemon *d, struct sf_strbuf *to);

#endif
