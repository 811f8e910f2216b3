/* Which files the process may change from now on. The C library has no functions for it, and older
 * headers not all the names. */
#include "daemon/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ABI_MIN         2 /* before, no file could be renamed from one directory into another */
#define ABI_TRUNCATE    3
#define ABI_IOCTL       5
#define ABI_SCOPE       6
#define VERSION         1 /* a flag: only say which ABI there is */
#define RULE_PATH       1
#define SCOPE_ABSTRACT  (UINT64_C(1) << 0)
#define SCOPE_SIGNAL    (UINT64_C(1) << 1)
#define FS_EXECUTE      (UINT64_C(1) << 0)
#define FS_WRITE_FILE   (UINT64_C(1) << 1)
#define FS_REMOVE_DIR   (UINT64_C(1) << 4)
#define FS_REMOVE_FILE  (UINT64_C(1) << 5)
#define FS_MAKE_CHAR    (UINT64_C(1) << 6)
#define FS_MAKE_DIR     (UINT64_C(1) << 7)
#define FS_MAKE_REGULAR (UINT64_C(1) << 8)
#define FS_MAKE_SOCKET  (UINT64_C(1) << 9)
#define FS_MAKE_FIFO    (UINT64_C(1) << 10)
#define FS_MAKE_BLOCK   (UINT64_C(1) << 11)
#define FS_MAKE_SYMLINK (UINT64_C(1) << 12)
#define FS_REFER        (UINT64_C(1) << 13)
#define FS_TRUNCATE     (UINT64_C(1) << 14)
#define FS_IOCTL        (UINT64_C(1) << 15)

/* As the kernel has them. */
struct ruleset {
    uint64_t fs, net, scoped;
};

struct beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static uint64_t known_to(long abi)
{
    uint64_t fs = FS_EXECUTE | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_CHAR |
                  FS_MAKE_DIR | FS_MAKE_REGULAR | FS_MAKE_SOCKET | FS_MAKE_FIFO | FS_MAKE_BLOCK |
                  FS_MAKE_SYMLINK | FS_REFER;
    if (abi >= ABI_TRUNCATE)
        fs |= FS_TRUNCATE;
    if (abi >= ABI_IOCTL)
        fs |= FS_IOCTL;
    return fs;
}

static uint64_t allowed_by(enum sf_landlock_right right)
{
    static const uint64_t write = FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
                                  FS_MAKE_REGULAR | FS_REFER | FS_TRUNCATE;
    return right == SF_LANDLOCK_WRITE ? write : FS_MAKE_SOCKET | FS_REMOVE_FILE;
}

/* The directory, or its nearest parent that is there. */
static int open_directory(const char *path)
{
    char at[PATH_MAX];
    if (path[0] != '/' || strlen(path) >= sizeof at)
        return -EINVAL;
    memcpy(at, path, strlen(path) + 1);
    for (;;) {
        const int fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        char *slash = strrchr(at, '/');
        if (errno != ENOENT || slash == at)
            return -errno; /* the root would allow everything */
        *slash = '\0';
    }
}

static int add_rule(int set, const struct sf_landlock_rule *rule, uint64_t known)
{
    const int fd = open_directory(rule->path);
    if (fd < 0)
        return fd;
    const struct beneath beneath = {.allowed = allowed_by(rule->right) & known, .parent = fd};
    const int rc = syscall(SYS_landlock_add_rule, set, RULE_PATH, &beneath, 0U) == 0 ? 0 : -errno;
    (void)close(fd);
    return rc;
}

int sf_landlock_apply(const struct sf_landlock_rule *rules, size_t count, struct sf_error *err)
{
    char text[128];
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, VERSION);
    if (abi < ABI_MIN)
        return sf_error_set(err, -ENOTSUP,
                            "this kernel has no Landlock, or it is not switched on (version %ld)",
                            abi < 0 ? 0 : abi);
    const struct ruleset attributes = {
        .fs = known_to(abi),
        .scoped = abi >= ABI_SCOPE ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
    };
    const int set = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0U);
    if (set < 0)
        return sf_error_set(err, -errno, "Landlock: no set of rules: %s",
                            sf_errno_text(errno, text, sizeof text));
    for (size_t i = 0; i < count; i++) {
        const int rc = add_rule(set, &rules[i], attributes.fs);
        if (rc != 0) {
            (void)close(set);
            return sf_error_set(err, rc, "Landlock: %s cannot be allowed: %s", rules[i].path,
                                sf_errno_text(rc, text, sizeof text));
        }
    }
    int rc = prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 ? 0 : -errno;
    if (rc == 0)
        rc = syscall(SYS_landlock_restrict_self, set, 0U) == 0 ? 0 : -errno;
    (void)close(set);
    return rc == 0 ? 0
                   : sf_error_set(err, rc, "Landlock: cannot be entered: %s",
                                  sf_errno_text(rc, text, sizeof text));
}
