/* coord/zookeeper/init.h - INIT, as coord/init_plan.h has it. The data version of the fleet's root
 * is the count of makings: every step that takes or gives a name sets the root at its version, so
 * of two at once one loses. */
#ifndef SF_COORD_ZOOKEEPER_INIT_H
#define SF_COORD_ZOOKEEPER_INIT_H

#include "coord/zookeeper/job.h"

void sf_zk_init(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_init_free(void *work);

#endif
