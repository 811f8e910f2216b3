/* tests/sim/world.h - a whole fleet in one thread from one seed: simulated time, hosts, clocks,
 * network and faults around the product's own generator, reservation machine, minting time and
 * clock policy. One thread; nanoseconds of true time unless said otherwise. */
#ifndef SF_SIM_WORLD_H
#define SF_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "clock/policy.h"
#include "store.h"
#include "worker/statefile.h"

#define SIM_HOSTS_MAX 16

struct sim_options {
    uint64_t seed;
    unsigned workers;
    struct sf_layout layout;
    int64_t duration_s; /* with faults; then calm_s without */
    int64_t calm_s;
    bool trace;         /* a line for every event */
    double fault_scale; /* 1: as built */
};

enum sim_fault {
    SIM_KILL,
    SIM_KILL_LOSE_FILE,
    SIM_KILL_OLD_FILE,
    SIM_KILL_BEFORE_SAVE,
    SIM_TERM,
    SIM_PAUSE,
    SIM_MINT_PAUSE,
    SIM_CUT_BOTH,
    SIM_CUT_ANSWERS,
    SIM_STORE_DOWN,
    SIM_EXPIRE,
    SIM_REQUEST_LOST,
    SIM_ANSWER_LOST,
    SIM_LATE_APPLY,
    SIM_STEP_SMALL,
    SIM_STEP_BIG,
    SIM_DRIFT,
    SIM_CONFIG_TOUCH,
    SIM_FAULTS
};

struct sim_result {
    bool failed;
    char why[512];
    uint64_t ids, mints, steps, faults[SIM_FAULTS];
    /* Recovery paths that were really taken. */
    uint64_t fast_restarts, rebinds, orphans, uncertain, adopted, releases, suspensions, shrinks,
        strangers;
    uint64_t ready_at_end, true_ns;
};

extern const char *const sim_fault_names[SIM_FAULTS];

void sim_run(const struct sim_options *options, struct sim_result *ret);

#endif
