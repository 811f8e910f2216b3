/* fakes/fake_ops.c - see fake_ops.h. */
#include "fakes/fake_ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/request.h"

#define PATH_SIZE 256

static void refuse(struct sf_fake_job *job, struct sf_refusal refusal)
{
    job->to->outcome = SF_COORD_REFUSED;
    job->to->reason = refusal.reason;
    memcpy(job->to->text, refusal.text, sizeof job->to->text);
}

/* The path that refusals name. */
static const char *root_of(const struct sf_fake_job *job)
{
    return job->fleet;
}

static void config_path(const struct sf_fake_job *job, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/%s/config", job->fleet);
}

static void slot_path(const struct sf_fake_job *job, uint64_t datacenter, uint64_t worker,
                      char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/%s/dc/%" PRIu64 "/slots/%" PRIu64, job->fleet, datacenter, worker);
}

static void claim_path(const struct sf_fake_job *job, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/%s/dc/%" PRIu64 "/claims/%s", job->fleet, job->request->datacenter,
             name);
}

/* Slot 0 stands for its datacenter: INIT makes every record. */
static bool datacenter_exists(const struct sf_fake_job *job, const struct sf_fake_tree *tree)
{
    char prefix[PATH_SIZE];
    snprintf(prefix, sizeof prefix, "/%s/dc/%" PRIu64 "/", job->fleet, job->request->datacenter);
    size_t at = sf_fake_tree_first(tree, prefix);
    return at < tree->count && strncmp(tree->nodes[at].path, prefix, strlen(prefix)) == 0;
}

/* What is there of the config: ret is filled when it is OK, err when it is garbage. */
static enum sf_coord_record_state look_at_config(const struct sf_fake_job *job,
                                                 const struct sf_fake_tree *tree,
                                                 struct sf_coord_config *ret, struct sf_error *err)
{
    char path[PATH_SIZE];
    config_path(job, path);
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    if (node == NULL)
        return SF_COORD_RECORD_MISSING;
    if (sf_record_config_decode(node->bytes, node->size, ret, err) < 0)
        return SF_COORD_RECORD_GARBAGE;
    ret->version = node->version;
    return SF_COORD_RECORD_OK;
}

static bool load_config(struct sf_fake_job *job, const struct sf_fake_tree *tree,
                        struct sf_coord_config *ret)
{
    struct sf_error err = {0};
    switch (look_at_config(job, tree, ret, &err)) {
    case SF_COORD_RECORD_MISSING:
        refuse(job, sf_refusal_no_fleet(root_of(job)));
        return false;
    case SF_COORD_RECORD_GARBAGE:
        refuse(job, sf_refusal_config_garbage(root_of(job), err.text));
        return false;
    case SF_COORD_RECORD_OK:
        break;
    }
    return true;
}

/* What is there of a slot; err: why it is garbage. */
static void look_at_slot(const struct sf_fake_job *job, const struct sf_fake_tree *tree,
                         uint64_t datacenter, uint64_t worker, struct sf_coord_slot *ret,
                         struct sf_error *err)
{
    char path[PATH_SIZE];
    slot_path(job, datacenter, worker, path);
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    *ret = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
    if (node == NULL)
        return;
    if (sf_record_slot_decode(node->bytes, node->size, worker, ret, err) < 0)
        ret->state = SF_COORD_RECORD_GARBAGE;
    ret->version = node->version;
}

static void load_slot(const struct sf_fake_job *job, const struct sf_fake_tree *tree,
                      uint64_t worker, struct sf_coord_slot *ret)
{
    struct sf_error err = {0};
    look_at_slot(job, tree, job->request->datacenter, worker, ret, &err);
    if (ret->state == SF_COORD_RECORD_GARBAGE && job->to->text[0] == '\0')
        memcpy(
            job->to->text,
            sf_refusal_slot_garbage(root_of(job), job->request->datacenter, worker, err.text).text,
            sizeof job->to->text);
}

static struct sf_coord_version store_slot(struct sf_fake_job *job, uint64_t datacenter,
                                          const struct sf_coord_slot *slot)
{
    char path[PATH_SIZE];
    slot_path(job, datacenter, slot->worker, path);
    char *record = sf_record_slot_encode(slot);
    struct sf_coord_version version =
        sf_fake_tree_put(job->tree, path, record, strlen(record), 0)->version;
    free(record);
    job->changed(job->changed_ctx, path);
    return version;
}

static void do_read_config(struct sf_fake_job *job)
{
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    if (load_config(job, job->reads, config))
        job->to->config = config;
    else
        free(config);
}

/* Returns false when it is refused. */
static bool init_slot(struct sf_fake_job *job, uint64_t datacenter, uint64_t worker)
{
    struct sf_coord_slot found, slot;
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    look_at_slot(job, job->tree, datacenter, worker, &found, &err);
    switch (sf_init_plan_slot(&job->request->u.init, root_of(job), datacenter, &found, err.text,
                              job->now_ms, &slot, &refusal)) {
    case SF_INIT_KEEP:
        break;
    case SF_INIT_WRITE:
        store_slot(job, datacenter, &slot);
        break;
    case SF_INIT_REFUSED:
        refuse(job, refusal);
        return false;
    }
    return true;
}

static void store_config(struct sf_fake_job *job, struct sf_coord_config *config)
{
    char path[PATH_SIZE];
    config_path(job, path);
    char *record = sf_record_config_encode(config);
    config->version = sf_fake_tree_put(job->tree, path, record, strlen(record), 0)->version;
    free(record);
}

static void do_init(struct sf_fake_job *job)
{
    struct sf_coord_config there = {.incarnation = 0};
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    bool first = false;
    const struct sf_init_found found = {
        .state = look_at_config(job, job->tree, &there, &err), .config = &there, .why = err.text};
    bool ok = sf_init_plan_config(&job->request->u.init, root_of(job), &found, config, &first,
                                  &refusal) == 0;
    if (!ok)
        refuse(job, refusal);
    if (ok && first)
        store_config(job, config);
    const size_t workers = ok ? sf_init_worker_count(config) : 0;
    for (size_t i = 0; ok && i < sf_init_datacenter_count(config); i++)
        for (uint64_t worker = 0; ok && worker < workers; worker++)
            ok = init_slot(job, sf_init_datacenter(config, i), worker);
    if (ok && !first)
        store_config(job, config);
    if (ok)
        job->to->config = config;
    else
        free(config);
}

static void list_claims(struct sf_fake_job *job)
{
    char prefix[PATH_SIZE];
    claim_path(job, "", prefix);
    size_t first = sf_fake_tree_first(job->reads, prefix), end = first;
    while (end < job->reads->count &&
           strncmp(job->reads->nodes[end].path, prefix, strlen(prefix)) == 0)
        end++;
    job->to->claims = calloc(end - first + 1, sizeof *job->to->claims);
    SF_ASSERT(job->to->claims != NULL);
    for (size_t i = first; i < end; i++) {
        const struct sf_fake_node *node = &job->reads->nodes[i];
        struct sf_coord_claim *claim = &job->to->claims[job->to->claim_count];
        *claim = (struct sf_coord_claim){.slot = -1};
        const char *name = node->path + strlen(prefix);
        if (sf_claim_name_parse(name, claim->guid, &claim->fence) < 0)
            continue;
        snprintf(claim->name, sizeof claim->name, "%s", name);
        (void)sf_record_claim_decode(node->bytes, node->size, claim, NULL);
        job->to->claim_count++;
    }
    sf_claims_sort(job->to->claims, job->to->claim_count);
}

static void do_list(struct sf_fake_job *job)
{
    struct sf_coord_config config = {.floor_ms = 0};
    if (!load_config(job, job->reads, &config))
        return;
    if (!sf_config_has_datacenter(&config, job->request->datacenter) ||
        !datacenter_exists(job, job->reads)) {
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
        return;
    }
    job->to->slot_count = (size_t)sf_layout_max_worker(&config.layout) + 1;
    job->to->slots = calloc(job->to->slot_count, sizeof *job->to->slots);
    SF_ASSERT(job->to->slots != NULL);
    for (size_t i = 0; i < job->to->slot_count; i++)
        load_slot(job, job->reads, i, &job->to->slots[i]);
    list_claims(job);
}

static void do_read_slot(struct sf_fake_job *job)
{
    if (!datacenter_exists(job, job->reads)) {
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
        return;
    }
    job->to->slots = calloc(1, sizeof *job->to->slots);
    SF_ASSERT(job->to->slots != NULL);
    job->to->slot_count = 1;
    load_slot(job, job->reads, job->request->u.worker, job->to->slots);
}

static void put_claim(struct sf_fake_job *job, const struct sf_coord_claim *claim)
{
    char path[PATH_SIZE];
    claim_path(job, claim->name, path);
    char *record = sf_record_claim_encode(claim);
    sf_fake_tree_put(job->tree, path, record, strlen(record), job->session);
    free(record);
    job->changed(job->changed_ctx, path);
}

static void do_claim(struct sf_fake_job *job)
{
    if (!datacenter_exists(job, job->tree)) {
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
        return;
    }
    struct sf_coord_claim claim = sf_request_claim(&job->request->u.claim, -1, job->now_ms);
    claim.fence = job->tree->revision + 1;
    sf_claim_name_format(claim.guid, claim.fence, claim.name);
    put_claim(job, &claim);
    job->to->claims = calloc(1, sizeof claim);
    SF_ASSERT(job->to->claims != NULL);
    job->to->claims[0] = claim;
    job->to->claim_count = 1;
}

static void do_unclaim(struct sf_fake_job *job)
{
    char path[PATH_SIZE];
    claim_path(job, job->request->u.claim_name, path);
    job->changed(job->changed_ctx, path);
    sf_fake_tree_delete(job->tree, path);
}

static bool conditions_hold(struct sf_fake_job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const struct sf_fake_tree *tree = job->tree;
    const uint64_t worker = write->slot.worker;
    char path[PATH_SIZE];
    struct sf_coord_config config = {.floor_ms = 0};
    struct sf_coord_slot there;
    struct sf_error err = {0};
    if (job->request->op != SF_COORD_RELEASE && !load_config(job, tree, &config))
        return false;
    claim_path(job, write->slot.claim, path);
    look_at_slot(job, tree, job->request->datacenter, worker, &there, &err);
    if (job->request->op != SF_COORD_RELEASE && !sf_version_same(&config.version, &write->config))
        refuse(job, sf_refusal_config_changed(write->config.version));
    else if (sf_fake_tree_find(tree, path) == NULL)
        refuse(job, sf_refusal_claim_gone(write->slot.claim));
    else if (there.state == SF_COORD_RECORD_MISSING)
        refuse(job, sf_refusal_slot_missing(worker));
    else if (there.state == SF_COORD_RECORD_GARBAGE)
        refuse(job,
               sf_refusal_slot_garbage(root_of(job), job->request->datacenter, worker, err.text));
    else if (!sf_version_same(&there.version, &write->expected))
        refuse(job, sf_refusal_slot_version(worker, write->expected.version));
    return job->to->outcome == SF_COORD_DONE;
}

static void do_write(struct sf_fake_job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    struct sf_coord_claim claim = sf_request_bound_claim(write);
    if (!conditions_hold(job))
        return;
    memcpy(claim.name, write->slot.claim, sizeof claim.name);
    job->to->version = store_slot(job, job->request->datacenter, &write->slot);
    if (job->request->op == SF_COORD_BIND) {
        put_claim(job, &claim);
    } else if (job->request->op == SF_COORD_RELEASE) {
        char path[PATH_SIZE];
        claim_path(job, claim.name, path);
        sf_fake_tree_delete(job->tree, path);
    }
}

static void do_watch(struct sf_fake_job *job)
{
    if (!datacenter_exists(job, job->reads))
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
    else
        job->watching[job->request->datacenter] = true;
}

void sf_fake_execute(struct sf_fake_job *job)
{
    static void (*const table[SF_COORD_OPS])(struct sf_fake_job *) = {
        [SF_COORD_READ_CONFIG] = do_read_config,
        [SF_COORD_INIT] = do_init,
        [SF_COORD_LIST] = do_list,
        [SF_COORD_READ_SLOT] = do_read_slot,
        [SF_COORD_CLAIM] = do_claim,
        [SF_COORD_UNCLAIM] = do_unclaim,
        [SF_COORD_BIND] = do_write,
        [SF_COORD_RENEW] = do_write,
        [SF_COORD_RELEASE] = do_write,
        [SF_COORD_WATCH] = do_watch};
    table[job->request->op](job);
}
