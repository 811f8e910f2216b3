/* daemon/run.h - main's loop: signals, wishes of other threads, and the phases of ending. */
#ifndef SF_DAEMON_RUN_H
#define SF_DAEMON_RUN_H

#include "daemon/daemon.h"

/* SIGTERM, SIGINT and SIGHUP go to a descriptor alone, SIGPIPE is ignored: to be called before any
 * thread exists. Returns the descriptor, or -1 with errno. */
int sf_run_take_signals(void);

/* Runs until the process should end; returns its exit code (base/exit_codes.h). */
int sf_run(struct sf_daemon *d, int signal_fd);

#endif
