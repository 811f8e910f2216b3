/* unit/test_coord_expected.c - who is to be there: each way to be in trouble is seen, and nobody is seen
 * twice. */
#include "unit/cmocka_all.h"

#include <string.h>

#include "coord/expected.h"

#define NOW    INT64_C(1700000000000)
#define HOUR   INT64_C(3600000)
#define SECOND INT64_C(1000)

struct datacenter {
    struct sf_coord_slot slots[8];
    struct sf_coord_claim claims[8];
    size_t claim_count;
};

/* Held by the claim of that name (live or not), last written so long ago. */
static struct sf_coord_slot *hold(struct datacenter *dc, uint64_t worker, const char *claim,
                                  const char *node, int64_t ago_ms)
{
    struct sf_coord_slot *slot = &dc->slots[worker];
    slot->fence = worker + 1;
    snprintf(slot->claim, sizeof slot->claim, "%s", claim);
    snprintf(slot->node, sizeof slot->node, "%s", node);
    slot->updated_ms = NOW - ago_ms;
    slot->reserved_until_ms = slot->updated_ms + 600000;
    slot->last_ms = slot->updated_ms - 5;
    return slot;
}

static void give_back(struct sf_coord_slot *slot)
{
    slot->last_ms = slot->updated_ms + 3; /* minted a little ahead */
    slot->reserved_until_ms = slot->last_ms + 1;
}

static struct sf_coord_claim *claim(struct datacenter *dc, const char *name, const char *node,
                                    const char *state, int64_t made_ago_ms)
{
    struct sf_coord_claim *to = &dc->claims[dc->claim_count++];
    snprintf(to->name, sizeof to->name, "%s", name);
    snprintf(to->node, sizeof to->node, "%s", node);
    snprintf(to->state, sizeof to->state, "%s", state);
    to->fence = 100 + dc->claim_count;
    to->slot = -1;
    to->made_ms = to->since_ms = NOW - made_ago_ms;
    return to;
}

static struct sf_expected take_for(const struct datacenter *dc, int64_t remember_ms)
{
    struct sf_expected all;
    sf_expected_take(dc->slots, SF_COUNT(dc->slots), dc->claims, dc->claim_count, NOW, remember_ms,
                     &all);
    return all;
}

static struct sf_expected take(const struct datacenter *dc)
{
    return take_for(dc, HOUR);
}

/* "a ready, b lost": in order. Frees. */
static void expect(struct sf_expected all, const char *wanted)
{
    char text[400] = "";
    for (size_t i = 0; i < all.count; i++) {
        const struct sf_expected_member *member = &all.members[i];
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s %s%s", used > 0 ? ", " : "",
                 member->claim != NULL ? member->claim->node : member->slot->node, member->state,
                 member->waiting ? " waiting" : "");
    }
    sf_expected_free(&all);
    assert_string_equal(text, wanted);
}

static void everybody_is_there(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c-a", "a", 50 * SECOND);
    hold(&dc, 3, "c-b", "b", SECOND);
    claim(&dc, "c-a", "a", "ready", HOUR);
    claim(&dc, "c-b", "b", "ready", HOUR);
    struct sf_expected all = take(&dc);
    assert_int_equal(all.expected, 2);
    assert_int_equal(all.ready, 2);
    assert_int_equal(all.waiting + all.lost + all.left, 0);
    assert_ptr_equal(all.members[1].slot, &dc.slots[3]);
    assert_int_equal(all.members[0].since_ms, NOW - HOUR);
    assert_string_equal(all.members[0].reason, "");
    expect(all, "a ready, b ready");
}

/* A record that names a claim twice over is the coordinator's trouble; the living is shown with the first. */
static void one_claim_in_two_records(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 1, "c-b", "b", 50 * SECOND);
    hold(&dc, 2, "c-a", "a", SECOND);
    hold(&dc, 4, "c-a", "a", SECOND);
    hold(&dc, 5, "c-c", "c", SECOND)->state = SF_COORD_RECORD_GARBAGE;
    claim(&dc, "c-a", "a", "ready", HOUR);
    claim(&dc, "c-bb", "b", "ready", HOUR);
    claim(&dc, "c-c", "c", "ready", HOUR);
    struct sf_expected all = take(&dc);
    assert_ptr_equal(all.members[0].slot, &dc.slots[2]);
    assert_null(all.members[1].slot);
    assert_null(all.members[2].slot);
    expect(all, "a ready, b ready, c ready, a lost, b lost");
}

static void nobody_ever_was(void **state)
{
    (void)state;
    const struct datacenter dc = {0};
    struct sf_expected all = take(&dc);
    assert_int_equal(all.count, 0);
    assert_int_equal(all.expected, 0);
    sf_expected_free(&all);
    sf_expected_take(NULL, 0, NULL, 0, NOW, HOUR, &all);
    assert_int_equal(all.count, 0);
    sf_expected_free(&all);
}

static void who_was_killed_is_lost(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c-a", "a", 50 * SECOND);
    hold(&dc, 1, "c-b", "b", 40 * SECOND);
    claim(&dc, "c-a", "a", "ready", HOUR);
    struct sf_expected all = take(&dc);
    assert_int_equal(all.expected, 2);
    assert_int_equal(all.ready, 1);
    assert_int_equal(all.lost, 1);
    assert_null(all.members[1].claim);
    assert_int_equal(all.members[1].since_ms, NOW - 40 * SECOND);
    assert_non_null(
        strstr(all.members[1].reason, "its slot was not given back, which rests for 9m"));
    expect(all, "a ready, b lost");
    dc.slots[1].reserved_until_ms = NOW; /* its reservation has passed: it is as lost as before */
    all = take(&dc);
    assert_null(strstr(all.members[1].reason, "rests"));
    expect(all, "a ready, b lost");
}

static void who_gave_its_slot_back_has_left(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    give_back(hold(&dc, 0, "c-a", "a", 50 * SECOND));
    struct sf_coord_slot *unused = hold(&dc, 1, "c-b", "b", 20 * SECOND); /* it minted nothing */
    unused->last_ms = 0;
    unused->reserved_until_ms = unused->updated_ms - HOUR;
    struct sf_expected all = take(&dc);
    assert_int_equal(all.expected, 0);
    assert_int_equal(all.left, 2);
    assert_int_equal(all.lost, 0);
    expect(all, "b left, a left");
}

static void who_is_in_trouble_says_so(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    give_back(
        hold(&dc, 0, "c-old", "a", 50 * SECOND)); /* that it left this is not to be seen twice */
    struct sf_coord_claim *resyncing = claim(&dc, "c-new", "a", "resyncing", 49 * SECOND);
    snprintf(resyncing->reason, sizeof resyncing->reason, "offset 45.0s");
    struct sf_coord_claim *waiting = claim(&dc, "c-w", "w", "claiming", 10 * SECOND);
    waiting->seeks = true;
    struct sf_expected all = take(&dc);
    assert_int_equal(all.expected, 2);
    assert_int_equal(all.ready, 0);
    assert_int_equal(all.waiting, 1);
    assert_string_equal(all.members[0].reason, "offset 45.0s");
    assert_int_equal(all.members[0].since_ms, NOW - 49 * SECOND);
    expect(all, "a resyncing, w claiming waiting");
}

/* It stands still with a live session, or its claim was left behind. */
static void who_does_not_renew_is_not_ready(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c-a", "a", 700 * SECOND);
    claim(&dc, "c-a", "a", "ready", HOUR);
    struct sf_expected all = take(&dc);
    assert_int_equal(all.ready, 0);
    assert_int_equal(all.members[0].since_ms, dc.slots[0].reserved_until_ms);
    assert_string_equal(all.members[0].reason,
                        "its reservation ended 1m40s ago, and it does not renew it");
    expect(all, "a suspended");
    dc.slots[0].reserved_until_ms = NOW + 1;
    expect(take(&dc), "a ready");
}

static void what_is_remembered_ends(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c-a", "a", HOUR);
    hold(&dc, 1, "c-b", "b", HOUR + 1);
    expect(take(&dc), "a lost");
    expect(take_for(&dc, 2 * HOUR), "a lost, b lost");
    expect(take_for(&dc, SF_REMEMBER_MAX_MS), "a lost, b lost");
    expect(take_for(&dc, SF_REMEMBER_MIN_MS), "");
    hold(&dc, 0, "c-a", "a", SF_REMEMBER_MIN_MS);
    expect(take_for(&dc, SF_REMEMBER_MIN_MS), "a lost");
}

/* One that was started anew holds another slot: its old one is not another member. */
static void who_came_back_is_one(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c-old", "a", 50 * SECOND);
    hold(&dc, 1, "c-new", "a", 5 * SECOND);
    claim(&dc, "c-new", "a", "ready", 45 * SECOND);
    expect(take(&dc), "a ready");
}

/* Several workers under one name (a host's): as many are lost as have no successor. */
static void a_node_may_have_several(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c-0", "a", 50 * SECOND);
    hold(&dc, 1, "c-1", "a", 40 * SECOND);
    hold(&dc, 2, "c-2", "a", 30 * SECOND);
    claim(&dc, "c-0", "a", "ready", HOUR); /* alive all the time: nobody's successor */
    expect(take(&dc), "a ready, a lost, a lost");
    claim(&dc, "c-3", "a", "claiming", 35 * SECOND); /* made after the one, and before the other */
    struct sf_expected all = take(&dc);
    assert_ptr_equal(all.members[2].slot, &dc.slots[2]);
    expect(all, "a ready, a claiming, a lost");
    claim(&dc, "c-4", "a", "claiming", 20 * SECOND);
    expect(take(&dc), "a ready, a claiming, a claiming");
}

static void records_that_tell_nothing(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c", "a", SECOND)->state = SF_COORD_RECORD_GARBAGE;
    hold(&dc, 1, "c", "b", SECOND)->state = SF_COORD_RECORD_MISSING;
    hold(&dc, 2, "", "c", SECOND)->reset = true;
    hold(&dc, 3, "", "", SECOND)->fence = 0;
    expect(take(&dc), "");
}

/* Claims of workers that tell no state yet. */
static void an_older_worker_is_seen(void **state)
{
    (void)state;
    struct datacenter dc = {0};
    hold(&dc, 0, "c-a", "a", SECOND);
    claim(&dc, "c-a", "a", "", HOUR)->slot = 0;
    claim(&dc, "c-b", "b", "", HOUR)->seeks = true;
    expect(take(&dc), "a ready, b claiming waiting");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_there),
        cmocka_unit_test(one_claim_in_two_records),
        cmocka_unit_test(nobody_ever_was),
        cmocka_unit_test(who_was_killed_is_lost),
        cmocka_unit_test(who_gave_its_slot_back_has_left),
        cmocka_unit_test(who_is_in_trouble_says_so),
        cmocka_unit_test(who_does_not_renew_is_not_ready),
        cmocka_unit_test(what_is_remembered_ends),
        cmocka_unit_test(who_came_back_is_one),
        cmocka_unit_test(a_node_may_have_several),
        cmocka_unit_test(records_that_tell_nothing),
        cmocka_unit_test(an_older_worker_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
