/* How many data connections may be open without taking the descriptors that everything else needs:
 * the coordinator's connections (a worker that cannot connect or open its records cannot renew),
 * the admin port, log and state files. */
#include "daemon/descriptors.h"

#include <inttypes.h>
#include <sys/resource.h>

/* What is kept back; with a very low limit, half of it. */
#define SPARE_DESCRIPTORS 256

uint32_t sf_descriptors_fit(struct sf_log *log, uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < limit.rlim_max) {
        const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    if (limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    const rlim_t spare =
        limit.rlim_cur / 2 < SPARE_DESCRIPTORS ? limit.rlim_cur / 2 : SPARE_DESCRIPTORS;
    const rlim_t most = limit.rlim_cur > spare + 1 ? limit.rlim_cur - spare : 1;
    if (wanted <= most)
        return wanted;
    sf_log_write(log, SF_LOG_WARN, "server.connections_limited",
                 "listen.max_connections %" PRIu32
                 " needs more open files than the limit of %" PRIu64 "; %" PRIu64 " "
                 "connections are allowed. Raise the limit (ulimit -n, LimitNOFILE)",
                 wanted, (uint64_t)limit.rlim_cur, (uint64_t)most);
    return (uint32_t)most;
}
