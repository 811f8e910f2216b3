/* The state file: its block (pure), and opening it (the shell). */
#include "worker/statefile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/ticks.h"

static uint64_t checksum_of(const struct sf_state_header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < offsetof(struct sf_state_header, checksum); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool is_whole(const struct sf_state_header *header)
{
    return header->magic == SF_STATE_MAGIC && header->checksum == checksum_of(header);
}

int sf_state_get(const struct sf_state_block *block, struct sf_state_header *ret)
{
    const struct sf_state_header *best = NULL;
    for (int i = 0; i < 2; i++)
        if (is_whole(&block->copies[i]) &&
            (best == NULL || block->copies[i].generation > best->generation))
            best = &block->copies[i];
    if (best == NULL)
        return -ENOENT;
    *ret = *best;
    return 0;
}

void sf_state_put(struct sf_state_block *block, const struct sf_state_header *header)
{
    uint64_t generation = 0;
    int older = 0;
    for (int i = 0; i < 2; i++) {
        if (is_whole(&block->copies[i]) && block->copies[i].generation >= generation) {
            generation = block->copies[i].generation;
            older = 1 - i;
        }
    }
    struct sf_state_header whole;
    memset(&whole, 0, sizeof whole);
    whole = *header;
    whole.magic = SF_STATE_MAGIC;
    whole.generation = generation + 1;
    whole.checksum = checksum_of(&whole);
    struct sf_state_header *to = &block->copies[older];
    to->checksum = ~whole.checksum; /* a half-written copy must never look whole */
    atomic_thread_fence(memory_order_seq_cst);
    memcpy(to, &whole, offsetof(struct sf_state_header, checksum));
    atomic_thread_fence(memory_order_seq_cst);
    to->checksum = whole.checksum;
}

/* Whatever was written with a checksum that holds can be used: texts end, and times can be reckoned
 * with. */
static bool is_sane(const struct sf_state_header *header)
{
    for (unsigned i = 0; i < SF_RES_LOST_MAX; i++)
        if (memchr(header->lost[i], '\0', sizeof header->lost[i]) == NULL)
            return false;
    const struct sf_coord_report *report = &header->notice.report;
    if (memchr(header->notice.token, '\0', sizeof header->notice.token) == NULL ||
        memchr(report->claim, '\0', sizeof report->claim) == NULL ||
        memchr(report->node, '\0', sizeof report->node) == NULL)
        return false;
    return memchr(header->fleet_id, '\0', sizeof header->fleet_id) != NULL &&
           memchr(header->token, '\0', sizeof header->token) != NULL &&
           memchr(header->nonce, '\0', sizeof header->nonce) != NULL &&
           memchr(header->claim, '\0', sizeof header->claim) != NULL &&
           header->mint.anchor_mono_ns >= 0 && header->mint.anchor_mint_ns >= 0 &&
           header->mint.anchor_mint_ns < INT64_MAX / 2;
}

void sf_state_recall(const struct sf_state_block *block, const char *boot_id, uint64_t device,
                     uint64_t inode, int64_t mono_ns, uint32_t max_ahead_ms,
                     struct sf_reservation_memory *ret, struct sf_error *ret_why)
{
    memset(ret, 0, sizeof *ret);
    struct sf_state_header header;
    if (sf_state_get(block, &header) != 0 || !is_sane(&header)) {
        sf_error_set(ret_why, -ENOENT, "the state file is new or damaged");
        return;
    }
    /* Whatever the rest is worth: */
    memcpy(ret->lost, header.lost, sizeof ret->lost);
    ret->notice = header.notice;
    if (!header.held) {
        sf_error_set(ret_why, -ENOENT, "the last process gave its slot back");
        return;
    }
    if (strncmp(header.boot_id, boot_id, sizeof header.boot_id) != 0) {
        sf_error_set(ret_why, -ESTALE, "the state file is of another boot");
        return;
    }
    if (header.device != device || header.inode != inode) {
        sf_error_set(ret_why, -ESTALE, "the state file is a copy");
        return;
    }
    if (mono_ns < header.mint.anchor_mono_ns) {
        sf_error_set(ret_why, -ESTALE, "the state file is from the future of this boot's clock");
        return;
    }
    ret->valid = true;
    memcpy(ret->fleet_id, header.fleet_id, sizeof ret->fleet_id);
    ret->datacenter = header.datacenter;
    ret->worker = header.worker;
    memcpy(ret->token, header.token, sizeof ret->token);
    ret->record = (struct sf_coord_slot){.worker = header.worker,
                                         .state = SF_COORD_RECORD_OK,
                                         .fence = header.fence,
                                         .from_ms = header.from_ms,
                                         .reserved_until_ms = header.reserved_until_ms,
                                         .version = header.version};
    memcpy(ret->record.claim, header.claim, sizeof ret->record.claim);
    memcpy(ret->record.nonce, header.nonce, sizeof ret->record.nonce);
    ret->last_word = atomic_load(&block->word) & ~SF_GENERATOR_CLOSED;
    /* The old process's minting time was never further than the slew away from this, and its IDs
     * max_ahead_ms beyond. */
    const int64_t elapsed_ns = mono_ns - header.mint.anchor_mono_ns;
    const int64_t slew_ns = elapsed_ns / (1000000 / SF_MINTTIME_SLEW_PPM);
    const int64_t latest_ns = header.mint.anchor_mint_ns + elapsed_ns + slew_ns;
    ret->not_before_ms = latest_ns / SF_NS_PER_MS + 1 + max_ahead_ms;
}

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

/* Blocks are allocated now: a full disk under a mapping would be a SIGBUS later. */
static int lock_and_size(int fd, const char *path, struct sf_error *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return sf_error_set(err, -EBUSY, "%s is used by another living process", path);
        return sf_error_set(err, -errno, "%s: cannot lock", path);
    }
    const int rc = posix_fallocate(fd, 0, sizeof(struct sf_state_block));
    if (rc != 0) {
        char text[128];
        return sf_error_set(err, -rc, "%s: %s", path, sf_errno_text(rc, text, sizeof text));
    }
    return 0;
}

static int map_block(int fd, const char *path, struct sf_statefile *ret, struct sf_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return sf_error_set(err, -errno, "%s: cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return sf_error_set(err, -EINVAL, "%s is not a regular file", path);
    void *map =
        mmap(NULL, sizeof(struct sf_state_block), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return sf_error_set(err, -errno, "%s: cannot map", path);
    if (madvise(map, sizeof(struct sf_state_block), MADV_DONTFORK) != 0) {
        const int rc = -errno;
        munmap(map, sizeof(struct sf_state_block));
        return sf_error_set(err, rc, "%s: cannot keep the mapping from children", path);
    }
    ret->block = map;
    ret->device = (uint64_t)st.st_dev;
    ret->inode = (uint64_t)st.st_ino;
    return 0;
}

int sf_statefile_open(const char *dir, const char *name, struct sf_statefile *ret,
                      struct sf_error *err)
{
    struct sf_statefile file = {.fd = -1};
    char path[512], text[128];
    int rc = read_boot_id(file.boot_id);
    if (rc != 0)
        return sf_error_set(err, rc, "cannot read the boot id: %s",
                            sf_errno_text(rc, text, sizeof text));
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return sf_error_set(err, -errno, "cannot make %s: %s", dir,
                            sf_errno_text(errno, text, sizeof text));
    if (snprintf(path, sizeof path, "%s/%s.state", dir, name) >= (int)sizeof path)
        return sf_error_set(err, -ENAMETOOLONG, "%s/%s.state: the path is too long", dir, name);
    file.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file.fd < 0)
        return sf_error_set(err, -errno, "cannot open %s: %s", path,
                            sf_errno_text(errno, text, sizeof text));
    rc = refuse_network(file.fd, path, err);
    if (rc == 0)
        rc = lock_and_size(file.fd, path, err);
    if (rc == 0)
        rc = map_block(file.fd, path, &file, err);
    if (rc != 0) {
        close(file.fd);
        return rc;
    }
    *ret = file;
    return 0;
}

bool sf_statefile_any(const char *dir, const char *prefix)
{
    DIR *stream = opendir(dir);
    bool found = false;
    if (stream == NULL)
        return false;
    for (const struct dirent *entry; !found && (entry = readdir(stream)) != NULL;) {
        const size_t length = strlen(entry->d_name), end = strlen(".state");
        found = strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && length > end &&
                strcmp(entry->d_name + length - end, ".state") == 0;
    }
    closedir(stream);
    return found;
}

void sf_statefile_close(struct sf_statefile *file)
{
    if (file->block == NULL)
        return;
    munmap(file->block, sizeof *file->block);
    close(file->fd);
    file->block = NULL;
    file->fd = -1;
}
