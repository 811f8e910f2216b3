/* cli/top_picture.c - asks the fleet for what top shows. */
#include "cli/top_picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ticks.h"
#include "cli/fleet_view.h"
#include "cli/worker.h"
#include "coord/fleet_json.h"
#include "coord/records.h"

/* A worker that is silent for longer holds up the others, and a screen that is drawn again soon; who looks once
 * has the time, and looks perhaps because one is slow. */
#define ASK_MS        500
#define ASK_ONCE_MS   1000
#define FLEET_ONCE_MS 3000

struct taking {
    const struct sf_top_source *source;
    struct sf_top_picture *picture;
};

/* Takes the entry over. */
static void add_member(const struct taking *taking, json_t *entry)
{
    struct sf_top_picture *picture = taking->picture;
    struct sf_top_member *more =
        realloc(picture->members, (picture->count + 1) * sizeof *picture->members);
    if (more == NULL || entry == NULL)
        abort();
    picture->members = more;
    struct sf_top_member *member = &more[picture->count++];
    *member = (struct sf_top_member){.entry = entry};
    const char *admin = sf_cli_text_at(entry, "admin", "");
    if (admin[0] == '\0' && json_is_true(json_object_get(entry, "self")))
        admin = taking->source->admin->url;
    if (admin[0] == '\0' || atomic_load(taking->source->stop))
        return;
    char url[SF_CLI_ADMIN_URL_MAX];
    const struct sf_cli_admin to = sf_cli_admin_of(taking->source->admin, admin, url);
    struct sf_error err = {0};
    (void)sf_cli_get_json(&to, "/status", taking->source->fresh ? ASK_ONCE_MS : ASK_MS,
                          &member->status, &err);
    (void)snprintf(member->why, sizeof member->why, "%.255s", err.text);
}

/* --- by the coordinator --- */

static int take_datacenter(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found)
{
    const struct taking *taking = ctx;
    const int64_t now_ms = sf_real_ns() / SF_NS_PER_MS;
    const struct sf_fleet_picture listed = {.datacenter = datacenter,
                                            .slots = found->slots,
                                            .slot_count = found->slot_count,
                                            .claims = found->claims,
                                            .claim_count = found->claim_count,
                                            .now_ms = now_ms,
                                            .remember_ms = SF_REMEMBER_DEFAULT_MS};
    sf_cli_census_add(&taking->picture->census, found, now_ms);
    json_t *fleet = sf_fleet_json(), *member;
    size_t i;
    sf_fleet_json_add(fleet, &listed);
    json_array_foreach(json_object_get(fleet, "members"), i, member)
        add_member(taking, json_incref(member));
    json_decref(fleet);
    return -1;
}

static int take_coordinator(struct taking *taking)
{
    struct sf_cli_fleet *fleet = taking->source->fleet;
    struct sf_coord_config config;
    int code = sf_cli_fleet_config(fleet, &config);
    if (code < 0)
        code = sf_cli_fleet_list(fleet, &config, NULL, take_datacenter, taking);
    (void)snprintf(taking->picture->halted, sizeof taking->picture->halted, "%.255s",
                   fleet->halted);
    return code;
}

/* --- as one of its workers read it --- */

/* " of datacenter 0", or of how many: the slots come datacenter by datacenter. */
static void tell_where(const json_t *fleet, char *to, size_t size)
{
    double before = -1;
    unsigned count = 0;
    size_t i;
    const json_t *slot;
    json_array_foreach(json_object_get(fleet, "slots"), i, slot)
    {
        const double datacenter = sf_cli_number_at(slot, "datacenter", 0);
        count += datacenter != before;
        before = datacenter;
    }
    if (count > 1)
        (void)snprintf(to, size, " of %u datacenters", count);
    else
        (void)snprintf(to, size, " of datacenter %.0f", sf_cli_number_at(fleet, "datacenter", 0));
}

static int take_worker(const struct taking *taking)
{
    struct sf_top_picture *picture = taking->picture;
    const struct sf_cli_admin *admin = taking->source->admin;
    json_t *fleet = NULL, *item;
    size_t i;
    struct sf_error err = {0};
    const int rc = taking->source->fresh ? sf_cli_view_ask(admin, FLEET_ONCE_MS, &fleet, &err)
                                         : sf_cli_get_json(admin, "/fleet", ASK_MS, &fleet, &err);
    if (rc != 0)
        return sf_cli_admin_failed(admin, rc, &err);
    json_array_foreach(json_object_get(fleet, "slots"), i,
                       item) for (int state = 0; state < SF_SLOT_STATES; state++)
        picture->census.states[state] +=
        strcmp(sf_cli_text_at(item, "state", ""), sf_slot_state_name(state)) == 0;
    tell_where(fleet, picture->where, sizeof picture->where);
    picture->census.waiting = (uint64_t)sf_cli_number_at(fleet, "waiting", 0);
    /* A worker of before knows only those who are there. */
    json_t *members = json_object_get(fleet, "members");
    json_array_foreach(members != NULL ? members : json_object_get(fleet, "workers"), i, item)
        add_member(taking, json_incref(item));
    json_decref(fleet);
    return -1;
}

int sf_top_take(const struct sf_top_source *source, struct sf_top_picture *ret)
{
    struct sf_top_picture picture = {0};
    struct taking taking = {.source = source, .picture = &picture};
    const int code = source->fleet != NULL ? take_coordinator(&taking) : take_worker(&taking);
    if (code >= 0) {
        sf_top_free(&picture);
        return code;
    }
    sf_cli_census_end(&picture.census);
    picture.at_ms = sf_real_ns() / SF_NS_PER_MS;
    *ret = picture;
    return -1;
}

void sf_top_free(struct sf_top_picture *picture)
{
    for (size_t i = 0; i < picture->count; i++) {
        json_decref(picture->members[i].entry);
        json_decref(picture->members[i].status);
    }
    free(picture->members);
    *picture = (struct sf_top_picture){0};
}
