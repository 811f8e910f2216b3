/* What one mint costs, clock read included: on one thread, and on four that share a slot. Checks
 * that 10^8 IDs are unique.
 *
 *   bench_generator [--ids N] [--json]
 *
 * Minting time runs 1,000 times as fast as the clock's (but for the figure called "wait"), or the
 * format's ceiling of 4,096 IDs a millisecond, 244 ns each, would be all that is measured. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "base/ticks.h"
#include "id/generator.h"

#define THREADS 4

/* Each on cache lines of its own (two: processors fetch them in pairs), or the threads would be
 * measured at sharing these. */
struct job {
    _Alignas(128) struct sf_generator *gen;
    int64_t origin_ns;
    uint64_t wanted, minted, last;
    bool ascending;
};

static uint64_t fast_ms(int64_t origin_ns)
{
    return (uint64_t)(sf_mono_ns() - origin_ns) / 1000 + 1; /* a millisecond each microsecond */
}

static void *run(void *arg)
{
    struct job *job = arg;
    job->ascending = true;
    while (job->minted < job->wanted) {
        struct sf_mint minted;
        if (sf_generator_mint(job->gen, fast_ms(job->origin_ns), 0, 0, 1, &minted) != SF_MINT_OK)
            continue;
        const uint64_t id = sf_generator_id(job->gen, minted.first_word, minted.slot_bits);
        job->ascending &= id > job->last;
        job->last = id;
        job->minted++;
    }
    return NULL;
}

static double measure(unsigned threads, uint64_t ids)
{
    static _Alignas(128) _Atomic uint64_t word;
    _Alignas(128) struct sf_generator gen;
    struct sf_layout layout = SF_DEFAULT_LAYOUT;
    atomic_store(&word, 0);
    sf_generator_init(&gen, &layout, 10, &word);
    SF_ASSERT(sf_generator_open(&gen, 1, 1, 1, UINT64_MAX >> 22) == 0);
    struct job jobs[THREADS];
    pthread_t handles[THREADS];
    const int64_t origin_ns = sf_mono_ns();
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = (struct job){.gen = &gen, .origin_ns = origin_ns, .wanted = ids / threads};
        SF_ASSERT(pthread_create(&handles[i], NULL, run, &jobs[i]) == 0);
    }
    bool ascending = true;
    uint64_t minted = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        ascending &= jobs[i].ascending;
        minted += jobs[i].minted;
    }
    const int64_t took_ns = sf_mono_ns() - origin_ns;
    SF_ASSERT(ascending);
    return (double)took_ns / (double)minted;
}

/* Every word of a span has its bit: an ID handed out twice finds it set. */
struct unique_job {
    _Alignas(128) struct sf_generator *gen;
    _Atomic uint64_t *bits, *now_ms;
    uint64_t wanted, repeated;
};

static void *run_unique(void *arg)
{
    struct unique_job *job = arg;
    for (uint64_t done = 0; done < job->wanted;) {
        struct sf_mint minted;
        const uint32_t want = (uint32_t)(1 + done % 7);
        if (sf_generator_mint(job->gen, atomic_load(job->now_ms), 0, 0, want, &minted) !=
            SF_MINT_OK) {
            atomic_fetch_add(job->now_ms, 1);
            continue;
        }
        for (uint32_t i = 0; i < minted.count; i++) {
            const uint64_t place = minted.first_word + i;
            const uint64_t bit = UINT64_C(1) << (place % 64);
            job->repeated +=
                (atomic_fetch_or_explicit(&job->bits[place / 64], bit, memory_order_relaxed) &
                 bit) != 0;
        }
        done += minted.count;
    }
    return NULL;
}

static uint64_t count_repeated(uint64_t ids)
{
    static _Atomic uint64_t word, now_ms;
    struct sf_generator gen;
    struct sf_layout layout = SF_DEFAULT_LAYOUT;
    atomic_store(&word, 0);
    atomic_store(&now_ms, 1);
    sf_generator_init(&gen, &layout, 10, &word);
    SF_ASSERT(sf_generator_open(&gen, 1, 1, 1, UINT64_MAX >> 22) == 0);
    /* Time moves when a millisecond is used up: a thread or two may move it once too often, so
     * leave some room. */
    const uint64_t span = ids * 2 + 4096 * 64 * THREADS;
    _Atomic uint64_t *bits = calloc(span / 64 + 1, sizeof *bits);
    SF_ASSERT(bits != NULL);
    struct unique_job jobs[THREADS];
    pthread_t handles[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (struct unique_job){
            .gen = &gen, .bits = bits, .now_ms = &now_ms, .wanted = ids / THREADS};
        SF_ASSERT(pthread_create(&handles[i], NULL, run_unique, &jobs[i]) == 0);
    }
    uint64_t repeated = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(handles[i], NULL);
        repeated += jobs[i].repeated;
    }
    SF_ASSERT(atomic_load(&word) < span);
    free(bits);
    return repeated;
}

int main(int argc, char **argv)
{
    uint64_t ids = 100000000;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--ids") != 0 || ++i == argc ||
                   sf_parse_u64(argv[i], 1000, UINT64_C(10000000000), &ids) != 0) {
            fprintf(stderr, "usage: bench_generator [--ids N] [--json]\n");
            return 64;
        }
    }
    const uint64_t timed = ids / 5 < 1000 ? 1000 : ids / 5;
    const double one = measure(1, timed), four = measure(THREADS, timed);
    const uint64_t repeated = count_repeated(ids);
    if (json)
        printf("{\"one_thread_ns\":%.1f,\"four_threads_ns\":%.1f,\"ids\":%" PRIu64
               ",\"repeated\":%" PRIu64 "}\n",
               one, four, ids, repeated);
    else
        printf("one thread %.1f ns a mint; four threads on one slot %.1f ns; %" PRIu64
               " IDs, %" PRIu64 " repeated\n",
               one, four, ids, repeated);
    return repeated == 0 ? 0 : 1;
}
