/* A ring of runs, in memory that fork empties. */
#include "client/prefetch.h"

#include <stdlib.h>

#include "client/fork.h"

struct kept_run {
    uint64_t first;
    int64_t fetched_ns;
    uint32_t count;
};

/* What fork empties. */
struct page {
    uint32_t head, count; /* kept[head], kept[head + 1], ... `count` of them, around the end */
    uint32_t ids;         /* in all of them */
    struct kept_run kept[];
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
    prefetch->page = sf_fork_map(prefetch->size);
    if (prefetch->page == NULL) {
        free(prefetch);
        return NULL;
    }
    return prefetch;
}

void sf_prefetch_destroy(struct sf_prefetch *prefetch)
{
    if (prefetch == NULL)
        return;
    sf_fork_unmap(prefetch->page, prefetch->size);
    free(prefetch);
}

static void drop_oldest(struct sf_prefetch *prefetch)
{
    struct page *const page = prefetch->page;
    page->head = page->head + 1 < prefetch->max ? page->head + 1 : 0;
    page->count--;
}

bool sf_prefetch_take(struct sf_prefetch *prefetch, int64_t now_ns, int64_t max_age_ns,
                      uint64_t *ret_id, uint32_t *ret_expired)
{
    struct page *const page = prefetch->page;
    *ret_expired = 0;
    while (page->count > 0) {
        struct kept_run *const run = &page->kept[page->head];
        if (now_ns - run->fetched_ns <= max_age_ns) {
            *ret_id = run->first++;
            page->ids--;
            if (--run->count == 0)
                drop_oldest(prefetch);
            return true;
        }
        *ret_expired += run->count;
        page->ids -= run->count;
        drop_oldest(prefetch);
    }
    return false;
}

void sf_prefetch_put(struct sf_prefetch *prefetch, const struct sf_client_run *run,
                     int64_t fetched_ns)
{
    struct page *const page = prefetch->page;
    const uint32_t room = prefetch->max - page->ids;
    const uint32_t count = run->count < room ? run->count : room;
    if (count == 0)
        return; /* every run holds an ID at least, so a free ID means a free place */
    const uint32_t to_end = prefetch->max - page->head;
    const uint32_t at = page->count < to_end ? page->head + page->count : page->count - to_end;
    page->kept[at] =
        (struct kept_run){.first = run->first, .count = count, .fetched_ns = fetched_ns};
    page->count++;
    page->ids += count;
}

void sf_prefetch_clear(struct sf_prefetch *prefetch)
{
    prefetch->page->head = prefetch->page->count = prefetch->page->ids = 0;
}
