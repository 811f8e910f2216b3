/* Who else may read a file with a secret: the one rule for keys, tokens and passwords. */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int sf_secret_check(const struct stat *info, const char *what, const char *path,
                    struct sf_error *err)
{
    if (!S_ISREG(info->st_mode))
        return sf_error_set(err, -EINVAL, "%s: %s is no regular file", what, path);
    if (info->st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        return sf_error_set(
            err, -EACCES,
            "%s: %s has mode %03o: others may read it or write to it; chmod 600 (or "
            "640) it",
            what, path, (unsigned)(info->st_mode & 0777));
    return 0;
}

static int cannot(const char *path, const char *what, struct sf_error *err)
{
    char text[128];
    const int code = -errno;
    return sf_error_set(err, code, "%s: %s: %s", what, path,
                        sf_errno_text(code, text, sizeof text));
}

int sf_secret_open(const char *path, const char *what, int *ret_fd, struct sf_error *err)
{
    /* A FIFO would wait for its writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    if (fd < 0)
        return cannot(path, what, err);
    const int rc =
        fstat(fd, &info) != 0 ? cannot(path, what, err) : sf_secret_check(&info, what, path, err);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int sf_secret_check_path(const char *path, const char *what, struct sf_error *err)
{
    int fd = -1;
    const int rc = sf_secret_open(path, what, &fd, err);
    if (rc == 0)
        close(fd);
    return rc;
}
