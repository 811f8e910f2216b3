/* coord/zookeeper/claim.c - see claim.h. */
#include "coord/zookeeper/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
#include "coord/zookeeper/acl.h"
#include "coord/zookeeper/answer.h"
#include "coord/zookeeper/basis.h"

/* CLAIM: a multi that makes a node tells its name, but no stat: the fence is read afterwards. */

static void fence_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == SF_ZK_NO_NODE) {
        sf_zk_finish(z, job, SF_COORD_UNKNOWN, SF_COORD_CLAIM_GONE, "%s was deleted at once",
                     job->event->completion.claims[0].name);
        return;
    }
    if (call->rc != SF_ZK_OK) {
        sf_zk_finish_rc(z, job, call->rc, "reading the fence of a claim");
        return;
    }
    /* It grows from claim to claim for as long as the ensemble lives. */
    job->event->completion.claims[0].fence = (uint64_t)call->stat.czxid;
    sf_zk_told_time(job, call->stat.ctime_ms);
}

static int issue_fence(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     job->event->completion.claims[0].name);
    return sf_zk_exists(z, job, index, path, false, fence_read);
}

static void claimed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK) {
        sf_zk_refuse_multi(z, job, call, "making a claim");
        return;
    }
    struct sf_coord_claim *claim = job->event->completion.claims;
    const char *made = sf_zk_multi_made(call->multi, SF_ZK_CLAIMS);
    const char *name = strrchr(made, '/');
    uint64_t sequence = 0;
    char guid[SF_HEX128_SIZE];
    if (name == NULL || sf_claim_name_parse(name + 1, guid, &sequence) < 0 ||
        strcmp(guid, job->request.u.claim.guid) != 0)
        sf_zk_finish(z, job, SF_COORD_UNKNOWN, SF_COORD_INVALID,
                     "the server named the claim \"%.150s\"", made);
    else
        snprintf(claim->name, sizeof claim->name, "%s", name + 1);
}

static int issue_claim(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    struct sf_coord_claim *claim = calloc(1, sizeof *claim);
    SF_ASSERT(claim != NULL);
    job->event->completion.claims = claim;
    job->event->completion.claim_count = 1;
    *claim = sf_request_claim(&job->request);
    char *content = sf_record_claim_encode(claim);
    char name[SF_COORD_CLAIM_MAX], path[SF_ZK_PATH_MAX];
    snprintf(name, sizeof name, "claim-%s-", claim->guid); /* the server adds the sequence */
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter, name);
    struct sf_zk_multi *multi = sf_zk_multi_create(SF_ZK_BASIS_OPS + 1);
    sf_zk_add_basis(z, job, multi);
    sf_zk_multi_make(multi, SF_ZK_CLAIMS, path, content, sf_zk_acl_directory(&z->options),
                     SF_ZK_EPHEMERAL | SF_ZK_SEQUENTIAL);
    free(content);
    return sf_zk_multi_send(z, job, index, multi, claimed);
}

static void read_fence(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_fence, sf_zk_finish_done);
}

static void send_claim(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_claim, read_fence);
}

void sf_zk_claim(struct sf_zk *z, struct sf_zk_job *job)
{
    static const enum sf_zk_condition list[] = {SF_ZK_CONFIG, SF_ZK_STATE};
    sf_zk_look(z, job, list, sizeof list / sizeof list[0], send_claim);
}

/* UNCLAIM. */

static void unclaimed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "deleting a claim");
}

static int issue_unclaim(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    (void)index;
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     job->request.u.claim_name);
    return sf_zk_delete(z, job, path, unclaimed);
}

void sf_zk_unclaim(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_unclaim, sf_zk_finish_done);
}

/* TELL: at the version that was looked at, whose session is ours. Nobody's list of names changes, so
 * nobody is woken. */

static void told(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK)
        sf_zk_refuse_multi(z, job, call, "telling a claim's state");
    else
        sf_zk_told_time(job, sf_zk_multi_stat(call->multi, SF_ZK_CLAIM)->mtime_ms);
}

static int issue_tell(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    const struct sf_coord_claim claim = sf_request_claim(&job->request);
    char *content = sf_record_claim_encode(&claim);
    struct sf_zk_multi *multi = sf_zk_multi_create(1);
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     job->request.u.write.slot.claim);
    sf_zk_multi_set(multi, SF_ZK_CLAIM, path, content, job->claim_version);
    free(content);
    return sf_zk_multi_send(z, job, index, multi, told);
}

static void send_tell(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_tell, sf_zk_finish_done);
}

void sf_zk_tell(struct sf_zk *z, struct sf_zk_job *job)
{
    static const enum sf_zk_condition list[] = {SF_ZK_CLAIM};
    sf_zk_look(z, job, list, sizeof list / sizeof list[0], send_tell);
}
