/* coord/zookeeper/reset.c - RESET_SLOT. ZooKeeper cannot compare the claims in the same step, but a
 * claim's content and its slot's record are only ever bound together: claims are read, confirmed,
 * before the record is written at the version that was seen. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/zookeeper/acl.h"
#include "coord/zookeeper/basis.h"
#include "coord/zookeeper/confirm.h"
#include "coord/zookeeper/names.h"
#include "coord/zookeeper/write.h"

void sf_zk_reset_free(void *work)
{
    sf_zk_names_free(work);
}

static bool makes_it(const struct sf_zk_job *job)
{
    return job->request.u.write.expected.version.incarnation == 0;
}

static void record_path(const struct sf_zk *z, const struct sf_zk_job *job,
                        char path[SF_ZK_PATH_MAX])
{
    sf_zk_slot_path(z, path, job->request.basis.token, job->request.datacenter,
                    job->request.u.write.slot.worker);
}

/* A node that a multi has made: its version is read afterwards. */

static void made_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == SF_ZK_OK)
        sf_zk_finish_written(z, job, SF_ZK_SLOT, &call->stat);
    else
        sf_zk_finish_rc(z, job, call->rc, "reading the slot that was made");
}

static int issue_made(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    record_path(z, job, path);
    return sf_zk_exists(z, job, index, path, false, made_read);
}

static void written(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK)
        sf_zk_refuse_multi(z, job, call, "resetting a slot");
    else if (!makes_it(job))
        sf_zk_finish_written(z, job, SF_ZK_SLOT, sf_zk_multi_stat(call->multi, SF_ZK_SLOT));
}

static int issue_write(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_coord_write *write = &job->request.u.write;
    char path[SF_ZK_PATH_MAX];
    char *content = sf_record_slot_encode(&write->slot);
    struct sf_zk_multi *multi = sf_zk_multi_create(SF_ZK_BASIS_OPS + 1);
    sf_zk_add_basis(z, job, multi);
    record_path(z, job, path);
    if (makes_it(job))
        sf_zk_multi_make(multi, SF_ZK_SLOT, path, content, sf_zk_acl_record(&z->options), 0);
    else
        sf_zk_multi_set(multi, SF_ZK_SLOT, path, content, write->expected.version.version);
    free(content);
    return sf_zk_multi_send(z, job, index, multi, written);
}

static void read_made(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_made, sf_zk_finish_done);
}

static void send_write(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_write, makes_it(job) ? read_made : sf_zk_finish_done);
}

static void look(struct sf_zk *z, struct sf_zk_job *job)
{
    static const enum sf_zk_condition list[] = {SF_ZK_CONFIG, SF_ZK_STATE, SF_ZK_SLOT};
    const size_t count = sizeof list / sizeof list[0] - (makes_it(job) ? 1 : 0);
    if (sf_zk_ensure_confirmed(z, job))
        sf_zk_look(z, job, list, count, send_write);
}

/* Does somebody live in it? */

static void claim_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_zk_names *names = job->work;
    const uint64_t worker = job->request.u.write.slot.worker;
    struct sf_coord_claim claim = {.slot = -1};
    if (call->rc == SF_ZK_NO_NODE)
        return; /* gone since we read its name */
    if (call->rc != SF_ZK_OK) {
        sf_zk_finish_rc(z, job, call->rc, "reading a claim");
        return;
    }
    if (sf_record_claim_decode(call->data, call->size, &claim, NULL) < 0 ||
        claim.slot != (int64_t)worker)
        return;
    const struct sf_refusal held =
        sf_refusal_slot_held(job->request.datacenter, worker, names->text[call->index]);
    sf_zk_refuse(z, job, &held);
}

static int issue_claim_read(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_names *names = job->work;
    char path[SF_ZK_PATH_MAX];
    sf_zk_claim_path(z, path, job->request.basis.token, job->request.datacenter,
                     names->text[index]);
    return sf_zk_get(z, job, index, path, claim_read);
}

static void read_claims(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_names *names = job->work;
    sf_zk_phase(z, job, names->count, issue_claim_read, look);
}

static void names_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_refusal missing =
        sf_refusal_no_datacenter(z->options.root, job->request.datacenter);
    if (call->rc == SF_ZK_NO_NODE) {
        sf_zk_refuse(z, job, &missing);
    } else if (call->rc != SF_ZK_OK) {
        sf_zk_finish_rc(z, job, call->rc, "listing the claims");
    } else {
        job->work = sf_zk_names_take(call);
        sf_zk_names_keep(job->work, sf_zk_is_claim_name);
    }
}

static int issue_names(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_confirm(z, job, index);
    sf_zk_claims_path(z, path, job->request.basis.token, job->request.datacenter);
    return sf_zk_children(z, job, index, path, false, names_read);
}

void sf_zk_reset_slot(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_names, read_claims);
}
