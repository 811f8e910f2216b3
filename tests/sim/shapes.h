/* tests/sim/shapes.h - what kind of fleet a seed simulates: layout, machines, datacenters, slots
 * for each worker, windows, demand. Pure. */
#ifndef SF_SIM_SHAPES_H
#define SF_SIM_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

#include <snowfleet/id.h>

#include "base/random.h"

/* sim_thousand is the same program with room for a large datacenter; it has that shape alone. */
#ifdef SIM_THOUSAND
#define SIM_HOSTS_MAX       1000
#define SIM_SLOTS_MAX       1024
#define SIM_DATACENTERS_MAX 1
#define SIM_CLAIMS_MAX      4096
#else
#define SIM_HOSTS_MAX       12
#define SIM_SLOTS_MAX       32
#define SIM_DATACENTERS_MAX 2
#define SIM_CLAIMS_MAX      256
#endif
#define SIM_HOLDS_MAX   2
#define SIM_CLIENTS_MAX 3
#define SIM_SERVERS_MAX 12 /* the first machines: those that a caller knows */

struct sim_shape {
    const char *name;
    struct sf_layout layout;
    int64_t start_ms; /* true time at the beginning, since the fleet's epoch */
    bool loses;       /* the coordinator loses data in any case */
    bool elects;      /* it loses nothing, but changes its leader all the time, and members lag */
    bool ends;        /* the layout's timestamps end during the run */
    bool probes;      /* slots are sought as in a large datacenter, which is not listed */
    unsigned datacenters;
    unsigned hosts;    /* machines; number i is in datacenter i % datacenters */
    unsigned at_first; /* of these, started at the beginning; the others when the fleet is scaled */
    unsigned slots_per_worker;
    int64_t window_ms, min_window_ms, max_silence_ms;
    unsigned clients;
    unsigned mint_gap_ms; /* longest pause between two mints of one worker */
};

/* The shape of that name, or of any ("mixed": drawn). False when there is none of that name. */
bool sim_shape_pick(const char *name, int64_t duration_s, struct sf_prng *prng,
                    struct sim_shape *ret);
/* The names, separated by blanks. */
const char *sim_shape_names(void);

#endif
