/* coord/local/disk.h - the local backend's files: small, replaced whole, durable, sealed; and locks
 * that die with their holder.
 *
 * A sealed file is one line {"incarnation":I,"version":V,"checksum":"16 hex digits"} and then the
 * record on a line of its own. The checksum (CRC-64/XZ, ECMA-182 reflected) is over the file's
 * identity (its path below DIR), both numbers and the record, so that a torn, cut, edited or
 * misplaced file is noticed. Locks are open file description locks (fcntl(2), F_OFD_SETLK): they
 * belong to one open(2), so two handles in one process exclude each other, and the kernel drops
 * them when the last descriptor is closed, however the process ends. A child made by fork has copies
 * of the descriptors, so that closing ours drops nothing while it lives: locks are given back by name.
 *
 * One thread per struct sf_disk. Functions return 0 or a negative errno code.
 */
#ifndef SF_COORD_LOCAL_DISK_H
#define SF_COORD_LOCAL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "coord/types.h"

/* Where a test may make the disk fail, stall or the process die. Called before the step; a return
 * of a negative errno code is what the step then fails with. */
enum sf_disk_step {
    SF_DISK_MKDIR,
    SF_DISK_READ,
    SF_DISK_CREATE,
    SF_DISK_WRITE,
    SF_DISK_SYNC,
    SF_DISK_RENAME,
    SF_DISK_SYNC_DIRECTORY,
    SF_DISK_UNLINK,
    SF_DISK_LOCK,
    SF_DISK_STEPS
};

struct sf_disk {
    int (*fault)(void *ctx, enum sf_disk_step step, const char *name); /* NULL: none */
    void *fault_ctx;
};

#define SF_DISK_TEMPORARY  ".tmp-" /* prefix of files on their way; left over ones are garbage */
#define SF_DISK_SEALED_MAX (SF_COORD_RECORD_SIZE_MAX + 256)
#define SF_DISK_STATE_MAX  (SF_COORD_STATE_SIZE_MAX + 256)
#define SF_DISK_NAME_MAX   96

/* The bound of a file's timestamp: the kernel stamps files with the time of its last tick, at most
 * 10 ms ago (CONFIG_HZ=100), and we cut to ms. */
#define SF_DISK_TIME_ERROR_MS 11

/* Why a file system of this statfs(2) type cannot hold a fleet, or NULL. Locks that end with their
 * holder and renames that last are promised by local file systems only. For tests: few of them can
 * be mounted there. */
const char *sf_disk_filesystem_refused(uint64_t type);

/* Is this directory (or, if it is not there yet, its nearest parent that is) fit to hold fleets?
 * -EINVAL with the reason. */
int sf_disk_directory_check(const char *path, struct sf_error *err);

/* Makes a directory 0770 less the umask; being there already is fine. */
int sf_disk_mkdir(const struct sf_disk *disk, int dirfd, const char *name);

/* Reads a whole regular file of at most max bytes. -ENOENT, -EFBIG, -EBADMSG (not a regular file),
 * other errno codes. */
int sf_disk_read(const struct sf_disk *disk, int dirfd, const char *name, char *to, size_t max,
                 size_t *ret_size);

/* A new file in dirfd, under a temporary name, holding bytes; `sync`: on the disk when this
 * returns. ret_fd: open for reading and writing (NULL: closed). ret_mtime_ms (may be NULL): its own
 * timestamp, read past anything that fakes clocks. */
int sf_disk_write_temporary(const struct sf_disk *disk, int dirfd, const char *bytes, size_t size,
                            bool sync, char ret_name[SF_DISK_NAME_MAX], int *ret_fd,
                            int64_t *ret_mtime_ms);
int sf_disk_rename(const struct sf_disk *disk, int dirfd, const char *from, const char *to);
int sf_disk_unlink(const struct sf_disk *disk, int dirfd, const char *name);
/* Everything on the file system that dirfd is on: others' data too. */
int sf_disk_sync_filesystem(const struct sf_disk *disk, int dirfd, const char *name);

/* Replaces name by a file with these bytes, durably. On failure ret_maybe_done tells whether the
 * new file may be in place: also when the disk failed in the middle of renaming. */
int sf_disk_replace(const struct sf_disk *disk, int dirfd, const char *name, const char *bytes,
                    size_t size, int64_t *ret_mtime_ms, bool *ret_maybe_done);

/* Alone, or beside others who share it. */
enum sf_disk_hold { SF_DISK_ALONE, SF_DISK_SHARED };
/* Gives the lock of an open file back, also where a forked child has the file open, and closes it. */
void sf_disk_unlock(int fd);
/* Takes the lock of an open file without waiting: 0, -EAGAIN (held by another), or an error. */
int sf_disk_try_lock(const struct sf_disk *disk, int fd, enum sf_disk_hold hold);
/* Opens (making it if needed) and locks a lock file, without waiting. -EAGAIN as above. The lock
 * ends with sf_disk_unlock(ret_fd). */
int sf_disk_lock_file(const struct sf_disk *disk, int dirfd, const char *name,
                      enum sf_disk_hold hold, int *ret_fd);
/* Does another open file hold the lock of this file? Takes nothing. 1, 0 or an error. */
int sf_disk_is_locked(int dirfd, const char *name);
/* Is name still the file that fd has open? */
bool sf_disk_same_file(int fd, int dirfd, const char *name);

/* Seals a record (a JSON text without a line break). Returns memory that the caller frees. */
char *sf_disk_seal(const char *identity, const struct sf_coord_version *version, const char *record,
                   size_t *ret_size);
/* Opens a sealed file's bytes in place: the record is NUL-terminated within them. -EBADMSG with the
 * reason. */
int sf_disk_unseal(const char *identity, char *bytes, size_t size,
                   struct sf_coord_version *ret_version, const char **ret_record, size_t *ret_size,
                   struct sf_error *err);

#endif
