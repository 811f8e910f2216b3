/* clock/policy.c - one look: what is found, what follows for the state and for minting time. */
#include "clock/policy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/ticks.h"

#define STEP_MIN_NS            INT64_C(500000) /* two clock reads in a row are closer than this */
#define SMALL_NS               (10 * SF_NS_PER_MS) /* smaller differences are always slewed */
#define CHURN_NS               INT64_C(100000) /* smaller changes of a slew are not worth publishing */
#define RESYNC_HOLD_NS         (2 * SF_NS_PER_S)
#define WARN_HOLD_NS           (3 * SF_NS_PER_S)
#define RESYNC_PERCENT         75
#define CALM_PERCENT           80
#define BACK_PERCENT           101 /* a leap second and what was slewed before it, by the default */
#define COORDINATOR_MAX_AGE_NS (600 * SF_NS_PER_S)
#define UNKNOWN_ERROR_NS       (16 * SF_NS_PER_S) /* the kernel's own word for "no idea" */

enum severity { GOOD, WARNING, BAD };

/* What one look has found. */
struct look {
    const struct sf_policy_input *in;
    int64_t warn_ns, max_ns; /* with hysteresis */
    bool waiting;            /* the first answer of a network source is still awaited */
    bool synchronized;       /* a source says where true time is */
    bool verified;           /* a source, or the coordinator, has the wall clock within max_ns */
    enum severity severity;
    enum severity shown_severity;
    const struct sf_reading *shown; /* the worst reading with a time */
    int64_t shown_value_ns;
    bool coordinator;
    int64_t coordinator_offset_ns, coordinator_error_ns;
    char reason[200];
};

/* "+312 ms", "-0.042 ms", "+3600 s"; without the sign where it means nothing. */
#define DURATION_MAX 32
static const char *duration(int64_t ns, bool sign, char to[DURATION_MAX])
{
    const int64_t size = sf_clock_abs_ns(ns);
    const char *mark = !sign ? "" : ns < 0 ? "-" : "+";
    if (size < 10 * SF_NS_PER_MS)
        snprintf(to, DURATION_MAX, "%s%.3f ms", mark, (double)size / 1e6);
    else if (size < 10 * SF_NS_PER_S)
        snprintf(to, DURATION_MAX, "%s%" PRId64 " ms", mark, size / SF_NS_PER_MS);
    else
        snprintf(to, DURATION_MAX, "%s%" PRId64 " s", mark, size / SF_NS_PER_S);
    return to;
}

/* Raises the severity; the first reason of the highest severity is told. */
__attribute__((format(printf, 3, 4))) static void found(struct look *look, enum severity severity,
                                                        const char *format, ...)
{
    va_list args;
    if (severity <= look->severity)
        return;
    look->severity = severity;
    va_start(args, format);
    vsnprintf(look->reason, sizeof look->reason, format, args);
    va_end(args);
}

static bool minting(const struct sf_policy *policy)
{
    return policy->state == SF_CLOCK_OK || policy->state == SF_CLOCK_WARN;
}

/* A reading that tells a time: is the wall clock near enough to it? Returns how bad it is. */
static enum severity judge_time(const struct sf_policy *policy, struct look *look,
                                const struct sf_reading *reading, enum sf_reading_status status,
                                int64_t offset_ns, int64_t error_ns)
{
    const char *kind = sf_clock_kind_name(reading->kind);
    const int64_t value_ns = sf_clock_add_ns(sf_clock_abs_ns(offset_ns), error_ns);
    /* The kernel's bound and that of a silent source grow by rote: alone, they mean "not known",
     * not "wrong". */
    const bool witness = sf_clock_kind_row(reading->kind)->witness;
    const bool by_rote = !witness || status == SF_READING_HOLDOVER;
    const int64_t wrong_ns = by_rote ? sf_clock_abs_ns(offset_ns) : value_ns;
    const enum severity unknown = policy->options.require_sync ? BAD : WARNING;
    char text[DURATION_MAX];
    if (wrong_ns > look->max_ns) {
        found(look, BAD, "%s: over max_offset_ms %" PRId64, kind,
              policy->options.max_ns / SF_NS_PER_MS);
        return BAD;
    }
    if (value_ns > look->max_ns) {
        found(look, unknown, "%s: bound %s is over max_offset_ms %" PRId64, kind,
              duration(error_ns, false, text), policy->options.max_ns / SF_NS_PER_MS);
        return unknown;
    }
    look->synchronized = true;
    look->verified = true;
    if (status == SF_READING_HOLDOVER)
        found(look, WARNING, "%s: holdover, %s", kind, reading->text);
    /* What the kernel added to its bound before we looked is unknown: no reason to alert. */
    const int64_t warned_ns = witness ? value_ns : wrong_ns;
    if (warned_ns > look->warn_ns)
        found(look, WARNING, "%s: over warn_offset_ms %" PRId64, kind,
              policy->options.warn_ns / SF_NS_PER_MS);
    return status == SF_READING_HOLDOVER || warned_ns > look->warn_ns ? WARNING : GOOD;
}

static void judge_without_time(const struct sf_policy *policy, struct look *look,
                               const struct sf_reading *reading, enum sf_reading_status status)
{
    const struct sf_policy_input *in = look->in;
    const bool witness = sf_clock_kind_row(reading->kind)->witness;
    if (status == SF_READING_NONE && witness && policy->state == SF_CLOCK_RESYNCING &&
        sf_clock_sub_ns(in->mono_ns, policy->start_mono_ns) < policy->options.start_grace_ns) {
        look->waiting = true;
        return;
    }
    found(look,
          policy->options.require_sync ? BAD
          : witness                    ? WARNING
                                       : GOOD,
          "%s: %s%s%s", sf_clock_kind_name(reading->kind),
          status == SF_READING_UNSYNCED ? "unsynchronised" : sf_reading_status_name(status),
          reading->text[0] != '\0' ? ", " : "", reading->text);
}

static void judge_readings(const struct sf_policy *policy, struct look *look)
{
    const struct sf_policy_input *in = look->in;
    for (size_t i = 0; i < in->reading_count; i++) {
        const struct sf_reading *reading = &in->readings[i];
        const enum sf_reading_status status = sf_reading_status_at(reading, in->mono_ns);
        if (!reading->has_time || (status != SF_READING_SYNCED && status != SF_READING_HOLDOVER)) {
            judge_without_time(policy, look, reading, status);
            continue;
        }
        const int64_t offset_ns = sf_reading_offset_ns(reading, in->real_ns, in->mono_ns);
        const int64_t error_ns = sf_reading_error_ns(reading, in->mono_ns);
        const int64_t value_ns = sf_clock_add_ns(sf_clock_abs_ns(offset_ns), error_ns);
        const enum severity severity =
            judge_time(policy, look, reading, status, offset_ns, error_ns);
        if (look->shown == NULL || severity > look->shown_severity ||
            (severity == look->shown_severity && value_ns > look->shown_value_ns)) {
            look->shown = reading;
            look->shown_severity = severity;
            look->shown_value_ns = value_ns;
        }
    }
}

/* The coordinator's time is a second opinion where there are sources, and the only one where there
 * are none. */
static void judge_coordinator(const struct sf_policy *policy, struct look *look)
{
    const struct sf_coordinator_time *c = &look->in->coordinator;
    const int64_t age_ns = sf_clock_sub_ns(look->in->mono_ns, c->mono_ns);
    char text[DURATION_MAX];
    if (!c->known || age_ns > COORDINATOR_MAX_AGE_NS)
        return;
    look->coordinator = true;
    look->coordinator_error_ns = sf_clock_add_ns(c->error_ns, sf_clock_drift_ns(age_ns));
    look->coordinator_offset_ns =
        sf_clock_sub_ns(sf_clock_add_ns(c->server_ns, age_ns), look->in->real_ns);
    const int64_t away_ns =
        sf_clock_sub_ns(sf_clock_abs_ns(look->coordinator_offset_ns), look->coordinator_error_ns);
    look->verified = look->verified || away_ns <= look->max_ns;
    if (away_ns > look->max_ns)
        found(look, look->synchronized ? WARNING : BAD,
              "the coordinator's clock is %s from ours, over max_offset_ms %" PRId64,
              duration(look->coordinator_offset_ns, true, text),
              policy->options.max_ns / SF_NS_PER_MS);
    else if (away_ns > look->warn_ns)
        found(look, WARNING,
              "the coordinator's clock is %s from ours, over warn_offset_ms %" PRId64,
              duration(look->coordinator_offset_ns, true, text),
              policy->options.warn_ns / SF_NS_PER_MS);
}

static int64_t highest_minted_ns(const struct sf_policy *policy, const struct sf_policy_input *in)
{
    return in->minted_ns != INT64_MIN ? in->minted_ns : policy->minted_ns;
}

/* Does minting time fit the wall clock? */
static void judge_minting(const struct sf_policy *policy, struct look *look)
{
    const struct sf_policy_input *in = look->in;
    const int64_t max_ns = policy->options.max_ns;
    char text[DURATION_MAX];
    if (!policy->has_mint)
        return;
    const int64_t ahead_ns =
        sf_clock_sub_ns(in->real_ns, sf_minttime_at(&policy->mint, in->mono_ns));
    if (ahead_ns > max_ns && (look->severity == BAD || !look->verified))
        found(look, BAD, "the wall clock has gone %s forward, and nothing confirms it",
              duration(ahead_ns, false, text));
    if (minting(policy)) {
        if (ahead_ns < -(max_ns / 100 * BACK_PERCENT))
            found(look, BAD, "the wall clock has gone %s back, over max_offset_ms %" PRId64,
                  duration(ahead_ns, false, text), max_ns / SF_NS_PER_MS);
        return;
    }
    const int64_t minted_ahead_ns = sf_clock_sub_ns(highest_minted_ns(policy, in), in->real_ns);
    if (minted_ahead_ns > max_ns)
        found(look, BAD, "IDs were minted up to %s ahead of the wall clock",
              duration(minted_ahead_ns, false, text));
}

static void detect_step(struct sf_policy *policy, const struct sf_policy_input *in,
                        struct sf_policy_output *ret)
{
    const int64_t difference_ns = sf_clock_sub_ns(in->real_ns, in->mono_ns);
    const int64_t step_ns = sf_clock_sub_ns(difference_ns, policy->difference_ns);
    if (policy->has_difference && sf_clock_abs_ns(step_ns) >= STEP_MIN_NS) {
        ret->step_ns = step_ns;
        if (step_ns > 0)
            policy->steps_forward++;
        else
            policy->steps_backward++;
    }
    policy->has_difference = true;
    policy->difference_ns = difference_ns;
}

/* Minting time for a worker that begins to mint (again). */
static void begin_minting(struct sf_policy *policy, const struct sf_policy_input *in)
{
    const int64_t minted_ns = highest_minted_ns(policy, in);
    if (!policy->has_mint) {
        sf_minttime_start(&policy->mint, in->mono_ns, in->real_ns);
        policy->has_mint = true;
        return;
    }
    const int64_t behind_ns =
        sf_clock_sub_ns(sf_minttime_at(&policy->mint, in->mono_ns), in->real_ns);
    if (behind_ns > policy->options.max_ns) /* it ran ahead, but nothing was minted there */
        sf_minttime_start(&policy->mint, in->mono_ns,
                          minted_ns > in->real_ns ? minted_ns : in->real_ns);
    else if (behind_ns < 0)
        sf_minttime_step_forward(&policy->mint, in->mono_ns, -behind_ns);
}

/* The one place where the state changes. Graph in policy.h. */
static void move(struct sf_policy *policy, enum sf_clock_state to, const struct sf_policy_input *in,
                 struct sf_policy_output *ret)
{
    static const bool allowed[SF_CLOCK_STATES][SF_CLOCK_STATES] = {
        [SF_CLOCK_RESYNCING] =
            {[SF_CLOCK_OK] = true, [SF_CLOCK_WARN] = true, [SF_CLOCK_SUSPENDED] = true},
        [SF_CLOCK_OK] = {[SF_CLOCK_WARN] = true, [SF_CLOCK_SUSPENDED] = true},
        [SF_CLOCK_WARN] = {[SF_CLOCK_OK] = true, [SF_CLOCK_SUSPENDED] = true},
        [SF_CLOCK_SUSPENDED] = {[SF_CLOCK_RESYNCING] = true}};
    SF_ASSERT(allowed[policy->state][to]);
    if (policy->state == SF_CLOCK_RESYNCING && to != SF_CLOCK_SUSPENDED) {
        begin_minting(policy, in);
        ret->mint_changed = true;
    }
    if (to == SF_CLOCK_SUSPENDED) {
        policy->was_suspended = true;
        if (minting(policy))
            policy->minted_ns = sf_minttime_at(&policy->mint, in->mono_ns);
    }
    policy->state = to;
    policy->calm = false;
    ret->state_changed = true;
}

/* True when it has been calm for this long. */
static bool calm_for(struct sf_policy *policy, int64_t mono_ns, int64_t hold_ns)
{
    if (!policy->calm) {
        policy->calm = true;
        policy->calm_since_mono_ns = mono_ns;
    }
    return sf_clock_sub_ns(mono_ns, policy->calm_since_mono_ns) >= hold_ns;
}

static void next_state(struct sf_policy *policy, const struct look *look,
                       struct sf_policy_output *ret)
{
    const struct sf_policy_input *in = look->in;
    const enum sf_clock_state working = look->severity == WARNING ? SF_CLOCK_WARN : SF_CLOCK_OK;
    if (look->severity == BAD) {
        if (policy->state != SF_CLOCK_SUSPENDED)
            move(policy, SF_CLOCK_SUSPENDED, in, ret);
        return;
    }
    switch (policy->state) {
    case SF_CLOCK_SUSPENDED:
        move(policy, SF_CLOCK_RESYNCING, in, ret);
        calm_for(policy, in->mono_ns, 0);
        break;
    case SF_CLOCK_RESYNCING:
        if (!look->waiting &&
            calm_for(policy, in->mono_ns, policy->was_suspended ? RESYNC_HOLD_NS : 0))
            move(policy, working, in, ret);
        break;
    case SF_CLOCK_OK:
        if (working == SF_CLOCK_WARN)
            move(policy, SF_CLOCK_WARN, in, ret);
        break;
    case SF_CLOCK_WARN:
        if (working == SF_CLOCK_WARN)
            policy->calm = false;
        else if (calm_for(policy, in->mono_ns, WARN_HOLD_NS))
            move(policy, SF_CLOCK_OK, in, ret);
        break;
    case SF_CLOCK_STATES:
        SF_ASSERT(false);
    }
}

/* Minting time is surely behind true time, and the wall clock, further on, is not surely ahead of
 * it. */
static bool surely_behind(const struct sf_clock_verdict *verdict, int64_t mint_ns, int64_t real_ns)
{
    return verdict->trusted && mint_ns < verdict->trusted_low_ns &&
           real_ns <= verdict->trusted_high_ns;
}

/* While minting: bends minting time towards the wall clock, or follows a confirmed step forward. */
static void correct_minting(struct sf_policy *policy, const struct sf_policy_input *in,
                            struct sf_policy_output *ret)
{
    const int64_t mint_ns = sf_minttime_at(&policy->mint, in->mono_ns);
    const int64_t ahead_ns = sf_clock_sub_ns(in->real_ns, mint_ns);
    const int64_t pending_ns = sf_minttime_pending(&policy->mint, in->mono_ns);
    if (ahead_ns > policy->options.max_ns ||
        (ahead_ns > SMALL_NS && surely_behind(&ret->verdict, mint_ns, in->real_ns))) {
        sf_minttime_step_forward(&policy->mint, in->mono_ns, ahead_ns);
        sf_minttime_slew(&policy->mint, in->mono_ns, 0);
        ret->mint_changed = true;
    } else if (sf_clock_abs_ns(sf_clock_sub_ns(ahead_ns, pending_ns)) > CHURN_NS) {
        sf_minttime_slew(&policy->mint, in->mono_ns, ahead_ns);
        ret->mint_changed = true;
    }
}

/* Narrows the trusted bounds by one more interval; one that does not touch them is left out. */
static void trust(struct sf_clock_verdict *verdict, enum sf_clock_kind source, int64_t middle_ns,
                  int64_t error_ns)
{
    const int64_t low_ns = sf_clock_sub_ns(middle_ns, error_ns);
    const int64_t high_ns = sf_clock_add_ns(middle_ns, error_ns);
    if (!verdict->trusted) {
        verdict->trusted = true;
        verdict->trusted_source = source;
        verdict->trusted_low_ns = low_ns;
        verdict->trusted_high_ns = high_ns;
    } else if (low_ns <= verdict->trusted_high_ns && high_ns >= verdict->trusted_low_ns) {
        if (low_ns > verdict->trusted_low_ns)
            verdict->trusted_low_ns = low_ns;
        if (high_ns < verdict->trusted_high_ns)
            verdict->trusted_high_ns = high_ns;
    }
}

static void fill_trusted(const struct look *look, struct sf_clock_verdict *verdict)
{
    const struct sf_policy_input *in = look->in;
    verdict->trusted_mono_ns = in->mono_ns;
    for (unsigned rank = 1; rank < SF_CLOCK_KINDS; rank++) {
        for (size_t i = 0; i < in->reading_count; i++) {
            const struct sf_reading *reading = &in->readings[i];
            const enum sf_reading_status status = sf_reading_status_at(reading, in->mono_ns);
            if (sf_clock_kind_row(reading->kind)->trust == rank && reading->has_time &&
                (status == SF_READING_SYNCED || status == SF_READING_HOLDOVER))
                trust(verdict, reading->kind, sf_clock_add_ns(reading->base_ns, in->mono_ns),
                      sf_reading_error_ns(reading, in->mono_ns));
        }
    }
    if (!verdict->trusted && look->coordinator)
        trust(verdict, SF_CLOCK_COORDINATOR,
              sf_clock_add_ns(in->real_ns, look->coordinator_offset_ns),
              look->coordinator_error_ns);
}

static void fill_text(const struct look *look, struct sf_clock_verdict *verdict)
{
    char offset[DURATION_MAX], error[DURATION_MAX], servers[32] = "";
    int n;
    if (look->shown != NULL && look->shown->sources > 0)
        snprintf(servers, sizeof servers, ", %" PRIu32 " server%s", look->shown->sources,
                 look->shown->sources == 1 ? "" : "s");
    if (look->waiting && look->severity < BAD)
        n = snprintf(verdict->text, sizeof verdict->text, "waiting for the first answer");
    else if (verdict->source == SF_CLOCK_NONE)
        n = snprintf(verdict->text, sizeof verdict->text, "no synchronised source");
    else
        n = snprintf(verdict->text, sizeof verdict->text, "offset %s (%s%s), bound %s",
                     duration(verdict->offset_ns, true, offset),
                     sf_clock_kind_name(verdict->source), servers,
                     duration(verdict->error_ns, false, error));
    if (look->reason[0] != '\0')
        snprintf(verdict->text + n, sizeof verdict->text - (size_t)n, "; %s", look->reason);
    else if (verdict->state == SF_CLOCK_RESYNCING && !look->waiting)
        snprintf(verdict->text + n, sizeof verdict->text - (size_t)n, "; resyncing");
}

static void fill_verdict(const struct sf_policy *policy, const struct look *look,
                         struct sf_clock_verdict *verdict)
{
    const struct sf_policy_input *in = look->in;
    verdict->state = policy->state;
    verdict->may_mint = minting(policy);
    verdict->synchronized = look->synchronized;
    verdict->error_ns = UNKNOWN_ERROR_NS;
    if (look->shown != NULL) {
        verdict->source = look->shown->kind;
        verdict->offset_ns = sf_reading_offset_ns(look->shown, in->real_ns, in->mono_ns);
        verdict->error_ns = sf_reading_error_ns(look->shown, in->mono_ns);
    } else if (look->coordinator) {
        verdict->source = SF_CLOCK_COORDINATOR;
        verdict->offset_ns = look->coordinator_offset_ns;
        verdict->error_ns = look->coordinator_error_ns;
    }
    fill_text(look, verdict);
}

void sf_policy_init(struct sf_policy *policy, const struct sf_policy_options *options,
                    int64_t mono_ns)
{
    SF_ASSERT(options->warn_ns > 0 && options->warn_ns <= options->max_ns);
    *policy = (struct sf_policy){.options = *options,
                                 .state = SF_CLOCK_RESYNCING,
                                 .start_mono_ns = mono_ns,
                                 .minted_ns = INT64_MIN};
}

void sf_policy_evaluate(struct sf_policy *policy, const struct sf_policy_input *input,
                        struct sf_policy_output *ret)
{
    struct look look = {
        .in = input, .warn_ns = policy->options.warn_ns, .max_ns = policy->options.max_ns};
    memset(ret, 0, sizeof *ret);
    if (policy->state == SF_CLOCK_WARN)
        look.warn_ns = look.warn_ns / 100 * CALM_PERCENT;
    if (!minting(policy) && policy->was_suspended)
        look.max_ns = look.max_ns / 100 * RESYNC_PERCENT;
    detect_step(policy, input, ret);
    judge_readings(policy, &look);
    judge_coordinator(policy, &look);
    judge_minting(policy, &look);
    fill_trusted(&look, &ret->verdict);
    next_state(policy, &look, ret);
    if (minting(policy))
        correct_minting(policy, input, ret);
    fill_verdict(policy, &look, &ret->verdict);
}

const char *sf_clock_state_name(enum sf_clock_state state)
{
    static const char *const names[SF_CLOCK_STATES] = {"resyncing", "ok", "warn", "suspended"};
    return (unsigned)state < SF_CLOCK_STATES ? names[state] : "unknown";
}
