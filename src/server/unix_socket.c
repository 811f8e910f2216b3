/* The data port as a UNIX socket: the file's life. */
#include "server/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "base/unix_address.h"

#define BACKLOG     4096
#define OPTION      "listen.unix_path"
#define LOCK_TRY_MS 10
#define LOCK_TRIES  100
#define NAMES_SIZE  16384
#define MODE_MOST   0777

static int fail(struct sf_error *err, int rc, const char *path, const char *what)
{
    char text[128];
    return sf_error_set(err, rc, OPTION ": %s: %s: %s", path, what,
                        sf_errno_text(rc, text, sizeof text));
}

static int owner_of(const char *name, uid_t *ret, struct sf_error *err)
{
    char buffer[NAMES_SIZE];
    struct passwd entry, *found = NULL;
    uint64_t number;
    *ret = (uid_t)-1;
    if (name == NULL)
        return 0;
    if (sf_parse_u64(name, 0, UINT32_MAX - 1, &number) == 0)
        *ret = (uid_t)number;
    else if (getpwnam_r(name, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL)
        *ret = entry.pw_uid;
    else
        return sf_error_set(err, -EINVAL, "listen.unix_owner: there is no user %s here", name);
    return 0;
}

static int group_of(const char *name, gid_t *ret, struct sf_error *err)
{
    char buffer[NAMES_SIZE];
    struct group entry, *found = NULL;
    uint64_t number;
    *ret = (gid_t)-1;
    if (name == NULL)
        return 0;
    if (sf_parse_u64(name, 0, UINT32_MAX - 1, &number) == 0)
        *ret = (gid_t)number;
    else if (getgrnam_r(name, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL)
        *ret = entry.gr_gid;
    else
        return sf_error_set(err, -EINVAL, "listen.unix_group: there is no group %s here", name);
    return 0;
}

static void directory_of(const char *path, char to[sizeof(struct sockaddr_un)])
{
    (void)snprintf(to, sizeof(struct sockaddr_un), "%.*s", (int)(strrchr(path, '/') - path), path);
}

/* A descriptor whose closing lets go of the lock, or a negative errno code. */
static int lock_directory(const char *path)
{
    char directory[sizeof(struct sockaddr_un)];
    directory_of(path, directory);
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        sf_sleep_ms(LOCK_TRY_MS);
    }
    const int rc = -errno;
    (void)close(fd);
    return rc;
}

/* Nothing at the path, or a socket: 0. */
static int look_at(const char *path, bool *ret_there, struct sf_error *err)
{
    struct stat info;
    *ret_there = lstat(path, &info) == 0;
    if (!*ret_there)
        return errno == ENOENT ? 0 : fail(err, -errno, path, "cannot be looked at");
    if (!S_ISSOCK(info.st_mode))
        return sf_error_set(err, -ENOTSUP,
                            OPTION ": %s is there and is no socket: it is left alone; name another "
                                   "path, or remove it",
                            path);
    return 0;
}

/* Nobody listens on it: 0. A full queue is a living one's, and so is a socket of another type. */
static int ask_whether_dead(const struct sockaddr_un *address, socklen_t size, const char *path,
                            struct sf_error *err)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(err, -errno, path, "no socket");
    const int rc = connect(fd, (const struct sockaddr *)address, size) == 0 ? 0 : -errno;
    (void)close(fd);
    if (rc == -ECONNREFUSED || rc == -ENOENT)
        return 0;
    if (rc == 0 || rc == -EAGAIN || rc == -EPROTOTYPE)
        return sf_error_set(err, -EADDRINUSE,
                            OPTION ": a process listens on %s already: end it, or name another "
                                   "path",
                            path);
    return fail(err, rc, path, "cannot be asked whether somebody listens there");
}

/* Under the directory's lock. */
static int take_place(const struct sockaddr_un *address, socklen_t size, const char *path,
                      struct sf_error *err)
{
    bool there = false;
    int rc = look_at(path, &there, err);
    if (rc == 0 && there)
        rc = ask_whether_dead(address, size, path, err);
    if (rc == 0 && there && unlink(path) != 0 && errno != ENOENT)
        rc = fail(err, -errno, path, "the socket of a dead process cannot be removed");
    return rc;
}

/* Nobody may connect before owner, group and mode are right: the file begins with no right at all. */
static int settle_file(const struct sf_unix_wish *wish, struct sf_unix_socket *made,
                       struct sf_error *err)
{
    struct stat info;
    uid_t owner;
    gid_t group;
    int rc = owner_of(wish->owner, &owner, err);
    if (rc == 0)
        rc = group_of(wish->group, &group, err);
    if (rc != 0)
        return rc;
    const mode_t mode =
        (mode_t)strtoul(wish->mode != NULL ? wish->mode : SF_UNIX_MODE_DEFAULT, NULL, 8);
    if ((wish->owner != NULL || wish->group != NULL) && lchown(made->path, owner, group) != 0)
        return fail(err, -errno, made->path,
                    "cannot be given to the owner or the group that listen.unix_owner and "
                    "listen.unix_group name");
    if (fchmodat(AT_FDCWD, made->path, mode, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(err, -errno, made->path, "its mode cannot be set");
    if (lstat(made->path, &info) != 0)
        return fail(err, -errno, made->path, "cannot be looked at");
    made->device = info.st_dev;
    made->inode = info.st_ino;
    made->changed = info.st_ctim;
    return 0;
}

static int bind_and_listen(const struct sf_unix_wish *wish, struct sf_unix_socket *made,
                           struct sf_error *err)
{
    struct sockaddr_un address;
    socklen_t size;
    if (sf_unix_address(wish->path, &address, &size) != 0)
        return sf_error_set(err, -EINVAL, OPTION ": %s must be " SF_UNIX_RULE, wish->path);
    const bool is_file = wish->path[0] == '/';
    int rc = is_file ? take_place(&address, size, wish->path, err) : 0;
    if (rc != 0)
        return rc;
    if (fchmod(made->fd, 0) != 0 || bind(made->fd, (const struct sockaddr *)&address, size) != 0)
        return fail(err, -errno, wish->path, "cannot listen there");
    if (is_file) {
        (void)snprintf(made->path, sizeof made->path, "%s", wish->path);
        rc = settle_file(wish, made, err);
    }
    if (rc == 0 && listen(made->fd, BACKLOG) != 0)
        rc = fail(err, -errno, wish->path, "cannot listen there");
    if (rc != 0 && is_file)
        (void)unlink(wish->path);
    return rc;
}

int sf_unix_listen(const struct sf_unix_wish *wish, struct sf_unix_socket *ret,
                   struct sf_error *err)
{
    struct sf_unix_socket made = {.fd = -1};
    const bool is_file = wish->path[0] == '/';
    const int lock = is_file ? lock_directory(wish->path) : -1;
    if (is_file && lock < 0)
        return fail(err, lock, wish->path, "its directory cannot be locked");
    made.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int rc = made.fd < 0 ? fail(err, -errno, wish->path, "no socket")
                               : bind_and_listen(wish, &made, err);
    if (rc != 0 && made.fd >= 0)
        (void)close(made.fd);
    if (lock >= 0)
        (void)close(lock);
    if (rc == 0)
        *ret = made;
    return rc;
}

int sf_unix_check(const struct sf_unix_wish *wish, struct sf_error *err)
{
    char directory[sizeof(struct sockaddr_un)];
    uid_t owner;
    gid_t group;
    bool there;
    if (wish->path == NULL || wish->path[0] != '/')
        return 0;
    directory_of(wish->path, directory);
    if (access(directory, W_OK | X_OK) != 0)
        return sf_error_set(err, -errno,
                            OPTION ": no socket can be made in %s: %s. Make the directory, or give "
                                   "it to the worker's user",
                            directory, strerrordesc_np(errno));
    int rc = look_at(wish->path, &there, err);
    if (rc == 0)
        rc = owner_of(wish->owner, &owner, err);
    return rc == 0 ? group_of(wish->group, &group, err) : rc;
}

/* Is it the file that was made? Its number may have been given to another by now, but not with the time
 * of its last change. */
static bool is_ours(const struct sf_unix_socket *made)
{
    struct stat info;
    return lstat(made->path, &info) == 0 && info.st_dev == made->device &&
           info.st_ino == made->inode && info.st_ctim.tv_sec == made->changed.tv_sec &&
           info.st_ctim.tv_nsec == made->changed.tv_nsec;
}

void sf_unix_remove(struct sf_unix_socket *socket)
{
    if (socket->path[0] == '\0')
        return;
    const int lock = lock_directory(socket->path);
    /* Without the lock it stays: whoever comes next sees that nobody listens. */
    if (lock >= 0 && is_ours(socket))
        (void)unlink(socket->path);
    if (lock >= 0)
        (void)close(lock);
    socket->path[0] = '\0';
}

void sf_unix_close(struct sf_unix_socket *socket)
{
    if (socket->fd < 0)
        return;
    sf_unix_remove(socket);
    (void)close(socket->fd);
    socket->fd = -1;
}
