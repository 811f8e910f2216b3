/* daemon/health.h - may this process be sent requests, and does it live. Any thread; nothing waits
 * for another thread, but for mutexes held for a copy. */
#ifndef SF_DAEMON_HEALTH_H
#define SF_DAEMON_HEALTH_H

#include "base/strbuf.h"
#include "daemon/daemon.h"
#include "worker/readiness.h"

/* The checks of /readyz. */
void sf_health_readiness(struct sf_daemon *d, struct sf_readiness *ret);
/* Names each loop that has not turned for SF_DAEMON_STALL_MS, one a line; true when none. */
bool sf_health_live(struct sf_daemon *d, struct sf_strbuf *to);
/* What the worker is doing, as people are told: once it is ending, draining. */
enum sf_worker_state sf_health_state(const struct sf_daemon *d,
                                     const struct sf_member_snapshot *member);

#endif
