/* coord/zookeeper/tree.c - see tree.h. */
#include "coord/zookeeper/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/zookeeper/acl.h"
#include "coord/zookeeper/answer.h"

#define BATCH 64 /* records in one multi */

/* The root. */

static size_t chroot_parts(const char *chroot)
{
    size_t count = 0;
    for (; *chroot != '\0'; chroot++)
        count += *chroot == '/';
    return count;
}

/* The first `parts` parts of the root: the chroot's, then /snowfleet, then the fleet's own. */
static void root_prefix(const struct sf_zk *z, size_t parts, char to[SF_ZK_PATH_MAX])
{
    const char *at = z->options.root;
    for (size_t i = 0; i < parts; i++)
        at += 1 + strcspn(at + 1, "/");
    snprintf(to, SF_ZK_PATH_MAX, "%.*s", (int)(at - z->options.root), z->options.root);
}

static void root_made(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_making *making = job->work;
    const struct sf_refusal raced =
        sf_refusal_config_raced(z->options.root, job->request.u.init.after_data_loss);
    if (call->index < making->shared) {
        /* Where we may not create, the directory may still be there: its children will tell. */
        if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NODE_EXISTS && call->rc != SF_ZK_NO_AUTH)
            sf_zk_finish_rc(z, job, call->rc, "making the directories above the fleet");
    } else if (call->rc == SF_ZK_NODE_EXISTS) {
        sf_zk_refuse(z, job, &raced);
    } else if (call->rc != SF_ZK_OK) {
        sf_zk_finish_rc(z, job, call->rc, "making the fleet's root");
    } else {
        SF_ASSERT(call->has_stat);
        making->root = sf_zk_version_of(&call->stat);
    }
}

static int issue_root(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_making *making = job->work;
    char path[SF_ZK_PATH_MAX];
    root_prefix(z, index + 1, path);
    const struct sf_zk_acl *acl =
        index < making->shared ? sf_zk_acl_shared() : sf_zk_acl_directory(&z->options);
    return sf_zk_create(z, job, index, path, "", acl, 0, root_made);
}

void sf_zk_make_root(struct sf_zk *z, struct sf_zk_job *job,
                     void (*then)(struct sf_zk *z, struct sf_zk_job *job))
{
    struct sf_zk_making *making = job->work;
    making->shared = chroot_parts(z->options.url.path) + 1;
    sf_zk_phase(z, job, making->shared + 1, issue_root, then);
}

/* The tree, from its last part to its first, as the phases call each other. */

static void part_made(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    /* What is there already is of the same token, and so of the same request that is made again. */
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NODE_EXISTS)
        sf_zk_finish_rc(z, job, call->rc, "making the fleet's tree");
}

static int issue_state(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_making *making = job->work;
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    char path[SF_ZK_PATH_MAX];
    char *content = sf_record_state_encode(state);
    free(state);
    sf_zk_state_path(z, path, making->config.token);
    const int rc =
        sf_zk_create(z, job, index, path, content, sf_zk_acl_record(&z->options), 0, part_made);
    free(content);
    return rc;
}

static size_t record_count(const struct sf_coord_config *config)
{
    return sf_init_datacenter_count(config) * sf_init_worker_count(config);
}

static void add_record(const struct sf_zk *z, const struct sf_zk_job *job,
                       struct sf_zk_multi *multi, size_t index)
{
    const struct sf_zk_making *making = job->work;
    const struct sf_coord_config *config = &making->config;
    const size_t workers = sf_init_worker_count(config);
    const uint64_t datacenter = sf_init_datacenter(config, index / workers);
    const uint64_t worker = index % workers;
    struct sf_coord_slot slot;
    char path[SF_ZK_PATH_MAX];
    sf_init_slot(&job->request.u.init, config->floor_ms, datacenter, worker, config->created_ms,
                 &slot);
    char *content = sf_record_slot_encode(&slot);
    sf_zk_slot_path(z, path, config->token, datacenter, worker);
    sf_zk_multi_make(multi, SF_ZK_PLAIN, path, content, sf_zk_acl_record(&z->options), 0);
    free(content);
}

static int issue_batch(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_making *making = job->work;
    const size_t first = index * BATCH, left = record_count(&making->config) - first;
    const size_t count = left < BATCH ? left : BATCH;
    struct sf_zk_multi *multi = sf_zk_multi_create((int)count);
    for (size_t i = 0; i < count; i++)
        add_record(z, job, multi, first + i);
    return sf_zk_multi_send(z, job, index, multi, part_made);
}

static int issue_directory(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    static const char *const parts[] = {"", "/slots", "/claims"};
    const struct sf_zk_making *making = job->work;
    const struct sf_coord_config *config = &making->config;
    const struct sf_zk_acl *acl = sf_zk_acl_directory(&z->options);
    char path[SF_ZK_PATH_MAX];
    if (index < 2) {
        sf_zk_path(z, path, "/%.32s%s", config->token, index == 0 ? "" : "/dc");
    } else {
        const size_t rest = index - 2;
        sf_zk_path(z, path, "/%.32s/dc/%" PRIu64 "%s", config->token,
                   sf_init_datacenter(config, rest / 3), parts[rest % 3]);
        if (rest % 3 == 1)
            acl = sf_zk_acl_slots(&z->options);
    }
    return sf_zk_create(z, job, index, path, "", acl, 0, part_made);
}

static void make_state(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_making *making = job->work;
    sf_zk_phase(z, job, 1, issue_state, making->made);
}

static void make_records(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_making *making = job->work;
    const size_t total = record_count(&making->config);
    sf_zk_phase(z, job, (total + BATCH - 1) / BATCH, issue_batch, make_state);
}

void sf_zk_make_tree(struct sf_zk *z, struct sf_zk_job *job,
                     void (*then)(struct sf_zk *z, struct sf_zk_job *job))
{
    struct sf_zk_making *making = job->work;
    making->made = then;
    sf_zk_phase(z, job, 2 + 3 * sf_init_datacenter_count(&making->config), issue_directory,
                make_records);
}
