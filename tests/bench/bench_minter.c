/* What one ID costs in the caller's process: by the library, beside the bare generator with a clock read,
 * in turn; on one thread, and on four with four slots.
 *
 *   bench_minter URL [--ids N] [--rounds N] [--json]
 *
 * URL: a fleet whose layout has 19 bits of sequence or more (snowfleet init --layout 41,0,3,19), or the
 * 4,096 IDs a millisecond of the default, 244 ns each, would be all that is measured. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <snowfleet/minter.h>

#include "base/assert.h"
#include "base/parse.h"
#include "base/ticks.h"
#include "clock/minttime.h"
#include "id/generator.h"
#include "member/time.h"

#define THREADS    4
#define ROUNDS_MAX 101

struct job {
    _Alignas(128) struct sf_minter *minter; /* NULL: the bare generator */
    struct sf_generator *gen;
    const struct sf_member_time *time;
    uint64_t wanted, last;
    int64_t cpu_ns; /* of its thread */
    bool ascending;
};

static uint64_t bare(const struct job *job)
{
    struct sf_mint minted;
    while (sf_generator_mint(job->gen, sf_member_time_ms(job->time, sf_mono_ns()), 0, 0, 1,
                             &minted) != SF_MINT_OK)
        ;
    return sf_generator_id(job->gen, minted.first_word, minted.slot_bits);
}

static void *run(void *arg)
{
    struct job *job = arg;
    job->ascending = true;
    for (uint64_t i = 0; i < job->wanted; i++) {
        uint64_t id = 0;
        if (job->minter == NULL)
            id = bare(job);
        else
            SF_ASSERT(sf_minter_next(job->minter, &id) == SF_MINTER_OK);
        job->ascending &= id > job->last;
        job->last = id;
    }
    struct timespec cpu;
    SF_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0);
    job->cpu_ns = cpu.tv_sec * SF_NS_PER_S + cpu.tv_nsec;
    return NULL;
}

/* Nanoseconds an ID: of processor time, which other programs on the machine leave alone, or of a clock on
 * the wall. */
static double measure(struct job job, unsigned threads, uint64_t ids, bool cpu)
{
    struct job jobs[THREADS];
    pthread_t handles[THREADS];
    const int64_t origin_ns = sf_mono_ns();
    int64_t cpu_ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = job;
        jobs[i].wanted = ids / threads;
        SF_ASSERT(pthread_create(&handles[i], NULL, run, &jobs[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        SF_ASSERT(jobs[i].ascending);
        cpu_ns += jobs[i].cpu_ns;
    }
    const int64_t took_ns = cpu ? cpu_ns : sf_mono_ns() - origin_ns;
    return (double)took_ns / (double)(ids / threads * threads);
}

/* A generator as the library has it, and minting time as a member's. */
static void make_bare(struct job *job)
{
    static _Alignas(128) _Atomic uint64_t word;
    static _Alignas(128) struct sf_generator gen;
    static struct sf_minttime_cell cell;
    static struct sf_member_time time;
    struct sf_minttime mint;
    const struct sf_layout layout = {41, 0, 3, 19};
    sf_generator_init(&gen, &layout, 10, &word);
    SF_ASSERT(sf_generator_open(&gen, 0, 1, 1, UINT64_MAX >> 22) == 0);
    sf_minttime_start(&mint, sf_mono_ns(), sf_real_ns());
    sf_minttime_publish(&cell, &mint);
    atomic_store(&time.epoch_ms, INT64_C(1704067200000));
    time.cell = &cell;
    *job = (struct job){.gen = &gen, .time = &time};
}

static struct sf_minter *open_minter(const char *url, uint32_t slots)
{
    struct sf_minter_options options = SF_MINTER_OPTIONS;
    struct sf_minter *minter = NULL;
    struct sf_minter_view status;
    char detail[SF_MINTER_DETAIL_MAX];
    options.coordinator = url;
    options.slots = slots;
    if (sf_minter_open(&options, &minter, detail, sizeof detail) != SF_MINTER_OK) {
        fprintf(stderr, "bench_minter: %s\n", detail);
        exit(1);
    }
    const enum sf_minter_error error = sf_minter_wait(minter, 60000);
    sf_minter_status(minter, &status, sizeof status);
    for (unsigned i = 0; error == SF_MINTER_OK && i < status.slot_count; i++) {
        while (!status.slots[i].held) {
            sf_sleep_ms(10);
            sf_minter_status(minter, &status, sizeof status);
        }
    }
    if (error != SF_MINTER_OK || status.layout.sequence_bits < 19) {
        fprintf(stderr, "bench_minter: %s: %s\n", url,
                error == SF_MINTER_OK ? "its layout has less than 19 bits of sequence"
                                      : status.why);
        exit(1);
    }
    return minter;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint64_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    uint64_t ids = 5000000, rounds = 7;
    bool json = false, usage = argc < 2;
    for (int i = 2; i < argc && !usage; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--ids") == 0 && i + 1 < argc)
            usage = sf_parse_u64(argv[++i], 1000, UINT64_C(10000000000), &ids) != 0;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            usage = sf_parse_u64(argv[++i], 1, ROUNDS_MAX, &rounds) != 0;
        else
            usage = true;
    }
    if (usage) {
        fprintf(stderr, "usage: bench_minter URL [--ids N] [--rounds N] [--json]\n");
        return 64;
    }
    struct job plain;
    make_bare(&plain);
    const struct job one = {.minter = open_minter(argv[1], 1)};
    const struct job four = {.minter = open_minter(argv[1], 4)};
    double times[4][ROUNDS_MAX], over[ROUNDS_MAX];
    for (uint64_t i = 0; i < rounds; i++) {
        times[0][i] = measure(plain, 1, ids, true);
        times[1][i] = measure(one, 1, ids, true);
        times[2][i] = measure(one, THREADS, ids, false);
        times[3][i] = measure(four, THREADS, ids, false);
        over[i] = times[1][i] - times[0][i];
    }
    const double more = median(over, rounds);
    printf(json ? "{\"bare_ns\":%.1f,\"minter_ns\":%.1f,\"more_ns\":%.1f,\"four_threads_ns\":%.1f,"
                  "\"four_slots_ns\":%.1f}\n"
                : "bare generator %.1f ns, library %.1f ns, %.1f more in the same round; four "
                  "threads on one slot %.1f ns an ID, on four slots %.1f\n",
           median(times[0], rounds), median(times[1], rounds), more, median(times[2], rounds),
           median(times[3], rounds));
    return sf_minter_close(one.minter) != SF_MINTER_OK ||
           sf_minter_close(four.minter) != SF_MINTER_OK;
}
