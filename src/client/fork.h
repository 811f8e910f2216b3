/* client/fork.h - which process is this? A number in memory that fork empties (MADV_WIPEONFORK), so
 * that a child can tell that what it finds in its copy of the memory is the parent's.
 *
 * Whoever is about to hand out what it has received compares the number with the one from when it
 * began: a signal handler or a callback may have forked meanwhile. Any thread; fork may come at any
 * moment.
 */
#ifndef SF_CLIENT_FORK_H
#define SF_CLIENT_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sf_fork {
    _Atomic uint64_t *number; /* 0 in a child that has not been set right yet */
    uint64_t last;            /* the number given out last; a child has its parent's here */
    size_t size;              /* of what `number` lies in */
};

/* Memory that a forked child finds zeroed. NULL when memory is out or the kernel lacks
 * MADV_WIPEONFORK (before 4.14). sf_fork_unmap(NULL, size) does nothing. */
void *sf_fork_map(size_t size);
void sf_fork_unmap(void *map, size_t size);

/* Returns 0, or -ENOMEM as sf_fork_map does; ret is left alone then. */
int sf_fork_init(struct sf_fork *ret);
void sf_fork_end(struct sf_fork *fork);

/* Is this process a child that has not been set right yet? The first thread of a child gets true
 * and must call sf_fork_adopt when it is done; others wait for that. */
bool sf_fork_is_child(struct sf_fork *fork);
void sf_fork_adopt(struct sf_fork *fork);

/* The number of this process, which is no child any more. */
static inline uint64_t sf_fork_number(const struct sf_fork *fork)
{
    return atomic_load_explicit(fork->number, memory_order_acquire);
}

/* Is this the very process that had this number, and no descendant of it? */
static inline bool sf_fork_is(const struct sf_fork *fork, uint64_t number)
{
    return sf_fork_number(fork) == number;
}

#endif
