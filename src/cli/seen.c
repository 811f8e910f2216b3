/* cli/seen.c - the set of seen IDs: an open-addressed table, and a ring that says which ID is the
 * oldest. */
#include "cli/seen.h"

#include <stdlib.h>

/* An open-addressed table at most half full, and a ring of what is in it in order of arrival.
 * Removal shifts back, so that no marks of the dead pile up. */
struct sf_seen {
    uint64_t window, count, next; /* ring[next] is the oldest once count == window */
    uint64_t *ring;
    uint64_t *ids; /* id + 1; 0: empty */
    uint16_t *givers;
    uint64_t mask;
};

struct sf_seen *sf_seen_create(uint64_t window)
{
    struct sf_seen *seen = calloc(1, sizeof *seen);
    if (seen == NULL)
        return NULL;
    uint64_t size = 16;
    while (size < 2 * window)
        size *= 2;
    seen->window = window;
    seen->mask = size - 1;
    seen->ring = malloc(window * sizeof *seen->ring);
    seen->ids = calloc(size, sizeof *seen->ids);
    seen->givers = malloc(size * sizeof *seen->givers);
    if (seen->ring != NULL && seen->ids != NULL && seen->givers != NULL)
        return seen;
    sf_seen_destroy(seen);
    return NULL;
}

void sf_seen_destroy(struct sf_seen *seen)
{
    if (seen == NULL)
        return;
    free(seen->ring);
    free(seen->ids);
    free(seen->givers);
    free(seen);
}

static uint64_t place(const struct sf_seen *seen, uint64_t id)
{
    uint64_t x = id * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 32;
    return x & seen->mask;
}

/* Where the ID is, or the empty place where it belongs. */
static uint64_t find(const struct sf_seen *seen, uint64_t id)
{
    uint64_t at = place(seen, id);
    while (seen->ids[at] != 0 && seen->ids[at] != id + 1)
        at = (at + 1) & seen->mask;
    return at;
}

static void forget(struct sf_seen *seen, uint64_t id)
{
    uint64_t hole = find(seen, id);
    for (uint64_t at = (hole + 1) & seen->mask; seen->ids[at] != 0; at = (at + 1) & seen->mask) {
        const uint64_t home = place(seen, seen->ids[at] - 1);
        /* May the entry move to the hole? Only if its home is not between hole and at. */
        if (((at - home) & seen->mask) >= ((at - hole) & seen->mask)) {
            seen->ids[hole] = seen->ids[at];
            seen->givers[hole] = seen->givers[at];
            hole = at;
        }
    }
    seen->ids[hole] = 0;
}

bool sf_seen_add(struct sf_seen *seen, uint64_t id, uint32_t giver, uint32_t *ret_giver)
{
    uint64_t at = find(seen, id);
    if (seen->ids[at] != 0) {
        *ret_giver = seen->givers[at];
        return false;
    }
    if (seen->count == seen->window) {
        forget(seen, seen->ring[seen->next]);
        at = find(seen, id);
    } else {
        seen->count++;
    }
    seen->ring[seen->next] = id;
    seen->next = (seen->next + 1) % seen->window;
    seen->ids[at] = id + 1;
    seen->givers[at] = (uint16_t)giver;
    return true;
}
