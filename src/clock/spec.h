/* clock/spec.h - the strings of clock.sources. Pure. */
#ifndef SF_CLOCK_SPEC_H
#define SF_CLOCK_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/parse.h"
#include "clock/reading.h"

#define SF_CLOCK_SPEC_MAX 272
#define SF_CLOCK_PATH_MAX                                                                          \
    80 /* a Unix socket has 107; our own socket in the same folder needs the rest */

struct sf_clock_spec {
    enum sf_clock_kind kind;
    char text[SF_CLOCK_SPEC_MAX]; /* as given */
    struct sf_host_port address;  /* ntp, chrony over UDP */
    char path[SF_CLOCK_PATH_MAX]; /* chrony over a Unix socket; "" otherwise */
};

/* "kernel", "ntp:host[:port]", "chrony:host[:port]", "chrony:/path". Returns 0 or -EINVAL. */
int sf_clock_spec_parse(const char *text, struct sf_clock_spec *ret, struct sf_error *err);

#endif
