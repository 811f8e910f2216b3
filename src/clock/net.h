/* clock/net.h - sockets and names for the clock thread: nothing here blocks.
 *
 * A name is looked up by a thread of its own, because getaddrinfo cannot be cancelled: whoever does
 * not want to wait any longer abandons the lookup, and the thread cleans up after itself. Numeric
 * addresses need no thread. One thread uses a lookup. */
#ifndef SF_CLOCK_NET_H
#define SF_CLOCK_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/parse.h"

#define SF_NET_ADDRESSES_MAX 8
#define SF_NET_PATH_MAX      108

struct sf_net_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    };
};

struct sf_net_addresses {
    size_t count;
    struct sf_net_address list[SF_NET_ADDRESSES_MAX];
};

/* A connected, non-blocking datagram socket on a fresh port: only the peer's answers reach it.
 * Returns 0 or a negative errno code. */
int sf_net_udp(const struct sf_net_address *peer, int *ret_fd);

/* A datagram socket connected to a Unix socket, bound to a path of its own in the peer's folder
 * (chronyd answers no other). ret_own: that path, to be unlinked at close. Returns 0 or a negative
 * errno code. */
int sf_net_unix(const char *peer, uint64_t random, int *ret_fd, char ret_own[SF_NET_PATH_MAX]);

/* "10.0.0.4:123", "[::1]:123". */
void sf_net_format(const struct sf_net_address *address, char *to, size_t size);

/* A numeric host, at once. Returns false when it is a name. */
bool sf_net_numeric(const struct sf_host_port *host, struct sf_net_addresses *ret);

struct sf_net_lookup;
/* Starts a lookup; wake_fd (an eventfd, duplicated) becomes readable when it is done. Returns NULL
 * when there is no thread for it. */
struct sf_net_lookup *sf_net_lookup_start(const struct sf_host_port *host, int wake_fd);
/* When done: frees it, fills ret (0 addresses and a negative EAI_ code in ret_error on failure) and
 * returns true. */
bool sf_net_lookup_take(struct sf_net_lookup *lookup, struct sf_net_addresses *ret, int *ret_error);
/* No longer wanted; NULL is fine. */
void sf_net_lookup_abandon(struct sf_net_lookup *lookup);

#endif
