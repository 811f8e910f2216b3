/* May this worker be sent requests, and if not, why. */
#include "worker/readiness.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/parse.h"

const char *sf_check_name(enum sf_check check)
{
    static const char *const names[SF_CHECKS] = {"slot", "reservation", "clock", "drain", "shards"};
    return check < SF_CHECKS ? names[check] : "unknown";
}

static void put(struct sf_readiness *readiness, enum sf_check check, bool ok, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

static void put(struct sf_readiness *readiness, enum sf_check check, bool ok, const char *format,
                ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(readiness->checks[check].text, SF_CHECK_TEXT_MAX, format, args);
    va_end(args);
    readiness->checks[check].ok = ok;
    readiness->checks[check].note = false;
    readiness->ready = readiness->ready && ok;
}

static void judge_reservation(const struct sf_readiness_facts *facts, struct sf_readiness *ret)
{
    char left[SF_DURATION_TEXT_MAX], silent[SF_DURATION_TEXT_MAX];
    const int64_t left_ms = facts->reservation_left_ms;
    sf_format_duration_ms(left_ms > 0 ? left_ms : 0, left, sizeof left);
    sf_format_duration_ms(facts->coordinator_silent_ms, silent, sizeof silent);
    if (left_ms <= 0 && !facts->slot_held)
        put(ret, SF_CHECK_RESERVATION, false, "none");
    else if (left_ms <= 0)
        put(ret, SF_CHECK_RESERVATION, false, "used up%s%s",
            facts->coordinator_connected ? "" : ", coordinator unreachable for ",
            facts->coordinator_connected ? "" : silent);
    else if (facts->coordinator_connected)
        put(ret, SF_CHECK_RESERVATION, true, "%s left", left);
    else {
        put(ret, SF_CHECK_RESERVATION, left_ms > facts->reservation_needed_ms,
            "%s left, coordinator unreachable for %s", left, silent);
        ret->checks[SF_CHECK_RESERVATION].note = true;
    }
}

void sf_readiness_judge(const struct sf_readiness_facts *facts, struct sf_readiness *ret)
{
    ret->ready = true;
    if (facts->slot_held)
        put(ret, SF_CHECK_SLOT, true, "%" PRIu64 "/%" PRIu64 ", fence %" PRIu64, facts->datacenter,
            facts->worker, facts->fence);
    else
        put(ret, SF_CHECK_SLOT, false, "%s", facts->slot_text);
    judge_reservation(facts, ret);
    put(ret, SF_CHECK_CLOCK, facts->clock_ok, "%s", facts->clock_text);
    put(ret, SF_CHECK_DRAIN, !facts->draining, "%s",
        facts->draining ? facts->drain_text : "not draining");
    if (facts->shards_stalled > 0)
        put(ret, SF_CHECK_SHARDS, false, "%u of %u stalled", facts->shards_stalled, facts->shards);
    else
        put(ret, SF_CHECK_SHARDS, true, "%u turning", facts->shards);
}
