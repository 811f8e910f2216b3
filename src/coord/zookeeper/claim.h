/* coord/zookeeper/claim.h - CLAIM, UNCLAIM and TELL: one write each, never repeated here. */
#ifndef SF_COORD_ZOOKEEPER_CLAIM_H
#define SF_COORD_ZOOKEEPER_CLAIM_H

#include "coord/zookeeper/job.h"

void sf_zk_claim(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_unclaim(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_tell(struct sf_zk *z, struct sf_zk_job *job);

#endif
