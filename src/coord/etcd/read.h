/* coord/etcd/read.h - READ_CONFIG, LIST, READ_SLOT and WATCH. All reads are linearizable. */
#ifndef SF_COORD_ETCD_READ_H
#define SF_COORD_ETCD_READ_H

#include "coord/etcd/job.h"

void sf_etcd_read_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_read_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);

/* The config of an answer's range. Returns the reason, SF_COORD_NO_REASON when ret is filled. */
enum sf_coord_reason sf_etcd_read_config(const struct sf_etcd_range *range,
                                         struct sf_coord_config *ret, char text[SF_COORD_TEXT_MAX]);

#endif
