/* daemon/drain.h - how a worker ends: not ready, draining, leaving the fleet (docs/operations.md).
 * Main's thread, but where it says otherwise. */
#ifndef SF_DAEMON_DRAIN_H
#define SF_DAEMON_DRAIN_H

#include "daemon/daemon.h"

/* Begins to end; nothing where that has begun. because: who asked, for the log. */
void sf_drain_begin(struct sf_daemon *d, const char *because);
/* Asks main to begin. Any thread. */
void sf_drain_ask(struct sf_daemon *d);
/* Goes on to the next phase where it is time. */
void sf_drain_advance(struct sf_daemon *d);
/* How long main may sleep before that. */
int sf_drain_wait_ms(const struct sf_daemon *d);

#endif
