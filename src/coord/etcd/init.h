/* coord/etcd/init.h - INIT: the fleet's config and its slot records, in transactions of at most
 * a hundred records.
 *
 * A fleet gets its config last: before that, nobody takes it for complete. After a loss of data a
 * config that can be read is replaced first: its new version makes every renewal under the old one
 * fail, and its floor holds back what the records do not yet.
 *
 *   no fleet there:  read config -> (read slots -> write slots)* for each datacenter -> write
 * config one to replace:  read config -> write config -> (read slots -> write slots)* for each
 * datacenter
 *
 * Records that are there already (of an INIT that ended halfway) are kept, raised to the floor, and
 * never lowered. */
#ifndef SF_COORD_ETCD_INIT_H
#define SF_COORD_ETCD_INIT_H

#include "coord/etcd/job.h"

void sf_etcd_init_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_init_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);
void sf_etcd_init_free(void *work);

#endif
