/* cli/status_fleet.c - the members of a fleet as a table, or as JSON. */
#include "cli/status_fleet.h"

#include <stdio.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "cli/fleet_view.h"
#include "cli/worker.h"

#define ASK_MS 1000 /* a worker that is silent for longer holds up the others */

static const char *since(const json_t *member, char buffer[SF_DURATION_TEXT_MAX])
{
    const int64_t ms =
        sf_real_ns() / SF_NS_PER_MS - (int64_t)sf_cli_number_at(member, "since_ms", 0);
    return sf_format_duration_ms(ms > 0 ? ms : 0, buffer, SF_DURATION_TEXT_MAX);
}

/* Who gives no figures: what is known of it, and for how long it has been so. */
static void print_silent(const json_t *member)
{
    char slot[48] = "-", age[SF_DURATION_TEXT_MAX];
    const double worker = sf_cli_number_at(member, "worker", -1);
    const char *admin = sf_cli_text_at(member, "admin", "");
    const bool asked = json_object_get(member, "error") != NULL;
    if (worker >= 0)
        (void)snprintf(slot, sizeof slot, "%.0f/%.0f", sf_cli_number_at(member, "datacenter", 0),
                       worker);
    (void)printf("%-7s %-13s %-22.22s %s since %s: %s%s%s\n", slot,
                 asked ? "no answer" : sf_cli_text_at(member, "state", "?"),
                 sf_cli_text_at(member, "node", "?"), sf_cli_text_at(member, "state", "?"),
                 since(member, age), sf_cli_text_at(member, "reason", ""),
                 admin[0] != '\0' ? "  " : "", admin);
}

static void print_member(void *ctx, const json_t *member)
{
    (void)ctx;
    const json_t *status = json_object_get(member, "status");
    if (status == NULL)
        print_silent(member);
    else
        sf_cli_worker_line(stdout, sf_cli_text_at(member, "admin", "?"), status, "");
}

/* The live ones, each with what it said: as this command has always told of them. */
static json_t *workers_json(const json_t *members)
{
    size_t i;
    const json_t *member;
    json_t *workers = json_array();
    json_array_foreach(members, i, member)
    {
        if (!json_is_string(json_object_get(member, "version")))
            continue;
        json_t *worker = json_copy((json_t *)(uintptr_t)member);
        if (json_object_get(worker, "status") == NULL)
            json_object_set_new(worker, "status", json_null());
        if (json_object_get(worker, "error") == NULL)
            json_object_set_new(worker, "error", json_null());
        json_array_append_new(workers, worker);
    }
    return workers;
}

static void print_json(const struct sf_cli_fleet *fleet, const char *name,
                       const struct sf_coord_config *config, json_t *picture)
{
    size_t i;
    json_t *member, *members = json_object_get(picture, "members");
    json_object_set_new(picture, "workers", workers_json(members));
    json_array_foreach(members, i, member) json_object_del(member, "status");
    json_object_del(picture, "slots");
    json_object_set_new(picture, "fleet", json_string(name));
    json_object_set_new(picture, "fleet_id", json_string(config->fleet_id));
    json_object_set_new(picture, "halted",
                        fleet->halted[0] != '\0' ? json_string(fleet->halted) : json_null());
    sf_cli_print_json(picture);
}

int sf_cli_status_fleet(struct sf_cli_fleet *fleet, const char *name,
                        const struct sf_cli_admin *like, uint64_t remember_ms, bool as_json)
{
    struct sf_coord_config config;
    json_t *picture = NULL;
    int code = sf_cli_fleet_config(fleet, &config);
    if (code < 0)
        code = sf_cli_view_read(fleet, &config, NULL, remember_ms, &picture, NULL);
    if (code >= 0)
        return code;
    if (!as_json)
        sf_cli_worker_heading(stdout);
    sf_cli_view_look(picture, like, ASK_MS, as_json ? NULL : print_member, NULL);
    const bool whole =
        sf_cli_number_at(picture, "ready", 0) >= sf_cli_number_at(picture, "expected", 0);
    if (as_json) {
        print_json(fleet, name, &config, picture);
    } else {
        (void)printf("fleet %s: %s\n", name, sf_cli_text_at(picture, "health.text", ""));
        sf_cli_fleet_print_halted(fleet, stdout);
        json_decref(picture);
    }
    const int end = sf_cli_end();
    return end == SF_CLI_DONE && !whole ? SF_CLI_FAILED : end;
}
