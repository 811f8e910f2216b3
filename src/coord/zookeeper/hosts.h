/* coord/zookeeper/hosts.h - from a URL to addresses. The resolver may hang, so it runs on a thread
 * of its own: heartbeats go on meanwhile. */
#ifndef SF_COORD_ZOOKEEPER_HOSTS_H
#define SF_COORD_ZOOKEEPER_HOSTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/coordinator.h"
#include "coord/types.h"
#include "coord/zookeeper/message.h"

#define SF_ZK_ADDRESSES_MAX 64 /* addresses that they may resolve to */

struct sf_zk_addresses {
    struct sf_zk_message head;
    size_t count;
    struct sf_zk_address {
        char text[64];          /* "1.2.3.4:2181", "[::1]:2181" */
        char host[SF_HOST_MAX]; /* as the URL has it */
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } socket;
        socklen_t size;
    } at[SF_ZK_ADDRESSES_MAX];       /* none twice */
    char failure[SF_COORD_TEXT_MAX]; /* of a name that gave nothing; "" when all gave something */
};

/* Resolves all names: blocks for as long as the system's resolver does. Pure otherwise. */
void sf_zk_resolve(const struct sf_coordinator_url *url, struct sf_zk_addresses *ret);

/* Does any name need the resolver? */
bool sf_zk_url_has_names(const struct sf_coordinator_url *url);

/* Resolves on a thread of its own and posts a SF_ZK_RESOLVED; the resolver may hang for longer than
 * we want to wait, so the thread is detached and holds the task alone once it was abandoned. NULL:
 * no thread to be had. */
struct sf_zk_resolver;
struct sf_zk_resolver *sf_zk_resolver_start(const struct sf_coordinator_url *url,
                                            struct sf_inbox *inbox);
/* NULL is fine. */
void sf_zk_resolver_abandon(struct sf_zk_resolver *resolver);

#endif
