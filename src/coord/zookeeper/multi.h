/* coord/zookeeper/multi.h - a multi: several parts that are done in one step or not at all. It is
 * filled, sent, and holds the answer. Backend thread only. */
#ifndef SF_COORD_ZOOKEEPER_MULTI_H
#define SF_COORD_ZOOKEEPER_MULTI_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/zookeeper/wire.h"

/* What an op is about, and so what it means that it fails. */
enum sf_zk_condition {
    SF_ZK_PLAIN, /* nothing of its own */
    SF_ZK_ROOT,
    SF_ZK_CONFIG,
    SF_ZK_CURRENT, /* current-<token> */
    SF_ZK_STATE,
    SF_ZK_CLAIM,
    SF_ZK_CLAIMS, /* their directory, in which a claim is made */
    SF_ZK_SLOT
};

struct sf_zk_multi {
    int count, room;
    struct sf_zk_part {
        enum sf_zk_op op;
        enum sf_zk_condition condition;
        char *path, *content;
        int version; /* -1: any */
        const struct sf_zk_acl *acl;
        int mode;
        /* The answer. */
        int rc;
        struct sf_zk_stat stat; /* of SET */
        char *made;             /* of CREATE: the path; NULL: none yet */
    } * parts;
};

/* For at most count ops. Never NULL (aborts when memory is out). */
struct sf_zk_multi *sf_zk_multi_create(int count);
/* NULL is fine. */
void sf_zk_multi_free(struct sf_zk_multi *multi);

void sf_zk_multi_check(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                       uint64_t version);
/* By its name: at whatever version. */
void sf_zk_multi_check_exists(struct sf_zk_multi *multi, enum sf_zk_condition condition,
                              const char *path);
void sf_zk_multi_set(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                     const char *content, uint64_t version);
/* mode: bits of how nodes are made; of a sequential one sf_zk_multi_made tells the name. */
void sf_zk_multi_make(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                      const char *content, const struct sf_zk_acl *acl, int mode);
void sf_zk_multi_delete(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                        uint64_t version);
/* The node is not there: two ops, since ZooKeeper has no such check. */
void sf_zk_multi_check_absent(struct sf_zk_multi *multi, enum sf_zk_condition condition,
                              const char *path, const struct sf_zk_acl *acl);
/* The two that ask for no version. A claim's name is used once (it carries a fresh GUID). Touching
 * writes nothing into a directory: it wakes who watches it. */
void sf_zk_multi_delete_claim(struct sf_zk_multi *multi, const char *path);
void sf_zk_multi_touch(struct sf_zk_multi *multi, const char *path);

/* The parts, as the body of a request. */
void sf_zk_multi_put(const struct sf_zk_multi *multi, struct sf_zk_bytes *to);
/* The body of an answer, which breaks `from` unless it is one to these very parts. Returns OK, or
 * the code of the part that failed. */
int sf_zk_multi_take(struct sf_zk_multi *multi, struct sf_zk_reader *from);

/* Of an answer. Which op failed: its code, and what it is about; SF_ZK_OK: none is marked. */
int sf_zk_multi_failed(const struct sf_zk_multi *multi, enum sf_zk_condition *ret_condition);
/* What came back of the op about that: a set's stat, a made node's path. There must be one. */
const struct sf_zk_stat *sf_zk_multi_stat(const struct sf_zk_multi *multi,
                                          enum sf_zk_condition condition);
const char *sf_zk_multi_made(const struct sf_zk_multi *multi, enum sf_zk_condition condition);

#endif
