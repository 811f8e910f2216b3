/* coord/zookeeper/multi.c - see multi.h. */
#include "coord/zookeeper/multi.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ANY_VERSION (-1)

struct sf_zk_multi *sf_zk_multi_create(int count)
{
    struct sf_zk_multi *multi = calloc(1, sizeof *multi);
    SF_ASSERT(multi != NULL);
    multi->room = count;
    multi->parts = calloc((size_t)count, sizeof *multi->parts);
    SF_ASSERT(multi->parts != NULL);
    return multi;
}

void sf_zk_multi_free(struct sf_zk_multi *multi)
{
    if (multi == NULL)
        return;
    for (int i = 0; i < multi->count; i++) {
        free(multi->parts[i].path);
        free(multi->parts[i].content);
        free(multi->parts[i].made);
    }
    free(multi->parts);
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

static struct sf_zk_part *add(struct sf_zk_multi *multi, enum sf_zk_op op,
                              enum sf_zk_condition condition, const char *path, int version)
{
    SF_ASSERT(multi->count < multi->room);
    struct sf_zk_part *part = &multi->parts[multi->count++];
    part->op = op;
    part->condition = condition;
    part->path = keep(path);
    part->version = version;
    return part;
}

void sf_zk_multi_check(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                       uint64_t version)
{
    add(multi, SF_ZK_CHECK_PART, condition, path, wire_version(version));
}

void sf_zk_multi_check_exists(struct sf_zk_multi *multi, enum sf_zk_condition condition,
                              const char *path)
{
    add(multi, SF_ZK_CHECK_PART, condition, path, ANY_VERSION);
}

void sf_zk_multi_set(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                     const char *content, uint64_t version)
{
    add(multi, SF_ZK_SET_PART, condition, path, wire_version(version))->content = keep(content);
}

void sf_zk_multi_touch(struct sf_zk_multi *multi, const char *path)
{
    add(multi, SF_ZK_SET_PART, SF_ZK_PLAIN, path, ANY_VERSION)->content = keep("");
}

void sf_zk_multi_make(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                      const char *content, const struct sf_zk_acl *acl, int mode)
{
    struct sf_zk_part *part = add(multi, SF_ZK_CREATE_PART, condition, path, 0);
    part->content = keep(content);
    part->acl = acl;
    part->mode = mode;
}

void sf_zk_multi_delete(struct sf_zk_multi *multi, enum sf_zk_condition condition, const char *path,
                        uint64_t version)
{
    add(multi, SF_ZK_DELETE, condition, path, wire_version(version));
}

void sf_zk_multi_delete_claim(struct sf_zk_multi *multi, const char *path)
{
    add(multi, SF_ZK_DELETE, SF_ZK_CLAIM, path, ANY_VERSION);
}

void sf_zk_multi_check_absent(struct sf_zk_multi *multi, enum sf_zk_condition condition,
                              const char *path, const struct sf_zk_acl *acl)
{
    sf_zk_multi_make(multi, condition, path, "", acl, 0);
    sf_zk_multi_delete(multi, condition, path, 0);
}

/* On the wire: each part behind a header of its own, and a last header. */

static void put_header(struct sf_zk_bytes *to, int op, bool last)
{
    sf_zk_put_int(to, op);
    sf_zk_put_bool(to, last);
    sf_zk_put_int(to, -1);
}

void sf_zk_multi_put(const struct sf_zk_multi *multi, struct sf_zk_bytes *to)
{
    for (int i = 0; i < multi->count; i++) {
        const struct sf_zk_part *part = &multi->parts[i];
        put_header(to, part->op, false);
        sf_zk_put_text(to, part->path);
        if (part->content != NULL)
            sf_zk_put_text(to, part->content);
        if (part->op == SF_ZK_CREATE_PART) {
            sf_zk_put_acl(to, part->acl);
            sf_zk_put_int(to, part->mode);
        } else {
            sf_zk_put_int(to, part->version);
        }
    }
    put_header(to, -1, true);
}

/* Says whether it is an error. */
static bool take_part(struct sf_zk_part *part, struct sf_zk_reader *from)
{
    const int op = sf_zk_take_int(from);
    const bool last = sf_zk_take_bool(from);
    (void)sf_zk_take_int(from);
    if (last || (op != (int)part->op && op != SF_ZK_ERROR))
        from->broken = true;
    else if (op == SF_ZK_ERROR)
        part->rc = sf_zk_take_int(from);
    else if (op == SF_ZK_SET_PART)
        sf_zk_take_stat(from, &part->stat);
    else if (op == SF_ZK_CREATE_PART)
        part->made = sf_zk_take_text(from);
    if (part->rc > 0)
        from->broken = true;
    return op == SF_ZK_ERROR;
}

int sf_zk_multi_take(struct sf_zk_multi *multi, struct sf_zk_reader *from)
{
    int rc = SF_ZK_OK, errors = 0;
    for (int i = 0; i < multi->count && !from->broken; i++) {
        struct sf_zk_part *part = &multi->parts[i];
        errors += take_part(part, from);
        if (rc == SF_ZK_OK && part->rc != SF_ZK_NOT_RUN)
            rc = part->rc;
    }
    const int end = sf_zk_take_int(from);
    const bool last = sf_zk_take_bool(from);
    (void)sf_zk_take_int(from);
    /* All were done; or none, and one of them says why. */
    if (end != SF_ZK_ERROR || !last || errors != (rc == SF_ZK_OK ? 0 : multi->count))
        from->broken = true;
    return rc;
}

/* Answers. */

int sf_zk_multi_failed(const struct sf_zk_multi *multi, enum sf_zk_condition *ret_condition)
{
    for (int i = 0; i < multi->count; i++) {
        const int rc = multi->parts[i].rc;
        if (rc == SF_ZK_OK || rc == SF_ZK_NOT_RUN)
            continue; /* not this one: another failed */
        *ret_condition = multi->parts[i].condition;
        return rc;
    }
    return SF_ZK_OK;
}

static const struct sf_zk_part *find(const struct sf_zk_multi *multi,
                                     enum sf_zk_condition condition, enum sf_zk_op op)
{
    int i = 0;
    while (i < multi->count && (multi->parts[i].condition != condition || multi->parts[i].op != op))
        i++;
    SF_ASSERT(i < multi->count);
    return &multi->parts[i];
}

const struct sf_zk_stat *sf_zk_multi_stat(const struct sf_zk_multi *multi,
                                          enum sf_zk_condition condition)
{
    return &find(multi, condition, SF_ZK_SET_PART)->stat;
}

const char *sf_zk_multi_made(const struct sf_zk_multi *multi, enum sf_zk_condition condition)
{
    return find(multi, condition, SF_ZK_CREATE_PART)->made;
}
