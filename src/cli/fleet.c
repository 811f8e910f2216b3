/* cli/fleet.c - the commands' way to a coordinator: open, ask, wait for the answer. */
#include "cli/fleet.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "coord/open.h"

/* The coordinator that was named, or where snowfleetd looks by default. Returns -1, or the exit
 * code. */
static int find_url(const struct sf_cli_fleet_options *options,
                    char ret_url[SF_COORDINATOR_URL_MAX + 1])
{
    const char *given = options->coordinator;
    if (given == NULL || given[0] == '\0')
        given = getenv("SNOWFLEET_COORDINATOR");
    const char *workers = getenv("SNOWFLEET_FLEET_COORDINATOR");
    if (given == NULL && workers != NULL && workers[0] != '\0')
        return sf_cli_fail(SF_CLI_USAGE,
                           "SNOWFLEET_FLEET_COORDINATOR is snowfleetd's option and not read here; "
                           "give --coordinator, or set SNOWFLEET_COORDINATOR (both to \"%.200s\"?)",
                           workers);
    if (given == NULL && options->must_name)
        return sf_cli_fail(
            SF_CLI_USAGE,
            "--coordinator (or SNOWFLEET_COORDINATOR; SNOWFLEET_FLEET_COORDINATOR is snowfleetd's) "
            "must be given: this writes to it, and makes nothing in a place that nobody named; %s",
            SF_COORDINATOR_URL_FORMS);
    if (given == NULL) {
        if (sf_coordinator_default(geteuid() == 0, getenv("XDG_STATE_HOME"), getenv("HOME"),
                                   ret_url) != 0)
            return sf_cli_fail(SF_CLI_USAGE,
                               "--coordinator: there is no default place; give a URL");
        return -1;
    }
    if (strlen(given) > SF_COORDINATOR_URL_MAX)
        return sf_cli_fail(SF_CLI_USAGE, "--coordinator: %zu bytes; allowed are up to %d",
                           strlen(given), SF_COORDINATOR_URL_MAX);
    memcpy(ret_url, given, strlen(given) + 1);
    return -1;
}

int sf_cli_fleet_open(const struct sf_cli_fleet_options *options, struct sf_cli_fleet *ret)
{
    struct sf_error err = {0};
    memset(ret, 0, sizeof *ret);
    const int code = find_url(options, ret->url);
    if (code >= 0)
        return code;
    ret->timeout_ms = (uint32_t)options->timeout_ms;
    ret->calls = sf_coord_calls_create();
    if (ret->calls == NULL)
        abort();
    const struct sf_coord_options coord_options = {
        .url = ret->url,
        .fleet = options->fleet,
        .session_timeout_ms = 10000,
        .username = options->username,
        .password_file = options->password_file,
        .tls_ca = options->ca,
        .tls_cert = options->cert,
        .tls_key = options->key,
        .ticks = &sf_ticks_system,
        .sink = sf_coord_call_sink,
        .sink_ctx = ret->calls,
    };
    if (sf_coord_open(&coord_options, &ret->coord, &err) == 0)
        return -1;
    sf_cli_fleet_close(ret);
    return sf_cli_fail(SF_CLI_CONFIG, "%s", err.text);
}

void sf_cli_fleet_close(struct sf_cli_fleet *fleet)
{
    if (fleet->coord != NULL)
        sf_coord_destroy(fleet->coord);
    if (fleet->calls != NULL)
        sf_coord_calls_destroy(fleet->calls);
    fleet->coord = NULL;
    fleet->calls = NULL;
}

struct sf_coord_event *sf_cli_fleet_ask(struct sf_cli_fleet *fleet,
                                        struct sf_coord_request *request)
{
    request->id = ++fleet->last_id; /* an answer that comes too late is not the next one's */
    request->deadline_ms = fleet->timeout_ms;
    return sf_coord_call(fleet->coord, fleet->calls, request);
}

int sf_cli_fleet_failed(const struct sf_cli_fleet *fleet, const struct sf_coord_event *event)
{
    const struct sf_coord_completion *completion = &event->completion;
    const char *text = completion->text;
    switch (completion->reason) {
    case SF_COORD_MISSING:
    case SF_COORD_GARBAGE:
    case SF_COORD_INVALID:
        return sf_cli_fail(SF_CLI_CONFIG, "%s: %s", fleet->url, text);
    case SF_COORD_EXISTS:
        return sf_cli_fail(SF_CLI_FAILED, "%s: %s", fleet->url, text);
    case SF_COORD_AUTH:
        return sf_cli_fail(SF_CLI_CONFIG,
                           "%s: refused: %s; see --username, --password-file, --coordinator-cert",
                           fleet->url, text);
    case SF_COORD_STORAGE:
        return sf_cli_fail(SF_CLI_UNREACHABLE, "%s: %s %s: %s", fleet->url,
                           sf_coord_op_name(completion->op),
                           sf_coord_outcome_name(completion->outcome), text);
    default:
        return sf_cli_fail(
            SF_CLI_UNREACHABLE, "%s: %s %s (%s)%s%s; is the coordinator running there?", fleet->url,
            sf_coord_op_name(completion->op), sf_coord_outcome_name(completion->outcome),
            sf_coord_reason_name(completion->reason), text[0] != '\0' ? ": " : "", text);
    }
}

struct sf_coord_basis sf_cli_fleet_basis(const struct sf_coord_completion *found)
{
    struct sf_coord_basis basis = {.config = found->config->version};
    memcpy(basis.token, found->config->token, sizeof basis.token);
    if (found->state != NULL)
        basis.state = found->state->version;
    return basis;
}

static void tell_halted(const struct sf_coord_state *state, char *to, size_t size)
{
    const struct sf_coord_report *first = &state->reports[0];
    char at[SF_TIME_TEXT_MAX], by[160] = "";
    if (state->report_count > 0)
        (void)snprintf(by, sizeof by,
                       "%.47s noticed at %s that slot %" PRIu64 "/%" PRIu64 " had lost data; ",
                       first->node, sf_format_time_ms(first->reported_ms, at, sizeof at),
                       first->datacenter, first->worker);
    (void)snprintf(to, size,
                   "%sworkers spend what they have, nothing is granted; snowfleet init "
                   "--after-data-loss ends it (RUNBOOK, SnowfleetFleetHalted)",
                   by);
}

void sf_cli_fleet_halted(struct sf_cli_fleet *fleet, const struct sf_coord_completion *found)
{
    fleet->halted[0] = '\0';
    if (!found->current)
        (void)snprintf(fleet->halted, sizeof fleet->halted,
                       "a making of it was begun and not finished; run the same snowfleet init "
                       "again");
    else if (found->state != NULL && found->state->halted)
        tell_halted(found->state, fleet->halted, sizeof fleet->halted);
}

void sf_cli_fleet_print_halted(const struct sf_cli_fleet *fleet, FILE *to)
{
    if (fleet->halted[0] != '\0')
        (void)fprintf(to, "HALTED: %s\n", fleet->halted);
}

int sf_cli_fleet_config(struct sf_cli_fleet *fleet, struct sf_coord_config *ret)
{
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    int code = -1;
    if (event->completion.outcome == SF_COORD_DONE) {
        *ret = *event->completion.config;
        sf_cli_fleet_halted(fleet, &event->completion);
    } else {
        code = sf_cli_fleet_failed(fleet, event);
    }
    sf_coord_event_free(event);
    return code;
}

static int
list_one(struct sf_cli_fleet *fleet, const char *token, uint64_t datacenter, bool may_miss,
         int (*each)(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found),
         void *ctx)
{
    struct sf_coord_request request = {.op = SF_COORD_LIST, .datacenter = datacenter};
    memcpy(request.basis.token, token, sizeof request.basis.token);
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    int code = -1;
    if (event->completion.outcome == SF_COORD_DONE) {
        bool there = !may_miss || event->completion.claim_count > 0;
        for (size_t i = 0; i < event->completion.slot_count; i++)
            there = there || event->completion.slots[i].state != SF_COORD_RECORD_MISSING;
        if (there)
            code = each(ctx, datacenter, &event->completion);
    } else if (!may_miss || event->completion.reason != SF_COORD_MISSING) {
        code = sf_cli_fleet_failed(fleet, event);
    }
    sf_coord_event_free(event);
    return code;
}

int sf_cli_fleet_list(
    struct sf_cli_fleet *fleet, const struct sf_coord_config *config, const uint64_t *only,
    int (*each)(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found), void *ctx)
{
    if (only != NULL) {
        if (*only > sf_layout_max_datacenter(&config->layout))
            return sf_cli_fail(SF_CLI_USAGE,
                               "--datacenter: %" PRIu64 " is not allowed; 0 to %" PRIu64
                               " is in this fleet's layout",
                               *only, sf_layout_max_datacenter(&config->layout));
        return list_one(fleet, config->token, *only, false, each, ctx);
    }
    int code = -1;
    if (!config->any_datacenter) {
        for (uint16_t i = 0; i < config->datacenter_count && code < 0; i++)
            code = list_one(fleet, config->token, config->datacenters[i], true, each, ctx);
        return code;
    }
    for (uint64_t d = 0; d <= sf_layout_max_datacenter(&config->layout) && code < 0; d++)
        code = list_one(fleet, config->token, d, true, each, ctx);
    return code;
}

bool sf_cli_datacenter_is_idle(const struct sf_coord_completion *found, int64_t now_ms)
{
    for (size_t i = 0; i < found->slot_count; i++)
        if (found->slots[i].fence != 0 ||
            sf_slot_state(&found->slots[i], NULL, 0, now_ms, NULL) != SF_SLOT_FREE)
            return false;
    return found->claim_count == 0;
}

void sf_cli_census_add(struct sf_cli_census *census, const struct sf_coord_completion *found,
                       int64_t now_ms)
{
    if (sf_cli_datacenter_is_idle(found, now_ms)) {
        census->idle_datacenters++;
        census->idle_slots += found->slot_count;
        return;
    }
    for (size_t i = 0; i < found->slot_count; i++)
        census->states[sf_slot_state(&found->slots[i], found->claims, found->claim_count, now_ms,
                                     NULL)]++;
    for (size_t i = 0; i < found->claim_count; i++)
        census->waiting += found->claims[i].slot < 0 && found->claims[i].seeks;
}

void sf_cli_census_end(struct sf_cli_census *census)
{
    for (int state = 0; state < SF_SLOT_STATES; state++)
        if (census->states[state] > 0)
            return;
    census->states[SF_SLOT_FREE] = census->idle_slots;
    census->idle_datacenters = census->idle_slots = 0;
}

const char *sf_cli_census_text(const struct sf_cli_census *census,
                               char buffer[SF_CLI_CENSUS_TEXT_MAX])
{
    char idle[64] = "";
    if (census->idle_datacenters > 0)
        (void)snprintf(idle, sizeof idle, " (and %" PRIu64 " in %" PRIu64 " unused datacenters)",
                       census->idle_slots, census->idle_datacenters);
    (void)snprintf(buffer, SF_CLI_CENSUS_TEXT_MAX,
                   "%" PRIu64 " held, %" PRIu64 " free%s, %" PRIu64 " quarantined, %" PRIu64
                   " broken",
                   census->states[SF_SLOT_HELD], census->states[SF_SLOT_FREE], idle,
                   census->states[SF_SLOT_QUARANTINED], census->states[SF_SLOT_BROKEN]);
    return buffer;
}
