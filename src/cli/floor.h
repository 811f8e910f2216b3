/* cli/floor.h - from which timestamp on a fleet that is made may mint (docs/uniqueness.md, "The floor").
 * Pure; any thread. */
#ifndef SF_CLI_FLOOR_H
#define SF_CLI_FLOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "coord/types.h"

#define SF_FLOOR_OFFSET_MS 1000 /* how far a worker's clock may be off and still mint (clock.max_offset_ms) */
#define SF_FLOOR_MARGIN_MS 1000
/* So much above the rule's floor is still believed: what an earlier making was started at a moment ago, by
 * clocks that told with a larger error. */
#define SF_FLOOR_SLACK_MS 60000

struct sf_floor_facts {
    bool first;              /* "no fleet of this name ever minted here" */
    bool given;              /* a person names the floor */
    int64_t given_ms;        /* given */
    int64_t above_ms;        /* nothing at or below this may be minted; INT64_MIN: not asked for */
    int64_t latest_ms;       /* what time it is at the latest */
    const char *doubt;       /* why that cannot be built on; NULL: it can */
    bool wrong; /* one of the clocks must be wrong: not even a first fleet is made by them */
    int64_t max_window_ms;   /* how far ahead any worker may have reserved */
    int64_t epoch_ms, end_ms; /* the first and the last timestamp that an ID can have */
    const struct sf_coord_survey *survey;
    int64_t asked_ms;        /* the latest that a worker says it may mint up to; 0: none */
    const char *asked_where; /* who said that */
};

struct sf_floor {
    int64_t floor_ms;
    int64_t survivor_max_ms; /* as in struct sf_coord_init */
    bool stands;             /* likewise: floor_stands */
    bool first;              /* it was taken at its word */
};

/* Returns 0, or -EINVAL with what was found, and what to do. */
int sf_floor_decide(const struct sf_floor_facts *facts, struct sf_floor *ret, struct sf_error *err);

#endif
