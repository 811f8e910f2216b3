/* coord/etcd/write.c - see write.h. */
#include "coord/etcd/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/body.h"
#include "coord/etcd/session.h"
#include "coord/records.h"

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

static void invalid(struct sf_etcd *etcd, struct sf_etcd_job *job, const char *what)
{
    sf_etcd_job_refuse(etcd, job, NULL, SF_COORD_REFUSED, SF_COORD_INVALID, "%s", what);
}

/* CLAIM: the lease stands in the name, so that the claim can be written again (BIND) with the lease
 * that it lives on, and be found in etcd by its owner's lease. */

static bool guid_ok(const char guid[SF_HEX128_SIZE])
{
    return strnlen(guid, SF_HEX128_SIZE) == SF_HEX128_SIZE - 1 &&
           strspn(guid, "0123456789abcdef") == SF_HEX128_SIZE - 1;
}

static void fill_claim(const struct sf_coord_claim_request *body, int64_t slot, int64_t since_ms,
                       struct sf_coord_claim *ret)
{
    *ret = (struct sf_coord_claim){.slot = slot, .since_ms = since_ms};
    snprintf(ret->node, sizeof ret->node, "%s", body->node);
    snprintf(ret->address, sizeof ret->address, "%s", body->address);
    snprintf(ret->admin, sizeof ret->admin, "%s", body->admin);
    snprintf(ret->version, sizeof ret->version, "%s", body->version);
}

void sf_etcd_claim_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    struct sf_coord_request *request = &job->request;
    if (!guid_ok(request->u.claim.guid)) {
        invalid(etcd, job, "the guid is not 32 hexadecimal digits");
        return;
    }
    struct keys keys;
    struct sf_coord_claim *claim = calloc(1, sizeof *claim);
    SF_ASSERT(claim != NULL);
    job->work = claim;
    fill_claim(&request->u.claim, -1, sf_etcd_real_ms(etcd), claim);
    memcpy(claim->guid, request->u.claim.guid, sizeof claim->guid);
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
            sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED, SF_COORD_EXISTS,
                               "claim %s exists already", claim->name);
        else
            sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED, SF_COORD_MISSING,
                               "the fleet has no config: %s/config", etcd->options.root);
        return;
    }
    if (result->answer.header.revision == 0) {
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE,
                           "etcd: an answer without a revision");
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
    char guid[SF_HEX128_SIZE], key[SF_ETCD_KEY_MAX];
    uint64_t sequence = 0;
    if (sf_claim_name_parse(job->request.u.claim_name, guid, &sequence) < 0) {
        invalid(etcd, job, "not the name of a claim");
        return;
    }
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

/* What is wrong with the request itself, or NULL. What we write must be readable by ourselves. */
static const char *check_write(const struct sf_coord_write *write, uint64_t *ret_lease)
{
    char guid[SF_HEX128_SIZE];
    if (write->expected.incarnation == 0 || write->expected.version == 0)
        return "no expected version";
    if (sf_claim_name_parse(write->slot.claim, guid, ret_lease) < 0 || *ret_lease == 0)
        return "not the name of a claim";
    if (write->slot.fence == 0 || write->slot.fence > INT64_MAX)
        return "the fence is out of range";
    char *record = sf_record_slot_encode(&write->slot);
    struct sf_coord_slot back = {0};
    const int rc = sf_record_slot_decode(record, strlen(record), write->slot.worker, &back, NULL);
    free(record);
    return rc < 0 ? "the record to write would not be readable" : NULL;
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
    struct sf_coord_claim claim;
    fill_claim(&write->body, (int64_t)write->slot.worker, write->since_ms, &claim);
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
    uint64_t lease = 0;
    const char *wrong = check_write(&job->request.u.write, &lease);
    if (wrong != NULL) {
        invalid(etcd, job, wrong);
        return;
    }
    struct keys keys;
    write_keys(etcd, &job->request, &keys);
    sf_etcd_job_send(etcd, job, "/v3/kv/txn", body_write(&job->request, &keys, lease), true,
                     SF_ETCD_REQUEST_MS);
}

/* The first condition that did not hold. */
static enum sf_coord_reason why_not(const struct sf_coord_request *request,
                                    const struct sf_etcd_range *config,
                                    const struct sf_etcd_range *claim,
                                    const struct sf_etcd_range *slot, char text[SF_COORD_TEXT_MAX])
{
    const struct sf_coord_write *write = &request->u.write;
    if (request->op != SF_COORD_RELEASE && config->count != 1) {
        snprintf(text, SF_COORD_TEXT_MAX, "the fleet has no config");
        return SF_COORD_MISSING;
    }
    if (request->op != SF_COORD_RELEASE &&
        (config->kvs[0].create_revision != write->config.incarnation ||
         config->kvs[0].mod_revision != write->config.version)) {
        snprintf(text, SF_COORD_TEXT_MAX,
                 "the fleet's config has been changed (revision %" PRIu64 ", expected %" PRIu64 ")",
                 config->kvs[0].mod_revision, write->config.version);
        return SF_COORD_CONFIG_CHANGED;
    }
    if (claim->count != 1 || claim->kvs[0].create_revision != write->slot.fence) {
        snprintf(text, SF_COORD_TEXT_MAX, "%s is gone", write->slot.claim);
        return SF_COORD_CLAIM_GONE;
    }
    if (slot->count != 1) {
        snprintf(text, SF_COORD_TEXT_MAX, "slot %" PRIu64 " has no record", write->slot.worker);
        return SF_COORD_MISSING;
    }
    if (slot->kvs[0].create_revision != write->expected.incarnation ||
        slot->kvs[0].mod_revision != write->expected.version) {
        snprintf(text, SF_COORD_TEXT_MAX,
                 "slot %" PRIu64 " is at revision %" PRIu64 ", expected %" PRIu64 "%s",
                 write->slot.worker, slot->kvs[0].mod_revision, write->expected.version,
                 slot->kvs[0].create_revision == write->expected.incarnation
                     ? ""
                     : " of another incarnation");
        return SF_COORD_VERSION;
    }
    snprintf(text, SF_COORD_TEXT_MAX, "etcd refused the transaction though its conditions hold");
    return SF_COORD_INVALID;
}

static void write_refused(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    const json_t *root = result->answer.root;
    struct sf_etcd_range config = {0}, claim = {0}, slot = {0};
    char text[SF_COORD_TEXT_MAX];
    enum sf_coord_reason reason = SF_COORD_VERSION;
    if (sf_etcd_txn_range(root, 0, &config) == 0 && sf_etcd_txn_range(root, 1, &claim) == 0 &&
        sf_etcd_txn_range(root, 2, &slot) == 0) {
        reason = why_not(&job->request, &config, &claim, &slot, text);
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED, reason, "%s", text);
    } else {
        /* Not the answer of a transaction that failed: nobody knows. */
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE,
                           "etcd: an answer without its content");
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
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE,
                           "etcd: an answer without a later revision");
        return;
    }
    struct sf_coord_event *event = sf_etcd_job_done(job);
    event->completion.version =
        (struct sf_coord_version){job->request.u.write.expected.incarnation, revision};
    sf_etcd_job_finish(etcd, job, event, result);
}
