/* cli/fleet_view.c - the fleet as people see it, from the coordinator or from a worker. */
#include "cli/fleet_view.h"

#include <string.h>

#include "base/ticks.h"
#include "cli/worker.h"
#include "coord/fleet_json.h"

#define FRESH_MS 2500 /* a worker lists for who looks once in two seconds */
#define WAIT_MS  2000
#define AGAIN_MS 50

struct reading {
    json_t *picture;
    int64_t now_ms, remember_ms;
    struct sf_cli_census *census;
};

static int read_datacenter(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found)
{
    const struct reading *reading = ctx;
    const struct sf_fleet_picture picture = {.datacenter = datacenter,
                                             .slots = found->slots,
                                             .slot_count = found->slot_count,
                                             .claims = found->claims,
                                             .claim_count = found->claim_count,
                                             .now_ms = reading->now_ms,
                                             .remember_ms = reading->remember_ms};
    if (reading->census != NULL)
        sf_cli_census_add(reading->census, found, reading->now_ms);
    if (!sf_cli_datacenter_is_idle(found, reading->now_ms))
        sf_fleet_json_add(reading->picture, &picture);
    return -1;
}

int sf_cli_view_read(struct sf_cli_fleet *fleet, const struct sf_coord_config *config,
                     const uint64_t *only, uint64_t remember_ms, json_t **ret,
                     struct sf_cli_census *census)
{
    struct reading reading = {.picture = sf_fleet_json(),
                              .now_ms = sf_real_ns() / SF_NS_PER_MS,
                              .remember_ms = (int64_t)remember_ms,
                              .census = census};
    const int code = sf_cli_fleet_list(fleet, config, only, read_datacenter, &reading);
    if (code >= 0) {
        json_decref(reading.picture);
        return code;
    }
    if (census != NULL)
        sf_cli_census_end(census);
    json_object_set_new(reading.picture, "now_ms", json_integer((json_int_t)reading.now_ms));
    sf_fleet_json_end(reading.picture, reading.now_ms);
    *ret = reading.picture;
    return -1;
}

int sf_cli_view_ask(const struct sf_cli_admin *admin, uint32_t timeout_ms, json_t **ret,
                    struct sf_error *err)
{
    const int64_t end_ns = sf_mono_ns() + WAIT_MS * SF_NS_PER_MS;
    for (;;) {
        json_t *fleet = NULL;
        const int rc = sf_cli_get_json(admin, "/fleet", timeout_ms, &fleet, err);
        if (rc != 0)
            return rc;
        const double age_ms = sf_cli_number_at(fleet, "read_age_ms", -1);
        const bool fresh = age_ms >= 0 && age_ms <= FRESH_MS;
        if (fresh || json_is_true(json_object_get(fleet, "stale")) || sf_mono_ns() >= end_ns) {
            *ret = fleet;
            return 0;
        }
        json_decref(fleet);
        sf_sleep_ms(AGAIN_MS);
    }
}

/* What the worker says of itself, in the place of what its claim said. */
static void take_status(json_t *member, const json_t *status)
{
    const char *state = sf_cli_text_at(status, "state", "unknown");
    const bool ready = json_is_true(json_object_get(status, "ready"));
    const char *why = sf_cli_text_at(status, "why", "");
    if (strcmp(state, sf_cli_text_at(member, "state", "")) != 0 || why[0] != '\0') {
        json_object_set_new(member, "state", json_string(state));
        json_object_set_new(member, "reason", json_string(why));
    }
    json_object_set_new(member, "ready", json_boolean(ready));
}

static void ask(json_t *member, const struct sf_cli_admin *like, uint32_t timeout_ms)
{
    const char *address = sf_cli_text_at(member, "admin", "");
    char url[SF_CLI_ADMIN_URL_MAX];
    json_t *status = NULL;
    struct sf_error err = {0};
    if (address[0] == '\0')
        return; /* it is gone */
    const struct sf_cli_admin admin = sf_cli_admin_of(like, address, url);
    if (sf_cli_get_json(&admin, "/status", timeout_ms, &status, &err) == 0) {
        take_status(member, status);
        json_object_set_new(member, "status", status);
        return;
    }
    json_object_set_new(member, "error", json_string(err.text));
    if (json_is_true(json_object_get(member, "ready")))
        json_object_set_new(member, "reason",
                            json_sprintf("so its claim says; it does not answer: %s", err.text));
    json_object_set_new(member, "ready", json_false());
}

/* Who is ready and cannot give what is asked for is not well either, and its fleet is not. */
static void judge_demand(json_t *picture)
{
    size_t i;
    const json_t *member;
    json_t *health = json_object_get(picture, "health");
    json_array_foreach(json_object_get(picture, "members"), i, member)
    {
        const json_t *status = json_object_get(member, "status");
        char word[SF_CLI_LOOK_WORD_MAX];
        if (status == NULL || !json_is_true(json_object_get(member, "ready")))
            continue;
        const enum sf_cli_look look = sf_cli_look_of(status, word);
        if (look == SF_CLI_LOOK_GOOD)
            continue;
        if (look == SF_CLI_LOOK_BAD || strcmp(sf_cli_text_at(health, "level", ""), "good") == 0)
            json_object_set_new(health, "level",
                                json_string(look == SF_CLI_LOOK_BAD ? "bad" : "warn"));
        json_object_set_new(health, "text",
                            json_sprintf("%s; %s %.0f/%.0f %s", sf_cli_text_at(health, "text", ""),
                                         sf_cli_text_at(member, "node", "?"),
                                         sf_cli_number_at(member, "datacenter", 0),
                                         sf_cli_number_at(member, "worker", 0), word));
    }
}

void sf_cli_view_look(json_t *picture, const struct sf_cli_admin *like, uint32_t timeout_ms,
                      void (*each)(void *ctx, const json_t *member), void *ctx)
{
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(picture, "members"), i, member)
    {
        ask(member, like, timeout_ms);
        if (each != NULL)
            each(ctx, member);
    }
    sf_fleet_json_end(picture, sf_real_ns() / SF_NS_PER_MS);
    judge_demand(picture);
}

void sf_cli_view_print_trouble(const json_t *picture, int64_t now_ms, FILE *to)
{
    size_t i;
    const json_t *member;
    char text[SF_FLEET_MEMBER_TEXT_MAX];
    json_array_foreach(json_object_get(picture, "members"), i, member)
    {
        const bool expected = json_is_true(json_object_get(member, "expected"));
        if (expected && !json_is_true(json_object_get(member, "ready")))
            (void)fprintf(to, "%s\n", sf_fleet_member_text(member, now_ms, text));
    }
}
