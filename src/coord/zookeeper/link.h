/* coord/zookeeper/link.h - opening and closing handles of the library (struct sf_zk_link of
 * call.h). Backend thread only: the library's threads inherit its signal mask. */
#ifndef SF_COORD_ZOOKEEPER_LINK_H
#define SF_COORD_ZOOKEEPER_LINK_H

#include "base/error.h"
#include "coord/zookeeper/call.h"
#include "coord/zookeeper/hosts.h"

/* Starts a session at these addresses. Returns NULL and fills err when the library refuses. */
struct sf_zk_link *sf_zk_link_open(struct sf_zk *z, const struct sf_zk_addresses *addresses,
                                   uint64_t number, struct sf_error *err);
/* Closes on a thread of its own: the library may take seconds. Waits for that at most wait_ms.
 * Calls without an answer are forgotten. */
void sf_zk_link_close(struct sf_zk_link *link, int64_t wait_ms);

#endif
