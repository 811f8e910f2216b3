/* cli/init_existing.c - what `snowfleet init` says of a fleet that is there: shows it, and what of it is
 * missing. */
#include "cli/init_existing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "coord/layout_json.h"

void sf_cli_init_print(const char *fleet, const struct sf_coord_config *config, bool as_json)
{
    char epoch[SF_TIME_TEXT_MAX], floor[SF_TIME_TEXT_MAX], created[SF_TIME_TEXT_MAX],
        layout[SF_LAYOUT_TEXT_MAX];
    json_t *datacenters = config->any_datacenter ? json_null() : json_array();
    for (uint16_t i = 0; !config->any_datacenter && i < config->datacenter_count; i++)
        json_array_append_new(datacenters, json_integer(config->datacenters[i]));
    if (as_json) {
        sf_cli_print_json(json_pack(
            "{s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:I, s:I}", "fleet", fleet, "fleet_id",
            config->fleet_id, "token", config->token, "epoch_ms", (json_int_t)config->epoch_ms,
            "layout", sf_layout_json(&config->layout), "datacenters", datacenters, "floor_ms",
            (json_int_t)config->floor_ms, "max_window_ms", (json_int_t)config->max_window_ms,
            "incarnation", (json_int_t)config->incarnation, "created_ms",
            (json_int_t)config->created_ms));
        return;
    }
    char *text = json_dumps(datacenters, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)printf("fleet        %s\nfleet_id     %s\nepoch        %s\nlayout       "
                 "%s\ndatacenters  %s\nmints from   %s\nwindows      up to %" PRId64
                 " ms\nmade         %s\n",
                 fleet, config->fleet_id, sf_format_time_ms(config->epoch_ms, epoch, sizeof epoch),
                 sf_layout_format(&config->layout, layout), config->any_datacenter ? "any" : text,
                 sf_format_time_ms(config->floor_ms, floor, sizeof floor), config->max_window_ms,
                 sf_format_time_ms(config->created_ms, created, sizeof created));
    free(text);
    json_decref(datacenters);
}

/* With --if-missing an existing fleet will do, if it is the one that was asked for. */
static bool fits(const struct sf_coord_config *have, const struct sf_coord_config *want)
{
    if (have->epoch_ms != want->epoch_ms || have->any_datacenter != want->any_datacenter ||
        have->layout.timestamp_bits != want->layout.timestamp_bits ||
        have->layout.datacenter_bits != want->layout.datacenter_bits ||
        have->layout.worker_bits != want->layout.worker_bits ||
        have->layout.sequence_bits != want->layout.sequence_bits)
        return false;
    for (uint16_t i = 0; !want->any_datacenter && i < want->datacenter_count; i++) {
        uint16_t j = 0;
        while (j < have->datacenter_count && have->datacenters[j] != want->datacenters[i])
            j++;
        if (j == have->datacenter_count)
            return false;
    }
    return true;
}

struct lack {
    uint64_t all, missing;
    uint64_t datacenter, worker; /* of the first that is missing */
};

/* A whole fleet has a good record for every slot. Returns -1, or the exit code. */
static int look_for_lack(struct sf_cli_fleet *fleet, const struct sf_coord_config *config,
                         const struct sf_coord_basis *basis, struct lack *ret)
{
    const uint64_t workers = sf_layout_max_worker(&config->layout) + 1;
    const uint64_t datacenters = config->any_datacenter
                                     ? sf_layout_max_datacenter(&config->layout) + 1
                                     : config->datacenter_count;
    int code = -1;
    ret->all = datacenters * workers;
    for (uint64_t i = 0; i < datacenters && code < 0; i++) {
        struct sf_coord_request request = {.op = SF_COORD_LIST,
                                           .basis = *basis,
                                           .datacenter =
                                               config->any_datacenter ? i : config->datacenters[i]};
        struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
        const struct sf_coord_completion *found = &event->completion;
        if (found->outcome != SF_COORD_DONE && found->reason != SF_COORD_MISSING)
            code = sf_cli_fleet_failed(fleet, event);
        for (uint64_t worker = 0; worker < workers && code < 0; worker++) {
            if (worker < found->slot_count && found->slots[worker].state == SF_COORD_RECORD_OK)
                continue;
            if (ret->missing++ > 0)
                continue;
            ret->datacenter = request.datacenter;
            ret->worker = worker;
        }
        sf_coord_event_free(event);
    }
    return code;
}

/* A making that grants nothing is not what was asked for either. */
static int judge_making(const struct sf_cli_fleet *fleet, const char *name,
                        const struct sf_coord_completion *found)
{
    if (!found->current)
        return sf_cli_fail(
            SF_CLI_FAILED,
            "%s: fleet %s exists, but its making %s is not named: an init --after-data-loss was "
            "cut off. Nothing was changed, and nothing is minted. Run it again: snowfleet init "
            "--after-data-loss",
            fleet->url, name, found->config->token);
    if (found->state != NULL && found->state->halted)
        return sf_cli_fail(
            SF_CLI_FAILED,
            "%s: fleet %s exists, but is halted: %u workers noticed that data was lost. Nothing "
            "was changed. To make it anew: snowfleet init --after-data-loss",
            fleet->url, name, found->state->report_count);
    return -1;
}

static int judge_found(struct sf_cli_fleet *fleet, const char *name,
                       const struct sf_coord_config *want, bool if_missing,
                       const struct sf_coord_completion *found)
{
    const struct sf_coord_config *config = found->config;
    const struct sf_coord_basis basis = sf_cli_fleet_basis(found);
    struct lack lack = {0};
    int code = judge_making(fleet, name, found);
    if (code < 0)
        code = look_for_lack(fleet, config, &basis, &lack);
    if (code >= 0)
        return code;
    if (lack.missing > 0)
        return sf_cli_fail(SF_CLI_FAILED,
                           "%s: fleet %s exists, but %" PRIu64 " of its %" PRIu64
                           " records are missing or damaged (the first: datacenter %" PRIu64
                           ", slot %" PRIu64 "): data was lost, or somebody changed it. Nothing "
                           "was changed. Single ones: snowfleet slots reset; "
                           "otherwise stop the workers, then: snowfleet init --after-data-loss",
                           fleet->url, name, lack.missing, lack.all, lack.datacenter, lack.worker);
    if (if_missing && fits(config, want))
        return SF_CLI_DONE;
    if (if_missing)
        return sf_cli_fail(SF_CLI_FAILED,
                           "%s: fleet %s exists with another layout, epoch or datacenters, as "
                           "shown; nothing was changed. Ask for what it has, or use another "
                           "--fleet",
                           fleet->url, name);
    return sf_cli_fail(
        SF_CLI_FAILED,
        "%s: fleet %s exists already, as shown; nothing was changed. If the coordinator lost data: "
        "--after-data-loss",
        fleet->url, name);
}

int sf_cli_init_existing(struct sf_cli_fleet *fleet, const char *name,
                         const struct sf_coord_config *want, bool if_missing, bool as_json)
{
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    int code;
    if (event->completion.outcome == SF_COORD_DONE) {
        sf_cli_init_print(name, event->completion.config, as_json);
        code = sf_cli_end();
        if (code == SF_CLI_DONE)
            code = judge_found(fleet, name, want, if_missing, &event->completion);
    } else {
        code = sf_cli_fleet_failed(fleet, event);
    }
    sf_coord_event_free(event);
    return code;
}
