/* cli/clocks.h - what time it is at the latest, by everybody who can be asked: a fleet that is made must
 * not start below what was minted by a clock that was ahead of ours. For `snowfleet init`. One thread,
 * blocking. */
#ifndef SF_CLI_CLOCKS_H
#define SF_CLI_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock_source.h"
#include "cli/cli.h"
#include "coord/coord.h"

/* What the coordinator's answer said. */
struct sf_cli_coordinator_time {
    int64_t server_ms; /* -1: it did not tell */
    int64_t error_ms;
    int64_t real_ms; /* our own wall clock then */
};

struct sf_cli_clocks {
    int64_t latest_ms; /* Unix ms: the latest that it can be now, by any of them */
    bool doubtful;     /* they disagree, one that was named told no time, or nobody but an unsynchronised
                          clock was asked: not to be built on without a person's word */
    bool wrong;        /* doubtful, and one is more than a minute off another */
    char why[400];     /* doubtful: in words */
};

/* By an answer that has just come from there. A directory's clock is this machine's: no second witness. */
struct sf_cli_coordinator_time sf_cli_time_of(const char *url, const struct sf_coord_completion *answer);

/* Asks this machine's clock, the coordinator's and every one of `sources` (--clock-source; may be empty),
 * for a few seconds at most. Returns -1, or the exit code. */
int sf_cli_clocks(const struct sf_cli_list *sources, const struct sf_cli_coordinator_time *coordinator,
                  struct sf_cli_clocks *ret);

#endif
