/* The rows of the table: places of cells, buckets, values of labels. */
#include "metrics/table.h"

#include <stdio.h>

#include "base/assert.h"

#define US(n) (INT64_C(1000) * (n))
#define MS(n) (INT64_C(1000000) * (n))

static const int64_t bounds_fast[SF_BUCKETS_FAST_COUNT] = {
    US(10), US(20), US(50), US(100), US(200), US(500), MS(1),   MS(2),
    MS(5),  MS(10), MS(20), MS(50),  MS(100), MS(200), MS(500), MS(1000),
};

static const int64_t bounds_slow[SF_BUCKETS_SLOW_COUNT] = {
    US(500), MS(1),   MS(2),    MS(5),    MS(10),   MS(20),    MS(50),    MS(100),
    MS(200), MS(500), MS(1000), MS(2000), MS(5000), MS(10000), MS(30000),
};

#define BOUNDS_NONE NULL
#define BOUNDS_FAST bounds_fast
#define BOUNDS_SLOW bounds_slow

/* A counter's series is one cell; a histogram's is its buckets, the one above them all, and the sum
 * in nanoseconds. */
#define SIZE_COUNTER(buckets)   1
#define SIZE_GAUGE(buckets)     0
#define SIZE_HISTOGRAM(buckets) (SF_BUCKETS_##buckets##_COUNT + 2)

enum cell_place {
#define SF_X(name, text, type, unit, labels, series, buckets, help)                                \
    CELL_##name, CELL_END_##name = CELL_##name + (int)(series) * (SIZE_##type(buckets)) - 1,
    SF_METRICS(SF_X)
#undef SF_X
        CELLS
};

const struct sf_metric_info sf_metric_table[SF_METRIC_COUNT] = {
#define SF_X(name_, text, type_, unit_, labels_, series_, buckets_, help_)                         \
    [SF_METRIC_##name_] = {.name = text,                                                           \
                           .type = SF_METRIC_##type_,                                              \
                           .unit = unit_,                                                          \
                           .labels = labels_,                                                      \
                           .help = help_,                                                          \
                           .series = series_,                                                      \
                           .bounds = BOUNDS_##buckets_,                                            \
                           .bound_count = SF_BUCKETS_##buckets_##_COUNT,                           \
                           .cell = CELL_##name_,                                                   \
                           .series_size = SIZE_##type_(buckets_)},
    SF_METRICS(SF_X)
#undef SF_X
};

#define SF_X(name, value) value,
static const char *const request_values[] = {SF_LABELS_REQUEST(SF_X)};
static const char *const status_values[] = {SF_LABELS_STATUS(SF_X)};
static const char *const renewal_values[] = {SF_LABELS_RENEWAL(SF_X)};
static const char *const coord_op_values[] = {SF_LABELS_COORD_OP(SF_X)};
static const char *const outcome_values[] = {SF_LABELS_OUTCOME(SF_X)};
static const char *const claim_values[] = {SF_LABELS_CLAIM(SF_X)};
static const char *const step_values[] = {SF_LABELS_STEP(SF_X)};
static const char *const bytes_values[] = {SF_LABELS_BYTES(SF_X)};
static const char *const refused_values[] = {SF_LABELS_CONN_REFUSED(SF_X)};
static const char *const closed_values[] = {SF_LABELS_CONN_CLOSED(SF_X)};
static const char *const rate_values[] = {SF_LABELS_RATE_SCOPE(SF_X)};
static const char *const overload_values[] = {SF_LABELS_OVERLOAD(SF_X)};
static const char *const bad_frame_values[] = {SF_LABELS_BAD_FRAME(SF_X)};
#undef SF_X

/* The values of a metric with one label. */
static const char *const *single_values(enum sf_metric metric)
{
    switch (metric) {
    case SF_METRIC_REQUEST_DURATION:
        return request_values;
    case SF_METRIC_RESERVATION_RENEWALS:
        return renewal_values;
    case SF_METRIC_COORDINATOR_OPERATION:
        return coord_op_values;
    case SF_METRIC_CLAIMS:
        return claim_values;
    case SF_METRIC_CLOCK_STEPS:
        return step_values;
    case SF_METRIC_CONNECTION_REFUSED:
        return refused_values;
    case SF_METRIC_CONNECTION_CLOSED:
        return closed_values;
    case SF_METRIC_BYTES:
        return bytes_values;
    case SF_METRIC_RATE_LIMITED:
        return rate_values;
    case SF_METRIC_OVERLOADED:
        return overload_values;
    case SF_METRIC_BAD_FRAMES:
        return bad_frame_values;
    default:
        return NULL;
    }
}

unsigned sf_metrics_cells(void)
{
    return CELLS;
}

const char *sf_metrics_series_labels(enum sf_metric metric, unsigned series, char *buffer,
                                     size_t size)
{
    const struct sf_metric_info *info = sf_metric_info(metric);
    SF_ASSERT(series < info->series);
    const char *const *values = single_values(metric);
    if (metric == SF_METRIC_REQUESTS)
        snprintf(buffer, size, "type=\"%s\",status=\"%s\"", request_values[series / SF_STATUSES],
                 status_values[series % SF_STATUSES]);
    else if (metric == SF_METRIC_COORDINATOR_OPERATIONS)
        snprintf(buffer, size, "op=\"%s\",result=\"%s\"", coord_op_values[series / SF_OUTCOMES],
                 outcome_values[series % SF_OUTCOMES]);
    else if (metric == SF_METRIC_SHARD_LOOP)
        snprintf(buffer, size, "shard=\"%u\"", series);
    else if (values != NULL)
        snprintf(buffer, size, "%s=\"%s\"", info->labels, values[series]);
    else
        buffer[0] = '\0';
    return buffer;
}

const char *sf_metrics_status_name(unsigned status)
{
    SF_ASSERT(status < SF_STATUSES);
    return status_values[status];
}
