/* coord/zookeeper/reply.h - a request that is under way, and what came back of it. */
#ifndef SF_COORD_ZOOKEEPER_REPLY_H
#define SF_COORD_ZOOKEEPER_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/zookeeper/job.h"
#include "coord/zookeeper/multi.h"
#include "coord/zookeeper/wire.h"

struct sf_zk_call;
typedef void sf_zk_done(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call);

struct sf_zk_call {
    struct sf_zk_call *next; /* the one that was sent after it */
    enum sf_zk_op op;
    int32_t xid;
    struct sf_zk_job *job; /* NULL: nobody waits any more */
    sf_zk_done *done;
    size_t index;
    int64_t sent_ns;
    size_t request_size;
    struct sf_zk_multi *multi;
    /* The answer. */
    int rc;
    bool has_stat;
    struct sf_zk_stat stat;
    char *data; /* NUL-terminated behind size bytes; NULL: none */
    size_t size;
    char **names;
    size_t name_count;
};

/* What was answered (code: that of its header), into the call, whose answer stays empty unless the
 * bytes are an answer to just that. Returns whether they are. Pure. */
bool sf_zk_reply_take(struct sf_zk_call *call, int code, struct sf_zk_reader *from);
void sf_zk_call_free(struct sf_zk_call *call);

#endif
