/* cli/init.c - `snowfleet init`: makes a fleet's records, and says of one that exists what is there
 * and what is missing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/fleet.h"
#include "coord/init_plan.h"
#include "coord/layout_json.h"

/* After a loss of data every slot starts this far ahead: no worker that still holds a reservation
 * from before has one that reaches further than its window. */
#define DEFAULT_WINDOW_MS 600000

static void print_config(const char *fleet, const struct sf_coord_config *config, bool as_json)
{
    char epoch[SF_TIME_TEXT_MAX], created[SF_TIME_TEXT_MAX], layout[SF_LAYOUT_TEXT_MAX];
    json_t *datacenters = config->any_datacenter ? json_null() : json_array();
    for (uint16_t i = 0; !config->any_datacenter && i < config->datacenter_count; i++)
        json_array_append_new(datacenters, json_integer(config->datacenters[i]));
    if (as_json) {
        sf_cli_print_json(
            json_pack("{s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:I}", "fleet", fleet, "fleet_id",
                      config->fleet_id, "epoch_ms", (json_int_t)config->epoch_ms, "layout",
                      sf_layout_json(&config->layout), "datacenters", datacenters, "floor_ms",
                      (json_int_t)config->floor_ms, "incarnation", (json_int_t)config->incarnation,
                      "created_ms", (json_int_t)config->created_ms));
        return;
    }
    char *text = json_dumps(datacenters, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)printf("fleet        %s\nfleet_id     %s\nepoch        %s\nlayout       "
                 "%s\ndatacenters  %s\ncreated      %s\n",
                 fleet, config->fleet_id, sf_format_time_ms(config->epoch_ms, epoch, sizeof epoch),
                 sf_layout_format(&config->layout, layout), config->any_datacenter ? "any" : text,
                 sf_format_time_ms(config->created_ms, created, sizeof created));
    free(text);
    json_decref(datacenters);
}

static int read_datacenters(const struct sf_cli_list *list, struct sf_coord_config *config)
{
    config->any_datacenter = list->count == 0;
    for (size_t i = 0; i < list->count; i++) {
        uint64_t d;
        if (sf_parse_u64(list->items[i], 0, sf_layout_max_datacenter(&config->layout), &d) != 0 ||
            d >= SF_COORD_DATACENTERS_MAX)
            return sf_cli_fail(SF_CLI_USAGE,
                               "--datacenters: \"%s\" is not allowed; 0 to %" PRIu64
                               " is in this layout",
                               list->items[i], sf_layout_max_datacenter(&config->layout));
        if (config->datacenter_count == SF_COORD_DATACENTERS_MAX)
            return sf_cli_fail(SF_CLI_USAGE, "--datacenters: %zu are named; allowed are up to %d",
                               list->count, SF_COORD_DATACENTERS_MAX);
        config->datacenters[config->datacenter_count++] = (uint16_t)d;
    }
    return -1;
}

/* Asked before the coordinator is, which would say the same. */
static int check_fleet(const struct sf_coord_config *config)
{
    struct sf_error err = {0};
    if (sf_init_check(config, &err) < 0)
        return sf_cli_fail(SF_CLI_USAGE, "--layout, --datacenters: %s", err.text);
    return -1;
}

static int confirm(const char *url, const char *fleet)
{
    char answer[64] = "";
    if (!isatty(STDIN_FILENO))
        return sf_cli_fail(SF_CLI_USAGE,
                           "--after-data-loss replaces the records of fleet %s; --yes confirms it "
                           "without a terminal",
                           fleet);
    (void)fprintf(stderr,
                  "This replaces the records of fleet \"%s\" in %s. Every slot will start at now + "
                  "window, so that nothing\n"
                  "minted before the loss is minted again. Stop all workers first. Type the "
                  "fleet's name to go on: ",
                  fleet, url);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    return strcmp(answer, fleet) == 0
               ? -1
               : sf_cli_fail(SF_CLI_FAILED, "not confirmed; nothing was changed");
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
                         struct lack *ret)
{
    const uint64_t workers = sf_layout_max_worker(&config->layout) + 1;
    const uint64_t datacenters = config->any_datacenter
                                     ? sf_layout_max_datacenter(&config->layout) + 1
                                     : config->datacenter_count;
    int code = -1;
    ret->all = datacenters * workers;
    for (uint64_t i = 0; i < datacenters && code < 0; i++) {
        struct sf_coord_request request = {
            .op = SF_COORD_LIST, .datacenter = config->any_datacenter ? i : config->datacenters[i]};
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

static int judge_existing(struct sf_cli_fleet *fleet, const char *name,
                          const struct sf_coord_config *want, bool if_missing, bool as_json)
{
    struct sf_coord_config config;
    const int code = sf_cli_fleet_config(fleet, &config);
    if (code >= 0)
        return code;
    print_config(name, &config, as_json);
    const int end = sf_cli_end();
    struct lack lack = {0};
    const int failed = look_for_lack(fleet, &config, &lack);
    if (failed >= 0)
        return failed;
    if (lack.missing > 0)
        return sf_cli_fail(
            SF_CLI_FAILED,
            "%s: fleet %s exists, but %" PRIu64 " of its %" PRIu64
            " records are missing or damaged (the first: datacenter %" PRIu64 ", slot %" PRIu64
            "): an init --after-data-loss was cut off, or data was lost. "
            "Nothing was changed. Stop the workers, then: snowfleet init --after-data-loss",
            fleet->url, name, lack.missing, lack.all, lack.datacenter, lack.worker);
    if (if_missing && fits(&config, want))
        return end;
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

static int failed_to_make(const struct sf_cli_fleet *fleet, const struct sf_coord_event *event)
{
    const int code = sf_cli_fleet_failed(fleet, event);
    if (event->completion.outcome == SF_COORD_REFUSED &&
        event->completion.reason != SF_COORD_STORAGE)
        return code;
    return sf_cli_fail(code, "what is half made is no danger: the same command again goes on from "
                             "there");
}

static int make(struct sf_cli_fleet *fleet, const char *name, const struct sf_coord_init *init,
                bool if_missing, bool as_json)
{
    struct sf_coord_request request = {.op = SF_COORD_INIT};
    request.u.init = *init;
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    int code = 0;
    if (event->completion.outcome == SF_COORD_DONE)
        print_config(name,
                     event->completion.config != NULL ? event->completion.config : &init->config,
                     as_json);
    else if (event->completion.reason == SF_COORD_EXISTS)
        code = judge_existing(fleet, name, &init->config, if_missing, as_json);
    else
        code = failed_to_make(fleet, event);
    sf_coord_event_free(event);
    return code == 0 ? sf_cli_end() : code;
}

int sf_cli_init(int argc, char **argv)
{
    struct sf_cli_fleet_options to = SF_CLI_FLEET;
    struct sf_coord_init init = {
        .config = {.epoch_ms = SF_DEFAULT_EPOCH_MS, .layout = SF_DEFAULT_LAYOUT}};
    struct sf_cli_list datacenters = {0};
    uint64_t window_ms = DEFAULT_WINDOW_MS;
    bool yes = false, as_json = false, if_missing = false;
    const struct sf_cli_option options[] = {
        SF_CLI_FLEET_OPTIONS(to),
        {"epoch-ms", 0, SF_CLI_SIGNED, &init.config.epoch_ms, "MS",
         "time 0 of the IDs, Unix milliseconds [1704067200000, 2024-01-01]", 0, 0},
        {"layout", 0, SF_CLI_LAYOUT, &init.config.layout, "T,D,W,S",
         "bits of each field [41,5,5,12]", 0, 0},
        {"datacenters", 0, SF_CLI_LIST, &datacenters, "D,..",
         "the numbers this coordinator serves [any]", 0, 0},
        {"after-data-loss", 0, SF_CLI_FLAG, &init.after_data_loss, NULL,
         "make the records anew; every slot starts at now + window", 0, 0},
        {"window-ms", 0, SF_CLI_NUMBER, &window_ms, "MS",
         "the workers' reservation.window_ms [600000]", 1000, 86400000},
        {"if-missing", 0, SF_CLI_FLAG, &if_missing, NULL,
         "an existing fleet like this one is fine (exit 0)", 0, 0},
        {"yes", 'y', SF_CLI_FLAG, &yes, NULL, "do not ask", 0, 0},
        {"json", 0, SF_CLI_FLAG, &as_json, NULL, "a JSON object", 0, 0},
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet init --coordinator URL [--fleet NAME] [--epoch-ms E] [--layout T,D,W,S] "
                "[OPTION]...",
        .text = "Makes a fleet: its config with a random fleet id, and a record for every slot. "
                "Layout and epoch\n"
                "never change afterwards. A fleet that exists is shown and left alone (exit 1;\n"
                "with --if-missing 0, if it is like the one asked for).\n\n"
                "example: snowfleet init --coordinator zk://zk-0:2181,zk-1:2181,zk-2:2181 "
                "--datacenters 0,1\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code < 0 && if_missing && init.after_data_loss)
        code = sf_cli_fail(SF_CLI_USAGE, "--if-missing and --after-data-loss exclude each other");
    uint8_t random[16];
    sf_random_bytes(random, sizeof random);
    sf_uuid4(random, init.config.fleet_id);
    init.config.incarnation = 1;
    if (code < 0)
        code = read_datacenters(&datacenters, &init.config);
    if (code < 0)
        code = check_fleet(&init.config);
    struct sf_cli_fleet fleet = {0};
    if (code < 0)
        code = sf_cli_fleet_open(&to, &fleet);
    if (code < 0 && init.after_data_loss && !yes)
        code = confirm(fleet.url, to.fleet);
    if (code < 0) {
        const int64_t now_ms = sf_real_ns() / SF_NS_PER_MS; /* after who was asked has answered */
        init.config.created_ms = now_ms;
        init.config.floor_ms = init.after_data_loss ? now_ms + (int64_t)window_ms : 0;
        code = make(&fleet, to.fleet, &init, if_missing, as_json);
    }
    sf_cli_fleet_close(&fleet);
    sf_cli_list_free(&datacenters);
    return code;
}
