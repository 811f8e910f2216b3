/* coord/zookeeper/write.c - see write.h. */
#include "coord/zookeeper/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/zookeeper/acl.h"
#include "coord/zookeeper/call.h"
#include "coord/zookeeper/read.h"

/* The leader's clock at the write, cut to milliseconds; measured at up to 2 ms late. */
#define SERVER_ERROR_MS 2

enum { CONFIG_STAT, CLAIM_STAT, SLOT_STAT, STATS };

static void told_time(struct sf_zk_job *job, int64_t server_ms)
{
    job->event->completion.server_ms = server_ms;
    job->event->completion.server_error_ms = SERVER_ERROR_MS;
}

/* CLAIM. */

static char *encode_claim(const struct sf_coord_claim_request *from, int64_t slot, int64_t since_ms,
                          struct sf_coord_claim *claim)
{
    *claim = (struct sf_coord_claim){.slot = slot, .since_ms = since_ms};
    memcpy(claim->guid, from->guid, sizeof claim->guid);
    memcpy(claim->node, from->node, sizeof claim->node);
    memcpy(claim->address, from->address, sizeof claim->address);
    memcpy(claim->admin, from->admin, sizeof claim->admin);
    memcpy(claim->version, from->version, sizeof claim->version);
    return sf_record_claim_encode(claim);
}

static void claimed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == ZNONODE) {
        sf_zk_refuse_no_datacenter(z, job);
        return;
    }
    if (call->rc != ZOK) {
        sf_zk_finish_rc(z, job, call->rc, "making a claim");
        return;
    }
    struct sf_coord_claim *claim = job->event->completion.claims;
    const char *name = strrchr(call->data, '/');
    uint64_t sequence = 0;
    char guid[SF_HEX128_SIZE];
    if (!call->has_stat || name == NULL || sf_claim_name_parse(name + 1, guid, &sequence) < 0 ||
        strcmp(guid, job->request.u.claim.guid) != 0) {
        sf_zk_finish(z, job, SF_COORD_UNKNOWN, SF_COORD_INVALID,
                     "the server named the claim \"%.150s\"", call->data);
        return;
    }
    snprintf(claim->name, sizeof claim->name, "%s", name + 1);
    claim->fence =
        (uint64_t)
            call->stat.czxid; /* grows from claim to claim for as long as the ensemble lives */
    told_time(job, call->stat.ctime);
    sf_zk_finish_done(z, job);
}

static int issue_claim(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    struct sf_coord_claim *claim = calloc(1, sizeof *claim);
    SF_ASSERT(claim != NULL);
    job->event->completion.claims = claim;
    job->event->completion.claim_count = 1;
    char *content = encode_claim(&job->request.u.claim, -1, sf_zk_real_ms(z), claim);
    char name[SF_COORD_CLAIM_MAX], path[SF_ZK_PATH_MAX];
    snprintf(name, sizeof name, "claim-%s-", claim->guid); /* the server adds the sequence */
    sf_zk_claim_path(z, path, job->request.datacenter, name);
    int rc = sf_zk_create(z, job, index, path, content, sf_zk_acl_directory(&z->options),
                          ZOO_EPHEMERAL_SEQUENTIAL, claimed);
    free(content);
    return rc;
}

void sf_zk_claim(struct sf_zk *z, struct sf_zk_job *job)
{
    char name[SF_COORD_CLAIM_MAX], guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    snprintf(name, sizeof name, "claim-%.32s-0000000000", job->request.u.claim.guid);
    if (sf_claim_name_parse(name, guid, &sequence) < 0)
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "the guid must have 32 lower-case hexadecimal digits");
    else
        sf_zk_phase(z, job, 1, issue_claim, sf_zk_finish_done);
}

/* UNCLAIM. */

static void unclaimed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != ZOK && call->rc != ZNONODE)
        sf_zk_finish_rc(z, job, call->rc, "deleting a claim");
}

static int issue_unclaim(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    (void)index;
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.datacenter, job->request.u.claim_name);
    return sf_zk_delete(z, job, path, unclaimed);
}

void sf_zk_unclaim(struct sf_zk *z, struct sf_zk_job *job)
{
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    if (sf_claim_name_parse(job->request.u.claim_name, guid, &sequence) < 0)
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "\"%.79s\" is not the name of a claim", job->request.u.claim_name);
    else
        sf_zk_phase(z, job, 1, issue_unclaim, sf_zk_finish_done);
}

/* BIND, RENEW, RELEASE. */

static void refuse_version(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_coord_write *write = &job->request.u.write;
    sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_VERSION,
                 "slot %" PRIu64 " is no longer at version %" PRIu64, write->slot.worker,
                 write->expected.version);
}

static void refuse_claim(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE, "%s is gone",
                 job->request.u.write.slot.claim);
}

static void refuse_config(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_CONFIG_CHANGED,
                 "the fleet's config is no longer at version %" PRIu64,
                 job->request.u.write.config.version);
}

static void refuse_missing(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_MISSING, "slot %" PRIu64 " has no record",
                 job->request.u.write.slot.worker);
}

static void refuse_no_config(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_MISSING,
                 "the fleet's config is gone from %.150s", z->options.root);
}

/* Which op of the multi failed, and so which condition. */
static void refuse_multi(struct sf_zk *z, struct sf_zk_job *job, const struct sf_zk_call *call)
{
    const bool release = job->request.op == SF_COORD_RELEASE;
    const int config = release ? -1 : 0, slot = release ? 1 : 2, claim = release ? 0 : 1;
    for (int i = 0; i < call->multi->count; i++) {
        int rc = call->multi->results[i].err;
        if (rc == ZOK || rc == ZRUNTIMEINCONSISTENCY)
            continue; /* not this one: -2 marks what was not run since another failed */
        if (i == config && rc == ZBADVERSION)
            refuse_config(z, job);
        else if (i == config && rc == ZNONODE)
            refuse_no_config(z, job);
        else if (i == slot && rc == ZBADVERSION)
            refuse_version(z, job);
        else if (i == slot && rc == ZNONODE)
            refuse_missing(z, job);
        else if ((i == claim || (release && i == 2)) && rc == ZNONODE)
            refuse_claim(z, job);
        else
            sf_zk_finish_rc(z, job, rc, "writing a slot");
        return;
    }
    sf_zk_finish_rc(z, job, call->rc, "writing a slot");
}

static void written(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_coord_write *write = &job->request.u.write;
    if (call->rc == ZNONODE || call->rc == ZBADVERSION || call->rc == ZNOAUTH) {
        refuse_multi(z, job, call);
        return;
    }
    if (call->rc != ZOK) {
        sf_zk_finish_rc(z, job, call->rc, "writing a slot");
        return;
    }
    const struct Stat *stat = &call->multi->stats[job->request.op == SF_COORD_RELEASE ? 1 : 2];
    if ((uint64_t)stat->czxid != write->expected.incarnation) {
        sf_log_write(z->log, SF_LOG_ERROR, "coordinator.incarnation",
                     "the record of slot %" PRIu64 " was deleted and made again behind our back",
                     write->slot.worker);
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_VERSION,
                     "the record of slot %" PRIu64 " was deleted and made again",
                     write->slot.worker);
        return;
    }
    job->event->completion.version =
        (struct sf_coord_version){(uint64_t)stat->czxid, (uint64_t)(uint32_t)stat->version};
    told_time(job, stat->mtime);
    sf_zk_finish_done(z, job);
}

static void slot_op(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_multi *multi)
{
    const struct sf_coord_write *write = &job->request.u.write;
    char path[SF_ZK_PATH_MAX];
    char *content = sf_record_slot_encode(&write->slot);
    sf_zk_slot_path(z, path, job->request.datacenter, write->slot.worker);
    sf_zk_multi_set(multi, path, content, write->expected.version);
    free(content);
}

static int issue_write(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_coord_write *write = &job->request.u.write;
    char claim[SF_ZK_PATH_MAX], config[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, claim, job->request.datacenter, write->slot.claim);
    sf_zk_path(z, config, "/config");
    struct sf_zk_multi *multi = sf_zk_multi_create(4);
    if (job->request.op == SF_COORD_RELEASE) {
        sf_zk_multi_check_exists(multi, claim); /* first, so that a missing claim is told apart */
        slot_op(z, job, multi);
        sf_zk_multi_delete(multi, claim);
        return sf_zk_multi_send(z, job, index, multi, written);
    }
    sf_zk_multi_check(multi, config, write->config.version);
    if (job->request.op == SF_COORD_BIND) {
        struct sf_coord_claim content;
        char *text =
            encode_claim(&write->body, (int64_t)write->slot.worker, write->since_ms, &content);
        sf_zk_multi_set(multi, claim, text, *(const uint64_t *)job->work);
        free(text);
    } else {
        sf_zk_multi_check_exists(multi, claim);
    }
    slot_op(z, job, multi);
    if (job->request.op ==
        SF_COORD_BIND) { /* the claims' names stay as they were: tell the watchers */
        sf_zk_claim_path(z, claim, job->request.datacenter, "");
        claim[strlen(claim) - 1] = '\0';
        sf_zk_multi_touch(multi, claim);
    }
    return sf_zk_multi_send(z, job, index, multi, written);
}

static void send_write(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_write, sf_zk_finish_done);
}

/* BIND's look at incarnations, and at whose the claim is. */
static void looked(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_coord_write *write = &job->request.u.write;
    const bool missing = call->rc == ZNONODE;
    if (call->rc != ZOK && !missing) {
        sf_zk_finish_rc(z, job, call->rc, "looking at what to bind");
        return;
    }
    switch (call->index) {
    case CONFIG_STAT:
        if (missing)
            refuse_no_config(z, job);
        else if ((uint64_t)call->stat.czxid != write->config.incarnation)
            refuse_config(z, job);
        return;
    case CLAIM_STAT:
        if (missing || call->stat.ephemeralOwner != zoo_client_id(z->link->handle)->client_id)
            refuse_claim(z, job);
        *(uint64_t *)job->work = (uint64_t)(uint32_t)call->stat.version;
        return;
    default:
        if (missing)
            refuse_missing(z, job);
        else if ((uint64_t)call->stat.czxid != write->expected.incarnation)
            refuse_version(z, job);
    }
}

static int issue_look(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_coord_write *write = &job->request.u.write;
    char path[SF_ZK_PATH_MAX];
    if (index == CONFIG_STAT)
        sf_zk_path(z, path, "/config");
    else if (index == CLAIM_STAT)
        sf_zk_claim_path(z, path, job->request.datacenter, write->slot.claim);
    else
        sf_zk_slot_path(z, path, job->request.datacenter, write->slot.worker);
    return sf_zk_exists(z, job, index, path, NULL, looked);
}

/* What we write must be readable by ourselves, and no version may come near the wrap of the
 * server's signed 32 bits. */
static bool check_request(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_coord_write *write = &job->request.u.write;
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    const char *what = NULL;
    if (write->expected.incarnation == 0)
        what = "no expected version";
    else if (write->expected.version > SF_ZK_VERSION_MAX)
        what = "the record has been written more than 2^30 times; make the fleet anew";
    else if (job->request.op != SF_COORD_RELEASE &&
             (write->config.incarnation == 0 || write->config.version > SF_ZK_VERSION_MAX))
        what = "no expected config version";
    else if (sf_claim_name_parse(write->slot.claim, guid, &sequence) < 0)
        what = "not the name of a claim";
    else if (write->slot.fence > INT64_MAX)
        what = "the fence is out of range";
    if (what != NULL) {
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID, "%s", what);
        return false;
    }
    struct sf_coord_slot back = {0};
    struct sf_error err = {0};
    char *record = sf_record_slot_encode(&write->slot);
    int rc = sf_record_slot_decode(record, strlen(record), write->slot.worker, &back, &err);
    free(record);
    if (rc < 0)
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID, "the record to write: %.200s",
                     err.text);
    return rc == 0;
}

void sf_zk_write(struct sf_zk *z, struct sf_zk_job *job)
{
    if (!check_request(z, job))
        return;
    if (job->request.op != SF_COORD_BIND) {
        send_write(z, job);
        return;
    }
    job->work = calloc(1, sizeof(uint64_t)); /* the version of the claim's node */
    SF_ASSERT(job->work != NULL);
    sf_zk_phase(z, job, STATS, issue_look, send_write);
}
