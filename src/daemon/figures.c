/* What happened in the last seconds and minutes. */
#include "daemon/figures.h"

#include "base/ticks.h"
#include "daemon/history.h"
#include "daemon/json.h"

static double saturation_of(struct sf_daemon *d, const struct sf_window_figures *figures)
{
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    if (!member.config_known)
        return -1;
    if (figures->span_ms == 0)
        return 0; /* nobody has had a second to ask in */
    const double per_ms = (double)sf_layout_max_sequence(&member.config.layout) + 1;
    const double asked = (double)figures->ids + (double)figures->ids_refused +
                         (double)sf_server_waiting_ids(d->server);
    return asked / (per_ms * (double)d->generator_count * (double)figures->span_ms);
}

void sf_figures_turn(struct sf_daemon *d)
{
    const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
    if (!sf_window_is_due(d->window, now_ms))
        return;
    struct sf_window_totals totals;
    sf_window_totals(d->metrics, &totals);
    if (!sf_window_take(d->window, &totals, sf_server_waiting(d->server), now_ms))
        return;
    struct sf_window_figures figures;
    sf_window_read(d->window, SF_WINDOW_10S, &figures);
    sf_history_note(d, &figures, saturation_of(d, &figures));
}

double sf_figures_saturation(struct sf_daemon *d)
{
    struct sf_window_figures figures;
    sf_window_read(d->window, SF_WINDOW_10S, &figures);
    return saturation_of(d, &figures);
}

static json_t *latencies(const int64_t quantiles_ns[4])
{
    static const char *const names[4] = {"p50", "p95", "p99", "p999"};
    json_t *to = json_object();
    for (unsigned q = 0; q < 4; q++)
        sf_json_set(to, names[q],
                    quantiles_ns[q] < 0 ? json_null() : json_real((double)quantiles_ns[q] / 1e3));
    return to;
}

static json_t *latency_json(const struct sf_window_figures *figures)
{
    json_t *to = json_object();
    sf_json_set(to, "served", latencies(figures->quantiles_ns[SF_LATENCY_SERVED]));
    sf_json_set(to, "refused", latencies(figures->quantiles_ns[SF_LATENCY_REFUSED]));
    return to;
}

static json_t *rates_json(const struct sf_window_figures *figures)
{
    const double seconds = (double)figures->span_ms / 1e3;
    json_t *to = json_object(), *refused_by = json_object();
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {{"ids", figures->ids},
                {"served", figures->served},
                {"refused", figures->refused},
                {"ids_refused", figures->ids_refused},
                {"exhausted", figures->exhausted}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        sf_json_set(to, rows[i].name, json_real(seconds > 0 ? (double)rows[i].count / seconds : 0));
    for (unsigned s = 0; s < SF_STATUSES; s++)
        if (s != SF_STATUS_OK && figures->by_status[s] > 0)
            sf_json_set(refused_by, sf_metrics_status_name(s),
                        json_real((double)figures->by_status[s] / seconds));
    sf_json_set(to, "refused_by", refused_by);
    sf_json_set(to, "waiting_most", json_integer(figures->waiting_most));
    sf_json_set(to, "seconds", json_real(seconds));
    return to;
}

void sf_figures_add(struct sf_daemon *d, json_t *status)
{
    json_t *latency = json_object(), *rates = json_object();
    struct sf_window_figures figures;
    for (unsigned span = 0; span < SF_WINDOW_SPANS; span++) {
        sf_window_read(d->window, span, &figures);
        sf_json_set(latency, sf_window_span_name(span), latency_json(&figures));
        sf_json_set(rates, sf_window_span_name(span), rates_json(&figures));
    }
    const double saturation = sf_figures_saturation(d);
    sf_json_set(status, "latency_us", latency);
    sf_json_set(status, "rates", rates);
    sf_json_set(status, "saturation", saturation >= 0 ? json_real(saturation) : json_null());
}
