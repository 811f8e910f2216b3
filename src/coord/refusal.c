/* coord/refusal.c - see refusal.h. */
#include "coord/refusal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/parse.h"

struct sf_refusal sf_refusal_make(enum sf_coord_reason reason, const char *format, ...)
{
    struct sf_refusal refusal = {.reason = reason};
    va_list args;
    va_start(args, format);
    vsnprintf(refusal.text, sizeof refusal.text, format, args);
    va_end(args);
    return refusal;
}

struct sf_refusal sf_refusal_no_fleet(const char *root)
{
    return sf_refusal_make(SF_COORD_MISSING,
                           "there is no fleet at %.80s (is the URL's path right?); if there never "
                           "was: snowfleet init --first; if its data is lost, no worker mints: "
                           "snowfleet init --after-data-loss",
                           root);
}

struct sf_refusal sf_refusal_replaced(const char *root)
{
    return sf_refusal_make(SF_COORD_MISSING,
                           "%.120s is another directory than the one that this process began with, "
                           "and it may not look into that: start it again",
                           root);
}

struct sf_refusal sf_refusal_no_datacenter(const char *root, uint64_t datacenter)
{
    return sf_refusal_make(SF_COORD_MISSING,
                           "the fleet at %.120s has no datacenter %" PRIu64
                           " (snowfleet slots shows those that it has)",
                           root, datacenter);
}

struct sf_refusal sf_refusal_config_garbage(const char *root, const char *why)
{
    return sf_refusal_make(SF_COORD_GARBAGE, "%.80s/config is not a config of ours: %.140s", root,
                           why);
}

struct sf_refusal sf_refusal_slot_garbage(const char *root, uint64_t datacenter, uint64_t worker,
                                          const char *why)
{
    return sf_refusal_make(SF_COORD_GARBAGE,
                           "%.80s/dc/%" PRIu64 "/slots/%" PRIu64
                           " is not a slot record of ours: %.110s",
                           root, datacenter, worker, why);
}

struct sf_refusal sf_refusal_claim_gone(const char *name)
{
    return sf_refusal_make(SF_COORD_CLAIM_GONE, "%s is gone", name);
}

struct sf_refusal sf_refusal_claim_written(const char *name)
{
    return sf_refusal_make(SF_COORD_VERSION, "%s was written after it had been read", name);
}

struct sf_refusal sf_refusal_config_changed(uint64_t expected_version)
{
    return sf_refusal_make(SF_COORD_CONFIG_CHANGED,
                           "the fleet's config is no longer at version %" PRIu64, expected_version);
}

struct sf_refusal sf_refusal_current_gone(const char *token)
{
    return sf_refusal_make(SF_COORD_CURRENT_GONE,
                           "making %.32s of the fleet is not the one that grants", token);
}

struct sf_refusal sf_refusal_state_changed(const char *token, uint64_t expected_version)
{
    return sf_refusal_make(SF_COORD_STATE_CHANGED,
                           "the state of making %.32s is no longer at version %" PRIu64, token,
                           expected_version);
}

struct sf_refusal sf_refusal_slot_missing(uint64_t worker)
{
    return sf_refusal_make(SF_COORD_MISSING, "slot %" PRIu64 " has no record", worker);
}

struct sf_refusal sf_refusal_slot_version(uint64_t worker, uint64_t expected_version)
{
    return sf_refusal_make(SF_COORD_VERSION, "slot %" PRIu64 " is no longer at version %" PRIu64,
                           worker, expected_version);
}

struct sf_refusal sf_refusal_fleet_exists(const char *root, const char *fleet_id)
{
    return sf_refusal_make(SF_COORD_EXISTS, "there is a fleet at %.120s already (%s)", root,
                           fleet_id);
}

struct sf_refusal sf_refusal_config_raced(const char *root, bool after_data_loss)
{
    return sf_refusal_make(after_data_loss ? SF_COORD_VERSION : SF_COORD_EXISTS,
                           "somebody else has just written %.120s/config", root);
}

struct sf_refusal sf_refusal_survivor(const char *root, const struct sf_coord_survey *survey,
                                      int64_t survivor_ms, int64_t max_ms)
{
    char survivor[SF_TIME_TEXT_MAX], most[SF_TIME_TEXT_MAX];
    sf_format_time_ms(survivor_ms, survivor, sizeof survivor);
    sf_format_time_ms(max_ms, most, sizeof most);
    if (survivor_ms > survey->reserved_until_ms)
        return sf_refusal_make(SF_COORD_GARBAGE,
                               "at %.80s a worker reported that it may mint up to %s, allowed is "
                               "up to %s; --floor-ms takes another floor",
                               root, survivor, most);
    return sf_refusal_make(
        SF_COORD_GARBAGE,
        "%.40s/%.32s/dc/%" PRIu64 "/slots/%" PRIu64
        " (%.24s) is reserved until %s, allowed is up to %s; --floor-ms takes another floor",
        root, survey->token, survey->datacenter, survey->worker, survey->node, survivor, most);
}

struct sf_refusal sf_refusal_slot_held(uint64_t datacenter, uint64_t worker, const char *claim)
{
    return sf_refusal_make(SF_COORD_EXISTS,
                           "slot %" PRIu64 "/%" PRIu64
                           " is held by the live %.79s; snowfleet slots release frees it",
                           datacenter, worker, claim);
}
