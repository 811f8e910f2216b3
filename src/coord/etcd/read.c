/* coord/etcd/read.c - see read.h. */
#include "coord/etcd/read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/etcd/fleet.h"
#include "coord/etcd/watch.h"
#include "coord/records.h"
#include "coord/request.h"

/* Version and data are of the same read. */
static enum sf_coord_record_state slot_from(const struct sf_etcd_kv *kv, uint64_t worker,
                                            struct sf_coord_slot *ret, struct sf_error *err)
{
    struct sf_coord_slot slot = {.worker = worker, .state = SF_COORD_RECORD_OK};
    if (sf_record_slot_decode(kv->value, kv->value_size, worker, &slot, err) < 0)
        slot = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_GARBAGE};
    slot.version = (struct sf_coord_version){kv->create_revision, kv->mod_revision};
    *ret = slot;
    return slot.state;
}

static int slot_number(const struct sf_etcd_kv *kv, const char *prefix, uint64_t max, uint64_t *ret)
{
    const char *number = kv->key + strlen(prefix);
    if (number[0] == '0' && number[1] != '\0')
        return -EBADMSG;
    return sf_parse_u64(number, 0, max, ret) == 0 ? 0 : -EBADMSG;
}

void sf_etcd_take_slot(struct sf_etcd *etcd, const struct sf_etcd_job *job,
                       const struct sf_etcd_kv *kv, uint64_t worker, struct sf_coord_slot *ret,
                       char text[SF_COORD_TEXT_MAX])
{
    struct sf_error err = {0};
    if (slot_from(kv, worker, ret, &err) == SF_COORD_RECORD_OK)
        return;
    sf_log_limited(etcd->log, &etcd->limit_record, SF_ETCD_RECORD_LOG_MS, SF_LOG_WARN,
                   "coordinator.record", "%.300s is not a slot record of ours: %.200s", kv->key,
                   err.text);
    if (text[0] == '\0')
        memcpy(
            text,
            sf_refusal_slot_garbage(etcd->options.root, job->request.datacenter, worker, err.text)
                .text,
            SF_COORD_TEXT_MAX);
}

static void take_slots(struct sf_etcd *etcd, const struct sf_etcd_job *job,
                       const struct sf_etcd_range *range, const struct sf_layout *layout,
                       struct sf_coord_completion *to)
{
    const uint64_t max = sf_layout_max_worker(layout);
    char prefix[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, prefix, "/%s/dc/%" PRIu64 "/slots/", job->request.basis.token,
                job->request.datacenter);
    to->slots = calloc(max + 1, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    to->slot_count = max + 1;
    for (uint64_t i = 0; i <= max; i++)
        to->slots[i] = (struct sf_coord_slot){.worker = i, .state = SF_COORD_RECORD_MISSING};
    for (size_t i = 0; i < range->count; i++) {
        uint64_t worker = 0;
        if (slot_number(&range->kvs[i], prefix, max, &worker) == 0)
            sf_etcd_take_slot(etcd, job, &range->kvs[i], worker, &to->slots[worker], to->text);
    }
}

/* A claim whose content is not readable is a live claim all the same: it keeps its slot. */
struct sf_coord_claim *sf_etcd_take_claims(struct sf_etcd *etcd, const struct sf_etcd_range *range,
                                           const char *prefix, size_t *ret_count)
{
    struct sf_coord_claim *claims = calloc(range->count + 1, sizeof *claims);
    SF_ASSERT(claims != NULL);
    size_t count = 0;
    for (size_t i = 0; i < range->count; i++) {
        const struct sf_etcd_kv *kv = &range->kvs[i];
        const char *name = kv->key + strlen(prefix);
        struct sf_coord_claim *claim = &claims[count];
        struct sf_error err = {0};
        uint64_t sequence = 0;
        *claim = (struct sf_coord_claim){.slot = -1};
        if (sf_claim_name_parse(name, claim->guid, &sequence) < 0) {
            sf_log_limited(etcd->log, &etcd->limit_record, SF_ETCD_RECORD_LOG_MS, SF_LOG_WARN,
                           "coordinator.record", "%.400s is not the name of a claim", kv->key);
            continue;
        }
        (void)sf_record_claim_decode(kv->value, kv->value_size, claim, &err);
        (void)sf_claim_name_parse(name, claim->guid, &sequence);
        snprintf(claim->name, sizeof claim->name, "%s", name);
        claim->fence = kv->create_revision;
        count++;
    }
    sf_claims_sort(claims, count);
    *ret_count = count;
    return claims;
}

static char *body_get(struct sf_etcd *etcd, struct sf_etcd_job *job, const char *key)
{
    const struct sf_etcd_op op = {.kind = SF_ETCD_GET, .key = key};
    return sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = &op, .success_count = 1});
}

static char *body_list(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    const struct sf_coord_request *request = &job->request;
    const char *token = request->basis.token;
    const uint64_t datacenter = request->datacenter;
    char config[SF_ETCD_KEY_MAX], slots[SF_ETCD_KEY_MAX], claims[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, config, "/config");
    sf_etcd_key(etcd, slots, "/%s/dc/%" PRIu64 "/slots/", token, datacenter);
    sf_etcd_key(etcd, claims, "/%s/dc/%" PRIu64 "/claims/", token, datacenter);
    const struct sf_etcd_op ops[] = {{.kind = SF_ETCD_GET, .key = config},
                                     {.kind = SF_ETCD_GET_PREFIX, .key = slots},
                                     {.kind = SF_ETCD_GET_PREFIX, .key = claims}};
    return sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = ops, .success_count = 3});
}

/* WATCH is done when its stream is there; until then the job waits, and every turn looks again. */
static void look_at_watch(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    if (sf_etcd_watch_ready(etcd, &job->request))
        sf_etcd_job_finish(etcd, job, sf_etcd_job_done(job), NULL);
}

void sf_etcd_read_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    const struct sf_coord_request *request = &job->request;
    char *body = NULL;
    switch (request->op) {
    case SF_COORD_WATCH:
        if (job->watching) {
            look_at_watch(etcd, job);
            return;
        }
        sf_etcd_key(etcd, key, "/config");
        body = body_get(etcd, job, key);
        break;
    case SF_COORD_READ_SLOT:
        sf_etcd_key(etcd, key, "/%s/dc/%" PRIu64 "/slots/%" PRIu64, request->basis.token,
                    request->datacenter, request->u.worker);
        body = body_get(etcd, job, key);
        break;
    case SF_COORD_LIST:
        body = body_list(etcd, job);
        break;
    default:
        SF_ASSERT(!"a read");
        return;
    }
    sf_etcd_job_send(etcd, job, "/v3/kv/txn", body, false, SF_ETCD_REQUEST_MS);
}

/* Reads the fleet's config, and refuses when there is none, or one that names another making than the
 * job's or does not have its datacenter. */
static bool config_fits(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result, const struct sf_etcd_range *range,
                        struct sf_coord_config *ret)
{
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    enum sf_coord_record_state state = sf_etcd_config_from(range, ret, &err);
    if (state == SF_COORD_RECORD_OK && sf_config_check_format(ret, &err) < 0)
        state = SF_COORD_RECORD_GARBAGE;
    switch (state) {
    case SF_COORD_RECORD_MISSING:
        refusal = sf_refusal_no_fleet(etcd->options.root);
        break;
    case SF_COORD_RECORD_GARBAGE:
        refusal = sf_refusal_config_garbage(etcd->options.root, err.text);
        break;
    case SF_COORD_RECORD_OK:
        if (strcmp(ret->token, job->request.basis.token) == 0 &&
            sf_config_has_datacenter(ret, job->request.datacenter))
            return true;
        refusal = sf_refusal_no_datacenter(etcd->options.root, job->request.datacenter);
        break;
    }
    sf_etcd_job_refuse(etcd, job, result, &refusal);
    return false;
}

static void watch_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result, const struct sf_etcd_range *range)
{
    struct sf_coord_config config;
    if (!config_fits(etcd, job, result, range, &config))
        return;
    job->watching = true;
    if (sf_etcd_watch_add(etcd, &job->request) < 0)
        sf_etcd_job_fail(etcd, job, result, SF_COORD_REFUSED, SF_COORD_INVALID,
                         "more than %d datacenters to watch", SF_ETCD_WATCHES_MAX);
}

static void slot_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result, const struct sf_etcd_range *range)
{
    struct sf_coord_slot *slot = calloc(1, sizeof *slot);
    SF_ASSERT(slot != NULL);
    slot->worker = job->request.u.worker;
    slot->state = SF_COORD_RECORD_MISSING;
    struct sf_coord_event *event = sf_etcd_job_done(job);
    if (range->count == 1)
        sf_etcd_take_slot(etcd, job, &range->kvs[0], slot->worker, slot, event->completion.text);
    event->completion.slots = slot;
    event->completion.slot_count = 1;
    sf_etcd_job_finish(etcd, job, event, result);
}

static void list_ranges(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result,
                        const struct sf_etcd_range *config_range, const struct sf_etcd_range *slots,
                        const struct sf_etcd_range *claims)
{
    char prefix[SF_ETCD_KEY_MAX];
    struct sf_coord_config config;
    if (!config_fits(etcd, job, result, config_range, &config))
        return;
    struct sf_coord_event *event = sf_etcd_job_done(job);
    struct sf_coord_completion *completion = &event->completion;
    take_slots(etcd, job, slots, &config.layout, completion);
    sf_etcd_key(etcd, prefix, "/%s/dc/%" PRIu64 "/claims/", job->request.basis.token,
                job->request.datacenter);
    completion->claims = sf_etcd_take_claims(etcd, claims, prefix, &completion->claim_count);
    sf_etcd_job_finish(etcd, job, event, result);
}

static void list_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result)
{
    const json_t *root = result->answer.root;
    struct sf_etcd_range config = {0}, slots = {0}, claims = {0};
    if (sf_etcd_txn_range(root, 0, &config) < 0 || sf_etcd_txn_range(root, 1, &slots) < 0 ||
        sf_etcd_txn_range(root, 2, &claims) < 0)
        sf_etcd_job_unreadable(etcd, job, result);
    else
        list_ranges(etcd, job, result, &config, &slots, &claims);
    sf_etcd_range_free(&config);
    sf_etcd_range_free(&slots);
    sf_etcd_range_free(&claims);
}

void sf_etcd_read_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    struct sf_etcd_range range = {0};
    if (job->request.op == SF_COORD_LIST) {
        list_answer(etcd, job, result);
        return;
    }
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0)
        sf_etcd_job_unreadable(etcd, job, result);
    else if (job->request.op == SF_COORD_WATCH)
        watch_answer(etcd, job, result, &range);
    else
        slot_answer(etcd, job, result, &range);
    sf_etcd_range_free(&range);
}
