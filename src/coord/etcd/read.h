/* coord/etcd/read.h - LIST, READ_SLOT and WATCH. All reads are linearizable. */
#ifndef SF_COORD_ETCD_READ_H
#define SF_COORD_ETCD_READ_H

#include "coord/etcd/job.h"

void sf_etcd_read_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_read_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);

#endif
