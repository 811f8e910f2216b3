/* worker/reservation_choose.h - which slot a claim tries, and how the slots of a datacenter are
 * counted. Pure: the list that was read goes in, nothing is kept. Any thread. */
#ifndef SF_WORKER_RESERVATION_CHOOSE_H
#define SF_WORKER_RESERVATION_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "coord/coord.h"

struct sf_census {
    uint32_t free, held, quarantined, broken;
    int64_t earliest_free_ms; /* when the first quarantined slot comes free; -1: none */
    int64_t read_mono_ms;     /* -1: never read */
};

/* Counts the slots. live claims are those of `claims`. */
void sf_census_take(const struct sf_coord_slot *slots, size_t slot_count,
                    const struct sf_coord_claim *claims, size_t claim_count, int64_t now_ms,
                    struct sf_census *ret);

/* The slot that this claim should try: the k-th free one, longest unused first, for the k-th
 * waiting claim. patient: only that; otherwise a random free one when there are fewer free slots
 * than claims before us. Returns the index, or -1. */
int sf_choose_slot(const struct sf_coord_slot *slots, size_t slot_count,
                   const struct sf_coord_claim *claims, size_t claim_count,
                   const struct sf_coord_claim *self, int64_t pinned_worker, int64_t now_ms,
                   bool patient, struct sf_prng *prng);

#endif
