/* JSON for the admin port (docs/http.md) and for INFO (docs/protocol.md). */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build_info.h"
#include "coord/layout_json.h"
#include "coord/records.h"
#include "daemon/daemon.h"

static json_t *integer(int64_t value)
{
    return json_integer((json_int_t)value);
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *string_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

/* The first slot held, or NULL. Under the mutex. */
static const struct sf_shared_hold *first_held(const struct sf_daemon *d)
{
    for (unsigned i = 0; i < d->hold_count; i++)
        if (d->shared.holds[i].held)
            return &d->shared.holds[i];
    return NULL;
}

static bool names(const json_t *workers, const char *address)
{
    for (size_t i = 0; i < json_array_size(workers); i++)
        if (strcmp(json_string_value(json_array_get(workers, i)), address) == 0)
            return true;
    return false;
}

/* From our own on, so that where there are more than INFO has room for, all of them are told by
 * somebody. */
json_t *sf_status_workers(const struct sf_daemon *d, const struct sf_coord_claim *claims,
                          size_t count)
{
    json_t *workers = json_array();
    size_t first = 0, bytes = 0;
    struct sf_host_port ignored;
    while (first < count && strcmp(claims[first].address, d->address) != 0)
        first++;
    for (size_t i = 0; i < count && json_array_size(workers) < SF_DAEMON_WORKERS_MAX; i++) {
        const struct sf_coord_claim *claim = &claims[(first + i) % count];
        /* What stands in a claim came from outside. */
        if (claim->slot < 0 || sf_parse_host_port(claim->address, -1, false, &ignored) != 0 ||
            names(workers, claim->address))
            continue;
        bytes += strlen(claim->address) + 3; /* quotes and comma; nothing in it needs an escape */
        if (bytes > SF_DAEMON_WORKERS_BYTES)
            break;
        json_array_append_new(workers, json_string(claim->address));
    }
    return workers;
}

/* The members of INFO. Under the mutex. */
static json_t *info_json(struct sf_daemon *d)
{
    const struct sf_shared *shared = &d->shared;
    const struct sf_shared_hold *hold = first_held(d);
    const struct sf_coord_config *config = &shared->config;
    json_t *info = json_object();
    set(info, "protocol", integer(SF_WIRE_VERSION));
    set(info, "fleet", json_string(d->config->fleet_name));
    set(info, "fleet_id", shared->config_known ? json_string(config->fleet_id) : json_null());
    set(info, "datacenter", hold ? integer(d->config->fleet_datacenter) : json_null());
    set(info, "worker", hold ? integer((int64_t)hold->worker) : json_null());
    set(info, "fence", hold ? integer((int64_t)hold->fence) : json_null());
    set(info, "state", json_string(sf_worker_state_name(shared->state)));
    set(info, "epoch_ms", shared->config_known ? integer(config->epoch_ms) : json_null());
    set(info, "layout", shared->config_known ? sf_layout_json(&config->layout) : json_null());
    set(info, "max_batch", integer(sf_server_max_batch(d->server)));
    set(info, "reserved_until_ms", hold ? integer(hold->reserved_until_ms) : json_null());
    set(info, "version", json_string(SF_BUILD_VERSION));
    set(info, "node", json_string(d->config->fleet_node));
    if (shared->connected && shared->workers != NULL) /* an old list would bring back who is gone */
        set(info, "workers", json_incref(shared->workers));
    return info;
}

size_t sf_status_info(struct sf_daemon *d, char *to, size_t size)
{
    pthread_mutex_lock(&d->shared.mutex);
    json_t *info = info_json(d);
    pthread_mutex_unlock(&d->shared.mutex);
    const size_t length = json_dumpb(info, to, size, JSON_COMPACT);
    json_decref(info);
    return length <= size ? length : 0;
}

/* One NTP server, or one source of a chronyd; offset, error and age are null without a time. */
static json_t *server_json(const struct sf_clock_server *server)
{
    json_t *to = json_object();
    set(to, "kind", json_string(sf_clock_kind_name(server->kind)));
    set(to, "name", json_string(server->name));
    set(to, "address", json_string(server->address));
    set(to, "state", json_string(server->state));
    set(to, "stratum", integer(server->stratum));
    set(to, "offset_ns", server->has_time ? integer(server->offset_ns) : json_null());
    set(to, "error_ns", server->has_time ? integer(server->error_ns) : json_null());
    set(to, "age_ms", server->has_time ? integer(server->age_ns / SF_NS_PER_MS) : json_null());
    set(to, "delay_ns", integer(server->delay_ns));
    set(to, "polls", integer((int64_t)server->polls));
    set(to, "answers", integer((int64_t)server->answers));
    set(to, "timeouts", integer((int64_t)server->timeouts));
    set(to, "refused", integer((int64_t)server->refused));
    set(to, "kisses", integer((int64_t)server->kisses));
    set(to, "last_refusal", json_string(server->last_refusal));
    return to;
}

static json_t *clock_json(struct sf_daemon *d)
{
    struct sf_clock_snapshot snapshot;
    sf_clock_snapshot(d->clock, &snapshot);
    const struct sf_clock_verdict *verdict = &snapshot.verdict;
    json_t *clock = json_object(), *sources = json_array(), *servers = json_array();
    set(clock, "verdict",
        json_string(verdict->state == SF_CLOCK_OK     ? "ok"
                    : verdict->state == SF_CLOCK_WARN ? "warn"
                                                      : "bad"));
    set(clock, "state", json_string(sf_clock_state_name(verdict->state)));
    set(clock, "text", json_string(verdict->text));
    set(clock, "source", json_string(sf_clock_kind_name(verdict->source)));
    set(clock, "offset_ns", integer(verdict->offset_ns));
    set(clock, "error_ns", integer(verdict->error_ns));
    set(clock, "synchronized", json_boolean(verdict->synchronized));
    set(clock, "warn_offset_ms", integer(d->config->clock_warn_offset_ms));
    set(clock, "max_offset_ms", integer(d->config->clock_max_offset_ms));
    set(clock, "steps", integer((int64_t)(snapshot.steps_forward + snapshot.steps_backward)));
    set(clock, "slewing", json_boolean(snapshot.slewing));
    if (snapshot.coordinator_known)
        set(clock, "coordinator_offset_ns", integer(snapshot.coordinator_offset_ns));
    for (size_t i = 0; i < snapshot.source_count; i++) {
        const struct sf_clock_source *source = &snapshot.sources[i];
        json_array_append_new(
            sources,
            json_pack("{s:s,s:b,s:b,s:I,s:I,s:I,s:s,s:s}", "name", source->name, "up",
                      source->has_time, "synchronized", source->up, "offset_ns",
                      (json_int_t)source->offset_ns, "error_ns", (json_int_t)source->error_ns,
                      "age_ms", (json_int_t)(source->age_ns / SF_NS_PER_MS), "status",
                      sf_reading_status_name(source->status), "text", source->text));
    }
    for (size_t i = 0; i < snapshot.server_count; i++)
        json_array_append_new(servers, server_json(&snapshot.servers[i]));
    set(clock, "sources", sources);
    set(clock, "servers", servers);
    return clock;
}

/* Each slot that the worker holds or wants (fleet.slots_per_worker). Under the mutex. */
static json_t *slots_json(const struct sf_daemon *d)
{
    json_t *slots = json_array();
    for (unsigned i = 0; i < d->hold_count; i++) {
        const struct sf_shared_hold *hold = &d->shared.holds[i];
        json_t *slot = json_object();
        set(slot, "state", json_string(sf_worker_state_name(hold->state)));
        set(slot, "why", json_string(hold->why));
        set(slot, "datacenter", hold->held ? integer(d->config->fleet_datacenter) : json_null());
        set(slot, "worker", hold->held ? integer((int64_t)hold->worker) : json_null());
        set(slot, "fence", hold->held ? integer((int64_t)hold->fence) : json_null());
        set(slot, "left_ms", hold->held ? integer(hold->left_ms) : json_null());
        json_array_append_new(slots, slot);
    }
    return slots;
}

/* Under the mutex. */
static json_t *reservation_json(struct sf_daemon *d)
{
    const struct sf_shared_hold *hold = first_held(d);
    uint64_t ok = 0, uncertain = 0, lost = 0;
    for (unsigned i = 0; i < d->hold_count; i++) {
        ok += d->shared.holds[i].stats.renewals_ok;
        uncertain += d->shared.holds[i].stats.renewals_uncertain;
        lost += d->shared.holds[i].stats.renewals_lost;
    }
    return json_pack("{s:o,s:I,s:I,s:{s:I,s:I,s:I}}", "reserved_until_ms",
                     hold ? integer(hold->reserved_until_ms) : json_null(), "left_ms",
                     (json_int_t)(hold ? hold->left_ms : 0), "window_ms",
                     (json_int_t)d->shared.holds[0].window_ms, "renewals", "ok", (json_int_t)ok,
                     "uncertain", (json_int_t)uncertain, "lost", (json_int_t)lost);
}

static const char *backend_name(const struct sf_daemon *d)
{
    return d->coord->ops->name;
}

/* Under the mutex. */
static json_t *coordinator_json(struct sf_daemon *d)
{
    const struct sf_shared *shared = &d->shared;
    const int64_t now_ms = sf_control_mono_ms();
    return json_pack("{s:s,s:b,s:I}", "backend", backend_name(d), "connected", shared->connected,
                     "silent_ms",
                     (json_int_t)(shared->heard_mono_ms ? now_ms - shared->heard_mono_ms : -1));
}

/* Under the mutex. */
static json_t *events_json(const struct sf_daemon *d)
{
    const struct sf_shared *shared = &d->shared;
    json_t *events = json_array();
    const uint64_t first =
        shared->event_count > SF_DAEMON_EVENTS_MAX ? shared->event_count - SF_DAEMON_EVENTS_MAX : 0;
    for (uint64_t i = first; i < shared->event_count; i++) {
        const struct sf_daemon_event *event = &shared->events[i % SF_DAEMON_EVENTS_MAX];
        json_array_append_new(events,
                              json_pack("{s:I,s:s,s:s,s:s}", "at_ms", (json_int_t)event->time_ms,
                                        "level", sf_log_level_name(event->level), "event",
                                        event->event, "text", event->text));
    }
    return events;
}

static json_t *microseconds(int64_t ns)
{
    return ns < 0 ? json_null() : json_real((double)ns / 1e3);
}

static void add_traffic(struct sf_daemon *d, json_t *status)
{
    struct sf_metrics *m = d->metrics;
    set(status, "connections", integer(sf_server_connections(d->server)));
    set(status, "waiting", integer(sf_server_waiting(d->server)));
    set(status, "ids_minted", integer((int64_t)sf_metrics_sum(m, SF_METRIC_IDS_MINTED, 0)));
    set(status, "sequence_exhausted",
        integer((int64_t)sf_metrics_sum(m, SF_METRIC_SEQUENCE_EXHAUSTED, 0)));
    const enum sf_metric duration = SF_METRIC_REQUEST_DURATION;
    json_t *latency = json_object();
    set(latency, "p50_us", microseconds(sf_metrics_quantile_ns(m, duration, SF_REQUEST_NEXT, 0.5)));
    set(latency, "p95_us",
        microseconds(sf_metrics_quantile_ns(m, duration, SF_REQUEST_NEXT, 0.95)));
    set(latency, "p99_us",
        microseconds(sf_metrics_quantile_ns(m, duration, SF_REQUEST_NEXT, 0.99)));
    set(status, "latency", latency);
    uint64_t requests = 0, limited = 0, bad = 0;
    json_t *errors = json_object();
    for (unsigned s = 0; s < SF_STATUSES; s++) {
        uint64_t count = 0;
        for (unsigned type = 0; type < SF_REQUESTS; type++)
            count += sf_metrics_sum(m, SF_METRIC_REQUESTS, sf_series_request(type, s));
        requests += count;
        char name[32];
        snprintf(name, sizeof name, "%s", sf_wire_status_name((uint16_t)s));
        for (char *c = name; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        if (s != SF_STATUS_OK)
            set(errors, name, integer((int64_t)count));
    }
    for (unsigned s = 0; s < SF_RATE_SCOPES; s++)
        limited += sf_metrics_sum(m, SF_METRIC_RATE_LIMITED, s);
    for (unsigned s = 0; s < SF_BAD_FRAMES; s++)
        bad += sf_metrics_sum(m, SF_METRIC_BAD_FRAMES, s);
    set(status, "requests", integer((int64_t)requests));
    set(status, "errors", errors);
    set(status, "rate_limited", integer((int64_t)limited));
    set(status, "bad_frames", integer((int64_t)bad));
}

/* IDs a second since the last look that is at least half a second old; several viewers share it. */
static double ids_per_s(struct sf_daemon *d)
{
    const uint64_t minted = sf_metrics_sum(d->metrics, SF_METRIC_IDS_MINTED, 0);
    const int64_t now_ns = sf_mono_ns();
    struct sf_daemon_rate *rate = &d->rate;
    pthread_mutex_lock(&d->shared.mutex);
    if (now_ns - rate->at_ns >= SF_NS_PER_S / 2) {
        if (rate->at_ns)
            rate->per_s = (double)(minted - rate->minted) * 1e9 / (double)(now_ns - rate->at_ns);
        rate->at_ns = now_ns;
        rate->minted = minted;
    }
    const double per_s = rate->per_s;
    pthread_mutex_unlock(&d->shared.mutex);
    return per_s;
}

static void dump(json_t *object, struct sf_strbuf *to)
{
    char *text = json_dumps(object, JSON_COMPACT);
    if (text)
        sf_strbuf_add(to, text, strlen(text));
    free(text);
    json_decref(object);
}

static void admin_status(void *ctx, struct sf_strbuf *to)
{
    struct sf_daemon *d = ctx;
    struct sf_shared *shared = &d->shared;
    struct sf_readiness readiness;
    sf_publish_readiness(d, &readiness);
    json_t *checks = json_array();
    for (unsigned i = 0; i < SF_CHECKS; i++)
        json_array_append_new(checks,
                              json_pack("{s:s,s:b,s:s}", "name", sf_check_name(i), "ok",
                                        readiness.checks[i].ok, "text", readiness.checks[i].text));
    json_t *clock = clock_json(d);
    const double rate = ids_per_s(d);
    const int64_t real_ms = sf_real_ns() / SF_NS_PER_MS;
    pthread_mutex_lock(&shared->mutex);
    json_t *status = info_json(d);
    set(status, "why", json_string(shared->state == SF_WORKER_READY ? "" : shared->why));
    set(status, "timestamps_end_ms",
        shared->config_known ? integer(shared->config.epoch_ms +
                                       (int64_t)sf_layout_max_timestamp(&shared->config.layout))
                             : json_null());
    set(status, "slots", slots_json(d));
    set(status, "reservation", reservation_json(d));
    set(status, "coordinator", coordinator_json(d));
    set(status, "events", events_json(d));
    pthread_mutex_unlock(&shared->mutex);
    set(status, "ready", json_boolean(readiness.ready));
    set(status, "checks", checks);
    set(status, "clock", clock);
    set(status, "build",
        json_pack("{s:s,s:s}", "version", SF_BUILD_VERSION, "commit", SF_BUILD_COMMIT));
    set(status, "pid", integer(getpid()));
    set(status, "now_ms", integer(real_ms));
    set(status, "uptime_ms", integer(sf_control_mono_ms() - d->start_mono_ms));
    set(status, "address", json_string(d->address));
    set(status, "admin", json_string(d->admin_address));
    set(status, "ids_per_s", json_real(rate));
    add_traffic(d, status);
    dump(status, to);
}

/* Under the mutex. */
static json_t *slot_json(const struct sf_daemon *d, const struct sf_coord_slot *slot,
                         int64_t now_ms)
{
    const struct sf_coord_claim *claim = NULL;
    const char *state = sf_slot_state_name(
        sf_slot_state(slot, d->shared.claims, d->shared.claim_count, now_ms, &claim));
    return json_pack("{s:i,s:I,s:s,s:s,s:o,s:o,s:I,s:I}", "datacenter",
                     (int)d->config->fleet_datacenter, "worker", (json_int_t)slot->worker, "state",
                     state, "node", slot->node, "address",
                     string_or_null(claim ? claim->address : NULL), "admin",
                     string_or_null(claim ? claim->admin : NULL), "fence", (json_int_t)slot->fence,
                     "reserved_until_ms", (json_int_t)slot->reserved_until_ms);
}

/* Under the mutex. */
static json_t *worker_json(const struct sf_daemon *d, const struct sf_coord_claim *claim)
{
    const struct sf_shared *shared = &d->shared;
    bool self = false;
    for (unsigned i = 0; i < d->hold_count; i++)
        self = self || (shared->holds[i].held && shared->holds[i].fence == claim->fence);
    return json_pack(
        "{s:i,s:o,s:s,s:s,s:s,s:I,s:I,s:s,s:b}", "datacenter", (int)d->config->fleet_datacenter,
        "worker", claim->slot >= 0 ? integer(claim->slot) : json_null(), "node", claim->node,
        "address", claim->address, "admin", claim->admin, "fence", (json_int_t)claim->fence,
        "since_ms", (json_int_t)claim->since_ms, "version", claim->version, "self", self);
}

static void admin_fleet(void *ctx, struct sf_strbuf *to)
{
    struct sf_daemon *d = ctx;
    struct sf_shared *shared = &d->shared;
    const int64_t mint_ms = sf_control_mint_ms(d), real_ms = sf_real_ns() / SF_NS_PER_MS;
    json_t *fleet = json_object(), *slots = json_array(), *workers = json_array();
    int waiting = 0;
    pthread_mutex_lock(&shared->mutex);
    for (size_t i = 0; i < shared->slot_count; i++)
        json_array_append_new(slots, slot_json(d, &shared->slots[i], mint_ms));
    for (size_t i = 0; i < shared->claim_count; i++) {
        waiting += shared->claims[i].slot < 0;
        json_array_append_new(workers, worker_json(d, &shared->claims[i]));
    }
    set(fleet, "fleet", json_string(d->config->fleet_name));
    set(fleet, "fleet_id",
        shared->config_known ? json_string(shared->config.fleet_id) : json_null());
    set(fleet, "datacenter", integer(d->config->fleet_datacenter));
    set(fleet, "read_at_ms", shared->listed_ms ? integer(shared->listed_ms) : json_null());
    set(fleet, "read_age_ms",
        shared->listed_ms ? integer(real_ms - shared->listed_ms) : json_null());
    set(fleet, "stale", json_boolean(!shared->connected));
    set(fleet, "text", json_string(shared->connected ? "" : shared->why));
    pthread_mutex_unlock(&shared->mutex);
    set(fleet, "slots", slots);
    set(fleet, "workers", workers);
    set(fleet, "waiting", integer(waiting));
    dump(fleet, to);
}

static bool admin_is_fleet_admin(void *ctx, const char *address)
{
    struct sf_daemon *d = ctx;
    struct sf_shared *shared = &d->shared;
    bool found = false;
    pthread_mutex_lock(&shared->mutex);
    for (size_t i = 0; i < shared->claim_count; i++)
        found = found || strcmp(shared->claims[i].admin, address) == 0;
    pthread_mutex_unlock(&shared->mutex);
    return found;
}

static int admin_mint(void *ctx, uint32_t n, uint64_t *ids, char *reason, size_t reason_size)
{
    struct sf_daemon *d = ctx;
    struct sf_server_host host;
    sf_publish_server_host(d, &host);
    uint32_t have = 0;
    enum sf_mint_result result = SF_MINT_CLOSED;
    for (unsigned i = 0; i < d->hold_count && have < n; i++) {
        struct sf_generator *gen = &d->holds[i].right->gen;
        const uint64_t now_ms = host.mint_now_ms(d, sf_mono_ns());
        struct sf_mint mint;
        struct sf_run run;
        if (now_ms == 0)
            continue;
        result = sf_generator_mint(gen, now_ms, 0, 0, n, &mint);
        if (result != SF_MINT_OK)
            continue;
        while (sf_run_take(gen, &mint, n - have, &run))
            for (uint32_t k = 0; k < run.count; k++)
                ids[have++] = run.first + k;
        if (have == n)
            return 0;
        /* The rest of a short mint is not handed out: an answer is whole or not at all. */
        have = 0;
    }
    if (result == SF_MINT_WAIT || result == SF_MINT_OK) {
        snprintf(reason, reason_size, "every ID of this millisecond is used: ask again");
        return -EAGAIN;
    }
    struct sf_server_refusal refusal;
    host.refusal(d, result == SF_MINT_EXHAUSTED, &refusal);
    snprintf(reason, reason_size, "%s", refusal.reason);
    return -EAGAIN;
}

static void admin_readiness(void *ctx, struct sf_readiness *ret)
{
    sf_publish_readiness(ctx, ret);
}

static bool admin_live(void *ctx, struct sf_strbuf *to)
{
    return sf_publish_live(ctx, to);
}

static bool admin_started(void *ctx)
{
    struct sf_daemon *d = ctx;
    return atomic_load(&d->started);
}

static void admin_drain(void *ctx)
{
    sf_control_post(ctx, SF_MESSAGE_DRAIN, NULL);
}

void sf_status_admin_host(struct sf_daemon *d, struct sf_admin_host *ret)
{
    ret->ctx = d;
    ret->readiness = admin_readiness;
    ret->live = admin_live;
    ret->started = admin_started;
    ret->status = admin_status;
    ret->fleet = admin_fleet;
    ret->mint = admin_mint;
    ret->drain = admin_drain;
    ret->is_fleet_admin = admin_is_fleet_admin;
}
