/* coord/local/init.c - see init.h. */
#include "coord/local/init.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/local/claims.h"
#include "coord/records.h"

#define BATCH 32 /* datacenters whose locks are held at once: four descriptors for each */

/* DIR and its parents. */
static int make_root(struct sf_local_store *store, struct sf_local_job *job)
{
    char path[PATH_MAX];
    SF_ASSERT(strlen(store->root) < sizeof path);
    memcpy(path, store->root, strlen(store->root) + 1);
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        const char kept = *at;
        *at = '\0';
        const int code = access(path, F_OK) == 0 ? 0 : sf_disk_mkdir(&store->disk, AT_FDCWD, path);
        if (code < 0)
            return sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, false,
                                       "cannot make directory", path);
        if (kept == '\0')
            break;
        *at = kept;
    }
    struct sf_error err = {0};
    if (sf_disk_directory_check(store->root, &err) < 0)
        return sf_local_fail(job, SF_COORD_REFUSED, SF_COORD_STORAGE, "%.*s", SF_COORD_TEXT_MAX - 1,
                             err.text);
    return 0;
}

static int make_directory(struct sf_local_store *store, struct sf_local_job *job, int dirfd,
                          const char *path)
{
    const int code = sf_disk_mkdir(&store->disk, dirfd, path);
    return code == 0 ? 0 : sf_local_fail_errno(job, code, false, "cannot make directory", path);
}

/* A record of the datacenter as INIT wants it. Returns 1 when it must be written, 0 when it may
 * stay, -1 when refused. */
static int wanted_record(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_dc *dc, uint64_t worker, struct sf_coord_slot *ret)
{
    const int64_t now_ms = store->ticks->real_ns(store->ticks->ctx) / SF_NS_PER_MS;
    struct sf_coord_slot found = {.worker = worker};
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    const int rc = sf_local_read_slot(store, dc, worker, &found, &err);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG)
        return sf_local_refuse_slot(store, job, dc, worker, rc, err.text);
    if (rc < 0)
        found.state = rc == -ENOENT ? SF_COORD_RECORD_MISSING : SF_COORD_RECORD_GARBAGE;
    switch (sf_init_plan_slot(&job->request->u.init, store->fleet_root, dc->number, &found,
                              err.text, now_ms, ret, &refusal)) {
    case SF_INIT_KEEP:
        *ret = found;
        return 0;
    case SF_INIT_WRITE:
        if (found.state != SF_COORD_RECORD_OK)
            ret->version = (struct sf_coord_version){sf_local_fresh_incarnation(), 0};
        ret->version.version++;
        return 1;
    case SF_INIT_REFUSED:
        break;
    }
    return sf_local_refuse(job, &refusal);
}

/* Written under a temporary name; its own is given when all is on the disk. */
struct pending {
    int dirfd;
    char name[24], temporary[SF_DISK_NAME_MAX];
};

/* A datacenter under way: its lock is held from the look at its records until they have their
 * names. */
struct making {
    struct sf_local_dc dc;
    struct pending *pending;
    size_t used;
    uint64_t fence_max;
};

/* Takes the sealed bytes over. */
static int put_pending(struct sf_local_store *store, struct sf_local_job *job,
                       struct making *making, int dirfd, const char *name, char *sealed,
                       size_t size)
{
    struct pending *pending = &making->pending[making->used];
    const int code = sf_disk_write_temporary(&store->disk, dirfd, sealed, size, false,
                                             pending->temporary, NULL, NULL);
    free(sealed);
    if (code < 0)
        return sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, false,
                                   "cannot make the records of", making->dc.path);
    pending->dirfd = dirfd;
    snprintf(pending->name, sizeof pending->name, "%s", name);
    making->used++;
    return 0;
}

static int prepare_records(struct sf_local_store *store, struct sf_local_job *job,
                           struct making *making, uint64_t count)
{
    for (uint64_t worker = 0; worker < count; worker++) {
        struct sf_coord_slot slot = {0};
        int rc = wanted_record(store, job, &making->dc, worker, &slot);
        if (rc < 0)
            return rc;
        if (slot.fence > making->fence_max)
            making->fence_max = slot.fence;
        if (rc == 0)
            continue;
        char name[24];
        size_t size = 0;
        snprintf(name, sizeof name, "%" PRIu64, worker);
        char *sealed = sf_local_seal_slot(store, &making->dc, &slot, &slot.version, &size);
        rc = put_pending(store, job, making, making->dc.slots, name, sealed, size);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The sequence is made when it is missing and lost data is forgiven; it never goes back below a
 * fence that is still known. */
static int prepare_sequence(struct sf_local_store *store, struct sf_local_job *job,
                            struct making *making)
{
    struct sf_error err = {0};
    struct sf_coord_version version = {0, 0};
    uint64_t sequence = 0;
    const int rc = sf_local_read_sequence(store, &making->dc, &sequence, &version, &err);
    if (rc < 0 && rc != -ENOENT && !(rc == -EBADMSG && job->request->u.init.after_data_loss))
        return sf_local_refuse_sequence(store, job, &making->dc, rc, err.text);
    struct sf_coord_claim *claims = NULL;
    size_t claim_count = 0, size = 0;
    const int code = sf_local_claims_list(store, &making->dc, &claims, &claim_count);
    if (code == 0 && claim_count > 0 && claims[claim_count - 1].fence > making->fence_max)
        making->fence_max = claims[claim_count - 1].fence;
    free(claims);
    if (code < 0)
        return sf_local_fail_errno(job, code, false, "cannot make the sequence of",
                                   making->dc.path);
    if (rc == 0 && sequence >= making->fence_max)
        return 0;
    if (rc < 0)
        version = (struct sf_coord_version){sf_local_fresh_incarnation(), 0};
    version.version++;
    char *sealed = sf_local_seal_sequence(store, &making->dc, making->fence_max, &version, &size);
    return put_pending(store, job, making, making->dc.top, "sequence", sealed, size);
}

static int prepare_datacenter(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd,
                              uint64_t number, struct making *making)
{
    char path[64];
    int rc = 0;
    static const char *const parts[] = {"", "/slots", "/claims"};
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "dc/%" PRIu64 "%s", number, parts[i]);
        rc = make_directory(store, job, fleet_fd, path);
    }
    if (rc < 0 || (rc = sf_local_dc_open(store, job, number, true, &making->dc)) < 0)
        return rc;
    const uint64_t count = sf_init_worker_count(&job->request->u.init.config);
    making->pending = calloc(count + 1, sizeof *making->pending);
    SF_ASSERT(making->pending != NULL);
    sf_local_sweep(store, making->dc.slots);
    sf_local_sweep(store, making->dc.top);
    rc = prepare_records(store, job, making, count);
    return rc < 0 ? rc : prepare_sequence(store, job, making);
}

static int give_names(struct sf_local_store *store, struct sf_local_job *job, struct making *making)
{
    while (making->used > 0) {
        const struct pending *pending = &making->pending[making->used - 1];
        const int code =
            sf_disk_rename(&store->disk, pending->dirfd, pending->temporary, pending->name);
        if (code < 0)
            return sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, false,
                                       "cannot make the records of", making->dc.path);
        making->used--;
    }
    return 0;
}

static int sync_all(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd)
{
    const int code = sf_disk_sync_filesystem(&store->disk, fleet_fd, store->fleet);
    return code == 0 ? 0
                     : sf_local_fail_errno(job, code, false, "cannot make durable:", store->fleet);
}

/* Syncing costs most where the disk is busy with others' data, so it is done once for many
 * datacenters: everything under temporary names, sync, then the names. Their sync is the caller's.
 */
static int make_datacenters(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd,
                            const struct sf_coord_config *config, uint64_t first, uint64_t count)
{
    struct making *making = calloc(count, sizeof *making);
    SF_ASSERT(making != NULL);
    int rc = 0;
    for (uint64_t i = 0; i < count; i++)
        making[i].dc = (struct sf_local_dc)SF_LOCAL_DC_CLOSED;
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = prepare_datacenter(store, job, fleet_fd, sf_init_datacenter(config, first + i),
                                &making[i]);
    if (rc == 0)
        rc = sync_all(store, job, fleet_fd);
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = give_names(store, job, &making[i]);
    for (uint64_t i = 0; i < count; i++) {
        for (size_t k = 0; k < making[i].used; k++) /* only after a failure */
            unlinkat(making[i].pending[k].dirfd, making[i].pending[k].temporary, 0);
        free(making[i].pending);
        sf_local_dc_close(&making[i].dc);
    }
    free(making);
    return rc;
}

static int write_config(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd,
                        struct sf_coord_config *config)
{
    char identity[SF_COORD_FLEET_MAX + 16];
    snprintf(identity, sizeof identity, "%s/config", store->fleet);
    size_t size = 0;
    bool maybe_done = false;
    char *record = sf_record_config_encode(config);
    char *sealed = sf_disk_seal(identity, &config->version, record, &size);
    const int code = sf_disk_replace(&store->disk, fleet_fd, "config", sealed, size,
                                     &job->event->completion.server_ms, &maybe_done);
    free(sealed);
    free(record);
    return code == 0 ? 0
                     : sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, maybe_done,
                                           "cannot write the config of", store->fleet);
}

/* With the fleet's lock held: may we go on, does the config replace one that is there, and what
 * will its version be? */
static int decide_config(struct sf_local_store *store, struct sf_local_job *job,
                         struct sf_coord_config *config, bool *ret_replaces)
{
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    struct sf_coord_config *there = calloc(1, sizeof *there);
    SF_ASSERT(there != NULL);
    int rc = sf_local_read_config(store, there, &err);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG) {
        free(there);
        return sf_local_refuse_config(store, job, rc, err.text);
    }
    const struct sf_init_found found = {.state = rc == 0         ? SF_COORD_RECORD_OK
                                                 : rc == -ENOENT ? SF_COORD_RECORD_MISSING
                                                                 : SF_COORD_RECORD_GARBAGE,
                                        .config = there,
                                        .why = err.text};
    rc = sf_init_plan_config(&job->request->u.init, store->fleet_root, &found, config, ret_replaces,
                             &refusal);
    if (rc < 0)
        sf_local_refuse(job, &refusal);
    else if (*ret_replaces)
        config->version =
            (struct sf_coord_version){there->version.incarnation, there->version.version + 1};
    else
        config->version = (struct sf_coord_version){sf_local_fresh_incarnation(), 1};
    free(there);
    return rc;
}

static int make_fleet(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd,
                      struct sf_coord_config *config, bool replaces)
{
    int rc = replaces ? write_config(store, job, fleet_fd, config) : 0;
    if (rc < 0)
        return rc;
    uint64_t left = sf_init_datacenter_count(config);
    for (uint64_t first = 0, count; rc == 0 && left > 0; first += count, left -= count) {
        count = left < BATCH ? left : BATCH;
        rc = make_datacenters(store, job, fleet_fd, config, first, count);
    }
    if (rc == 0)
        rc = sync_all(store, job, fleet_fd);
    if (rc == 0 && !replaces)
        rc = write_config(store, job, fleet_fd, config);
    else if (rc < 0 && replaces)
        job->event->completion.outcome = SF_COORD_UNKNOWN; /* the config is another by now */
    return rc;
}

static int init_locked(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd)
{
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    bool replaces = false;
    int rc = decide_config(store, job, config, &replaces);
    if (rc == 0) {
        sf_local_sweep(store, fleet_fd);
        rc = make_directory(store, job, fleet_fd, "dc");
    }
    if (rc == 0)
        rc = make_fleet(store, job, fleet_fd, config, replaces);
    if (rc < 0) {
        free(config);
        return rc;
    }
    job->event->completion.config = config;
    return 0;
}

int sf_local_do_init(struct sf_local_store *store, struct sf_local_job *job)
{
    char path[PATH_MAX];
    int rc = make_root(store, job);
    if (rc < 0)
        return rc;
    const int length = snprintf(path, sizeof path, "%s/%s", store->root, store->fleet);
    SF_ASSERT(length > 0 && (size_t)length < sizeof path);
    if ((rc = make_directory(store, job, AT_FDCWD, path)) < 0)
        return rc;
    const int fleet_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fleet_fd < 0)
        return sf_local_fail_errno(job, -errno, false, "fleet directory", path);
    int lock = -1;
    rc = sf_local_lock(store, job, fleet_fd, store->fleet, &lock);
    if (rc == 0) {
        rc = init_locked(store, job, fleet_fd);
        close(lock);
    }
    close(fleet_fd);
    return rc;
}
