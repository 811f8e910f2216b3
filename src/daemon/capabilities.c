/* Gives up every capability. The C library has no functions for it; libcap would be one more
 * library for two calls. */
#include "daemon/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int sf_capabilities_drop(bool *ret_had, struct sf_error *err)
{
    char text[128];
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, sets) != 0)
        return sf_error_set(err, -errno, "capabilities cannot be read: %s",
                            sf_errno_text(errno, text, sizeof text));
    uint32_t had = 0;
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        had |= sets[i].permitted | sets[i].effective | sets[i].inheritable;
    *ret_had = had != 0;
    if (had == 0)
        return 0;
    /* Only with CAP_SETPCAP; without it no program that is started can get more than we have, and
     * none can be started. The first number that does not exist ends it. */
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0UL, 0UL, 0UL) >= 0; i++)
        (void)prctl(PR_CAPBSET_DROP, i, 0UL, 0UL, 0UL);
    (void)prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        sets[i] = (struct __user_cap_data_struct){0};
    if (syscall(SYS_capset, &header, sets) != 0)
        return sf_error_set(err, -errno, "capabilities cannot be given up: %s",
                            sf_errno_text(errno, text, sizeof text));
    return 0;
}
