/* base/error.h - an error for people: a code for the program and a sentence that names the thing,
 * the value and the next step. Plain values, no ownership; a struct sf_error belongs to one thread
 * at a time. */
#ifndef SF_BASE_ERROR_H
#define SF_BASE_ERROR_H

#include <stddef.h>

#define SF_ERROR_TEXT_MAX 512

struct sf_error {
    int code; /* 0 or a negative errno code */
    char text[SF_ERROR_TEXT_MAX];
};

/* Fills err (may be NULL) and returns code, so that a caller can write: return sf_error_set(err,
 * -EINVAL, "..."). Text that does not fit is cut and ends in "...". */
int sf_error_set(struct sf_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the text that is there. */
void sf_error_prefix(struct sf_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The name and text of a negative or positive errno code ("ENOSPC: No space left on device"), in a
 * buffer of the caller's. */
const char *sf_errno_text(int code, char *buffer, size_t size);

#endif
