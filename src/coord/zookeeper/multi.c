/* coord/zookeeper/multi.c - see multi.h. */
#include "coord/zookeeper/multi.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct sf_zk_multi *sf_zk_multi_create(int count)
{
    struct sf_zk_multi *multi = calloc(1, sizeof *multi);
    SF_ASSERT(multi != NULL);
    multi->ops = calloc((size_t)count, sizeof *multi->ops);
    multi->results = calloc((size_t)count, sizeof *multi->results);
    multi->stats = calloc((size_t)count, sizeof *multi->stats);
    multi->strings = calloc((size_t)count * 2, sizeof *multi->strings);
    SF_ASSERT(multi->ops != NULL && multi->results != NULL && multi->stats != NULL &&
              multi->strings != NULL);
    return multi;
}

void sf_zk_multi_free(struct sf_zk_multi *multi)
{
    if (multi == NULL)
        return;
    for (int i = 0; i < multi->count * 2; i++)
        free(multi->strings[i]);
    free(multi->strings);
    free(multi->stats);
    free(multi->results);
    free(multi->ops);
    free(multi);
}

static const char *keep(struct sf_zk_multi *multi, int which, const char *text)
{
    char *copy = strdup(text);
    SF_ASSERT(copy != NULL);
    multi->strings[multi->count * 2 + which] = copy;
    return copy;
}

int sf_zk_wire_version(uint64_t version)
{
    SF_ASSERT(version <= SF_ZK_VERSION_MAX);
    return (int)version;
}

void sf_zk_multi_check(struct sf_zk_multi *multi, const char *path, uint64_t version)
{
    zoo_check_op_init(&multi->ops[multi->count], keep(multi, 0, path), sf_zk_wire_version(version));
    multi->count++;
}

void sf_zk_multi_check_exists(struct sf_zk_multi *multi, const char *path)
{
    zoo_check_op_init(&multi->ops[multi->count], keep(multi, 0, path), -1);
    multi->count++;
}

void sf_zk_multi_set(struct sf_zk_multi *multi, const char *path, const char *content,
                     uint64_t version)
{
    const char *kept = keep(multi, 1, content);
    zoo_set_op_init(&multi->ops[multi->count], keep(multi, 0, path), kept, (int)strlen(kept),
                    sf_zk_wire_version(version), &multi->stats[multi->count]);
    multi->count++;
}

void sf_zk_multi_create_node(struct sf_zk_multi *multi, const char *path, const char *content,
                             const struct ACL_vector *acl)
{
    const char *kept = keep(multi, 1, content);
    zoo_create_op_init(&multi->ops[multi->count], keep(multi, 0, path), kept, (int)strlen(kept),
                       acl, 0, NULL, 0);
    multi->count++;
}

void sf_zk_multi_touch(struct sf_zk_multi *multi, const char *path)
{
    zoo_set_op_init(&multi->ops[multi->count], keep(multi, 0, path), "", 0, -1,
                    &multi->stats[multi->count]);
    multi->count++;
}

void sf_zk_multi_delete(struct sf_zk_multi *multi, const char *path)
{
    zoo_delete_op_init(&multi->ops[multi->count], keep(multi, 0, path), -1);
    multi->count++;
}
