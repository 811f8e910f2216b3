/* What other threads see of control: copies, made after every turn. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "daemon/daemon.h"

static void copy_hold(const struct sf_daemon *d, const struct sf_hold *hold,
                      struct sf_shared_hold *to)
{
    const struct sf_reservation *res = &hold->res;
    const int64_t left_ms = sf_reservation_left_ms(res, sf_control_mint_ms(d));
    to->state = res->state;
    memcpy(to->why, res->why, sizeof to->why);
    to->held = res->hold.active;
    to->orphan = res->orphan;
    to->worker = res->hold.worker;
    to->fence = res->hold.fence;
    to->reserved_until_ms = res->hold.acked_ms;
    to->left_ms = left_ms > 0 ? left_ms : 0;
    to->window_ms = sf_reservation_window_ms(res);
    to->stats = res->stats;
}

/* Of several slots the one that does best speaks for the worker: it can mint while one of them can.
 */
static const struct sf_hold *speaker(const struct sf_daemon *d)
{
    const struct sf_hold *best = &d->holds[0];
    for (unsigned i = 1; i < d->hold_count; i++)
        if (best->res.state != SF_WORKER_READY && d->holds[i].res.state == SF_WORKER_READY)
            best = &d->holds[i];
    return best;
}

void sf_shared_update(struct sf_daemon *d)
{
    struct sf_shared *shared = &d->shared;
    const struct sf_reservation *res = &speaker(d)->res;
    pthread_mutex_lock(&shared->mutex);
    shared->state = d->phase == SF_PHASE_RUNNING ? res->state : SF_WORKER_DRAINING;
    memcpy(shared->why, res->why, sizeof shared->why);
    shared->phase = d->phase;
    if (res->config_known && !shared->config_known) {
        shared->config = res->config;
        shared->config_known = true;
    }
    for (unsigned i = 0; i < d->hold_count; i++)
        copy_hold(d, &d->holds[i], &shared->holds[i]);
    shared->connected = res->connected;
    shared->heard_mono_ms = res->heard_mono_ms;
    shared->disconnected_mono_ms = res->disconnected_mono_ms;
    shared->census = res->census;
    if (res->state == SF_WORKER_READY)
        atomic_store(&d->started, true);
    pthread_mutex_unlock(&shared->mutex);
}

static void *copy_array(const void *from, size_t count, size_t size)
{
    if (count == 0)
        return NULL;
    void *to = malloc(count * size);
    SF_ASSERT(to);
    memcpy(to, from, count * size);
    return to;
}

void sf_shared_listed(struct sf_daemon *d, const struct sf_coord_completion *completion)
{
    struct sf_shared *shared = &d->shared;
    struct sf_coord_slot *slots =
        copy_array(completion->slots, completion->slot_count, sizeof *completion->slots);
    struct sf_coord_claim *claims =
        copy_array(completion->claims, completion->claim_count, sizeof *completion->claims);
    json_t *workers = sf_status_workers(d, completion->claims, completion->claim_count);
    pthread_mutex_lock(&shared->mutex);
    json_t *before = shared->workers;
    shared->workers = workers;
    free(shared->slots);
    free(shared->claims);
    shared->slots = slots;
    shared->claims = claims;
    shared->slot_count = completion->slot_count;
    shared->claim_count = completion->claim_count;
    shared->listed_ms = sf_real_ns() / SF_NS_PER_MS;
    pthread_mutex_unlock(&shared->mutex);
    json_decref(before); /* whoever answers with it just now has a reference of its own */
}

void sf_shared_event(struct sf_daemon *d, enum sf_log_level level, const char *event,
                     const char *text)
{
    struct sf_shared *shared = &d->shared;
    pthread_mutex_lock(&shared->mutex);
    struct sf_daemon_event *to = &shared->events[shared->event_count++ % SF_DAEMON_EVENTS_MAX];
    to->time_ms = sf_real_ns() / SF_NS_PER_MS;
    to->level = level;
    snprintf(to->event, sizeof to->event, "%s", event);
    snprintf(to->text, sizeof to->text, "%s", text);
    pthread_mutex_unlock(&shared->mutex);
}

/* --- what the server asks for --- */

static uint64_t mint_now_ms(void *ctx, int64_t mono_ns)
{
    const struct sf_daemon *d = ctx;
    const int64_t epoch_ms = atomic_load_explicit(&d->epoch_ms, memory_order_acquire);
    if (epoch_ms == INT64_MIN)
        return 0;
    const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(d->clock));
    if (mint.anchor_mint_ns == 0)
        return 0;
    const int64_t now_ms = sf_minttime_at(&mint, mono_ns) / SF_NS_PER_MS;
    return now_ms > epoch_ms ? (uint64_t)(now_ms - epoch_ms) : 0;
}

static void refusal(void *ctx, bool exhausted, struct sf_server_refusal *ret)
{
    struct sf_daemon *d = ctx;
    struct sf_shared *shared = &d->shared;
    pthread_mutex_lock(&shared->mutex);
    ret->retry_after_ms = 100;
    if (shared->phase != SF_PHASE_RUNNING && shared->phase != SF_PHASE_DELAYING) {
        ret->status = SF_WIRE_DRAINING;
        snprintf(ret->reason, sizeof ret->reason, "this worker is shutting down: use another one");
    } else if (!exhausted &&
               (shared->state == SF_WORKER_SUSPENDED || shared->state == SF_WORKER_RESYNCING)) {
        ret->status = SF_WIRE_CLOCK;
        ret->retry_after_ms = 1000;
        snprintf(ret->reason, sizeof ret->reason, "this worker's clock is not safe to mint from");
    } else {
        ret->status = SF_WIRE_NOT_READY;
        snprintf(ret->reason, sizeof ret->reason, "%s%.120s",
                 exhausted ? "the reservation is used up: " : "", shared->why);
    }
    pthread_mutex_unlock(&shared->mutex);
}

static size_t info(void *ctx, char *to, size_t size)
{
    return sf_status_info(ctx, to, size);
}

static uint8_t wire_source(enum sf_clock_kind kind)
{
    return (uint8_t)kind; /* the numbers are the protocol's */
}

static bool wire_time(void *ctx, struct sf_wire_time *ret)
{
    struct sf_daemon *d = ctx;
    struct sf_clock_interval interval;
    sf_clock_interval(d->clock, &interval);
    ret->earliest_us = interval.earliest_ns > 0 ? (uint64_t)(interval.earliest_ns / 1000) : 0;
    ret->latest_us = interval.latest_ns > 0 ? (uint64_t)((interval.latest_ns + 999) / 1000) : 0;
    ret->offset_ns = interval.offset_ns;
    ret->error_ns = (uint64_t)interval.error_ns;
    ret->source = wire_source(interval.source);
    ret->synchronized = interval.synchronized;
    return true;
}

void sf_publish_server_host(struct sf_daemon *d, struct sf_server_host *ret)
{
    ret->ctx = d;
    ret->mint_now_ms = mint_now_ms;
    ret->refusal = refusal;
    ret->info = info;
    ret->time = wire_time;
}

/* --- health --- */

bool sf_publish_live(struct sf_daemon *d, struct sf_strbuf *to)
{
    bool live = true;
    const int64_t control_ms = sf_control_mono_ms() - atomic_load(&d->heartbeat_mono_ms);
    if (control_ms > SF_DAEMON_STALL_MS) {
        live = false;
        sf_strbuf_addf(to, "control: has not turned for %lld ms\n", (long long)control_ms);
    }
    uint32_t stalls[SF_SERVER_THREADS_MAX];
    const size_t shards = sf_server_stalls_ms(d->server, stalls);
    for (size_t i = 0; i < shards; i++) {
        if (stalls[i] <= SF_DAEMON_STALL_MS)
            continue;
        live = false;
        sf_strbuf_addf(to, "shard %zu: has not turned for %u ms\n", i, stalls[i]);
    }
    return live;
}

static void hold_facts(const struct sf_daemon *d, struct sf_readiness_facts *facts)
{
    const struct sf_shared *shared = &d->shared;
    for (unsigned i = 0; i < d->hold_count; i++) {
        const struct sf_shared_hold *hold = &shared->holds[i];
        if (!hold->held || (facts->slot_held && hold->left_ms <= facts->reservation_left_ms))
            continue;
        facts->slot_held = true;
        facts->worker = hold->worker;
        facts->fence = hold->fence;
        facts->reservation_left_ms = hold->left_ms;
    }
    facts->datacenter = d->config->fleet_datacenter;
}

void sf_publish_readiness(struct sf_daemon *d, struct sf_readiness *ret)
{
    struct sf_shared *shared = &d->shared;
    struct sf_clock_verdict verdict;
    struct sf_readiness_facts facts = {.drain_text = "shutting down"};
    char why[SF_COORD_TEXT_MAX];
    uint32_t stalls[SF_SERVER_THREADS_MAX];
    sf_clock_verdict(d->clock, &verdict);
    facts.shards = (uint32_t)sf_server_stalls_ms(d->server, stalls);
    for (uint32_t i = 0; i < facts.shards; i++)
        facts.shards_stalled += stalls[i] > SF_DAEMON_STALL_MS;
    facts.clock_ok = verdict.may_mint;
    facts.clock_text = verdict.text;
    facts.reservation_needed_ms = (int64_t)d->config->drain_delay_ms + d->config->drain_timeout_ms;

    pthread_mutex_lock(&shared->mutex);
    hold_facts(d, &facts);
    memcpy(why, shared->why, sizeof why);
    facts.slot_text = why;
    if (facts.reservation_needed_ms > shared->holds[0].window_ms / 2)
        facts.reservation_needed_ms = shared->holds[0].window_ms / 2;
    facts.coordinator_connected = shared->connected;
    if (!shared->connected && shared->disconnected_mono_ms)
        facts.coordinator_silent_ms = sf_control_mono_ms() - shared->disconnected_mono_ms;
    facts.draining = shared->phase != SF_PHASE_RUNNING;
    pthread_mutex_unlock(&shared->mutex);
    sf_readiness_judge(&facts, ret);
}
