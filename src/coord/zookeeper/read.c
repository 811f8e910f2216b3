/* coord/zookeeper/read.c - see read.h. */
#include "coord/zookeeper/read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"

static struct sf_coord_version version_of(const struct Stat *stat)
{
    return (struct sf_coord_version){(uint64_t)stat->czxid, (uint64_t)(uint32_t)stat->version};
}

int sf_zk_config_from(const struct sf_zk_call *call, struct sf_coord_config *ret,
                      struct sf_error *err)
{
    SF_ASSERT(call->rc == ZOK && call->has_stat);
    const int rc = sf_record_config_decode(call->data, call->size, ret, err);
    if (rc == 0)
        ret->version = version_of(&call->stat);
    return rc;
}

int sf_zk_slot_from(const struct sf_zk_call *call, uint64_t worker, struct sf_coord_slot *ret,
                    struct sf_error *err)
{
    SF_ASSERT(call->rc == ZOK && call->has_stat);
    const int rc = sf_record_slot_decode(call->data, call->size, worker, ret, err);
    if (rc < 0)
        return rc;
    ret->state = SF_COORD_RECORD_OK;
    ret->version = version_of(&call->stat);
    return 0;
}

static void slot_state(struct sf_zk *z, const struct sf_zk_call *call, uint64_t worker,
                       struct sf_coord_slot *ret)
{
    struct sf_error err = {0};
    if (call->rc == ZOK && sf_zk_slot_from(call, worker, ret, &err) == 0)
        return;
    const bool missing = call->rc == ZNONODE;
    *ret = (struct sf_coord_slot){
        .worker = worker, .state = missing ? SF_COORD_RECORD_MISSING : SF_COORD_RECORD_GARBAGE};
    if (missing)
        return;
    ret->version = version_of(&call->stat);
    char *text = call->job->event->completion.text;
    if (text[0] == '\0')
        memcpy(text,
               sf_refusal_slot_garbage(z->options.root, call->job->request.datacenter, worker,
                                       err.text)
                   .text,
               SF_COORD_TEXT_MAX);
    sf_log_limited(z->log, &z->garbage_limiter, 10000, SF_LOG_ERROR, "coordinator.garbage",
                   "the record of slot %" PRIu64 " is not one of ours: %s", worker, err.text);
}

/* A config that was read into the event, or the end of the job. */
static void take_config(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == ZNONODE) {
        const struct sf_refusal refusal = sf_refusal_no_fleet(z->options.root);
        sf_zk_refuse(z, job, &refusal);
        return;
    }
    if (call->rc != ZOK) {
        sf_zk_finish_rc(z, job, call->rc, "reading the fleet's config");
        return;
    }
    struct sf_coord_config *config = calloc(1, sizeof *config);
    struct sf_error err = {0};
    SF_ASSERT(config != NULL);
    if (sf_zk_config_from(call, config, &err) < 0) {
        const struct sf_refusal refusal = sf_refusal_config_garbage(z->options.root, err.text);
        free(config);
        sf_zk_refuse(z, job, &refusal);
        return;
    }
    job->event->completion.config = config;
}

void sf_zk_synced(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != ZOK && call->rc != ZNONODE && call->rc != ZNOAUTH)
        sf_zk_finish_rc(z, job, call->rc, "synchronising with the leader");
}

static int issue_config(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/config");
    return index == 0 ? sf_zk_sync(z, job, path, sf_zk_synced)
                      : sf_zk_get(z, job, index, path, take_config);
}

void sf_zk_read_config(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_config, sf_zk_finish_done);
}

/* READ_SLOT. */

void sf_zk_refuse_no_datacenter(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_refusal refusal =
        sf_refusal_no_datacenter(z->options.root, job->request.datacenter);
    sf_zk_refuse(z, job, &refusal);
}

static void take_directory(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == ZNONODE)
        sf_zk_refuse_no_datacenter(z, job);
    else if (call->rc != ZOK)
        sf_zk_finish_rc(z, job, call->rc, "looking at the datacenter");
}

static int issue_directory(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/dc/%" PRIu64 "/slots", job->request.datacenter);
    return sf_zk_exists(z, job, index, path, NULL, take_directory);
}

static void take_slot(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != ZOK && call->rc != ZNONODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading a slot");
        return;
    }
    struct sf_coord_slot *slot = calloc(1, sizeof *slot);
    SF_ASSERT(slot != NULL);
    slot_state(z, call, job->request.u.worker, slot);
    job->event->completion.slots = slot;
    job->event->completion.slot_count = 1;
}

static int issue_slot(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_slot_path(z, path, job->request.datacenter, job->request.u.worker);
    return index == 0 ? sf_zk_sync(z, job, path, sf_zk_synced)
                      : sf_zk_get(z, job, index, path, take_slot);
}

/* A record that is missing: is it that alone, or the whole datacenter? */
static void slot_read(struct sf_zk *z, struct sf_zk_job *job)
{
    if (job->event->completion.slots[0].state == SF_COORD_RECORD_MISSING)
        sf_zk_phase(z, job, 1, issue_directory, sf_zk_finish_done);
    else
        sf_zk_finish_done(z, job);
}

void sf_zk_read_slot(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_slot, slot_read);
}

/* LIST: config (for the number of slots) and datacenter, slots, names of claims, claims. */

struct names {
    char **text;
    size_t count;
};

void sf_zk_list_free(void *work)
{
    struct names *names = work;
    for (size_t i = 0; i < names->count; i++)
        free(names->text[i]);
    free(names->text);
    free(names);
}

static void list_claim(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct names *names = job->work;
    struct sf_coord_completion *to = &job->event->completion;
    if (call->rc == ZNONODE)
        return; /* gone since we read its name */
    if (call->rc != ZOK) {
        sf_zk_finish_rc(z, job, call->rc, "reading a claim");
        return;
    }
    struct sf_coord_claim *claim = &to->claims[to->claim_count];
    uint64_t sequence = 0;
    *claim = (struct sf_coord_claim){.slot = -1};
    if (sf_claim_name_parse(names->text[call->index], claim->guid, &sequence) < 0)
        return;
    snprintf(claim->name, sizeof claim->name, "%s", names->text[call->index]);
    /* A claim that lives holds or awaits a slot whatever its content is worth. */
    if (call->size <= SF_COORD_RECORD_SIZE_MAX)
        (void)sf_record_claim_decode(call->data, call->size, claim, NULL);
    claim->fence = (uint64_t)call->stat.czxid;
    to->claim_count++;
}

static void listed(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    sf_claims_sort(to->claims, to->claim_count);
    free(to->config);
    to->config = NULL;
    sf_zk_finish_done(z, job);
}

static int issue_list_claim(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct names *names = job->work;
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.datacenter, names->text[index]);
    return sf_zk_get(z, job, index, path, list_claim);
}

/* Names that are not ours are left out here, so that no path of theirs is ever built. */
static void list_claims(struct sf_zk *z, struct sf_zk_job *job)
{
    struct names *names = job->work;
    size_t kept = 0;
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (sf_claim_name_parse(names->text[i], guid, &sequence) == 0)
            names->text[kept++] = names->text[i];
        else
            free(names->text[i]);
    }
    names->count = kept;
    job->event->completion.claims = calloc(kept > 0 ? kept : 1, sizeof(struct sf_coord_claim));
    SF_ASSERT(job->event->completion.claims != NULL);
    sf_zk_phase(z, job, kept, issue_list_claim, listed);
}

static void take_names(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == ZNONODE) {
        sf_zk_refuse_no_datacenter(z, job);
        return;
    }
    if (call->rc != ZOK) {
        sf_zk_finish_rc(z, job, call->rc, "listing the claims");
        return;
    }
    struct names *names = calloc(1, sizeof *names);
    SF_ASSERT(names != NULL);
    *names = (struct names){.text = call->names, .count = call->name_count};
    job->work = names;
    call->names = NULL;
    call->name_count = 0;
}

static int issue_names(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/dc/%" PRIu64 "/claims", job->request.datacenter);
    return sf_zk_children(z, job, index, path, NULL, take_names);
}

static void list_names(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_names, list_claims);
}

static void list_slot(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != ZOK && call->rc != ZNONODE)
        sf_zk_finish_rc(z, job, call->rc, "reading a slot");
    else
        slot_state(z, call, call->index, &job->event->completion.slots[call->index]);
}

static int issue_list_slot(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_slot_path(z, path, job->request.datacenter, index);
    return sf_zk_get(z, job, index, path, list_slot);
}

static void list_slots(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    if (!sf_config_has_datacenter(to->config, job->request.datacenter)) {
        sf_zk_refuse_no_datacenter(z, job);
        return;
    }
    to->slot_count = (size_t)sf_layout_max_worker(&to->config->layout) + 1;
    to->slots = calloc(to->slot_count, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    sf_zk_phase(z, job, to->slot_count, issue_list_slot, list_names);
}

static int issue_list_head(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    return index == 0 ? issue_config(z, job, 1) : issue_directory(z, job, index);
}

void sf_zk_list(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_list_head, list_slots);
}
