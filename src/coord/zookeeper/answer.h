/* coord/zookeeper/answer.h - what answers of the server say. A record's version is (czxid, version)
 * of the stat that came with its content: never of another read. */
#ifndef SF_COORD_ZOOKEEPER_ANSWER_H
#define SF_COORD_ZOOKEEPER_ANSWER_H

#include "coord/zookeeper/call.h"

struct sf_coord_version sf_zk_version_of(const struct sf_zk_stat *stat);

/* A config of any format, from an answer that is SF_ZK_OK or SF_ZK_NO_NODE: ret is filled when it is OK,
 * ret_version unless it is MISSING, err when it is GARBAGE. */
enum sf_coord_record_state sf_zk_config_from(const struct sf_zk_call *call,
                                             struct sf_coord_config *ret,
                                             struct sf_coord_version *ret_version,
                                             struct sf_error *err);
/* A slot's record, likewise. Fills ret in any case. */
void sf_zk_slot_from(const struct sf_zk_call *call, uint64_t worker, struct sf_coord_slot *ret,
                     struct sf_error *err);
/* ctime or mtime of what a job's write has just made: the leader's clock at that write. */
void sf_zk_told_time(struct sf_zk_job *job, int64_t server_ms);

#endif
