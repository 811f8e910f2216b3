/* sim/book.c - see book.h: what was granted, and what was minted under it. */
#include "book.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void sim_book_free(struct sim_book *book)
{
    for (unsigned d = 0; d < SIM_DATACENTERS_MAX; d++)
        for (unsigned i = 0; i < SIM_SLOTS_MAX; i++)
            free(book->slots[d][i].grants);
}

unsigned sim_book_making(struct sim_book *book, const char *token)
{
    for (unsigned i = book->makings; i-- > 0;)
        if (strcmp(book->tokens[i], token) == 0)
            return i;
    SF_ASSERT(book->makings < SIM_MAKINGS_MAX);
    memcpy(book->tokens[book->makings], token, SF_COORD_TOKEN_SIZE);
    return book->makings++;
}

static struct sim_grant *last_of(struct sim_book_slot *slot, unsigned making)
{
    for (unsigned i = slot->count; i-- > 0;)
        if (slot->grants[i].making == making)
            return &slot->grants[i];
    return NULL;
}

static struct sim_grant *append(struct sim_book_slot *slot)
{
    if (slot->count == slot->size) {
        slot->size = slot->size > 0 ? slot->size * 2 : 4;
        slot->grants = realloc(slot->grants, slot->size * sizeof *slot->grants);
        SF_ASSERT(slot->grants != NULL);
    }
    struct sim_grant *grant = &slot->grants[slot->count++];
    *grant = (struct sim_grant){.lineage = 0};
    return grant;
}

/* Was any of that granted to somebody else? What a coordinator forgot is not counted against it. */
static bool overlaps(const struct sim_book_slot *slot, const struct sim_grant *grant)
{
    const int64_t from_ms = grant->from_ms > grant->tainted_ms ? grant->from_ms : grant->tainted_ms;
    for (unsigned i = 0; i < slot->count; i++) {
        const struct sim_grant *other = &slot->grants[i];
        if (other->lineage != grant->lineage && from_ms < other->to_ms &&
            other->from_ms < grant->to_ms && other->from_ms < other->to_ms)
            return true;
    }
    return false;
}

/* A write that comes so late that its record has been put back meanwhile, over its owner's own: whatever
 * he was granted stays granted. */
static bool is_late(struct sim_book_slot *slot, const struct sim_entry *entry)
{
    if (!entry->own || entry->overwritten_ms >= entry->acked_ms)
        return false;
    for (unsigned i = slot->count; i-- > 0;) {
        const struct sim_grant *grant = &slot->grants[i];
        if (grant->lineage == entry->lineage && grant->making == entry->making)
            return entry->to_ms <= grant->to_ms;
    }
    return false;
}

/* The end of all that was granted there to anybody else; 0: nothing was. */
static int64_t others_end_ms(const struct sim_book_slot *slot, uint64_t lineage)
{
    int64_t end_ms = 0;
    for (unsigned i = 0; i < slot->count; i++)
        if (slot->grants[i].lineage != lineage && slot->grants[i].to_ms > end_ms)
            end_ms = slot->grants[i].to_ms;
    return end_ms;
}

/* A restarted owner goes on with his record after it has been put back over what came later: he was
 * granted the part below before, and is granted the rest now. */
static int64_t newly_from_ms(const struct sim_book_slot *slot, const struct sim_entry *entry)
{
    if (entry->overwritten_ms >= entry->acked_ms)
        return entry->from_ms;
    for (unsigned i = 0; i < slot->count; i++) {
        const struct sim_grant *grant = &slot->grants[i];
        if (grant->lineage == entry->lineage && grant->making == entry->making &&
            grant->from_ms == entry->from_ms && grant->to_ms >= entry->overwritten_ms &&
            entry->from_ms < entry->overwritten_ms)
            return entry->overwritten_ms;
    }
    return entry->from_ms;
}

const char *sim_book_enter(struct sim_book *book, const struct sim_entry *entry)
{
    struct sim_book_slot *slot = &book->slots[entry->datacenter][entry->worker];
    struct sim_grant *last = last_of(slot, entry->making);
    const bool put_back = entry->overwritten_ms < entry->acked_ms;
    if (is_late(slot, entry))
        return NULL;
    if (last == NULL || last->lineage != entry->lineage) {
        const int64_t from_ms = newly_from_ms(slot, entry);
        if (from_ms < entry->overwritten_ms)
            return "a new owner starts below what it overwrote";
        /* Of what the coordinator has forgotten, its owner does not lose a bit. */
        if (last != NULL && last->to_ms > entry->overwritten_ms && !put_back)
            return "a record fell below what was granted, and nobody put it back";
        last = append(slot);
        last->lineage = entry->lineage;
        last->making = entry->making;
        last->from_ms = from_ms;
        last->tainted_ms = put_back ? entry->acked_ms : 0;
    } else if (put_back) {
        /* He cannot see it: his own record is as he knows it, and others were granted the same in a
         * making that is forgotten. */
        const int64_t theirs_ms = others_end_ms(slot, entry->lineage);
        if (theirs_ms > entry->overwritten_ms && theirs_ms > last->tainted_ms)
            last->tainted_ms = theirs_ms;
    }
    const bool grows = entry->to_ms > last->to_ms;
    if (grows || !put_back) /* nor when it is his own write that comes late */
        last->to_ms = entry->to_ms;
    return grows && overlaps(slot, last) ? "timestamps were granted twice" : NULL;
}

const char *sim_book_audit(const struct sim_book_slot *slot, unsigned making, uint64_t lineage,
                           int64_t ts_ms, bool *ret_tainted)
{
    const char *why = "this process never owned the slot";
    for (unsigned i = slot->count; i-- > 0;) {
        const struct sim_grant *grant = &slot->grants[i];
        if (grant->lineage != lineage || grant->making != making)
            continue;
        if (ts_ms >= grant->from_ms && ts_ms < grant->to_ms) {
            *ret_tainted = ts_ms < grant->tainted_ms;
            return NULL;
        }
        why = ts_ms < grant->from_ms ? "below what this owner was granted"
                                     : "at or past what this owner was granted";
    }
    return why;
}

int64_t sim_book_end_ms(const struct sim_book_slot *slot)
{
    int64_t end_ms = 0;
    for (unsigned i = 0; i < slot->count; i++)
        if (slot->grants[i].to_ms > end_ms)
            end_ms = slot->grants[i].to_ms;
    return end_ms;
}
