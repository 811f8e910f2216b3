/* What the data port is told: its options, and what it asks for while it serves. */
#include "daemon/server_host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/descriptors.h"
#include "daemon/info.h"

static uint64_t mint_now_ms(void *ctx, int64_t mono_ns)
{
    const struct sf_daemon *d = ctx;
    return sf_member_time_ms(d->time, mono_ns);
}

static void refusal(void *ctx, bool exhausted, struct sf_server_refusal *ret)
{
    struct sf_daemon *d = ctx;
    const enum sf_phase phase = atomic_load(&d->phase);
    char why[SF_COORD_TEXT_MAX];
    const enum sf_worker_state state = sf_member_state(d->member, why);
    ret->retry_after_ms = 100;
    if (phase != SF_PHASE_RUNNING && phase != SF_PHASE_DELAYING) {
        ret->status = SF_WIRE_DRAINING;
        snprintf(ret->reason, sizeof ret->reason, "this worker is shutting down: use another one");
    } else if (!exhausted && phase == SF_PHASE_RUNNING &&
               (state == SF_WORKER_SUSPENDED || state == SF_WORKER_RESYNCING)) {
        ret->status = SF_WIRE_CLOCK;
        ret->retry_after_ms = 1000;
        snprintf(ret->reason, sizeof ret->reason, "this worker's clock is not safe to mint from");
    } else {
        ret->status = SF_WIRE_NOT_READY;
        /* Between the reservation's end and the member's next turn nobody has said why. */
        snprintf(ret->reason, sizeof ret->reason, "%.150s",
                 state == SF_WORKER_READY && exhausted ? "the reservation is used up" : why);
    }
}

static size_t info(void *ctx, char *to, size_t size)
{
    return sf_info_text(ctx, to, size);
}

static bool wire_time(void *ctx, struct sf_wire_time *ret)
{
    struct sf_daemon *d = ctx;
    struct sf_clock_interval interval;
    sf_member_clock_interval(d->member, &interval);
    ret->earliest_us = interval.earliest_ns > 0 ? (uint64_t)(interval.earliest_ns / 1000) : 0;
    ret->latest_us = interval.latest_ns > 0 ? (uint64_t)((interval.latest_ns + 999) / 1000) : 0;
    ret->offset_ns = interval.offset_ns;
    ret->error_ns = (uint64_t)interval.error_ns;
    ret->source = (uint8_t)interval.source; /* the numbers are the protocol's */
    ret->synchronized = interval.synchronized;
    return true;
}

static size_t decode(void *ctx, uint64_t id, char *to, size_t size)
{
    const struct sf_daemon *d = ctx;
    struct sf_member_snapshot member;
    struct sf_id_parts parts;
    int64_t unix_ms;
    char time[SF_TIME_TEXT_MAX], base32[SF_ID_BASE32_MAX];
    sf_member_snapshot(d->member, &member);
    if (!member.config_known || sf_id_decode(&member.config.layout, id, &parts) != 0 ||
        sf_id_unix_ms(&member.config.layout, member.config.epoch_ms, id, &unix_ms) != 0)
        return 0;
    const int length =
        snprintf(to, size,
                 "{\"id\":\"%" PRIu64 "\",\"base32\":\"%s\",\"time\":\"%s\",\"unix_ms\":%" PRId64
                 ",\"timestamp_ms\":%" PRIu64 ",\"datacenter\":%" PRIu64 ",\"worker\":%" PRIu64
                 ",\"sequence\":%" PRIu64 "}\n",
                 id, sf_id_base32(id, base32), sf_format_time_ms(unix_ms, time, sizeof time),
                 unix_ms, parts.timestamp_ms, parts.datacenter, parts.worker, parts.sequence);
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

bool sf_server_host_http(const struct sf_config *config, struct sf_host_port *ret)
{
    return config->listen_http_address != NULL &&
           sf_parse_host_port(config->listen_http_address, -1, true, ret) == 0;
}

struct sf_unix_wish sf_server_host_unix(const struct sf_config *config)
{
    return (struct sf_unix_wish){.path = config->listen_unix_path,
                                 .mode = config->listen_unix_mode,
                                 .owner = config->listen_unix_owner,
                                 .group = config->listen_unix_group};
}

void sf_server_host_options(struct sf_daemon *d, const struct sf_config *config,
                            struct sf_server_options *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->address = config->listen_address;
    ret->has_http = sf_server_host_http(config, &ret->http_address);
    ret->unix_wish = sf_server_host_unix(config);
    ret->threads = config->listen_threads;
    ret->limits = (struct sf_server_limits){
        .max_connections = sf_descriptors_fit(d->log, config->listen_max_connections),
        .max_handshakes = config->listen_max_handshakes,
        .max_batch = config->listen_max_batch,
        .max_waiting = config->limit_max_waiting,
        .max_wait_ms = config->mint_max_wait_ms,
        .sequence_jitter = config->mint_sequence_jitter,
        .idle_timeout_ms = config->listen_idle_timeout_ms,
        .frame_timeout_ms = config->listen_frame_timeout_ms,
        .write_timeout_ms = config->listen_write_timeout_ms,
        .max_connection_age_ms = config->listen_max_connection_age_ms,
        .connection_ids_per_s = config->limit_connection_ids_per_s,
        .connection_burst = config->limit_connection_burst,
        .address_ids_per_s = config->limit_address_ids_per_s,
        .address_burst = config->limit_address_burst,
        .worker_ids_per_s = config->limit_worker_ids_per_s,
        .worker_burst = config->limit_worker_burst,
    };
    memcpy(ret->generators, d->generators, sizeof d->generators);
    ret->generator_count = d->generator_count;
    ret->host = (struct sf_server_host){.ctx = d,
                                        .mint_now_ms = mint_now_ms,
                                        .refusal = refusal,
                                        .info = info,
                                        .time = wire_time,
                                        .decode = decode};
    ret->metrics = d->metrics;
    ret->log = d->log;
    ret->tls_cert = config->listen_tls_cert;
    ret->tls_key = config->listen_tls_key;
    ret->tls_client_ca = config->listen_tls_client_ca;
    ret->token_file = config->listen_token_file;
}

void sf_server_host_names(const struct sf_config *c, struct sf_strbuf *to)
{
    const char *const addresses[] = {c->advertise_admin, c->advertise_address};
    struct sf_host_port told;
    sf_strbuf_init(to, 8192);
    sf_strbuf_addf(to, "%s,%s,%s", c->admin_allowed_hosts, c->fleet_node, c->admin_address.host);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (sf_parse_host_port(addresses[i], -1, true, &told) == 0)
            sf_strbuf_addf(to, ",%s", told.host);
}
