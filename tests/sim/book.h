/* tests/sim/book.h - the book that the judge reads: which owner was granted which timestamps of
 * which slot in which making, as applied, whatever the workers believe. One thread. */
#ifndef SF_SIM_BOOK_H
#define SF_SIM_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/types.h"
#include "shapes.h"

#define SIM_MAKINGS_MAX 96

/* A stretch of timestamps of one slot that belongs to one owner: [from_ms, to_ms). */
struct sim_grant {
    uint64_t lineage;
    unsigned making;
    int64_t from_ms;
    int64_t to_ms; /* reserved_until of the record now, or at the hand-over */
    /* Won in a tree that had been put back from an older state: below this, somebody else had been
     * granted the same, which the coordinator had forgotten. 0: not so. */
    int64_t tainted_ms;
};

struct sim_book_slot {
    struct sim_grant *grants; /* in the order in which they were given */
    unsigned count, size;
    int64_t free_since_ns; /* for the judge; -1: it is not free */
};

struct sim_book {
    struct sim_book_slot slots[SIM_DATACENTERS_MAX][SIM_SLOTS_MAX];
    unsigned makings;
    char tokens[SIM_MAKINGS_MAX][SF_COORD_TOKEN_SIZE];
    /* Highest timestamp minted, by making; 0: none. */
    int64_t minted_ms[SIM_MAKINGS_MAX][SIM_DATACENTERS_MAX][SIM_SLOTS_MAX];
};

void sim_book_free(struct sim_book *book);
/* The number of a making, of a new one too. */
unsigned sim_book_making(struct sim_book *book, const char *token);

/* A record was written. */
struct sim_entry {
    uint64_t datacenter, worker;
    unsigned making;
    uint64_t lineage;
    int64_t from_ms, to_ms; /* as written */
    int64_t overwritten_ms; /* reserved_until of the record before */
    int64_t acked_ms;       /* see struct sim_record */
    bool own;               /* the record before was of the same claim */
};
/* NULL, or what is wrong with that. */
const char *sim_book_enter(struct sim_book *book, const struct sim_entry *entry);

/* May this owner mint this timestamp in this slot, by what was applied? NULL, or why not.
 * ret_tainted: may somebody else have got the same, since it is from a tree that was put back? */
const char *sim_book_audit(const struct sim_book_slot *slot, unsigned making, uint64_t lineage,
                           int64_t ts_ms, bool *ret_tainted);

/* The end of all that was ever granted there; 0: nothing was. */
int64_t sim_book_end_ms(const struct sim_book_slot *slot);

#endif
