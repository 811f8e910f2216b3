/* Slots and workers of the datacenters as last listed. */
#include "daemon/fleet.h"

#include <stdio.h>
#include <string.h>

#include "base/ticks.h"
#include "config/table.h"
#include "coord/expected.h"
#include "coord/fleet_json.h"
#include "daemon/json.h"
#include "worker/reservation_choose.h"

#define SCRAPE_LOOK_MS        15000  /* a scrape reads no more often than that */
#define SCRAPE_LOOK_MEMBER_MS 5000   /* so that all of them together read so often */
#define SCRAPE_FRESH_MS       150000 /* what was read before that is no news */

_Static_assert(SF_OPTION_REMEMBER_MIN_MS == SF_REMEMBER_MIN_MS &&
                   SF_OPTION_REMEMBER_MAX_MS == SF_REMEMBER_MAX_MS,
               "the option's bounds are the view's");

/* Is it one of this process's claims? */
static bool is_self(const struct sf_member_snapshot *member, uint64_t fence)
{
    for (unsigned i = 0; i < member->slot_count; i++)
        if (member->slots[i].claim_fence == fence && fence != 0)
            return true;
    return false;
}

static json_t *worker_json(uint64_t datacenter, const struct sf_coord_claim *claim, bool self)
{
    return json_pack("{s:i,s:o,s:s,s:s,s:s,s:I,s:I,s:s,s:b}", "datacenter", (int)datacenter,
                     "worker", claim->slot >= 0 ? sf_json_integer(claim->slot) : json_null(),
                     "node", claim->node, "address", claim->address, "admin", claim->admin, "fence",
                     (json_int_t)claim->fence, "since_ms", (json_int_t)claim->since_ms, "version",
                     claim->version, "self", self);
}

/* Which of the living are ourselves: by the numbers of claims, which no other claim of the datacenter has. */
static void mark_self(json_t *fleet, uint64_t datacenter, const struct sf_member_snapshot *member)
{
    size_t i;
    json_t *to;
    json_array_foreach(json_object_get(fleet, "members"), i, to)
    {
        const bool alive = json_is_string(json_object_get(to, "admin"));
        const bool here =
            (uint64_t)json_integer_value(json_object_get(to, "datacenter")) == datacenter;
        const uint64_t fence = (uint64_t)json_integer_value(json_object_get(to, "fence"));
        sf_json_set(to, "self", json_boolean(alive && here && is_self(member, fence)));
    }
}

/* When a list is judged: as it was read, for reservations have been renewed since; but now where the
 * coordinator cannot be reached, for then nobody renews anything. */
static int64_t judged_ms(const struct sf_daemon *d, const struct sf_member_snapshot *member,
                         const struct sf_member_list *list)
{
    const int64_t age_ms = sf_real_ns() / SF_NS_PER_MS - list->read_at_ms;
    return sf_member_now_ms(d->member) - (member->connected && age_ms > 0 ? age_ms : 0);
}

static void add_list(const struct sf_daemon *d, const struct sf_member_list *list,
                     uint64_t datacenter, const struct sf_member_snapshot *member, json_t *fleet)
{
    const bool here = datacenter == d->config->fleet_datacenter;
    json_t *workers = json_object_get(fleet, "workers");
    const struct sf_fleet_picture picture = {.datacenter = datacenter,
                                             .slots = list->slots,
                                             .slot_count = list->slot_count,
                                             .claims = list->claims,
                                             .claim_count = list->claim_count,
                                             .now_ms = judged_ms(d, member, list),
                                             .remember_ms = d->config->fleet_remember_ms};
    sf_fleet_json_add(fleet, &picture);
    for (size_t i = 0; i < list->claim_count; i++) {
        const struct sf_coord_claim *claim = &list->claims[i];
        json_array_append_new(
            workers, worker_json(datacenter, claim, here && is_self(member, claim->fence)));
    }
}

/* Every datacenter in which somebody is, its own first. */
static void add_lists(struct sf_daemon *d, const struct sf_member_list *list,
                      const struct sf_member_snapshot *member, json_t *fleet)
{
    const struct sf_member_list *far[SF_MEMBER_FAR_MAX];
    const size_t far_count = sf_member_far(d->member, far);
    if (list != NULL)
        add_list(d, list, d->config->fleet_datacenter, member, fleet);
    for (size_t i = 0; i < far_count; i++) {
        add_list(d, far[i], far[i]->datacenter, member, fleet);
        sf_member_list_release(far[i]);
    }
    mark_self(fleet, d->config->fleet_datacenter, member);
}

void sf_fleet(struct sf_daemon *d, struct sf_strbuf *to)
{
    const int64_t real_ms = sf_real_ns() / SF_NS_PER_MS;
    sf_member_look(d->member);
    sf_member_look_far(d->member);
    const struct sf_member_list *list = sf_member_list(d->member);
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    json_t *fleet = sf_fleet_json();
    sf_json_set(fleet, "fleet", json_string(d->config->fleet_name));
    sf_json_set(fleet, "fleet_id",
                member.config_known ? json_string(member.config.fleet_id) : json_null());
    sf_json_set(fleet, "datacenter", sf_json_integer(d->config->fleet_datacenter));
    sf_json_set(fleet, "remember_ms", sf_json_integer(d->config->fleet_remember_ms));
    sf_json_set(fleet, "now_ms", sf_json_integer(sf_member_now_ms(d->member)));
    sf_json_set(fleet, "read_at_ms",
                list != NULL ? sf_json_integer(list->read_at_ms) : json_null());
    sf_json_set(fleet, "read_age_ms",
                list != NULL ? sf_json_integer(real_ms - list->read_at_ms) : json_null());
    sf_json_set(fleet, "stale", json_boolean(!member.connected));
    sf_json_set(fleet, "text", json_string(member.connected ? "" : member.why));
    sf_json_set(fleet, "workers", json_array());
    add_lists(d, list, &member, fleet);
    sf_fleet_json_end(fleet, sf_member_now_ms(d->member));
    sf_member_list_release(list);
    sf_json_dump(fleet, to);
}

static void emit(struct sf_metrics_page *page, enum sf_metric metric, const char *labels,
                 const char *state, double number)
{
    char text[80];
    snprintf(text, sizeof text, "%sstate=\"%s\"", labels, state);
    sf_metrics_emit(page, metric, text, number);
}

static void emit_slots(struct sf_metrics_page *page, const struct sf_census *census)
{
    emit(page, SF_METRIC_SLOTS, "", "free", census->free);
    emit(page, SF_METRIC_SLOTS, "", "held", census->held);
    emit(page, SF_METRIC_SLOTS, "", "quarantined", census->quarantined);
    emit(page, SF_METRIC_SLOTS, "", "broken", census->broken);
}

static void emit_members(struct sf_daemon *d, struct sf_metrics_page *page,
                         const struct sf_member_snapshot *member, const struct sf_member_list *list)
{
    enum { LOST = SF_WORKER_STATES, LEFT, OTHER, ALL };
    unsigned counts[ALL] = {0};
    struct sf_expected all;
    sf_expected_take(list->slots, list->slot_count, list->claims, list->claim_count,
                     judged_ms(d, member, list), d->config->fleet_remember_ms, &all);
    for (size_t i = 0; i < all.count; i++) {
        const char *state = all.members[i].state;
        unsigned at = 0;
        while (at < SF_WORKER_STATES && strcmp(state, sf_worker_state_name(at)) != 0)
            at++;
        if (at == SF_WORKER_STATES) /* what a worker of another version says is its own */
            at = strcmp(state, SF_EXPECTED_LOST) == 0   ? LOST
                 : strcmp(state, SF_EXPECTED_LEFT) == 0 ? LEFT
                                                        : OTHER;
        counts[at]++;
    }
    sf_expected_free(&all);
    char datacenter[40];
    snprintf(datacenter, sizeof datacenter, "datacenter=\"%u\",", d->config->fleet_datacenter);
    for (unsigned s = 0; s < SF_WORKER_STATES; s++)
        emit(page, SF_METRIC_MEMBERS, datacenter, sf_worker_state_name(s), counts[s]);
    emit(page, SF_METRIC_MEMBERS, datacenter, SF_EXPECTED_LOST, counts[LOST]);
    emit(page, SF_METRIC_MEMBERS, datacenter, SF_EXPECTED_LEFT, counts[LEFT]);
    emit(page, SF_METRIC_MEMBERS, datacenter, "other", counts[OTHER]);
}

void sf_fleet_collect(struct sf_daemon *d, const struct sf_member_snapshot *member,
                      struct sf_metrics_page *page)
{
    const struct sf_member_list *list = sf_member_list(d->member);
    const int64_t age_ms =
        list != NULL ? sf_real_ns() / SF_NS_PER_MS - list->read_at_ms : SCRAPE_FRESH_MS;
    const int64_t every_ms =
        list != NULL ? SCRAPE_LOOK_MEMBER_MS * (int64_t)list->claim_count : SCRAPE_LOOK_MS;
    if (age_ms < 0 || age_ms >= (every_ms > SCRAPE_LOOK_MS ? every_ms : SCRAPE_LOOK_MS))
        sf_member_look(d->member);
    if (list != NULL && age_ms < SCRAPE_FRESH_MS) {
        struct sf_census census;
        sf_census_take(list->slots, list->slot_count, list->claims, list->claim_count,
                       judged_ms(d, member, list), &census);
        emit_slots(page, &census);
        emit_members(d, page, member, list);
    } else if (member->census.read_mono_ms >= 0) {
        emit_slots(page, &member->census);
    }
    sf_member_list_release(list);
}

static bool has_admin(const struct sf_member_list *list, const char *address)
{
    bool found = false;
    for (size_t i = 0; list != NULL && i < list->claim_count && !found; i++)
        found = strcmp(list->claims[i].admin, address) == 0;
    sf_member_list_release(list);
    return found;
}

bool sf_fleet_has_admin(struct sf_daemon *d, const char *address)
{
    const struct sf_member_list *far[SF_MEMBER_FAR_MAX];
    const size_t far_count = sf_member_far(d->member, far);
    bool found = has_admin(sf_member_some(d->member), address);
    for (size_t i = 0; i < far_count; i++)
        found |= has_admin(far[i], address);
    return found;
}
