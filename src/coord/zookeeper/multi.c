/* coord/zookeeper/multi.c - see multi.h. */
#include "coord/zookeeper/multi.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/zookeeper/shared.h"

#define ANY_VERSION (-1)

struct sf_zk_multi *sf_zk_multi_create(int count)
{
    struct sf_zk_multi *multi = calloc(1, sizeof *multi);
    SF_ASSERT(multi != NULL);
    multi->ops = calloc((size_t)count, sizeof *multi->ops);
    multi->results = calloc((size_t)count, sizeof *multi->results);
    multi->stats = calloc((size_t)count, sizeof *multi->stats);
    multi->kept = calloc((size_t)count, sizeof *multi->kept);
    SF_ASSERT(multi->ops != NULL && multi->results != NULL && multi->stats != NULL &&
              multi->kept != NULL);
    return multi;
}

void sf_zk_multi_free(struct sf_zk_multi *multi)
{
    if (multi == NULL)
        return;
    for (int i = 0; i < multi->count; i++) {
        free(multi->kept[i].path);
        free(multi->kept[i].content);
        free(multi->kept[i].made);
    }
    free(multi->kept);
    free(multi->stats);
    free(multi->results);
    free(multi->ops);
    free(multi);
}

static char *keep(const char *text)
{
    char *copy = strdup(text);
    SF_ASSERT(copy != NULL);
    return copy;
}

/* -1 would mean "any version" to the server: a version must never get there by a wrap. */
static int wire_version(uint64_t version)
{
    SF_ASSERT(version <= SF_ZK_VERSION_MAX);
    return (int)version;
}

static zoo_op_t *add(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path)
{
    multi->kept[multi->count].condition = condition;
    multi->kept[multi->count].path = keep(path);
    return &multi->ops[multi->count++];
}

static struct sf_zk_multi_kept *last(struct sf_zk_multi *multi)
{
    return &multi->kept[multi->count - 1];
}

void sf_zk_multi_check(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                       uint64_t version)
{
    zoo_op_t *op = add(multi, condition, path);
    zoo_check_op_init(op, last(multi)->path, wire_version(version));
}

void sf_zk_multi_check_exists(struct sf_zk_multi *multi, enum sf_zk_condition condition,
                              const char *path)
{
    zoo_op_t *op = add(multi, condition, path);
    zoo_check_op_init(op, last(multi)->path, ANY_VERSION);
}

static void add_set(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                    const char *content, int version)
{
    zoo_op_t *op = add(multi, condition, path);
    last(multi)->content = keep(content);
    zoo_set_op_init(op, last(multi)->path, last(multi)->content, (int)strlen(content), version,
                    &multi->stats[multi->count - 1]);
}

void sf_zk_multi_set(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                     const char *content, uint64_t version)
{
    add_set(multi, condition, path, content, wire_version(version));
}

void sf_zk_multi_touch(struct sf_zk_multi *multi, const char *path)
{
    add_set(multi, SF_ZK_PLAIN, path, "", ANY_VERSION);
}

void sf_zk_multi_make(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                      const char *content, const struct ACL_vector *acl, int mode)
{
    zoo_op_t *op = add(multi, condition, path);
    struct sf_zk_multi_kept *kept = last(multi);
    kept->content = keep(content);
    kept->made = calloc(1, SF_ZK_PATH_MAX);
    SF_ASSERT(kept->made != NULL);
    zoo_create_op_init(op, kept->path, kept->content, (int)strlen(content), acl, mode, kept->made,
                       SF_ZK_PATH_MAX);
}

static void add_delete(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                       int version)
{
    zoo_op_t *op = add(multi, condition, path);
    zoo_delete_op_init(op, last(multi)->path, version);
}

void sf_zk_multi_delete(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                        uint64_t version)
{
    add_delete(multi, condition, path, wire_version(version));
}

void sf_zk_multi_delete_claim(struct sf_zk_multi *multi, const char *path)
{
    add_delete(multi, SF_ZK_CLAIM, path, ANY_VERSION);
}

void sf_zk_multi_check_absent(struct sf_zk_multi *multi, enum sf_zk_condition condition,
                              const char *path, const struct ACL_vector *acl)
{
    sf_zk_multi_make(multi, condition, path, "", acl, 0);
    sf_zk_multi_delete(multi, condition, path, 0);
}

/* Answers. */

int sf_zk_multi_failed(const struct sf_zk_multi *multi, enum sf_zk_condition *ret_condition)
{
    for (int i = 0; i < multi->count; i++) {
        const int rc = multi->results[i].err;
        if (rc == ZOK || rc == ZRUNTIMEINCONSISTENCY)
            continue; /* not this one: -2 marks what was not run since another failed */
        *ret_condition = multi->kept[i].condition;
        return rc;
    }
    return ZOK;
}

static int find(const struct sf_zk_multi *multi, enum sf_zk_condition condition, int type)
{
    int i = 0;
    while (i < multi->count &&
           (multi->kept[i].condition != condition || multi->ops[i].type != type))
        i++;
    SF_ASSERT(i < multi->count);
    return i;
}

const struct Stat *sf_zk_multi_stat(const struct sf_zk_multi *multi, enum sf_zk_condition condition)
{
    return &multi->stats[find(multi, condition, ZOO_SETDATA_OP)];
}

const char *sf_zk_multi_made(const struct sf_zk_multi *multi, enum sf_zk_condition condition)
{
    return multi->kept[find(multi, condition, ZOO_CREATE_OP)].made;
}
