/* daemon/landlock.h - which files the process may change from now on (Linux 5.19 or later, where Landlock is on).
 *
 * Source: the kernel's Documentation/userspace-api/landlock.rst. */
#ifndef SF_DAEMON_LANDLOCK_H
#define SF_DAEMON_LANDLOCK_H

#include <stddef.h>

#include "base/error.h"

/* What may be done below a directory. */
enum sf_landlock_right {
    SF_LANDLOCK_WRITE, /* make, write, rename and remove files and directories */
    SF_LANDLOCK_SOCKET /* make and remove sockets */
};

struct sf_landlock_rule {
    const char *path; /* a directory; one that is not there: its nearest parent that is, but for the root */
    enum sf_landlock_right right;
};

/* Takes from the calling thread, and from all that it starts from now on, for good: making, writing and removing files but
 * below the directories of the rules; looking into or tracing processes that are not under it themselves; and, from Linux 6.12 on,
 * signals to those and connections to their abstract sockets. Reading stays. What is open stays open. Call it before any other
 * thread is started. Returns 0; -ENOTSUP where the kernel has it not, or not yet well enough (err says so); else a negative errno
 * code, and nothing is taken. */
int sf_landlock_apply(const struct sf_landlock_rule *rules, size_t count, struct sf_error *err);

#endif
