/* metrics/registry.h - what metrics.c and exposition.c share; nobody else includes it. */
#ifndef SF_METRICS_REGISTRY_H
#define SF_METRICS_REGISTRY_H

#include <pthread.h>

#include "metrics/metrics.h"

#define SF_METRICS_COLLECTORS_MAX 32

struct sf_metrics_source {
    sf_metrics_collector *collect;
    void *ctx;
};

struct sf_metrics_block {
    struct sf_metrics_block *next; /* written before the block is published under the lock */
    /* A line's distance from the list, which scrapes read. */
    char padding[64 - sizeof(void *)];
    _Atomic uint64_t latency[SF_LATENCY_KINDS][SF_LATENCY_BUCKETS]; /* as cells */
    _Atomic uint64_t cells[]; /* written by the owner, read by anyone */
};

struct sf_metrics {
    /* Guards everything below; never taken by add or observe. Held while collectors run, so that
     * after unregister returns no call is going on. */
    pthread_mutex_t lock;
    struct sf_metrics_block *blocks;
    struct sf_metrics_source collectors[SF_METRICS_COLLECTORS_MAX];
    size_t collector_count;
};

/* Caller holds the lock. */
uint64_t sf_metrics_cell_sum(struct sf_metrics *metrics, unsigned cell);

#endif
