/* daemon/collect.h - a worker's metrics: what is counted as it happens, and what is looked up when
 * somebody asks. The server counts its own. */
#ifndef SF_DAEMON_COLLECT_H
#define SF_DAEMON_COLLECT_H

#include "daemon/daemon.h"

/* A collector (metrics/metrics.h): looked up. */
void sf_collect(void *daemon, struct sf_metrics_page *page);
/* Counted: callbacks of the member, on its thread. */
void sf_collect_answer(void *daemon, enum sf_coord_op op, enum sf_coord_outcome outcome,
                       int64_t duration_ns);
void sf_collect_counts(void *daemon, const struct sf_member_counts *counts);

#endif
