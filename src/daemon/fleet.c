/* Slots and workers of the datacenter as last listed. */
#include "daemon/fleet.h"

#include <string.h>

#include "base/ticks.h"
#include "coord/records.h"
#include "daemon/json.h"

static json_t *slot_json(const struct sf_daemon *d, const struct sf_member_list *list,
                         const struct sf_coord_slot *slot, int64_t now_ms)
{
    const struct sf_coord_claim *claim = NULL;
    const enum sf_slot_state state =
        sf_slot_state(slot, list->claims, list->claim_count, now_ms, &claim);
    return json_pack(
        "{s:i,s:I,s:s,s:s,s:o,s:o,s:I,s:I}", "datacenter", (int)d->config->fleet_datacenter,
        "worker", (json_int_t)slot->worker, "state", sf_slot_state_name(state), "node", slot->node,
        "address", sf_json_text_or_null(claim != NULL ? claim->address : NULL), "admin",
        sf_json_text_or_null(claim != NULL ? claim->admin : NULL), "fence", (json_int_t)slot->fence,
        "reserved_until_ms", (json_int_t)slot->reserved_until_ms);
}

static json_t *worker_json(const struct sf_daemon *d, const struct sf_member_snapshot *member,
                           const struct sf_coord_claim *claim)
{
    bool self = false;
    for (unsigned i = 0; i < member->slot_count; i++)
        self = self || (member->slots[i].held && member->slots[i].fence == claim->fence);
    return json_pack("{s:i,s:o,s:s,s:s,s:s,s:I,s:I,s:s,s:b}", "datacenter",
                     (int)d->config->fleet_datacenter, "worker",
                     claim->slot >= 0 ? sf_json_integer(claim->slot) : json_null(), "node",
                     claim->node, "address", claim->address, "admin", claim->admin, "fence",
                     (json_int_t)claim->fence, "since_ms", (json_int_t)claim->since_ms, "version",
                     claim->version, "self", self);
}

void sf_fleet(struct sf_daemon *d, struct sf_strbuf *to)
{
    const int64_t mint_ms = sf_member_now_ms(d->member), real_ms = sf_real_ns() / SF_NS_PER_MS;
    const struct sf_member_list *list = sf_member_list(d->member);
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    json_t *fleet = json_object(), *slots = json_array(), *workers = json_array();
    int waiting = 0;
    for (size_t i = 0; list != NULL && i < list->slot_count; i++)
        json_array_append_new(slots, slot_json(d, list, &list->slots[i], mint_ms));
    for (size_t i = 0; list != NULL && i < list->claim_count; i++) {
        waiting += list->claims[i].slot < 0;
        json_array_append_new(workers, worker_json(d, &member, &list->claims[i]));
    }
    sf_json_set(fleet, "fleet", json_string(d->config->fleet_name));
    sf_json_set(fleet, "fleet_id",
                member.config_known ? json_string(member.config.fleet_id) : json_null());
    sf_json_set(fleet, "datacenter", sf_json_integer(d->config->fleet_datacenter));
    sf_json_set(fleet, "read_at_ms",
                list != NULL ? sf_json_integer(list->read_at_ms) : json_null());
    sf_json_set(fleet, "read_age_ms",
                list != NULL ? sf_json_integer(real_ms - list->read_at_ms) : json_null());
    sf_json_set(fleet, "stale", json_boolean(!member.connected));
    sf_json_set(fleet, "text", json_string(member.connected ? "" : member.why));
    sf_json_set(fleet, "slots", slots);
    sf_json_set(fleet, "workers", workers);
    sf_json_set(fleet, "waiting", sf_json_integer(waiting));
    sf_member_list_release(list);
    sf_json_dump(fleet, to);
}

bool sf_fleet_has_admin(struct sf_daemon *d, const char *address)
{
    const struct sf_member_list *list = sf_member_list(d->member);
    bool found = false;
    for (size_t i = 0; list != NULL && i < list->claim_count && !found; i++)
        found = strcmp(list->claims[i].admin, address) == 0;
    sf_member_list_release(list);
    return found;
}
