/* coord/zookeeper/read.h - READ_CONFIG and READ_SLOT, which are confirmed (confirm.h), LIST, PROBE and
 * FIND.
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
void sf_zk_probe(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_probe_free(void *work);
void sf_zk_find(struct sf_zk *z, struct sf_zk_job *job);

/* An answer to a job's LIST, PROBE or READ_SLOT, whose completion and log tell of garbage. */
void sf_zk_take_slot(struct sf_zk *z, const struct sf_zk_call *call, uint64_t worker,
                     struct sf_coord_slot *ret);

/* A config of the present format, as an answer to the job: into its completion, or else the job is
 * finished. */
void sf_zk_take_config(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call);

/* A claim as it was read: what its name tells, and what its content does. */
void sf_zk_take_claim(const struct sf_zk_call *call, const char *name, struct sf_coord_claim *ret);
/* LIST, FIND: the names of a datacenter's claims, which become the job's work, or it is finished. */
int sf_zk_issue_claim_names(struct sf_zk *z, struct sf_zk_job *job, size_t index);

/* Finishes: the making has no such datacenter. */
void sf_zk_refuse_no_datacenter(struct sf_zk *z, struct sf_zk_job *job);

#endif
