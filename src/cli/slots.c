/* cli/slots.c - `snowfleet slots`: every slot as the coordinator has it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/fleet.h"
#include "cli/fleet_view.h"
#include "cli/slot_repair.h"
#include "coord/fleet_json.h"
#include "coord/layout_json.h"
#include "coord/records.h"

/* Slots that follow each other, alike and held by nobody: one line. Of several datacenters where all the
 * slots of each are. */
struct run {
    uint64_t datacenter, last_datacenter;
    uint64_t last_worker;
    struct sf_coord_slot first;
    const char *state;
    const struct sf_coord_claim *holder;
};

struct view {
    bool as_json, all;
    json_t *slots;
    json_t *picture; /* who is to be there (coord/fleet_json.h) */
    uint64_t remember_ms;
    struct run held_back; /* a whole datacenter, which the next one may be like; state NULL: none */
    int64_t now_ms;
    struct sf_cli_census census;
    uint64_t leaked, untouched;
    uint64_t leaked_datacenter, leaked_worker; /* of the first */
    bool headed;
};

static const char *range(uint64_t first, uint64_t last, char buffer[48])
{
    (void)snprintf(buffer, 48, first == last ? "%" PRIu64 : "%" PRIu64 "-%" PRIu64, first, last);
    return buffer;
}

static void show_run(struct view *view, const struct run *run)
{
    const struct sf_coord_slot *slot = &run->first;
    const struct sf_coord_claim *holder = run->holder;
    char until[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX], datacenters[48], workers[48];
    if (!view->headed)
        (void)printf("%-4s %-6s %-12s %-26s %-9s %-10s %s\n", "DC", "WORKER", "STATE",
                     "RESERVED UNTIL", "LEFT", "FENCE", "HOLDER");
    view->headed = true;
    const bool reserved = slot->reserved_until_ms > view->now_ms;
    (void)printf(
        "%-4s %-6s %-12s %-26s %-9s %-10" PRIu64 " %s%s%s\n",
        range(run->datacenter, run->last_datacenter, datacenters),
        range(slot->worker, run->last_worker, workers), run->state,
        slot->reserved_until_ms > 0
            ? sf_format_time_ms(slot->reserved_until_ms, until, sizeof until)
            : "-",
        reserved ? sf_format_duration_ms(slot->reserved_until_ms - view->now_ms, left, sizeof left)
                 : "-",
        slot->fence, holder != NULL ? holder->node : slot->node, holder != NULL ? " " : "",
        holder != NULL ? holder->address : "");
}

static bool alike(const struct run *a, const struct run *b)
{
    return strcmp(a->state, b->state) == 0 && a->holder == NULL && b->holder == NULL &&
           a->first.reserved_until_ms == b->first.reserved_until_ms &&
           a->first.fence == b->first.fence && strcmp(a->first.node, b->first.node) == 0;
}

/* What of a datacenter ends here: `run`, and whether it is all of it. */
static void end_run(struct view *view, const struct run *run, bool whole)
{
    struct run *before = &view->held_back;
    if (before->state != NULL && whole && alike(before, run) &&
        before->last_datacenter + 1 == run->datacenter) {
        before->last_datacenter = run->datacenter;
        return;
    }
    if (before->state != NULL)
        show_run(view, before);
    before->state = NULL;
    if (whole && run->holder == NULL)
        *before = *run;
    else
        show_run(view, run);
}

/* Goes on with the run, or begins the next one. */
static void add_row(struct view *view, struct run *run, const struct run *row)
{
    if (run->state != NULL && alike(run, row) && run->last_worker + 1 == row->last_worker) {
        run->last_worker = row->last_worker;
        return;
    }
    if (run->state != NULL)
        end_run(view, run, false);
    *run = *row;
}

static json_t *slot_json(uint64_t datacenter, const struct sf_coord_slot *slot, const char *state,
                         const struct sf_coord_claim *holder)
{
    return json_pack(
        "{s:I, s:I, s:s, s:I, s:I, s:s, s:s?, s:s?, s:s?}", "datacenter", (json_int_t)datacenter,
        "worker", (json_int_t)slot->worker, "state", state, "fence", (json_int_t)slot->fence,
        "reserved_until_ms", (json_int_t)slot->reserved_until_ms, "node",
        holder != NULL ? holder->node : slot->node, "claim", holder != NULL ? holder->name : NULL,
        "address", holder != NULL ? holder->address : NULL, "admin",
        holder != NULL ? holder->admin : NULL);
}

static int show_datacenter(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found)
{
    struct view *view = ctx;
    struct run run = {0};
    const struct sf_fleet_picture picture = {.datacenter = datacenter,
                                             .slots = found->slots,
                                             .slot_count = found->slot_count,
                                             .claims = found->claims,
                                             .claim_count = found->claim_count,
                                             .now_ms = view->now_ms,
                                             .remember_ms = (int64_t)view->remember_ms};
    sf_cli_census_add(&view->census, found, view->now_ms);
    if (!sf_cli_datacenter_is_idle(found, view->now_ms))
        sf_fleet_json_add(view->picture, &picture);
    for (size_t i = 0; i < found->slot_count; i++) {
        const struct sf_coord_slot *slot = &found->slots[i];
        const struct sf_coord_claim *holder;
        const enum sf_slot_state state =
            sf_slot_state(slot, found->claims, found->claim_count, view->now_ms, &holder);
        /* Held, and nobody renews it: what a dead session left behind, or a worker that stands still. */
        const bool leaked = state == SF_SLOT_HELD && slot->reserved_until_ms <= view->now_ms;
        const char *name = leaked ? "leaked" : sf_slot_state_name(state);
        if (leaked && view->leaked++ == 0) {
            view->leaked_datacenter = datacenter;
            view->leaked_worker = slot->worker;
        }
        if (view->as_json)
            json_array_append_new(view->slots, slot_json(datacenter, slot, name, holder));
        else if (!view->all && slot->fence == 0 && state == SF_SLOT_FREE)
            view->untouched++;
        else
            add_row(view, &run,
                    &(struct run){.datacenter = datacenter,
                                  .last_datacenter = datacenter,
                                  .last_worker = slot->worker,
                                  .first = *slot,
                                  .state = name,
                                  .holder = holder});
    }
    if (run.state != NULL)
        end_run(view, &run, run.last_worker - run.first.worker + 1 == found->slot_count);
    return -1;
}

static int show(struct sf_cli_fleet *fleet, const char *name, const uint64_t *only,
                struct view *view)
{
    struct sf_coord_config config;
    int code = sf_cli_fleet_config(fleet, &config);
    view->now_ms = sf_real_ns() / SF_NS_PER_MS;
    view->slots = json_array();
    view->picture = sf_fleet_json();
    if (code < 0)
        code = sf_cli_fleet_list(fleet, &config, only, show_datacenter, view);
    if (code >= 0) {
        json_decref(view->slots);
        json_decref(view->picture);
        return code;
    }
    sf_fleet_json_end(view->picture, view->now_ms);
    const struct sf_cli_census *census = &view->census;
    sf_cli_census_end(&view->census);
    if (view->as_json) {
        sf_cli_print_json(json_pack(
            "{s:s, s:s, s:s?, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:O}", "fleet",
            name, "fleet_id", config.fleet_id, "halted",
            fleet->halted[0] != '\0' ? fleet->halted : NULL, "epoch_ms",
            (json_int_t)config.epoch_ms, "layout", sf_layout_json(&config.layout), "held",
            (json_int_t)census->states[SF_SLOT_HELD], "free",
            (json_int_t)census->states[SF_SLOT_FREE], "quarantined",
            (json_int_t)census->states[SF_SLOT_QUARANTINED], "broken",
            (json_int_t)census->states[SF_SLOT_BROKEN], "leaked", (json_int_t)view->leaked,
            "waiting", (json_int_t)census->waiting, "unused_datacenters",
            (json_int_t)census->idle_datacenters, "unused_slots", (json_int_t)census->idle_slots,
            "slots", view->slots, "members", json_object_get(view->picture, "members")));
    } else {
        json_decref(view->slots);
        if (view->held_back.state != NULL)
            show_run(view, &view->held_back);
        sf_cli_fleet_print_halted(fleet, stdout);
        char counts[SF_CLI_CENSUS_TEXT_MAX];
        (void)printf("%s; %" PRIu64 " workers wait for a slot\n",
                     sf_cli_census_text(census, counts), census->waiting);
        if (view->leaked > 0)
            (void)printf(
                "%" PRIu64
                " leaked: a claim holds them that nobody renews; if its worker is gone: snowfleet "
                "slots release %" PRIu64 "/%" PRIu64 "\n",
                view->leaked, view->leaked_datacenter, view->leaked_worker);
        sf_cli_view_print_trouble(view->picture, view->now_ms, stdout);
    }
    json_decref(view->picture);
    return sf_cli_end();
}

/* `slots release SLOT` and `slots reset SLOT`; without words, the table. */
static int act(struct sf_cli_fleet *fleet, const struct sf_cli_fleet_options *to, char **words,
               size_t count, const uint64_t *only, struct view *view,
               const struct sf_cli_repair *how)
{
    if (count == 0)
        return show(fleet, to->fleet, only, view);
    if (count == 2 && strcmp(words[0], "release") == 0)
        return sf_cli_slot_release(fleet, words[1], how);
    if (count == 2 && strcmp(words[0], "reset") == 0)
        return sf_cli_slot_reset(fleet, words[1], how);
    return sf_cli_fail(SF_CLI_USAGE,
                       "slots %s: release DATACENTER/WORKER and reset DATACENTER/WORKER are known",
                       words[0]);
}

int sf_cli_slots(int argc, char **argv)
{
    struct sf_cli_fleet_options to = SF_CLI_FLEET;
    struct sf_cli_repair how = {.floor_ms = SF_CLI_REPAIR_FLOOR};
    struct view view = {.remember_ms = SF_REMEMBER_DEFAULT_MS};
    uint64_t datacenter = UINT64_MAX;
    size_t words = 0;
    const struct sf_cli_option options[] = {
        SF_CLI_FLEET_OPTIONS(to),
        {"datacenter", 0, SF_CLI_NUMBER, &datacenter, "D", "only this one [all that have records]",
         0, 0},
        {"all", 'a', SF_CLI_FLAG, &view.all, NULL, "also the slots that were never held", 0, 0},
        {"json", 0, SF_CLI_FLAG, &view.as_json, NULL, "a JSON object with every slot", 0, 0},
        SF_CLI_REMEMBER_OPTION(view.remember_ms),
        {"clock-source", 0, SF_CLI_LIST, &how.clock_sources, "SOURCE",
         "reset: who else knows what time it is, as in clock.sources", 0, 0},
        {"floor-ms", 0, SF_CLI_SIGNED, &how.floor_ms, "MS",
         "reset: start there, whatever clocks say [the latest clock + the fleet's max-window-ms + "
         "2000]",
         0, 0},
        {"force", 0, SF_CLI_FLAG, &how.force, NULL,
         "reset: also a record that can be read; release: although its holder may be alive", 0, 0},
        {"yes", 'y', SF_CLI_FLAG, &how.yes, NULL, "reset: do not ask", 0, 0},
        SF_CLI_ADMIN_OPTIONS(how.admin),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet slots [release SLOT | reset SLOT] --coordinator URL [--fleet NAME] "
                "[OPTION]...",
        .text =
            "Shows the slots of a fleet as its coordinator has them: free, held (by whom), "
            "quarantined (until when:\n"
            "nobody holds it, and its last owner's reservation has not passed), broken (the "
            "record cannot be read),\n"
            "leaked (a claim is there, but whoever made it has not renewed the reservation). Below "
            "stands who is\n"
            "expected and not ready, as claims and records tell it; snowfleet status asks the "
            "workers "
            "themselves.\n\n"
            "release frees a slot whose holder does not answer: its claim goes, the record stays, "
            "so the slot "
            "rests until\n"
            "the reservation has passed. reset writes a record anew that is missing or cannot be "
            "read. SLOT "
            "is\n"
            "DATACENTER/WORKER.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .max_words = 2,
    };
    int code = sf_cli_parse(&usage, argc, argv, &words);
    struct sf_cli_fleet fleet = {0};
    to.must_name = words > 0;
    if (code < 0)
        code = sf_cli_fleet_open(&to, &fleet);
    if (code < 0)
        code = act(&fleet, &to, argv, words, datacenter != UINT64_MAX ? &datacenter : NULL, &view,
                   &how);
    sf_cli_fleet_close(&fleet);
    sf_cli_list_free(&how.clock_sources);
    return code;
}
