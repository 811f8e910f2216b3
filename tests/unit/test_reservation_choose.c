/* unit/test_reservation_choose.c - which slot a claim tries, and how a datacenter is counted. */
#include "unit/cmocka_all.h"

#include "worker/reservation.h"

#define NOW INT64_C(1000)

/* Slot numbers 0.. with these ends of reservation; claims by name. */
struct fleet {
    struct sf_coord_slot slots[6];
    size_t slot_count;
    struct sf_coord_claim claims[6];
    size_t claim_count;
};

static void add_slot(struct fleet *fleet, int64_t reserved_until_ms, const char *claim)
{
    struct sf_coord_slot *slot = &fleet->slots[fleet->slot_count];
    slot->worker = fleet->slot_count++;
    slot->state = SF_COORD_RECORD_OK;
    slot->reserved_until_ms = reserved_until_ms;
    snprintf(slot->claim, sizeof slot->claim, "%s", claim);
}

static const struct sf_coord_claim *add_claim(struct fleet *fleet, const char *name, int64_t slot)
{
    struct sf_coord_claim *claim = &fleet->claims[fleet->claim_count++];
    snprintf(claim->name, sizeof claim->name, "%s", name);
    claim->fence = fleet->claim_count;
    claim->slot = slot;
    claim->seeks = slot < 0;
    return claim;
}

static int choose(const struct fleet *fleet, const struct sf_coord_claim *self, int64_t pinned,
                  bool patient)
{
    struct sf_prng prng = {7};
    return sf_choose_slot(fleet->slots, fleet->slot_count, fleet->claims, fleet->claim_count, self,
                          pinned, NOW, patient, &prng);
}

static void longest_unused_first(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    add_slot(&fleet, 900, "");
    add_slot(&fleet, 100, "");
    add_slot(&fleet, 500, "gone");
    add_slot(&fleet, 100, "");
    const struct sf_coord_claim *first = add_claim(&fleet, "a", -1);
    const struct sf_coord_claim *second = add_claim(&fleet, "b", -1);
    const struct sf_coord_claim *third = add_claim(&fleet, "c", -1);
    const struct sf_coord_claim *fourth = add_claim(&fleet, "d", -1);
    assert_int_equal(choose(&fleet, first, -1, true), 1);
    assert_int_equal(choose(&fleet, second, -1, true), 3); /* the number decides between equals */
    assert_int_equal(choose(&fleet, third, -1, true), 2);
    assert_int_equal(choose(&fleet, fourth, -1, true), 0);
}

static void not_free_is_not_chosen(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    add_slot(&fleet, NOW + 1, "");
    add_slot(&fleet, NOW, "held");
    add_slot(&fleet, 0, "");
    fleet.slots[2].state = SF_COORD_RECORD_GARBAGE;
    add_slot(&fleet, 0, "");
    fleet.slots[3].state = SF_COORD_RECORD_MISSING;
    add_claim(&fleet, "held", 1);
    const struct sf_coord_claim *self = add_claim(&fleet, "me", -1);
    assert_int_equal(choose(&fleet, self, -1, false), -1);
    add_slot(&fleet, NOW, ""); /* its last millisecond is over */
    assert_int_equal(choose(&fleet, self, -1, true), 4);
}

static void claims_that_hold_a_slot_are_not_before_us(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    add_slot(&fleet, 10, "");
    add_slot(&fleet, 20, "");
    add_slot(&fleet, NOW + 50, "silent");
    add_claim(&fleet, "bound", 2);   /* by its own word */
    add_claim(&fleet, "silent", -1); /* by a record's word */
    const struct sf_coord_claim *self = add_claim(&fleet, "me", -1);
    add_claim(&fleet, "later", -1);
    assert_int_equal(choose(&fleet, self, -1, true), 0);
}

/* Only who seeks a slot waits in order; who cannot use one now is in nobody's way. */
static void who_does_not_seek_is_not_before_us(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    add_slot(&fleet, 10, "");
    add_claim(&fleet, "suspended", -1);
    fleet.claims[0].seeks = false;
    const struct sf_coord_claim *self = add_claim(&fleet, "me", -1);
    assert_int_equal(choose(&fleet, self, -1, true), 0);
    fleet.claims[0].seeks = true;
    assert_int_equal(choose(&fleet, self, -1, true), -1);
}

static void the_impatient_try_any_free_slot(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    add_slot(&fleet, 10, "");
    add_slot(&fleet, NOW + 1, "");
    add_claim(&fleet, "slow", -1);
    const struct sf_coord_claim *self = add_claim(&fleet, "me", -1);
    assert_int_equal(choose(&fleet, self, -1, true), -1);
    assert_int_equal(choose(&fleet, self, -1, false), 0);
    unsigned seen = 0;
    add_slot(&fleet, 20, "");
    add_claim(&fleet, "x", -1);
    const struct sf_coord_claim *last = add_claim(&fleet, "y", -1);
    struct sf_prng prng = {1};
    for (unsigned i = 0; i < 100; i++)
        seen |= 1U << sf_choose_slot(fleet.slots, fleet.slot_count, fleet.claims, fleet.claim_count,
                                     last, -1, NOW, false, &prng);
    assert_int_equal(seen, 1U << 0 | 1U << 2);
}

static void the_pinned_want_their_own(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    add_slot(&fleet, 10, "");
    add_slot(&fleet, 20, "");
    add_claim(&fleet, "before", -1);
    const struct sf_coord_claim *self = add_claim(&fleet, "me", -1);
    assert_int_equal(choose(&fleet, self, 1, true), 1);
    fleet.slots[1].reserved_until_ms = NOW + 1;
    assert_int_equal(choose(&fleet, self, 1, false), -1);
}

static void an_empty_datacenter_has_nothing(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    const struct sf_coord_claim *self = add_claim(&fleet, "me", -1);
    assert_int_equal(choose(&fleet, self, -1, false), -1);
}

static void a_census_counts_every_slot_once(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    add_slot(&fleet, NOW + 700, "dead");
    add_slot(&fleet, NOW + 300, "");
    add_slot(&fleet, NOW, "dead");
    add_slot(&fleet, NOW + 5, "alive");
    add_slot(&fleet, 0, "");
    fleet.slots[4].state = SF_COORD_RECORD_GARBAGE;
    add_claim(&fleet, "other", -1);
    add_claim(&fleet, "alive", 3);
    struct sf_census census = {.read_mono_ms = 42};
    sf_census_take(fleet.slots, fleet.slot_count, fleet.claims, fleet.claim_count, NOW, &census);
    assert_int_equal(census.free, 1);
    assert_int_equal(census.held, 1);
    assert_int_equal(census.quarantined, 2);
    assert_int_equal(census.broken, 1);
    assert_int_equal(census.earliest_free_ms, NOW + 300);
    assert_int_equal(census.read_mono_ms, 42);
    sf_census_take(fleet.slots, 0, NULL, 0, NOW, &census);
    assert_int_equal(census.earliest_free_ms, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_unused_first),
        cmocka_unit_test(not_free_is_not_chosen),
        cmocka_unit_test(claims_that_hold_a_slot_are_not_before_us),
        cmocka_unit_test(who_does_not_seek_is_not_before_us),
        cmocka_unit_test(the_impatient_try_any_free_slot),
        cmocka_unit_test(the_pinned_want_their_own),
        cmocka_unit_test(an_empty_datacenter_has_nothing),
        cmocka_unit_test(a_census_counts_every_slot_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
