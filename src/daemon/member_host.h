/* daemon/member_host.h - the member's options, out of the worker's. */
#ifndef SF_DAEMON_MEMBER_HOST_H
#define SF_DAEMON_MEMBER_HOST_H

#include "base/parse.h"
#include "config/config.h"
#include "member/member.h"

/* The options with what they point at; not to be copied. */
struct sf_member_wish {
    struct sf_member_options options;
    int64_t epoch_ms;
    struct sf_layout layout;
    char state_name[SF_HOST_PORT_TEXT_MAX];
};

/* Log and host are left to the caller. Strings stay the config's, which outlives ret. */
void sf_member_host_fill(const struct sf_config *config, struct sf_member_wish *ret);

#endif
