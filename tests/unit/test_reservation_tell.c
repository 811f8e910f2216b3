/* unit/test_reservation_tell.c - what a worker tells of itself in its claim, so that others see it:
 * each state with its reason, once and not in a stream; and that it costs nobody a slot. */
#include "unit/reservation_fixture.h"

static unsigned count_ops(const struct machine *m, const char *op)
{
    unsigned count = 0;
    for (const char *at = strstr(m->ops, op); at != NULL; at = strstr(at + 1, op))
        count++;
    return count;
}

static struct sf_coord_claim only_claim(void)
{
    size_t count;
    const struct sf_coord_claim claim = first_claim(&count);
    assert_int_equal(count, 1);
    return claim;
}

static void set_clock(struct machine *m, bool ok, const char *text)
{
    m->now.clock_ok = ok;
    m->now.clock_text = text;
    tick(m);
}

static void fill_all_slots(void)
{
    for (unsigned i = 0; i < 4; i++)
        put_record(i, "", mint_ms + 500000);
}

static void the_write_that_takes_a_slot_tells_ready(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(5000);
    const struct sf_coord_claim claim = only_claim();
    assert_string_equal(claim.state, "ready");
    assert_string_equal(claim.reason, "");
    assert_int_equal(claim.slot, m->res.hold.worker);
    assert_false(claim.seeks);
    assert_true(claim.since_ms > 0 && claim.since_ms >= claim.made_ms);
    assert_int_equal(count_ops(m, "tell "), 0); /* nothing is written for it alone */
}

static void who_finds_none_tells_why_and_once(void **state)
{
    (void)state;
    fill_all_slots();
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(60000); /* the time that is left stands in the reason, and changes with every look */
    const struct sf_coord_claim claim = only_claim();
    assert_true(claim.seeks);
    assert_string_equal(claim.state, "quarantined");
    assert_non_null(strstr(claim.reason, "no free slot in datacenter 0: 0 held, 4 quarantined"));
    assert_int_equal(count_ops(m, "tell "), 1);
}

static void a_state_is_told_at_most_once_a_second(void **state)
{
    (void)state;
    fill_all_slots();
    struct machine *m = new_machine(0);
    start_machine(m, NULL);
    run(5000);
    set_clock(m, false, "off by 3 s");
    forget_past(m);
    for (unsigned i = 0; i < 100; i++) { /* ten seconds, another reason each time */
        char text[32] = "off by x s";
        text[7] = (char)('a' + i % 26);
        set_clock(m, false, text);
        run(100);
    }
    assert_in_range(count_ops(m, "tell "), 8, 10);
    forget_past(m);
    for (unsigned i = 0; i < 100; i++) { /* the same one with other numbers */
        char text[32];
        snprintf(text, sizeof text, "off by %u.%u s", i, i);
        set_clock(m, false, text);
        run(100);
    }
    assert_in_range(count_ops(m, "tell "), 0, 1);
    assert_string_equal(only_claim().state, "resyncing");
}

/* Since when: by the time that is trusted, where its own clock is what is wrong. */
static void a_wrong_clock_tells_the_right_time(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    m->now.trusted_ms = mint_ms - 45000;
    set_clock(m, false, "off by 45 s");
    const struct sf_coord_claim claim = only_claim();
    assert_string_equal(claim.reason, "off by 45 s");
    assert_in_range(mint_ms - 45000 - claim.since_ms, 0, 1000);
    assert_in_range(mint_ms - claim.made_ms, 0, 1000); /* on the records' own clock */
}

/* Who was suspended comes back behind those who waited meanwhile. */
static void who_comes_back_waits_behind(void **state)
{
    (void)state;
    fill_all_slots();
    struct machine *m = new_machine(0), *other = new_machine(1);
    start_machine(m, NULL);
    run(2000);
    set_clock(m, false, "off by 3 s");
    run(2000);
    const uint64_t old = m->res.claim.fence;
    start_machine(other, NULL);
    run(2000);
    set_clock(m, true, "fine");
    run(2000);
    assert_true(m->res.claim.fence > old);
    assert_true(m->res.claim.fence > other->res.claim.fence);
    size_t count;
    assert_string_equal(first_claim(&count).name, other->res.claim.name);
    assert_int_equal(count, 2);
    put_claim(7);
    put_record(2, "", mint_ms - 1);
    delete_claim(7);
    run(3000);
    assert_true(other->res.hold.active);
}

static void who_comes_back_gets_its_slot_at_once(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    set_clock(m, false, "off by 3 s");
    run(3000);
    forget_past(m);
    set_clock(m, true, "fine");
    assert_string_equal(m->ops, "unclaim claim list bind ");
    assert_string_equal(only_claim().state, "ready");
}

static void what_was_not_heard_is_told_again(void **state)
{
    (void)state;
    static const enum sf_fake_fault faults[] = {SF_FAKE_ANSWER_LOST_APPLIED,
                                                SF_FAKE_ANSWER_LOST_NOT_APPLIED};
    for (size_t i = 0; i < SF_COUNT(faults); i++) {
        fill_all_slots();
        struct machine *m = new_machine(0);
        start_machine(m, NULL);
        run(3000);
        sf_fake_fault(m->coord, SF_COORD_TELL, faults[i]);
        set_clock(m, false, "off by 3 s");
        run(10000);
        const struct sf_coord_claim claim = only_claim();
        assert_string_equal(claim.state, "resyncing");
        assert_string_equal(claim.reason, "off by 3 s");
        assert_int_equal(count_ops(m, "tell "), 3); /* that it waits; and twice this */
        teardown(state);
        setup(state);
    }
}

static void a_claim_that_is_gone_is_made_anew(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    set_clock(m, false, "off by 3 s");
    run(2000);
    const struct sf_coord_claim old = m->res.claim;
    struct sf_coord_request unclaim = {.op = SF_COORD_UNCLAIM, .id = 1, .deadline_ms = 1000};
    memcpy(unclaim.u.claim_name, old.name, sizeof old.name);
    assert_int_equal(call(&unclaim)->outcome, SF_COORD_DONE); /* a person, or a hop */
    set_clock(m, false, "off by far more");
    run(3000);
    const struct sf_coord_claim claim = only_claim();
    assert_string_not_equal(claim.name, old.name);
    assert_string_equal(claim.state, "resyncing");
    assert_string_equal(claim.reason, "off by far more");
}

/* A tell that is refused or not answered keeps nobody from renewing. */
static void a_tell_that_fails_costs_no_slot(void **state)
{
    (void)state;
    struct machine *m = ready_machine(0);
    run(2000);
    m->res.claim.state[0] = '\0';
    for (unsigned i = 0; i < FORGED_MAX; i++)
        forge_next(m, SF_COORD_TELL, SF_COORD_UNKNOWN, SF_COORD_AUTH);
    for (unsigned i = 0; i < 600; i++) {
        run(1000);
        assert_state(m, SF_WORKER_READY);
    }
    assert_string_equal(only_claim().state, "ready");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(the_write_that_takes_a_slot_tells_ready),
        scenario(who_finds_none_tells_why_and_once),
        scenario(a_state_is_told_at_most_once_a_second),
        scenario(a_wrong_clock_tells_the_right_time),
        scenario(who_comes_back_waits_behind),
        scenario(who_comes_back_gets_its_slot_at_once),
        scenario(what_was_not_heard_is_told_again),
        scenario(a_claim_that_is_gone_is_made_anew),
        scenario(a_tell_that_fails_costs_no_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
