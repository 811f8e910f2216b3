/* coord/etcd/probe.c - PROBE and FIND: a few slots, a few claims, whatever the datacenter's size. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/body.h"
#include "coord/etcd/read.h"
#include "coord/records.h"
#include "coord/request.h"

static void claims_prefix(const struct sf_etcd *etcd, const struct sf_etcd_job *job,
                          char to[SF_ETCD_KEY_MAX])
{
    sf_etcd_key(etcd, to, "/%s/dc/%" PRIu64 "/claims/", job->request.basis.token,
                job->request.datacenter);
}

static void send_gets(struct sf_etcd *etcd, struct sf_etcd_job *job, const struct sf_etcd_op *ops,
                      size_t count)
{
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = ops, .success_count = count}),
        false, SF_ETCD_REQUEST_MS);
}

/* PROBE. The work: what the first answer told of the slots, and which of their claims are asked for in
 * the second. */

struct probe {
    struct sf_coord_slot slots[SF_COORD_PROBE_MAX];
    char text[SF_COORD_TEXT_MAX];
    unsigned asked[SF_COORD_PROBE_MAX], asked_count;
};

void sf_etcd_probe_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    const struct sf_coord_probe *request = &job->request.u.probe;
    const struct probe *probe = job->work;
    const unsigned count = probe == NULL ? request->count : probe->asked_count;
    char keys[SF_COORD_PROBE_MAX][SF_ETCD_KEY_MAX], prefix[SF_ETCD_KEY_MAX];
    struct sf_etcd_op ops[SF_COORD_PROBE_MAX];
    claims_prefix(etcd, job, prefix);
    for (unsigned i = 0; i < count; i++) {
        if (probe == NULL)
            sf_etcd_key(etcd, keys[i], "/%s/dc/%" PRIu64 "/slots/%" PRIu64,
                        job->request.basis.token, job->request.datacenter, request->workers[i]);
        else
            sf_etcd_key(etcd, keys[i], "/%s/dc/%" PRIu64 "/claims/%s", job->request.basis.token,
                        job->request.datacenter, probe->slots[probe->asked[i]].claim);
        ops[i] =
            (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = keys[i], .keys_only = probe != NULL};
    }
    send_gets(etcd, job, ops, count);
}

static void finish_probe(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result, struct sf_coord_claim *claims,
                         size_t claim_count)
{
    const struct probe *probe = job->work;
    struct sf_coord_event *event = sf_etcd_job_done(job);
    struct sf_coord_completion *to = &event->completion;
    to->slot_count = job->request.u.probe.count;
    to->slots = calloc(to->slot_count, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    memcpy(to->slots, probe->slots, to->slot_count * sizeof *to->slots);
    memcpy(to->text, probe->text, sizeof to->text);
    to->claims = claims;
    to->claim_count = claim_count;
    sf_etcd_job_finish(etcd, job, event, result);
}

/* False: the answer cannot be read. */
static bool take_slots(struct sf_etcd *etcd, const struct sf_etcd_job *job,
                       const struct sf_etcd_result *result, struct probe *probe)
{
    const struct sf_coord_probe *request = &job->request.u.probe;
    for (unsigned i = 0; i < request->count; i++) {
        struct sf_etcd_range range = {0};
        if (sf_etcd_txn_range(result->answer.root, i, &range) < 0)
            return false;
        struct sf_coord_slot *slot = &probe->slots[i];
        *slot =
            (struct sf_coord_slot){.worker = request->workers[i], .state = SF_COORD_RECORD_MISSING};
        if (range.count == 1)
            sf_etcd_take_slot(etcd, job, &range.kvs[0], request->workers[i], slot, probe->text);
        sf_etcd_range_free(&range);
        if (sf_probe_asks(request, slot))
            probe->asked[probe->asked_count++] = i;
    }
    return true;
}

static void probe_claims(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    const struct probe *probe = job->work;
    struct sf_coord_claim *claims = calloc(SF_COORD_PROBE_MAX, sizeof *claims);
    size_t count = 0;
    SF_ASSERT(claims != NULL);
    for (unsigned i = 0; i < probe->asked_count; i++) {
        struct sf_etcd_range range = {0};
        uint64_t sequence = 0;
        if (sf_etcd_txn_range(result->answer.root, i, &range) < 0) {
            free(claims);
            sf_etcd_job_unreadable(etcd, job, result);
            return;
        }
        if (range.count == 1) {
            struct sf_coord_claim *claim = &claims[count++];
            *claim = (struct sf_coord_claim){.slot = -1, .fence = range.kvs[0].create_revision};
            memcpy(claim->name, probe->slots[probe->asked[i]].claim, sizeof claim->name);
            (void)sf_claim_name_parse(claim->name, claim->guid, &sequence);
        }
        sf_etcd_range_free(&range);
    }
    finish_probe(etcd, job, result, claims, count);
}

void sf_etcd_probe_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    if (job->work != NULL) {
        probe_claims(etcd, job, result);
        return;
    }
    struct probe *probe = calloc(1, sizeof *probe);
    SF_ASSERT(probe != NULL);
    if (!take_slots(etcd, job, result, probe)) {
        free(probe);
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    job->work = probe;
    if (probe->asked_count == 0)
        finish_probe(etcd, job, result, NULL, 0);
    else
        sf_etcd_probe_start(etcd, job);
}

/* FIND: from `start` on, and from the first on, in one step; and how many there are. */

void sf_etcd_find_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    const struct sf_coord_find *find = &job->request.u.find;
    char all[SF_ETCD_KEY_MAX], first[SF_ETCD_KEY_MAX], from[SF_ETCD_KEY_MAX];
    claims_prefix(etcd, job, all);
    sf_etcd_key(etcd, first, "/%s/dc/%" PRIu64 "/claims/claim-%s", job->request.basis.token,
                job->request.datacenter, find->mark);
    sf_etcd_key(etcd, from, "/%s/dc/%" PRIu64 "/claims/claim-%s%s", job->request.basis.token,
                job->request.datacenter, find->mark, find->start);
    const struct sf_etcd_op ops[] = {
        {.kind = SF_ETCD_GET_PREFIX, .key = first, .from = from, .limit = find->most},
        {.kind = SF_ETCD_GET_PREFIX, .key = first, .limit = find->most},
        {.kind = SF_ETCD_GET_PREFIX, .key = all, .count_only = true}};
    send_gets(etcd, job, ops, 3);
}

static void merge(struct sf_coord_claim *into, size_t *count, const struct sf_coord_claim *claims,
                  size_t claim_count)
{
    for (size_t i = 0; i < claim_count; i++) {
        bool there = false;
        for (size_t k = 0; k < *count && !there; k++)
            there = strcmp(into[k].name, claims[i].name) == 0;
        if (!there)
            into[(*count)++] = claims[i];
    }
}

static void take_found(struct sf_etcd *etcd, struct sf_etcd_job *job,
                       const struct sf_etcd_result *result, const struct sf_etcd_range ranges[3])
{
    char prefix[SF_ETCD_KEY_MAX];
    struct sf_coord_event *event = sf_etcd_job_done(job);
    struct sf_coord_completion *to = &event->completion;
    claims_prefix(etcd, job, prefix);
    to->claims = calloc(ranges[0].count + ranges[1].count + 1, sizeof *to->claims);
    SF_ASSERT(to->claims != NULL);
    for (int i = 0; i < 2; i++) {
        size_t count = 0;
        struct sf_coord_claim *claims = sf_etcd_take_claims(etcd, &ranges[i], prefix, &count);
        merge(to->claims, &to->claim_count, claims, count);
        free(claims);
    }
    sf_find_keep(&job->request.u.find, to->claims, &to->claim_count);
    to->claim_total = ranges[2].total;
    sf_etcd_job_finish(etcd, job, event, result);
}

void sf_etcd_find_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    struct sf_etcd_range ranges[3] = {{0}};
    bool readable = true;
    for (size_t i = 0; i < 3; i++)
        readable = readable && sf_etcd_txn_range(result->answer.root, i, &ranges[i]) == 0;
    if (readable)
        take_found(etcd, job, result, ranges);
    else
        sf_etcd_job_unreadable(etcd, job, result);
    for (size_t i = 0; i < 3; i++)
        sf_etcd_range_free(&ranges[i]);
}
