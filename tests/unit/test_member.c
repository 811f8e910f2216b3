/* unit/test_member.c - members of fleets: their life, what they tell, and what whoever mints gets from
 * them. Nothing here is a server. */
#include "unit/member_fixture.h"

#define LIVES 50
/* --- the tests --- */

static void two_members_of_two_fleets_live_in_one_process(void **state)
{
    (void)state;
    begin(&red);
    begin(&blue);
    await_state(&red, SF_WORKER_READY);
    await_state(&blue, SF_WORKER_READY);
    for (unsigned i = 0; i < 100; i++) {
        mint_ascending(&red, 100);
        mint_ascending(&blue, 100);
    }
    const struct sf_member_snapshot one = snapshot_of(&red), other = snapshot_of(&blue);
    assert_true(one.config_known && other.config_known);
    assert_string_not_equal(one.config.fleet_id, other.config.fleet_id);
    assert_true(one.connected && one.connected_once && one.was_ready && !one.leaving);
    assert_int_equal(one.counts.slots_won, 1);
    assert_true(one.slots[0].held && one.slots[0].left_ms > 0);
    assert_int_equal(red.layouts, 1);
    assert_true(red.answers >= 4 && red.turns >= 4);
    assert_string_equal(sf_member_backend(red.member), "local");
    assert_true(told(&red, "slot.claimed"));
    end(&red);
    mint_ascending(&blue, 100); /* the other goes on */
    end(&blue);
    assert_true(red.endings >= 1);
}

static void it_is_opened_and_closed_again_and_again(void **state)
{
    (void)state;
    unsigned files = 0, threads = 0;
    for (unsigned life = 0; life < LIVES; life++) {
        begin(&red);
        begin(&blue);
        await_state(&red, SF_WORKER_READY);
        await_state(&blue, SF_WORKER_READY);
        mint_ascending(&red, 50);
        mint_ascending(&blue, 50);
        end(&red);
        end(&blue);
        if (life == 0) { /* libraries keep what they open once */
            files = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
        }
    }
    assert_int_equal(entries("/proc/self/fd"), files);
    assert_int_equal(entries("/proc/self/task"), threads);
    assert_int_equal(red.layouts, LIVES);
}

static void every_slot_gets_the_answers_to_its_own_requests(void **state)
{
    (void)state;
    red.options.slots = SF_MEMBER_SLOTS_MAX;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    const struct sf_member_snapshot snapshot = snapshot_of(&red);
    uint64_t ids[SF_MEMBER_SLOTS_MAX] = {0};
    for (unsigned i = 0; i < SF_MEMBER_SLOTS_MAX; i++) {
        assert_int_equal(mint_one(&red, i, &ids[i]), SF_MINT_OK);
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(snapshot.slots[i].worker, snapshot.slots[k].worker);
            assert_int_not_equal(snapshot.slots[i].fence, snapshot.slots[k].fence);
            assert_true(ids[i] != ids[k]);
        }
    }
    assert_int_equal(snapshot.counts.slots_won, SF_MEMBER_SLOTS_MAX);
    end(&red);
}

static void one_slot_that_cannot_go_on_takes_the_member_with_it(void **state)
{
    (void)state;
    red.options.slots = 2;
    red.options.datacenter = 1000; /* the default layout has 32 */
    begin(&red);
    assert_int_equal(await_end(&red), SF_EXIT_CONFIG);
    assert_true(snapshot_of(&red).leaving);
    assert_true(red.endings >= 1);
    assert_true(told(&red, "worker.fatal"));
    sf_member_destroy(red.member);
}

static void the_fleet_is_listed(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    const int64_t end_ns = sf_mono_ns() + DEADLINE_MS * SF_NS_PER_MS;
    bool bound = false;
    uint64_t serial = 0;
    while (!bound) { /* the list that shows our own slot follows its claim */
        assert_true(sf_mono_ns() < end_ns);
        sf_sleep_ms(2);
        const struct sf_member_list *list = sf_member_list(red.member);
        if (list == NULL)
            continue;
        assert_true(list->serial >= serial && list->slot_count == 32 && list->read_at_ms > 0);
        serial = list->serial;
        for (size_t i = 0; i < list->claim_count; i++)
            bound = bound || (list->claims[i].slot >= 0 &&
                              strcmp(list->claims[i].address, "127.0.0.1:1") == 0);
        sf_member_list_release(list);
    }
    const struct sf_member_list *kept = sf_member_list(red.member);
    end(&red);
    assert_int_equal(kept->slot_count, 32); /* a reference outlives the member */
    sf_member_list_release(kept);
    sf_member_list_release(NULL);
}

/* A list for who looks: soon, and however often one looks no more than one in two seconds. */
static void whoever_looks_makes_it_read_again(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    sf_sleep_ms(2100); /* what it reads for itself at the start is over */
    const struct sf_member_list *before = sf_member_list(red.member);
    assert_non_null(before);
    const uint64_t serial = before->serial;
    sf_member_list_release(before);
    const unsigned lists = red.lists;
    const int64_t began_ms = sf_mono_ns() / SF_NS_PER_MS;
    int64_t took_ms = 0;
    for (bool seen = false; !seen; took_ms = sf_mono_ns() / SF_NS_PER_MS - began_ms) {
        sf_member_look(red.member);
        const struct sf_member_list *list = sf_member_list(red.member);
        seen = list->serial > serial;
        sf_member_list_release(list);
        assert_true(took_ms < DEADLINE_MS);
        sf_sleep_ms(1);
    }
    for (unsigned i = 0; i < 250; i++) {
        sf_member_look(red.member);
        sf_sleep_ms(10);
    }
    const int64_t all_ms = sf_mono_ns() / SF_NS_PER_MS - began_ms;
    assert_in_range(red.lists - lists, 2, 2 + all_ms / 2000);
    end(&red);
}

static void what_cannot_work_is_named_at_once(void **state)
{
    (void)state;
    struct sf_error err = {0};
    struct sf_member *member = NULL;
    red.options.coord.url = "carrier-pigeon://loft";
    assert_int_equal(sf_member_create(&red.options, &member, &err), -EINVAL);
    assert_non_null(strstr(err.text, "carrier-pigeon"));
    prepare(&red, "red");
    char dir[600];
    memset(dir, 'd', sizeof dir);
    dir[sizeof dir - 1] = '\0';
    red.options.state_dir = dir;
    assert_int_equal(sf_member_create(&red.options, &member, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "599 bytes; allowed: up to 511"));
    prepare(&red, "red");
    red.options.clock.poll_ms = 0;
    assert_int_equal(sf_member_create(&red.options, &member, &err), -EINVAL);
    assert_null(member);
    sf_member_destroy(NULL);
}

static void made_and_never_started_it_only_goes(void **state)
{
    (void)state;
    struct sf_error err = {0};
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(sf_member_create(&red.options, &red.member, &err), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < NSIG; signal++) /* the rest of a set is nobody's */
        assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
    assert_int_equal(snapshot_of(&red).state, SF_WORKER_STARTING);
    assert_null(sf_member_list(red.member));
    assert_int_equal(sf_member_time_ms(sf_member_time(red.member), sf_mono_ns()), 0);
    sf_member_destroy(red.member);
}

static void the_last_events_are_kept_in_order(void **state)
{
    (void)state;
    struct sf_member_event events[SF_MEMBER_EVENTS_MAX];
    struct sf_error err = {0};
    char text[SF_MEMBER_EVENT_TEXT_MAX * 2];
    assert_int_equal(sf_member_create(&red.options, &red.member, &err), 0);
    for (unsigned i = 0; i < SF_MEMBER_EVENTS_MAX + 3; i++) {
        snprintf(text, sizeof text, "%u", i);
        sf_member_tell(red.member, SF_LOG_WARN, "test.event", text);
    }
    assert_int_equal(sf_member_events(red.member, events), SF_MEMBER_EVENTS_MAX);
    for (unsigned i = 0; i < SF_MEMBER_EVENTS_MAX; i++) {
        snprintf(text, sizeof text, "%u", i + 3);
        assert_string_equal(events[i].text, text);
        assert_string_equal(events[i].event, "test.event");
        assert_int_equal(events[i].level, SF_LOG_WARN);
    }
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sf_member_tell(red.member, SF_LOG_INFO, "test.long", text);
    (void)sf_member_events(red.member, events);
    assert_int_equal(strlen(events[SF_MEMBER_EVENTS_MAX - 1].text), SF_MEMBER_EVENT_TEXT_MAX - 1);
    sf_member_destroy(red.member);
}

/* --- a clock whose thread stands still --- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stands;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void set_gate(bool stands)
{
    pthread_mutex_lock(&gate.mutex);
    gate.stands = stands;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

/* Only the clock's thread asks these clocks for the wall clock's time while the test runs. */
static int64_t gated_real_ns(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&gate.mutex);
    while (gate.stands)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
    return sf_real_ns();
}

static int64_t plain_mono_ns(void *ctx)
{
    (void)ctx;
    return sf_mono_ns();
}

static void a_clock_whose_thread_stands_still_is_noticed(void **state)
{
    (void)state;
    static const struct sf_ticks ticks = {.real_ns = gated_real_ns, .mono_ns = plain_mono_ns};
    struct sf_clock_verdict verdict;
    uint64_t id = 0;
    red.options.clock.ticks = &ticks;
    red.options.stall_ms = 2000;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    mint_ascending(&red, 10);
    assert_int_equal(snapshot_of(&red).clock_stalled_ms, 0);
    set_gate(true);
    await_state(&red, SF_WORKER_RESYNCING); /* the slot was given back */
    assert_true(snapshot_of(&red).clock_stalled_ms >= 2000);
    sf_member_clock_verdict(red.member, &verdict);
    assert_false(verdict.may_mint);
    assert_non_null(strstr(verdict.text, "its thread has not turned for"));
    struct sf_clock_snapshot clock;
    sf_member_clock(red.member, &clock);
    assert_false(clock.verdict.may_mint);
    assert_int_equal(mint_one(&red, 0, &id), SF_MINT_CLOSED);
    assert_true(told(&red, "clock.stalled") && told(&red, "worker.suspended"));
    set_gate(false);
    await_state(&red, SF_WORKER_READY);
    assert_int_equal(snapshot_of(&red).clock_stalled_ms, 0);
    assert_true(told(&red, "clock.turns"));
    mint_ascending(&red, 10);
    end(&red);
}

static int open_gate(void **state)
{
    set_gate(false);
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        life(two_members_of_two_fleets_live_in_one_process),
        life(it_is_opened_and_closed_again_and_again),
        life(every_slot_gets_the_answers_to_its_own_requests),
        life(one_slot_that_cannot_go_on_takes_the_member_with_it),
        life(the_fleet_is_listed),
        life(whoever_looks_makes_it_read_again),
        life(what_cannot_work_is_named_at_once),
        life(made_and_never_started_it_only_goes),
        life(the_last_events_are_kept_in_order),
        cmocka_unit_test_setup_teardown(a_clock_whose_thread_stands_still_is_noticed, setup,
                                        open_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
