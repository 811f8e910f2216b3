/* cli/slot_repair.c - see slot_repair.h. */
#include "cli/slot_repair.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/random.h"
#include "cli/clocks.h"
#include "cli/floor.h"
#include "cli/worker.h"

#define ASK_WAIT_MS 3000

/* A slot, and the making that it belongs to. */
struct target {
    uint64_t datacenter, worker;
    struct sf_coord_config config;
    struct sf_coord_basis basis;
    struct sf_cli_coordinator_time time;
};

/* "D/W" in this fleet's layout. Returns -1, or the exit code. */
static int read_target(const char *text, struct target *target)
{
    const struct sf_layout *layout = &target->config.layout;
    char datacenter[24];
    const char *slash = strchr(text, '/');
    const size_t length = slash != NULL ? (size_t)(slash - text) : sizeof datacenter;
    if (length < sizeof datacenter) {
        (void)snprintf(datacenter, sizeof datacenter, "%.*s", (int)length, text);
        if (sf_parse_u64(datacenter, 0, sf_layout_max_datacenter(layout), &target->datacenter) ==
                0 &&
            sf_parse_u64(slash + 1, 0, sf_layout_max_worker(layout), &target->worker) == 0)
            return -1;
    }
    return sf_cli_fail(
        SF_CLI_USAGE,
        "\"%s\" is no slot of this fleet; DATACENTER/WORKER is, as 0/3: 0/0 to %" PRIu64
        "/%" PRIu64,
        text, sf_layout_max_datacenter(layout), sf_layout_max_worker(layout));
}

static int find_target(struct sf_cli_fleet *fleet, const char *text, struct target *target)
{
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    int code = -1;
    if (event->completion.outcome == SF_COORD_DONE) {
        target->config = *event->completion.config;
        target->basis = sf_cli_fleet_basis(&event->completion);
        target->time = sf_cli_time_of(fleet->url, &event->completion);
    } else {
        code = sf_cli_fleet_failed(fleet, event);
    }
    sf_coord_event_free(event);
    return code < 0 ? read_target(text, target) : code;
}

static int confirm(bool yes, const char *what, const char *text)
{
    char answer[64] = "";
    if (yes)
        return -1;
    if (!isatty(STDIN_FILENO))
        return sf_cli_fail(SF_CLI_USAGE, "%s; --yes confirms it without a terminal", what);
    (void)fprintf(stderr, "%s. Type the slot's name (%s) to go on: ", what, text);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    return strcmp(answer, text) == 0
               ? -1
               : sf_cli_fail(SF_CLI_FAILED, "not confirmed; nothing was changed");
}

/* --- release --- */

/* The claim that has the slot. Returns -1, or the exit code. */
static int find_holder(struct sf_cli_fleet *fleet, const struct target *target,
                       struct sf_coord_claim *ret)
{
    struct sf_coord_request request = {
        .op = SF_COORD_LIST, .datacenter = target->datacenter, .basis = target->basis};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    const struct sf_coord_completion *found = &event->completion;
    int code = found->outcome == SF_COORD_DONE ? SF_CLI_FAILED : sf_cli_fleet_failed(fleet, event);
    for (size_t i = 0; i < found->claim_count; i++)
        if (found->claims[i].slot == (int64_t)target->worker) {
            *ret = found->claims[i];
            code = -1;
        }
    if (code == SF_CLI_FAILED && found->outcome == SF_COORD_DONE)
        code = sf_cli_fail(SF_CLI_FAILED,
                           "no claim holds slot %" PRIu64 "/%" PRIu64 "; nothing was changed",
                           target->datacenter, target->worker);
    sf_coord_event_free(event);
    return code;
}

/* Does its holder still live? Returns -1 when nobody answers there, or somebody who does not hold it. */
static int ask_holder(const struct target *target, const struct sf_coord_claim *holder,
                      const struct sf_cli_repair *how)
{
    const struct sf_cli_admin like = {
        .url = "", .token_file = how->admin.token_file, .ca = how->admin.ca};
    char url[SF_CLI_ADMIN_URL_MAX];
    json_t *status = NULL, *slot;
    struct sf_error err = {0};
    size_t i;
    int code = -1;
    if (holder->admin[0] == '\0')
        return -1;
    const struct sf_cli_admin admin = sf_cli_admin_of(&like, holder->admin, url);
    const int rc = sf_cli_get_json(&admin, "/status", ASK_WAIT_MS, &status, &err);
    if (rc == -ECONNREFUSED)
        return -1;
    if (rc != 0 && how->force)
        return -1;
    if (rc != 0)
        return sf_cli_fail(SF_CLI_FAILED,
                           "slot %" PRIu64 "/%" PRIu64
                           " is held by %s, whose admin port says nothing of it (%s): it may "
                           "be alive; if it is not: --force",
                           target->datacenter, target->worker, holder->node, err.text);
    json_array_foreach(json_object_get(status, "slots"), i, slot)
    {
        if (sf_cli_number_at(slot, "datacenter", -1) == (double)target->datacenter &&
            sf_cli_number_at(slot, "worker", -1) == (double)target->worker)
            code = sf_cli_fail(SF_CLI_FAILED,
                               "slot %" PRIu64 "/%" PRIu64
                               " is held by %s at %s, which is alive (%s); to "
                               "have it leave: snowfleet drain --admin http://%s",
                               target->datacenter, target->worker, holder->node, holder->admin,
                               sf_cli_text_at(slot, "state", "?"), holder->admin);
    }
    json_decref(status);
    return code;
}

int sf_cli_slot_release(struct sf_cli_fleet *fleet, const char *slot,
                        const struct sf_cli_repair *how)
{
    static struct target target;
    struct sf_coord_claim holder = {0};
    int code = find_target(fleet, slot, &target);
    if (code < 0)
        code = find_holder(fleet, &target, &holder);
    if (code < 0)
        code = ask_holder(&target, &holder, how);
    if (code >= 0)
        return code;
    struct sf_coord_request request = {
        .op = SF_COORD_UNCLAIM, .datacenter = target.datacenter, .basis = target.basis};
    memcpy(request.u.claim_name, holder.name, sizeof request.u.claim_name);
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    if (event->completion.outcome == SF_COORD_DONE) {
        (void)printf(
            "slot %s: %s of %s is gone; the slot is free when its reservation has passed\n", slot,
            holder.name, holder.node);
        code = sf_cli_end();
    } else {
        code = sf_cli_fleet_failed(fleet, event);
    }
    sf_coord_event_free(event);
    return code;
}

/* --- reset --- */

/* The record's version, if it is one to be written anew. Returns -1, or the exit code. */
static int find_record(struct sf_cli_fleet *fleet, const char *name, const struct target *target,
                       bool force, struct sf_coord_slot *ret)
{
    struct sf_coord_request request = {.op = SF_COORD_READ_SLOT,
                                       .datacenter = target->datacenter,
                                       .basis = target->basis,
                                       .u.worker = target->worker};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    const struct sf_coord_completion *found = &event->completion;
    int code = -1;
    if (found->outcome != SF_COORD_DONE) {
        code = sf_cli_fleet_failed(fleet, event);
    } else {
        *ret = found->slots[0];
        if (ret->state == SF_COORD_RECORD_OK && !force)
            code = sf_cli_fail(SF_CLI_FAILED,
                               "slot %s has a record that can be read; nothing was changed. If "
                               "somebody wrote it by "
                               "hand: --force",
                               name);
    }
    sf_coord_event_free(event);
    return code;
}

static int64_t end_of(const struct sf_coord_config *config)
{
    return config->epoch_ms + (int64_t)sf_layout_max_timestamp(&config->layout);
}

static int find_start(const struct target *target, const struct sf_coord_slot *record,
                      const struct sf_cli_repair *how, int64_t *ret_ms)
{
    struct sf_coord_survey survey = {
        .reserved_until_ms = record->state == SF_COORD_RECORD_OK ? record->reserved_until_ms : -1,
        .reported_until_ms = -1,
        .datacenter = target->datacenter,
        .worker = target->worker};
    struct sf_cli_clocks clocks;
    struct sf_floor floor;
    struct sf_error err = {0};
    memcpy(survey.node, record->node, sizeof survey.node);
    memcpy(survey.token, target->config.token, sizeof survey.token);
    const int code = sf_cli_clocks(&how->clock_sources, &target->time, &clocks);
    if (code >= 0)
        return code;
    const struct sf_floor_facts facts = {.given = how->floor_ms != SF_CLI_REPAIR_FLOOR,
                                         .given_ms = how->floor_ms,
                                         .above_ms = target->config.floor_ms,
                                         .latest_ms = clocks.latest_ms,
                                         .doubt = clocks.doubtful ? clocks.why : NULL,
                                         .max_window_ms = target->config.max_window_ms,
                                         .epoch_ms = target->config.epoch_ms,
                                         .end_ms = end_of(&target->config),
                                         .survey = &survey};
    if (sf_floor_decide(&facts, &floor, &err) < 0)
        return sf_cli_fail(SF_CLI_FAILED, "%s. Nothing was changed", err.text);
    *ret_ms = floor.floor_ms;
    return -1;
}

static int write_record(struct sf_cli_fleet *fleet, const char *name, const struct target *target,
                        const struct sf_coord_slot *there, int64_t start_ms)
{
    struct sf_coord_request request = {
        .op = SF_COORD_RESET_SLOT, .datacenter = target->datacenter, .basis = target->basis};
    struct sf_coord_slot *slot = &request.u.write.slot;
    char text[SF_TIME_TEXT_MAX];
    uint8_t random[16];
    int code;
    request.u.write.expected = *there;
    *slot = (struct sf_coord_slot){.worker = target->worker,
                                   .from_ms = start_ms,
                                   .reserved_until_ms = start_ms,
                                   .updated_ms = sf_real_ns() / SF_NS_PER_MS,
                                   .reset = true};
    sf_random_bytes(random, sizeof random);
    sf_hex128(random, slot->nonce);
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    if (event->completion.outcome == SF_COORD_DONE) {
        (void)printf("slot %s: the record is written anew; the slot mints from %s on\n", name,
                     sf_format_time_ms(start_ms, text, sizeof text));
        code = sf_cli_end();
    } else {
        code = sf_cli_fleet_failed(fleet, event);
    }
    sf_coord_event_free(event);
    return code;
}

int sf_cli_slot_reset(struct sf_cli_fleet *fleet, const char *slot, const struct sf_cli_repair *how)
{
    static struct target target;
    struct sf_coord_slot there = {0};
    int64_t start_ms = 0;
    int code = find_target(fleet, slot, &target);
    if (code < 0)
        code = find_record(fleet, slot, &target, how->force, &there);
    if (code < 0)
        code = find_start(&target, &there, how, &start_ms);
    if (code < 0)
        code = confirm(how->yes, "this writes the slot's record anew", slot);
    return code < 0 ? write_record(fleet, slot, &target, &there, start_ms) : code;
}
