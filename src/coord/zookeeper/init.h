/* coord/zookeeper/init.h - INIT: directories, records in batches, the config last. Without its
 * config a tree is no fleet yet, so an INIT that stopped halfway is simply done again; records that
 * are there are kept and raised. After a loss of data a config that can be read is replaced first:
 * its floor holds back what the records do not yet. */
#ifndef SF_COORD_ZOOKEEPER_INIT_H
#define SF_COORD_ZOOKEEPER_INIT_H

#include "coord/zookeeper/job.h"

void sf_zk_init(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_init_free(void *work);

#endif
