/* coord/zookeeper/read.h - READ_CONFIG and READ_SLOT, which are confirmed (confirm.h), and LIST.
 *
 * Requests of one session are answered in order and never show older states, so slots are read
 * before claims. */
#ifndef SF_COORD_ZOOKEEPER_READ_H
#define SF_COORD_ZOOKEEPER_READ_H

#include "coord/zookeeper/call.h"

void sf_zk_read_config(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_read_slot(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_list(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_list_free(void *work);

/* An answer to a job's LIST or READ_SLOT, whose completion and log tell of garbage. */
void sf_zk_take_slot(struct sf_zk *z, const struct sf_zk_call *call, uint64_t worker,
                     struct sf_coord_slot *ret);

/* A config of the present format, as an answer to the job: into its completion, or else the job is
 * finished. */
void sf_zk_take_config(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call);

/* Finishes: the making has no such datacenter. */
void sf_zk_refuse_no_datacenter(struct sf_zk *z, struct sf_zk_job *job);

#endif
