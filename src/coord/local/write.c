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
#include "coord/records.h"

/* What we write must be readable by ourselves: a record that our decoder refuses would take the
 * slot out of service. */
static int check_request(struct sf_local_job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    if (write->expected.incarnation == 0 && write->expected.version == 0)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID, "no expected version");
    if (sf_claim_name_parse(write->slot.claim, guid, &sequence) < 0)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID,
                               "\"%.79s\" is not the name of a claim", write->slot.claim);
    if (write->slot.fence > INT64_MAX)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID,
                               "the fence is out of range");
    char *record = sf_record_slot_encode(&write->slot);
    struct sf_coord_slot back = {0};
    struct sf_error err = {0};
    int rc = sf_record_slot_decode(record, strlen(record), write->slot.worker, &back, &err);
    free(record);
    if (rc < 0)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID,
                               "the record to write: %.200s", err.text);
    return 0;
}

static bool same_version(const struct sf_coord_version *a, const struct sf_coord_version *b)
{
    return a->incarnation == b->incarnation && a->version == b->version;
}

static int refuse_read(struct sf_local_job *job, int code, const struct sf_error *err)
{
    enum sf_coord_reason reason = code == -ENOENT    ? SF_COORD_MISSING
                                  : code == -EBADMSG ? SF_COORD_GARBAGE
                                                     : SF_COORD_STORAGE;
    return sf_local_refuse(job, SF_COORD_REFUSED, reason, "%.*s", SF_COORD_TEXT_MAX - 1, err->text);
}

/* The conditions, in the order in which ZooKeeper's multi would find them broken. */
static int check_conditions(struct sf_local_store *store, struct sf_local_job *job,
                            const struct sf_local_dc *dc, struct sf_local_claim **ret_claim)
{
    const struct sf_coord_write *write = &job->request->u.write;
    struct sf_error err = {0};
    int rc;
    if (job->request->op != SF_COORD_RELEASE) {
        struct sf_coord_config config = {.floor_ms = 0};
        if ((rc = sf_local_read_config(store, &config, &err)) < 0)
            return refuse_read(job, rc, &err);
        if (!same_version(&config.version, &write->config))
            return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_CONFIG_CHANGED,
                                   "the fleet's config has been changed (version %" PRIu64
                                   ", expected %" PRIu64 ")",
                                   config.version.version, write->config.version);
    }
    struct sf_local_claim *claim = sf_local_claim_held(store, dc, write->slot.claim);
    if (claim == NULL)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE, "%s is gone",
                               write->slot.claim);
    struct sf_coord_slot there = {0};
    if ((rc = sf_local_read_slot(store, dc, write->slot.worker, &there, &err)) < 0)
        return refuse_read(job, rc, &err);
    if (!same_version(&there.version, &write->expected))
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_VERSION,
                               "slot %" PRIu64 " is at version %" PRIu64 ", expected %" PRIu64 "%s",
                               write->slot.worker, there.version.version, write->expected.version,
                               there.version.incarnation == write->expected.incarnation
                                   ? ""
                                   : " of another incarnation");
    *ret_claim = claim;
    return 0;
}

static int replace_record(struct sf_local_store *store, struct sf_local_job *job,
                          const struct sf_local_dc *dc)
{
    const struct sf_coord_write *write = &job->request->u.write;
    struct sf_coord_completion *to = &job->event->completion;
    if (store->ticks->mono_ns(store->ticks->ctx) >= job->give_up_ns)
        return sf_local_refuse(job, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                               "the disk was too slow for the deadline");
    struct sf_coord_version version = {write->expected.incarnation, write->expected.version + 1};
    bool maybe_done = false;
    int rc = sf_local_write_slot(store, dc, &write->slot, &version, &to->server_ms, &maybe_done);
    if (rc < 0) {
        char name[48];
        snprintf(name, sizeof name, "%" PRIu64, write->slot.worker);
        return sf_local_refuse_errno(
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
    const struct sf_coord_write *write = &job->request->u.write;
    struct sf_coord_claim content = {.slot = (int64_t)write->slot.worker,
                                     .since_ms = write->since_ms};
    memcpy(content.node, write->body.node, sizeof content.node);
    memcpy(content.address, write->body.address, sizeof content.address);
    memcpy(content.admin, write->body.admin, sizeof content.admin);
    memcpy(content.version, write->body.version, sizeof content.version);
    char temporary[SF_DISK_NAME_MAX];
    int fd = -1;
    int code = sf_local_claim_prepare(store, dc, &content, temporary, &fd, NULL);
    if (code < 0)
        return sf_local_refuse_errno(job, code == -ENOENT ? -EIO : code, false, "cannot write",
                                     claim->name);
    int rc = replace_record(store, job, dc);
    if (rc == 0 && (code = sf_disk_rename(&store->disk, dc->claims, temporary, claim->name)) < 0)
        rc = sf_local_refuse_errno(job, code, true, "cannot write", claim->name);
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
    int rc = replace_record(store, job, dc);
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
    int rc = check_request(job);
    if (rc < 0)
        return rc;
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    if ((rc = sf_local_dc_open(store, job, job->request->datacenter, true, &dc)) < 0)
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
