/* cli/histogram.h - latencies in nanoseconds, to within 1.6 % (64 steps for each power of two). One
 * thread; merge to add up. */
#ifndef SF_CLI_HISTOGRAM_H
#define SF_CLI_HISTOGRAM_H

#include <stdint.h>

#define SF_HISTOGRAM_STEPS   64
#define SF_HISTOGRAM_BUCKETS (60 * SF_HISTOGRAM_STEPS)

struct sf_histogram {
    uint64_t counts[SF_HISTOGRAM_BUCKETS];
    uint64_t count, sum_ns, max_ns;
};

static inline uint32_t sf_histogram_bucket(uint64_t ns)
{
    if (ns < SF_HISTOGRAM_STEPS)
        return (uint32_t)ns;
    const uint32_t power = 63 - (uint32_t)__builtin_clzll(ns) - 6; /* ns >> power lies in 64..127 */
    return (power + 1) * SF_HISTOGRAM_STEPS + (uint32_t)((ns >> power) - SF_HISTOGRAM_STEPS);
}

/* The largest value of a bucket. */
static inline uint64_t sf_histogram_top(uint32_t bucket)
{
    if (bucket < SF_HISTOGRAM_STEPS)
        return bucket;
    const uint32_t power = bucket / SF_HISTOGRAM_STEPS - 1;
    return ((uint64_t)(bucket % SF_HISTOGRAM_STEPS + SF_HISTOGRAM_STEPS + 1) << power) - 1;
}

static inline void sf_histogram_add(struct sf_histogram *to, uint64_t ns, uint64_t times)
{
    to->counts[sf_histogram_bucket(ns)] += times;
    to->count += times;
    to->sum_ns += ns * times;
    if (ns > to->max_ns)
        to->max_ns = ns;
}

static inline void sf_histogram_merge(struct sf_histogram *to, const struct sf_histogram *from)
{
    for (uint32_t i = 0; i < SF_HISTOGRAM_BUCKETS; i++)
        to->counts[i] += from->counts[i];
    to->count += from->count;
    to->sum_ns += from->sum_ns;
    if (from->max_ns > to->max_ns)
        to->max_ns = from->max_ns;
}

/* The value that `share` (0 to 1) of all do not exceed; 0 when there are none. */
static inline uint64_t sf_histogram_at(const struct sf_histogram *from, double share)
{
    uint64_t left = (uint64_t)(share * (double)from->count + 0.5);
    if (left == 0)
        left = 1;
    for (uint32_t i = 0; i < SF_HISTOGRAM_BUCKETS; i++) {
        if (from->counts[i] >= left) {
            const uint64_t top = sf_histogram_top(i);
            return top < from->max_ns ? top : from->max_ns;
        }
        left -= from->counts[i];
    }
    return from->max_ns;
}

#endif
