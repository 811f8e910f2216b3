/* coord/etcd/init.h - INIT (coord/init_plan.h): a fleet's tree under a fresh token, in transactions of at
 * most eighty records, and its name in one.
 *
 *   plain:            look -> tree* -> name
 *   after data loss:  look -> unname -> survey* -> tree* -> name
 *
 * look reads root, config and names at once. A tree's keys are new: each of its transactions is done
 * once, on condition that its first key is not there, and reads back its last. When naming is refused, the config is read: our token there means that an answer before was
 * lost, and the fleet is made.
 */
#ifndef SF_COORD_ETCD_INIT_H
#define SF_COORD_ETCD_INIT_H

#include "coord/etcd/job.h"

void sf_etcd_init_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_init_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);
void sf_etcd_init_free(void *work);

#endif
