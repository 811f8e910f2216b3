/* coord/local/holder.h - who holds a lock. The kernel does not tell of open file description locks
 * by themselves, but /proc shows with each open file the locks that it holds. */
#ifndef SF_COORD_LOCAL_HOLDER_H
#define SF_COORD_LOCAL_HOLDER_H

#include <stddef.h>

#define SF_HOLDER_TEXT_MAX 128

/* The process that holds a lock of the file `name` in the directory: "process 12 (snowfleetd), which
 * is stopped: kill -CONT 12 lets it go on"; the first that is found. to: SF_HOLDER_TEXT_MAX bytes;
 * "" when nobody is seen: the lock is free again, or its holder is another user's or in another
 * container. Reads all of /proc that it may: for when one has waited in vain. Any thread. */
void sf_local_lock_holder(int dirfd, const char *name, char *to);

#endif
