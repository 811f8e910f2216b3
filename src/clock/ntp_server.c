/* clock/ntp_server.c - the questions to one NTP server, and what is believed of its answers. */
#include "clock/ntp_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* RATE kisses that count: 64 times the interval. */
#define SLOWER_MAX 6
/* Datagrams looked at in one go: a flood must not hold the thread. */
#define ANSWERS_PER_WAKE_UP 16

void sf_ntp_server_init(struct sf_ntp_server *server, const struct sf_clock_spec *spec)
{
    memset(server, 0, sizeof *server);
    server->peer.spec = *spec;
    server->fd = -1;
    server->pace.burst_left = SF_SOURCE_BURST;
    server->pace.due_mono_ns = INT64_MIN;
}

static void hang_up(struct sf_ntp_server *server)
{
    if (server->fd >= 0)
        close(server->fd);
    server->fd = -1;
}

void sf_ntp_server_end(struct sf_ntp_server *server)
{
    hang_up(server);
    sf_source_leave(&server->peer);
}

/* The question has come to its end. */
static void finish(struct sf_ntp_server *server, struct sf_source_env *env, bool failed,
                   const char *trouble)
{
    hang_up(server);
    server->tried = true;
    snprintf(server->peer.trouble, sizeof server->peer.trouble, "%s", trouble);
    sf_source_next(&server->pace, env, env->ticks->mono_ns(env->ticks->ctx), failed);
    if (failed)
        sf_source_failed(&server->peer, &server->pace);
}

static void ask(struct sf_ntp_server *server, struct sf_source_env *env,
                const struct sf_net_address *address)
{
    uint8_t packet[SF_NTP_PACKET_SIZE];
    int rc = sf_net_udp(address, &server->fd);
    server->counters.polls++;
    if (rc == 0) {
        server->request = (struct sf_ntp_request){.cookie = sf_random_u64(),
                                                  .last_transmit = server->last_transmit};
        sf_ntp_put_request(packet, server->request.cookie);
        server->request.sent_mono_ns = env->ticks->mono_ns(env->ticks->ctx);
        server->deadline_mono_ns = server->request.sent_mono_ns + SF_SOURCE_TIMEOUT_NS;
        if (send(server->fd, packet, sizeof packet, MSG_NOSIGNAL) < 0)
            rc = -errno;
    }
    if (rc < 0) {
        server->counters.timeouts++;
        finish(server, env, true, strerrordesc_np(-rc));
    }
}

void sf_ntp_server_turn(struct sf_ntp_server *server, struct sf_source_env *env)
{
    const int64_t mono_ns = env->ticks->mono_ns(env->ticks->ctx);
    if (server->stopped[0] != '\0')
        return;
    if (server->fd >= 0) {
        if (mono_ns >= server->deadline_mono_ns) {
            server->counters.timeouts++;
            finish(server, env, true, "no answer");
        }
        return;
    }
    const struct sf_net_address *address =
        sf_source_address(&server->peer, &server->pace, env, mono_ns);
    if (address == NULL)
        server->tried = server->tried || server->pace.failures > 0;
    else if (mono_ns >= server->pace.due_mono_ns)
        ask(server, env, address);
}

static void take_kiss(struct sf_ntp_server *server, const struct sf_ntp_reply *reply)
{
    server->counters.kisses++;
    if (reply->kiss == SF_NTP_KISS_STOP)
        memcpy(server->stopped, reply->kiss_code, sizeof reply->kiss_code);
    if (reply->kiss == SF_NTP_KISS_RATE && server->pace.slower < SLOWER_MAX)
        server->pace.slower++;
}

static void believe(struct sf_ntp_server *server, const struct sf_ntp_reply *reply)
{
    const struct sf_ntp_sample sample = {.base_ns = reply->base_ns,
                                         .error_ns = reply->error_ns,
                                         .delay_ns = reply->delay_ns,
                                         .as_of_mono_ns = reply->as_of_mono_ns};
    sf_ntp_filter_add(&server->filter, &sample);
    server->heard = true;
    server->good_mono_ns = reply->as_of_mono_ns;
    server->last_transmit = reply->transmit;
    server->stratum = reply->stratum;
}

/* Returns false when there is nothing more to read or to wait for. */
static bool take_datagram(struct sf_ntp_server *server, struct sf_source_env *env)
{
    uint8_t packet[SF_NTP_DATAGRAM_MAX];
    struct sf_ntp_reply reply;
    const ssize_t size = recv(server->fd, packet, sizeof packet, MSG_TRUNC);
    const struct sf_clock_now now = sf_clock_read_now(env->ticks);
    if (size < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return false;
        server->counters.timeouts++;
        finish(server, env, true, strerrordesc_np(errno));
        return false;
    }
    const size_t length = (size_t)size < sizeof packet ? (size_t)size : sizeof packet;
    const enum sf_ntp_verdict verdict =
        sf_ntp_get_reply(packet, length, &server->request, now.mono_ns, now.real_ns, &reply);
    if (verdict == SF_NTP_OK) {
        server->counters.answers++;
        believe(server, &reply);
        finish(server, env, false, "");
        return false;
    }
    sf_source_refused(&server->counters, sf_ntp_verdict_name(verdict));
    sf_log_write(env->log, SF_LOG_DEBUG, "clock.refused", "%s: answer refused: %s",
                 server->peer.spec.text, sf_ntp_verdict_name(verdict));
    if (verdict == SF_NTP_KISS)
        take_kiss(server, &reply);
    /* What echoes our cookie is the server's own word, and final. Anything else may be forged: the
     * true answer may follow. */
    if (verdict == SF_NTP_SHORT || verdict == SF_NTP_MODE || verdict == SF_NTP_VERSION ||
        verdict == SF_NTP_ORIGIN)
        return true;
    finish(server, env, true, sf_ntp_verdict_name(verdict));
    return false;
}

void sf_ntp_server_readable(struct sf_ntp_server *server, struct sf_source_env *env)
{
    for (int i = 0; i < ANSWERS_PER_WAKE_UP && server->fd >= 0; i++)
        if (!take_datagram(server, env))
            return;
}

int64_t sf_ntp_server_due_mono_ns(const struct sf_ntp_server *server)
{
    if (server->stopped[0] != '\0')
        return INT64_MAX;
    return server->fd >= 0 ? server->deadline_mono_ns : server->pace.due_mono_ns;
}

int64_t sf_ntp_server_stale_ns(const struct sf_ntp_server *server, const struct sf_source_env *env)
{
    return SF_SOURCE_STALE_POLLS * (env->poll_ns << server->pace.slower) + SF_SOURCE_TIMEOUT_NS;
}

void sf_ntp_server_describe(const struct sf_ntp_server *server, struct sf_clock_now now,
                            struct sf_clock_server *ret_server)
{
    const struct sf_ntp_sample *best = sf_ntp_filter_best(&server->filter, now.mono_ns);
    struct sf_clock_server out = {.kind = SF_CLOCK_NTP, .stratum = server->stratum};
    snprintf(out.name, sizeof out.name, "%s", server->peer.spec.text);
    if (server->peer.addresses.count > 0)
        sf_net_format(&server->peer.addresses.list[server->peer.address], out.address,
                      sizeof out.address);
    if (server->stopped[0] != '\0')
        snprintf(out.state, sizeof out.state, "kiss %s", server->stopped);
    else if (server->counted)
        snprintf(out.state, sizeof out.state, "%s",
                 server->falseticker ? "falseticker" : "selected");
    else
        snprintf(out.state, sizeof out.state, "%.*s", (int)sizeof out.state - 1,
                 server->peer.trouble[0] != '\0' ? server->peer.trouble : "waiting");
    if (best != NULL) {
        out.has_time = true;
        out.offset_ns = best->base_ns + now.mono_ns - now.real_ns;
        out.error_ns = sf_ntp_sample_error_ns(best, now.mono_ns);
        out.delay_ns = best->delay_ns;
        out.age_ns = now.mono_ns - server->good_mono_ns;
    }
    out.polls = server->counters.polls;
    out.answers = server->counters.answers;
    out.timeouts = server->counters.timeouts;
    out.refused = server->counters.refused;
    out.kisses = server->counters.kisses;
    memcpy(out.last_refusal, server->counters.last_refusal, sizeof out.last_refusal);
    *ret_server = out;
}
