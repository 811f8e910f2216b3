/* Metrics that are looked up when scraped, and those that control counts. */
#include <stdio.h>
#include <string.h>

#include "build_info.h"
#include "daemon/daemon.h"

void sf_collect_completion(struct sf_daemon *d, const struct sf_coord_completion *c)
{
    sf_metrics_add(d->block, SF_METRIC_COORDINATOR_OPERATIONS, sf_series_coord(c->op, c->outcome),
                   1);
    sf_metrics_observe(d->block, SF_METRIC_COORDINATOR_OPERATION, c->op, c->duration_ns, 1);
}

static void add_since(struct sf_daemon *d, enum sf_metric metric, unsigned series, uint64_t now,
                      uint64_t *told)
{
    if (now > *told)
        sf_metrics_add(d->block, metric, series, now - *told);
    *told = now;
}

void sf_collect_stats(struct sf_daemon *d, struct sf_hold *hold)
{
    const struct sf_reservation_stats *now = &hold->res.stats;
    struct sf_reservation_stats *told = &hold->told;
    add_since(d, SF_METRIC_RESERVATION_RENEWALS, SF_RENEWAL_OK, now->renewals_ok,
              &told->renewals_ok);
    add_since(d, SF_METRIC_RESERVATION_RENEWALS, SF_RENEWAL_UNCERTAIN, now->renewals_uncertain,
              &told->renewals_uncertain);
    add_since(d, SF_METRIC_RESERVATION_RENEWALS, SF_RENEWAL_LOST, now->renewals_lost,
              &told->renewals_lost);
    add_since(d, SF_METRIC_CLAIMS, SF_CLAIM_OK, now->bids_won, &told->bids_won);
    add_since(d, SF_METRIC_CLAIMS, SF_CLAIM_TAKEN, now->bids_lost, &told->bids_lost);
    add_since(d, SF_METRIC_CLAIMS, SF_CLAIM_FULL, now->bids_full, &told->bids_full);
    add_since(d, SF_METRIC_CLAIMS, SF_CLAIM_FAILED, now->claims_failed, &told->claims_failed);
}

void sf_collect_clock_steps(struct sf_daemon *d)
{
    struct sf_clock_snapshot snapshot;
    sf_clock_snapshot(d->clock, &snapshot);
    add_since(d, SF_METRIC_CLOCK_STEPS, SF_STEP_FORWARD, snapshot.steps_forward,
              &d->told_steps_forward);
    add_since(d, SF_METRIC_CLOCK_STEPS, SF_STEP_BACKWARD, snapshot.steps_backward,
              &d->told_steps_backward);
}

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
    struct sf_shared *shared = &d->shared;
    char labels[700], fleet[160], node[300], worker[24] = "", datacenter[24] = "";
    pthread_mutex_lock(&shared->mutex);
    const enum sf_worker_state state = shared->state;
    const struct sf_census census = shared->census;
    const bool connected = shared->connected, config_known = shared->config_known;
    const struct sf_coord_config config = shared->config;
    int64_t left_ms = 0;
    for (unsigned i = 0; i < d->hold_count; i++) {
        if (!shared->holds[i].held)
            continue;
        if (!worker[0]) {
            snprintf(worker, sizeof worker, "%llu", (unsigned long long)shared->holds[i].worker);
            snprintf(datacenter, sizeof datacenter, "%u", d->config->fleet_datacenter);
        }
        if (shared->holds[i].left_ms > left_ms)
            left_ms = shared->holds[i].left_ms;
    }
    pthread_mutex_unlock(&shared->mutex);
    sf_metrics_emit(page, SF_METRIC_BUILD_INFO,
                    "version=\"" SF_BUILD_VERSION "\",commit=\"" SF_BUILD_COMMIT "\"", 1);
    snprintf(labels, sizeof labels, "fleet=\"%s\",datacenter=\"%s\",worker=\"%s\",node=\"%s\"",
             sf_metrics_escape(d->config->fleet_name, fleet, sizeof fleet), datacenter, worker,
             sf_metrics_escape(d->config->fleet_node, node, sizeof node));
    sf_metrics_emit(page, SF_METRIC_WORKER_INFO, labels, 1);
    for (unsigned s = 0; s < SF_WORKER_STATES; s++)
        emit_labelled(page, SF_METRIC_STATE, "state", sf_worker_state_name(s), s == state);
    sf_metrics_emit(page, SF_METRIC_RESERVATION_REMAINING, "", (double)left_ms / 1e3);
    sf_metrics_emit(page, SF_METRIC_COORDINATOR_CONNECTED, "", connected);
    if (census.read_mono_ms >= 0) {
        emit_labelled(page, SF_METRIC_SLOTS, "state", "free", census.free);
        emit_labelled(page, SF_METRIC_SLOTS, "state", "held", census.held);
        emit_labelled(page, SF_METRIC_SLOTS, "state", "quarantined", census.quarantined);
        emit_labelled(page, SF_METRIC_SLOTS, "state", "broken", census.broken);
    }
    if (config_known)
        sf_metrics_emit(
            page, SF_METRIC_TIMESTAMP_BITS_EXHAUSTED, "",
            ((double)config.epoch_ms + (double)sf_layout_max_timestamp(&config.layout)) / 1e3);
}

static void collect_minting(struct sf_daemon *d, struct sf_metrics_page *page)
{
    double ahead_s = 0;
    const int64_t epoch_ms = atomic_load(&d->epoch_ms);
    const int64_t now_ms = sf_control_mint_ms(d);
    for (unsigned i = 0; i < d->hold_count && epoch_ms != INT64_MIN; i++) {
        const struct sf_generator *gen = &d->holds[i].right->gen;
        const double ahead = (double)((int64_t)sf_generator_last_ms(gen) + epoch_ms - now_ms) / 1e3;
        if (ahead > ahead_s)
            ahead_s = ahead;
    }
    sf_metrics_emit(page, SF_METRIC_MINT_AHEAD, "", ahead_s);
}

static void collect_clock(struct sf_daemon *d, struct sf_metrics_page *page)
{
    struct sf_clock_snapshot snapshot;
    sf_clock_snapshot(d->clock, &snapshot);
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
    if (snapshot.coordinator_known)
        emit_labelled(page, SF_METRIC_CLOCK_OFFSET, "source", "coordinator",
                      (double)snapshot.coordinator_offset_ns / 1e9);
    sf_metrics_emit(page, SF_METRIC_CLOCK_SLEWING, "", snapshot.slewing);
}

void sf_collect(void *daemon, struct sf_metrics_page *page)
{
    struct sf_daemon *d = daemon;
    collect_worker(d, page);
    collect_minting(d, page);
    collect_clock(d, page);
}
