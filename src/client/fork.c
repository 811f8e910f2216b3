/* The number of the process, in memory that a child finds empty. */
#include "client/fork.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

/* While the first thread of a child sets things right. */
#define ADOPTING UINT64_MAX

void *sf_fork_map(size_t size)
{
    void *const map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (madvise(map, size, MADV_WIPEONFORK) != 0) {
        (void)munmap(map, size);
        return NULL;
    }
    return map;
}

void sf_fork_unmap(void *map, size_t size)
{
    if (map != NULL)
        (void)munmap(map, size);
}

int sf_fork_init(struct sf_fork *ret)
{
    const size_t size = sizeof(uint64_t);
    _Atomic uint64_t *const number = sf_fork_map(size);
    if (number == NULL)
        return -ENOMEM;
    *ret = (struct sf_fork){.number = number, .last = 1, .size = size};
    atomic_store(number, ret->last);
    return 0;
}

void sf_fork_end(struct sf_fork *fork)
{
    sf_fork_unmap(fork->number, fork->size);
    fork->number = NULL;
}

bool sf_fork_is_child(struct sf_fork *fork)
{
    for (;;) {
        uint64_t seen = atomic_load_explicit(fork->number, memory_order_acquire);
        if (seen == 0 && atomic_compare_exchange_strong(fork->number, &seen, ADOPTING))
            return true;
        if (seen != 0 && seen != ADOPTING)
            return false;
        (void)sched_yield();
    }
}

void sf_fork_adopt(struct sf_fork *fork)
{
    fork->last++;
    atomic_store_explicit(fork->number, fork->last, memory_order_release);
}
