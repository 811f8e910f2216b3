#include "client/prefetch.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

struct kept_run {
    uint64_t first;
    int64_t fetched_ns;
    uint32_t count;
};

enum { CHILD_FRESH = 0, CHILD_ADOPTING = 1, OURS = 2 };

/* What fork empties. */
struct page {
    _Atomic int owner;
    uint32_t head, tail; /* runs[head % capacity .. tail % capacity) */
    uint32_t ids;
    struct kept_run runs[];
};

struct sf_prefetch {
    struct page *page;
    size_t size;
    uint32_t max;
};

struct sf_prefetch *sf_prefetch_create(uint32_t max)
{
    struct sf_prefetch *prefetch = malloc(sizeof *prefetch);
    if (prefetch == NULL)
        return NULL;
    prefetch->max = max;
    prefetch->size = sizeof(struct page) + max * sizeof(struct kept_run);
    void *page =
        mmap(NULL, prefetch->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        free(prefetch);
        return NULL;
    }
    if (madvise(page, prefetch->size, MADV_WIPEONFORK) != 0) {
        (void)munmap(page, prefetch->size);
        free(prefetch);
        return NULL;
    }
    prefetch->page = page;
    atomic_store(&prefetch->page->owner, OURS);
    return prefetch;
}

void sf_prefetch_destroy(struct sf_prefetch *prefetch)
{
    if (prefetch == NULL)
        return;
    (void)munmap(prefetch->page, prefetch->size);
    free(prefetch);
}

bool sf_prefetch_take(struct sf_prefetch *prefetch, int64_t now_ns, int64_t max_age_ns,
                      uint64_t *ret_id, uint32_t *ret_expired)
{
    struct page *page = prefetch->page;
    *ret_expired = 0;
    while (page->head != page->tail) {
        struct kept_run *run = &page->runs[page->head % prefetch->max];
        if (now_ns - run->fetched_ns <= max_age_ns) {
            *ret_id = run->first++;
            page->ids--;
            if (--run->count == 0)
                page->head++;
            return true;
        }
        *ret_expired += run->count;
        page->ids -= run->count;
        page->head++;
    }
    return false;
}

void sf_prefetch_put(struct sf_prefetch *prefetch, const struct sf_client_run *run,
                     int64_t fetched_ns)
{
    struct page *page = prefetch->page;
    const uint32_t room = prefetch->max - page->ids;
    const uint32_t count = run->count < room ? run->count : room;
    if (count == 0)
        return; /* every run holds an ID at least, so a free ID means a free place */
    page->runs[page->tail++ % prefetch->max] =
        (struct kept_run){.first = run->first, .count = count, .fetched_ns = fetched_ns};
    page->ids += count;
}

bool sf_prefetch_is_child(struct sf_prefetch *prefetch)
{
    _Atomic int *owner = &prefetch->page->owner;
    for (;;) {
        int seen = atomic_load_explicit(owner, memory_order_acquire);
        if (seen == OURS)
            return false;
        if (seen == CHILD_FRESH && atomic_compare_exchange_strong(owner, &seen, CHILD_ADOPTING))
            return true;
        sched_yield();
    }
}

void sf_prefetch_adopt(struct sf_prefetch *prefetch)
{
    atomic_store_explicit(&prefetch->page->owner, OURS, memory_order_release);
}
