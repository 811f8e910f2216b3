/* worker/readiness.h - may this worker be sent requests, and if not, why. Pure: facts in, a list of
 * checks out. A coordinator outage alone does not fail readiness until the reservation left is
 * under drain.delay_ms + drain.timeout_ms. */
#ifndef SF_WORKER_READINESS_H
#define SF_WORKER_READINESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sf_check {
    SF_CHECK_SLOT,
    SF_CHECK_RESERVATION,
    SF_CHECK_CLOCK,
    SF_CHECK_DRAIN,
    SF_CHECK_SHARDS,
    SF_CHECKS
};

#define SF_CHECK_TEXT_MAX 200

struct sf_readiness {
    bool ready; /* every check passed */
    struct {
        bool ok;
        bool note; /* worth saying although it passed: the coordinator is away */
        /* Without the check's name: "9m12s left, coordinator unreachable for 48s". */
        char text[SF_CHECK_TEXT_MAX];
    } checks[SF_CHECKS];
};

struct sf_readiness_facts {
    bool slot_held;
    uint64_t datacenter, worker, fence;
    const char *slot_text; /* why not, when it is not held */
    int64_t reservation_left_ms;
    int64_t reservation_needed_ms; /* drain.delay_ms + drain.timeout_ms; at most half a window */
    bool coordinator_connected;
    int64_t coordinator_silent_ms;
    bool clock_ok;
    const char *clock_text;
    bool draining;
    const char *drain_text;
    uint32_t shards, shards_stalled;
};

void sf_readiness_judge(const struct sf_readiness_facts *facts, struct sf_readiness *ret);
/* "slot", "reservation", "clock", "drain", "shards" */
const char *sf_check_name(enum sf_check check);

#endif
