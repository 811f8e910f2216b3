/* server/unix_socket.h - the data port as a UNIX socket: making it, taking the place of one whose
 * process has died, removing it.
 *
 * Processes that make, take over or remove a socket lock its directory meanwhile, so that of two that
 * start at once one has it, and neither takes it from a living one. */
#ifndef SF_SERVER_UNIX_SOCKET_H
#define SF_SERVER_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"

#define SF_UNIX_MODE_DEFAULT "0660"
#define SF_UNIX_MODE_RULE                                                                          \
    "three or four octal digits, 0777 at most, or empty for " SF_UNIX_MODE_DEFAULT

/* What is wanted, as options say it. */
struct sf_unix_wish {
    const char *path;          /* base/unix_address.h; NULL: none */
    const char *mode;          /* octal; NULL: SF_UNIX_MODE_DEFAULT */
    const char *owner, *group; /* names or numbers; NULL: those of this process */
};

/* What is there. */
struct sf_unix_socket {
    int fd;         /* -1: none */
    char path[108]; /* "": an abstract name, or the file has been removed */
    dev_t device;   /* what tells the file from one that somebody else put in its place */
    ino_t inode;
    struct timespec changed;
};

/* Would sf_unix_listen refuse it for long? Looks at names only. Returns 0 or a negative errno code. */
int sf_unix_check(const struct sf_unix_wish *wish, struct sf_error *err);
/* Binds and listens. -EADDRINUSE: somebody listens there. Any thread. */
int sf_unix_listen(const struct sf_unix_wish *wish, struct sf_unix_socket *ret,
                   struct sf_error *err);
/* Takes the file away, if it is still ours; it may go on listening. To be called while it does: nobody
 * takes the place of a socket that is listened on. */
void sf_unix_remove(struct sf_unix_socket *socket);
/* Removes and closes; nothing where there is none. */
void sf_unix_close(struct sf_unix_socket *socket);

#endif
