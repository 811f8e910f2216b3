/* daemon/server_host.h - what the data port is told: its options, and what it asks for while it
 * serves. */
#ifndef SF_DAEMON_SERVER_HOST_H
#define SF_DAEMON_SERVER_HOST_H

#include "daemon/daemon.h"

/* config: the one of the start, or one that was read again. Strings stay the config's. */
void sf_server_host_options(struct sf_daemon *d, const struct sf_config *config,
                            struct sf_server_options *ret);

/* Where HTTP is listened on; false: nowhere. */
bool sf_server_host_http(const struct sf_config *config, struct sf_host_port *ret);

/* The UNIX socket as the options have it. Strings stay the config's. */
struct sf_unix_wish sf_server_host_unix(const struct sf_config *config);

/* The names that this worker goes by, separated by commas: those that it was given, and those that others are told. The caller frees
 * them. */
void sf_server_host_names(const struct sf_config *config, struct sf_strbuf *ret);

#endif
