/* coord/local/write.c - see write.h. */
#include "coord/local/write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/local/claims.h"
#include "coord/local/fleet.h"
#include "coord/records.h"
#include "coord/request.h"

/* The conditions, in the order in which ZooKeeper's multi would find them broken. With the fleet's
 * lock shared and the datacenter's held. */
static int check_conditions(struct sf_local_store *store, struct sf_local_job *job,
                            const struct sf_local_fleet *fleet, const struct sf_local_dc *dc,
                            struct sf_local_claim **ret_claim)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const uint64_t worker = write->slot.worker;
    struct sf_error err = {0};
    if (job->request->op != SF_COORD_RELEASE && sf_local_check_basis(store, job, fleet, true) < 0)
        return -1;
    const struct sf_refusal gone = sf_refusal_claim_gone(write->slot.claim);
    struct sf_local_claim *claim = sf_local_claim_held(store, dc, write->slot.claim);
    if (claim == NULL)
        return sf_local_refuse(job, &gone);
    const struct sf_refusal changed =
        sf_refusal_slot_version(worker, write->expected.version.version);
    struct sf_coord_slot there = {0};
    const int rc = sf_local_read_slot(store, dc, worker, &there, &err);
    if (rc < 0)
        return sf_local_refuse_slot(store, job, dc, worker, rc, err.text);
    if (!sf_version_same(&there.version, &write->expected.version) ||
        !sf_slot_content_same(&there, &write->expected))
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
    const struct sf_coord_version *before = &write->expected.version;
    struct sf_coord_version version = {before->incarnation, before->version + 1};
    if (before->incarnation == 0)
        version = (struct sf_coord_version){sf_local_fresh_incarnation(), 1}; /* there was none */
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
    const struct sf_coord_claim content = sf_request_claim(job->request);
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
    sf_local_claim_replaced(claim, fd);
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

static int write_slot(struct sf_local_store *store, struct sf_local_job *job,
                      const struct sf_local_fleet *fleet, struct sf_local_dc *dc)
{
    struct sf_local_claim *claim = NULL;
    if (check_conditions(store, job, fleet, dc, &claim) < 0)
        return -1;
    if (job->request->op == SF_COORD_BIND)
        return bind_slot(store, job, dc, claim);
    if (job->request->op == SF_COORD_RELEASE)
        return release_slot(store, job, dc, claim);
    return replace_record(store, job, dc);
}

/* Does a live claim say that it holds the slot? Returns 1 and its name, 0, or -1 refused. */
static int holder_of(struct sf_local_store *store, struct sf_local_job *job, struct sf_local_dc *dc,
                     uint64_t worker, char ret_name[SF_COORD_CLAIM_MAX])
{
    struct sf_coord_claim *claims = NULL;
    size_t count = 0;
    int held = 0;
    const int code = sf_local_claims_list(store, dc, &claims, &count);
    if (code < 0)
        return sf_local_fail_errno(job, code, false, "cannot list the claims of", dc->path);
    for (size_t i = 0; i < count && held == 0; i++) {
        if (claims[i].slot != (int64_t)worker)
            continue;
        memcpy(ret_name, claims[i].name, sizeof claims[i].name);
        held = 1;
    }
    free(claims);
    return held;
}

static int reset_slot(struct sf_local_store *store, struct sf_local_job *job,
                      const struct sf_local_fleet *fleet, struct sf_local_dc *dc)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const uint64_t worker = write->slot.worker;
    struct sf_coord_slot there = {0};
    struct sf_error err = {0};
    char holder[SF_COORD_CLAIM_MAX];
    if (sf_local_check_basis(store, job, fleet, true) < 0)
        return -1;
    const int held = holder_of(store, job, dc, worker, holder);
    if (held < 0)
        return -1;
    if (held > 0) {
        const struct sf_refusal refusal = sf_refusal_slot_held(dc->number, worker, holder);
        return sf_local_refuse(job, &refusal);
    }
    const int rc = sf_local_read_slot(store, dc, worker, &there, &err);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG)
        return sf_local_refuse_slot(store, job, dc, worker, rc, err.text);
    /* One that is garbage may have no version that can be told: it is known by being garbage. */
    const struct sf_refusal changed =
        sf_refusal_slot_version(worker, write->expected.version.version);
    const struct sf_coord_version none = {0, 0};
    if (!sf_version_same(rc == 0 ? &there.version : &none, &write->expected.version))
        return sf_local_refuse(job, &changed);
    return replace_record(store, job, dc);
}

static int locked(struct sf_local_store *store, struct sf_local_job *job,
                  int (*act)(struct sf_local_store *, struct sf_local_job *,
                             const struct sf_local_fleet *, struct sf_local_dc *))
{
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    int rc = sf_local_fleet_open(store, job, SF_DISK_SHARED, &fleet);
    if (rc == 0)
        rc = sf_local_dc_open(store, job, job->request->basis.token, job->request->datacenter,
                              SF_LOCAL_DC_LOCKED, &dc);
    if (rc == 0)
        rc = act(store, job, &fleet, &dc);
    if (rc == 0)
        sf_local_claims_count(store, job, &dc);
    sf_local_dc_close(&dc);
    sf_local_fleet_close(&fleet);
    return rc;
}

int sf_local_do_write(struct sf_local_store *store, struct sf_local_job *job)
{
    return locked(store, job, write_slot);
}

int sf_local_do_reset_slot(struct sf_local_store *store, struct sf_local_job *job)
{
    return locked(store, job, reset_slot);
}
