/* member/wish.h - the member's options, out of a configuration (config/config.h): of a worker, or of a
 * program that mints for itself. */
#ifndef SF_MEMBER_WISH_H
#define SF_MEMBER_WISH_H

#include "base/parse.h"
#include "config/config.h"
#include "member/member.h"

#define SF_MEMBER_STALL_MS 5000 /* a loop that has not turned for this long is dead */

/* The options with what they point at; not to be copied. */
struct sf_member_wish {
    struct sf_member_options options;
    int64_t epoch_ms;
    struct sf_layout layout;
    char state_name[SF_HOST_PORT_TEXT_MAX];
};

/* Log and host are left to the caller. Strings stay the config's, which outlives ret. */
void sf_member_wish_fill(const struct sf_config *config, struct sf_member_wish *ret);

#endif
