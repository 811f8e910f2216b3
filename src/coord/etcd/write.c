/* coord/etcd/write.c - see write.h. */
#include "coord/etcd/write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/fleet.h"
#include "coord/etcd/session.h"
#include "coord/records.h"
#include "coord/request.h"

static void claim_key(const struct sf_etcd *etcd, const struct sf_coord_request *request,
                      const char *name, char to[SF_ETCD_KEY_MAX])
{
    sf_etcd_key(etcd, to, "/%s/dc/%" PRIu64 "/claims/%s", request->basis.token, request->datacenter,
                name);
}

static void slot_key(const struct sf_etcd *etcd, const struct sf_coord_request *request,
                     char to[SF_ETCD_KEY_MAX])
{
    sf_etcd_key(etcd, to, "/%s/dc/%" PRIu64 "/slots/%" PRIu64, request->basis.token,
                request->datacenter, request->u.write.slot.worker);
}

/* Operations of a write's transaction, before the one that reads back what it wrote. */
static size_t writes_of(const struct sf_coord_request *request)
{
    const enum sf_coord_op op = request->op;
    const bool two = op == SF_COORD_BIND || op == SF_COORD_RELEASE;
    const bool counts =
        request->count_claims && op != SF_COORD_RELEASE && op != SF_COORD_RESET_SLOT;
    return 1 + two + counts;
}

/* CLAIM: the lease stands in the name, so that the claim can be written again (BIND) with the lease
 * that it lives on, and be found in etcd by its owner's lease. */

void sf_etcd_claim_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    struct sf_coord_request *request = &job->request;
    char key[SF_ETCD_KEY_MAX];
    struct sf_etcd_basis basis;
    struct sf_coord_claim *claim = calloc(1, sizeof *claim);
    SF_ASSERT(claim != NULL);
    free(job->work); /* of a try before */
    job->work = claim;
    *claim = sf_request_claim(request);
    sf_claim_name_format(claim->guid, etcd->session->lease, claim->name);
    sf_etcd_basis_of(etcd, &request->basis, &basis);
    claim_key(etcd, request, claim->name, key);
    char *value = sf_record_claim_encode(claim);
    struct sf_etcd_compare compares[SF_ETCD_BASIS_COMPARES + 1];
    memcpy(compares, basis.compares, sizeof basis.compares);
    compares[SF_ETCD_BASIS_COMPARES] =
        (struct sf_etcd_compare){.key = key, .target = SF_ETCD_CREATE, .revision = 0};
    char all[SF_ETCD_KEY_MAX];
    claim_key(etcd, request, "", all);
    struct sf_etcd_op ops[3] = {
        {.kind = SF_ETCD_PUT, .key = key, .value = value, .lease = etcd->session->lease},
        {.kind = SF_ETCD_GET_PREFIX, .key = all, .count_only = true}};
    const size_t written = writes_of(request);
    ops[written] = (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = key};
    struct sf_etcd_op gets[SF_ETCD_BASIS_GETS + 1];
    memcpy(gets, basis.gets, sizeof basis.gets);
    gets[SF_ETCD_BASIS_GETS] =
        (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = key, .keys_only = true};
    char *body = sf_etcd_job_txn(etcd, job,
                                 &(struct sf_etcd_txn){.compares = compares,
                                                       .compare_count = SF_ETCD_BASIS_COMPARES + 1,
                                                       .success = ops,
                                                       .success_count = written + 1,
                                                       .failure = gets,
                                                       .failure_count = SF_ETCD_BASIS_GETS + 1});
    free(value);
    sf_etcd_job_send(etcd, job, "/v3/kv/txn", body, true, SF_ETCD_REQUEST_MS);
}

/* How many claims there are, where that was asked for: behind whatever was written. */
static void take_count(const struct sf_etcd_job *job, const struct sf_etcd_result *result,
                       struct sf_coord_completion *to)
{
    struct sf_etcd_range range = {0};
    const size_t at = job->request.op == SF_COORD_BIND ? 2 : 1;
    if (job->request.count_claims && sf_etcd_txn_range(result->answer.root, at, &range) == 0)
        to->claim_total = range.total;
    sf_etcd_range_free(&range);
}

static void claim_refused(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    const struct sf_coord_claim *claim = job->work;
    struct sf_refusal refusal = {0};
    switch (sf_etcd_basis_refusal(etcd, &job->request.basis, true, result, &refusal)) {
    case 1:
        sf_etcd_job_refuse(etcd, job, result, &refusal);
        break;
    case 0:
        sf_etcd_job_fail(etcd, job, result, SF_COORD_REFUSED, SF_COORD_EXISTS,
                         "claim %s exists already", claim->name);
        break;
    default:
        sf_etcd_job_unreadable(etcd, job, result);
    }
}

void sf_etcd_claim_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    struct sf_coord_claim *claim = job->work;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        claim_refused(etcd, job, result);
        return;
    }
    char key[SF_ETCD_KEY_MAX];
    struct sf_coord_version version;
    claim_key(etcd, &job->request, claim->name, key);
    char *value = sf_record_claim_encode(claim);
    const int rc =
        sf_etcd_txn_wrote(&result->answer, writes_of(&job->request), key, value, &version);
    free(value);
    if (rc < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    struct sf_coord_event *event = sf_etcd_job_done(job);
    job->work = NULL;
    claim->fence = version.incarnation;
    take_count(job, result, &event->completion);
    event->completion.place = event->completion.claim_total; /* of the very step that made it */
    event->completion.claims = claim;
    event->completion.claim_count = 1;
    sf_etcd_job_finish(etcd, job, event, result);
}

void sf_etcd_unclaim_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    claim_key(etcd, &job->request, job->request.u.claim_name, key);
    const struct sf_etcd_op op = {.kind = SF_ETCD_DELETE, .key = key};
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = &op, .success_count = 1}), true,
        SF_ETCD_REQUEST_MS);
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

/* The create revision that the claim must have: one of another session is as good as none. */
static uint64_t own_fence(const struct sf_etcd *etcd, const struct sf_coord_write *write)
{
    return lease_of(write->slot.claim) == etcd->session->lease ? write->slot.fence : INT64_MAX;
}

/* The content that was read, or NULL where it was not written as we write it. */
static char *expected_value(const struct sf_coord_write *write)
{
    return write->expected.canonical ? sf_record_slot_encode(&write->expected) : NULL;
}

static char *body_write(struct sf_etcd *etcd, struct sf_etcd_job *job, uint64_t lease)
{
    const struct sf_coord_request *request = &job->request;
    const struct sf_coord_write *write = &request->u.write;
    const bool release = request->op == SF_COORD_RELEASE;
    char claim_at[SF_ETCD_KEY_MAX], slot_at[SF_ETCD_KEY_MAX], all[SF_ETCD_KEY_MAX];
    struct sf_etcd_basis basis;
    sf_etcd_basis_of(etcd, &request->basis, &basis);
    claim_key(etcd, request, write->slot.claim, claim_at);
    slot_key(etcd, request, slot_at);
    claim_key(etcd, request, "", all);
    const struct sf_coord_claim claim = sf_request_claim(request);
    char *slot_value = sf_record_slot_encode(&write->slot);
    char *claim_value = sf_record_claim_encode(&claim);
    char *before = expected_value(write);
    struct sf_etcd_compare compares[4 + SF_ETCD_BASIS_COMPARES] = {
        {.key = claim_at, .target = SF_ETCD_CREATE, .revision = own_fence(etcd, write)},
        {.key = slot_at, .target = SF_ETCD_CREATE, .revision = write->expected.version.incarnation},
        {.key = slot_at, .target = SF_ETCD_MOD, .revision = write->expected.version.version}};
    size_t compare_count = 3;
    if (before != NULL)
        compares[compare_count++] =
            (struct sf_etcd_compare){.key = slot_at, .target = SF_ETCD_VALUE, .value = before};
    for (size_t i = 0; !release && i < SF_ETCD_BASIS_COMPARES; i++)
        compares[compare_count++] = basis.compares[i];
    struct sf_etcd_op success[4] = {{.kind = SF_ETCD_PUT, .key = slot_at, .value = slot_value}};
    size_t count = 1;
    if (request->op == SF_COORD_BIND)
        success[count++] = (struct sf_etcd_op){
            .kind = SF_ETCD_PUT, .key = claim_at, .value = claim_value, .lease = lease};
    else if (release)
        success[count++] = (struct sf_etcd_op){.kind = SF_ETCD_DELETE, .key = claim_at};
    if (request->count_claims && !release)
        success[count++] =
            (struct sf_etcd_op){.kind = SF_ETCD_GET_PREFIX, .key = all, .count_only = true};
    SF_ASSERT(count == writes_of(request));
    success[count++] = (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = slot_at};
    struct sf_etcd_op failure[SF_ETCD_BASIS_GETS + 2];
    memcpy(failure, basis.gets, sizeof basis.gets);
    failure[SF_ETCD_BASIS_GETS] =
        (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = claim_at, .keys_only = true};
    failure[SF_ETCD_BASIS_GETS + 1] =
        (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = slot_at, .keys_only = true};
    char *body = sf_etcd_job_txn(etcd, job,
                                 &(struct sf_etcd_txn){.compares = compares,
                                                       .compare_count = compare_count,
                                                       .success = success,
                                                       .success_count = count,
                                                       .failure = failure,
                                                       .failure_count = SF_ETCD_BASIS_GETS + 2});
    free(slot_value);
    free(claim_value);
    free(before);
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
    sf_etcd_job_send(etcd, job, "/v3/kv/txn", body_write(etcd, job, lease), true,
                     SF_ETCD_REQUEST_MS);
}

/* The first condition that did not hold, after those of the basis. */
static struct sf_refusal why_not(const struct sf_etcd *etcd, const struct sf_coord_request *request,
                                 const struct sf_etcd_range *claim,
                                 const struct sf_etcd_range *slot)
{
    const struct sf_coord_write *write = &request->u.write;
    if (claim->count != 1 || claim->kvs[0].create_revision != own_fence(etcd, write))
        return sf_refusal_claim_gone(write->slot.claim);
    if (slot->count != 1)
        return sf_refusal_slot_missing(write->slot.worker);
    /* The same version with another content: what was put back from a copy counts again. */
    return sf_refusal_slot_version(write->slot.worker, write->expected.version.version);
}

static void write_refused(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    const json_t *root = result->answer.root;
    const bool release = job->request.op == SF_COORD_RELEASE;
    struct sf_etcd_range claim = {0}, slot = {0};
    struct sf_refusal refusal = {0};
    const int basis =
        release ? 0 : sf_etcd_basis_refusal(etcd, &job->request.basis, true, result, &refusal);
    const bool readable = basis >= 0 && sf_etcd_txn_range(root, SF_ETCD_BASIS_GETS, &claim) == 0 &&
                          sf_etcd_txn_range(root, SF_ETCD_BASIS_GETS + 1, &slot) == 0;
    if (readable && basis == 0)
        refusal = why_not(etcd, &job->request, &claim, &slot);
    sf_etcd_range_free(&claim);
    sf_etcd_range_free(&slot);
    if (readable)
        sf_etcd_job_refuse(etcd, job, result, &refusal);
    else
        sf_etcd_job_unreadable(etcd, job, result);
}

void sf_etcd_write_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        write_refused(etcd, job, result);
        return;
    }
    const struct sf_coord_write *write = &job->request.u.write;
    char key[SF_ETCD_KEY_MAX];
    struct sf_coord_version version;
    slot_key(etcd, &job->request, key);
    char *value = sf_record_slot_encode(&write->slot);
    const int rc =
        sf_etcd_txn_wrote(&result->answer, writes_of(&job->request), key, value, &version);
    free(value);
    if (rc < 0 || version.version <= write->expected.version.version) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    struct sf_coord_event *event = sf_etcd_job_done(job);
    event->completion.version = version;
    take_count(job, result, &event->completion);
    sf_etcd_job_finish(etcd, job, event, result);
}

/* TELL: which write of the claim is the last one? Then the next, on condition of that: one that is
 * applied late must not undo what was told after it. */

void sf_etcd_tell_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    claim_key(etcd, &job->request, job->request.u.write.slot.claim, key);
    const struct sf_etcd_op get = {.kind = SF_ETCD_GET, .key = key, .keys_only = true};
    free(job->work);
    job->work = NULL; /* nothing is written yet */
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = &get, .success_count = 1}),
        false, SF_ETCD_REQUEST_MS);
}

static void send_tell(struct sf_etcd *etcd, struct sf_etcd_job *job, uint64_t mod_revision)
{
    const struct sf_coord_write *write = &job->request.u.write;
    const struct sf_coord_claim claim = sf_request_claim(&job->request);
    char key[SF_ETCD_KEY_MAX];
    claim_key(etcd, &job->request, write->slot.claim, key);
    char *value = sf_record_claim_encode(&claim);
    const struct sf_etcd_compare compares[] = {
        {.key = key, .target = SF_ETCD_CREATE, .revision = own_fence(etcd, write)},
        {.key = key, .target = SF_ETCD_MOD, .revision = mod_revision}};
    const struct sf_etcd_op success[] = {
        {.kind = SF_ETCD_PUT, .key = key, .value = value, .lease = lease_of(write->slot.claim)},
        {.kind = SF_ETCD_GET, .key = key}};
    const struct sf_etcd_op get = {.kind = SF_ETCD_GET, .key = key, .keys_only = true};
    job->work = value; /* the write is out */
    sf_etcd_job_send(etcd, job, "/v3/kv/txn",
                     sf_etcd_job_txn(etcd, job,
                                     &(struct sf_etcd_txn){.compares = compares,
                                                           .compare_count = 2,
                                                           .success = success,
                                                           .success_count = 2,
                                                           .failure = &get,
                                                           .failure_count = 1}),
                     true, SF_ETCD_REQUEST_MS);
}

void sf_etcd_tell_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    const struct sf_coord_write *write = &job->request.u.write;
    if (job->work != NULL && sf_etcd_txn_succeeded(result->answer.root)) {
        char key[SF_ETCD_KEY_MAX];
        struct sf_coord_version version;
        claim_key(etcd, &job->request, write->slot.claim, key);
        if (sf_etcd_txn_wrote(&result->answer, 1, key, job->work, &version) == 0)
            sf_etcd_job_finish(etcd, job, sf_etcd_job_done(job), result);
        else
            sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    struct sf_etcd_range range = {0};
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    const bool ours = range.count == 1 && range.kvs[0].create_revision == own_fence(etcd, write);
    const uint64_t mod_revision = ours ? range.kvs[0].mod_revision : 0;
    const struct sf_refusal refusal = ours ? sf_refusal_claim_written(write->slot.claim)
                                           : sf_refusal_claim_gone(write->slot.claim);
    sf_etcd_range_free(&range);
    if (ours && job->work == NULL)
        send_tell(etcd, job, mod_revision);
    else
        sf_etcd_job_refuse(etcd, job, result, &refusal);
}

/* RESET_SLOT: does anybody live in it? Then the record, on condition of what was read. */

void sf_etcd_reset_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char claims[SF_ETCD_KEY_MAX];
    claim_key(etcd, &job->request, "", claims);
    const struct sf_etcd_op get = {.kind = SF_ETCD_GET_PREFIX, .key = claims};
    free(job->work);
    job->work = NULL; /* nothing is written yet */
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = &get, .success_count = 1}),
        false, SF_ETCD_REQUEST_MS);
}

static void send_reset(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    const struct sf_coord_write *write = &job->request.u.write;
    char key[SF_ETCD_KEY_MAX];
    struct sf_etcd_basis basis;
    sf_etcd_basis_of(etcd, &job->request.basis, &basis);
    slot_key(etcd, &job->request, key);
    struct sf_etcd_compare compares[2 + SF_ETCD_BASIS_COMPARES] = {
        {.key = key, .target = SF_ETCD_CREATE, .revision = write->expected.version.incarnation},
        {.key = key, .target = SF_ETCD_MOD, .revision = write->expected.version.version}};
    memcpy(compares + 2, basis.compares, sizeof basis.compares);
    char *value = sf_record_slot_encode(&write->slot);
    const struct sf_etcd_op success[] = {{.kind = SF_ETCD_PUT, .key = key, .value = value},
                                         {.kind = SF_ETCD_GET, .key = key}};
    job->work = malloc(1); /* the write is out */
    SF_ASSERT(job->work != NULL);
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job,
                        &(struct sf_etcd_txn){.compares = compares,
                                              .compare_count = 2 + SF_ETCD_BASIS_COMPARES,
                                              .success = success,
                                              .success_count = 2,
                                              .failure = basis.gets,
                                              .failure_count = SF_ETCD_BASIS_GETS}),
        true, SF_ETCD_REQUEST_MS);
    free(value);
}

static void reset_claims(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    const uint64_t worker = job->request.u.write.slot.worker;
    struct sf_etcd_range range = {0};
    struct sf_refusal refusal = {0};
    char prefix[SF_ETCD_KEY_MAX];
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    claim_key(etcd, &job->request, "", prefix);
    for (size_t i = 0; i < range.count && refusal.reason == SF_COORD_NO_REASON; i++) {
        const struct sf_etcd_kv *kv = &range.kvs[i];
        struct sf_coord_claim claim = {.slot = -1};
        if (sf_record_claim_decode(kv->value, kv->value_size, &claim, NULL) == 0 &&
            claim.slot == (int64_t)worker)
            refusal =
                sf_refusal_slot_held(job->request.datacenter, worker, kv->key + strlen(prefix));
    }
    sf_etcd_range_free(&range);
    if (refusal.reason != SF_COORD_NO_REASON)
        sf_etcd_job_refuse(etcd, job, result, &refusal);
    else
        send_reset(etcd, job);
}

void sf_etcd_reset_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    if (job->work == NULL) {
        reset_claims(etcd, job, result);
        return;
    }
    if (sf_etcd_txn_succeeded(result->answer.root)) {
        sf_etcd_write_answer(etcd, job, result);
        return;
    }
    const struct sf_coord_write *write = &job->request.u.write;
    struct sf_refusal refusal =
        sf_refusal_slot_version(write->slot.worker, write->expected.version.version);
    if (sf_etcd_basis_refusal(etcd, &job->request.basis, true, result, &refusal) < 0)
        sf_etcd_job_unreadable(etcd, job, result);
    else
        sf_etcd_job_refuse(etcd, job, result, &refusal);
}
