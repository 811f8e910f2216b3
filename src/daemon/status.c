/* /status: this worker, as JSON. */
#include "daemon/status.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/ticks.h"
#include "build_info.h"
#include "coord/records.h"
#include "daemon/clock_status.h"
#include "daemon/figures.h"
#include "daemon/health.h"
#include "daemon/info.h"
#include "daemon/json.h"
#include "daemon/reload.h"

/* Each slot that the worker holds or wants (fleet.slots_per_worker). */
static json_t *slots_json(const struct sf_daemon *d, const struct sf_member_snapshot *member)
{
    json_t *slots = json_array();
    for (unsigned i = 0; i < member->slot_count; i++) {
        const struct sf_member_slot *slot = &member->slots[i];
        const bool held = slot->held;
        json_t *to = json_object();
        sf_json_set(to, "state", json_string(sf_worker_state_name(slot->state)));
        sf_json_set(to, "why", json_string(slot->why));
        sf_json_set(to, "datacenter", sf_json_integer_if(held, d->config->fleet_datacenter));
        sf_json_set(to, "worker", sf_json_integer_if(held, (int64_t)slot->worker));
        sf_json_set(to, "fence", sf_json_integer_if(held, (int64_t)slot->fence));
        sf_json_set(to, "left_ms", sf_json_integer_if(held, slot->left_ms));
        json_array_append_new(slots, to);
    }
    return slots;
}

static json_t *reservation_json(const struct sf_member_snapshot *member)
{
    const struct sf_member_slot *slot = sf_info_first_held(member);
    const struct sf_member_counts *counts = &member->counts;
    return json_pack("{s:o,s:I,s:I,s:{s:I,s:I,s:I}}", "reserved_until_ms",
                     slot != NULL ? sf_json_integer(slot->reserved_until_ms) : json_null(),
                     "left_ms", (json_int_t)(slot != NULL ? slot->left_ms : 0), "window_ms",
                     (json_int_t)member->slots[0].window_ms, "renewals", "ok",
                     (json_int_t)counts->renewals_ok, "uncertain",
                     (json_int_t)counts->renewals_uncertain, "lost",
                     (json_int_t)counts->renewals_lost);
}

static json_t *coordinator_json(const struct sf_daemon *d, const struct sf_member_snapshot *member)
{
    const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
    return json_pack(
        "{s:s,s:b,s:I}", "backend", sf_member_backend(d->member), "connected", member->connected,
        "silent_ms",
        (json_int_t)(member->heard_mono_ms != 0 ? now_ms - member->heard_mono_ms : -1));
}

static json_t *events_json(const struct sf_daemon *d)
{
    struct sf_member_event events[SF_MEMBER_EVENTS_MAX];
    const size_t count = sf_member_events(d->member, events);
    json_t *to = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(to,
                              json_pack("{s:I,s:s,s:s,s:s}", "at_ms", (json_int_t)events[i].at_ms,
                                        "level", sf_log_level_name(events[i].level), "event",
                                        events[i].event, "text", events[i].text));
    return to;
}

static json_t *checks_json(const struct sf_readiness *readiness)
{
    json_t *checks = json_array();
    for (unsigned i = 0; i < SF_CHECKS; i++)
        json_array_append_new(checks, json_pack("{s:s,s:b,s:s}", "name", sf_check_name(i), "ok",
                                                readiness->checks[i].ok, "text",
                                                readiness->checks[i].text));
    return checks;
}

static json_t *microseconds(int64_t ns)
{
    return ns < 0 ? json_null() : json_real((double)ns / 1e3);
}

static void add_traffic(struct sf_daemon *d, json_t *status)
{
    struct sf_metrics *m = d->metrics;
    sf_json_set(status, "connections", sf_json_integer(sf_server_connections(d->server)));
    sf_json_set(status, "waiting", sf_json_integer(sf_server_waiting(d->server)));
    sf_json_set(status, "ids_minted",
                sf_json_integer((int64_t)sf_metrics_sum(m, SF_METRIC_IDS_MINTED, 0)));
    sf_json_set(status, "sequence_exhausted",
                sf_json_integer((int64_t)sf_metrics_sum(m, SF_METRIC_SEQUENCE_EXHAUSTED, 0)));
    const enum sf_metric duration = SF_METRIC_REQUEST_DURATION;
    json_t *latency = json_object();
    sf_json_set(latency, "p50_us",
                microseconds(sf_metrics_quantile_ns(m, duration, SF_REQUEST_NEXT, 0.5)));
    sf_json_set(latency, "p95_us",
                microseconds(sf_metrics_quantile_ns(m, duration, SF_REQUEST_NEXT, 0.95)));
    sf_json_set(latency, "p99_us",
                microseconds(sf_metrics_quantile_ns(m, duration, SF_REQUEST_NEXT, 0.99)));
    sf_json_set(status, "latency", latency);
    uint64_t requests = 0, limited = 0, bad = 0;
    json_t *errors = json_object();
    for (unsigned s = 0; s < SF_STATUSES; s++) {
        uint64_t count = 0;
        for (unsigned type = 0; type < SF_REQUESTS; type++)
            count += sf_metrics_sum(m, SF_METRIC_REQUESTS, sf_series_request(type, s));
        requests += count;
        if (s != SF_STATUS_OK)
            sf_json_set(errors, sf_metrics_status_name(s), sf_json_integer((int64_t)count));
    }
    for (unsigned s = 0; s < SF_RATE_SCOPES; s++)
        limited += sf_metrics_sum(m, SF_METRIC_RATE_LIMITED, s);
    for (unsigned s = 0; s < SF_BAD_FRAMES; s++)
        bad += sf_metrics_sum(m, SF_METRIC_BAD_FRAMES, s);
    sf_figures_add(d, status);
    sf_json_set(status, "requests", sf_json_integer((int64_t)requests));
    sf_json_set(status, "errors", errors);
    sf_json_set(status, "rate_limited", sf_json_integer((int64_t)limited));
    sf_json_set(status, "bad_frames", sf_json_integer((int64_t)bad));
}

/* IDs a second since the last look that is at least half a second old; several viewers share it. */
static double ids_per_s(struct sf_daemon *d)
{
    const uint64_t minted = sf_metrics_sum(d->metrics, SF_METRIC_IDS_MINTED, 0);
    const int64_t now_ns = sf_mono_ns();
    struct sf_daemon_rate *rate = &d->rate;
    pthread_mutex_lock(&rate->mutex);
    if (now_ns - rate->at_ns >= SF_NS_PER_S / 2) {
        if (rate->at_ns != 0)
            rate->per_s = (double)(minted - rate->minted) * 1e9 / (double)(now_ns - rate->at_ns);
        rate->at_ns = now_ns;
        rate->minted = minted;
    }
    const double per_s = rate->per_s;
    pthread_mutex_unlock(&rate->mutex);
    return per_s;
}

static void add_process(const struct sf_daemon *d, json_t *status)
{
    sf_json_set(status, "build",
                json_pack("{s:s,s:s}", "version", SF_BUILD_VERSION, "commit", SF_BUILD_COMMIT));
    sf_json_set(status, "pid", sf_json_integer(getpid()));
    sf_json_set(status, "now_ms", sf_json_integer(sf_real_ns() / SF_NS_PER_MS));
    sf_json_set(status, "uptime_ms",
                sf_json_integer(sf_mono_ns() / SF_NS_PER_MS - d->start_mono_ms));
    sf_json_set(status, "address", json_string(d->address));
    sf_json_set(status, "admin", json_string(d->admin_address));
    sf_json_set(status, "allow_injection", json_boolean(d->config->security_allow_injection));
}

void sf_status(struct sf_daemon *d, struct sf_strbuf *to)
{
    struct sf_readiness readiness;
    struct sf_member_snapshot member;
    sf_health_readiness(d, &readiness);
    sf_member_snapshot(d->member, &member);
    const bool is_ready = sf_health_state(d, &member) == SF_WORKER_READY;
    const int64_t end_ms = member.config_known ? sf_config_last_ms(&member.config) : 0;
    json_t *status = sf_info_json(d, &member);
    sf_json_set(status, "why", json_string(is_ready ? "" : member.why));
    sf_json_set(status, "timestamps_end_ms", sf_json_integer_if(member.config_known, end_ms));
    sf_json_set(status, "slots", slots_json(d, &member));
    sf_json_set(status, "reservation", reservation_json(&member));
    sf_json_set(status, "coordinator", coordinator_json(d, &member));
    sf_json_set(status, "events", events_json(d));
    sf_json_set(status, "certificates", sf_files_certificates(&d->files));
    sf_json_set(status, "reload_refused", sf_reload_refusal(d));
    sf_json_set(status, "ready", json_boolean(readiness.ready));
    sf_json_set(status, "checks", checks_json(&readiness));
    sf_json_set(status, "clock", sf_clock_status_json(d));
    add_process(d, status);
    sf_json_set(status, "ids_per_s", json_real(ids_per_s(d)));
    add_traffic(d, status);
    sf_json_dump(status, to);
}
