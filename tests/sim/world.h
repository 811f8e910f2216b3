/* tests/sim/world.h - a whole fleet and its clients in one thread from one seed. sim_run is all
 * that the program needs; fleet.h is the world from inside. */
#ifndef SF_SIM_WORLD_H
#define SF_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "counts.h"

struct sim_options {
    uint64_t seed;
    const char *shape;  /* a name of shapes.c */
    int64_t duration_s; /* with faults; then at most calm_s without */
    int64_t calm_s;
    bool trace; /* a line for every event */
};

struct sim_result {
    bool failed;
    char why[512];
    const char *shape;
    uint64_t ids, calls, steps, true_ns;
    /* Minted by owners that won their slot in a tree that had been put back, where the coordinator
     * had forgotten that somebody else may mint the same; and how many of those were. */
    uint64_t tainted, twice;
    uint64_t faults[SIM_FAULTS], paths[SIM_PATHS];
};

/* The shape must be known (sim_shape_pick). */
void sim_run(const struct sim_options *options, struct sim_result *ret);

#endif
