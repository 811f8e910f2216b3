/* cli/picture.c - see picture.h. */
#include "cli/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ticks.h"
#include "cli/clocks.h"
#include "cli/diagnosis_rules.h"
#include "cli/worker.h"
#include "coord/expected.h"

#define DAY_MS      INT64_C(86400000)
#define SAME_MS     250
#define TWICE_MS    1500  /* a slot that changes hands is seen at two workers for a moment */
#define WORKERS_MAX 16384 /* a layout's slots */

/* The strings that a struct sf_seen_worker points to. */
struct kept {
    char admin[SF_CLI_ADMIN_URL_MAX];
    char node[SF_COORD_NODE_MAX];
    char why[SF_ERROR_TEXT_MAX];
    json_t *status;
};

struct sf_look {
    struct sf_picture picture;
    const struct sf_look_at *at;
    struct kept *kept;
    size_t count, room;
    struct sf_seen_worker *workers;
    struct sf_cli_census census;
    char text[SF_FINDING_TEXT_MAX];
};

static int64_t real_ms(void)
{
    return sf_real_ns() / SF_NS_PER_MS;
}

/* "HOST:PORT", however it was written. */
static void bare(const char *url, char *to, size_t size)
{
    const char *scheme = strstr(url, "://");
    const char *place = scheme != NULL ? scheme + 3 : url;
    (void)snprintf(to, size, "%.*s", (int)strcspn(place, "/"), place);
}

/* Each place once. */
static void add_worker(struct sf_look *look, const char *url, const char *node)
{
    char one[SF_CLI_ADMIN_URL_MAX], other[SF_CLI_ADMIN_URL_MAX];
    bare(url, one, sizeof one);
    for (size_t i = 0; i < look->count; i++) {
        bare(look->kept[i].admin, other, sizeof other);
        if (strcmp(one, other) == 0)
            return;
    }
    if (look->count == WORKERS_MAX || url[0] == '\0')
        return;
    if (look->count == look->room) {
        look->room = look->room * 2 + 8;
        look->kept = reallocarray(look->kept, look->room, sizeof *look->kept);
        if (look->kept == NULL)
            abort();
    }
    struct kept *kept = &look->kept[look->count++];
    *kept = (struct kept){0};
    if (strstr(url, "://") != NULL)
        (void)snprintf(kept->admin, sizeof kept->admin, "%.300s", url);
    else
        (void)sf_cli_admin_of(&look->at->like, url, kept->admin);
    (void)snprintf(kept->node, sizeof kept->node, "%s", node);
}

static void note(struct sf_seen_slot *first, uint64_t *count, uint64_t datacenter,
                 const struct sf_coord_slot *slot)
{
    if ((*count)++ > 0)
        return;
    *first = (struct sf_seen_slot){
        .datacenter = datacenter, .worker = slot->worker, .until_ms = slot->reserved_until_ms};
    (void)snprintf(first->node, sizeof first->node, "%s", slot->node);
}

/* Who ended without giving the slot back, while that rests (later it is no news: a pod comes back under another
 * name); and is a datacenter empty that was not? */
static void see_who_is_gone(struct sf_look *look, uint64_t datacenter,
                            const struct sf_coord_completion *found)
{
    struct sf_picture *p = &look->picture;
    struct sf_expected expected;
    sf_expected_take(found->slots, found->slot_count, found->claims, found->claim_count, p->now_ms,
                     SF_REMEMBER_DEFAULT_MS, &expected);
    for (size_t i = 0; i < expected.count; i++)
        if (strcmp(expected.members[i].state, SF_EXPECTED_LOST) == 0 &&
            expected.members[i].slot->reserved_until_ms > p->now_ms)
            note(&p->first_lost, &p->lost, datacenter, expected.members[i].slot);
    if (found->claim_count == 0 && expected.count > 0 && p->empty_datacenter < 0)
        p->empty_datacenter = (int64_t)datacenter;
    sf_expected_free(&expected);
}

static int see_datacenter(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found)
{
    struct sf_look *look = ctx;
    struct sf_picture *p = &look->picture;
    sf_cli_census_add(&look->census, found, p->now_ms);
    for (size_t i = 0; i < found->slot_count; i++) {
        const struct sf_coord_slot *slot = &found->slots[i];
        const enum sf_slot_state state =
            sf_slot_state(slot, found->claims, found->claim_count, p->now_ms, NULL);
        if (state == SF_SLOT_BROKEN)
            note(&p->first_broken, &p->broken, datacenter, slot);
        else if (state == SF_SLOT_HELD && slot->reserved_until_ms <= p->now_ms)
            note(&p->first_leaked, &p->leaked, datacenter, slot);
        else if (state == SF_SLOT_QUARANTINED && slot->node[0] != '\0' &&
                 slot->reserved_until_ms > p->now_ms + DAY_MS)
            note(&p->first_distant, &p->distant, datacenter, slot);
    }
    for (size_t i = 0; i < found->claim_count; i++)
        add_worker(look, found->claims[i].admin, found->claims[i].node);
    see_who_is_gone(look, datacenter, found);
    return -1;
}

static void see_config(struct sf_look *look, const struct sf_coord_completion *found)
{
    struct sf_picture *p = &look->picture;
    const struct sf_cli_coordinator_time time = sf_cli_time_of(look->at->fleet->url, found);
    p->coordinator_error_ms = time.server_ms >= 0 ? time.error_ms : -1;
    p->coordinator_ahead_ms = time.server_ms >= 0 ? time.server_ms - time.real_ms : 0;
    p->coordinator = SF_SEEN_ANSWERED;
    p->config = *found->config;
    p->current = found->current;
    p->state_there = found->state != NULL;
    p->halted = p->current && p->state_there && found->state->halted;
}

static void see_coordinator(struct sf_look *look)
{
    struct sf_picture *p = &look->picture;
    struct sf_cli_fleet *fleet = look->at->fleet;
    struct sf_coord_request request = {.op = SF_COORD_READ_CONFIG};
    struct sf_coord_event *event = sf_cli_fleet_ask(fleet, &request);
    p->is_local = strncmp(fleet->url, "local:", strlen("local:")) == 0;
    if (event->completion.outcome == SF_COORD_DONE) {
        see_config(look, &event->completion);
        sf_cli_fleet_halted(fleet, &event->completion);
        (void)snprintf(look->text, sizeof look->text, "%s", fleet->halted);
    } else {
        p->coordinator = SF_SEEN_REFUSED;
        p->reason = event->completion.reason;
        (void)snprintf(look->text, sizeof look->text, "%.400s", event->completion.text);
    }
    sf_coord_event_free(event);
    p->now_ms = real_ms();
    if (p->coordinator == SF_SEEN_ANSWERED &&
        sf_cli_fleet_list(fleet, &p->config, NULL, see_datacenter, look) >= 0) {
        p->coordinator = SF_SEEN_REFUSED; /* it has been said what went wrong */
        p->reason = SF_COORD_UNREACHABLE;
        (void)snprintf(look->text, sizeof look->text, "it told its config, and then not its slots");
    }
    sf_cli_census_end(&look->census);
    p->held = look->census.states[SF_SLOT_HELD];
    p->free = look->census.states[SF_SLOT_FREE];
    p->quarantined = look->census.states[SF_SLOT_QUARANTINED];
    p->waiting = look->census.waiting;
}

/* Where no coordinator was named: the fleet as a worker last read it. */
static void see_fleet_of(struct sf_look *look, const struct sf_cli_admin *admin)
{
    struct sf_picture *p = &look->picture;
    struct sf_error err = {0};
    json_t *fleet = NULL;
    const json_t *item;
    size_t i;
    const bool first = p->held + p->free + p->quarantined + p->broken == 0;
    if (sf_cli_get_json(admin, "/fleet", SF_DOCTOR_ANSWER_MS, &fleet, &err) != 0)
        return;
    json_array_foreach(json_object_get(fleet, "slots"), i, item)
    {
        const char *state = sf_cli_text_at(item, "state", "");
        p->held += first && strcmp(state, "held") == 0;
        p->free += first && strcmp(state, "free") == 0;
        p->quarantined += first && strcmp(state, "quarantined") == 0;
        if (!first || strcmp(state, "broken") != 0 || p->broken++ > 0)
            continue;
        p->first_broken.datacenter = (uint64_t)sf_cli_number_at(item, "datacenter", 0);
        p->first_broken.worker = (uint64_t)sf_cli_number_at(item, "worker", 0);
    }
    if (first)
        p->waiting = (uint64_t)sf_cli_number_at(fleet, "waiting", 0);
    json_array_foreach(json_object_get(fleet, "members"), i, item)
    {
        if (!first || strcmp(sf_cli_text_at(item, "state", ""), SF_EXPECTED_LOST) != 0 ||
            sf_cli_number_at(item, "reserved_until_ms", 0) <= (double)p->now_ms)
            continue;
        struct sf_coord_slot slot = {.worker = (uint64_t)sf_cli_number_at(item, "worker", 0),
                                     .reserved_until_ms =
                                         (int64_t)sf_cli_number_at(item, "reserved_until_ms", 0)};
        (void)snprintf(slot.node, sizeof slot.node, "%s", sf_cli_text_at(item, "node", ""));
        note(&p->first_lost, &p->lost, (uint64_t)sf_cli_number_at(item, "datacenter", 0), &slot);
    }
    json_array_foreach(json_object_get(fleet, "workers"), i, item)
        add_worker(look, sf_cli_text_at(item, "admin", ""), sf_cli_text_at(item, "node", ""));
    json_decref(fleet);
}

static void ask(struct sf_look *look, struct kept *kept, struct sf_seen_worker *to)
{
    struct sf_error err = {0};
    struct sf_cli_admin admin = look->at->like;
    const int64_t begin_ns = sf_mono_ns();
    admin.url = kept->admin;
    json_decref(kept->status);
    kept->status = NULL;
    to->rc = sf_cli_get_json(&admin, "/status", SF_DOCTOR_ANSWER_MS, &kept->status, &err);
    to->round_trip_ms = (sf_mono_ns() - begin_ns) / SF_NS_PER_MS;
    to->asked_at_ms = real_ms();
    (void)snprintf(kept->why, sizeof kept->why, "%s", err.text);
    if (kept->status != NULL)
        (void)snprintf(kept->node, sizeof kept->node, "%s",
                       sf_cli_text_at(kept->status, "node", kept->node));
}

/* One process that was reached by two names. A machine that was copied has all of this in common too, but for when
 * its process began: its clock stood still while it was away. */
static bool is_same_process(const struct sf_seen_worker *a, const struct sf_seen_worker *b)
{
    const double begun[] = {
        sf_cli_number_at(a->status, "now_ms", 0) - sf_cli_number_at(a->status, "uptime_ms", 0),
        sf_cli_number_at(b->status, "now_ms", 0) - sf_cli_number_at(b->status, "uptime_ms", 0)};
    return a->status != NULL && b->status != NULL &&
           sf_cli_number_at(a->status, "pid", -1) == sf_cli_number_at(b->status, "pid", -2) &&
           strcmp(sf_cli_text_at(a->status, "node", ""), sf_cli_text_at(b->status, "node", "")) ==
               0 &&
           strcmp(sf_cli_text_at(a->status, "admin", ""), sf_cli_text_at(b->status, "admin", "")) ==
               0 &&
           begun[0] - begun[1] < SAME_MS && begun[1] - begun[0] < SAME_MS;
}

/* The one at `last` is forgotten where it is one of those before. */
static bool drop_twin(struct sf_look *look, size_t last)
{
    for (size_t i = 0; i < last; i++)
        if (is_same_process(&look->workers[i], &look->workers[last])) {
            json_decref(look->kept[last].status);
            memmove(&look->kept[last], &look->kept[last + 1],
                    (--look->count - last) * sizeof *look->kept);
            return true;
        }
    return false;
}

/* Who is asked last may name more, so the list grows meanwhile. */
static void see_workers(struct sf_look *look)
{
    struct sf_picture *p = &look->picture;
    for (size_t i = 0; i < look->at->admins->count; i++)
        add_worker(look, look->at->admins->items[i], "");
    for (size_t i = 0; i < look->count;) {
        struct sf_seen_worker seen = {0};
        ask(look, &look->kept[i], &seen);
        look->workers = reallocarray(look->workers, i + 1, sizeof *look->workers);
        if (look->workers == NULL)
            abort();
        seen.status = look->kept[i].status;
        look->workers[i] = seen;
        struct sf_cli_admin admin = look->at->like;
        char url[SF_CLI_ADMIN_URL_MAX];
        (void)snprintf(url, sizeof url, "%s", look->kept[i].admin); /* the list may move */
        admin.url = url;
        if (look->at->fleet == NULL && seen.rc == 0)
            see_fleet_of(look, &admin);
        if (!drop_twin(look, i))
            i++;
    }
    for (size_t i = 0; i < look->count; i++) {
        look->workers[i].admin = look->kept[i].admin;
        look->workers[i].node = look->kept[i].node;
        look->workers[i].why = look->kept[i].why;
        look->workers[i].status = look->kept[i].status;
    }
    p->workers = look->workers;
    p->worker_count = look->count;
}

struct sf_look *sf_look_take(const struct sf_look_at *at)
{
    char ignored[SF_FINDING_TEXT_MAX];
    struct sf_look *look = calloc(1, sizeof *look);
    if (look == NULL)
        abort();
    look->at = at;
    look->picture = (struct sf_picture){.now_ms = real_ms(),
                                        .text = look->text,
                                        .coordinator_error_ms = -1,
                                        .empty_datacenter = -1};
    if (at->fleet != NULL)
        see_coordinator(look);
    see_workers(look);
    if (sf_rule_held_twice(&look->picture, ignored)) {
        sf_sleep_ms(TWICE_MS);
        for (size_t i = 0; i < look->count; i++) {
            ask(look, &look->kept[i], &look->workers[i]);
            look->workers[i].status = look->kept[i].status;
        }
    }
    look->picture.now_ms = real_ms();
    return look;
}

const struct sf_picture *sf_look_picture(const struct sf_look *look)
{
    return &look->picture;
}

void sf_look_free(struct sf_look *look)
{
    for (size_t i = 0; i < look->count; i++)
        json_decref(look->kept[i].status);
    free(look->kept);
    free(look->workers);
    free(look);
}
