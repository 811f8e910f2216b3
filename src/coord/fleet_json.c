/* The picture of a fleet that people see, from lists of its datacenters. */
#include "coord/fleet_json.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/records.h"

#define NAMED_MAX 3 /* members in trouble that the sentence names; it counts the others */
#define TEXT_MAX  (NAMED_MAX * (SF_FLEET_MEMBER_TEXT_MAX + 2) + 1)

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *slot_json(const struct sf_fleet_picture *picture, const struct sf_coord_slot *slot)
{
    const struct sf_coord_claim *claim = NULL;
    const enum sf_slot_state state =
        sf_slot_state(slot, picture->claims, picture->claim_count, picture->now_ms, &claim);
    return json_pack(
        "{s:I,s:I,s:s,s:s,s:o,s:o,s:I,s:I}", "datacenter", (json_int_t)picture->datacenter,
        "worker", (json_int_t)slot->worker, "state", sf_slot_state_name(state), "node", slot->node,
        "address", text_or_null(claim != NULL ? claim->address : NULL), "admin",
        text_or_null(claim != NULL ? claim->admin : NULL), "fence", (json_int_t)slot->fence,
        "reserved_until_ms", (json_int_t)slot->reserved_until_ms);
}

static json_t *member_json(uint64_t datacenter, const struct sf_expected_member *member)
{
    const struct sf_coord_claim *claim = member->claim;
    const struct sf_coord_slot *slot = member->slot;
    SF_ASSERT(claim != NULL || slot != NULL);
    /* Asked twice for those who check without knowing the assertion. */
    const char *node = claim != NULL ? claim->node : slot != NULL ? slot->node : "";
    const uint64_t fence = claim != NULL ? claim->fence : slot != NULL ? slot->fence : 0;
    return json_pack(
        "{s:I,s:o,s:s,s:o,s:o,s:s,s:s,s:I,s:b,s:b,s:b,s:I,s:o,s:o}", "datacenter",
        (json_int_t)datacenter, "worker",
        slot != NULL ? json_integer((json_int_t)slot->worker) : json_null(), "node", node,
        "address", text_or_null(claim != NULL ? claim->address : NULL), "admin",
        text_or_null(claim != NULL ? claim->admin : NULL), "state", member->state, "reason",
        member->reason, "since_ms", (json_int_t)member->since_ms, "expected", member->expected,
        "ready", member->ready, "waiting", member->waiting, "fence", (json_int_t)fence, "version",
        text_or_null(claim != NULL ? claim->version : NULL), "reserved_until_ms",
        slot != NULL ? json_integer((json_int_t)slot->reserved_until_ms) : json_null());
}

json_t *sf_fleet_json(void)
{
    return json_pack("{s:[],s:[]}", "slots", "members");
}

void sf_fleet_json_add(json_t *fleet, const struct sf_fleet_picture *picture)
{
    json_t *slots = json_object_get(fleet, "slots"), *members = json_object_get(fleet, "members");
    struct sf_expected all;
    for (size_t i = 0; i < picture->slot_count; i++)
        json_array_append_new(slots, slot_json(picture, &picture->slots[i]));
    sf_expected_take(picture->slots, picture->slot_count, picture->claims, picture->claim_count,
                     picture->now_ms, picture->remember_ms, &all);
    for (size_t i = 0; i < all.count; i++)
        json_array_append_new(members, member_json(picture->datacenter, &all.members[i]));
    sf_expected_free(&all);
}

static bool is(const json_t *member, const char *what)
{
    return json_is_true(json_object_get(member, what));
}

static bool is_lost(const json_t *member)
{
    return strcmp(json_string_value(json_object_get(member, "state")), SF_EXPECTED_LOST) == 0;
}

const char *sf_fleet_member_text(const json_t *member, int64_t now_ms,
                                 char buffer[SF_FLEET_MEMBER_TEXT_MAX])
{
    const json_t *worker = json_object_get(member, "worker");
    const char *reason = json_string_value(json_object_get(member, "reason"));
    const int64_t ms = now_ms - json_integer_value(json_object_get(member, "since_ms"));
    char slot[48] = "", since[SF_DURATION_TEXT_MAX];
    if (json_is_integer(worker))
        (void)snprintf(slot, sizeof slot, " %" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(member, "datacenter")),
                       json_integer_value(worker));
    (void)snprintf(buffer, SF_FLEET_MEMBER_TEXT_MAX, "%s%s %s since %s%s%s",
                   json_string_value(json_object_get(member, "node")), slot,
                   json_string_value(json_object_get(member, "state")),
                   sf_format_duration_ms(ms > 0 ? ms : 0, since, sizeof since),
                   reason[0] != '\0' ? ": " : "", reason);
    return buffer;
}

void sf_fleet_json_end(json_t *fleet, int64_t now_ms)
{
    size_t i, expected = 0, ready = 0, waiting = 0, lost = 0, left = 0, named = 0;
    const json_t *member;
    char text[TEXT_MAX] = "", others[48] = "", one[SF_FLEET_MEMBER_TEXT_MAX];
    json_array_foreach(json_object_get(fleet, "members"), i, member)
    {
        expected += is(member, "expected");
        ready += is(member, "ready");
        waiting += is(member, "waiting");
        lost += is_lost(member);
        left += !is(member, "expected");
        if (!is(member, "expected") || is(member, "ready") || named++ >= NAMED_MAX)
            continue;
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "; %s",
                       sf_fleet_member_text(member, now_ms, one));
    }
    if (named > NAMED_MAX)
        (void)snprintf(others, sizeof others, "; and %zu others", named - NAMED_MAX);
    const char *level = ready == expected ? "good" : ready > 0 ? "warn" : "bad";
    json_t *words =
        json_sprintf("%zu of %zu expected are ready%s%s", ready, expected, text, others);
    if (expected == 0) {
        level = "warn";
        json_decref(words);
        words = json_string("nobody holds or looks for a slot");
    }
    json_t *counts =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:{s:s,s:o}}", "expected", (json_int_t)expected, "ready",
                  (json_int_t)ready, "waiting", (json_int_t)waiting, "lost", (json_int_t)lost,
                  "left", (json_int_t)left, "health", "level", level, "text", words);
    json_object_update(fleet, counts);
    json_decref(counts);
}
