/* coord/zookeeper/write.c - BIND, RENEW, RELEASE; see write.h. */
#include "coord/zookeeper/write.h"

#include <stdlib.h>

#include "coord/records.h"
#include "coord/request.h"
#include "coord/zookeeper/basis.h"

static void written(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK)
        sf_zk_refuse_multi(z, job, call, "writing a slot");
    else
        sf_zk_finish_written(z, job, SF_ZK_SLOT, sf_zk_multi_stat(call->multi, SF_ZK_SLOT));
}

static void add_record(const struct sf_zk *z, const struct sf_zk_job *job,
                       struct sf_zk_multi *multi)
{
    const struct sf_coord_write *write = &job->request.u.write;
    char path[SF_ZK_PATH_MAX];
    char *content = sf_record_slot_encode(&write->slot);
    sf_zk_slot_path(z, path, job->request.basis.token, job->request.datacenter, write->slot.worker);
    sf_zk_multi_set(multi, SF_ZK_SLOT, path, content, write->expected.version.version);
    free(content);
}

static void our_claim(const struct sf_zk *z, const struct sf_zk_job *job, char path[SF_ZK_PATH_MAX])
{
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     job->request.u.write.slot.claim);
}

/* The claims' names stay as they were, so their directory is touched to tell its watchers. */
static int issue_bind(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    const struct sf_coord_claim claim = sf_request_claim(&job->request);
    char *content = sf_record_claim_encode(&claim);
    struct sf_zk_multi *multi = sf_zk_multi_create(SF_ZK_BASIS_OPS + 3);
    sf_zk_add_basis(z, job, multi);
    our_claim(z, job, path);
    sf_zk_multi_set(multi, SF_ZK_CLAIM, path, content, job->claim_version);
    free(content);
    add_record(z, job, multi);
    sf_zk_claims_path(z, path, job->request.basis.token, job->request.datacenter);
    sf_zk_multi_touch(multi, path);
    return sf_zk_multi_send(z, job, index, multi, written);
}

static int issue_renew(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    struct sf_zk_multi *multi = sf_zk_multi_create(SF_ZK_BASIS_OPS + 2);
    sf_zk_add_basis(z, job, multi);
    our_claim(z, job, path);
    sf_zk_multi_check_exists(multi, SF_ZK_CLAIM, path);
    add_record(z, job, multi);
    return sf_zk_multi_send(z, job, index, multi, written);
}

static int issue_release(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    struct sf_zk_multi *multi = sf_zk_multi_create(3);
    our_claim(z, job, path);
    sf_zk_multi_check_exists(multi, SF_ZK_CLAIM, path); /* first: a missing one is told apart */
    add_record(z, job, multi);
    sf_zk_multi_delete_claim(multi, path);
    return sf_zk_multi_send(z, job, index, multi, written);
}

static void send_bind(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_bind, sf_zk_finish_done);
}

static void send_renew(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_renew, sf_zk_finish_done);
}

static void send_release(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_release, sf_zk_finish_done);
}

void sf_zk_bind(struct sf_zk *z, struct sf_zk_job *job)
{
    static const enum sf_zk_condition list[] = {SF_ZK_CONFIG, SF_ZK_STATE, SF_ZK_CLAIM, SF_ZK_SLOT};
    sf_zk_look(z, job, list, sizeof list / sizeof list[0], send_bind);
}

void sf_zk_renew(struct sf_zk *z, struct sf_zk_job *job)
{
    static const enum sf_zk_condition list[] = {SF_ZK_CONFIG, SF_ZK_STATE, SF_ZK_SLOT};
    sf_zk_look_anew(z, job, list, sizeof list / sizeof list[0], send_renew);
}

void sf_zk_release(struct sf_zk *z, struct sf_zk_job *job)
{
    static const enum sf_zk_condition list[] = {SF_ZK_SLOT};
    sf_zk_look(z, job, list, sizeof list / sizeof list[0], send_release);
}
