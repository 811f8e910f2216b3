/* coord/local/disk.c - see disk.h. */
#include "coord/local/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "base/random.h"

#define DIRECTORY_MODE 0770
#define FILE_MODE      0660
#define SEAL_LINE_MAX  200

static int hit(const struct sf_disk *disk, enum sf_disk_step step, const char *name)
{
    return disk->fault == NULL ? 0 : disk->fault(disk->fault_ctx, step, name);
}

/* Type numbers: linux/magic.h, statfs(2). 9p and FUSE stand here because what their locks mean is
 * up to a server that we cannot ask. */
const char *sf_disk_filesystem_refused(uint64_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } refused[] = {
        {0x6969, "NFS"},        {0x517b, "SMB"},      {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},
        {0x00c36400, "CephFS"}, {0x65735546, "FUSE"}, {0x01021997, "9p"},     {0x5346414f, "AFS"},
        {0x6b414653, "AFS"},    {0x73757245, "Coda"}, {0x0bd00bd0, "Lustre"}, {0x7461636f, "OCFS2"},
        {0x01161970, "GFS2"},   {0x47504653, "GPFS"}, {0x19830326, "BeeGFS"}, {0x20030528, "PVFS2"},
        {0x786f4256, "vboxsf"}, {0x564c, "NCP"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (refused[i].type == (uint32_t)type)
            return refused[i].name;
    return NULL;
}

/* Is it no fault of the directory's? */
static bool passes(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -EIO || rc == -ESTALE ||
           rc == -ETIMEDOUT;
}

/* A parent's rights are not our business (judge_rights false); its file system will be ours. */
static int directory_check_open(const char *path, int fd, bool judge_rights, struct sf_error *err)
{
    struct stat info;
    struct statfs fs;
    char why[96];
    if (fstat(fd, &info) < 0 || fstatfs(fd, &fs) < 0) {
        const int rc = -errno;
        return sf_error_set(err, passes(rc) ? rc : -EINVAL, "directory %s: %s", path,
                            sf_errno_text(rc, why, sizeof why));
    }
    const char *name = sf_disk_filesystem_refused((uint64_t)fs.f_type);
    if (name != NULL)
        return sf_error_set(
            err, -EINVAL,
            "directory %s is on a network file system (%s): its locks may outlive or "
            "forget their holder; use a local disk, or zk:// or etcd:// for more than "
            "one machine",
            path, name);
    if (judge_rights && (info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0)
        return sf_error_set(err, -EINVAL,
                            "directory %s may be written by everybody (mode %04o): take that right "
                            "away (chmod o-w), or anybody could replace the records",
                            path, info.st_mode & 07777u);
    return 0;
}

int sf_disk_directory_check(const char *path, struct sf_error *err)
{
    char parent[PATH_MAX];
    char why[96];
    if (strlen(path) >= sizeof parent)
        return sf_error_set(err, -EINVAL, "directory name of %zu bytes, at most %zu are allowed",
                            strlen(path), sizeof parent - 1);
    memcpy(parent, path, strlen(path) + 1);
    for (;;) {
        const int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            const int rc = directory_check_open(parent, fd, strcmp(parent, path) == 0, err);
            close(fd);
            return rc;
        }
        const int rc = -errno;
        if (rc != -ENOENT)
            return sf_error_set(err, passes(rc) ? rc : -EINVAL, "directory %s: %s", parent,
                                sf_errno_text(rc, why, sizeof why));
        char *slash = strrchr(parent, '/');
        SF_ASSERT(slash != NULL);
        slash[slash == parent ? 1 : 0] = '\0';
    }
}

int sf_disk_mkdir(const struct sf_disk *disk, int dirfd, const char *name)
{
    const int rc = hit(disk, SF_DISK_MKDIR, name);
    if (rc < 0)
        return rc;
    return mkdirat(dirfd, name, DIRECTORY_MODE) == 0 || errno == EEXIST ? 0 : -errno;
}

int sf_disk_read(const struct sf_disk *disk, int dirfd, const char *name, char *to, size_t max,
                 size_t *ret_size)
{
    int rc = hit(disk, SF_DISK_READ, name);
    if (rc < 0)
        return rc;
    const int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ELOOP ? -EBADMSG : -errno;
    struct stat info;
    size_t size = 0;
    if (fstat(fd, &info) < 0)
        rc = -errno;
    else if (!S_ISREG(info.st_mode))
        rc = -EBADMSG;
    while (rc == 0) {
        const ssize_t got = read(fd, to + size, max - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = -errno;
        if (got <= 0)
            break;
        size += (size_t)got;
        if (size == max) {
            char more;
            rc = read(fd, &more, 1) > 0 ? -EFBIG : 0;
            break;
        }
    }
    close(fd);
    if (rc == 0)
        *ret_size = size;
    return rc;
}

/* The raw call: libraries that fake clocks also fake the file times that the C library gives. */
static int file_time_ms(int fd, int64_t *ret_ms)
{
    struct statx info;
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MTIME, &info) < 0)
        return -errno;
    *ret_ms = (int64_t)info.stx_mtime.tv_sec * 1000 + info.stx_mtime.tv_nsec / 1000000;
    return 0;
}

static int write_all(const struct sf_disk *disk, int fd, const char *name, const char *bytes,
                     size_t size)
{
    int rc = hit(disk, SF_DISK_WRITE, name);
    while (rc == 0 && size > 0) {
        const ssize_t put = write(fd, bytes, size);
        if (put < 0 && errno != EINTR)
            rc = -errno;
        if (put > 0) {
            bytes += put;
            size -= (size_t)put;
        }
    }
    return rc;
}

int sf_disk_write_temporary(const struct sf_disk *disk, int dirfd, const char *bytes, size_t size,
                            bool sync, char ret_name[SF_DISK_NAME_MAX], int *ret_fd,
                            int64_t *ret_mtime_ms)
{
    char name[SF_DISK_NAME_MAX];
    snprintf(name, sizeof name, SF_DISK_TEMPORARY "%016" PRIx64, sf_random_u64());
    int rc = hit(disk, SF_DISK_CREATE, name);
    if (rc < 0)
        return rc;
    const int fd =
        openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return -errno;
    rc = write_all(disk, fd, name, bytes, size);
    int64_t mtime_ms = -1;
    if (rc == 0)
        rc = file_time_ms(fd, &mtime_ms);
    if (rc == 0 && sync && (rc = hit(disk, SF_DISK_SYNC, name)) == 0 && fsync(fd) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        unlinkat(dirfd, name, 0); /* as good as it goes: a left over one is swept later */
        return rc;
    }
    memcpy(ret_name, name, sizeof name);
    if (ret_mtime_ms != NULL)
        *ret_mtime_ms = mtime_ms;
    if (ret_fd != NULL)
        *ret_fd = fd;
    else
        close(fd);
    return 0;
}

int sf_disk_rename(const struct sf_disk *disk, int dirfd, const char *from, const char *to)
{
    const int rc = hit(disk, SF_DISK_RENAME, to);
    if (rc < 0)
        return rc;
    return renameat(dirfd, from, dirfd, to) < 0 ? -errno : 0;
}

int sf_disk_unlink(const struct sf_disk *disk, int dirfd, const char *name)
{
    const int rc = hit(disk, SF_DISK_UNLINK, name);
    if (rc < 0)
        return rc;
    return unlinkat(dirfd, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

static int sync_directory(const struct sf_disk *disk, int dirfd, const char *name)
{
    const int rc = hit(disk, SF_DISK_SYNC_DIRECTORY, name);
    if (rc < 0)
        return rc;
    return fsync(dirfd) < 0 ? -errno : 0;
}

int sf_disk_sync_filesystem(const struct sf_disk *disk, int dirfd, const char *name)
{
    const int rc = hit(disk, SF_DISK_SYNC, name);
    if (rc < 0)
        return rc;
    return syncfs(dirfd) < 0 ? -errno : 0;
}

int sf_disk_replace(const struct sf_disk *disk, int dirfd, const char *name, const char *bytes,
                    size_t size, int64_t *ret_mtime_ms, bool *ret_maybe_done)
{
    char temporary[SF_DISK_NAME_MAX];
    *ret_maybe_done = false;
    int rc = sf_disk_write_temporary(disk, dirfd, bytes, size, true, temporary, NULL, ret_mtime_ms);
    if (rc < 0)
        return rc;
    rc = sf_disk_rename(disk, dirfd, temporary, name);
    if (rc < 0) {
        *ret_maybe_done = rc == -EIO;
        unlinkat(dirfd, temporary, 0);
        return rc;
    }
    rc = sync_directory(disk, dirfd, name);
    *ret_maybe_done = rc < 0;
    return rc;
}

int sf_disk_try_lock(const struct sf_disk *disk, int fd, enum sf_disk_hold hold)
{
    const int rc = hit(disk, SF_DISK_LOCK, "lock");
    if (rc < 0)
        return rc;
    struct flock whole = {.l_type = hold == SF_DISK_ALONE ? F_WRLCK : F_RDLCK,
                          .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

void sf_disk_unlock(int fd)
{
    struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)fcntl(fd, F_OFD_SETLK, &whole);
    close(fd);
}

int sf_disk_lock_file(const struct sf_disk *disk, int dirfd, const char *name,
                      enum sf_disk_hold hold, int *ret_fd)
{
    const int fd =
        openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
    if (fd < 0)
        return -errno;
    int rc = sf_disk_try_lock(disk, fd, hold);
    /* Somebody may have removed the tree between open and lock: then this lock guards nothing. */
    if (rc == 0 && !sf_disk_same_file(fd, dirfd, name))
        rc = -EAGAIN;
    if (rc < 0) {
        sf_disk_unlock(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int sf_disk_is_locked(int dirfd, const char *name)
{
    const int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const int rc = fcntl(fd, F_OFD_GETLK, &whole) < 0 ? -errno : whole.l_type != F_UNLCK;
    close(fd);
    return rc;
}

bool sf_disk_same_file(int fd, int dirfd, const char *name)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* Seals. */

static uint64_t crc64(uint64_t crc, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT64_C(0xc96c5795d7870f42) : 0);
    }
    return ~crc;
}

static uint64_t seal_checksum(const char *identity, const struct sf_coord_version *version,
                              const char *record, size_t size)
{
    char head[64];
    const int length = snprintf(head, sizeof head, "\n%" PRIu64 " %" PRIu64 "\n",
                                version->incarnation, version->version);
    uint64_t crc = crc64(0, identity, strlen(identity));
    crc = crc64(crc, head, (size_t)length);
    return crc64(crc, record, size);
}

char *sf_disk_seal(const char *identity, const struct sf_coord_version *version, const char *record,
                   size_t *ret_size)
{
    char *bytes = NULL;
    const int size = asprintf(&bytes,
                              "{\"incarnation\":%" PRIu64 ",\"version\":%" PRIu64
                              ",\"checksum\":\"%016" PRIx64 "\"}\n%s\n",
                              version->incarnation, version->version,
                              seal_checksum(identity, version, record, strlen(record)), record);
    SF_ASSERT(size > 0);
    *ret_size = (size_t)size;
    return bytes;
}

static int read_seal(const char *line, size_t size, struct sf_coord_version *ret_version,
                     uint64_t *ret_checksum)
{
    json_int_t incarnation = 0, version = 0;
    const char *checksum = NULL;
    json_t *seal = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    int rc = -EBADMSG;
    if (seal != NULL &&
        json_unpack(seal, "{s:I, s:I, s:s}", "incarnation", &incarnation, "version", &version,
                    "checksum", &checksum) == 0 &&
        incarnation > 0 && version > 0 && strlen(checksum) == 16) {
        char text[2 + 16 + 1];
        snprintf(text, sizeof text, "0x%.16s", checksum);
        rc = sf_parse_id(text, ret_checksum) == 0 ? 0 : -EBADMSG;
    }
    json_decref(seal);
    if (rc == 0)
        *ret_version = (struct sf_coord_version){(uint64_t)incarnation, (uint64_t)version};
    return rc;
}

int sf_disk_unseal(const char *identity, char *bytes, size_t size,
                   struct sf_coord_version *ret_version, const char **ret_record, size_t *ret_size,
                   struct sf_error *err)
{
    if (size == 0)
        return sf_error_set(err, -EBADMSG, "the file is empty");
    char *end = memchr(bytes, '\n', size < SEAL_LINE_MAX ? size : SEAL_LINE_MAX);
    struct sf_coord_version version = {0, 0};
    uint64_t checksum = 0;
    if (end == NULL || read_seal(bytes, (size_t)(end - bytes), &version, &checksum) < 0)
        return sf_error_set(err, -EBADMSG, "the file does not begin with our seal");
    char *record = end + 1;
    size_t length = size - (size_t)(record - bytes);
    if (length == 0 || record[length - 1] != '\n')
        return sf_error_set(err, -EBADMSG, "the file is cut short");
    record[--length] = '\0';
    if (checksum != seal_checksum(identity, &version, record, length))
        return sf_error_set(err, -EBADMSG,
                            "the checksum is not that of %s: the file was changed, torn or moved",
                            identity);
    *ret_version = version;
    *ret_record = record;
    *ret_size = length;
    return 0;
}
