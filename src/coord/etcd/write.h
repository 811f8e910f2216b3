/* coord/etcd/write.h - CLAIM, UNCLAIM, TELL, BIND, RENEW and RELEASE: one transaction each, sent once.
 *
 * A transaction whose compares do not hold answers with its failure branch, which reads what was
 * compared in the same step: config, name, state, claim, slot, in this order. That tells which
 * condition it was. RESET_SLOT looks at the claims first.
 */
#ifndef SF_COORD_ETCD_WRITE_H
#define SF_COORD_ETCD_WRITE_H

#include "coord/etcd/job.h"

void sf_etcd_claim_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_claim_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result);
void sf_etcd_unclaim_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_unclaim_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                            const struct sf_etcd_result *result);
void sf_etcd_tell_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_tell_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);
/* BIND, RENEW, RELEASE. */
void sf_etcd_write_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_write_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result);
void sf_etcd_reset_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_reset_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result);

#endif
