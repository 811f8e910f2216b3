/* cli/init.c - `snowfleet init`: makes a fleet, once, or anew after its coordinator lost data; says of one
 * that exists what is there and what is missing. What it asks, in this order: what is there (SURVEY), what
 * time it is at the latest (cli/clocks), how far workers may have minted (cli/ask); what follows from that
 * is decided in cli/floor. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/ask.h"
#include "cli/clocks.h"
#include "cli/floor.h"
#include "cli/init_existing.h"
#include "coord/init_plan.h"
#include "coord/records.h"

/* What was asked for. */
struct wish {
    struct sf_cli_fleet_options to;
    struct sf_cli_admin admin; /* for --ask by the admin port */
    struct sf_cli_list datacenters, ask, clock_sources;
    struct sf_coord_init init;
    struct sf_cli_given_layout given_layout;
    struct sf_layout layout; /* of that; no timestamp bits: not given */
    const char *fleet_id;
    int64_t epoch_ms, floor_ms;
    struct sf_cli_given_id above;
    uint64_t max_window_ms;
    bool first, if_missing, force, yes, as_json;
};

/* What was found. */
struct facts {
    struct sf_coord_survey survey;
    bool has_config;
    struct sf_coord_config config;
    struct sf_coord_version there; /* of what is where the config belongs, good or not */
    struct sf_cli_coordinator_time time;
    struct sf_cli_asked asked;
    struct sf_cli_clocks clocks;
};

#define GO_ON_MS 500 /* between two tries to go on */

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

static int confirm(const char *url, const char *fleet)
{
    char answer[64] = "";
    if (!isatty(STDIN_FILENO))
        return sf_cli_fail(SF_CLI_USAGE,
                           "--after-data-loss makes fleet %s anew; --yes confirms it "
                           "without a terminal",
                           fleet);
    (void)fprintf(
        stderr,
        "This makes fleet \"%s\" anew in %s. No slot will start below what may have been minted "
        "so far; workers\n"
        "that still run spend what they have and then join. Type the fleet's name to go on: ",
        fleet, url);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    return strcmp(answer, fleet) == 0
               ? -1
               : sf_cli_fail(SF_CLI_FAILED, "not confirmed; nothing was changed");
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

/* --- looking --- */

static int survey(struct sf_cli_fleet *fleet, struct facts *facts)
{
    struct sf_coord_request request = {.op = SF_COORD_SURVEY};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    const struct sf_coord_completion *found = &event->completion;
    int code = -1;
    if (found->outcome != SF_COORD_DONE)
        code = sf_cli_fleet_failed(fleet, event);
    else
        facts->survey = *found->survey;
    if (found->outcome == SF_COORD_DONE && found->config != NULL) {
        facts->has_config = true;
        facts->config = *found->config;
    }
    if (facts->has_config)
        facts->there = facts->config.version;
    else if (facts->survey.config_garbage)
        facts->there = found->version;
    facts->time = sf_cli_time_of(fleet->url, found);
    sf_coord_event_free(event);
    return code;
}

/* --- judging --- */

/* Whoever answers to the fleet's name lives in a fleet that is not here any more. */
static int judge_living(const struct sf_cli_fleet *fleet, const struct wish *wish,
                        const struct facts *facts)
{
    if (facts->asked.answers == 0)
        return -1;
    return sf_cli_fail(
        SF_CLI_FAILED,
        "%s answers as a worker of fleet %s (%s), but %s has no such fleet: the coordinator lost "
        "its "
        "data, or is another one. Nothing was changed. If it did: snowfleet init --after-data-loss "
        "with the same --ask",
        facts->asked.where, wish->to.fleet,
        facts->asked.fleet_id[0] != '\0' ? facts->asked.fleet_id : "its id is not known there",
        fleet->url);
}

/* Held slots are the rule when a worker has halted the fleet, and after a run that was cut off. */
static int judge_claims(const struct sf_cli_fleet *fleet, const struct wish *wish,
                        const struct facts *facts)
{
    const struct sf_coord_survey *seen = &facts->survey;
    if (seen->live_claims == 0 || seen->halted || seen->currents == 0 || wish->force)
        return -1;
    return sf_cli_fail(
        SF_CLI_FAILED,
        "%s: %" PRIu64
        " live claim%s hold%s slots of fleet %s, and no worker has noticed a loss of data. "
        "Nothing was changed. If data was lost all the same: --force",
        fleet->url, seen->live_claims, seen->live_claims == 1 ? "" : "s",
        seen->live_claims == 1 ? "s" : "", wish->to.fleet);
}

static int differs(const char *option, const char *where)
{
    return sf_cli_fail(
        SF_CLI_USAGE,
        "%s: the fleet has another one, by %s; --after-data-loss keeps it, leave the option out",
        option, where);
}

/* Fleet id, epoch and layout stay: by the config, else by what a worker answers, else by the options. */
static int keep(const struct sf_cli_fleet *fleet, const struct wish *wish,
                const struct facts *facts, struct sf_coord_config *to)
{
    const bool asked = !facts->has_config && facts->asked.fleet_id[0] != '\0';
    const char *where = asked ? facts->asked.where : "its config";
    const char *id = facts->has_config ? facts->config.fleet_id
                     : asked           ? facts->asked.fleet_id
                                       : NULL;
    if (facts->has_config && facts->asked.fleet_id[0] != '\0' &&
        strcmp(facts->asked.fleet_id, id) != 0)
        return sf_cli_fail(SF_CLI_FAILED,
                           "%s is of the fleet %s, but %s holds %s; ask the workers of that one",
                           facts->asked.where, facts->asked.fleet_id, fleet->url, id);
    if (id == NULL) {
        if (wish->fleet_id == NULL || wish->epoch_ms == SF_CLI_NOT_GIVEN_MS ||
            wish->layout.timestamp_bits == 0)
            return sf_cli_fail(
                SF_CLI_USAGE,
                "%s has no config of fleet %s that can be read: --fleet-id, --epoch-ms and "
                "--layout "
                "must say what it was (they were printed when it was made, workers log them as "
                "fleet.config), or --ask a worker that still runs",
                fleet->url, wish->to.fleet);
        (void)snprintf(to->fleet_id, sizeof to->fleet_id, "%s", wish->fleet_id);
        to->epoch_ms = wish->epoch_ms;
        to->layout = wish->layout;
        return -1;
    }
    const struct sf_layout *layout = asked ? &facts->asked.layout : &facts->config.layout;
    const int64_t epoch_ms = asked ? facts->asked.epoch_ms : facts->config.epoch_ms;
    if (wish->fleet_id != NULL && strcmp(wish->fleet_id, id) != 0)
        return differs("--fleet-id", where);
    if (wish->epoch_ms != SF_CLI_NOT_GIVEN_MS && wish->epoch_ms != epoch_ms)
        return differs("--epoch-ms", where);
    if (wish->layout.timestamp_bits != 0 && memcmp(&wish->layout, layout, sizeof *layout) != 0)
        return differs("--layout", where);
    (void)snprintf(to->fleet_id, sizeof to->fleet_id, "%s", id);
    to->epoch_ms = epoch_ms;
    to->layout = *layout;
    return -1;
}

/* A fleet that never was. */
static int make_up(const struct wish *wish, struct sf_coord_config *to)
{
    const struct sf_layout standard = SF_DEFAULT_LAYOUT;
    struct sf_error err = {0};
    to->epoch_ms = wish->epoch_ms != SF_CLI_NOT_GIVEN_MS ? wish->epoch_ms : SF_DEFAULT_EPOCH_MS;
    to->layout = wish->layout.timestamp_bits != 0 ? wish->layout : standard;
    if (wish->fleet_id != NULL) {
        (void)snprintf(to->fleet_id, sizeof to->fleet_id, "%s", wish->fleet_id);
    } else {
        uint8_t random[16];
        sf_random_bytes(random, sizeof random);
        sf_uuid4(random, to->fleet_id);
    }
    if (sf_init_check_epoch(to, sf_real_ns() / SF_NS_PER_MS, &err) < 0)
        return sf_cli_fail(SF_CLI_USAGE, "--epoch-ms: %s", err.text);
    return -1;
}

/* What is asked for by options alone. */
static int fill_config(const struct wish *wish, const struct facts *facts,
                       struct sf_coord_config *to)
{
    struct sf_error err = {0};
    uint8_t random[16];
    const bool kept = wish->init.after_data_loss && facts->has_config;
    sf_random_bytes(random, sizeof random);
    sf_hex128(random, to->token);
    to->incarnation = kept ? facts->config.incarnation + 1 : 1;
    to->max_window_ms = (int64_t)wish->max_window_ms;
    if (kept && to->max_window_ms < facts->config.max_window_ms)
        to->max_window_ms =
            facts->config.max_window_ms; /* what was reserved by it must be passed */
    if (kept && wish->datacenters.count == 0) {
        to->any_datacenter = facts->config.any_datacenter;
        to->datacenter_count = facts->config.datacenter_count;
        memcpy(to->datacenters, facts->config.datacenters, sizeof to->datacenters);
    } else {
        const int code = read_datacenters(&wish->datacenters, to);
        if (code >= 0)
            return code;
    }
    if (sf_init_check(to, &err) < 0)
        return sf_cli_fail(SF_CLI_USAGE, "--layout, --datacenters: %s", err.text);
    return -1;
}

static int decide_floor(const struct wish *wish, const struct facts *facts,
                        struct sf_coord_init *to)
{
    struct sf_error err = {0};
    struct sf_floor floor;
    const struct sf_floor_facts known = {
        .first = wish->first,
        .given = wish->floor_ms != SF_CLI_NOT_GIVEN_MS,
        .given_ms = wish->floor_ms,
        .above_ms = wish->above.given ? (int64_t)(wish->above.value >>
                                                  (SF_ID_BITS - to->config.layout.timestamp_bits)) +
                                            to->config.epoch_ms + 1
                                      : INT64_MIN,
        .latest_ms = facts->clocks.latest_ms,
        .doubt = facts->clocks.doubtful ? facts->clocks.why : NULL,
        .wrong = facts->clocks.wrong,
        .max_window_ms = to->config.max_window_ms,
        .epoch_ms = to->config.epoch_ms,
        .end_ms = sf_config_last_ms(&to->config),
        .survey = &facts->survey,
        .asked_ms = facts->asked.may_spend_until_ms,
        .asked_where = facts->asked.latest,
    };
    if (!facts->has_config && !wish->first && to->config.max_window_ms < SF_COORD_WINDOW_DEFAULT_MS)
        (void)fprintf(stderr,
                      "snowfleet: --max-window-ms %" PRId64
                      ": no config says how far ahead workers of this fleet could "
                      "reserve; if one had more than that, it may mint above the floor\n",
                      to->config.max_window_ms);
    if (sf_floor_decide(&known, &floor, &err) < 0)
        return sf_cli_fail(SF_CLI_FAILED, "%s. Nothing was changed", err.text);
    if (wish->first && !floor.first)
        (void)fprintf(stderr, "snowfleet: --first: a fleet of this name has minted here before; it "
                              "starts above what may "
                              "have been minted\n");
    to->config.floor_ms = floor.floor_ms;
    to->survivor_max_ms = floor.survivor_max_ms;
    to->floor_stands = floor.stands;
    return -1;
}

/* --- making --- */

/* Another run, or an answer that was lost: our own token there means done. */
static int look_again(struct sf_cli_fleet *fleet, const struct wish *wish,
                      const struct sf_coord_init *init, const struct sf_coord_event *event)
{
    struct sf_coord_config now;
    if (event->completion.outcome == SF_COORD_UNKNOWN && sf_cli_fleet_config(fleet, &now) < 0 &&
        strcmp(now.token, init->config.token) == 0) {
        sf_cli_init_print(wish->to.fleet, &now, wish->as_json);
        return sf_cli_end();
    }
    return failed_to_make(fleet, event);
}

static void tell_start(const struct sf_coord_config *config)
{
    char until[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX];
    const int64_t wait_ms = config->floor_ms - sf_real_ns() / SF_NS_PER_MS;
    if (wait_ms > 2 * SF_FLOOR_MARGIN_MS)
        (void)fprintf(stderr, "snowfleet: workers begin to mint in %s, at %s\n",
                      sf_format_duration_ms(wait_ms, left, sizeof left),
                      sf_format_time_ms(config->floor_ms, until, sizeof until));
}

/* May the same be asked for again, to go on where it was cut off? What lies there of it bears our token,
 * which nobody else knows. After a loss of data the name is taken away first, so that begins anew. */
static bool was_cut_off(const struct sf_coord_init *init, const struct sf_coord_event *event)
{
    const struct sf_coord_completion *made = &event->completion;
    return !init->after_data_loss &&
           (made->outcome == SF_COORD_LOST || made->outcome == SF_COORD_UNKNOWN) &&
           (made->reason == SF_COORD_UNREACHABLE || made->reason == SF_COORD_SESSION);
}

/* The root is as it was, or was made by us and never named anything; else somebody else was here. */
static bool is_ours_still(struct sf_cli_fleet *fleet, struct sf_coord_init *init)
{
    struct sf_coord_request request = {.op = SF_COORD_SURVEY};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    const struct sf_coord_completion *found = &event->completion;
    if (found->outcome == SF_COORD_DONE && found->config == NULL && init->root.incarnation == 0 &&
        found->survey->root.version == 0)
        init->root = found->survey->root;
    const bool asks_again = found->outcome != SF_COORD_DONE || found->config != NULL ||
                            memcmp(&init->root, &found->survey->root, sizeof init->root) == 0;
    sf_coord_event_free(event);
    return asks_again;
}

/* As often as it takes, as long as something is made between two cuts. */
static struct sf_coord_event *ask_to_make(struct sf_cli_fleet *fleet, struct sf_coord_init *init)
{
    int64_t began_ms = sf_mono_ns() / SF_NS_PER_MS, stuck_since_ms = began_ms;
    for (;;) {
        struct sf_coord_request request = {.op = SF_COORD_INIT};
        request.u.init = *init;
        struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
        const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
        if (now_ms - began_ms > fleet->timeout_ms)
            stuck_since_ms = now_ms;
        if (!was_cut_off(init, event) || now_ms - stuck_since_ms > 3 * (int64_t)fleet->timeout_ms)
            return event;
        (void)fprintf(stderr, "snowfleet: %s; going on from what is made\n",
                      event->completion.text);
        (void)usleep(GO_ON_MS * 1000);
        if (!is_ours_still(fleet, init))
            return event;
        sf_coord_event_free(event);
        began_ms = now_ms;
    }
}

static int make(struct sf_cli_fleet *fleet, const struct wish *wish, struct sf_coord_init *init)
{
    struct sf_coord_event *event = ask_to_make(fleet, init);
    const struct sf_coord_completion *made = &event->completion;
    int code;
    if (made->outcome == SF_COORD_DONE) {
        const struct sf_coord_config *config = made->config != NULL ? made->config : &init->config;
        sf_cli_init_print(wish->to.fleet, config, wish->as_json);
        tell_start(config);
        code = sf_cli_end();
    } else if (made->reason == SF_COORD_EXISTS) {
        code = sf_cli_init_existing(fleet, wish->to.fleet, &init->config, wish->if_missing,
                                    wish->as_json);
    } else {
        code = look_again(fleet, wish, init, event);
    }
    sf_coord_event_free(event);
    return code;
}

static int run(struct sf_cli_fleet *fleet, struct wish *wish)
{
    static struct facts facts; /* large; one run a process */
    struct sf_coord_init *init = &wish->init;
    int code = survey(fleet, &facts);
    const bool anew = init->after_data_loss;
    if (code < 0 && !anew && (facts.has_config || facts.survey.config_garbage)) {
        code = make_up(wish, &init->config);
        if (code < 0)
            code = read_datacenters(&wish->datacenters, &init->config);
        return code < 0 ? sf_cli_init_existing(fleet, wish->to.fleet, &init->config,
                                               wish->if_missing, wish->as_json)
                        : code;
    }
    if (code < 0)
        code = sf_cli_ask(&wish->ask, wish->to.fleet, &wish->admin, wish->force, &facts.asked);
    if (code < 0)
        code = anew ? judge_claims(fleet, wish, &facts) : judge_living(fleet, wish, &facts);
    if (code < 0)
        code = anew ? keep(fleet, wish, &facts, &init->config) : make_up(wish, &init->config);
    if (code < 0)
        code = fill_config(wish, &facts, &init->config);
    if (code < 0)
        code = sf_cli_clocks(&wish->clock_sources, &facts.time, &facts.clocks);
    if (code < 0)
        code = decide_floor(wish, &facts, init);
    if (code < 0 && anew && !wish->yes)
        code = confirm(fleet->url, wish->to.fleet);
    if (code >= 0)
        return code;
    init->root = facts.survey.root;
    init->config.version = facts.there;
    init->config.created_ms = sf_real_ns() / SF_NS_PER_MS;
    sf_random_bytes(init->seed, sizeof init->seed);
    return make(fleet, wish, init);
}

/* Options that cannot be meant together. */
static int check_wish(const struct wish *wish)
{
    const bool anew = wish->init.after_data_loss;
    if (anew && wish->if_missing)
        return sf_cli_fail(SF_CLI_USAGE, "--if-missing and --after-data-loss exclude each other");
    if (anew && wish->first)
        return sf_cli_fail(
            SF_CLI_USAGE,
            "--first and --after-data-loss exclude each other: one says that nothing was ever "
            "minted, the other that something was");
    if (wish->fleet_id != NULL && !sf_uuid_is_valid(wish->fleet_id))
        return sf_cli_fail(SF_CLI_USAGE,
                           "--fleet-id: \"%s\" is not allowed; a UUID in lower case is",
                           wish->fleet_id);
    if (wish->force && !anew && wish->ask.count == 0)
        return sf_cli_fail(SF_CLI_USAGE, "--force is for --after-data-loss and for --ask");
    if ((wish->admin.cert == NULL) != (wish->admin.key == NULL))
        return sf_cli_fail(SF_CLI_USAGE, "--ask-tls-cert and --ask-tls-key need each other");
    return -1;
}

int sf_cli_init(int argc, char **argv)
{
    static struct wish wish; /* large; one run a process */
    wish = (struct wish){.to = SF_CLI_FLEET,
                         .epoch_ms = SF_CLI_NOT_GIVEN_MS,
                         .floor_ms = SF_CLI_NOT_GIVEN_MS,
                         .max_window_ms = SF_COORD_WINDOW_DEFAULT_MS};
    wish.to.must_name = true;
    const struct sf_cli_option options[] = {
        SF_CLI_FLEET_OPTIONS(wish.to),
        {"first", 0, SF_CLI_FLAG, &wish.first, NULL,
         "no fleet of this name ever minted: slots start now instead of a window later", 0, 0},
        {"epoch-ms", 0, SF_CLI_SIGNED, &wish.epoch_ms, "MS",
         "time 0 of the IDs, Unix milliseconds [1704067200000, 2024-01-01]", 0, 0},
        {"layout", 0, SF_CLI_LAYOUT, &wish.given_layout, "LAYOUT",
         "bits of each field, T,D,W,S, or " SF_CLI_PRESETS " with their epochs [41,5,5,12]", 0, 0},
        {"datacenters", 0, SF_CLI_LIST, &wish.datacenters, "D,..",
         "the numbers this coordinator serves [any]", 0, 0},
        {"max-window-ms", 0, SF_CLI_NUMBER, &wish.max_window_ms, "MS",
         "the largest reservation.window_ms a worker may have [600000]", 1000,
         SF_COORD_WINDOW_MAX_MS},
        {"if-missing", 0, SF_CLI_FLAG, &wish.if_missing, NULL,
         "an existing fleet like this one is fine (exit 0)", 0, 0},
        {"after-data-loss", 0, SF_CLI_FLAG, &wish.init.after_data_loss, NULL,
         "make the fleet anew, with its id, epoch and layout", 0, 0},
        {"fleet-id", 0, SF_CLI_TEXT, &wish.fleet_id, "UUID",
         "what it was, where no config can be read", 0, 0},
        {"ask", 0, SF_CLI_LIST, &wish.ask, "HOST:PORT",
         "workers that may still run (or http(s)://HOST:PORT, their admin port): none is passed "
         "over",
         0, 0},
        {"clock-source", 0, SF_CLI_LIST, &wish.clock_sources, "SOURCE",
         "who else knows what time it is, as in clock.sources", 0, 0},
        {"floor-ms", 0, SF_CLI_SIGNED, &wish.floor_ms, "MS",
         "start there, whatever clocks say [the latest clock + max-window-ms + 2000]", 0, 0},
        {"above", 0, SF_CLI_ID, &wish.above, "ID", "start above this ID at least", 0, 0},
        {"force", 0, SF_CLI_FLAG, &wish.force, NULL,
         "although live workers hold slots and none has noticed a loss, or an --ask is not "
         "answered",
         0, 0},
        {"yes", 'y', SF_CLI_FLAG, &wish.yes, NULL, "do not ask", 0, 0},
        {"json", 0, SF_CLI_FLAG, &wish.as_json, NULL, "a JSON object", 0, 0},
        {"ask-token-file", 0, SF_CLI_TEXT, &wish.admin.token_file, "FILE",
         "a line name:token or token that --ask shows", 0, 0},
        {"ask-tls-ca", 0, SF_CLI_TEXT, &wish.admin.ca, "FILE",
         "certificates that --ask trusts: data ports are asked with TLS then", 0, 0},
        {"ask-tls-cert", 0, SF_CLI_TEXT, &wish.admin.cert, "FILE",
         "the certificate that --ask shows (PEM); data ports are asked with TLS", 0, 0},
        {"ask-tls-key", 0, SF_CLI_TEXT, &wish.admin.key, "FILE",
         "the key of that certificate (PEM)", 0, 0},
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet init --coordinator URL [--fleet NAME] [--first | --after-data-loss] "
                "[OPTION]...",
        .text = "Makes a fleet: its config with a random fleet id, and a record for every slot. "
                "Layout and epoch\n"
                "never change afterwards. A fleet that exists is shown and left alone (exit 1;\n"
                "with --if-missing 0, if it is like the one asked for).\n\n"
                "Unless --first says that no fleet of this name ever minted here, its slots start "
                "where nobody can\n"
                "have minted: max-window-ms and two seconds after the latest clock. "
                "--after-data-loss makes a fleet\n"
                "anew whose coordinator was wiped, remade or put back.\n\n"
                "example: snowfleet init --coordinator zk://zk-0:2181,zk-1:2181,zk-2:2181 --first "
                "--datacenters 0,1\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    wish.layout = wish.given_layout.layout;
    if (wish.given_layout.has_epoch && wish.epoch_ms == SF_CLI_NOT_GIVEN_MS)
        wish.epoch_ms = wish.given_layout.epoch_ms;
    if (code < 0)
        code = check_wish(&wish);
    struct sf_cli_fleet fleet = {0};
    if (code < 0)
        code = sf_cli_fleet_open(&wish.to, &fleet);
    if (code < 0)
        code = run(&fleet, &wish);
    sf_cli_fleet_close(&fleet);
    sf_cli_list_free(&wish.datacenters);
    sf_cli_list_free(&wish.ask);
    sf_cli_list_free(&wish.clock_sources);
    return code;
}
