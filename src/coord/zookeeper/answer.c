/* coord/zookeeper/answer.c - see answer.h. */
#include "coord/zookeeper/answer.h"

#include "base/assert.h"
#include "coord/records.h"

/* The leader's clock at the write, cut to milliseconds; measured at up to 2 ms late. */
#define SERVER_ERROR_MS 2

struct sf_coord_version sf_zk_version_of(const struct sf_zk_stat *stat)
{
    return (struct sf_coord_version){(uint64_t)stat->czxid, (uint64_t)(uint32_t)stat->version};
}

void sf_zk_told_time(struct sf_zk_job *job, int64_t server_ms)
{
    job->event->completion.server_ms = server_ms;
    job->event->completion.server_error_ms = SERVER_ERROR_MS;
}

enum sf_coord_record_state sf_zk_config_from(const struct sf_zk_call *call,
                                             struct sf_coord_config *ret,
                                             struct sf_coord_version *ret_version,
                                             struct sf_error *err)
{
    if (call->rc == SF_ZK_NO_NODE)
        return SF_COORD_RECORD_MISSING;
    SF_ASSERT(call->rc == SF_ZK_OK && call->has_stat);
    *ret_version = sf_zk_version_of(&call->stat);
    if (sf_record_config_decode_any(call->data, call->size, ret, err) < 0)
        return SF_COORD_RECORD_GARBAGE;
    ret->version = *ret_version;
    return SF_COORD_RECORD_OK;
}

void sf_zk_slot_from(const struct sf_zk_call *call, uint64_t worker, struct sf_coord_slot *ret,
                     struct sf_error *err)
{
    *ret = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
    if (call->rc == SF_ZK_NO_NODE)
        return;
    SF_ASSERT(call->rc == SF_ZK_OK && call->has_stat);
    ret->state = sf_record_slot_decode(call->data, call->size, worker, ret, err) < 0
                     ? SF_COORD_RECORD_GARBAGE
                     : SF_COORD_RECORD_OK;
    ret->version = sf_zk_version_of(&call->stat);
}
