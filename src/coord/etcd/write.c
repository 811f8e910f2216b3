/* coord/etcd/write.c - see write.h. */
#include "coord/etcd/write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/body.h"
#include "coord/etcd/session.h"
#include "coord/records.h"
#include "coord/request.h"

struct keys {
    char config[SF_ETCD_KEY_MAX], claim[SF_ETCD_KEY_MAX], slot[SF_ETCD_KEY_MAX];
};

static void write_keys(struct sf_etcd *etcd, const struct sf_coord_request *request,
                       struct keys *ret)
{
    const struct sf_coord_slot *slot = &request->u.write.slot;
    sf_etcd_key(etcd, ret->config, "/config");
    sf_etcd_key(etcd, ret->claim, "/dc/%" PRIu64 "/claims/%s", request->datacenter, slot->claim);
    sf_etcd_key(etcd, ret->slot, "/dc/%" PRIu64 "/slots/%" PRIu64, request->datacenter,
                slot->worker);
}

/* CLAIM: the lease stands in the name, so that the claim can be written again (BIND) with the lease
 * that it lives on, and be found in etcd by its owner's lease. */

void sf_etcd_claim_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    struct sf_coord_request *request = &job->request;
    struct keys keys;
    struct sf_coord_claim *claim = calloc(1, sizeof *claim);
    SF_ASSERT(claim != NULL);
    job->work = claim;
    *claim = sf_request_claim(&request->u.claim, -1, sf_etcd_real_ms(etcd));
    sf_claim_name_format(claim->guid, etcd->session->lease, claim->name);
    sf_etcd_key(etcd, keys.config, "/config");
    sf_etcd_key(etcd, keys.claim, "/dc/%" PRIu64 "/claims/%s", request->datacenter, claim->name);
    char *value = sf_record_claim_encode(claim);
    const struct sf_etcd_compare compares[] = {
        {.key = keys.config, .target = SF_ETCD_CREATE, .greater = true, .revision = 0},
        {.key = keys.claim, .target = SF_ETCD_CREATE, .revision = 0}};
    const struct sf_etcd_op put = {
        .kind = SF_ETCD_PUT, .key = keys.claim, .value = value, .lease = etcd->session->lease};
    const struct sf_etcd_op gets[] = {{.kind = SF_ETCD_GET, .key = keys.config, .keys_only = true},
                                      {.kind = SF_ETCD_GET, .key = keys.claim, .keys_only = true}};
    char *body = sf_etcd_body_txn(&(struct sf_etcd_txn){.compares = compares,
                                                        .compare_count = 2,
                                                        .success = &put,
                                                        .success_count = 1,
                                                        .failure = gets,
                                                        .failure_count = 2});
    free(value);
    sf_etcd_job_send(etcd, job, "/v3/kv/txn", body, true, SF_ETCD_REQUEST_MS);
}

void sf_etcd_claim_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    struct sf_coord_claim *claim = job->work;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        struct sf_etcd_range config = {0};
        const bool there =
            sf_etcd_txn_range(result->answer.root, 0, &config) == 0 && config.count == 1;
        sf_etcd_range_free(&config);
        if (there)
            sf_etcd_job_fail(etcd, job, result, SF_COORD_REFUSED, SF_COORD_EXISTS,
                             "claim %s exists already", claim->name);
        const struct sf_refusal refusal = sf_refusal_no_fleet(etcd->options.root);
        if (!there)
            sf_etcd_job_refuse(etcd, job, result, &refusal);
        return;
    }
    if (result->answer.header.revision == 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    struct sf_coord_event *event = sf_etcd_job_done(job);
    job->work = NULL;
    claim->fence = result->answer.header.revision;
    event->completion.claims = claim;
    event->completion.claim_count = 1;
    sf_etcd_job_finish(etcd, job, event, result);
}

void sf_etcd_unclaim_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, key, "/dc/%" PRIu64 "/claims/%s", job->request.datacenter,
                job->request.u.claim_name);
    const struct sf_etcd_op op = {.kind = SF_ETCD_DELETE, .key = key};
    sf_etcd_job_send(etcd, job, "/v3/kv/txn",
                     sf_etcd_body_txn(&(struct sf_etcd_txn){.success = &op, .success_count = 1}),
                     true, SF_ETCD_REQUEST_MS);
}

void sf_etcd_unclaim_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                            const struct sf_etcd_result *result)
{
    sf_etcd_job_finish(etcd, job, sf_etcd_job_done(job), result);
}

/* BIND, RENEW, RELEASE. */

/* The lease that a claim lives on stands in its name. 0, which etcd takes for none, would make a
 * claim that never ends. */
static uint64_t lease_of(const char *claim)
{
    char guid[SF_HEX128_SIZE];
    uint64_t lease = 0;
    return sf_claim_name_parse(claim, guid, &lease) < 0 ? 0 : lease;
}

static char *body_write(const struct sf_coord_request *request, const struct keys *keys,
                        uint64_t lease)
{
    const struct sf_coord_write *write = &request->u.write;
    const bool release = request->op == SF_COORD_RELEASE;
    const struct sf_etcd_compare compares[] = {
        {.key = keys->claim, .target = SF_ETCD_CREATE, .revision = write->slot.fence},
        {.key = keys->slot, .target = SF_ETCD_CREATE, .revision = write->expected.incarnation},
        {.key = keys->slot, .target = SF_ETCD_MOD, .revision = write->expected.version},
        {.key = keys->config, .target = SF_ETCD_CREATE, .revision = write->config.incarnation},
        {.key = keys->config, .target = SF_ETCD_MOD, .revision = write->config.version}};
    const struct sf_coord_claim claim = sf_request_bound_claim(write);
    char *slot_value = sf_record_slot_encode(&write->slot);
    char *claim_value = sf_record_claim_encode(&claim);
    struct sf_etcd_op success[2] = {{.kind = SF_ETCD_PUT, .key = keys->slot, .value = slot_value}};
    size_t count = 1;
    if (request->op == SF_COORD_BIND)
        success[count++] = (struct sf_etcd_op){
            .kind = SF_ETCD_PUT, .key = keys->claim, .value = claim_value, .lease = lease};
    else if (release)
        success[count++] = (struct sf_etcd_op){.kind = SF_ETCD_DELETE, .key = keys->claim};
    const struct sf_etcd_op failure[] = {
        {.kind = SF_ETCD_GET, .key = keys->config, .keys_only = true},
        {.kind = SF_ETCD_GET, .key = keys->claim, .keys_only = true},
        {.kind = SF_ETCD_GET, .key = keys->slot, .keys_only = true}};
    char *body = sf_etcd_body_txn(&(struct sf_etcd_txn){.compares = compares,
                                                        .compare_count = release ? 3 : 5,
                                                        .success = success,
                                                        .success_count = count,
                                                        .failure = failure,
                                                        .failure_count = 3});
    free(slot_value);
    free(claim_value);
    return body;
}

void sf_etcd_write_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    const uint64_t lease = lease_of(job->request.u.write.slot.claim);
    if (lease == 0) {
        sf_etcd_job_fail(etcd, job, NULL, SF_COORD_REFUSED, SF_COORD_INVALID,
                         "%s is not the name of a claim in etcd: it names no lease",
                         job->request.u.write.slot.claim);
        return;
    }
    struct keys keys;
    write_keys(etcd, &job->request, &keys);
    sf_etcd_job_send(etcd, job, "/v3/kv/txn", body_write(&job->request, &keys, lease), true,
                     SF_ETCD_REQUEST_MS);
}

static bool is_at(const struct sf_etcd_range *range, const struct sf_coord_version *version)
{
    return range->kvs[0].create_revision == version->incarnation &&
           range->kvs[0].mod_revision == version->version;
}

/* The first condition that did not hold. */
static struct sf_refusal why_not(const struct sf_etcd *etcd, const struct sf_coord_request *request,
                                 const struct sf_etcd_range *config,
                                 const struct sf_etcd_range *claim,
                                 const struct sf_etcd_range *slot)
{
    const struct sf_coord_write *write = &request->u.write;
    const bool needs_config = request->op != SF_COORD_RELEASE;
    if (needs_config && config->count != 1)
        return sf_refusal_no_fleet(etcd->options.root);
    if (needs_config && !is_at(config, &write->config))
        return sf_refusal_config_changed(write->config.version);
    if (claim->count != 1 || claim->kvs[0].create_revision != write->slot.fence)
        return sf_refusal_claim_gone(write->slot.claim);
    if (slot->count != 1)
        return sf_refusal_slot_missing(write->slot.worker);
    if (!is_at(slot, &write->expected))
        return sf_refusal_slot_version(write->slot.worker, write->expected.version);
    return sf_refusal_make(SF_COORD_INVALID,
                           "the transaction was refused though its conditions hold");
}

static void write_refused(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    const json_t *root = result->answer.root;
    struct sf_etcd_range config = {0}, claim = {0}, slot = {0};
    if (sf_etcd_txn_range(root, 0, &config) == 0 && sf_etcd_txn_range(root, 1, &claim) == 0 &&
        sf_etcd_txn_range(root, 2, &slot) == 0) {
        const struct sf_refusal refusal = why_not(etcd, &job->request, &config, &claim, &slot);
        sf_etcd_job_refuse(etcd, job, result, &refusal);
    } else {
        sf_etcd_job_unreadable(etcd, job, result);
    }
    sf_etcd_range_free(&config);
    sf_etcd_range_free(&claim);
    sf_etcd_range_free(&slot);
}

void sf_etcd_write_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        write_refused(etcd, job, result);
        return;
    }
    const uint64_t revision = result->answer.header.revision;
    if (revision <= job->request.u.write.expected.version) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    struct sf_coord_event *event = sf_etcd_job_done(job);
    event->completion.version =
        (struct sf_coord_version){job->request.u.write.expected.incarnation, revision};
    sf_etcd_job_finish(etcd, job, event, result);
}
