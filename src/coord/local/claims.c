/* coord/local/claims.c - see claims.h. */
#include "coord/local/claims.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/local/fleet.h"
#include "coord/records.h"
#include "coord/request.h"

static struct sf_local_claim *find(struct sf_local_store *store, uint64_t datacenter,
                                   const char *name)
{
    struct sf_local_claim *claim = store->claims;
    while (claim != NULL && (claim->datacenter != datacenter || strcmp(claim->name, name) != 0))
        claim = claim->next;
    return claim;
}

struct sf_local_claim *sf_local_claim_held(struct sf_local_store *store,
                                           const struct sf_local_dc *dc, const char *name)
{
    struct sf_local_claim *claim = find(store, dc->number, name);
    if (claim == NULL || sf_disk_same_file(claim->fd, dc->claims, name))
        return claim;
    sf_local_claim_drop(store, claim);
    return NULL;
}

static void forget(struct sf_local_store *store, struct sf_local_claim *claim)
{
    struct sf_local_claim **at = &store->claims;
    while (*at != claim) {
        SF_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = claim->next;
    free(claim);
}

void sf_local_claim_drop(struct sf_local_store *store, struct sf_local_claim *claim)
{
    sf_disk_unlock(claim->fd);
    forget(store, claim);
}

void sf_local_claim_replaced(struct sf_local_claim *claim, int fd)
{
    close(claim->fd); /* the old file, which has no name any more */
    claim->fd = fd;
}

int sf_local_claim_prepare(struct sf_local_store *store, const struct sf_local_dc *dc,
                           const struct sf_coord_claim *content, char ret_name[SF_DISK_NAME_MAX],
                           int *ret_fd, int64_t *ret_mtime_ms)
{
    char *record = sf_record_claim_encode(content);
    int fd = -1;
    /* Not synced: after a crash of the machine nobody holds its lock, whatever it contains. */
    int rc = sf_disk_write_temporary(&store->disk, dc->claims, record, strlen(record), false,
                                     ret_name, &fd, ret_mtime_ms);
    free(record);
    if (rc < 0)
        return rc;
    rc = sf_disk_try_lock(&store->disk, fd, SF_DISK_ALONE);
    if (rc < 0) {
        unlinkat(dc->claims, ret_name, 0);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* Listing. */

/* Content that is not ours is shown as a claim that waits, without words: the name alone already
 * counts. */
static void read_content(struct sf_local_store *store, const struct sf_local_dc *dc,
                         struct sf_coord_claim *claim)
{
    char bytes[SF_COORD_RECORD_SIZE_MAX];
    size_t size = 0;
    if (sf_disk_read(&store->disk, dc->claims, claim->name, bytes, sizeof bytes, &size) == 0)
        (void)sf_record_claim_decode(bytes, size, claim, NULL);
}

struct listing {
    struct sf_coord_claim *claims;
    size_t count, capacity;
    bool dead; /* dead claims or left over files were met */
};

static void add(struct listing *listing, const struct sf_coord_claim *claim)
{
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 16;
        listing->claims = realloc(listing->claims, listing->capacity * sizeof *listing->claims);
        SF_ASSERT(listing->claims != NULL);
    }
    listing->claims[listing->count++] = *claim;
}

static DIR *open_listing(int dirfd)
{
    const int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL && fd >= 0)
        close(fd);
    return dir;
}

static bool is_temporary(const char *name)
{
    return strncmp(name, SF_DISK_TEMPORARY, strlen(SF_DISK_TEMPORARY)) == 0;
}

void sf_local_sweep(struct sf_local_store *store, int dirfd)
{
    DIR *dir = open_listing(dirfd);
    if (dir == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (is_temporary(entry->d_name))
            (void)sf_disk_unlink(&store->disk, dirfd, entry->d_name);
    closedir(dir);
}

/* Goes through the directory. listing NULL: removes the dead (dc's lock is held). */
static int scan(struct sf_local_store *store, const struct sf_local_dc *dc, struct listing *listing)
{
    DIR *dir = open_listing(dc->claims);
    if (dir == NULL)
        return -errno;
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        struct sf_coord_claim claim = {.slot = -1};
        const bool left_over = is_temporary(entry->d_name);
        if (!left_over && sf_claim_name_parse(entry->d_name, claim.guid, &claim.fence) < 0)
            continue;
        const int locked = sf_disk_is_locked(dc->claims, entry->d_name);
        if (locked < 0 && locked != -ENOENT)
            rc = locked;
        else if (locked == 0 && listing == NULL)
            rc = sf_disk_unlink(&store->disk, dc->claims, entry->d_name);
        else if (locked == 0)
            listing->dead = true;
        else if (locked == 1 && !left_over && listing != NULL) {
            snprintf(claim.name, sizeof claim.name, "%.*s", SF_COORD_CLAIM_MAX - 1, entry->d_name);
            read_content(store, dc, &claim);
            add(listing, &claim);
        }
    }
    if (rc == 0 && entry == NULL && errno != 0)
        rc = -errno;
    closedir(dir);
    return rc;
}

int sf_local_claims_list(struct sf_local_store *store, struct sf_local_dc *dc,
                         struct sf_coord_claim **ret, size_t *ret_count)
{
    struct listing listing = {NULL, 0, 0, false};
    const int rc = scan(store, dc, &listing);
    if (rc < 0) {
        free(listing.claims);
        return rc;
    }
    /* Sweeping is a courtesy: a disk that refuses it must not keep us from reading. */
    if (listing.dead && (dc->lock >= 0 || sf_disk_lock_file(&store->disk, dc->top, "lock",
                                                            SF_DISK_ALONE, &dc->lock) == 0))
        (void)scan(store, dc, NULL);
    sf_claims_sort(listing.claims, listing.count);
    *ret = listing.claims;
    *ret_count = listing.count;
    return 0;
}

void sf_local_claims_count(struct sf_local_store *store, struct sf_local_job *job,
                           struct sf_local_dc *dc)
{
    struct sf_coord_claim *claims = NULL;
    size_t count = 0;
    if (job->request->count_claims && sf_local_claims_list(store, dc, &claims, &count) == 0)
        job->event->completion.claim_total = count;
    free(claims);
}

/* Making and deleting. */

static int next_sequence(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_dc *dc, uint64_t *ret, int64_t *ret_mtime_ms)
{
    struct sf_error err = {0};
    struct sf_coord_version version = {0, 0};
    uint64_t sequence = 0;
    int rc = sf_local_read_sequence(store, dc, &sequence, &version, &err);
    if (rc < 0)
        return sf_local_refuse_sequence(store, job, dc, rc, err.text);
    if (sequence >= INT64_MAX)
        return sf_local_fail(job, SF_COORD_REFUSED, SF_COORD_GARBAGE,
                             "%s/sequence has come to its end", dc->path);
    sequence++;
    version.version++;
    rc = sf_local_write_sequence(store, dc, sequence, &version, ret_mtime_ms);
    if (rc < 0)
        return sf_local_fail_errno(job, rc, false, "cannot write the sequence of", dc->path);
    *ret = sequence;
    return 0;
}

static int publish(struct sf_local_store *store, struct sf_local_job *job,
                   const struct sf_local_dc *dc, struct sf_coord_claim *claim)
{
    char temporary[SF_DISK_NAME_MAX];
    int fd = -1;
    int rc = sf_local_claim_prepare(store, dc, claim, temporary, &fd, NULL);
    if (rc == 0) {
        rc = sf_disk_rename(&store->disk, dc->claims, temporary, claim->name);
        if (rc < 0) {
            unlinkat(dc->claims, temporary, 0);
            close(fd);
        }
    }
    if (rc < 0)
        return sf_local_fail_errno(job, rc == -ENOENT ? -EIO : rc, false, "cannot make a claim in",
                                   dc->path);
    struct sf_local_claim *held = calloc(1, sizeof *held);
    SF_ASSERT(held != NULL);
    memcpy(held->token, job->request->basis.token, sizeof held->token);
    held->datacenter = dc->number;
    memcpy(held->name, claim->name, sizeof held->name);
    held->fd = fd;
    held->next = store->claims;
    store->claims = held;
    return 0;
}

static int make_claim(struct sf_local_store *store, struct sf_local_job *job,
                      struct sf_local_dc *dc)
{
    struct sf_coord_completion *to = &job->event->completion;
    struct sf_coord_claim *claim = to->claims;
    *claim = sf_request_claim(job->request);
    if (next_sequence(store, job, dc, &claim->fence, &to->server_ms) < 0)
        return -1;
    sf_claim_name_format(claim->guid, claim->fence, claim->name);
    if (publish(store, job, dc, claim) < 0)
        return -1;
    (void)scan(store, dc, NULL);
    sf_local_sweep(store, dc->slots);
    sf_local_sweep(store, dc->top);
    return 0;
}

int sf_local_do_claim(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    to->claims = calloc(1, sizeof *to->claims);
    SF_ASSERT(to->claims != NULL);
    to->claim_count = 1;
    int rc = sf_local_fleet_open(store, job, SF_DISK_SHARED, &fleet);
    if (rc == 0)
        rc = sf_local_check_basis(store, job, &fleet, true);
    if (rc == 0)
        rc = sf_local_dc_open(store, job, job->request->basis.token, job->request->datacenter,
                              SF_LOCAL_DC_LOCKED, &dc);
    if (rc == 0)
        rc = make_claim(store, job, &dc);
    if (rc == 0)
        sf_local_claims_count(store, job, &dc);
    sf_local_dc_close(&dc);
    sf_local_fleet_close(&fleet);
    return rc;
}

/* With dc's lock held. */
static int delete_claim(struct sf_local_store *store, const struct sf_local_dc *dc,
                        const char *name)
{
    const int rc = sf_disk_unlink(&store->disk, dc->claims, name);
    struct sf_local_claim *held = find(store, dc->number, name);
    if (rc == 0 && held != NULL)
        sf_local_claim_drop(store, held);
    return rc;
}

int sf_local_do_unclaim(struct sf_local_store *store, struct sf_local_job *job)
{
    const char *name = job->request->u.claim_name;
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    int rc = sf_local_dc_open(store, job, job->request->basis.token, job->request->datacenter,
                              SF_LOCAL_DC_LOCKED, &dc);
    struct sf_coord_completion *to = &job->event->completion;
    if (rc < 0 && to->reason == SF_COORD_MISSING) {
        to->outcome = SF_COORD_DONE; /* gone with its datacenter */
        to->reason = SF_COORD_NO_REASON;
        to->text[0] = '\0';
        return 0;
    }
    if (rc < 0)
        return rc;
    const int code = delete_claim(store, &dc, name);
    if (code < 0)
        rc = sf_local_fail_errno(job, code, false, "cannot delete", name);
    sf_local_dc_close(&dc);
    return rc;
}

static int tell(struct sf_local_store *store, struct sf_local_job *job,
                const struct sf_local_dc *dc)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const struct sf_refusal gone = sf_refusal_claim_gone(write->slot.claim);
    struct sf_local_claim *claim = sf_local_claim_held(store, dc, write->slot.claim);
    if (claim == NULL)
        return sf_local_refuse(job, &gone);
    const struct sf_coord_claim content = sf_request_claim(job->request);
    char temporary[SF_DISK_NAME_MAX];
    int fd = -1;
    int code = sf_local_claim_prepare(store, dc, &content, temporary, &fd,
                                      &job->event->completion.server_ms);
    if (code == 0 &&
        (code = sf_disk_rename(&store->disk, dc->claims, temporary, claim->name)) < 0) {
        unlinkat(dc->claims, temporary, 0);
        close(fd);
    }
    if (code < 0)
        return sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, false, "cannot write",
                                   claim->name);
    sf_local_claim_replaced(claim, fd);
    return 0;
}

int sf_local_do_tell(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    int rc = sf_local_dc_open(store, job, job->request->basis.token, job->request->datacenter,
                              SF_LOCAL_DC_LOCKED, &dc);
    if (rc == 0)
        rc = tell(store, job, &dc);
    sf_local_dc_close(&dc);
    return rc;
}

void sf_local_claims_end(struct sf_local_store *store, int64_t give_up_ns)
{
    const struct sf_coord_request request = {.op = SF_COORD_UNCLAIM, .deadline_ms = 1};
    while (store->claims != NULL) {
        struct sf_local_claim *claim = store->claims;
        struct sf_local_job job = {.request = &request,
                                   .give_up_ns = give_up_ns,
                                   .event = sf_coord_event_completion(
                                       &request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "")};
        struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
        bool deleted = false;
        if (sf_local_dc_open(store, &job, claim->token, claim->datacenter, SF_LOCAL_DC_LOCKED,
                             &dc) == 0 &&
            sf_disk_same_file(claim->fd, dc.claims, claim->name))
            deleted = delete_claim(store, &dc, claim->name) == 0;
        if (!deleted)
            sf_local_claim_drop(store, claim); /* its lock ends here: dead to whoever looks */
        sf_local_dc_close(&dc);
        sf_coord_event_free(job.event);
    }
}

void sf_local_claims_abandon(struct sf_local_store *store)
{
    while (store->claims != NULL) {
        close(store->claims->fd); /* its lock is the parent's */
        forget(store, store->claims);
    }
}
