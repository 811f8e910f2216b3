/* server/listener.h - the listening sockets, which all shards share: binding, accepting, handing connections to the shard with the fewest. */
#ifndef SF_SERVER_LISTENER_H
#define SF_SERVER_LISTENER_H

#include "server/internal.h"

/* Binds and listens. what: the option that says where, for err. Returns 0 or a negative errno code. Any thread. */
int sf_listener_open(const struct sf_host_port *address, const char *what, int *ret_fd, struct sf_error *err);
/* The port that a socket is bound to; 0: none. */
uint16_t sf_listener_port(int fd);
/* Accepts what waits, SF_ACCEPTS_PER_TURN at most. The shard's thread, as below. */
void sf_listener_accept(struct sf_shard *shard, const struct sf_listener *listener);
/* Whether this shard wakes for new connections, on all of them. */
void sf_listener_watch(struct sf_shard *shard, bool on);

#endif
