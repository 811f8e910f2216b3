#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock/source.h"

#define LOCAL_ID            UINT32_C(0x7f7f0101) /* chronyd's `local` mode: its own clock, dressed up */
#define LEAP_UNSYNC         3
#define REFERENCE_MIN_NS    (30 * SF_NS_PER_S)
#define REFERENCE_INTERVALS 8 /* update intervals until its reference counts as lost */
#define REFERENCE_AGE_MAX   (86400 * SF_NS_PER_S)
#define ANSWERS_PER_WAKE_UP 16

void sf_chrony_daemon_init(struct sf_chrony_daemon *daemon, const struct sf_clock_spec *spec)
{
    memset(daemon, 0, sizeof *daemon);
    daemon->peer.spec = *spec;
    daemon->fd = -1;
    daemon->pace.due_mono_ns = INT64_MIN;
    daemon->reading.kind = SF_CLOCK_CHRONY;
}

static void hang_up(struct sf_chrony_daemon *daemon)
{
    if (daemon->fd >= 0)
        close(daemon->fd);
    if (daemon->own_path[0])
        unlink(daemon->own_path);
    daemon->fd = -1;
    daemon->own_path[0] = '\0';
}

void sf_chrony_daemon_end(struct sf_chrony_daemon *daemon)
{
    hang_up(daemon);
    sf_net_lookup_abandon(daemon->peer.lookup);
    daemon->peer.lookup = NULL;
}

/* The round of questions has come to its end. */
static void finish(struct sf_chrony_daemon *daemon, struct sf_source_env *env, bool failed,
                   const char *trouble)
{
    hang_up(daemon);
    snprintf(daemon->peer.trouble, sizeof daemon->peer.trouble, "%s", trouble);
    sf_source_next(&daemon->pace, env, env->ticks->mono_ns(env->ticks->ctx), failed);
    if (!failed)
        return;
    sf_source_failed(&daemon->peer, &daemon->pace);
    if (daemon->reading.status == SF_READING_NONE)
        snprintf(daemon->reading.text, sizeof daemon->reading.text, "%s", trouble);
    else if (daemon->reading.status == SF_READING_SYNCED)
        snprintf(daemon->reading.text, sizeof daemon->reading.text, "no answer since: %s", trouble);
}

static void ask(struct sf_chrony_daemon *daemon, struct sf_source_env *env,
                enum sf_chrony_command command, uint32_t index)
{
    uint8_t packet[SF_CHRONY_PACKET_MAX];
    daemon->asked = command;
    daemon->asked_index = index;
    daemon->sequence = (uint32_t)sf_random_u64();
    const size_t size = sf_chrony_put_request(packet, command, daemon->sequence, index);
    daemon->sent_mono_ns = env->ticks->mono_ns(env->ticks->ctx);
    daemon->deadline_mono_ns = daemon->sent_mono_ns + SF_SOURCE_TIMEOUT_NS;
    if (send(daemon->fd, packet, size, MSG_NOSIGNAL) < 0) {
        const int error = errno;
        daemon->counters.timeouts++;
        finish(daemon, env, true, strerrordesc_np(error));
    }
}

static void begin(struct sf_chrony_daemon *daemon, struct sf_source_env *env, int64_t mono_ns)
{
    int error;
    if (daemon->peer.spec.path[0]) {
        if (mono_ns < daemon->pace.due_mono_ns)
            return;
        error = sf_net_unix(daemon->peer.spec.path, sf_random_u64(), &daemon->fd, daemon->own_path);
    } else {
        const struct sf_net_address *address =
            sf_source_address(&daemon->peer, &daemon->pace, env, mono_ns);
        if (!address || mono_ns < daemon->pace.due_mono_ns)
            return;
        error = sf_net_udp(address, &daemon->fd);
    }
    daemon->counters.polls++;
    if (error < 0) {
        daemon->counters.timeouts++;
        finish(daemon, env, true, strerrordesc_np(-error));
        return;
    }
    ask(daemon, env, SF_CHRONY_TRACKING, 0);
}

void sf_chrony_daemon_turn(struct sf_chrony_daemon *daemon, struct sf_source_env *env)
{
    const int64_t mono_ns = env->ticks->mono_ns(env->ticks->ctx);
    if (daemon->fd < 0) {
        begin(daemon, env, mono_ns);
    } else if (mono_ns >= daemon->deadline_mono_ns) {
        daemon->counters.timeouts++;
        finish(daemon, env, true, "no answer");
    }
}

/* How long ago its reference time last moved: chronyd that has lost its sources goes on saying
 * "Normal". */
static int64_t reference_age_ns(struct sf_chrony_daemon *daemon,
                                const struct sf_chrony_tracking *tracking, struct sf_clock_now now)
{
    if (!daemon->has_reference || tracking->reference_ns != daemon->reference_ns) {
        int64_t age_ns = now.real_ns + tracking->correction_ns - tracking->reference_ns;
        if (age_ns < 0)
            age_ns = 0;
        if (age_ns > REFERENCE_AGE_MAX)
            age_ns = REFERENCE_AGE_MAX;
        daemon->has_reference = true;
        daemon->reference_ns = tracking->reference_ns;
        daemon->reference_mono_ns = now.mono_ns - age_ns;
    }
    return now.mono_ns - daemon->reference_mono_ns;
}

void sf_chrony_interpret(struct sf_chrony_daemon *daemon, const struct sf_chrony_tracking *tracking,
                         int64_t poll_ns, struct sf_clock_now now, int64_t sent_mono_ns)
{
    struct sf_reading reading = {.kind = SF_CLOCK_CHRONY,
                                 .status = SF_READING_UNSYNCED,
                                 .as_of_mono_ns = now.mono_ns,
                                 .good_mono_ns = now.mono_ns,
                                 .stale_after_ns =
                                     SF_SOURCE_STALE_POLLS * poll_ns + SF_SOURCE_TIMEOUT_NS,
                                 .expired_after_ns = SF_SOURCE_HOLDOVER_POLLS * poll_ns};
    if (tracking->reference_id == LOCAL_ID) {
        snprintf(reading.text, sizeof reading.text, "chronyd serves its own clock (local mode)");
    } else if (tracking->stratum == 0 || tracking->leap == LEAP_UNSYNC ||
               !tracking->has_reference_time) {
        snprintf(reading.text, sizeof reading.text, "chronyd has no synchronised source");
    } else {
        const int64_t age_ns = reference_age_ns(daemon, tracking, now);
        int64_t allowed_ns = REFERENCE_INTERVALS * tracking->update_interval_ns;
        if (allowed_ns < REFERENCE_MIN_NS)
            allowed_ns = REFERENCE_MIN_NS;
        reading.status = SF_READING_SYNCED;
        reading.has_time = true;
        reading.base_ns = now.real_ns + tracking->correction_ns - now.mono_ns;
        reading.error_ns = tracking->root_dispersion_ns + tracking->root_delay_ns / 2 +
                           (now.mono_ns - sent_mono_ns);
        snprintf(reading.text, sizeof reading.text, "stratum %u, reference %s", tracking->stratum,
                 tracking->address[0] ? tracking->address : "clock");
        if (age_ns > allowed_ns) { /* chronyd's own dispersion grows far too slowly then */
            reading.status = SF_READING_HOLDOVER;
            reading.error_ns += sf_clock_drift_ns(age_ns);
            reading.good_mono_ns = daemon->reference_mono_ns + allowed_ns;
            snprintf(reading.text, sizeof reading.text,
                     "chronyd has lost its sources, no update for %" PRId64 " s",
                     age_ns / SF_NS_PER_S);
        }
    }
    daemon->reading = reading;
}

static enum sf_chrony_verdict take_tracking(struct sf_chrony_daemon *daemon,
                                            struct sf_source_env *env, const uint8_t *packet,
                                            size_t size, struct sf_clock_now now,
                                            uint16_t *ret_status)
{
    struct sf_chrony_tracking tracking;
    const enum sf_chrony_verdict verdict =
        sf_chrony_get_tracking(packet, size, daemon->sequence, &tracking, ret_status);
    if (verdict != SF_CHRONY_OK)
        return verdict;
    daemon->counters.answers++;
    sf_chrony_interpret(daemon, &tracking, env->poll_ns, now, daemon->sent_mono_ns);
    ask(daemon, env, SF_CHRONY_N_SOURCES, 0);
    return SF_CHRONY_OK;
}

/* The next source of the round, or its end. */
static void ask_source(struct sf_chrony_daemon *daemon, struct sf_source_env *env, uint32_t index)
{
    if (index < daemon->source_total)
        ask(daemon, env, SF_CHRONY_SOURCE_DATA, index);
    else
        finish(daemon, env, false, "");
}

static enum sf_chrony_verdict take_answer(struct sf_chrony_daemon *daemon,
                                          struct sf_source_env *env, const uint8_t *packet,
                                          size_t size, struct sf_clock_now now,
                                          uint16_t *ret_status)
{
    enum sf_chrony_verdict verdict;
    uint32_t count = 0;
    if (daemon->asked == SF_CHRONY_TRACKING)
        return take_tracking(daemon, env, packet, size, now, ret_status);
    if (daemon->asked == SF_CHRONY_N_SOURCES) {
        verdict = sf_chrony_get_n_sources(packet, size, daemon->sequence, &count, ret_status);
        if (verdict != SF_CHRONY_OK)
            return verdict;
        daemon->source_total = count < SF_CHRONY_SOURCES_MAX ? count : SF_CHRONY_SOURCES_MAX;
        if (daemon->source_count > daemon->source_total)
            daemon->source_count = daemon->source_total;
        ask_source(daemon, env, 0);
        return SF_CHRONY_OK;
    }
    const uint32_t index = daemon->asked_index;
    verdict =
        sf_chrony_get_source(packet, size, daemon->sequence, &daemon->sources[index], ret_status);
    if (verdict != SF_CHRONY_OK)
        return verdict;
    daemon->heard_mono_ns[index] = now.mono_ns;
    if (daemon->source_count <= index)
        daemon->source_count = index + 1;
    ask_source(daemon, env, index + 1);
    return SF_CHRONY_OK;
}

/* Returns false when there is nothing more to read or to wait for. */
static bool take_datagram(struct sf_chrony_daemon *daemon, struct sf_source_env *env)
{
    uint8_t packet[SF_CHRONY_DATAGRAM_MAX];
    uint16_t status = 0;
    const ssize_t size = recv(daemon->fd, packet, sizeof packet, MSG_TRUNC);
    const struct sf_clock_now now = sf_clock_read_now(env->ticks);
    if (size < 0) {
        const int error = errno;
        if (error == EAGAIN || error == EINTR)
            return false;
        daemon->counters.timeouts++;
        finish(daemon, env, true, strerrordesc_np(error));
        return false;
    }
    const size_t length = (size_t)size < sizeof packet ? (size_t)size : sizeof packet;
    const enum sf_chrony_verdict verdict = take_answer(daemon, env, packet, length, now, &status);
    if (verdict == SF_CHRONY_OK)
        return true;
    const char *why = verdict == SF_CHRONY_STATUS ? sf_chrony_status_name(status)
                                                  : sf_chrony_verdict_name(verdict);
    sf_source_refused(&daemon->counters, why);
    sf_log_write(env->log, SF_LOG_DEBUG, "clock.refused", "%s: answer refused: %s",
                 daemon->peer.spec.text, why);
    /* Behind the right sequence number it is chronyd's own word, and final; before, the true answer
     * may follow. */
    if (verdict == SF_CHRONY_SHORT || verdict == SF_CHRONY_HEADER || verdict == SF_CHRONY_SEQUENCE)
        return true;
    /* A source that went away between the questions is no trouble; no tracking is. */
    finish(daemon, env, daemon->asked == SF_CHRONY_TRACKING, why);
    return false;
}

void sf_chrony_daemon_readable(struct sf_chrony_daemon *daemon, struct sf_source_env *env)
{
    for (int i = 0; i < ANSWERS_PER_WAKE_UP && daemon->fd >= 0; i++)
        if (!take_datagram(daemon, env))
            return;
}

int64_t sf_chrony_daemon_due_mono_ns(const struct sf_chrony_daemon *daemon)
{
    return daemon->fd >= 0 ? daemon->deadline_mono_ns : daemon->pace.due_mono_ns;
}

size_t sf_chrony_daemon_describe(const struct sf_chrony_daemon *daemon, struct sf_clock_now now,
                                 struct sf_clock_server *ret, size_t max)
{
    size_t n = 0;
    const struct sf_reading *reading = &daemon->reading;
    if (max == 0)
        return 0;
    struct sf_clock_server own = {.kind = SF_CLOCK_CHRONY};
    snprintf(own.name, sizeof own.name, "%s", daemon->peer.spec.text);
    snprintf(own.address, sizeof own.address, "%.*s", (int)sizeof own.address - 1,
             daemon->peer.spec.path);
    if (daemon->peer.addresses.count > 0)
        sf_net_format(&daemon->peer.addresses.list[daemon->peer.address], own.address,
                      sizeof own.address);
    snprintf(own.state, sizeof own.state, "%.*s", (int)sizeof own.state - 1,
             daemon->peer.trouble[0]
                 ? daemon->peer.trouble
                 : sf_reading_status_name(sf_reading_status_at(reading, now.mono_ns)));
    own.has_time = reading->has_time;
    if (own.has_time) {
        own.offset_ns = sf_reading_offset_ns(reading, now.real_ns, now.mono_ns);
        own.error_ns = sf_reading_error_ns(reading, now.mono_ns);
        own.age_ns = now.mono_ns - reading->as_of_mono_ns;
    }
    own.polls = daemon->counters.polls;
    own.answers = daemon->counters.answers;
    own.timeouts = daemon->counters.timeouts;
    own.refused = daemon->counters.refused;
    memcpy(own.last_refusal, daemon->counters.last_refusal, sizeof own.last_refusal);
    ret[n++] = own;
    for (uint32_t i = 0; i < daemon->source_count && n < max; i++) {
        const struct sf_chrony_source *source = &daemon->sources[i];
        struct sf_clock_server out = {.kind = SF_CLOCK_CHRONY, .stratum = source->stratum};
        snprintf(out.name, sizeof out.name, "%s", daemon->peer.spec.text);
        snprintf(out.address, sizeof out.address, "%s", source->address);
        snprintf(out.state, sizeof out.state, "%s", sf_chrony_state_name(source->state));
        out.has_time = source->since_s != UINT32_MAX;
        /* chronyd measures its sources against the clock as it would be after the correction. */
        out.offset_ns = own.offset_ns + source->offset_ns;
        out.error_ns = source->error_ns;
        out.age_ns = out.has_time
                         ? source->since_s * SF_NS_PER_S + now.mono_ns - daemon->heard_mono_ns[i]
                         : 0;
        ret[n++] = out;
    }
    return n;
}
