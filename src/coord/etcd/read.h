/* coord/etcd/read.h - LIST, PROBE, FIND, READ_SLOT and WATCH. All reads are linearizable. */
#ifndef SF_COORD_ETCD_READ_H
#define SF_COORD_ETCD_READ_H

#include "coord/etcd/answer.h"
#include "coord/etcd/job.h"

void sf_etcd_read_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_read_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);

/* Of a datacenter whose size is of no account (probe.c). */
void sf_etcd_probe_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_probe_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result);
void sf_etcd_find_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_find_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);

/* One slot of an answer; the first garbage is told in its text. */
void sf_etcd_take_slot(struct sf_etcd *etcd, const struct sf_etcd_job *job,
                       const struct sf_etcd_kv *kv, uint64_t worker, struct sf_coord_slot *ret,
                       char text[SF_COORD_TEXT_MAX]);
/* The claims of an answer, by fence; the caller frees them. prefix: of their keys. */
struct sf_coord_claim *sf_etcd_take_claims(struct sf_etcd *etcd, const struct sf_etcd_range *range,
                                           const char *prefix, size_t *ret_count);

#endif
