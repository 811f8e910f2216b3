/* coord/zookeeper/probe.c - PROBE and FIND: a few slots, a few claims, whatever the datacenter's size. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
#include "coord/zookeeper/names.h"
#include "coord/zookeeper/read.h"

/* PROBE: the slots, and then the claims in those whose reservation has passed. */

struct probe {
    size_t asked[SF_COORD_PROBE_MAX]; /* which of the slots the second phase is about */
    size_t count;
};

void sf_zk_probe_free(void *work)
{
    free(work);
}

static void claim_looked_at(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct probe *probe = job->work;
    struct sf_coord_completion *to = &job->event->completion;
    if (call->rc == SF_ZK_NO_NODE)
        return;
    if (call->rc != SF_ZK_OK) {
        sf_zk_finish_rc(z, job, call->rc, "looking at a claim");
        return;
    }
    struct sf_coord_claim *claim = &to->claims[to->claim_count++];
    uint64_t sequence = 0;
    *claim = (struct sf_coord_claim){.slot = -1, .fence = (uint64_t)call->stat.czxid};
    memcpy(claim->name, to->slots[probe->asked[call->index]].claim, sizeof claim->name);
    (void)sf_claim_name_parse(claim->name, claim->guid, &sequence);
}

static int issue_claim(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct probe *probe = job->work;
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     job->event->completion.slots[probe->asked[index]].claim);
    return sf_zk_exists(z, job, index, path, false, claim_looked_at);
}

static void look_at_claims(struct sf_zk *z, struct sf_zk_job *job)
{
    struct probe *probe = job->work;
    struct sf_coord_completion *to = &job->event->completion;
    for (size_t i = 0; i < to->slot_count; i++)
        if (sf_probe_asks(&job->request.u.probe, &to->slots[i]))
            probe->asked[probe->count++] = i;
    to->claims = calloc(probe->count + 1, sizeof *to->claims);
    SF_ASSERT(to->claims != NULL);
    sf_zk_phase(z, job, probe->count, issue_claim, sf_zk_finish_done);
}

static void slot_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "reading a slot");
    else
        sf_zk_take_slot(z, call, job->request.u.probe.workers[call->index],
                        &job->event->completion.slots[call->index]);
}

static int issue_slot(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_slot_path(z, path, job->request.basis.token, job->request.datacenter,
                    job->request.u.probe.workers[index]);
    return sf_zk_get(z, job, index, path, slot_read);
}

void sf_zk_probe(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    job->work = calloc(1, sizeof(struct probe));
    to->slot_count = job->request.u.probe.count;
    to->slots = calloc(to->slot_count, sizeof *to->slots);
    SF_ASSERT(job->work != NULL && to->slots != NULL);
    sf_zk_phase(z, job, to->slot_count, issue_slot, look_at_claims);
}

/* FIND: the names, and then the claims that were asked for. */

static void claim_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_zk_names *names = job->work;
    struct sf_coord_completion *to = &job->event->completion;
    if (call->rc == SF_ZK_NO_NODE)
        return; /* gone since we read its name */
    if (call->rc != SF_ZK_OK)
        sf_zk_finish_rc(z, job, call->rc, "reading a claim");
    else
        sf_zk_take_claim(call, names->text[call->index], &to->claims[to->claim_count++]);
}

static int issue_found(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_names *names = job->work;
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     names->text[index]);
    return sf_zk_get(z, job, index, path, claim_read);
}

static void found(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    sf_claims_sort(to->claims, to->claim_count);
    sf_zk_finish_done(z, job);
}

/* The names that were chosen come first, and are all that is looked at. */
static size_t choose(const struct sf_coord_find *find, struct sf_zk_names *names)
{
    char(*text)[SF_HEX128_SIZE] = calloc(names->count + 1, sizeof *text);
    const char **guids = calloc(names->count + 1, sizeof *guids);
    char *chosen[SF_COORD_FIND_MAX];
    size_t index[SF_COORD_FIND_MAX];
    uint64_t sequence = 0;
    SF_ASSERT(text != NULL && guids != NULL);
    for (size_t i = 0; i < names->count; i++) {
        (void)sf_claim_name_parse(names->text[i], text[i], &sequence);
        guids[i] = text[i];
    }
    const size_t count = sf_find_take(find, guids, names->count, index);
    free(guids);
    free(text);
    for (size_t i = 0; i < count; i++) {
        chosen[i] = names->text[index[i]];
        names->text[index[i]] = NULL;
    }
    for (size_t i = 0; i < names->count; i++)
        free(names->text[i]);
    for (size_t i = 0; i < count; i++)
        names->text[i] = chosen[i];
    names->count = count;
    return count;
}

static void read_found(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_names *names = job->work;
    struct sf_coord_completion *to = &job->event->completion;
    to->claim_total = names->count;
    to->claims = calloc(SF_COORD_FIND_MAX, sizeof *to->claims);
    SF_ASSERT(to->claims != NULL);
    sf_zk_phase(z, job, choose(&job->request.u.find, names), issue_found, found);
}

void sf_zk_find(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, sf_zk_issue_claim_names, read_found);
}
