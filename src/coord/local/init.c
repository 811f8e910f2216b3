/* coord/local/init.c - see init.h. */
#include "coord/local/init.h"

#include <dirent.h>
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
#include "coord/local/fleet.h"
#include "coord/records.h"
#include "coord/version.h"

#define CURRENT "current-"
#define BATCH   32 /* datacenters whose locks are held at once: four descriptors for each */

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
                           struct making *making, const struct sf_coord_config *config)
{
    const int64_t now_ms = store->ticks->real_ns(store->ticks->ctx) / SF_NS_PER_MS;
    for (uint64_t worker = 0; worker < sf_init_worker_count(config); worker++) {
        const struct sf_coord_version version = {sf_local_fresh_incarnation(), 1};
        struct sf_coord_slot slot = {0};
        char name[24];
        size_t size = 0;
        sf_init_slot(&job->request->u.init, config->floor_ms, making->dc.number, worker, now_ms,
                     &slot);
        snprintf(name, sizeof name, "%" PRIu64, worker);
        char *sealed = sf_local_seal_slot(store, &making->dc, &slot, &version, &size);
        if (put_pending(store, job, making, making->dc.slots, name, sealed, size) < 0)
            return -1;
    }
    const struct sf_coord_version version = {sf_local_fresh_incarnation(), 1};
    size_t size = 0;
    char *sealed = sf_local_seal_sequence(store, &making->dc, 0, &version, &size);
    return put_pending(store, job, making, making->dc.top, "sequence", sealed, size);
}

static int prepare_datacenter(struct sf_local_store *store, struct sf_local_job *job, int fleet_fd,
                              const struct sf_coord_config *config, uint64_t number,
                              struct making *making)
{
    char path[96];
    int rc = 0;
    static const char *const parts[] = {"", "/slots", "/claims"};
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "%s/dc/%" PRIu64 "%s", config->token, number, parts[i]);
        rc = make_directory(store, job, fleet_fd, path);
    }
    if (rc < 0 || (rc = sf_local_dc_open(store, job, config->token, number, SF_LOCAL_DC_LOCKED,
                                         &making->dc)) < 0)
        return rc;
    making->pending = calloc(sf_init_worker_count(config) + 1, sizeof *making->pending);
    SF_ASSERT(making->pending != NULL);
    return prepare_records(store, job, making, config);
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
        rc = prepare_datacenter(store, job, fleet_fd, config, sf_init_datacenter(config, first + i),
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

static int write_makings(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_fleet *fleet)
{
    char identity[SF_COORD_FLEET_MAX + 16], record[48];
    struct sf_coord_version version = {0, 0};
    struct sf_error err = {0};
    uint64_t makings = 0;
    size_t size = 0;
    bool maybe_done = false;
    int64_t mtime_ms = -1;
    const int rc = sf_local_read_makings(store, fleet, &makings, &version, &err);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG)
        return sf_local_fail_storage(store, job, "making", err.text);
    if (rc < 0) /* none, or garbage: an incarnation that there never was moves it as well */
        version = (struct sf_coord_version){sf_local_fresh_incarnation(), 0};
    version.version++;
    snprintf(identity, sizeof identity, "%s/making", store->fleet);
    snprintf(record, sizeof record, "{\"makings\":%" PRIu64 "}", makings + 1);
    char *sealed = sf_disk_seal(identity, &version, record, &size);
    const int code =
        sf_disk_replace(&store->disk, fleet->top, "making", sealed, size, &mtime_ms, &maybe_done);
    free(sealed);
    return code == 0 ? 0
                     : sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, maybe_done,
                                           "cannot count the making of", store->fleet);
}

/* Takes the name from every making. */
static int unname(struct sf_local_store *store, struct sf_local_job *job,
                  const struct sf_local_fleet *fleet)
{
    const int fd = openat(fleet->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        const int code = -errno;
        if (fd >= 0)
            close(fd);
        return sf_local_fail_errno(job, code, false, "cannot list", store->fleet);
    }
    const struct dirent *entry;
    int code = 0;
    while (code == 0 && (entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, CURRENT, strlen(CURRENT)) == 0)
            code = sf_disk_unlink(&store->disk, fleet->top, entry->d_name);
    closedir(dir);
    if (code < 0)
        return sf_local_fail_errno(job, code, true, "cannot take the name from", store->fleet);
    return sync_all(store, job, fleet->top);
}

static int give_name(struct sf_local_store *store, struct sf_local_job *job,
                     const struct sf_local_fleet *fleet, const char *token)
{
    char name[SF_COORD_TOKEN_SIZE + sizeof CURRENT];
    bool maybe_done = false;
    int64_t mtime_ms = -1;
    snprintf(name, sizeof name, CURRENT "%s", token);
    const int code = sf_disk_replace(&store->disk, fleet->top, name, "", 0, &mtime_ms, &maybe_done);
    return code == 0 ? 0
                     : sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, true,
                                           "cannot name the making of", store->fleet);
}

/* May the fleet be made, over what is there? Returns 1: go on; 0: it is made already; -1 refused. */
static int decide(struct sf_local_store *store, struct sf_local_job *job,
                  const struct sf_local_fleet *fleet, struct sf_coord_config *config)
{
    const struct sf_coord_init *init = &job->request->u.init;
    struct sf_error err = {0}, none = {0};
    struct sf_refusal refusal = {0};
    struct sf_coord_config *there = calloc(1, sizeof *there);
    SF_ASSERT(there != NULL);
    struct sf_init_found found = {.config = there, .why = err.text};
    const int rc = sf_local_read_config_any(store, fleet, there, &found.version, &err);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG) {
        free(there);
        return sf_local_refuse_config(store, job, rc, err.text);
    }
    found.state = rc == 0         ? SF_COORD_RECORD_OK
                  : rc == -ENOENT ? SF_COORD_RECORD_MISSING
                                  : SF_COORD_RECORD_GARBAGE;
    const enum sf_init_verdict verdict =
        sf_init_plan_config(init, store->fleet_root, &found, config, &refusal);
    struct sf_coord_version root = {0, 0};
    uint64_t makings = 0;
    (void)sf_local_read_makings(store, fleet, &makings, &root, &none);
    if (verdict == SF_INIT_DONE)
        *config = *there;
    else if (verdict == SF_INIT_GO && !sf_version_same(&root, &init->root))
        refusal = sf_refusal_config_raced(store->fleet_root, init->after_data_loss);
    config->version =
        rc == 0 ? (struct sf_coord_version){there->version.incarnation, there->version.version + 1}
                : (struct sf_coord_version){sf_local_fresh_incarnation(), 1};
    if (verdict == SF_INIT_DONE)
        config->version = there->version;
    free(there);
    if (verdict == SF_INIT_DONE)
        return 0;
    return refusal.reason == SF_COORD_NO_REASON ? 1 : sf_local_refuse(job, &refusal);
}

static int make_tree(struct sf_local_store *store, struct sf_local_job *job,
                     const struct sf_local_fleet *fleet, const struct sf_coord_config *config)
{
    char path[SF_COORD_TOKEN_SIZE + 4];
    int rc = make_directory(store, job, fleet->top, config->token);
    snprintf(path, sizeof path, "%s/dc", config->token);
    if (rc == 0)
        rc = make_directory(store, job, fleet->top, path);
    uint64_t left = sf_init_datacenter_count(config);
    for (uint64_t first = 0, count; rc == 0 && left > 0; first += count, left -= count) {
        count = left < BATCH ? left : BATCH;
        rc = make_datacenters(store, job, fleet->top, config, first, count);
    }
    if (rc < 0)
        return rc;
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    const struct sf_coord_version version = {sf_local_fresh_incarnation(), 1};
    rc = sf_local_write_state(store, job, fleet, config->token, state, &version);
    free(state);
    return rc < 0 ? rc : sync_all(store, job, fleet->top);
}

/* The floor, above what survives: nothing is granted any more when it is looked for. */
static int find_floor(struct sf_local_store *store, struct sf_local_job *job,
                      const struct sf_local_fleet *fleet, int64_t *ret_floor_ms)
{
    const struct sf_coord_init *init = &job->request->u.init;
    struct sf_coord_survey survey;
    struct sf_refusal refusal = {0};
    if (init->after_data_loss &&
        (unname(store, job, fleet) < 0 || write_makings(store, job, fleet) < 0 ||
         sf_local_survey(store, job, fleet, "", &survey) < 0))
        return -1;
    if (sf_init_plan_floor(init, store->fleet_root, init->after_data_loss ? &survey : NULL,
                           ret_floor_ms, &refusal) == 0)
        return 0;
    return sf_local_refuse(job, &refusal);
}

static int init_locked(struct sf_local_store *store, struct sf_local_job *job,
                       const struct sf_local_fleet *fleet)
{
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    job->event->completion.config = config;
    const int verdict = decide(store, job, fleet, config);
    if (verdict <= 0)
        return verdict;
    sf_local_sweep(store, fleet->top);
    if (find_floor(store, job, fleet, &config->floor_ms) < 0 ||
        make_tree(store, job, fleet, config) < 0)
        return -1;
    /* Nobody looks for the name of a making that the config does not name: so the config is what
     * makes it grant, and whoever finds his own token there is done. */
    if (unname(store, job, fleet) < 0 || write_makings(store, job, fleet) < 0 ||
        give_name(store, job, fleet, config->token) < 0)
        return -1;
    return write_config(store, job, fleet->top, config);
}

int sf_local_do_init(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    if (make_root(store, job) < 0 || make_directory(store, job, AT_FDCWD, store->fleet_root) < 0 ||
        sf_local_fleet_open(store, job, SF_DISK_ALONE, &fleet) < 0)
        return -1;
    const int rc = init_locked(store, job, &fleet);
    sf_local_fleet_close(&fleet);
    return rc;
}
