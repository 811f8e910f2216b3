/* Counting in the blocks of threads, and adding the blocks up. */
#include "metrics/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "metrics/registry.h"

#define CACHE_LINE 64

struct sf_metrics *sf_metrics_create(void)
{
    struct sf_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL)
        return NULL;
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void sf_metrics_destroy(struct sf_metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (metrics->blocks != NULL) {
        struct sf_metrics_block *next = metrics->blocks->next;
        free(metrics->blocks);
        metrics->blocks = next;
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

struct sf_metrics_block *sf_metrics_block(struct sf_metrics *metrics)
{
    size_t size = sizeof(struct sf_metrics_block) + sf_metrics_cells() * sizeof(_Atomic uint64_t);
    size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct sf_metrics_block *block = aligned_alloc(CACHE_LINE, size);
    if (block == NULL)
        return NULL;
    memset(block, 0, size);
    pthread_mutex_lock(&metrics->lock);
    block->next = metrics->blocks;
    metrics->blocks = block;
    pthread_mutex_unlock(&metrics->lock);
    return block;
}

/* The owner is the only writer, so load and store need no locked instruction. */
static inline void cell_add(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void sf_metrics_add(struct sf_metrics_block *block, enum sf_metric metric, unsigned series,
                    uint64_t n)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    SF_ASSERT(info->type == SF_METRIC_COUNTER && series < info->series);
    cell_add(&block->cells[info->cell + series], n);
}

void sf_metrics_observe(struct sf_metrics_block *block, enum sf_metric metric, unsigned series,
                        int64_t duration_ns, uint64_t n)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    SF_ASSERT(info->type == SF_METRIC_HISTOGRAM && series < info->series);
    const unsigned count = info->bound_count;
    const int64_t *bounds = info->bounds;
    if (duration_ns < 0)
        duration_ns = 0;
    unsigned bucket = 0;
    while (bucket < count && duration_ns > bounds[bucket])
        bucket++;
    _Atomic uint64_t *cells = &block->cells[info->cell + series * info->series_size];
    cell_add(&cells[bucket], n);
    cell_add(&cells[count + 1], (uint64_t)duration_ns * n);
}

static unsigned latency_bucket(int64_t duration_ns)
{
    const uint64_t steps = 1U << SF_LATENCY_STEPS_SHIFT;
    const uint64_t units = duration_ns > 0 ? (uint64_t)duration_ns >> SF_LATENCY_UNIT_SHIFT : 0;
    if (units < steps)
        return (unsigned)units;
    /* units >> power lies in steps .. 2 * steps - 1 */
    const unsigned power = 63 - (unsigned)__builtin_clzll(units) - SF_LATENCY_STEPS_SHIFT;
    const uint64_t bucket = (power + 1) * steps + (units >> power) - steps;
    return bucket < SF_LATENCY_BUCKETS ? (unsigned)bucket : SF_LATENCY_BUCKETS - 1;
}

int64_t sf_latency_top_ns(unsigned bucket)
{
    const unsigned steps = 1U << SF_LATENCY_STEPS_SHIFT;
    const unsigned power = bucket < steps ? 0 : bucket / steps - 1;
    const int64_t units = bucket < steps ? bucket : (int64_t)(bucket % steps + steps);
    return ((units + 1) << (power + SF_LATENCY_UNIT_SHIFT)) - 1;
}

void sf_metrics_latency(struct sf_metrics_block *block, enum sf_latency_kind kind,
                        int64_t duration_ns, uint64_t n)
{
    cell_add(&block->latency[kind][latency_bucket(duration_ns)], n);
}

void sf_metrics_latency_sum(struct sf_metrics *metrics, enum sf_latency_kind kind,
                            uint64_t ret[SF_LATENCY_BUCKETS])
{
    memset(ret, 0, SF_LATENCY_BUCKETS * sizeof *ret);
    pthread_mutex_lock(&metrics->lock);
    for (struct sf_metrics_block *block = metrics->blocks; block != NULL; block = block->next)
        for (unsigned b = 0; b < SF_LATENCY_BUCKETS; b++)
            ret[b] += atomic_load_explicit(&block->latency[kind][b], memory_order_relaxed);
    pthread_mutex_unlock(&metrics->lock);
}

uint64_t sf_metrics_cell_sum(struct sf_metrics *metrics, unsigned cell)
{
    uint64_t sum = 0;
    for (struct sf_metrics_block *block = metrics->blocks; block != NULL; block = block->next)
        sum += atomic_load_explicit(&block->cells[cell], memory_order_relaxed);
    return sum;
}

uint64_t sf_metrics_sum(struct sf_metrics *metrics, enum sf_metric metric, unsigned series)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    SF_ASSERT(series < info->series);
    pthread_mutex_lock(&metrics->lock);
    uint64_t sum = 0;
    /* A histogram's sum is the count of its observations. */
    const unsigned cells = info->type == SF_METRIC_HISTOGRAM ? info->series_size - 1 : 1;
    for (unsigned i = 0; i < cells; i++)
        sum += sf_metrics_cell_sum(metrics, info->cell + series * info->series_size + i);
    pthread_mutex_unlock(&metrics->lock);
    return sum;
}

int64_t sf_metrics_quantile_ns(struct sf_metrics *metrics, enum sf_metric metric, unsigned series,
                               double q)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    SF_ASSERT(info->type == SF_METRIC_HISTOGRAM && series < info->series);
    const unsigned count = info->bound_count;
    const int64_t *bounds = info->bounds;
    uint64_t counts[SF_BUCKETS_FAST_COUNT + 1] = {0};
    uint64_t total = 0;
    pthread_mutex_lock(&metrics->lock);
    for (unsigned i = 0; i <= count; i++) {
        counts[i] = sf_metrics_cell_sum(metrics, info->cell + series * info->series_size + i);
        total += counts[i];
    }
    pthread_mutex_unlock(&metrics->lock);
    if (total == 0)
        return -1;
    const double rank = q * (double)total;
    double before = 0;
    for (unsigned i = 0; i < count; i++) {
        const double upto = before + (double)counts[i];
        if (counts[i] > 0 && rank <= upto) {
            const double low = i > 0 ? (double)bounds[i - 1] : 0;
            const double part = (rank - before) / (double)counts[i];
            return (int64_t)(low + ((double)bounds[i] - low) * part);
        }
        before = upto;
    }
    return bounds[count - 1]; /* above the last bound: no more is known */
}

void sf_metrics_register(struct sf_metrics *metrics, sf_metrics_collector *collect, void *ctx)
{
    pthread_mutex_lock(&metrics->lock);
    SF_ASSERT(metrics->collector_count < SF_METRICS_COLLECTORS_MAX);
    metrics->collectors[metrics->collector_count++] = (struct sf_metrics_source){collect, ctx};
    pthread_mutex_unlock(&metrics->lock);
}

void sf_metrics_unregister(struct sf_metrics *metrics, sf_metrics_collector *collect, void *ctx)
{
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->collector_count; i++) {
        if (metrics->collectors[i].collect != collect || metrics->collectors[i].ctx != ctx)
            continue;
        metrics->collectors[i] = metrics->collectors[--metrics->collector_count];
        break;
    }
    pthread_mutex_unlock(&metrics->lock);
}
