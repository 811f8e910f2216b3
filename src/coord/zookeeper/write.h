/* coord/zookeeper/write.h - CLAIM, UNCLAIM, BIND, RENEW, RELEASE: one write each, never repeated
 * here.
 *
 * The conditions of a multi compare versions, but not incarnations (czxid): nothing in ZooKeeper
 * does. So BIND looks at both first, and every answer is compared afterwards; a record that was
 * deleted and made again is never reported as ours. */
#ifndef SF_COORD_ZOOKEEPER_WRITE_H
#define SF_COORD_ZOOKEEPER_WRITE_H

#include "coord/zookeeper/job.h"

void sf_zk_claim(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_unclaim(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_write(struct sf_zk *z, struct sf_zk_job *job); /* BIND, RENEW, RELEASE */

#endif
