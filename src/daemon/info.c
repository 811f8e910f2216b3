/* INFO: who this worker is. */
#include "daemon/info.h"

#include <string.h>

#include "base/parse.h"
#include "build_info.h"
#include "coord/layout_json.h"
#include "daemon/health.h"
#include "daemon/json.h"

#define WORKERS_MAX   128         /* addresses in INFO, */
#define WORKERS_BYTES (16 * 1024) /* and what they may take of it */

const struct sf_member_slot *sf_info_first_held(const struct sf_member_snapshot *member)
{
    for (unsigned i = 0; i < member->slot_count; i++)
        if (member->slots[i].held)
            return &member->slots[i];
    return NULL;
}

static bool names(const json_t *workers, const char *address)
{
    for (size_t i = 0; i < json_array_size(workers); i++)
        if (strcmp(json_string_value(json_array_get(workers, i)), address) == 0)
            return true;
    return false;
}

/* The addresses of the workers that hold a slot. From our own on, so that where there are more than
 * INFO has room for, all of them are told by somebody. */
static json_t *make_workers(const struct sf_daemon *d, const struct sf_member_list *list)
{
    json_t *workers = json_array();
    size_t first = 0, bytes = 0;
    struct sf_host_port ignored;
    while (first < list->claim_count && strcmp(list->claims[first].address, d->address) != 0)
        first++;
    for (size_t i = 0; i < list->claim_count && json_array_size(workers) < WORKERS_MAX; i++) {
        const struct sf_coord_claim *claim = &list->claims[(first + i) % list->claim_count];
        /* What stands in a claim came from outside. */
        if (claim->slot < 0 || sf_parse_host_port(claim->address, -1, false, &ignored) != 0 ||
            names(workers, claim->address))
            continue;
        bytes += strlen(claim->address) + 3; /* quotes and comma; nothing in it needs an escape */
        if (bytes > WORKERS_BYTES)
            break;
        json_array_append_new(workers, json_string(claim->address));
    }
    return workers;
}

/* As last listed, or NULL. A new reference. */
static json_t *workers_json(struct sf_daemon *d)
{
    struct sf_daemon_workers *workers = &d->workers;
    const struct sf_member_list *list = sf_member_some(d->member);
    if (list == NULL)
        return NULL;
    pthread_mutex_lock(&workers->mutex);
    if (workers->serial < list->serial) {
        json_decref(
            workers->json); /* whoever answers with it just now has a reference of its own */
        workers->json = make_workers(d, list);
        workers->serial = list->serial;
    }
    json_t *json = json_incref(workers->json);
    pthread_mutex_unlock(&workers->mutex);
    sf_member_list_release(list);
    return json;
}

/* Of all slots, whatever state they are in. */
static int64_t may_spend_until_ms(const struct sf_member_snapshot *member)
{
    int64_t most_ms = 0;
    for (unsigned i = 0; i < member->slot_count; i++)
        if (member->slots[i].may_spend_until_ms > most_ms)
            most_ms = member->slots[i].may_spend_until_ms;
    return most_ms;
}

json_t *sf_info_json(struct sf_daemon *d, const struct sf_member_snapshot *member)
{
    const struct sf_member_slot *slot = sf_info_first_held(member);
    const struct sf_coord_config *config = member->config_known ? &member->config : NULL;
    json_t *info = json_object();
    sf_json_set(info, "protocol", sf_json_integer(SF_WIRE_VERSION));
    sf_json_set(info, "fleet", json_string(d->config->fleet_name));
    sf_json_set(info, "fleet_id", config != NULL ? json_string(config->fleet_id) : json_null());
    sf_json_set(info, "token", config != NULL ? json_string(config->token) : json_null());
    sf_json_set(info, "halted", json_boolean(member->halted));
    sf_json_set(info, "datacenter", sf_json_integer_if(slot != NULL, d->config->fleet_datacenter));
    sf_json_set(info, "worker",
                slot != NULL ? sf_json_integer((int64_t)slot->worker) : json_null());
    sf_json_set(info, "fence", slot != NULL ? sf_json_integer((int64_t)slot->fence) : json_null());
    sf_json_set(info, "state", json_string(sf_worker_state_name(sf_health_state(d, member))));
    sf_json_set(info, "epoch_ms", config != NULL ? sf_json_integer(config->epoch_ms) : json_null());
    sf_json_set(info, "layout", config != NULL ? sf_layout_json(&config->layout) : json_null());
    sf_json_set(info, "max_batch", sf_json_integer(sf_server_max_batch(d->server)));
    sf_json_set(info, "reserved_until_ms",
                slot != NULL ? sf_json_integer(slot->reserved_until_ms) : json_null());
    sf_json_set(info, "may_spend_until_ms", sf_json_integer(may_spend_until_ms(member)));
    sf_json_set(info, "version", json_string(SF_BUILD_VERSION));
    sf_json_set(info, "node", json_string(d->config->fleet_node));
    if (member->connected) { /* an old list would bring back who is gone */
        json_t *workers = workers_json(d);
        if (workers != NULL)
            sf_json_set(info, "workers", workers);
    }
    return info;
}

size_t sf_info_text(struct sf_daemon *d, char *to, size_t size)
{
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    json_t *info = sf_info_json(d, &member);
    const size_t length = json_dumpb(info, to, size, JSON_COMPACT);
    json_decref(info);
    return length <= size ? length : 0;
}
