/* sim [--seeds N] [--seed S] [--seconds T] [--workers N] [--trace]: runs seeds S, S+1, ...; stops
 * at the first that fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "world.h"

static uint64_t number(const char *text)
{
    uint64_t value;
    if (!text || sf_parse_u64(text, 0, UINT64_MAX, &value)) {
        fprintf(stderr, "sim: a number is needed, not '%s'\n", text ? text : "");
        exit(64);
    }
    return value;
}

static void report(const struct sim_result *sum, uint64_t seeds, double took_s)
{
    printf("%llu seeds, %.0f simulated s in %.1f s (%.0f times real time), %llu IDs, %llu steps\n",
           (unsigned long long)seeds, (double)sum->true_ns / 1e9, took_s,
           (double)sum->true_ns / 1e9 / took_s, (unsigned long long)sum->ids,
           (unsigned long long)sum->steps);
    printf("faults:");
    for (unsigned i = 0; i < SIM_FAULTS; i++)
        printf(" %s=%llu", sim_fault_names[i], (unsigned long long)sum->faults[i]);
    printf("\npaths: fast_restarts=%llu orphans=%llu uncertain=%llu releases=%llu suspensions=%llu "
           "shrinks=%llu strangers=%llu\n",
           (unsigned long long)sum->fast_restarts, (unsigned long long)sum->orphans,
           (unsigned long long)sum->uncertain, (unsigned long long)sum->releases,
           (unsigned long long)sum->suspensions, (unsigned long long)sum->shrinks,
           (unsigned long long)sum->strangers);
}

static void add(struct sim_result *sum, const struct sim_result *one)
{
    sum->ids += one->ids;
    sum->steps += one->steps;
    sum->true_ns += one->true_ns;
    for (unsigned i = 0; i < SIM_FAULTS; i++)
        sum->faults[i] += one->faults[i];
    sum->fast_restarts += one->fast_restarts;
    sum->orphans += one->orphans;
    sum->uncertain += one->uncertain;
    sum->releases += one->releases;
    sum->suspensions += one->suspensions;
    sum->shrinks += one->shrinks;
    sum->strangers += one->strangers;
}

int main(int argc, char **argv)
{
    struct sim_options options = {.seed = 1,
                                  .workers = 6,
                                  .layout = {45, 10, 2, 6},
                                  .duration_s = 600,
                                  .calm_s = 200,
                                  .fault_scale = 1};
    uint64_t seeds = 100;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            options.trace = true;
            continue;
        }
        if (strcmp(argv[i], "--seeds") == 0) {
            seeds = number(value);
        } else if (strcmp(argv[i], "--seed") == 0) {
            options.seed = number(value);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            options.duration_s = (int64_t)number(value);
        } else if (strcmp(argv[i], "--workers") == 0 && number(value) <= SIM_HOSTS_MAX) {
            options.workers = (unsigned)number(value);
        } else {
            fprintf(stderr,
                    "usage: sim [--seeds N] [--seed S] [--seconds T] [--workers 1..%d] [--trace]\n",
                    SIM_HOSTS_MAX);
            return 64;
        }
        i++;
    }
    struct sim_result sum = {0};
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    const uint64_t first = options.seed;
    for (uint64_t k = 0; k < seeds; k++) {
        struct sim_result one;
        options.seed = first + k;
        sim_run(&options, &one);
        add(&sum, &one);
        if (one.failed) {
            printf("FAILED at %.3f s of seed %llu: %s\nreplay: sim --seeds 1 --seed %llu --seconds "
                   "%lld --workers %u --trace\n",
                   (double)one.true_ns / 1e9, (unsigned long long)options.seed, one.why,
                   (unsigned long long)options.seed, (long long)options.duration_s,
                   options.workers);
            return 1;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    report(&sum, seeds,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    return 0;
}
