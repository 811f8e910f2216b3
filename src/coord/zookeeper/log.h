/* coord/zookeeper/log.h - the library's own log lines. It gives them without any context, so their
 * way out is the one global of this backend: the log of the handle that was opened last. Any
 * thread. */
#ifndef SF_COORD_ZOOKEEPER_LOG_H
#define SF_COORD_ZOOKEEPER_LOG_H

#include "base/log.h"

void sf_zk_log_attach(struct sf_log *log);
/* When this log is the one: lines go nowhere from now on. */
void sf_zk_log_detach(struct sf_log *log);
/* For the library to call. */
void sf_zk_log_line(const char *line);

#endif
