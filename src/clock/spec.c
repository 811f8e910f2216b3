#include "clock/spec.h"

#include <errno.h>
#include <string.h>

#include "clock/chrony_packet.h"
#include "clock/ntp_packet.h"

static int refuse(const char *text, const char *why, struct sf_error *err)
{
    return sf_error_set(err, -EINVAL,
                        "clock.sources: '%s' %s; allowed: kernel, ntp:host[:port], "
                        "chrony:host[:port], chrony:/path/to/chronyd.sock",
                        text, why);
}

int sf_clock_spec_parse(const char *text, struct sf_clock_spec *ret, struct sf_error *err)
{
    struct sf_clock_spec spec = {.kind = SF_CLOCK_KERNEL};
    const char *rest = text;
    if (strlen(text) >= sizeof spec.text)
        return refuse(text, "is too long", err);
    memcpy(spec.text, text, strlen(text) + 1);
    if (strcmp(text, "kernel") == 0) {
        *ret = spec;
        return 0;
    }
    if (strncmp(text, "ntp:", 4) == 0) {
        spec.kind = SF_CLOCK_NTP;
        rest = text + 4;
    } else if (strncmp(text, "chrony:", 7) == 0) {
        spec.kind = SF_CLOCK_CHRONY;
        rest = text + 7;
    } else {
        return refuse(text, "is no time source", err);
    }
    if (spec.kind == SF_CLOCK_CHRONY && rest[0] == '/') {
        if (strlen(rest) >= sizeof spec.path)
            return refuse(text, "has a path over 79 bytes", err);
        memcpy(spec.path, rest, strlen(rest) + 1);
    } else {
        const int port = spec.kind == SF_CLOCK_NTP ? SF_NTP_PORT : SF_CHRONY_PORT;
        if (sf_parse_host_port(rest, port, false, &spec.address) < 0 || spec.address.port == 0)
            return refuse(text, "has no valid host and port", err);
    }
    *ret = spec;
    return 0;
}
