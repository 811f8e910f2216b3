/* A worker's metrics: counted as it happens, or looked up when somebody asks. */
#include "daemon/collect.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ticks.h"
#include "build_info.h"
#include "coord/records.h"
#include "daemon/figures.h"
#include "daemon/fleet.h"
#include "daemon/health.h"
#include "daemon/reload.h"

/* --- counted, on the member's thread --- */

void sf_collect_answer(void *ctx, enum sf_coord_op op, enum sf_coord_outcome outcome,
                       int64_t duration_ns)
{
    struct sf_daemon *d = ctx;
    sf_metrics_add(d->block, SF_METRIC_COORDINATOR_OPERATIONS, sf_series_coord(op, outcome), 1);
    sf_metrics_observe(d->block, SF_METRIC_COORDINATOR_OPERATION, op, duration_ns, 1);
}

void sf_collect_counts(void *ctx, const struct sf_member_counts *counts)
{
    struct sf_daemon *d = ctx;
    const struct sf_member_counts *told = &d->told;
    const struct {
        enum sf_metric metric;
        unsigned series;
        uint64_t more;
    } rows[] = {
        {SF_METRIC_RESERVATION_RENEWALS, SF_RENEWAL_OK, counts->renewals_ok - told->renewals_ok},
        {SF_METRIC_RESERVATION_RENEWALS, SF_RENEWAL_UNCERTAIN,
         counts->renewals_uncertain - told->renewals_uncertain},
        {SF_METRIC_RESERVATION_RENEWALS, SF_RENEWAL_LOST,
         counts->renewals_lost - told->renewals_lost},
        {SF_METRIC_CLAIMS, SF_CLAIM_OK, counts->slots_won - told->slots_won},
        {SF_METRIC_CLAIMS, SF_CLAIM_TAKEN, counts->slots_taken - told->slots_taken},
        {SF_METRIC_CLAIMS, SF_CLAIM_FULL, counts->looks_full - told->looks_full},
        {SF_METRIC_CLAIMS, SF_CLAIM_FAILED, counts->claims_failed - told->claims_failed},
        {SF_METRIC_COORDINATOR_SESSION_LOSSES, 0, counts->session_losses - told->session_losses},
        {SF_METRIC_DATA_LOSSES, 0, counts->data_losses - told->data_losses},
        {SF_METRIC_CLOCK_STEPS, SF_STEP_FORWARD,
         counts->clock_steps_forward - told->clock_steps_forward},
        {SF_METRIC_CLOCK_STEPS, SF_STEP_BACKWARD,
         counts->clock_steps_backward - told->clock_steps_backward},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].more > 0)
            sf_metrics_add(d->block, rows[i].metric, rows[i].series, rows[i].more);
    d->told = *counts;
}

/* --- looked up --- */

static void emit_labelled(struct sf_metrics_page *page, enum sf_metric metric, const char *key,
                          const char *value, double number)
{
    char escaped[320], labels[360];
    snprintf(labels, sizeof labels, "%s=\"%s\"", key,
             sf_metrics_escape(value, escaped, sizeof escaped));
    sf_metrics_emit(page, metric, labels, number);
}

static void collect_worker(struct sf_daemon *d, struct sf_metrics_page *page)
{
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    const enum sf_worker_state state = sf_health_state(d, &member);
    char labels[700], fleet[160], node[300], worker[24] = "", datacenter[24] = "";
    int64_t left_ms = 0;
    unsigned held = 0;
    for (unsigned i = 0; i < member.slot_count; i++) {
        const struct sf_member_slot *slot = &member.slots[i];
        if (!slot->held)
            continue;
        held++;
        if (worker[0] == '\0') {
            snprintf(worker, sizeof worker, "%" PRIu64, slot->worker);
            snprintf(datacenter, sizeof datacenter, "%u", d->config->fleet_datacenter);
        }
        if (slot->left_ms > left_ms)
            left_ms = slot->left_ms;
    }
    sf_metrics_emit(page, SF_METRIC_BUILD_INFO,
                    "version=\"" SF_BUILD_VERSION "\",commit=\"" SF_BUILD_COMMIT "\"", 1);
    snprintf(labels, sizeof labels,
             "fleet=\"%s\",fleet_id=\"%s\",datacenter=\"%s\",worker=\"%s\",node=\"%s\"",
             sf_metrics_escape(d->config->fleet_name, fleet, sizeof fleet),
             member.config_known ? member.config.fleet_id : "", datacenter, worker,
             sf_metrics_escape(d->config->fleet_node, node, sizeof node));
    sf_metrics_emit(page, SF_METRIC_WORKER_INFO, labels, 1);
    sf_metrics_emit(page, SF_METRIC_WORKER_SLOTS, "", held);
    sf_metrics_emit(page, SF_METRIC_INJECTION_ALLOWED, "", d->config->security_allow_injection);
    for (unsigned s = 0; s < SF_WORKER_STATES; s++)
        emit_labelled(page, SF_METRIC_STATE, "state", sf_worker_state_name(s), s == state);
    sf_metrics_emit(page, SF_METRIC_RESERVATION_REMAINING, "", (double)left_ms / 1e3);
    sf_metrics_emit(page, SF_METRIC_COORDINATOR_CONNECTED, "", member.connected);
    sf_metrics_emit(page, SF_METRIC_FLEET_HALTED, "", member.halted);
    sf_fleet_collect(d, &member, page);
    if (member.config_known) {
        const double per_ms = (double)sf_layout_max_sequence(&member.config.layout) + 1;
        sf_metrics_emit(page, SF_METRIC_CAPACITY, "", 1e3 * per_ms * held);
        sf_metrics_emit(page, SF_METRIC_TIMESTAMP_BITS_EXHAUSTED, "",
                        (double)sf_config_last_ms(&member.config) / 1e3);
    }
}

static void collect_minting(struct sf_daemon *d, struct sf_metrics_page *page)
{
    double ahead_s = 0;
    const int64_t epoch_ms = atomic_load(&d->time->epoch_ms);
    const int64_t now_ms = sf_member_now_ms(d->member);
    for (unsigned i = 0; i < d->generator_count && epoch_ms != INT64_MIN; i++) {
        const struct sf_generator *gen = d->generators[i];
        const double ahead = (double)((int64_t)sf_generator_last_ms(gen) + epoch_ms - now_ms) / 1e3;
        if (ahead > ahead_s)
            ahead_s = ahead;
    }
    sf_metrics_emit(page, SF_METRIC_MINT_AHEAD, "", ahead_s);
    const double saturation = sf_figures_saturation(d);
    if (saturation >= 0)
        sf_metrics_emit(page, SF_METRIC_SATURATION, "", saturation);
}

static void collect_clock(struct sf_daemon *d, struct sf_metrics_page *page)
{
    struct sf_clock_snapshot snapshot;
    sf_member_clock(d->member, &snapshot);
    for (size_t i = 0; i < snapshot.source_count; i++) {
        const struct sf_clock_source *source = &snapshot.sources[i];
        emit_labelled(page, SF_METRIC_CLOCK_SOURCE_UP, "source", source->name, source->has_time);
        emit_labelled(page, SF_METRIC_CLOCK_SYNCHRONIZED, "source", source->name, source->up);
        if (!source->has_time)
            continue;
        emit_labelled(page, SF_METRIC_CLOCK_OFFSET, "source", source->name,
                      (double)source->offset_ns / 1e9);
        emit_labelled(page, SF_METRIC_CLOCK_ERROR_BOUND, "source", source->name,
                      (double)source->error_ns / 1e9);
    }
    if (snapshot.coordinator_known) {
        emit_labelled(page, SF_METRIC_CLOCK_OFFSET, "source", "coordinator",
                      (double)snapshot.coordinator_offset_ns / 1e9);
        emit_labelled(page, SF_METRIC_CLOCK_ERROR_BOUND, "source", "coordinator",
                      (double)snapshot.coordinator_error_ns / 1e9);
    }
    sf_metrics_emit(page, SF_METRIC_CLOCK_SLEWING, "", snapshot.slewing);
}

void sf_collect(void *daemon, struct sf_metrics_page *page)
{
    struct sf_daemon *d = daemon;
    collect_worker(d, page);
    collect_minting(d, page);
    collect_clock(d, page);
    sf_reload_collect(d, page);
}
