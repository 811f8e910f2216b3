/* metrics/window.h - figures of the last ten seconds, minute and five minutes, out of counters that only
 * grow: whoever counts pays nothing for them. Once a second somebody hands over the totals; what came since
 * is kept in a slot of a second and added to one of ten. Memory is fixed.
 *
 * take: one thread. read: any thread. */
#ifndef SF_METRICS_WINDOW_H
#define SF_METRICS_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "metrics/metrics.h"

struct sf_window;

enum sf_window_span { SF_WINDOW_10S, SF_WINDOW_1M, SF_WINDOW_5M, SF_WINDOW_SPANS };

/* "10s", "1m", "5m" */
const char *sf_window_span_name(enum sf_window_span span);

/* NEXT requests alone. */
struct sf_window_totals {
    uint64_t latency[SF_LATENCY_KINDS][SF_LATENCY_BUCKETS];
    uint64_t by_status[SF_STATUSES];
    uint64_t ids, ids_refused; /* handed out; asked for in vain, because more was asked for than can be minted */
    uint64_t exhausted;        /* times that minting had to wait for the next millisecond */
};

/* What happened in a window; rates are these over span_ms. */
struct sf_window_figures {
    int64_t span_ms; /* how long it really was: shorter after the start, up to ten seconds longer later; 0: nothing yet */
    uint64_t by_status[SF_STATUSES];
    uint64_t served, refused; /* answers OK, and all others */
    uint64_t ids, ids_refused, exhausted;
    uint32_t waiting_most; /* the most that were seen waiting at the end of a second */
    /* p50, p95, p99, p999 in ns; -1: there were none. To within an eighth. */
    int64_t quantiles_ns[SF_LATENCY_KINDS][4];
};

struct sf_window *sf_window_create(void); /* NULL: no memory */
void sf_window_destroy(struct sf_window *window);

/* Is a second over? Cheap. */
bool sf_window_is_due(const struct sf_window *window, int64_t mono_ms);
/* waiting: requests that wait just now. The first call says only where counting begins. True with each tenth
 * second: the window of ten seconds holds just those that came since it was true the last time. */
bool sf_window_take(struct sf_window *window, const struct sf_window_totals *totals, uint32_t waiting,
                    int64_t mono_ms);
void sf_window_read(struct sf_window *window, enum sf_window_span span, struct sf_window_figures *ret);

/* Adds up what the blocks of a registry have counted so far. */
void sf_window_totals(struct sf_metrics *metrics, struct sf_window_totals *ret);

#endif
