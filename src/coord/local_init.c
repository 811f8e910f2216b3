/* coord/local_init.c - INIT: make a fleet's tree, or raise it above what a loss of data may have
 * forgotten.
 *
 * Order: all records first (each datacenter under its lock, on the disk before they get their
 * names), the config last. A tree without a config is no fleet yet, so an INIT that died halfway is
 * simply done again; records that it left are kept and raised.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/local_store.h"
#include "coord/records.h"

static uint64_t datacenter_count(const struct sf_coord_config *config)
{
    return config->any_datacenter ? sf_layout_max_datacenter(&config->layout) + 1
                                  : config->datacenter_count;
}

static int check_request(struct sf_local_job *job)
{
    const struct sf_coord_config *config = &job->request->u.init.config;
    const char *reason = NULL;
    if (sf_layout_validate(&config->layout, &reason) < 0)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID, "layout: %s", reason);
    if (config->layout.worker_bits > SF_COORD_WORKER_BITS_MAX ||
        config->layout.datacenter_bits > SF_COORD_DATACENTER_BITS_MAX)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID,
                               "layout: at most %d worker and %d datacenter bits, since every slot "
                               "gets a record",
                               SF_COORD_WORKER_BITS_MAX, SF_COORD_DATACENTER_BITS_MAX);
    uint64_t records = datacenter_count(config) * (sf_layout_max_worker(&config->layout) + 1);
    if (records > SF_COORD_RECORDS_MAX)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID,
                               "%" PRIu64
                               " slots need as many records, at most %d are allowed: name "
                               "fewer datacenters or use fewer worker bits",
                               records, SF_COORD_RECORDS_MAX);
    if (config->incarnation > INT64_MAX)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID,
                               "the incarnation is out of range");
    struct sf_coord_config *back = calloc(1, sizeof *back);
    struct sf_error err = {0, ""};
    char *record = sf_record_config_encode(config);
    SF_ASSERT(back != NULL);
    int rc = sf_record_config_decode(record, strlen(record), back, &err);
    free(record);
    free(back);
    if (rc < 0)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_INVALID, "the config: %.200s",
                               err.text);
    return 0;
}

/* DIR and its parents. */
static int make_root(struct sf_local_store *store, struct sf_local_job *job)
{
    char path[PATH_MAX];
    SF_ASSERT(strlen(store->root) < sizeof path);
    memcpy(path, store->root, strlen(store->root) + 1);
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        int code = access(path, F_OK) == 0 ? 0 : sf_disk_mkdir(&store->disk, AT_FDCWD, path);
        if (code < 0)
            return sf_local_refuse_errno(job, code == -ENOENT ? -EIO : code, false,
                                         "cannot make directory", path);
        if (kept == '\0')
            break;
        *at = kept;
    }
    struct sf_error err = {0, ""};
    if (sf_disk_directory_check(store->root, &err) < 0)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_STORAGE, "%.*s",
                               SF_COORD_TEXT_MAX - 1, err.text);
    return 0;
}

static int make_directory(struct sf_local_store *store, struct sf_local_job *job, int dirfd,
                          const char *path)
{
    int code = sf_disk_mkdir(&store->disk, dirfd, path);
    return code == 0 ? 0 : sf_local_refuse_errno(job, code, false, "cannot make directory", path);
}

/* A record of the datacenter as INIT wants it. Returns 1 when it must be written, 0 when it may
 * stay, -1 when refused. */
static int wanted_record(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_dc *dc, uint64_t worker, struct sf_coord_slot *slot)
{
    const struct sf_coord_init *init = &job->request->u.init;
    int64_t now_ms = store->ticks->real_ns(store->ticks->ctx) / SF_NS_PER_MS;
    struct sf_error err = {0, ""};
    int rc = sf_local_read_slot(store, dc, worker, slot, &err);
    if (rc == -ENOENT || (rc == -EBADMSG && init->after_data_loss)) {
        sf_record_slot_fresh(worker, init->config.floor_ms, now_ms, slot);
        slot->version = (struct sf_coord_version){sf_local_fresh_incarnation(), 1};
        return 1;
    }
    if (rc == -EBADMSG)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_GARBAGE, "%.*s",
                               SF_COORD_TEXT_MAX - 1, err.text);
    if (rc < 0)
        return sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_STORAGE, "%.*s",
                               SF_COORD_TEXT_MAX - 1, err.text);
    if (slot->reserved_until_ms >= init->config.floor_ms)
        return 0;
    slot->reserved_until_ms = init->config.floor_ms;
    slot->updated_ms = now_ms;
    slot->nonce[0] =
        '\0'; /* this is nobody's own write: its owner must not take it for acknowledged */
    slot->version.version++;
    return 1;
}

struct pending_record {
    uint64_t worker;
    char temporary[SF_DISK_NAME_MAX];
};

/* Writes what must be written under temporary names, makes all of it durable at once, and only then
 * gives the names. */
static int make_records(struct sf_local_store *store, struct sf_local_job *job,
                        const struct sf_local_dc *dc, uint64_t *fence_max)
{
    uint64_t count = sf_layout_max_worker(&job->request->u.init.config.layout) + 1;
    struct pending_record *pending = calloc(count, sizeof *pending);
    SF_ASSERT(pending != NULL);
    size_t used = 0;
    int rc = 0, code = 0;
    for (uint64_t worker = 0; rc >= 0 && code == 0 && worker < count; worker++) {
        struct sf_coord_slot slot = {0};
        rc = wanted_record(store, job, dc, worker, &slot);
        if (rc >= 0 && slot.fence > *fence_max)
            *fence_max = slot.fence;
        if (rc != 1)
            continue;
        size_t size = 0;
        char *sealed = sf_local_seal_slot(store, dc, &slot, &slot.version, &size);
        code = sf_disk_write_temporary(&store->disk, dc->slots, sealed, size, false,
                                       pending[used].temporary, NULL, NULL);
        free(sealed);
        if (code == 0)
            pending[used++].worker = worker;
    }
    if (rc >= 0 && code == 0 && used > 0 && syncfs(dc->slots) < 0)
        code = -errno;
    for (size_t i = 0; i < used; i++) {
        char name[SF_DISK_NAME_MAX];
        snprintf(name, sizeof name, "%" PRIu64, pending[i].worker);
        if (rc >= 0 && code == 0)
            code = sf_disk_rename(&store->disk, dc->slots, pending[i].temporary, name);
        else
            unlinkat(dc->slots, pending[i].temporary, 0);
    }
    free(pending);
    if (rc >= 0 && code == 0)
        code = sf_disk_sync_directory(&store->disk, dc->slots, "slots");
    if (rc >= 0 && code < 0)
        return sf_local_refuse_errno(job, code == -ENOENT ? -EIO : code, false,
                                     "cannot make the records of", dc->path);
    return rc < 0 ? rc : 0;
}

/* The sequence is made when it is missing and lost data is forgiven; it never goes back below a
 * fence that is still known. */
static int make_sequence(struct sf_local_store *store, struct sf_local_job *job,
                         struct sf_local_dc *dc, uint64_t fence_max)
{
    struct sf_error err = {0, ""};
    struct sf_coord_version version = {0, 0};
    uint64_t sequence = 0;
    int rc = sf_local_read_sequence(store, dc, &sequence, &version, &err);
    if (rc < 0 && rc != -ENOENT && !(rc == -EBADMSG && job->request->u.init.after_data_loss))
        return sf_local_refuse(job, SF_COORD_REFUSED,
                               rc == -EBADMSG ? SF_COORD_GARBAGE : SF_COORD_STORAGE, "%.*s",
                               SF_COORD_TEXT_MAX - 1, err.text);
    struct sf_coord_claim *claims = NULL;
    size_t claim_count = 0;
    int code = sf_local_claims_list(store, dc, &claims, &claim_count);
    if (code == 0 && claim_count > 0 && claims[claim_count - 1].fence > fence_max)
        fence_max = claims[claim_count - 1].fence;
    free(claims);
    if (code == 0 && (rc < 0 || sequence < fence_max)) {
        if (rc < 0)
            version = (struct sf_coord_version){sf_local_fresh_incarnation(), 0};
        version.version++;
        code = sf_local_write_sequence(store, dc, fence_max, &version, NULL);
    }
    return code == 0
               ? 0
               : sf_local_refuse_errno(job, code, false, "cannot make the sequence of", dc->path);
}

static int make_datacenter(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd,
                           uint64_t number)
{
    char path[64];
    int rc = 0;
    static const char *const parts[] = {"", "/slots", "/claims"};
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "dc/%" PRIu64 "%s", number, parts[i]);
        rc = make_directory(store, job, fleet_fd, path);
    }
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    if (rc < 0 || (rc = sf_local_dc_open(store, job, number, true, &dc)) < 0)
        return rc;
    uint64_t fence_max = 0;
    sf_local_sweep(store, dc.slots);
    sf_local_sweep(store, dc.top);
    rc = make_records(store, job, &dc, &fence_max);
    if (rc == 0)
        rc = make_sequence(store, job, &dc, fence_max);
    if (rc == 0) {
        int code = sf_disk_sync_directory(&store->disk, dc.top, dc.path);
        if (code < 0)
            rc = sf_local_refuse_errno(job, code, false, "cannot make durable:", dc.path);
    }
    sf_local_dc_close(&dc);
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
    int code = syncfs(fleet_fd) < 0
                   ? -errno
                   : sf_disk_replace(&store->disk, fleet_fd, "config", sealed, size,
                                     &job->event->completion.server_ms, &maybe_done);
    free(sealed);
    free(record);
    return code == 0 ? 0
                     : sf_local_refuse_errno(job, code == -ENOENT ? -EIO : code, maybe_done,
                                             "cannot write the config of", store->fleet);
}

/* With the fleet's lock held: may we go on, and what will the config's version be? */
static int decide_config(struct sf_local_store *store, struct sf_local_job *job,
                         struct sf_coord_config *config)
{
    const struct sf_coord_init *init = &job->request->u.init;
    struct sf_error err = {0, ""};
    struct sf_coord_config *there = calloc(1, sizeof *there);
    SF_ASSERT(there != NULL);
    int rc = sf_local_read_config(store, there, &err);
    *config = init->config;
    config->version = (struct sf_coord_version){sf_local_fresh_incarnation(), 1};
    if (rc == 0 && !init->after_data_loss)
        rc = sf_local_refuse(job, SF_COORD_REFUSED, SF_COORD_EXISTS,
                             "fleet %s is there already (%s)", store->fleet, there->fleet_id);
    else if (rc == 0) {
        config->version = there->version;
        config->version.version++;
        if (config->incarnation <= there->incarnation)
            config->incarnation = there->incarnation + 1;
    } else if (rc == -ENOENT || (rc == -EBADMSG && init->after_data_loss))
        rc = 0;
    else
        rc = sf_local_refuse(job, SF_COORD_REFUSED,
                             rc == -EBADMSG ? SF_COORD_GARBAGE : SF_COORD_STORAGE, "%.*s",
                             SF_COORD_TEXT_MAX - 1, err.text);
    free(there);
    return rc;
}

static int init_locked(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd)
{
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    int rc = decide_config(store, job, config);
    if (rc == 0) {
        sf_local_sweep(store, fleet_fd);
        rc = make_directory(store, job, fleet_fd, "dc");
    }
    for (uint64_t i = 0; rc == 0 && i < datacenter_count(config); i++)
        rc = make_datacenter(store, job, fleet_fd,
                             config->any_datacenter ? i : config->datacenters[i]);
    if (rc == 0)
        rc = write_config(store, job, fleet_fd, config);
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
    int rc = check_request(job);
    if (rc < 0 || (rc = make_root(store, job)) < 0)
        return rc;
    int length = snprintf(path, sizeof path, "%s/%s", store->root, store->fleet);
    SF_ASSERT(length > 0 && (size_t)length < sizeof path);
    if ((rc = make_directory(store, job, AT_FDCWD, path)) < 0)
        return rc;
    int fleet_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fleet_fd < 0)
        return sf_local_refuse_errno(job, -errno, false, "fleet directory", path);
    int lock = -1;
    rc = sf_local_lock(store, job, fleet_fd, store->fleet, &lock);
    if (rc == 0) {
        rc = init_locked(store, job, fleet_fd);
        close(lock);
    }
    close(fleet_fd);
    return rc;
}
