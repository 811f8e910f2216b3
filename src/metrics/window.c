/* Figures of the last seconds and minutes. */
#include "metrics/window.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define FINE      10 /* slots of a second */
#define COARSE    30 /* slots of ten */
#define SECOND_MS 1000

static const struct {
    const char *name;
    unsigned
        coarse; /* slots of ten seconds that it reaches back, beside the one that is filling; 0: the fine ones */
} spans[SF_WINDOW_SPANS] = {{"10s", 0}, {"1m", 6}, {"5m", COARSE}};

struct slot {
    int64_t span_ms;
    uint64_t by_status[SF_STATUSES];
    uint64_t ids, ids_refused, exhausted;
    uint32_t waiting_most;
    uint32_t latency[SF_LATENCY_KINDS][SF_LATENCY_BUCKETS];
};

struct sf_window {
    int64_t taken_ms; /* 0: never. take's thread */
    struct sf_window_totals before;
    unsigned filled; /* seconds in `filling` */
    pthread_mutex_t lock;
    struct slot fine[FINE], coarse[COARSE], filling; /* under the lock, with: */
    unsigned next_fine, next_coarse;
};

const char *sf_window_span_name(enum sf_window_span span)
{
    SF_ASSERT((unsigned)span < SF_WINDOW_SPANS);
    return spans[span].name;
}

struct sf_window *sf_window_create(void)
{
    struct sf_window *window = calloc(1, sizeof *window);
    if (window != NULL)
        pthread_mutex_init(&window->lock, NULL);
    return window;
}

void sf_window_destroy(struct sf_window *window)
{
    if (window == NULL)
        return;
    pthread_mutex_destroy(&window->lock);
    free(window);
}

bool sf_window_is_due(const struct sf_window *window, int64_t mono_ms)
{
    return window->taken_ms == 0 || mono_ms - window->taken_ms >= SECOND_MS;
}

/* What came between two readings. A reading of counters that others count on may be torn between two of
 * them, never within one: none falls. */
static void subtract(const struct sf_window_totals *now, const struct sf_window_totals *before,
                     struct slot *ret)
{
    for (unsigned k = 0; k < SF_LATENCY_KINDS; k++)
        for (unsigned b = 0; b < SF_LATENCY_BUCKETS; b++)
            ret->latency[k][b] = (uint32_t)(now->latency[k][b] - before->latency[k][b]);
    for (unsigned s = 0; s < SF_STATUSES; s++)
        ret->by_status[s] = now->by_status[s] - before->by_status[s];
    ret->ids = now->ids - before->ids;
    ret->ids_refused = now->ids_refused - before->ids_refused;
    ret->exhausted = now->exhausted - before->exhausted;
}

static void add(struct slot *to, const struct slot *from)
{
    to->span_ms += from->span_ms;
    for (unsigned k = 0; k < SF_LATENCY_KINDS; k++)
        for (unsigned b = 0; b < SF_LATENCY_BUCKETS; b++)
            to->latency[k][b] += from->latency[k][b];
    for (unsigned s = 0; s < SF_STATUSES; s++)
        to->by_status[s] += from->by_status[s];
    to->ids += from->ids;
    to->ids_refused += from->ids_refused;
    to->exhausted += from->exhausted;
    if (to->waiting_most < from->waiting_most)
        to->waiting_most = from->waiting_most;
}

bool sf_window_take(struct sf_window *window, const struct sf_window_totals *totals,
                    uint32_t waiting, int64_t mono_ms)
{
    struct slot slot = {.span_ms = mono_ms - window->taken_ms, .waiting_most = waiting};
    const bool first = window->taken_ms == 0;
    window->taken_ms = mono_ms;
    if (!first)
        subtract(totals, &window->before, &slot);
    window->before = *totals;
    if (first || slot.span_ms <= 0)
        return false;
    pthread_mutex_lock(&window->lock);
    window->fine[window->next_fine++ % FINE] = slot;
    add(&window->filling, &slot);
    const bool full = ++window->filled == FINE;
    if (full) {
        window->coarse[window->next_coarse++ % COARSE] = window->filling;
        memset(&window->filling, 0, sizeof window->filling);
        window->filled = 0;
    }
    pthread_mutex_unlock(&window->lock);
    return full;
}

static struct slot sum_of(struct sf_window *window, enum sf_window_span span)
{
    struct slot sum = {0};
    pthread_mutex_lock(&window->lock);
    if (spans[span].coarse == 0) {
        for (unsigned i = 0; i < FINE; i++)
            add(&sum, &window->fine[i]);
    } else {
        sum = window->filling;
        for (unsigned i = 1; i <= spans[span].coarse && i <= window->next_coarse; i++)
            add(&sum, &window->coarse[(window->next_coarse - i) % COARSE]);
    }
    pthread_mutex_unlock(&window->lock);
    return sum;
}

static int64_t quantile_ns(const uint32_t counts[SF_LATENCY_BUCKETS], double q)
{
    uint64_t total = 0, before = 0;
    for (unsigned b = 0; b < SF_LATENCY_BUCKETS; b++)
        total += counts[b];
    if (total == 0)
        return -1;
    unsigned b = 0;
    while (b < SF_LATENCY_BUCKETS - 1 && (double)(before + counts[b]) < q * (double)total)
        before += counts[b++];
    return sf_latency_top_ns(b);
}

void sf_window_read(struct sf_window *window, enum sf_window_span span,
                    struct sf_window_figures *ret)
{
    static const double quantiles[4] = {0.5, 0.95, 0.99, 0.999};
    const struct slot sum = sum_of(window, span);
    *ret = (struct sf_window_figures){.span_ms = sum.span_ms,
                                      .ids = sum.ids,
                                      .ids_refused = sum.ids_refused,
                                      .exhausted = sum.exhausted,
                                      .waiting_most = sum.waiting_most};
    memcpy(ret->by_status, sum.by_status, sizeof ret->by_status);
    for (unsigned s = 0; s < SF_STATUSES; s++)
        *(s == SF_STATUS_OK ? &ret->served : &ret->refused) += sum.by_status[s];
    for (unsigned k = 0; k < SF_LATENCY_KINDS; k++)
        for (unsigned q = 0; q < 4; q++)
            ret->quantiles_ns[k][q] = quantile_ns(sum.latency[k], quantiles[q]);
}

void sf_window_totals(struct sf_metrics *metrics, struct sf_window_totals *ret)
{
    for (unsigned k = 0; k < SF_LATENCY_KINDS; k++)
        sf_metrics_latency_sum(metrics, k, ret->latency[k]);
    for (unsigned s = 0; s < SF_STATUSES; s++)
        ret->by_status[s] =
            sf_metrics_sum(metrics, SF_METRIC_REQUESTS, sf_series_request(SF_REQUEST_NEXT, s));
    ret->ids = sf_metrics_sum(metrics, SF_METRIC_IDS_MINTED, 0);
    ret->ids_refused = sf_metrics_sum(metrics, SF_METRIC_IDS_REFUSED, 0);
    ret->exhausted = sf_metrics_sum(metrics, SF_METRIC_SEQUENCE_EXHAUSTED, 0);
}
