/* clock/chrony_daemon.c - the driver of one chronyd, asked by its command protocol over UDP or its
 * Unix socket: TRACKING, then how many sources it has, then each of them; one question at a time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "clock/chrony_reading.h"
#include "clock/drivers.h"

#define SOURCES_MAX 16 /* of chronyd's, that are shown */
/* Datagrams looked at in one go: a flood must not hold the thread. */
#define ANSWERS_PER_WAKE_UP 16

struct daemon {
    struct sf_source_peer peer;
    struct sf_source_pace pace;
    struct sf_source_counters counters;
    int fd;                         /* -1: idle */
    char own_path[SF_NET_PATH_MAX]; /* of our end of a Unix socket; "": none */
    int64_t sent_mono_ns, deadline_mono_ns;
    enum sf_chrony_command asked;
    uint32_t sequence, asked_index;
    struct sf_reading reading;
    struct sf_chrony_reference reference;
    uint32_t source_total; /* as chronyd says in this round */
    uint32_t source_count; /* heard of; those below it are filled */
    struct sf_chrony_source sources[SOURCES_MAX];
    int64_t heard_mono_ns[SOURCES_MAX];
};

static void *chrony_open(const struct sf_clock_spec *const *specs, size_t count)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    SF_ASSERT(count == 1);
    if (daemon == NULL)
        return NULL;
    daemon->peer.spec = *specs[0];
    daemon->fd = -1;
    daemon->pace.due_mono_ns = INT64_MIN;
    daemon->reading.kind = SF_CLOCK_CHRONY;
    return daemon;
}

static void hang_up(struct daemon *daemon)
{
    if (daemon->fd >= 0)
        close(daemon->fd);
    if (daemon->own_path[0] != '\0')
        unlink(daemon->own_path);
    daemon->fd = -1;
    daemon->own_path[0] = '\0';
}

static void chrony_close(void *source)
{
    struct daemon *daemon = source;
    hang_up(daemon);
    sf_source_leave(&daemon->peer);
    free(daemon);
}

/* The round of questions has come to its end. */
static void finish(struct daemon *daemon, struct sf_source_env *env, bool failed,
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

static void ask(struct daemon *daemon, struct sf_source_env *env, enum sf_chrony_command command,
                uint32_t index)
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

static void begin(struct daemon *daemon, struct sf_source_env *env, int64_t mono_ns)
{
    int rc;
    if (daemon->peer.spec.path[0] != '\0') {
        if (mono_ns < daemon->pace.due_mono_ns)
            return;
        rc = sf_net_unix(daemon->peer.spec.path, sf_random_u64(), &daemon->fd, daemon->own_path);
    } else {
        const struct sf_net_address *address =
            sf_source_address(&daemon->peer, &daemon->pace, env, mono_ns);
        if (address == NULL || mono_ns < daemon->pace.due_mono_ns)
            return;
        rc = sf_net_udp(address, &daemon->fd);
    }
    daemon->counters.polls++;
    if (rc < 0) {
        daemon->counters.timeouts++;
        finish(daemon, env, true, strerrordesc_np(-rc));
        return;
    }
    ask(daemon, env, SF_CHRONY_TRACKING, 0);
}

static enum sf_chrony_verdict take_tracking(struct daemon *daemon, struct sf_source_env *env,
                                            const uint8_t *packet, size_t size,
                                            struct sf_clock_now now, uint16_t *ret_status)
{
    struct sf_chrony_tracking tracking;
    const enum sf_chrony_verdict verdict =
        sf_chrony_get_tracking(packet, size, daemon->sequence, &tracking, ret_status);
    if (verdict != SF_CHRONY_OK)
        return verdict;
    daemon->counters.answers++;
    daemon->reading =
        sf_chrony_interpret(&daemon->reference, &tracking, env->poll_ns, now, daemon->sent_mono_ns);
    ask(daemon, env, SF_CHRONY_N_SOURCES, 0);
    return SF_CHRONY_OK;
}

/* The next source of the round, or its end. */
static void ask_source(struct daemon *daemon, struct sf_source_env *env, uint32_t index)
{
    if (index < daemon->source_total)
        ask(daemon, env, SF_CHRONY_SOURCE_DATA, index);
    else
        finish(daemon, env, false, "");
}

static enum sf_chrony_verdict take_answer(struct daemon *daemon, struct sf_source_env *env,
                                          const uint8_t *packet, size_t size,
                                          struct sf_clock_now now, uint16_t *ret_status)
{
    enum sf_chrony_verdict verdict;
    uint32_t count = 0;
    if (daemon->asked == SF_CHRONY_TRACKING)
        return take_tracking(daemon, env, packet, size, now, ret_status);
    if (daemon->asked == SF_CHRONY_N_SOURCES) {
        verdict = sf_chrony_get_n_sources(packet, size, daemon->sequence, &count, ret_status);
        if (verdict != SF_CHRONY_OK)
            return verdict;
        daemon->source_total = count < SOURCES_MAX ? count : SOURCES_MAX;
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
static bool take_datagram(struct daemon *daemon, struct sf_source_env *env)
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

static void chrony_poll(void *source, struct sf_source_env *env)
{
    struct daemon *daemon = source;
    for (int i = 0; i < ANSWERS_PER_WAKE_UP && daemon->fd >= 0; i++)
        if (!take_datagram(daemon, env))
            break;
    const int64_t mono_ns = env->ticks->mono_ns(env->ticks->ctx);
    if (daemon->fd < 0) {
        begin(daemon, env, mono_ns);
    } else if (mono_ns >= daemon->deadline_mono_ns) {
        daemon->counters.timeouts++;
        finish(daemon, env, true, "no answer");
    }
}

static size_t chrony_fds(const void *source, struct pollfd *fds)
{
    const struct daemon *daemon = source;
    if (daemon->fd < 0)
        return 0;
    fds[0] = (struct pollfd){.fd = daemon->fd, .events = POLLIN};
    return 1;
}

static int64_t chrony_due_mono_ns(const void *source)
{
    const struct daemon *daemon = source;
    return daemon->fd >= 0 ? daemon->deadline_mono_ns : daemon->pace.due_mono_ns;
}

static void chrony_read(void *source, struct sf_source_env *env, struct sf_reading *ret_reading)
{
    const struct daemon *daemon = source;
    (void)env;
    *ret_reading = daemon->reading;
}

/* chronyd itself. */
static struct sf_clock_server describe_daemon(const struct daemon *daemon, struct sf_clock_now now)
{
    const struct sf_reading *reading = &daemon->reading;
    struct sf_clock_server own = {.kind = SF_CLOCK_CHRONY, .has_time = reading->has_time};
    snprintf(own.name, sizeof own.name, "%s", daemon->peer.spec.text);
    snprintf(own.address, sizeof own.address, "%.*s", (int)sizeof own.address - 1,
             daemon->peer.spec.path);
    if (daemon->peer.addresses.count > 0)
        sf_net_format(&daemon->peer.addresses.list[daemon->peer.address], own.address,
                      sizeof own.address);
    snprintf(own.state, sizeof own.state, "%.*s", (int)sizeof own.state - 1,
             daemon->peer.trouble[0] != '\0'
                 ? daemon->peer.trouble
                 : sf_reading_status_name(sf_reading_status_at(reading, now.mono_ns)));
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
    return own;
}

/* One of its sources. own_offset_ns: chronyd measures its sources against the clock as it would be
 * after the correction. */
static struct sf_clock_server describe_source(const struct daemon *daemon, uint32_t i,
                                              int64_t own_offset_ns, struct sf_clock_now now)
{
    const struct sf_chrony_source *source = &daemon->sources[i];
    struct sf_clock_server out = {.kind = SF_CLOCK_CHRONY,
                                  .stratum = source->stratum,
                                  .has_time = source->since_s != UINT32_MAX,
                                  .offset_ns = own_offset_ns + source->offset_ns,
                                  .error_ns = source->error_ns};
    snprintf(out.name, sizeof out.name, "%s", daemon->peer.spec.text);
    snprintf(out.address, sizeof out.address, "%s", source->address);
    snprintf(out.state, sizeof out.state, "%s", sf_chrony_state_name(source->state));
    if (out.has_time)
        out.age_ns = source->since_s * SF_NS_PER_S + now.mono_ns - daemon->heard_mono_ns[i];
    return out;
}

static size_t chrony_describe(const void *source, struct sf_clock_now now,
                              struct sf_clock_server *ret_servers, size_t max)
{
    const struct daemon *daemon = source;
    size_t n = 0;
    if (max == 0)
        return 0;
    ret_servers[n++] = describe_daemon(daemon, now);
    for (uint32_t i = 0; i < daemon->source_count && n < max; i++)
        ret_servers[n++] = describe_source(daemon, i, ret_servers[0].offset_ns, now);
    return n;
}

const struct sf_clock_driver sf_chrony_driver = {
    .kind = SF_CLOCK_CHRONY,
    .open = chrony_open,
    .close = chrony_close,
    .poll = chrony_poll,
    .fds = chrony_fds,
    .due_mono_ns = chrony_due_mono_ns,
    .read = chrony_read,
    .describe = chrony_describe,
};
