/* base/secret.h - files that hold secrets (keys, tokens, passwords): who else may read them is
 * checked in one place. Any thread. */
#ifndef SF_BASE_SECRET_H
#define SF_BASE_SECRET_H

#include "base/error.h"

/* A secret is a regular file that others cannot read and that nobody but its owner can write: modes
 * like 600, 400, 640, 440 (a group may read, as Kubernetes mounts secrets for an fsGroup).
 *
 * Opens it for reading (close-on-exec) and checks what was opened. Returns 0, -EINVAL or -EACCES for what
 * is none, or another negative errno code; err names `what` (the option) and the path. */
int sf_secret_open(const char *path, const char *what, int *ret_fd, struct sf_error *err);
/* The longest secret of one line, with its NUL. */
#define SF_SECRET_LINE_MAX 1024

/* Reads a secret that is one line, as a password is: 1 to SF_SECRET_LINE_MAX - 1 bytes without NUL;
 * ends of lines behind it are cut off. ret_line is NUL-terminated; whoever has it wipes it. Returns
 * 0, or a negative errno code as sf_secret_open, with -EINVAL for what is not one line. */
int sf_secret_read_line(const char *path, const char *what, char ret_line[SF_SECRET_LINE_MAX],
                        struct sf_error *err);
/* Checks the file at the path, for libraries that open it themselves. */
int sf_secret_check_path(const char *path, const char *what, struct sf_error *err);

/* The same for a file without secrets, as a certificate is: a regular file that we may read (another
 * one would let whoever opens it wait). Returns 0 or a negative errno code. */
int sf_plain_open(const char *path, const char *what, int *ret_fd, struct sf_error *err);
int sf_plain_check_path(const char *path, const char *what, struct sf_error *err);

#endif
