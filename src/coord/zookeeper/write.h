/* coord/zookeeper/write.h - BIND, RENEW, RELEASE, HALT and RESET_SLOT: each looks first, then sends
 * one multi with all its conditions, never repeated here. */
#ifndef SF_COORD_ZOOKEEPER_WRITE_H
#define SF_COORD_ZOOKEEPER_WRITE_H

#include "coord/zookeeper/job.h"

void sf_zk_bind(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_renew(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_release(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_halt(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_reset_slot(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_reset_free(void *work);

#endif
