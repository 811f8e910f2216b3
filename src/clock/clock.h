/* clock/clock.h - the clock of one worker: a thread that asks the time sources, judges the answers
 * and publishes minting time.
 *
 * The kinds of sources are the rows of base/clock_source.h, each with its driver (clock/driver.h).
 * What the readings mean for minting is decided by clock/policy; this is the shell around it.
 *
 * Threads: create, start, destroy by one thread. Everything else from any thread; nothing blocks (a
 * mutex held for the copy). */
#ifndef SF_CLOCK_CLOCK_H
#define SF_CLOCK_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/ticks.h"
#include "clock/minttime.h"
#include "clock/policy.h"
#include "clock/snapshot.h"

struct sf_clock;

/* Called on the clock's thread (and once from sf_clock_start) when the state has changed. Must not
 * block nor call destroy. */
typedef void sf_clock_notify(void *ctx, const struct sf_clock_verdict *verdict);

struct sf_clock_options {
    /* Copied. None: the wall clock is believed, checked against the coordinator's time. */
    const struct sf_clock_specs *sources;
    uint32_t poll_ms; /* 1 or more */
    uint32_t warn_offset_ms, max_offset_ms;
    bool require_sync;
    struct sf_log *log;           /* steps, and without notify changes of state; NULL: silent */
    const struct sf_ticks *ticks; /* NULL: the machine's */
    sf_clock_notify *notify;      /* NULL: none */
    void *notify_ctx;
};

/* Checks and copies the options. Asks nothing yet. Returns 0, -EINVAL with the value named, -ENOMEM,
 * or what eventfd(2) gives. */
int sf_clock_create(const struct sf_clock_options *options, struct sf_clock **ret_clock,
                    struct sf_error *err);

/* Makes the first verdict from what can be known at once (kernel, wall clock), publishes it, and
 * starts the thread. Returns 0 or a negative errno code. Takes milliseconds at most: no name is
 * resolved and no answer waited for. */
int sf_clock_start(struct sf_clock *clock, struct sf_error *err);

/* Stops the thread, frees. NULL is fine. Does not wait for a name server. */
void sf_clock_destroy(struct sf_clock *clock);

/* Minting time, for sf_minttime_read. All zero until the first verdict that allows minting; lives
 * as long as the clock. */
const struct sf_minttime_cell *sf_clock_cell(const struct sf_clock *clock);

/* A timestamp of the coordinator's: server_ms +- error_ms was its time when CLOCK_MONOTONIC read
 * mono_ns. Also confirms steps while the worker is suspended, so go on feeding it. */
void sf_clock_coordinator_time(struct sf_clock *clock, int64_t server_ms, int64_t error_ms,
                               int64_t mono_ns);

/* The highest timestamp minted (Unix ms). Optional: without it, minting time when minting stopped
 * is taken for it. */
void sf_clock_minted(struct sf_clock *clock, int64_t minted_ms);

/* The verdict as of the last look (at most some 250 ms ago). */
void sf_clock_verdict(struct sf_clock *clock, struct sf_clock_verdict *ret_verdict);

/* Milliseconds since the thread last turned. For /livez. */
int64_t sf_clock_stall_ms(struct sf_clock *clock);

/* Unix nanoseconds between which true time surely lies now. Without a synchronised source
 * (synchronized false): by the coordinator's time, or the wall clock +- 16 s (what the kernel calls
 * unknown), with source none. */
struct sf_clock_interval {
    int64_t earliest_ns, latest_ns;
    int64_t offset_ns; /* true time minus wall clock */
    int64_t error_ns;
    enum sf_clock_kind source;
    bool synchronized;
};
void sf_clock_interval(struct sf_clock *clock, struct sf_clock_interval *ret_interval);

/* Everything that can be shown, as of the last look. */
void sf_clock_snapshot(struct sf_clock *clock, struct sf_clock_snapshot *ret_snapshot);

#endif
