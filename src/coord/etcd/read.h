/* coord/etcd/read.h - READ_CONFIG, LIST, READ_SLOT and WATCH. All reads are linearizable. */
#ifndef SF_COORD_ETCD_READ_H
#define SF_COORD_ETCD_READ_H

#include "coord/etcd/job.h"

void sf_etcd_read_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_read_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);

/* What is there of the config in an answer's range: ret is filled when it is OK, err (always) when
 * it is GARBAGE. */
enum sf_coord_record_state sf_etcd_config_from(const struct sf_etcd_range *range,
                                               struct sf_coord_config *ret, struct sf_error *err);
/* The same for the slot record in a key. */
enum sf_coord_record_state sf_etcd_slot_from(const struct sf_etcd_kv *kv, uint64_t worker,
                                             struct sf_coord_slot *ret, struct sf_error *err);
/* The worker number that a key below this prefix is named by. Returns 0 or -EBADMSG. */
int sf_etcd_slot_number(const struct sf_etcd_kv *kv, const char *prefix, uint64_t max,
                        uint64_t *ret);

#endif
