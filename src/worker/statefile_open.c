/* Opening the state file: lock, name, map. */
#include "worker/statefile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"

#define PATH_SIZE 512
#define LOOKS_MAX 8 /* at a file that others replace meanwhile */

/* The kernel's boot id. Returns 0 or a negative errno code. */
static int read_boot_id(char ret[SF_UUID_SIZE])
{
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const ssize_t size = read(fd, ret, SF_UUID_SIZE - 1);
    close(fd);
    if (size != SF_UUID_SIZE - 1)
        return -EIO;
    ret[SF_UUID_SIZE - 1] = '\0';
    return 0;
}

static int refuse_network(int fd, const char *path, struct sf_error *err)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return sf_error_set(err, -errno, "%s: cannot ask for its file system", path);
    switch ((unsigned long)fs.f_type) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case 0xFF534D42UL: /* CIFS */
    case 0xFE534D42UL: /* SMB2 */
    case CEPH_SUPER_MAGIC:
    case AFS_SUPER_MAGIC:
    case CODA_SUPER_MAGIC:
    case FUSE_SUPER_MAGIC:
        return sf_error_set(
            err, -EXDEV,
            "%s is on a network or user-space file system (type 0x%lx); use a memory file system",
            path, (unsigned long)fs.f_type);
    default:
        return 0;
    }
}

/* A lock of the open file (fcntl(2), F_OFD_SETLK): no descriptor that is closed elsewhere takes it
 * away, and a child has no part in it once the descriptor is gone (keep_by_mapping). */
static int lock(int fd, const char *path, struct sf_error *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return sf_error_set(err, -EBUSY, "%s is used by another living process", path);
    return sf_error_set(err, -errno, "%s: cannot lock", path);
}

/* Is this still the file of that name? */
static bool is_current(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* Blocks are allocated now: a full disk under a mapping would be a SIGBUS later. */
static int reserve(int fd, const char *path, struct sf_error *err)
{
    const int rc = posix_fallocate(fd, 0, sizeof(struct sf_state_block));
    char text[128];
    if (rc != 0)
        return sf_error_set(err, -rc, "%s: %s", path, sf_errno_text(rc, text, sizeof text));
    return 0;
}

/* Opened and locked. -EAGAIN: another process replaced the file meanwhile. */
static int open_locked(const char *path, int flags, struct sf_statefile *file, struct sf_error *err)
{
    char text[128];
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (file->fd < 0)
        return sf_error_set(err, -errno, "cannot open %s: %s", path,
                            sf_errno_text(errno, text, sizeof text));
    int rc = refuse_network(file->fd, path, err);
    if (rc == 0)
        rc = lock(file->fd, path, err);
    if (rc == 0 && !is_current(file->fd, path))
        rc = sf_error_set(err, -EAGAIN, "%s is replaced all the time", path);
    return rc;
}

static int map_block(struct sf_statefile *file, const char *path, struct sf_error *err)
{
    const int fd = file->fd;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return sf_error_set(err, -errno, "%s: cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return sf_error_set(err, -EINVAL, "%s is not a regular file", path);
    int rc = reserve(fd, path, err);
    if (rc != 0)
        return rc;
    void *map =
        mmap(NULL, sizeof(struct sf_state_block), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return sf_error_set(err, -errno, "%s: cannot map", path);
    if (madvise(map, sizeof(struct sf_state_block), MADV_DONTFORK) != 0) {
        rc = -errno;
        munmap(map, sizeof(struct sf_state_block));
        return sf_error_set(err, rc, "%s: cannot keep the mapping from children", path);
    }
    file->block = map;
    file->device = (uint64_t)st.st_dev;
    file->inode = (uint64_t)st.st_ino;
    return 0;
}

static void drop(struct sf_statefile *file)
{
    if (file->block != NULL)
        munmap(file->block, sizeof *file->block);
    if (file->fd >= 0)
        close(file->fd);
    file->block = NULL;
    file->fd = -1;
}

/* Opened, locked and mapped. */
static int take(const char *path, int flags, struct sf_statefile *file, struct sf_error *err)
{
    int rc = -EAGAIN;
    for (int i = 0; i < LOOKS_MAX && rc == -EAGAIN; i++) {
        drop(file);
        rc = open_locked(path, flags, file, err);
    }
    if (rc == 0)
        rc = map_block(file, path, err);
    if (rc != 0)
        drop(file);
    return rc;
}

/* What somebody may be writing to is left to whoever that is: a new file takes its name. Of the old
 * one only what is true in any case is kept. Nobody else replaces it: its lock is ours. */
static int put_aside(const char *path, struct sf_statefile *file, struct sf_error *err)
{
    char fresh[PATH_SIZE + 8], text[128];
    struct sf_statefile next = *file;
    struct sf_state_header old, header;
    next.fd = -1;
    next.block = NULL;
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    (void)unlink(fresh);
    const int rc = take(fresh, O_EXCL, &next, err);
    if (rc != 0)
        return rc;
    if (sf_state_get(file->block, &old) == 0) {
        memset(&header, 0, sizeof header);
        memcpy(header.lost, old.lost, sizeof header.lost);
        header.notice = old.notice;
        sf_state_put(next.block, &header);
    }
    if (rename(fresh, path) != 0) {
        const int failed = -errno;
        drop(&next);
        return sf_error_set(err, failed, "cannot replace %s: %s", path,
                            sf_errno_text(failed, text, sizeof text));
    }
    drop(file);
    *file = next;
    return 0;
}

/* May this process have what it has opened? If not, something else may be had instead. */
static int judge(const char *path, struct sf_statefile *file, struct sf_error *err)
{
    struct sf_error why = {0};
    enum sf_state_holder_is is =
        sf_state_holder_judge(SF_STATE_PROC, &file->block->holder, &file->self, &why);
    if (is == SF_STATE_HOLDER_LIVES)
        return sf_error_set(err, -EBUSY, "%s: %s", path, why.text);
    if (is != SF_STATE_HOLDER_UNKNOWN && sf_state_is_old(file->block)) {
        is = SF_STATE_HOLDER_UNKNOWN;
        sf_error_set(&why, -ESTALE, "it is of an older version of this program");
    }
    if (is != SF_STATE_HOLDER_UNKNOWN)
        return 0;
    sf_error_set(&file->aside, -ESTALE, "%s: %s", path, why.text);
    return put_aside(path, file, err);
}

/* A mapping keeps the file open, and so the lock, until the process ends: no descriptor is needed
 * for it, and so there is none that anybody could close, or a child inherit. An overlay file system
 * maps another file than it opens: there a descriptor has to stay. */
static int keep_by_mapping(const char *path, struct sf_statefile *file, struct sf_error *err)
{
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[128];
    close(file->fd);
    file->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file->fd < 0)
        return sf_error_set(err, -errno, "cannot open %s: %s", path,
                            sf_errno_text(errno, text, sizeof text));
    if (!is_current(file->fd, path))
        return sf_error_set(err, -EAGAIN, "%s was replaced by somebody", path);
    if (fcntl(file->fd, F_OFD_GETLK, &found) != 0 || found.l_type == F_UNLCK)
        return lock(file->fd, path, err);
    close(file->fd);
    file->fd = -1;
    return 0;
}

int sf_statefile_open(const char *dir, const char *name, struct sf_statefile *ret,
                      struct sf_error *err)
{
    struct sf_statefile file = {.fd = -1};
    char path[PATH_SIZE], text[128];
    int rc = read_boot_id(file.boot_id);
    if (rc != 0)
        return sf_error_set(err, rc, "cannot read the boot id: %s",
                            sf_errno_text(rc, text, sizeof text));
    rc = sf_state_holder_self(SF_STATE_PROC, &file.self, err);
    if (rc != 0)
        return rc;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return sf_error_set(err, -errno, "cannot make %s: %s", dir,
                            sf_errno_text(errno, text, sizeof text));
    if (snprintf(path, sizeof path, "%s/%s.state", dir, name) >= (int)sizeof path)
        return sf_error_set(err, -ENAMETOOLONG, "%s/%s.state: the path is too long", dir, name);
    rc = take(path, 0, &file, err);
    if (rc == 0)
        rc = judge(path, &file, err);
    if (rc == 0) {
        SF_ASSERT(file.block != NULL); /* judge() maps it */
        file.block->holder = file.self;
        rc = keep_by_mapping(path, &file, err);
    }
    if (rc != 0) {
        drop(&file);
        return rc;
    }
    *ret = file;
    return 0;
}

bool sf_statefile_any(const char *dir, const char *pattern)
{
    DIR *stream = opendir(dir);
    bool found = false;
    if (stream == NULL)
        return false;
    for (const struct dirent *entry; !found && (entry = readdir(stream)) != NULL;)
        found = fnmatch(pattern, entry->d_name, 0) == 0;
    closedir(stream);
    return found;
}

void sf_statefile_close(struct sf_statefile *file)
{
    if (file->block == NULL)
        return;
    memset(&file->block->holder, 0, sizeof file->block->holder);
    drop(file);
}
