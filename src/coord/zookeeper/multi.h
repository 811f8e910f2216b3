/* coord/zookeeper/multi.h - a multi (several ops in one step) while it is filled: ops, results,
 * stats and strings live until the answer has been dealt with. */
#ifndef SF_COORD_ZOOKEEPER_MULTI_H
#define SF_COORD_ZOOKEEPER_MULTI_H

#include <stdint.h>

#include "coord/zookeeper/library.h"

struct sf_zk_multi {
    int count;
    zoo_op_t *ops;
    zoo_op_result_t *results;
    struct Stat *stats;
    char **strings; /* paths and contents; two for each op */
};

/* For at most count ops. Never NULL (aborts when memory is out). */
struct sf_zk_multi *sf_zk_multi_create(int count);
/* NULL is fine. */
void sf_zk_multi_free(struct sf_zk_multi *multi);
void sf_zk_multi_check(struct sf_zk_multi *multi, const char *path, uint64_t version);
void sf_zk_multi_check_exists(struct sf_zk_multi *multi, const char *path);
void sf_zk_multi_set(struct sf_zk_multi *multi, const char *path, const char *content,
                     uint64_t version);
void sf_zk_multi_create_node(struct sf_zk_multi *multi, const char *path, const char *content,
                             const struct ACL_vector *acl);
/* Writes nothing into a directory, whatever its version: it wakes who watches the directory. */
void sf_zk_multi_touch(struct sf_zk_multi *multi, const char *path);
void sf_zk_multi_delete(struct sf_zk_multi *multi, const char *path);

/* -1 would mean "any version" to the server: a version must never get there by a wrap. Asserts that
 * it is at most SF_ZK_VERSION_MAX. */
int sf_zk_wire_version(uint64_t version);

#endif
