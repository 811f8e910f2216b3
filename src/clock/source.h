/* clock/source.h - what the drivers of network sources share: the environment that they are polled
 * in, when to ask next, where the peer is. Each such source is a small state machine with at most
 * one question under way. Nothing blocks. The clock thread only.
 *
 *                       due: ask                    answer
 *             +------------------------> waiting --------------> idle, next question
 *             |                             |                    after the interval
 *           idle                            |
 *             ^                             | no answer for 1 s, or refused by the peer
 *             +-----------------------------+
 *              the interval doubles; after 2 failures another address,
 *              after 8 the name is looked up again */
#ifndef SF_CLOCK_SOURCE_H
#define SF_CLOCK_SOURCE_H

#include "base/clock_source.h"
#include "base/log.h"
#include "base/random.h"
#include "base/ticks.h"
#include "clock/net.h"

#define SF_SOURCE_TIMEOUT_NS     SF_NS_PER_S
#define SF_SOURCE_FAST_NS        (2 * SF_NS_PER_S) /* at least this often while the worker cannot mint */
#define SF_SOURCE_BACKOFF_MAX    4                 /* times the poll interval */
#define SF_SOURCE_BURST          4                 /* polls in quick succession at the start */
#define SF_SOURCE_BURST_NS       (SF_NS_PER_S / 4)
#define SF_SOURCE_STALE_POLLS    3
#define SF_SOURCE_HOLDOVER_POLLS 225 /* 15 minutes at the default of 4 s */

struct sf_source_env {
    const struct sf_ticks *ticks;
    struct sf_log *log;   /* NULL: silent */
    struct sf_prng prng;  /* jitter */
    int64_t poll_ns;
    int wake_fd;          /* made readable when a lookup is done */
    bool fast;            /* the worker cannot mint: ask more often */
};

/* Both clocks of one moment. */
struct sf_clock_now {
    int64_t real_ns, mono_ns;
};
/* Reads them as closely together as the scheduler allows. */
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
    size_t address;               /* the one that is asked */
    struct sf_net_lookup *lookup; /* under way; NULL: none */
    bool look_again;              /* the addresses that are there go on being asked meanwhile */
    char trouble[48];             /* why there is no answer; "": there is */
};

/* A question has ended at mono_ns: sets when the next is due. */
void sf_source_next(struct sf_source_pace *pace, struct sf_source_env *env, int64_t mono_ns, bool failed);
/* The address to ask now; NULL while there is none (a lookup may be under way, the pace is set). */
const struct sf_net_address *sf_source_address(struct sf_source_peer *peer, struct sf_source_pace *pace,
                                               struct sf_source_env *env, int64_t mono_ns);
/* After a failure that sf_source_next has counted: another address, or a new lookup. */
void sf_source_failed(struct sf_source_peer *peer, const struct sf_source_pace *pace);
/* Counts an answer that was not believed. */
void sf_source_refused(struct sf_source_counters *counters, const char *why);
/* No longer wanted: gives a lookup up. */
void sf_source_leave(struct sf_source_peer *peer);

#endif
