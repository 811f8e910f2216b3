/* clock/policy.h - may this worker mint with its clock, and where should minting time be. Pure:
 * times and readings in, verdict out.
 *
 *   start --> resyncing --good--> ok <-----> warn
 *               ^  |  +--------------------->^
 *          good |  | bad           |         |
 *               |  v               |         |
 *             suspended <----------+---------+ bad
 *
 * ok -> warn: a reading over warn_offset, or a source that is silent or has no majority;
 * warn -> ok: below 80 % of it for 3 s.
 * bad: |offset| + bound over max_offset; no synchronised source where sync is required; a step that
 * nobody confirms; IDs minted further ahead than max_offset. good: none of these, max_offset being
 * counted at 75 % after a suspension. resyncing -> ok, warn: good for 2 s, at the start at once.
 *
 * Wall clock and minting time: differences within max_offset are slewed; a forward one over 10 ms
 * is jumped when the trusted bounds say that minting time is behind and the wall clock is not
 * ahead. A wall clock further ahead is followed in one step once a source (or, without any, the
 * coordinator's time) confirms it; until then, and whenever it lies further behind, the worker is
 * suspended. Leaving suspension makes a new minting time, never below what was minted.
 *
 * One thread. Unix nanoseconds and CLOCK_MONOTONIC nanoseconds; offsets are true time minus wall
 * clock. */
#ifndef SF_CLOCK_POLICY_H
#define SF_CLOCK_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/minttime.h"
#include "clock/reading.h"

enum sf_clock_state {
    SF_CLOCK_RESYNCING,
    SF_CLOCK_OK,
    SF_CLOCK_WARN,
    SF_CLOCK_SUSPENDED,
    SF_CLOCK_STATES
};

#define SF_CLOCK_TEXT_MAX 320

struct sf_policy_options {
    int64_t warn_ns, max_ns; /* on |offset| + error bound; 0 < warn <= max */
    bool require_sync;
    int64_t start_grace_ns; /* how long the first answer of a witness is waited for */
};

/* A timestamp of the coordinator's: its clock read server_ns, give or take error_ns, when the
 * monotonic clock read mono_ns. */
struct sf_coordinator_time {
    bool known;
    int64_t server_ns, error_ns, mono_ns;
};

struct sf_policy_input {
    int64_t real_ns, mono_ns; /* read together */
    const struct sf_reading *readings;
    size_t reading_count; /* one for each configured source; NTP servers share one */
    struct sf_coordinator_time coordinator;
    /* The highest timestamp minted; INT64_MIN: the policy's own estimate (minting time when it
     * stopped). */
    int64_t minted_ns;
};

struct sf_clock_verdict {
    enum sf_clock_state state;
    bool may_mint;     /* ok or warn */
    bool synchronized; /* a source stands behind offset and error */
    enum sf_clock_kind source;
    int64_t offset_ns,
        error_ns; /* of the worst reading that has a time; 0 and the kernel's 16 s without any */
    bool trusted; /* the bounds below hold true time */
    enum sf_clock_kind trusted_source; /* the most trusted of the sources behind them */
    int64_t trusted_low_ns, trusted_high_ns, trusted_mono_ns;
    char text[SF_CLOCK_TEXT_MAX]; /* "offset +312 ms (ntp, 3 servers), bound 4 ms" */
};

struct sf_policy {
    struct sf_policy_options options;
    enum sf_clock_state state;
    bool has_mint;
    bool was_suspended; /* ever: resyncing then takes its time */
    struct sf_minttime mint;
    int64_t start_mono_ns;
    bool calm; /* good (while resyncing) or below the warning (while warning) since then: */
    int64_t calm_since_mono_ns;
    bool has_difference;
    int64_t difference_ns; /* wall clock minus monotonic clock at the last look */
    int64_t minted_ns;     /* minting time when minting stopped */
    uint64_t steps_forward, steps_backward;
};

struct sf_policy_output {
    struct sf_clock_verdict verdict;
    bool state_changed;
    bool mint_changed; /* policy->mint is to be published */
    int64_t step_ns;   /* step of the wall clock seen since the last look; 0: none */
};

void sf_policy_init(struct sf_policy *policy, const struct sf_policy_options *options,
                    int64_t mono_ns);

/* Looks at everything once; to be called every 250 ms or so, and at once after a step. */
void sf_policy_evaluate(struct sf_policy *policy, const struct sf_policy_input *input,
                        struct sf_policy_output *ret);

/* "resyncing", "ok", "warn", "suspended" */
const char *sf_clock_state_name(enum sf_clock_state state);

#endif
