/* daemon/confine.h - what the process gives up, in the order in which it can: capabilities and the writing of files before
 * there are threads (each would have its own), system calls when everything is open. docs/security.md says what is left. */
#ifndef SF_DAEMON_CONFINE_H
#define SF_DAEMON_CONFINE_H

#include "base/error.h"
#include "base/log.h"
#include "config/config.h"

/* Core files, capabilities, files. When the ports are bound, before any other thread is started. What the system does not have is
 * said in the log, and gone without. Returns 0 or a negative errno code. */
int sf_confine_early(const struct sf_config *config, struct sf_log *log, struct sf_error *err);

/* System calls, of every thread. When everything that the start needs is open. The same results. */
int sf_confine_late(const struct sf_config *config, struct sf_log *log, struct sf_error *err);

#endif
