/* cli/diagnosis_fleet.c - what can be wrong with the fleet as a whole: by what its coordinator has, or why that does not
 * answer, and by comparing workers. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/diagnosis_rules.h"
#include "cli/json_path.h"

#define HERE_MS   1000   /* our clock against the coordinator's */
#define FAILED_MS 600000 /* how old a failure may be that still counts */

#define SAY(...) ((void)snprintf(to, SF_FINDING_TEXT_MAX, __VA_ARGS__), true)

static const char *name_of(const struct sf_seen_worker *worker)
{
    return worker->node[0] != '\0' ? worker->node : worker->admin;
}

static uint64_t count(const struct sf_picture *picture,
                      bool (*is)(const struct sf_seen_worker *worker))
{
    uint64_t found = 0;
    for (size_t i = 0; i < picture->worker_count; i++)
        found += is(&picture->workers[i]);
    return found;
}

static bool is_ready(const struct sf_seen_worker *worker)
{
    return json_is_true(json_object_get(worker->status, "ready"));
}

static bool is_connected(const struct sf_seen_worker *worker)
{
    return json_is_true(
        json_object_get(json_object_get(worker->status, "coordinator"), "connected"));
}

static bool is_halted(const struct sf_seen_worker *worker)
{
    return json_is_true(json_object_get(worker->status, "halted"));
}

static bool answers(const struct sf_seen_worker *worker)
{
    return worker->status != NULL;
}

/* It has seen the fleet's config, and that is not there any more. */
static bool misses_config(const struct sf_seen_worker *worker)
{
    return strstr(sf_cli_text_at(worker->status, "why", ""), "config is gone") != NULL;
}

/* --- the coordinator --- */

static bool refused(const struct sf_picture *picture, enum sf_coord_reason reason)
{
    return picture->coordinator == SF_SEEN_REFUSED && picture->reason == reason;
}

static bool says(const struct sf_picture *picture, const char *words)
{
    return picture->coordinator == SF_SEEN_REFUSED && strstr(picture->text, words) != NULL;
}

bool sf_rule_auth(const struct sf_picture *picture, char *to)
{
    return refused(picture, SF_COORD_AUTH) &&
           SAY("the coordinator refuses us: %.350s", picture->text);
}

bool sf_rule_gateway(const struct sf_picture *picture, char *to)
{
    return says(picture, "no JSON gateway") &&
           SAY("what answers there is not etcd's gateway: %.350s", picture->text);
}

bool sf_rule_storage(const struct sf_picture *picture, char *to)
{
    return refused(picture, SF_COORD_STORAGE) &&
           SAY("the disk of the coordinator's directory: %.350s", picture->text);
}

/* Its latest operation that failed, as the worker tells it, or why it waits; "": none. */
static const char *failure_of(const struct sf_seen_worker *worker)
{
    size_t i;
    const json_t *event;
    const char *found = sf_cli_text_at(worker->status, "why", "");
    const double since_ms = sf_cli_number_at(worker->status, "now_ms", 0) - FAILED_MS;
    json_array_foreach(json_object_get(worker->status, "events"), i, event)
    {
        if (strcmp(sf_cli_text_at(event, "event", ""), "coordinator.failed") == 0 &&
            sf_cli_number_at(event, "at_ms", 0) >= since_ms)
            found = sf_cli_text_at(event, "text", "");
    }
    return found;
}

bool sf_rule_quota(const struct sf_picture *picture, char *to)
{
    static const char words[] = "database space exceeded"; /* etcd's own */
    if (says(picture, words))
        return SAY("the coordinator is full and takes no writes: %.300s", picture->text);
    for (size_t i = 0; i < picture->worker_count; i++)
        if (strstr(failure_of(&picture->workers[i]), words) != NULL)
            return SAY("the coordinator is full and takes no writes, says %s: %.300s",
                       name_of(&picture->workers[i]), failure_of(&picture->workers[i]));
    return false;
}

/* Whatever has no rule of its own. */
static bool is_unreachable(const struct sf_picture *picture)
{
    return picture->coordinator == SF_SEEN_REFUSED && picture->reason != SF_COORD_AUTH &&
           picture->reason != SF_COORD_STORAGE && picture->reason != SF_COORD_MISSING &&
           picture->reason != SF_COORD_GARBAGE && !says(picture, "no JSON gateway") &&
           !says(picture, "database space exceeded");
}

bool sf_rule_unreachable(const struct sf_picture *picture, char *to)
{
    const uint64_t asked = count(picture, answers);
    if (!is_unreachable(picture) || count(picture, is_connected) > 0)
        return false;
    if (asked == 0)
        return SAY("the coordinator does not answer: %.350s", picture->text);
    return SAY("the coordinator does not answer, and none of %" PRIu64
               " workers reaches it: %.300s",
               asked, picture->text);
}

bool sf_rule_unreachable_here(const struct sf_picture *picture, char *to)
{
    const uint64_t reach = count(picture, is_connected);
    return is_unreachable(picture) && reach > 0 &&
           SAY("the coordinator does not answer here, but %" PRIu64 " workers reach theirs: %.300s",
               reach, picture->text);
}

bool sf_rule_clock_here(const struct sf_picture *picture, char *to)
{
    char text[SF_DURATION_TEXT_MAX];
    int64_t apart_ms = picture->coordinator_ahead_ms;
    apart_ms = apart_ms < 0 ? -apart_ms : apart_ms;
    return picture->coordinator == SF_SEEN_ANSWERED && picture->coordinator_error_ms >= 0 &&
           apart_ms > picture->coordinator_error_ms + HERE_MS &&
           SAY("this machine's clock and the coordinator's are %s apart",
               sf_format_duration_ms(apart_ms, text, sizeof text));
}

/* --- what it has --- */

bool sf_rule_wiped(const struct sf_picture *picture, char *to)
{
    const uint64_t missing = count(picture, misses_config);
    if (missing > 0)
        return SAY("the fleet's config is gone from the coordinator: %" PRIu64
                   " workers knew it and have stopped minting",
                   missing);
    return refused(picture, SF_COORD_MISSING) && count(picture, answers) > 0 &&
           SAY("workers of the fleet run, and the coordinator has none of it: %.300s",
               picture->text);
}

bool sf_rule_no_fleet(const struct sf_picture *picture, char *to)
{
    return refused(picture, SF_COORD_MISSING) && count(picture, answers) == 0 &&
           SAY("%.400s", picture->text);
}

bool sf_rule_config_garbage(const struct sf_picture *picture, char *to)
{
    return refused(picture, SF_COORD_GARBAGE) &&
           SAY("the fleet's config cannot be used: %.350s", picture->text);
}

bool sf_rule_unnamed(const struct sf_picture *picture, char *to)
{
    return picture->coordinator == SF_SEEN_ANSWERED && !picture->current &&
           SAY("the fleet is half made: snowfleet init was cut off, or is under way; nothing is "
               "granted");
}

bool sf_rule_halted(const struct sf_picture *picture, char *to)
{
    const uint64_t halted = count(picture, is_halted);
    if (picture->coordinator == SF_SEEN_ANSWERED && picture->halted)
        return SAY(
            "the fleet is halted, because somebody noticed that the coordinator lost data: %.300s",
            picture->text);
    return halted > 0 && picture->coordinator != SF_SEEN_ANSWERED &&
           SAY("%" PRIu64
               " workers say that the fleet is halted, because the coordinator lost data",
               halted);
}

bool sf_rule_stateless(const struct sf_picture *picture, char *to)
{
    return picture->coordinator == SF_SEEN_ANSWERED && picture->current && !picture->state_there &&
           !picture->is_local &&
           SAY("the record that says whether the fleet is halted is missing or garbage");
}

bool sf_rule_floor(const struct sf_picture *picture, char *to)
{
    char date[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX];
    const int64_t wait_ms = picture->config.floor_ms - picture->now_ms;
    return picture->coordinator == SF_SEEN_ANSWERED && wait_ms > 0 &&
           SAY("the fleet mints from %s on, in %s",
               sf_format_time_ms(picture->config.floor_ms, date, sizeof date),
               sf_format_duration_ms(wait_ms, left, sizeof left));
}

bool sf_rule_full(const struct sf_picture *picture, char *to)
{
    return picture->waiting > 0 && picture->free == 0 && picture->held > 0 &&
           SAY("no slot is free, and %" PRIu64 " workers wait for one (%" PRIu64 " held, %" PRIu64
               " quarantined, %" PRIu64 " broken)",
               picture->waiting, picture->held, picture->quarantined, picture->broken);
}

bool sf_rule_nearly_full(const struct sf_picture *picture, char *to)
{
    const uint64_t all = picture->held + picture->free + picture->quarantined + picture->broken;
    return picture->held > 0 && picture->free * 10 < all &&
           !(picture->waiting > 0 && picture->free == 0) &&
           SAY("%" PRIu64 " of %" PRIu64
               " slots are free: reservations are short, and a crashed worker may have to wait",
               picture->free, all);
}

bool sf_rule_broken(const struct sf_picture *picture, char *to)
{
    return picture->broken > 0 &&
           SAY("%" PRIu64 " slot records are missing or garbage; the first is %" PRIu64 "/%" PRIu64,
               picture->broken, picture->first_broken.datacenter, picture->first_broken.worker);
}

bool sf_rule_leaked(const struct sf_picture *picture, char *to)
{
    return picture->leaked > 0 &&
           SAY("%" PRIu64 " slots are held by a claim that nobody renews; the first is %" PRIu64
               "/%" PRIu64 " of %s",
               picture->leaked, picture->first_leaked.datacenter, picture->first_leaked.worker,
               picture->first_leaked.node);
}

bool sf_rule_distant(const struct sf_picture *picture, char *to)
{
    char date[SF_TIME_TEXT_MAX];
    const struct sf_seen_slot *first = &picture->first_distant;
    return picture->distant > 0 &&
           SAY("%" PRIu64 " slots are reserved for more than a day ahead, by a clock that was "
               "wrong; the first is %" PRIu64 "/%" PRIu64 " of %s, until %s",
               picture->distant, first->datacenter, first->worker, first->node,
               sf_format_time_ms(first->until_ms, date, sizeof date));
}

bool sf_rule_lost(const struct sf_picture *picture, char *to)
{
    char left[SF_DURATION_TEXT_MAX];
    const struct sf_seen_slot *first = &picture->first_lost;
    return picture->lost > 0 &&
           SAY("%" PRIu64 " workers ended without giving their slot back, or are cut off; the "
               "first is %s (slot %" PRIu64 "/%" PRIu64 ", quarantined for %s more)",
               picture->lost, first->node, first->datacenter, first->worker,
               sf_format_duration_ms(first->until_ms - picture->now_ms, left, sizeof left));
}

bool sf_rule_empty_datacenter(const struct sf_picture *picture, char *to)
{
    return picture->empty_datacenter >= 0 && picture->held > 0 &&
           SAY("datacenter %" PRId64 " had workers within the last hour and has none now",
               picture->empty_datacenter);
}

/* --- workers, compared --- */

/* Nothing is known of it: it may well be ready. */
static bool is_unknown(const struct sf_seen_worker *worker)
{
    return worker->status == NULL && worker->rc != -ECONNREFUSED && worker->rc != -ETIMEDOUT;
}

bool sf_rule_none_ready(const struct sf_picture *picture, char *to)
{
    if (count(picture, is_ready) + count(picture, is_unknown) > 0 ||
        (picture->coordinator == SF_SEEN_REFUSED && picture->worker_count == 0))
        return false;
    if (picture->worker_count == 0)
        return SAY("no worker is there: nobody can have an ID");
    return SAY("of %zu workers none is ready: nobody can have an ID", picture->worker_count);
}

bool sf_rule_few_ready(const struct sf_picture *picture, char *to)
{
    return picture->worker_count + picture->lost > 1 && count(picture, is_ready) == 1 &&
           SAY("of %" PRIu64 " workers one is ready",
               (uint64_t)picture->worker_count + picture->lost);
}

/* The first pair of workers of which `differ` holds. */
static bool find_pair(const struct sf_picture *picture,
                      bool (*differ)(const struct sf_seen_worker *a,
                                     const struct sf_seen_worker *b),
                      const struct sf_seen_worker *ret[2])
{
    for (size_t i = 0; i < picture->worker_count; i++)
        for (size_t j = 0; j < i; j++)
            if (differ(&picture->workers[j], &picture->workers[i])) {
                ret[0] = &picture->workers[j];
                ret[1] = &picture->workers[i];
                return true;
            }
    return false;
}

/* Both tell the member, and not the same. */
static bool tell_apart(const struct sf_seen_worker *a, const struct sf_seen_worker *b,
                       const char *member)
{
    const json_t *one = json_object_get(a->status, member),
                 *other = json_object_get(b->status, member);
    return one != NULL && other != NULL && !json_is_null(one) && !json_is_null(other) &&
           !json_equal(one, other);
}

static bool share_slot(const struct sf_seen_worker *a, const struct sf_seen_worker *b)
{
    size_t i, j;
    const json_t *one, *other;
    if (strcmp(a->admin, b->admin) == 0 || tell_apart(a, b, "fleet_id") ||
        tell_apart(a, b, "token") || !is_ready(a) || !is_ready(b))
        return false;
    json_array_foreach(json_object_get(a->status, "slots"), i, one)
    {
        json_array_foreach(json_object_get(b->status, "slots"), j, other)
        {
            const double worker = sf_cli_number_at(one, "worker", -1);
            if (worker >= 0 && worker == sf_cli_number_at(other, "worker", -1) &&
                sf_cli_number_at(one, "datacenter", -1) ==
                    sf_cli_number_at(other, "datacenter", -1))
                return true;
        }
    }
    return false;
}

bool sf_rule_held_twice(const struct sf_picture *picture, char *to)
{
    const struct sf_seen_worker *pair[2];
    return find_pair(picture, share_slot, pair) &&
           SAY("%s (%s) and %s (%s) both mint on slot %.0f/%.0f: IDs come twice", name_of(pair[0]),
               pair[0]->admin, name_of(pair[1]), pair[1]->admin,
               sf_cli_number_at(pair[0]->status, "datacenter", 0),
               sf_cli_number_at(pair[0]->status, "worker", 0));
}

static bool other_fleet(const struct sf_seen_worker *a, const struct sf_seen_worker *b)
{
    return tell_apart(a, b, "fleet_id");
}

bool sf_rule_two_fleets(const struct sf_picture *picture, char *to)
{
    const struct sf_seen_worker *pair[2];
    if (find_pair(picture, other_fleet, pair))
        return SAY("%s is of the fleet %s, %s of %s", name_of(pair[0]),
                   sf_cli_text_at(pair[0]->status, "fleet_id", "?"), name_of(pair[1]),
                   sf_cli_text_at(pair[1]->status, "fleet_id", "?"));
    for (size_t i = 0; i < picture->worker_count && picture->coordinator == SF_SEEN_ANSWERED; i++) {
        const char *id = sf_cli_text_at(picture->workers[i].status, "fleet_id", "");
        if (id[0] != '\0' && strcmp(id, picture->config.fleet_id) != 0)
            return SAY("%s is of the fleet %s, the coordinator has %s",
                       name_of(&picture->workers[i]), id, picture->config.fleet_id);
    }
    return false;
}

static bool other_layout(const struct sf_seen_worker *a, const struct sf_seen_worker *b)
{
    return tell_apart(a, b, "layout") || tell_apart(a, b, "epoch_ms");
}

bool sf_rule_layout_skew(const struct sf_picture *picture, char *to)
{
    const struct sf_seen_worker *pair[2];
    return find_pair(picture, other_layout, pair) &&
           SAY("%s and %s have different layouts or epochs: their IDs can collide",
               name_of(pair[0]), name_of(pair[1]));
}

static bool other_build(const struct sf_seen_worker *a, const struct sf_seen_worker *b)
{
    return tell_apart(a, b, "build");
}

bool sf_rule_version_skew(const struct sf_picture *picture, char *to)
{
    const struct sf_seen_worker *pair[2];
    return find_pair(picture, other_build, pair) &&
           SAY("%s runs %s (%s), %s runs %s (%s)", name_of(pair[0]),
               sf_cli_text_at(pair[0]->status, "build.version", "?"),
               sf_cli_text_at(pair[0]->status, "build.commit", "?"), name_of(pair[1]),
               sf_cli_text_at(pair[1]->status, "build.version", "?"),
               sf_cli_text_at(pair[1]->status, "build.commit", "?"));
}
