/* coord/zookeeper/write.c - see write.h. */
#include "coord/zookeeper/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
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
    *claim = sf_request_claim(&job->request.u.claim, -1, sf_zk_real_ms(z));
    char *content = sf_record_claim_encode(claim);
    char name[SF_COORD_CLAIM_MAX], path[SF_ZK_PATH_MAX];
    snprintf(name, sizeof name, "claim-%s-", claim->guid); /* the server adds the sequence */
    sf_zk_claim_path(z, path, job->request.datacenter, name);
    const int rc = sf_zk_create(z, job, index, path, content, sf_zk_acl_directory(&z->options),
                                ZOO_EPHEMERAL_SEQUENTIAL, claimed);
    free(content);
    return rc;
}

void sf_zk_claim(struct sf_zk *z, struct sf_zk_job *job)
{
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
    sf_zk_phase(z, job, 1, issue_unclaim, sf_zk_finish_done);
}

/* BIND, RENEW, RELEASE. */

/* Which condition did not hold. */
enum condition { CONFIG_THERE, CONFIG_SAME, CLAIM_THERE, SLOT_THERE, SLOT_SAME };

static void refuse(struct sf_zk *z, struct sf_zk_job *job, enum condition broken)
{
    const struct sf_coord_write *write = &job->request.u.write;
    struct sf_refusal refusal = {0};
    switch (broken) {
    case CONFIG_THERE:
        refusal = sf_refusal_no_fleet(z->options.root);
        break;
    case CONFIG_SAME:
        refusal = sf_refusal_config_changed(write->config.version);
        break;
    case CLAIM_THERE:
        refusal = sf_refusal_claim_gone(write->slot.claim);
        break;
    case SLOT_THERE:
        refusal = sf_refusal_slot_missing(write->slot.worker);
        break;
    case SLOT_SAME:
        refusal = sf_refusal_slot_version(write->slot.worker, write->expected.version);
        break;
    }
    sf_zk_refuse(z, job, &refusal);
}

/* Which op of the multi failed, and so which condition. */
static void refuse_multi(struct sf_zk *z, struct sf_zk_job *job, const struct sf_zk_call *call)
{
    const bool release = job->request.op == SF_COORD_RELEASE;
    const int config = release ? -1 : 0, slot = release ? 1 : 2, claim = release ? 0 : 1;
    for (int i = 0; i < call->multi->count; i++) {
        const int rc = call->multi->results[i].err;
        if (rc == ZOK || rc == ZRUNTIMEINCONSISTENCY)
            continue; /* not this one: -2 marks what was not run since another failed */
        if (i == config && rc == ZBADVERSION)
            refuse(z, job, CONFIG_SAME);
        else if (i == config && rc == ZNONODE)
            refuse(z, job, CONFIG_THERE);
        else if (i == slot && rc == ZBADVERSION)
            refuse(z, job, SLOT_SAME);
        else if (i == slot && rc == ZNONODE)
            refuse(z, job, SLOT_THERE);
        else if ((i == claim || (release && i == 2)) && rc == ZNONODE)
            refuse(z, job, CLAIM_THERE);
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
        refuse(z, job, SLOT_SAME);
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
        const struct sf_coord_claim content = sf_request_bound_claim(write);
        char *text = sf_record_claim_encode(&content);
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
            refuse(z, job, CONFIG_THERE);
        else if ((uint64_t)call->stat.czxid != write->config.incarnation)
            refuse(z, job, CONFIG_SAME);
        return;
    case CLAIM_STAT:
        if (missing || call->stat.ephemeralOwner != zoo_client_id(z->link->handle)->client_id)
            refuse(z, job, CLAIM_THERE);
        *(uint64_t *)job->work = (uint64_t)(uint32_t)call->stat.version;
        return;
    default:
        if (missing)
            refuse(z, job, SLOT_THERE);
        else if ((uint64_t)call->stat.czxid != write->expected.incarnation)
            refuse(z, job, SLOT_SAME);
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

void sf_zk_write(struct sf_zk *z, struct sf_zk_job *job)
{
    if (job->request.op != SF_COORD_BIND) {
        send_write(z, job);
        return;
    }
    job->work = calloc(1, sizeof(uint64_t)); /* the version of the claim's node */
    SF_ASSERT(job->work != NULL);
    sf_zk_phase(z, job, STATS, issue_look, send_write);
}
