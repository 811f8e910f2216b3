/* Who is to be there: the living by their claims, the others by the records that they left. */
#include "coord/expected.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"

static const char ready[] = "ready", suspended[] = "suspended", claiming[] = "claiming";

static void *some(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    SF_ASSERT(memory != NULL);
    return memory;
}

/* A release writes the last timestamp and the next one, or no more than the past; whoever goes on
 * reserves more than both. */
static bool is_released(const struct sf_coord_slot *slot)
{
    return slot->reserved_until_ms == slot->last_ms + 1 ||
           slot->reserved_until_ms <= slot->updated_ms;
}

/* Records that can be read, to be found by the claim that they name. */
struct holders {
    const struct sf_coord_slot **slots; /* by claim */
    size_t count;
};

static int by_claim(const void *left, const void *right)
{
    const struct sf_coord_slot *a = *(const struct sf_coord_slot *const *)left,
                               *b = *(const struct sf_coord_slot *const *)right;
    const int order = strcmp(a->claim, b->claim);
    return order != 0 ? order : (a > b) - (a < b); /* in their own order */
}

static struct holders sort_holders(const struct sf_coord_slot *slots, size_t slot_count)
{
    struct holders ret = {.slots = some(slot_count, sizeof(const struct sf_coord_slot *))};
    for (size_t i = 0; i < slot_count; i++)
        if (slots[i].state == SF_COORD_RECORD_OK)
            ret.slots[ret.count++] = &slots[i];
    if (ret.count > 1)
        qsort(ret.slots, ret.count, sizeof *ret.slots, by_claim);
    return ret;
}

/* The first that names this claim; NULL: none does. */
static const struct sf_coord_slot *slot_of(const struct holders *among,
                                           const struct sf_coord_claim *claim)
{
    size_t low = 0, high = among->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(among->slots[middle]->claim, claim->name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const bool found = low < among->count && strcmp(among->slots[low]->claim, claim->name) == 0;
    return found ? among->slots[low] : NULL;
}

/* What an older worker's claim does not say. */
static const char *state_of(const struct sf_coord_claim *claim, const struct sf_coord_slot *slot)
{
    if (claim->state[0] != '\0')
        return claim->state;
    return slot != NULL || claim->slot >= 0 ? ready : claiming;
}

static void take_living(const struct sf_coord_claim *claim, const struct sf_coord_slot *slot,
                        int64_t now_ms, struct sf_expected_member *to)
{
    *to = (struct sf_expected_member){.claim = claim,
                                      .slot = slot,
                                      .state = state_of(claim, slot),
                                      .since_ms = claim->since_ms,
                                      .expected = true,
                                      .waiting = claim->seeks && slot == NULL};
    memcpy(to->reason, claim->reason, sizeof to->reason);
    to->ready = strcmp(to->state, ready) == 0;
    if (!to->ready || slot == NULL || slot->reserved_until_ms > now_ms)
        return;
    /* It stands still, or what it left behind does: it has not even said so. */
    char ago[SF_DURATION_TEXT_MAX];
    (void)snprintf(to->reason, sizeof to->reason,
                   "its reservation ended %s ago, and it does not renew it",
                   sf_format_duration_ms(now_ms - slot->reserved_until_ms, ago, sizeof ago));
    to->state = suspended;
    to->since_ms = slot->reserved_until_ms;
    to->ready = false;
}

static void take_gone(const struct sf_coord_slot *slot, int64_t now_ms,
                      struct sf_expected_member *to)
{
    const bool left = is_released(slot);
    char rest[SF_DURATION_TEXT_MAX];
    *to = (struct sf_expected_member){.slot = slot,
                                      .state = left ? SF_EXPECTED_LEFT : SF_EXPECTED_LOST,
                                      .since_ms = slot->updated_ms,
                                      .expected = !left};
    if (left)
        (void)snprintf(to->reason, sizeof to->reason, "it gave its slot back");
    else if (slot->reserved_until_ms > now_ms)
        (void)snprintf(to->reason, sizeof to->reason,
                       "its session has ended and its slot was not given back, which rests for %s",
                       sf_format_duration_ms(slot->reserved_until_ms - now_ms, rest, sizeof rest));
    else
        (void)snprintf(to->reason, sizeof to->reason,
                       "its session has ended and its slot was not given back");
}

/* Whoever is gone, newest first. */
static int by_time(const void *left, const void *right)
{
    const struct sf_coord_slot *a = *(const struct sf_coord_slot *const *)left,
                               *b = *(const struct sf_coord_slot *const *)right;
    return (a->updated_ms < b->updated_ms) - (a->updated_ms > b->updated_ms);
}

/* By node, then the latest first. */
static int by_node(const void *left, const void *right)
{
    const struct sf_coord_claim *a = *(const struct sf_coord_claim *const *)left,
                                *b = *(const struct sf_coord_claim *const *)right;
    const int order = strcmp(a->node, b->node);
    return order != 0 ? order : (a->made_ms < b->made_ms) - (a->made_ms > b->made_ms);
}

/* Live claims, in which those that followed a record are looked for. */
struct successors {
    const struct sf_coord_claim **claims; /* by node */
    size_t count;
};

/* Was a claim of the record's node made after its owner was last heard of? Each is the successor of one
 * record only; the newest records come first, so that any will do. */
static bool take_successor(struct successors *among, const struct sf_coord_slot *slot)
{
    size_t low = 0, high = among->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(among->claims[middle]->node, slot->node) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < among->count && strcmp(among->claims[i]->node, slot->node) == 0; i++) {
        if (among->claims[i]->made_ms < slot->updated_ms)
            continue;
        memmove(&among->claims[i], &among->claims[i + 1],
                (among->count - i - 1) * sizeof(const struct sf_coord_claim *));
        among->count--;
        return true;
    }
    return false;
}

/* Records that nobody holds, of owners that were heard of not too long ago. Returns how many. */
static size_t gone(const struct sf_coord_slot *slots, size_t slot_count,
                   const struct sf_expected *living, int64_t since_ms,
                   const struct sf_coord_slot **to)
{
    size_t count = 0;
    bool *held = some(slot_count, sizeof *held);
    for (size_t i = 0; i < living->count; i++)
        if (living->members[i].slot != NULL)
            held[living->members[i].slot - slots] = true;
    for (size_t i = 0; i < slot_count; i++)
        if (slots[i].state == SF_COORD_RECORD_OK && slots[i].fence != 0 && !slots[i].reset &&
            slots[i].updated_ms >= since_ms && !held[i])
            to[count++] = &slots[i];
    free(held);
    if (count > 1)
        qsort(to, count, sizeof *to, by_time);
    return count;
}

static void count_all(struct sf_expected *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct sf_expected_member *member = &all->members[i];
        all->expected += member->expected;
        all->ready += member->ready;
        all->waiting += member->waiting;
        all->lost += member->claim == NULL && member->expected;
        all->left += !member->expected;
    }
}

void sf_expected_take(const struct sf_coord_slot *slots, size_t slot_count,
                      const struct sf_coord_claim *claims, size_t claim_count, int64_t now_ms,
                      int64_t remember_ms, struct sf_expected *ret)
{
    SF_ASSERT(remember_ms >= SF_REMEMBER_MIN_MS);
    struct sf_expected all = {
        .members = some(claim_count + slot_count, sizeof(struct sf_expected_member))};
    struct successors among = {.claims = some(claim_count, sizeof(const struct sf_coord_claim *)),
                               .count = claim_count};
    const struct sf_coord_slot **left = some(slot_count, sizeof(const struct sf_coord_slot *));
    const struct holders holders = sort_holders(slots, slot_count);
    for (size_t i = 0; i < claim_count; i++) {
        among.claims[i] = &claims[i];
        take_living(&claims[i], slot_of(&holders, &claims[i]), now_ms, &all.members[all.count++]);
    }
    if (claim_count > 1)
        qsort(among.claims, claim_count, sizeof *among.claims, by_node);
    const size_t left_count = gone(slots, slot_count, &all, now_ms - remember_ms, left);
    for (size_t i = 0; i < left_count; i++)
        if (!take_successor(&among, left[i]))
            take_gone(left[i], now_ms, &all.members[all.count++]);
    free(holders.slots);
    free(among.claims);
    free(left);
    count_all(&all);
    *ret = all;
}

void sf_expected_free(struct sf_expected *expected)
{
    free(expected->members);
    expected->members = NULL;
    expected->count = 0;
}
