/* coord/zookeeper/list.c - LIST: config (for the number of slots) and datacenter, slots, names of
 * claims, claims. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
#include "coord/zookeeper/names.h"
#include "coord/zookeeper/read.h"

void sf_zk_list_free(void *work)
{
    sf_zk_names_free(work);
}

void sf_zk_take_claim(const struct sf_zk_call *call, const char *name, struct sf_coord_claim *ret)
{
    uint64_t sequence = 0;
    *ret = (struct sf_coord_claim){.slot = -1};
    (void)sf_claim_name_parse(name, ret->guid, &sequence);
    snprintf(ret->name, sizeof ret->name, "%s", name);
    /* A claim that lives holds or awaits a slot whatever its content is worth. */
    (void)sf_record_claim_decode(call->data, call->size, ret, NULL);
    ret->fence = (uint64_t)call->stat.czxid;
}

static void claim_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_zk_names *names = job->work;
    struct sf_coord_completion *to = &job->event->completion;
    if (call->rc == SF_ZK_NO_NODE)
        return; /* gone since we read its name */
    if (call->rc != SF_ZK_OK) {
        sf_zk_finish_rc(z, job, call->rc, "reading a claim");
        return;
    }
    sf_zk_take_claim(call, names->text[call->index], &to->claims[to->claim_count++]);
}

static void listed(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    sf_claims_sort(to->claims, to->claim_count);
    free(to->config);
    to->config = NULL;
    sf_zk_finish_done(z, job);
}

static int issue_claim(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_names *names = job->work;
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     names->text[index]);
    return sf_zk_get(z, job, index, path, claim_read);
}

static void list_claims(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_names *names = job->work;
    job->event->completion.claims =
        calloc(names->count > 0 ? names->count : 1, sizeof(struct sf_coord_claim));
    SF_ASSERT(job->event->completion.claims != NULL);
    sf_zk_phase(z, job, names->count, issue_claim, listed);
}

static void names_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == SF_ZK_NO_NODE) {
        sf_zk_refuse_no_datacenter(z, job);
    } else if (call->rc != SF_ZK_OK) {
        sf_zk_finish_rc(z, job, call->rc, "listing the claims");
    } else {
        job->work = sf_zk_names_take(call);
        sf_zk_names_keep(job->work, sf_zk_is_claim_name);
    }
}

int sf_zk_issue_claim_names(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_claims_path(z, path, job->request.basis.token, job->request.datacenter);
    return sf_zk_children(z, job, index, path, false, names_read);
}

static void list_names(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, sf_zk_issue_claim_names, list_claims);
}

static void slot_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "reading a slot");
    else
        sf_zk_take_slot(z, call, call->index, &job->event->completion.slots[call->index]);
}

static int issue_slot(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_slot_path(z, path, job->request.basis.token, job->request.datacenter, index);
    return sf_zk_get(z, job, index, path, slot_read);
}

static void list_slots(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    if (strcmp(to->config->token, job->request.basis.token) != 0 ||
        !sf_config_has_datacenter(to->config, job->request.datacenter)) {
        sf_zk_refuse_no_datacenter(z, job);
        return;
    }
    to->slot_count = (size_t)sf_layout_max_worker(&to->config->layout) + 1;
    to->slots = calloc(to->slot_count, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    sf_zk_phase(z, job, to->slot_count, issue_slot, list_names);
}

static void directory_looked_at(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == SF_ZK_NO_NODE)
        sf_zk_refuse_no_datacenter(z, job);
    else if (call->rc != SF_ZK_OK)
        sf_zk_finish_rc(z, job, call->rc, "looking at the datacenter");
}

static int issue_head(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0) {
        sf_zk_path(z, path, "/config");
        return sf_zk_get(z, job, index, path, sf_zk_take_config);
    }
    sf_zk_claims_path(z, path, job->request.basis.token, job->request.datacenter);
    return sf_zk_exists(z, job, index, path, false, directory_looked_at);
}

void sf_zk_list(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_head, list_slots);
}
