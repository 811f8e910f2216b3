/* Prometheus text format 0.0.4 and OpenMetrics 1.0
 * (https://prometheus.io/docs/instrumenting/exposition_formats/,
 * https://prometheus.io/docs/specs/om/open_metrics_spec/). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "metrics/registry.h"

#define SAMPLES_MAX (1U << 20) /* bytes that collectors may write for one metric */
#define LABELS_MAX  256

struct sf_metrics_page {
    struct sf_strbuf
        samples[SF_METRIC_COUNT]; /* by metric, so that the page has the table's order */
};

const char *sf_metrics_escape(const char *value, char *buffer, size_t size)
{
    size_t length = 0;
    for (; *value != '\0' && length + 3 <= size; value++) {
        const char c = *value;
        if (c == '\\' || c == '"' || c == '\n') {
            buffer[length++] = '\\';
            buffer[length++] = c == '\n' ? 'n' : c;
        } else {
            buffer[length++] = c;
        }
    }
    buffer[length] = '\0';
    return buffer;
}

static void add_number(struct sf_strbuf *to, double value)
{
    if (isnan(value))
        sf_strbuf_addf(to, "NaN");
    else if (isinf(value))
        sf_strbuf_addf(to, value > 0 ? "+Inf" : "-Inf");
    else
        sf_strbuf_addf(to, "%.17g", value);
}

static void add_name(struct sf_strbuf *to, const struct sf_metric_info *info, const char *suffix,
                     const char *labels)
{
    sf_strbuf_addf(to, "%s%s%s%s%s ", info->name, suffix, *labels ? "{" : "", labels,
                   *labels ? "}" : "");
}

void sf_metrics_emit(struct sf_metrics_page *page, enum sf_metric metric, const char *labels,
                     double value)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    SF_ASSERT(info->series == 0 && info->type != SF_METRIC_HISTOGRAM);
    struct sf_strbuf *to = &page->samples[metric];
    add_name(to, info, info->type == SF_METRIC_COUNTER ? "_total" : "", labels);
    add_number(to, value);
    sf_strbuf_add(to, "\n", 1);
}

static void write_histogram(struct sf_metrics *metrics, enum sf_metric metric, unsigned series,
                            struct sf_strbuf *to)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    const unsigned count = info->bound_count;
    const int64_t *bounds = info->bounds;
    const unsigned cell = info->cell + series * info->series_size;
    uint64_t counts[SF_BUCKETS_FAST_COUNT + 1];
    uint64_t total = 0;
    for (unsigned i = 0; i <= count; i++) {
        counts[i] = sf_metrics_cell_sum(metrics, cell + i);
        total += counts[i];
    }
    if (total == 0)
        return; /* a shard or type that is not in use */
    char labels[LABELS_MAX], with_bound[LABELS_MAX + 32];
    sf_metrics_series_labels(metric, series, labels, sizeof labels);
    uint64_t upto = 0;
    for (unsigned i = 0; i <= count; i++) {
        upto += counts[i];
        if (i < count)
            snprintf(with_bound, sizeof with_bound, "%s%sle=\"%g\"", labels, *labels ? "," : "",
                     (double)bounds[i] / 1e9);
        else
            snprintf(with_bound, sizeof with_bound, "%s%sle=\"+Inf\"", labels, *labels ? "," : "");
        add_name(to, info, "_bucket", with_bound);
        sf_strbuf_addf(to, "%" PRIu64 "\n", upto);
    }
    add_name(to, info, "_sum", labels);
    add_number(to, (double)sf_metrics_cell_sum(metrics, cell + count + 1) / 1e9);
    sf_strbuf_add(to, "\n", 1);
    add_name(to, info, "_count", labels);
    sf_strbuf_addf(to, "%" PRIu64 "\n", total);
}

static void write_cells(struct sf_metrics *metrics, enum sf_metric metric, struct sf_strbuf *to)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    for (unsigned series = 0; series < info->series; series++) {
        if (info->type == SF_METRIC_HISTOGRAM) {
            write_histogram(metrics, metric, series, to);
            continue;
        }
        char labels[LABELS_MAX];
        sf_metrics_series_labels(metric, series, labels, sizeof labels);
        add_name(to, info, "_total", labels);
        sf_strbuf_addf(to, "%" PRIu64 "\n", sf_metrics_cell_sum(metrics, info->cell + series));
    }
}

static void write_head(enum sf_metric metric, bool openmetrics, struct sf_strbuf *to)
{
    static const char *const types[] = {
        [SF_METRIC_COUNTER] = "counter",
        [SF_METRIC_GAUGE] = "gauge",
        [SF_METRIC_HISTOGRAM] = "histogram",
    };
    const struct sf_metric_info *info = sf_metric_info(metric);
    /* Text 0.0.4 names the family as its samples; OpenMetrics leaves _total to the samples, unless
     * a gauge of the table has the family's name already: then the type must be unknown, whose
     * samples bear the family's full name. */
    const bool taken = metric > 0 && info->type == SF_METRIC_COUNTER &&
                       strcmp(sf_metric_info(metric - 1)->name, info->name) == 0;
    const char *suffix = info->type == SF_METRIC_COUNTER && (!openmetrics || taken) ? "_total" : "";
    sf_strbuf_addf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n", info->name, suffix, info->help,
                   info->name, suffix, openmetrics && taken ? "unknown" : types[info->type]);
    if (openmetrics && *info->unit)
        sf_strbuf_addf(to, "# UNIT %s %s\n", info->name, info->unit);
}

void sf_metrics_scrape(struct sf_metrics *metrics, bool openmetrics, struct sf_strbuf *to)
{
    struct sf_metrics_page page = {0};
    for (unsigned i = 0; i < SF_METRIC_COUNT; i++)
        sf_strbuf_init(&page.samples[i], SAMPLES_MAX);
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->collector_count; i++)
        metrics->collectors[i].collect(metrics->collectors[i].ctx, &page);
    for (unsigned i = 0; i < SF_METRIC_COUNT; i++)
        write_cells(metrics, (enum sf_metric)i, &page.samples[i]);
    pthread_mutex_unlock(&metrics->lock);
    for (unsigned i = 0; i < SF_METRIC_COUNT; i++) {
        struct sf_strbuf *samples = &page.samples[i];
        if (samples->failed)
            to->failed = true;
        if (samples->length > 0) {
            write_head((enum sf_metric)i, openmetrics, to);
            sf_strbuf_add(to, samples->text, samples->length);
        }
        sf_strbuf_free(samples);
    }
    if (openmetrics)
        sf_strbuf_add(to, "# EOF\n", 6);
}
