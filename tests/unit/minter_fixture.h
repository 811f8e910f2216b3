/* unit/minter_fixture.h - minters on local coordinators in a directory of the test's own, and threads that take IDs. */
#ifndef SF_UNIT_MINTER_FIXTURE_H
#define SF_UNIT_MINTER_FIXTURE_H
#include "unit/cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <snowfleet/minter.h>

#include "base/ticks.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#ifdef __SANITIZE_THREAD__
#define CHILD_MAKES_THREADS false /* it ends a child that does */
#else
#define CHILD_MAKES_THREADS true
#endif

#define PATIENCE_MS 60000
#define THREADS     4
#define EACH        20000

static char root[64];

static inline void must(bool holds)
{
    if (!holds)
        abort();
}

static inline struct sf_minter_options options_of(const char *fleet)
{
    static char urls[4][128];
    static unsigned turn;
    char *url = urls[turn++ % 4];
    struct sf_minter_options options = SF_MINTER_OPTIONS;
    static const char *const more[] = {"clock.poll_ms=500", NULL};
    (void)snprintf(url, sizeof urls[0], "local://%s/%s", root, fleet);
    options.coordinator = url;
    options.fleet = fleet;
    options.more = more;
    return options;
}

static inline struct sf_minter *open_with(const struct sf_minter_options *options)
{
    char detail[SF_MINTER_DETAIL_MAX];
    struct sf_minter *minter = NULL;
    if (sf_minter_open(options, &minter, detail, sizeof detail) != SF_MINTER_OK)
        fail_msg("%s", detail);
    return minter;
}

static inline struct sf_minter *open_ready(const char *fleet)
{
    const struct sf_minter_options options = options_of(fleet);
    struct sf_minter *minter = open_with(&options);
    assert_int_equal(sf_minter_wait(minter, PATIENCE_MS), SF_MINTER_OK);
    return minter;
}

static inline struct sf_minter_view status_of(struct sf_minter *minter)
{
    struct sf_minter_view status;
    assert_int_equal(sf_minter_status(minter, &status, sizeof status), SF_MINTER_OK);
    return status;
}

static inline unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

struct worker {
    struct sf_minter *minter;
    uint64_t *ids;
    uint32_t count;
    enum sf_minter_error last;
};

static inline void *take_some(void *ctx)
{
    struct worker *w = ctx;
    for (; w->count < EACH; w->count++) {
        w->last = sf_minter_next(w->minter, &w->ids[w->count]);
        if (w->last != SF_MINTER_OK)
            break;
    }
    return NULL;
}

static inline void *take_until_refused(void *ctx)
{
    struct worker *w = ctx;
    do {
        w->last = sf_minter_next(w->minter, &w->ids[w->count % EACH]);
        w->count++;
    } while (w->last == SF_MINTER_OK);
    return NULL;
}

static inline int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static inline void assert_nothing_twice(uint64_t *ids, size_t count)
{
    qsort(ids, count, sizeof *ids, by_value);
    for (size_t i = 1; i < count; i++)
        if (ids[i] == ids[i - 1])
            fail_msg("%" PRIu64 " came twice", ids[i]);
}

static inline int remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
    (void)info;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/snowfleet-minter-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
