/* coord/local/write.c - see write.h. */
#include "coord/local/write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/local/claims.h"
#include "coord/request.h"

/* The conditions, in the order in which ZooKeeper's multi would find them broken. */
static int check_conditions(struct sf_local_store *store, struct sf_local_job *job,
                            const struct sf_local_dc *dc, struct sf_local_claim **ret_claim)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const uint64_t worker = write->slot.worker;
    struct sf_error err = {0};
    int rc;
    if (job->request->op != SF_COORD_RELEASE) {
        const struct sf_refusal changed = sf_refusal_config_changed(write->config.version);
        struct sf_coord_config config = {.floor_ms = 0};
        if ((rc = sf_local_read_config(store, &config, &err)) < 0)
            return sf_local_refuse_config(store, job, rc, err.text);
        if (!sf_version_same(&config.version, &write->config))
            return sf_local_refuse(job, &changed);
    }
    const struct sf_refusal gone = sf_refusal_claim_gone(write->slot.claim);
    struct sf_local_claim *claim = sf_local_claim_held(store, dc, write->slot.claim);
    if (claim == NULL)
        return sf_local_refuse(job, &gone);
    const struct sf_refusal changed = sf_refusal_slot_version(worker, write->expected.version);
    struct sf_coord_slot there = {0};
    if ((rc = sf_local_read_slot(store, dc, worker, &there, &err)) < 0)
        return sf_local_refuse_slot(store, job, dc, worker, rc, err.text);
    if (!sf_version_same(&there.version, &write->expected))
        return sf_local_refuse(job, &changed);
    *ret_claim = claim;
    return 0;
}

static int replace_record(struct sf_local_store *store, struct sf_local_job *job,
                          const struct sf_local_dc *dc)
{
    const struct sf_coord_write *write = &job->request->u.write;
    struct sf_coord_completion *to = &job->event->completion;
    if (store->ticks->mono_ns(store->ticks->ctx) >= job->give_up_ns)
        return sf_local_fail(job, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                             "the disk was too slow for the deadline");
    struct sf_coord_version version = {write->expected.incarnation, write->expected.version + 1};
    bool maybe_done = false;
    const int rc =
        sf_local_write_slot(store, dc, &write->slot, &version, &to->server_ms, &maybe_done);
    if (rc < 0) {
        char name[48];
        snprintf(name, sizeof name, "%" PRIu64, write->slot.worker);
        return sf_local_fail_errno(
            job, rc == -ENOENT ? -EIO : rc, maybe_done,
            maybe_done ? "could not make durable: slot" : "cannot write slot", name);
    }
    to->version = version;
    return 0;
}

/* The claim's new content is prepared before the record is replaced and put in place after: the
 * record decides. */
static int bind_slot(struct sf_local_store *store, struct sf_local_job *job,
                     const struct sf_local_dc *dc, struct sf_local_claim *claim)
{
    SF_ASSERT(claim != NULL);
    const struct sf_coord_claim content = sf_request_bound_claim(&job->request->u.write);
    char temporary[SF_DISK_NAME_MAX];
    int fd = -1;
    int code = sf_local_claim_prepare(store, dc, &content, temporary, &fd, NULL);
    if (code < 0)
        return sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, false, "cannot write",
                                   claim->name);
    int rc = replace_record(store, job, dc);
    if (rc == 0 && (code = sf_disk_rename(&store->disk, dc->claims, temporary, claim->name)) < 0)
        rc = sf_local_fail_errno(job, code, true, "cannot write", claim->name);
    if (rc < 0) {
        unlinkat(dc->claims, temporary, 0);
        close(fd);
        return rc;
    }
    close(claim->fd); /* the old file, which has no name any more */
    claim->fd = fd;
    return 0;
}

static int release_slot(struct sf_local_store *store, struct sf_local_job *job,
                        const struct sf_local_dc *dc, struct sf_local_claim *claim)
{
    const int rc = replace_record(store, job, dc);
    if (rc < 0)
        return rc;
    /* A file that cannot be deleted is a dead claim as soon as its lock has ended: others will
     * sweep it. */
    (void)sf_disk_unlink(&store->disk, dc->claims, claim->name);
    sf_local_claim_drop(store, claim);
    return 0;
}

int sf_local_do_write(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    int rc = sf_local_dc_open(store, job, job->request->datacenter, true, &dc);
    if (rc < 0)
        return rc;
    struct sf_local_claim *claim = NULL;
    rc = check_conditions(store, job, &dc, &claim);
    if (rc == 0 && job->request->op == SF_COORD_BIND)
        rc = bind_slot(store, job, &dc, claim);
    else if (rc == 0 && job->request->op == SF_COORD_RELEASE)
        rc = release_slot(store, job, &dc, claim);
    else if (rc == 0)
        rc = replace_record(store, job, &dc);
    sf_local_dc_close(&dc);
    return rc;
}
