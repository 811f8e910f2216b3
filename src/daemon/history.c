/* The last hour, a point for each ten seconds. */
#include "daemon/history.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/ticks.h"
#include "daemon/health.h"
#include "metrics/history.h"

/* What of the member is in a point. */
static void note_member(struct sf_daemon *d, struct sf_history_point *point)
{
    struct sf_member_snapshot member;
    struct sf_clock_verdict verdict;
    unsigned held = 0;
    sf_member_snapshot(d->member, &member);
    sf_member_clock_verdict(d->member, &verdict);
    point->state = sf_health_state(d, &member);
    point->left_ms = -1;
    for (unsigned i = 0; i < member.slot_count; i++) {
        const struct sf_member_slot *slot = &member.slots[i];
        if (!slot->held)
            continue;
        held += slot->left_ms > 0;
        if (slot->left_ms > point->left_ms)
            point->left_ms = slot->left_ms;
    }
    if (member.config_known)
        point->ceiling_per_s =
            ((double)sf_layout_max_sequence(&member.config.layout) + 1) * 1e3 * held;
    point->clock_known = verdict.source != SF_CLOCK_NONE;
    point->offset_ns = verdict.offset_ns;
    point->error_ns = verdict.error_ns;
}

void sf_history_note(struct sf_daemon *d, const struct sf_window_figures *figures,
                     double saturation)
{
    struct sf_history_point point = {
        .mono_ms = sf_mono_ns() / SF_NS_PER_MS,
        .at_ms = sf_real_ns() / SF_NS_PER_MS,
        .span_ms = figures->span_ms,
        .ids = figures->ids,
        .saturation = saturation,
        .served = figures->served,
        .refused = figures->refused,
        .errors = figures->refused - figures->by_status[SF_STATUS_OVERLOADED] -
                  figures->by_status[SF_STATUS_RATE_LIMITED],
        .exhausted = figures->exhausted,
        .waiting_most = figures->waiting_most,
        .p50_ns = figures->quantiles_ns[SF_LATENCY_SERVED][0],
        .p99_ns = figures->quantiles_ns[SF_LATENCY_SERVED][2],
        .refused_p99_ns = figures->quantiles_ns[SF_LATENCY_REFUSED][2],
    };
    note_member(d, &point);
    sf_history_put(d->history, &point);
}

static double per_s(const struct sf_history_point *point, uint64_t count)
{
    return point->span_ms > 0 ? (double)count * 1e3 / (double)point->span_ms : 0;
}

struct value {
    bool known; /* else null */
    double number;
};

static struct value micros(int64_t ns)
{
    return (struct value){ns >= 0, (double)ns / 1e3};
}

static struct value number(double number)
{
    return (struct value){true, number};
}

enum column {
    AT_MS,
    AGE_MS,
    SPAN_MS,
    IDS_PER_S,
    CEILING_PER_S,
    SATURATION,
    SERVED_PER_S,
    REFUSED_PER_S,
    ERRORS_PER_S,
    EXHAUSTED_PER_S,
    WAITING_MOST,
    P50_US,
    P99_US,
    REFUSED_P99_US,
    OFFSET_NS,
    ERROR_NS,
    LEFT_MS,
    COLUMNS
};

static const char *const names[COLUMNS] = {
    [AT_MS] = "at_ms",
    [AGE_MS] = "age_ms",
    [SPAN_MS] = "span_ms",
    [IDS_PER_S] = "ids_per_s",
    [CEILING_PER_S] = "ceiling_per_s",
    [SATURATION] = "saturation",
    [SERVED_PER_S] = "served_per_s",
    [REFUSED_PER_S] = "refused_per_s",
    [ERRORS_PER_S] = "errors_per_s",
    [EXHAUSTED_PER_S] = "exhausted_per_s",
    [WAITING_MOST] = "waiting_most",
    [P50_US] = "p50_us",
    [P99_US] = "p99_us",
    [REFUSED_P99_US] = "refused_p99_us",
    [OFFSET_NS] = "offset_ns",
    [ERROR_NS] = "error_ns",
    [LEFT_MS] = "left_ms",
};

static struct value value_of(const struct sf_history_point *p, enum column column, int64_t mono_ms)
{
    switch (column) {
    case AT_MS:
        return number((double)p->at_ms);
    case AGE_MS:
        return number((double)(mono_ms - p->mono_ms));
    case SPAN_MS:
        return number((double)p->span_ms);
    case IDS_PER_S:
        return number(per_s(p, p->ids));
    case CEILING_PER_S:
        return number(p->ceiling_per_s);
    case SATURATION:
        return (struct value){p->saturation >= 0, p->saturation};
    case SERVED_PER_S:
        return number(per_s(p, p->served));
    case REFUSED_PER_S:
        return number(per_s(p, p->refused));
    case ERRORS_PER_S:
        return number(per_s(p, p->errors));
    case EXHAUSTED_PER_S:
        return number(per_s(p, p->exhausted));
    case WAITING_MOST:
        return number(p->waiting_most);
    case P50_US:
        return micros(p->p50_ns);
    case P99_US:
        return micros(p->p99_ns);
    case REFUSED_P99_US:
        return micros(p->refused_p99_ns);
    case OFFSET_NS:
        return (struct value){p->clock_known, (double)p->offset_ns};
    case ERROR_NS:
        return (struct value){p->clock_known, (double)p->error_ns};
    case LEFT_MS:
        return (struct value){p->left_ms >= 0, (double)p->left_ms};
    case COLUMNS:
        break;
    }
    return (struct value){0};
}

static void add_column(struct sf_strbuf *to, enum column column, const struct sf_history_point *p,
                       size_t count, int64_t mono_ms)
{
    sf_strbuf_addf(to, ",\"%s\":[", names[column]);
    for (size_t i = 0; i < count; i++) {
        const struct value value = value_of(&p[i], column, mono_ms);
        const char *comma = i > 0 ? "," : "";
        if (!value.known)
            sf_strbuf_addf(to, "%snull", comma);
        else if (value.number == (double)(int64_t)value.number)
            sf_strbuf_addf(to, "%s%.0f", comma, value.number);
        else
            sf_strbuf_addf(to, "%s%.6g", comma, value.number);
    }
    sf_strbuf_addf(to, "]");
}

void sf_history_json(struct sf_daemon *d, uint64_t after, struct sf_strbuf *to)
{
    struct sf_history_point *points = malloc(SF_HISTORY_POINTS * sizeof *points);
    if (points == NULL) {
        to->failed = true;
        return;
    }
    const size_t count = sf_history_read(d->history, after, points);
    const int64_t mono_ms = sf_mono_ns() / SF_NS_PER_MS;
    const int64_t real_ms = sf_real_ns() / SF_NS_PER_MS;
    sf_strbuf_addf(to,
                   "{\"now_ms\":%" PRId64
                   ",\"started_ms\":%.0f,\"step_ms\":10000,\"points_max\":%d,"
                   "\"first\":%" PRIu64 ",\"last\":%" PRIu64,
                   real_ms, d->process_start_s * 1e3, SF_HISTORY_POINTS,
                   count > 0 ? points[0].serial : 0, count > 0 ? points[count - 1].serial : after);
    for (unsigned column = 0; column < COLUMNS; column++)
        add_column(to, column, points, count, mono_ms);
    sf_strbuf_addf(to, ",\"state\":[");
    for (size_t i = 0; i < count; i++)
        sf_strbuf_addf(to, "%s\"%s\"", i > 0 ? "," : "", sf_worker_state_name(points[i].state));
    sf_strbuf_addf(to, "]}");
    free(points);
}
