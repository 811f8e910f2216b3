/* clock/source.h - the pollers of the clock thread: one NTP server, one chronyd. Each is a small
 * state machine with at most one question under way, driven by turn (time has passed) and readable
 * (its socket has something). Nothing blocks. The clock thread only.
 *
 *              due                     answer: next poll with jitter
 *   idle ---------------> waiting ---------------------------------------> idle
 *    ^ no address: lookup    | 1 s without an answer, or refused by the peer: backoff x2, next
 * address
 *    +-----------------------+
 */
#ifndef SF_CLOCK_SOURCE_H
#define SF_CLOCK_SOURCE_H

#include "base/log.h"
#include "base/random.h"
#include "base/ticks.h"
#include "clock/chrony_packet.h"
#include "clock/clock.h"
#include "clock/net.h"
#include "clock/ntp_filter.h"
#include "clock/ntp_packet.h"
#include "clock/select.h"
#include "clock/spec.h"

#define SF_SOURCE_TIMEOUT_NS SF_NS_PER_S
#define SF_SOURCE_FAST_NS                                                                          \
    (2 * SF_NS_PER_S)              /* polls at least this often while the worker cannot mint */
#define SF_SOURCE_BACKOFF_MAX    4 /* times the poll interval */
#define SF_SOURCE_BURST          4 /* polls in quick succession at the start */
#define SF_SOURCE_BURST_NS       (SF_NS_PER_S / 4)
#define SF_SOURCE_STALE_POLLS    3
#define SF_SOURCE_HOLDOVER_POLLS 225 /* 15 minutes at the default of 4 s */
#define SF_CHRONY_SOURCES_MAX    16

struct sf_source_env {
    const struct sf_ticks *ticks;
    struct sf_log *log;
    struct sf_prng prng; /* jitter */
    int64_t poll_ns;
    int wake_fd;
    bool fast; /* the worker cannot mint: ask more often */
};

/* Both clocks of one moment. */
struct sf_clock_now {
    int64_t real_ns, mono_ns;
};
struct sf_clock_now sf_clock_read_now(const struct sf_ticks *ticks);

/* When to ask next. */
struct sf_source_pace {
    int64_t due_mono_ns;
    unsigned failures; /* in a row */
    unsigned burst_left;
    unsigned slower; /* RATE kisses: doubles the interval each */
};

struct sf_source_counters {
    uint64_t polls, answers, timeouts, refused, kisses;
    char last_refusal[24];
};

/* Where a peer is, found anew after failures. */
struct sf_source_peer {
    struct sf_clock_spec spec;
    struct sf_net_addresses addresses;
    size_t address;
    struct sf_net_lookup *lookup;
    bool look_again;  /* the addresses that are there go on being asked meanwhile */
    char trouble[48]; /* why there is no answer */
};

struct sf_ntp_server {
    struct sf_source_peer peer;
    struct sf_source_pace pace;
    struct sf_source_counters counters;
    int fd; /* -1: idle */
    int64_t deadline_mono_ns;
    struct sf_ntp_request request;
    uint64_t last_transmit;
    struct sf_ntp_filter filter;
    bool heard, tried;
    int64_t good_mono_ns;
    uint8_t stratum;
    char stopped[8]; /* the kiss code that ended it */
    bool falseticker, counted;
};

struct sf_chrony_daemon {
    struct sf_source_peer peer;
    struct sf_source_pace pace;
    struct sf_source_counters counters;
    int fd; /* -1: idle */
    char own_path[SF_NET_PATH_MAX];
    int64_t sent_mono_ns, deadline_mono_ns;
    enum sf_chrony_command asked;
    uint32_t sequence, asked_index;
    struct sf_reading reading;
    bool has_reference;
    int64_t reference_ns, reference_mono_ns; /* when the reference time last moved */
    uint32_t source_total;                   /* as chronyd says in this round */
    uint32_t source_count;                   /* heard of; those below it are filled */
    struct sf_chrony_source sources[SF_CHRONY_SOURCES_MAX];
    int64_t heard_mono_ns[SF_CHRONY_SOURCES_MAX];
};

void sf_ntp_server_init(struct sf_ntp_server *server, const struct sf_clock_spec *spec);
void sf_ntp_server_end(struct sf_ntp_server *server);
void sf_ntp_server_turn(struct sf_ntp_server *server, struct sf_source_env *env);
void sf_ntp_server_readable(struct sf_ntp_server *server, struct sf_source_env *env);
/* When it wants its next turn. */
int64_t sf_ntp_server_due_mono_ns(const struct sf_ntp_server *server);
void sf_ntp_server_describe(const struct sf_ntp_server *server, struct sf_clock_now now,
                            struct sf_clock_server *ret);

/* What all NTP servers say together. `last` is the reading before, for holdover. Marks
 * falsetickers. */
void sf_ntp_group_read(struct sf_ntp_server *servers, size_t count, const struct sf_source_env *env,
                       int64_t mono_ns, const struct sf_reading *last, struct sf_reading *ret);

void sf_chrony_daemon_init(struct sf_chrony_daemon *daemon, const struct sf_clock_spec *spec);
void sf_chrony_daemon_end(struct sf_chrony_daemon *daemon);
void sf_chrony_daemon_turn(struct sf_chrony_daemon *daemon, struct sf_source_env *env);
void sf_chrony_daemon_readable(struct sf_chrony_daemon *daemon, struct sf_source_env *env);
int64_t sf_chrony_daemon_due_mono_ns(const struct sf_chrony_daemon *daemon);
/* Its sources, and itself first; returns how many were filled. */
size_t sf_chrony_daemon_describe(const struct sf_chrony_daemon *daemon, struct sf_clock_now now,
                                 struct sf_clock_server *ret, size_t max);

/* A TRACKING reply as a reading (pure). now: when it arrived; sent: when it was asked for. */
void sf_chrony_interpret(struct sf_chrony_daemon *daemon, const struct sf_chrony_tracking *tracking,
                         int64_t poll_ns, struct sf_clock_now now, int64_t sent_mono_ns);

/* Shared by both. */
void sf_source_next(struct sf_source_pace *pace, struct sf_source_env *env, int64_t mono_ns,
                    bool failed);
/* The address to ask now; NULL while there is none (a lookup may be under way, the pace is set). */
const struct sf_net_address *sf_source_address(struct sf_source_peer *peer,
                                               struct sf_source_pace *pace,
                                               struct sf_source_env *env, int64_t mono_ns);
/* After a failure: another address, or a new lookup. */
void sf_source_failed(struct sf_source_peer *peer, const struct sf_source_pace *pace);
void sf_source_refused(struct sf_source_counters *counters, const char *why);

#endif
