/* daemon/seccomp.h - which system calls the process may make from now on. */
#ifndef SF_DAEMON_SECCOMP_H
#define SF_DAEMON_SECCOMP_H

#include <stdbool.h>

#include "base/error.h"

/* Puts an allow-list on every thread of the process, for good. What is not on it fails with EPERM;
 * starting programs, tracing and the like end the process. allow_injection: code may be mapped and
 * made, as tools need that put some into the process. Called once, when files and sockets of
 * the start are open. Returns 0; -ENOTSUP when this build or this kernel has no filters (err says
 * which); else a negative errno code. */
int sf_seccomp_apply(bool allow_injection, struct sf_error *err);

#endif
