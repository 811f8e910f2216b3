/* sim: runs seeds one after the other and stops at the first that fails. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "shapes.h"
#include "world.h"

/* From this many seeds of mixed shapes on, a kind of fault or a path that never came up is a
 * failure: a world that is too kind hides bugs. */
#define CAMPAIGN_SEEDS 2000

static struct sim_options options = {.seed = 1, .shape = "mixed", .duration_s = 600, .calm_s = 200};
static const char *program;

static void tell_replay(void)
{
    printf("replay: %s --seeds 1 --seed %" PRIu64 " --seconds %" PRId64 " --shape %s --trace\n",
           program, options.seed, options.duration_s, options.shape);
}

/* In place of the one of base: an invariant that breaks is a failure with a seed too. */
void sf_assert_failed(const char *expression, const char *file, int line, const char *function)
{
    printf("FAILED in seed %" PRIu64 " (%s): INVARIANT: %s (%s:%d, %s)\n", options.seed,
           options.shape, expression, file, line, function);
    tell_replay();
    (void)fflush(stdout);
    _exit(1);
}

static void usage(void)
{
    fprintf(stderr,
            "usage: sim [--seeds N] [--seed S] [--seconds T] [--shape NAME] [--trace]\n\n"
            "Runs seeds S to S + N - 1, each with T seconds of faults and some without, and stops\n"
            "at the first that fails. Shapes: %s (default: mixed, drawn from\n"
            "the seed). From %d mixed seeds on, every kind of fault and every path must come up.\n",
            sim_shape_names(), CAMPAIGN_SEEDS);
    exit(64);
}

static uint64_t number(const char *text)
{
    uint64_t value;
    if (!text || sf_parse_u64(text, 0, UINT64_MAX, &value)) {
        fprintf(stderr, "sim: a number is needed, not '%s'\n", text ? text : "");
        exit(64);
    }
    return value;
}

static void add(struct sim_result *sum, const struct sim_result *one)
{
    sum->ids += one->ids;
    sum->calls += one->calls;
    sum->steps += one->steps;
    sum->true_ns += one->true_ns;
    sum->tainted += one->tainted;
    sum->twice += one->twice;
    for (unsigned i = 0; i < SIM_FAULTS; i++)
        sum->faults[i] += one->faults[i];
    for (unsigned i = 0; i < SIM_PATHS; i++)
        sum->paths[i] += one->paths[i];
}

static void show(const char *title, const char *const *names, const uint64_t *counts, unsigned n)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < n; i++)
        all += counts[i];
    printf("%s: %" PRIu64 "\n", title, all);
    for (unsigned i = 0; i < n; i++)
        printf("  %-20s %12" PRIu64 "%s", names[i], counts[i],
               i % 3 == 2 || i + 1 == n ? "\n" : "");
}

static void report(const struct sim_result *sum, uint64_t seeds, double took_s)
{
    printf("%" PRIu64
           " IDs were granted in trees that had been put back, and by then to somebody else "
           "too; %" PRIu64 " of them came twice\n",
           sum->tainted, sum->twice);
    printf("%" PRIu64
           " seeds, %.0f simulated s in %.1f s of a core (%.0f times real time), %" PRIu64 " IDs, "
           "%" PRIu64 " calls, %" PRIu64 " steps\n",
           seeds, (double)sum->true_ns / 1e9, took_s, (double)sum->true_ns / 1e9 / took_s, sum->ids,
           sum->calls, sum->steps);
    show("faults", sim_fault_names, sum->faults, SIM_FAULTS);
    show("paths", sim_path_names, sum->paths, SIM_PATHS);
}

/* Returns how many kinds never came up. */
static unsigned missing(const char *what, const char *const *names, const uint64_t *counts,
                        unsigned n)
{
    unsigned never = 0;
    for (unsigned i = 0; i < n; i++) {
        if (counts[i])
            continue;
        never++;
        printf("NEVER: %s %s\n", what, names[i]);
    }
    return never;
}

static void parse(int argc, char **argv, uint64_t *ret_seeds)
{
    struct sf_prng prng = {0};
    struct sim_shape shape;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            options.trace = true;
            continue;
        }
        if (strcmp(argv[i], "--seeds") == 0)
            *ret_seeds = number(value);
        else if (strcmp(argv[i], "--seed") == 0)
            options.seed = number(value);
        else if (strcmp(argv[i], "--seconds") == 0)
            options.duration_s = (int64_t)number(value);
        else if (strcmp(argv[i], "--shape") == 0 && value &&
                 sim_shape_pick(value, 1, &prng, &shape))
            options.shape = value;
        else
            usage();
        i++;
    }
}

int main(int argc, char **argv)
{
    uint64_t seeds = 100;
    program = argv[0];
    parse(argc, argv, &seeds);
    struct sim_result sum = {0};
    struct timespec begin, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    const uint64_t first = options.seed;
    for (uint64_t k = 0; k < seeds; k++) {
        struct sim_result one;
        options.seed = first + k;
        sim_run(&options, &one);
        add(&sum, &one);
        if (one.failed) {
            printf("FAILED at %.3f s of seed %" PRIu64 " (%s): %s\n", (double)one.true_ns / 1e9,
                   options.seed, one.shape, one.why);
            tell_replay();
            return 1;
        }
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    report(&sum, seeds,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    if (seeds < CAMPAIGN_SEEDS || strcmp(options.shape, "mixed") != 0)
        return 0;
    const unsigned never = missing("fault", sim_fault_names, sum.faults, SIM_FAULTS) +
                           missing("path", sim_path_names, sum.paths, SIM_PATHS);
    return never ? 1 : 0;
}
