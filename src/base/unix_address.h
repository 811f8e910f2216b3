/* base/unix_address.h - how UNIX sockets are written: by the worker's options, and by clients as a
 * server. Pure. */
#ifndef SF_BASE_UNIX_ADDRESS_H
#define SF_BASE_UNIX_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SF_UNIX_PREFIX "unix:"
/* Commas and blanks stand between servers where several are listed, so no name has them. */
#define SF_UNIX_RULE                                                                               \
    "an absolute path below a directory, or @NAME for an abstract name; at most 107 visible "      \
    "ASCII "                                                                                       \
    "characters, no comma"

/* "/run/snowfleet/data.sock", or "@name" for a name that no file bears. Returns 0 or -EINVAL. */
int sf_unix_address(const char *text, struct sockaddr_un *ret, socklen_t *ret_size);
/* As a rule for an option. */
bool sf_unix_address_ok(const char *text);
/* "unix:/path" or "unix:@name", as a server is written. Returns 0; -EINVAL, also where it is written
 * otherwise. */
int sf_unix_server(const char *text, struct sockaddr_un *ret, socklen_t *ret_size);
/* Does it begin as such a server does? */
bool sf_unix_server_meant(const char *text);

#endif
