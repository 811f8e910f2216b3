/* metrics/metrics.h - one table of metrics, counted per thread, summed when scraped.
 *
 * The table (SF_METRICS in metrics/table.h; docs/metrics.md is checked against it) gives every
 * metric its name, type, unit, help and label keys. A series is counted in one of two ways:
 *  - cells: the label values are a small fixed set known at compile time (request type x status, op
 * x result, ...). A block is a flat array of relaxed atomic words that one thread writes and any
 * thread reads; sf_metrics_block gives each shard its own.
 *  - collectors: values that exist elsewhere (gauges, series by source or shard) are emitted by a
 * callback at scrape time.
 *
 * Threads: add/observe on a block by its owner; scrape, register: any thread (they lock among
 * themselves, never against a block). */
#ifndef SF_METRICS_METRICS_H
#define SF_METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "metrics/table.h"

struct sf_metrics;       /* the registry of one worker */
struct sf_metrics_block; /* the counters of one thread */

struct sf_metrics *sf_metrics_create(void);
void sf_metrics_destroy(struct sf_metrics *metrics);

/* A zeroed block, owned by the registry, on its own cache lines. NULL when memory is out. */
struct sf_metrics_block *sf_metrics_block(struct sf_metrics *metrics);

/* Counters: `series` numbers the label values as metrics/table.h says (0 where there are no
 * labels). Relaxed load + store: owner only. */
void sf_metrics_add(struct sf_metrics_block *block, enum sf_metric metric, unsigned series,
                    uint64_t n);
/* Histograms: n observations of this duration (nanoseconds). */
void sf_metrics_observe(struct sf_metrics_block *block, enum sf_metric metric, unsigned series,
                        int64_t duration_ns, uint64_t n);
/* Latencies of NEXT, served and refused apart, in buckets of an eighth of their value: for the windows of
 * metrics/window.h, not exposed. */
enum sf_latency_kind { SF_LATENCY_SERVED, SF_LATENCY_REFUSED, SF_LATENCY_KINDS };
#define SF_LATENCY_UNIT_SHIFT 7 /* 128 ns: nothing is told apart below */
#define SF_LATENCY_STEPS_SHIFT 3
#define SF_LATENCY_BUCKETS     216 /* up to 68 s; longer ones are in the last */
void sf_metrics_latency(struct sf_metrics_block *block, enum sf_latency_kind kind, int64_t duration_ns,
                        uint64_t n);
void sf_metrics_latency_sum(struct sf_metrics *metrics, enum sf_latency_kind kind,
                            uint64_t ret[SF_LATENCY_BUCKETS]);
/* The longest duration of a bucket, in ns. */
int64_t sf_latency_top_ns(unsigned bucket);

/* The sum over all blocks; of a histogram, the number of observations. */
uint64_t sf_metrics_sum(struct sf_metrics *metrics, enum sf_metric metric, unsigned series);
/* The q-quantile (0 to 1) of a histogram over all blocks, in nanoseconds, by linear interpolation
 * in its bucket; -1 when empty. */
int64_t sf_metrics_quantile_ns(struct sf_metrics *metrics, enum sf_metric metric, unsigned series,
                               double q);

/* A page being written. emit: labels is "" or `key="value",...` with values escaped by
 * sf_metrics_escape. */
struct sf_metrics_page;
typedef void sf_metrics_collector(void *ctx, struct sf_metrics_page *page);
void sf_metrics_register(struct sf_metrics *metrics, sf_metrics_collector *collect, void *ctx);
void sf_metrics_unregister(struct sf_metrics *metrics, sf_metrics_collector *collect, void *ctx);
void sf_metrics_emit(struct sf_metrics_page *page, enum sf_metric metric, const char *labels,
                     double value);
const char *sf_metrics_escape(const char *value, char *buffer, size_t size);

/* When this process started, as Unix seconds; -1 where /proc cannot be read. By the wall clock of
 * this moment, so each call may give another value: to be asked for once. */
double sf_metrics_process_start_s(void);
/* A collector for the process_* metrics, from /proc. ctx points at the start as told once, which
 * outlives the registration: a value that changes is taken for a restart. Register it once per
 * process. */
void sf_metrics_process(void *ctx, struct sf_metrics_page *page);

/* Writes the whole exposition: Prometheus text 0.0.4, or OpenMetrics 1.0. Every metric of the table
 * that has a series appears once, with HELP and TYPE, in the table's order. */
void sf_metrics_scrape(struct sf_metrics *metrics, bool openmetrics, struct sf_strbuf *to);

#endif
