/* coord/zookeeper/hosts.h - from a URL to addresses. The library gets addresses only: given names,
 * it resolves them on its I/O thread in every turn of its loop, and a resolver that hangs or fails
 * stops its heartbeats. */
#ifndef SF_COORD_ZOOKEEPER_HOSTS_H
#define SF_COORD_ZOOKEEPER_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/coordinator.h"
#include "coord/types.h"
#include "coord/zookeeper/message.h"

#define SF_ZK_ADDRESSES_MAX 64 /* addresses that they may resolve to */

struct sf_zk_addresses {
    struct sf_zk_message head;
    size_t count;
    char text[SF_ZK_ADDRESSES_MAX][64]; /* "1.2.3.4:2181", "[::1]:2181" */
    char failure[SF_COORD_TEXT_MAX]; /* of a name that gave nothing; "" when all gave something */
};

/* Resolves all names: blocks for as long as the system's resolver does. Pure otherwise. */
void sf_zk_resolve(const struct sf_coordinator_url *url, struct sf_zk_addresses *ret);

/* Does any name need the resolver? */
bool sf_zk_url_has_names(const struct sf_coordinator_url *url);

/* The list for the library: without duplicates, and odd, since the library's cursor moves by two on
 * a failure and would never try half of an even list. The caller frees. */
char *sf_zk_address_list(const struct sf_zk_addresses *addresses);

/* Resolves on a thread of its own and posts a SF_ZK_RESOLVED; the resolver may hang for longer than
 * we want to wait, so the thread is detached and holds the task alone once it was abandoned. NULL:
 * no thread to be had. */
struct sf_zk_resolver;
struct sf_zk_resolver *sf_zk_resolver_start(const struct sf_coordinator_url *url, struct sf_inbox *inbox);
/* NULL is fine. */
void sf_zk_resolver_abandon(struct sf_zk_resolver *resolver);

#endif
