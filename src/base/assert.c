/* The end of a program whose own assertion failed: one line on stderr, written without stdio's
 * buffers. */
#include "base/assert.h"

#include <stdio.h>
#include <unistd.h>

#include "base/exit_codes.h"

void sf_assert_failed(const char *expression, const char *file, int line, const char *function)
{
    char text[512];
    const int n =
        snprintf(text, sizeof text, "snowfleet: internal invariant broke: %s (%s:%d, %s)\n",
                 expression, file, line, function);
    if (n > 0) {
        const size_t size = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
        /* Nothing can be done about a stderr that takes no bytes. */
        const ssize_t written = write(STDERR_FILENO, text, size);
        (void)written;
    }
    /* _exit, so that no atexit handler acts on a state that is known to be wrong. */
    _exit(SF_EXIT_INTERNAL);
}
