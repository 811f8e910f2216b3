/* Who else may read a file with a secret: the one rule for keys, tokens and passwords. */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_regular(const struct stat *info, const char *what, const char *path,
                         struct sf_error *err)
{
    return S_ISREG(info->st_mode)
               ? 0
               : sf_error_set(err, -EINVAL, "%s: %s is no regular file", what, path);
}

static int check_secret(const struct stat *info, const char *what, const char *path,
                        struct sf_error *err)
{
    const int rc = check_regular(info, what, path, err);
    if (rc != 0)
        return rc;
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
    const int rc = -errno;
    return sf_error_set(err, rc, "%s: %s: %s", what, path, sf_errno_text(rc, text, sizeof text));
}

/* One of the two checks above. */
typedef int file_check(const struct stat *info, const char *what, const char *path,
                       struct sf_error *err);

static int open_checked(const char *path, const char *what, file_check *check, int *ret_fd,
                        struct sf_error *err)
{
    /* A FIFO would wait for its writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    if (fd < 0)
        return cannot(path, what, err);
    const int rc = fstat(fd, &info) != 0 ? cannot(path, what, err) : check(&info, what, path, err);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int check_path(const char *path, const char *what, file_check *check, struct sf_error *err)
{
    int fd = -1;
    const int rc = open_checked(path, what, check, &fd, err);
    if (rc == 0)
        close(fd);
    return rc;
}

int sf_secret_open(const char *path, const char *what, int *ret_fd, struct sf_error *err)
{
    return open_checked(path, what, check_secret, ret_fd, err);
}

int sf_secret_check_path(const char *path, const char *what, struct sf_error *err)
{
    return check_path(path, what, check_secret, err);
}

int sf_plain_open(const char *path, const char *what, int *ret_fd, struct sf_error *err)
{
    return open_checked(path, what, check_regular, ret_fd, err);
}

int sf_plain_check_path(const char *path, const char *what, struct sf_error *err)
{
    return check_path(path, what, check_regular, err);
}

int sf_secret_read_line(const char *path, const char *what, char ret_line[SF_SECRET_LINE_MAX],
                        struct sf_error *err)
{
    char bytes[SF_SECRET_LINE_MAX + 8]; /* some ends of lines may follow */
    size_t size = 0;
    int fd = -1;
    int rc = sf_secret_open(path, what, &fd, err);
    if (rc < 0)
        return rc;
    ssize_t got;
    while (size < sizeof bytes && (got = read(fd, bytes + size, sizeof bytes - size)) != 0) {
        if (got > 0)
            size += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    if (size < sizeof bytes && got < 0)
        rc = cannot(path, what, err);
    close(fd);
    while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r'))
        size--;
    const bool is_line = size > 0 && size < SF_SECRET_LINE_MAX &&
                         memchr(bytes, '\0', size) == NULL && memchr(bytes, '\n', size) == NULL;
    if (rc == 0 && !is_line)
        rc = sf_error_set(err, -EINVAL, "%s: %s must hold one line of 1 to %d bytes", what, path,
                          SF_SECRET_LINE_MAX - 1);
    if (rc == 0) {
        memcpy(ret_line, bytes, size);
        ret_line[size] = '\0';
    }
    explicit_bzero(bytes, sizeof bytes);
    return rc;
}
