/* Which slot a claim tries, and how a datacenter is counted. */
#include "worker/reservation_choose.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"

void sf_census_take(const struct sf_coord_slot *slots, size_t slot_count,
                    const struct sf_coord_claim *claims, size_t claim_count, int64_t now_ms,
                    struct sf_census *ret)
{
    struct sf_census census = {.earliest_free_ms = -1, .read_mono_ms = ret->read_mono_ms};
    for (size_t i = 0; i < slot_count; i++) {
        const struct sf_coord_slot *slot = &slots[i];
        switch (sf_slot_state(slot, claims, claim_count, now_ms, NULL)) {
        case SF_SLOT_BROKEN:
            census.broken++;
            break;
        case SF_SLOT_HELD:
            census.held++;
            break;
        case SF_SLOT_FREE:
            census.free++;
            break;
        case SF_SLOT_QUARANTINED:
            census.quarantined++;
            if (census.earliest_free_ms < 0 || slot->reserved_until_ms < census.earliest_free_ms)
                census.earliest_free_ms = slot->reserved_until_ms;
            break;
        case SF_SLOT_STATES:
            SF_ASSERT(!"a slot's state");
        }
    }
    *ret = census;
}

/* Claims before `self` in the queue: they seek a slot, and neither their content nor any record names
 * one. */
static size_t rank_of(const struct sf_coord_slot *slots, size_t slot_count,
                      const struct sf_coord_claim *claims, size_t claim_count,
                      const struct sf_coord_claim *self)
{
    size_t rank = 0;
    for (size_t i = 0; i < claim_count; i++) {
        const struct sf_coord_claim *claim = &claims[i];
        if (claim->slot >= 0 || !claim->seeks || claim->fence >= self->fence)
            continue;
        bool holds = false;
        for (size_t s = 0; s < slot_count && !holds; s++)
            holds = strcmp(slots[s].claim, claim->name) == 0;
        if (!holds)
            rank++;
    }
    return rank;
}

/* Longest unused first; the number decides between equals. */
static bool unused_longer(const struct sf_coord_slot *a, const struct sf_coord_slot *b)
{
    if (a->reserved_until_ms != b->reserved_until_ms)
        return a->reserved_until_ms < b->reserved_until_ms;
    return a->worker < b->worker;
}

/* The index of the free slot that has exactly `before` free slots in front of it, or -1. */
static int nth_free(const struct sf_coord_slot *slots, const bool *is_free, size_t slot_count,
                    size_t before)
{
    for (size_t i = 0; i < slot_count; i++) {
        if (!is_free[i])
            continue;
        size_t in_front = 0;
        for (size_t j = 0; j < slot_count; j++)
            if (is_free[j] && j != i && unused_longer(&slots[j], &slots[i]))
                in_front++;
        if (in_front == before)
            return (int)i;
    }
    return -1;
}

int sf_choose_slot(const struct sf_coord_slot *slots, size_t slot_count,
                   const struct sf_coord_claim *claims, size_t claim_count,
                   const struct sf_coord_claim *self, int64_t pinned_worker, int64_t now_ms,
                   bool patient, struct sf_prng *prng)
{
    bool *is_free = calloc(slot_count > 0 ? slot_count : 1, sizeof *is_free);
    if (is_free == NULL)
        return -1;
    size_t free_count = 0;
    for (size_t i = 0; i < slot_count; i++) {
        const struct sf_coord_slot *slot = &slots[i];
        is_free[i] = sf_slot_state(slot, claims, claim_count, now_ms, NULL) == SF_SLOT_FREE &&
                     (pinned_worker < 0 || slot->worker == (uint64_t)pinned_worker);
        free_count += is_free[i];
    }
    int chosen = -1;
    if (free_count > 0) {
        size_t rank =
            pinned_worker >= 0 ? 0 : rank_of(slots, slot_count, claims, claim_count, self);
        if (rank >= free_count && !patient)
            rank = (size_t)sf_prng_below(prng, free_count);
        if (rank < free_count)
            chosen = nth_free(slots, is_free, slot_count, rank);
    }
    free(is_free);
    return chosen;
}
