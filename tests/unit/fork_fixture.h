/* Parent, child and grandchild each write down what they were handed, in memory that they share, and
 * no ID may stand there twice. */
#ifndef SF_TESTS_FORK_FIXTURE_H
#define SF_TESTS_FORK_FIXTURE_H

#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SERVERS 2
#include "unit/client_fixture.h"

#define SEEN_MAX 100000

/* What one process was told. */
struct side {
    _Atomic uint32_t callbacks, cancelled, others; /* others: neither OK nor CANCELLED */
    _Atomic uint32_t seen;
    uint64_t ids[SEEN_MAX];
    struct sf_client_stats stats;
    bool stats_read;
    bool finished; /* it came to its end */
};

/* Shared by parent and child. */
struct book {
    struct side parent, child, grandchild;
};
static struct book *book;
static struct side *mine; /* this process's */

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void note(uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t place = mine->seen++;
        must(place < SEEN_MAX);
        mine->ids[place] = first + i;
    }
}

static int begin(void **state)
{
    book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(book != MAP_FAILED);
    mine = &book->parent;
    return setup(state);
}

static int end(void **state)
{
    assert_int_equal(munmap(book, sizeof *book), 0);
    return teardown(state);
}

/* In a child: what goes wrong ends it, and does not go on with the parent's tests. */
static void become(struct side *side)
{
    static const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
    mine = side;
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        (void)signal(caught[i], SIG_DFL);
    (void)alarm(60);
}

/* The child's part is over. */
static void leave(void)
{
    mine->finished = true;
    _exit(0);
}

static bool has_ended(pid_t child, const struct side *side)
{
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 && side->finished;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void assert_nothing_twice(void)
{
    static uint64_t all[3 * SEEN_MAX];
    uint32_t count = 0;
    const struct side *const sides[] = {&book->parent, &book->child, &book->grandchild};
    for (size_t i = 0; i < 3; i++) {
        memcpy(all + count, sides[i]->ids, sides[i]->seen * sizeof *all);
        count += sides[i]->seen;
    }
    qsort(all, count, sizeof *all, by_value);
    for (uint32_t i = 1; i < count; i++)
        if (all[i] == all[i - 1])
            fail_msg("%" PRIu64 " was handed out twice", all[i]);
}

static void take_one(struct sf_client *client)
{
    uint64_t id;
    must(sf_client_next(client, &id) == SF_CLIENT_OK);
    note(id, 1);
}

#endif
