/* coord/local/store.c - see store.h. */
#include "coord/local/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "coord/local/holder.h"
#include "coord/records.h"

#define LOCK_PAUSE_MIN_MS 1
#define LOCK_PAUSE_MAX_MS 8
#define LOCK_LOOK_MS      250 /* after so long a wait it is worth to know who holds it */
#define IDENTITY_MAX      (SF_COORD_FLEET_MAX + 112)

int sf_local_fail(struct sf_local_job *job, enum sf_coord_outcome outcome,
                  enum sf_coord_reason reason, const char *format, ...)
{
    struct sf_coord_completion *completion = &job->event->completion;
    completion->outcome = outcome;
    completion->reason = reason;
    va_list args;
    va_start(args, format);
    vsnprintf(completion->text, sizeof completion->text, format, args);
    va_end(args);
    return -1;
}

int sf_local_refuse(struct sf_local_job *job, const struct sf_refusal *refusal)
{
    return sf_local_fail(job, SF_COORD_REFUSED, refusal->reason, "%s", refusal->text);
}

int sf_local_fail_errno(struct sf_local_job *job, int code, bool maybe_done, const char *what,
                        const char *path)
{
    char why[96];
    const enum sf_coord_reason reason = code == -ENOENT                      ? SF_COORD_MISSING
                                        : code == -EBADMSG || code == -EFBIG ? SF_COORD_GARBAGE
                                                                             : SF_COORD_STORAGE;
    return sf_local_fail(job, maybe_done ? SF_COORD_UNKNOWN : SF_COORD_REFUSED, reason, "%s %s: %s",
                         what, path, sf_errno_text(code, why, sizeof why));
}

void sf_local_store_init(struct sf_local_store *store, const char *root, const char *fleet,
                         const struct sf_ticks *ticks, const atomic_bool *ending)
{
    *store = (struct sf_local_store){.ticks = ticks, .ending = ending};
    store->root = strdup(root);
    SF_ASSERT(store->root != NULL && strlen(fleet) < sizeof store->fleet);
    memcpy(store->fleet, fleet, strlen(fleet) + 1);
    SF_ASSERT(asprintf(&store->fleet_root, "%s/%s", root, fleet) > 0);
}

void sf_local_store_free(struct sf_local_store *store)
{
    SF_ASSERT(store->claims == NULL);
    free(store->root);
    free(store->fleet_root);
    store->root = store->fleet_root = NULL;
}

uint64_t sf_local_fresh_incarnation(void)
{
    uint64_t value = 0;
    while (value == 0)
        value = sf_random_u64() >> 1; /* 63 bits: it must fit a JSON integer */
    return value;
}

/* Directories and locks. */

int sf_local_lock(struct sf_local_store *store, struct sf_local_job *job, int dirfd,
                  const char *where, enum sf_disk_hold hold, int *ret_fd)
{
    const int64_t start_ns = store->ticks->mono_ns(store->ticks->ctx);
    int64_t pause_ms = LOCK_PAUSE_MIN_MS;
    char holder[SF_HOLDER_TEXT_MAX] = "another process", seen[SF_HOLDER_TEXT_MAX];
    bool looked = false;
    for (;;) {
        const int rc = sf_disk_lock_file(&store->disk, dirfd, "lock", hold, ret_fd);
        if (rc == 0)
            return 0;
        char path[IDENTITY_MAX];
        snprintf(path, sizeof path, "%s/lock", where);
        if (rc != -EAGAIN)
            return sf_local_fail_errno(job, rc, false, "cannot lock", path);
        const int64_t now_ns = store->ticks->mono_ns(store->ticks->ctx);
        if (atomic_load(store->ending) || now_ns >= job->give_up_ns)
            return sf_local_fail(job, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                                 "%.110s has been held for too long by %s", path, holder);
        if (!looked && now_ns - start_ns > LOCK_LOOK_MS * SF_NS_PER_MS) {
            looked = true;
            sf_local_lock_holder(dirfd, "lock", seen);
            if (seen[0] != '\0')
                memcpy(holder, seen, sizeof holder);
        }
        sf_sleep_ms(pause_ms);
        pause_ms = pause_ms * 2 > LOCK_PAUSE_MAX_MS ? LOCK_PAUSE_MAX_MS : pause_ms * 2;
    }
}

static int open_directory(int dirfd, const char *path)
{
    const int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void sf_local_dc_close(struct sf_local_dc *dc)
{
    if (dc->lock >= 0)
        sf_disk_unlock(dc->lock);
    dc->lock = -1;
    close_if_open(&dc->claims);
    close_if_open(&dc->slots);
    close_if_open(&dc->top);
}

/* A directory of a datacenter: a descriptor, or an errno code. `partial`: -1 where there is none. */
static int open_part(const struct sf_local_dc *dc, const char *name, bool partial, int *ret_fd)
{
    const int fd = open_directory(dc->top, name);
    if (fd < 0 && !(partial && fd == -ENOENT))
        return fd;
    *ret_fd = fd < 0 ? -1 : fd;
    return 0;
}

int sf_local_dc_open(struct sf_local_store *store, struct sf_local_job *job, const char *token,
                     uint64_t datacenter, enum sf_local_dc_how how, struct sf_local_dc *ret)
{
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    char path[PATH_MAX];
    dc.number = datacenter;
    snprintf(dc.path, sizeof dc.path, "%.32s/dc/%" PRIu64, token, datacenter);
    const int length = snprintf(path, sizeof path, "%s/%s/%s", store->root, store->fleet, dc.path);
    SF_ASSERT(length > 0 && (size_t)length < sizeof path);
    int rc = 0;
    if ((dc.top = open_directory(AT_FDCWD, path)) < 0)
        rc = dc.top;
    else if ((rc = open_part(&dc, "slots", how == SF_LOCAL_DC_AS_IT_IS, &dc.slots)) == 0)
        rc = open_part(&dc, "claims", how == SF_LOCAL_DC_AS_IT_IS, &dc.claims);
    const struct sf_refusal missing = sf_refusal_no_datacenter(store->fleet_root, datacenter);
    if (rc == -ENOENT)
        rc = sf_local_refuse(job, &missing);
    else if (rc < 0)
        rc = sf_local_fail_errno(job, rc == -ENOTDIR ? -EBADMSG : rc, false, "datacenter directory",
                                 path);
    else if (how != SF_LOCAL_DC_UNLOCKED)
        rc = sf_local_lock(store, job, dc.top, dc.path, SF_DISK_ALONE, &dc.lock);
    if (rc < 0) {
        sf_local_dc_close(&dc);
        return rc;
    }
    *ret = dc;
    return 0;
}

/* Sealed files. */

static void slot_identity(const struct sf_local_store *store, const struct sf_local_dc *dc,
                          uint64_t worker, char to[IDENTITY_MAX])
{
    snprintf(to, IDENTITY_MAX, "%s/%s/slots/%" PRIu64, store->fleet, dc->path, worker);
}

int sf_local_read_sealed(struct sf_local_store *store, int dirfd, const char *name,
                         const char *identity, size_t size_max, char **ret_bytes,
                         struct sf_coord_version *ret_version, const char **ret_record,
                         size_t *ret_size, struct sf_error *err)
{
    char *bytes = malloc(size_max);
    SF_ASSERT(bytes != NULL);
    *ret_bytes = bytes;
    size_t size = 0;
    int rc = sf_disk_read(&store->disk, dirfd, name, bytes, size_max, &size);
    if (rc == -EFBIG)
        rc = sf_error_set(err, -EBADMSG, "the file has more than %zu bytes", size_max);
    else if (rc == -EBADMSG)
        sf_error_set(err, rc, "not a regular file");
    else if (rc < 0) {
        char why[96];
        sf_error_set(err, rc, "%s", sf_errno_text(rc, why, sizeof why));
    } else
        rc = sf_disk_unseal(identity, bytes, size, ret_version, ret_record, ret_size, err);
    return rc;
}

int sf_local_fail_storage(const struct sf_local_store *store, struct sf_local_job *job,
                          const char *name, const char *why)
{
    return sf_local_fail(job, SF_COORD_REFUSED, SF_COORD_STORAGE, "%.150s/%s: %s",
                         store->fleet_root, name, why);
}

int sf_local_refuse_config(const struct sf_local_store *store, struct sf_local_job *job, int rc,
                           const char *why)
{
    const struct sf_refusal missing = sf_refusal_no_fleet(store->fleet_root);
    const struct sf_refusal garbage = sf_refusal_config_garbage(store->fleet_root, why);
    return rc == -ENOENT    ? sf_local_refuse(job, &missing)
           : rc == -EBADMSG ? sf_local_refuse(job, &garbage)
                            : sf_local_fail_storage(store, job, "config", why);
}

int sf_local_refuse_slot(const struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_dc *dc, uint64_t worker, int rc, const char *why)
{
    char name[112];
    snprintf(name, sizeof name, "%s/slots/%" PRIu64, dc->path, worker);
    const struct sf_refusal missing = sf_refusal_slot_missing(worker);
    const struct sf_refusal garbage =
        sf_refusal_slot_garbage(store->fleet_root, dc->number, worker, why);
    return rc == -ENOENT    ? sf_local_refuse(job, &missing)
           : rc == -EBADMSG ? sf_local_refuse(job, &garbage)
                            : sf_local_fail_storage(store, job, name, why);
}

int sf_local_refuse_sequence(const struct sf_local_store *store, struct sf_local_job *job,
                             const struct sf_local_dc *dc, int rc, const char *why)
{
    char name[112];
    snprintf(name, sizeof name, "%s/sequence", dc->path);
    if (rc != -ENOENT && rc != -EBADMSG)
        return sf_local_fail_storage(store, job, name, why);
    return sf_local_fail(job, SF_COORD_REFUSED, rc == -ENOENT ? SF_COORD_MISSING : SF_COORD_GARBAGE,
                         "%.150s/%s: %s", store->fleet_root, name, why);
}

int sf_local_read_slot(struct sf_local_store *store, const struct sf_local_dc *dc, uint64_t worker,
                       struct sf_coord_slot *ret, struct sf_error *err)
{
    char name[SF_DISK_NAME_MAX], identity[IDENTITY_MAX], *bytes = NULL;
    snprintf(name, sizeof name, "%" PRIu64, worker);
    slot_identity(store, dc, worker, identity);
    struct sf_coord_version version = {0, 0};
    const char *record = NULL;
    size_t size = 0;
    int rc = sf_local_read_sealed(store, dc->slots, name, identity, SF_DISK_SEALED_MAX, &bytes,
                                  &version, &record, &size, err);
    if (rc == 0)
        rc = sf_record_slot_decode(record, size, worker, ret, err);
    free(bytes);
    if (rc == 0)
        ret->version = version;
    return rc;
}

char *sf_local_seal_slot(struct sf_local_store *store, const struct sf_local_dc *dc,
                         const struct sf_coord_slot *slot, const struct sf_coord_version *version,
                         size_t *ret_size)
{
    char identity[IDENTITY_MAX];
    slot_identity(store, dc, slot->worker, identity);
    char *record = sf_record_slot_encode(slot);
    char *sealed = sf_disk_seal(identity, version, record, ret_size);
    free(record);
    return sealed;
}

int sf_local_write_slot(struct sf_local_store *store, const struct sf_local_dc *dc,
                        const struct sf_coord_slot *slot, const struct sf_coord_version *version,
                        int64_t *ret_mtime_ms, bool *ret_maybe_done)
{
    char name[SF_DISK_NAME_MAX];
    size_t size = 0;
    snprintf(name, sizeof name, "%" PRIu64, slot->worker);
    char *sealed = sf_local_seal_slot(store, dc, slot, version, &size);
    const int rc =
        sf_disk_replace(&store->disk, dc->slots, name, sealed, size, ret_mtime_ms, ret_maybe_done);
    free(sealed);
    return rc;
}

int sf_local_read_sequence(struct sf_local_store *store, const struct sf_local_dc *dc,
                           uint64_t *ret_sequence, struct sf_coord_version *ret_version,
                           struct sf_error *err)
{
    char identity[IDENTITY_MAX], *bytes = NULL;
    snprintf(identity, sizeof identity, "%s/%s/sequence", store->fleet, dc->path);
    const char *record = NULL;
    size_t size = 0;
    struct sf_coord_version version = {0, 0};
    int rc = sf_local_read_sealed(store, dc->top, "sequence", identity, SF_DISK_SEALED_MAX, &bytes,
                                  &version, &record, &size, err);
    json_int_t sequence = -1;
    json_t *root = rc == 0 ? json_loadb(record, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(bytes);
    if (rc == 0 &&
        (root == NULL || json_unpack(root, "{s:I}", "sequence", &sequence) < 0 || sequence < 0))
        rc = sf_error_set(err, -EBADMSG, "not {\"sequence\":N}");
    json_decref(root);
    if (rc < 0)
        return rc;
    *ret_sequence = (uint64_t)sequence;
    *ret_version = version;
    return 0;
}

char *sf_local_seal_sequence(struct sf_local_store *store, const struct sf_local_dc *dc,
                             uint64_t sequence, const struct sf_coord_version *version,
                             size_t *ret_size)
{
    char identity[IDENTITY_MAX], record[64];
    snprintf(identity, sizeof identity, "%s/%s/sequence", store->fleet, dc->path);
    snprintf(record, sizeof record, "{\"sequence\":%" PRIu64 "}", sequence);
    return sf_disk_seal(identity, version, record, ret_size);
}

int sf_local_write_sequence(struct sf_local_store *store, const struct sf_local_dc *dc,
                            uint64_t sequence, const struct sf_coord_version *version,
                            int64_t *ret_mtime_ms)
{
    size_t size = 0;
    bool maybe_done = false;
    char *sealed = sf_local_seal_sequence(store, dc, sequence, version, &size);
    const int rc =
        sf_disk_replace(&store->disk, dc->top, "sequence", sealed, size, ret_mtime_ms, &maybe_done);
    free(sealed);
    return rc; /* a sequence that was raised for nothing harms nobody: maybe_done does not matter */
}
