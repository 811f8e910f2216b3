/* unit/test_minter.c - the library that mints in the caller's process: its calls, threads, and what is left
 * when it is closed. */
#include "unit/minter_fixture.h"

#define LIVES 200

static unsigned lives = LIVES;

/* --- its calls --- */

static void every_call_does_what_it_says(void **state)
{
    (void)state;
    struct sf_minter *minter = open_ready("calls");
    uint64_t last = 0, id = 0;
    static uint64_t ids[20000];
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(sf_minter_next(minter, &id), SF_MINTER_OK);
        assert_true(id > last);
        last = id;
    }
    assert_int_equal(sf_minter_next_n(minter, 20000, ids), SF_MINTER_OK);
    for (unsigned i = 0; i < 20000; i++) {
        assert_true(ids[i] > last);
        last = ids[i];
    }
    assert_int_equal(sf_minter_next_after(minter, last + (UINT64_C(50) << 22), &id), SF_MINTER_OK);
    assert_true(id > last + (UINT64_C(50) << 22));
    assert_int_equal(sf_minter_next_after(minter, id + (UINT64_C(3600000) << 22), &id),
                     SF_MINTER_CAUSALITY);
    assert_int_equal(sf_minter_next_n(minter, 0, ids), SF_MINTER_INVALID);
    assert_int_equal(sf_minter_next_n(minter, SF_MINTER_COUNT_MAX + 1, ids), SF_MINTER_INVALID);

    const struct sf_minter_view status = status_of(minter);
    assert_int_equal(status.next, SF_MINTER_OK);
    assert_string_equal(status.state, "ready");
    assert_true(status.connected && status.fleet_known && status.slot_count == 1);
    assert_true(status.slots[0].held && status.slots[0].left_ms > 0);
    assert_int_equal(status.ids, 25001);
    assert_int_equal(status.refusals, 1);
    assert_true(status.waits > 0); /* 20,000 do not fit ten milliseconds at once */
    assert_int_equal(status.layout.sequence_bits, 12);
    assert_int_equal((id >> 12) & 31, status.slots[0].worker);

    char page[8192], cut[20];
    const size_t size = sf_minter_metrics(minter, page, sizeof page);
    assert_int_equal(size, strlen(page));
    assert_non_null(strstr(page, "\nsnowfleet_minter_ids_total 25001\n"));
    assert_non_null(strstr(page, "\nsnowfleet_minter_ready 1\n"));
    assert_true(sf_minter_metrics(minter, cut, sizeof cut) > size - 64); /* figures move */
    assert_int_equal(strlen(cut), sizeof cut - 1);
    assert_true(sf_minter_metrics(minter, NULL, 0) > size - 64);
    assert_int_equal(sf_minter_status(minter, NULL, 0), SF_MINTER_INVALID);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
    assert_int_equal(sf_minter_close(NULL), SF_MINTER_OK);
}

static void what_it_is_told_is_judged(void **state)
{
    (void)state;
    static const struct {
        const char *more, *word;
    } bad[] = {{"fleet.name=.hidden", "fleet.name"},
               {"fleet.slots_per_worker=9", "fleet.slots_per_worker"},
               {"listen.address=127.0.0.1:1", "listen.address"},
               {"fleet.nonsense=1", "fleet-nonsense"},
               {"mint.max_wait_ms", "mint.max_wait_ms"},
               {"=", "more"},
               {"reservation.window_ms=10", "reservation.window_ms"},
               {"clock.sources=sundial", "clock.sources"},
               {"coordinator.tls_ca=/nowhere", "coordinator.tls_ca"},
               {"fleet.coordinator=redis://h", "fleet.coordinator"}};
    struct sf_minter *minter = NULL;
    char detail[SF_MINTER_DETAIL_MAX];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const more[] = {bad[i].more, NULL};
        struct sf_minter_options options = options_of("judged");
        options.more = more;
        assert_int_equal(sf_minter_open(&options, &minter, detail, sizeof detail),
                         SF_MINTER_INVALID);
        if (strstr(detail, bad[i].word) == NULL)
            fail_msg("%s: %s", bad[i].more, detail);
        assert_null(strchr(detail, '\n'));
    }
    struct sf_minter_options options = options_of("judged");
    options.coordinator = NULL;
    assert_int_equal(sf_minter_open(&options, &minter, detail, sizeof detail), SF_MINTER_INVALID);
    assert_non_null(strstr(detail, "coordinator: none given"));
    options.size = 3;
    assert_int_equal(sf_minter_open(&options, &minter, NULL, 0), SF_MINTER_INVALID);
    options.size = sizeof options + 8;
    assert_int_equal(sf_minter_open(&options, &minter, NULL, 0), SF_MINTER_INVALID);
    assert_null(minter);
}

static void the_environment_is_read_when_asked_for(void **state)
{
    (void)state;
    char url[128], detail[SF_MINTER_DETAIL_MAX];
    struct sf_minter *minter = NULL;
    struct sf_minter_options options = SF_MINTER_OPTIONS;
    (void)snprintf(url, sizeof url, "local://%s/environment", root);
    setenv("SNOWFLEET_FLEET_COORDINATOR", url, 1);
    setenv("SNOWFLEET_FLEET_SLOTS_PER_WORKER", "2", 1);
    assert_int_equal(sf_minter_open(&options, &minter, detail, sizeof detail), SF_MINTER_INVALID);
    options.environment = true;
    minter = open_with(&options);
    assert_int_equal(sf_minter_wait(minter, PATIENCE_MS), SF_MINTER_OK);
    assert_int_equal(status_of(minter).slot_count, 2);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
    options.slots = 3; /* what is said wins */
    minter = open_with(&options);
    assert_int_equal(status_of(minter).slot_count, 3);
    sf_minter_close(minter);
    unsetenv("SNOWFLEET_FLEET_COORDINATOR");
    unsetenv("SNOWFLEET_FLEET_SLOTS_PER_WORKER");
}

static void errors_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < SF_MINTER_ERRORS; i++) {
        assert_string_not_equal(sf_minter_error_name((enum sf_minter_error)i), "UNKNOWN");
        assert_true(strlen(sf_minter_error_text((enum sf_minter_error)i)) > 5);
    }
    assert_string_equal(sf_minter_error_name(SF_MINTER_ERRORS), "UNKNOWN");
    assert_string_equal(sf_minter_error_text((enum sf_minter_error) - 1),
                        "an error of a later version");
}

static void what_cannot_be_waited_for_ends(void **state)
{
    (void)state;
    struct sf_minter_options options = options_of("ended");
    uint64_t id;
    options.datacenter = 1000; /* the default layout has 32 */
    struct sf_minter *minter = open_with(&options);
    assert_int_equal(sf_minter_wait(minter, PATIENCE_MS), SF_MINTER_ENDED);
    assert_int_equal(sf_minter_next(minter, &id), SF_MINTER_ENDED);
    assert_non_null(strstr(status_of(minter).why, "1000"));
    assert_int_equal(sf_minter_close(minter), SF_MINTER_NOT_RELEASED);
}

static void without_a_coordinator_it_waits(void **state)
{
    (void)state;
    struct sf_minter_options options = options_of("away");
    static const char *const more[] = {"fleet.auto_init=false", NULL};
    uint64_t id;
    options.more = more;
    struct sf_minter *minter = open_with(&options);
    assert_int_equal(sf_minter_wait(minter, 200), SF_MINTER_NOT_READY);
    assert_int_equal(sf_minter_next(minter, &id), SF_MINTER_NOT_READY);
    assert_true(status_of(minter).why[0] != '\0');
    assert_int_equal(status_of(minter).refusals, 1);
    sf_minter_close(minter);
}

static void a_full_millisecond_is_waited_out_so_long(void **state)
{
    (void)state;
    struct sf_minter_options options = options_of("full");
    static const char *const more[] = {"mint.max_ahead_ms=0", "mint.sequence_jitter=0", NULL};
    static uint64_t ids[SF_MINTER_COUNT_MAX];
    options.more = more;
    options.max_wait_ms = 20;
    struct sf_minter *minter = open_with(&options);
    assert_int_equal(sf_minter_wait(minter, PATIENCE_MS), SF_MINTER_OK);
    /* A million takes 256 ms at least. */
    assert_int_equal(sf_minter_next_n(minter, SF_MINTER_COUNT_MAX, ids), SF_MINTER_OVERLOADED);
    assert_int_equal(ids[0], 0); /* all or none */
    assert_int_equal(sf_minter_next_n(minter, 5000, ids), SF_MINTER_OK);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
}

struct lines {
    _Atomic unsigned count, debug, claimed;
};

static void on_line(void *ctx, enum sf_minter_level level, const char *event, const char *sentence)
{
    struct lines *lines = ctx;
    must(sentence[0] != '\0');
    lines->count++;
    lines->debug += level == SF_MINTER_DEBUG;
    lines->claimed += strcmp(event, "slot.claimed") == 0;
}

static void lines_are_told(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct sf_minter_options options = options_of("lines");
    options.log = on_line;
    options.log_ctx = &lines;
    for (unsigned i = 0; i < 2; i++) {
        struct sf_minter *minter = open_with(&options);
        assert_int_equal(sf_minter_wait(minter, PATIENCE_MS), SF_MINTER_OK);
        sf_minter_close(minter);
        options.log_level = SF_MINTER_WARN;
    }
    assert_true(lines.count > 0);
    assert_int_equal(lines.debug, 0);
    assert_int_equal(lines.claimed, 1); /* the second is too quiet for that */
}

/* --- threads --- */

static void threads_get_ids_of_their_own_in_order(void **state)
{
    (void)state;
    static uint64_t ids[THREADS * EACH];
    struct sf_minter_options options = options_of("threads");
    options.slots = 3;
    struct sf_minter *minter = open_with(&options);
    assert_int_equal(sf_minter_wait(minter, PATIENCE_MS), SF_MINTER_OK);
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.minter = minter, .ids = ids + (size_t)i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, take_some, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].last, SF_MINTER_OK);
        for (unsigned k = 1; k < EACH; k++)
            assert_true(workers[i].ids[k] > workers[i].ids[k - 1]);
    }
    assert_nothing_twice(ids, (size_t)THREADS * EACH);
    assert_int_equal(status_of(minter).ids, THREADS * EACH);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
}

static void who_calls_while_it_closes_is_told(void **state)
{
    (void)state;
    static uint64_t ids[THREADS * EACH];
    for (unsigned round = 0; round < 10; round++) {
        struct sf_minter *minter = open_ready("closing");
        pthread_t threads[THREADS];
        struct worker workers[THREADS];
        for (unsigned i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){.minter = minter, .ids = ids + (size_t)i * EACH};
            assert_int_equal(pthread_create(&threads[i], NULL, take_until_refused, &workers[i]), 0);
        }
        sf_sleep_ms(3);
        assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(workers[i].last, SF_MINTER_DRAINING);
        }
    }
}

static void *wait_long(void *ctx)
{
    struct worker *w = ctx;
    w->last = sf_minter_wait(w->minter, PATIENCE_MS);
    return NULL;
}

static void who_waits_while_it_closes_is_told(void **state)
{
    (void)state;
    struct sf_minter_options options = options_of("waiting");
    static const char *const more[] = {"fleet.auto_init=false", NULL};
    pthread_t thread;
    options.more = more;
    struct sf_minter *minter = open_with(&options);
    struct worker w = {.minter = minter};
    assert_int_equal(pthread_create(&thread, NULL, wait_long, &w), 0);
    sf_sleep_ms(50);
    const int64_t began_ns = sf_mono_ns();
    sf_minter_close(minter);
    pthread_join(thread, NULL);
    assert_int_equal(w.last, SF_MINTER_DRAINING);
    assert_true(sf_mono_ns() - began_ns < 20 * SF_NS_PER_S);
}

static void *mint_while_cancelled(void *ctx)
{
    struct worker *w = ctx;
    pthread_cancel(pthread_self()); /* pending from here on */
    static uint64_t many[60000];
    w->last = sf_minter_next_n(w->minter, 60000, many); /* sleeps */
    struct sf_minter_view status;
    sf_minter_status(w->minter, &status, sizeof status);
    sf_minter_wait(w->minter, 100);
    w->count = 1;
    pthread_testcancel();
    w->count = 2;
    return NULL;
}

static void no_call_is_cancelled(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it takes a stack that is unwound by force for a broken one */
#endif
    struct sf_minter *minter = open_ready("cancelled");
    struct worker w = {.minter = minter};
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, mint_while_cancelled, &w), 0);
    pthread_join(thread, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(w.last, SF_MINTER_OK);
    assert_int_equal(w.count, 1);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
}

static void more_threads_than_seats(void **state)
{
    (void)state;
    struct sf_minter *minter = open_ready("seats");
    if (SANITIZED) { /* they want stacks of their own */
        assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
        skip();
    }
    enum { MANY = 1100, AT_A_TIME = 50 };
    static uint64_t ids[MANY * 3];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    /* Stacks of their own, all alive: no place in memory comes back. */
    char *stacks = mmap(NULL, (size_t)MANY << 16, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(stacks != MAP_FAILED);
    for (unsigned i = 0; i < MANY; i += AT_A_TIME) {
        pthread_t threads[AT_A_TIME];
        static struct worker workers[AT_A_TIME];
        for (unsigned k = 0; k < AT_A_TIME; k++) {
            workers[k] =
                (struct worker){.minter = minter, .ids = ids + 3 * (i + k), .count = EACH - 3};
            workers[k].ids -= EACH - 3;
            pthread_attr_setstack(&attr, stacks + ((size_t)(i + k) << 16), 1 << 16);
            assert_int_equal(pthread_create(&threads[k], &attr, take_some, &workers[k]), 0);
        }
        for (unsigned k = 0; k < AT_A_TIME; k++) {
            pthread_join(threads[k], NULL);
            assert_int_equal(workers[k].last, SF_MINTER_OK);
        }
    }
    pthread_attr_destroy(&attr);
    assert_nothing_twice(ids, (size_t)MANY * 3);
    assert_int_equal(status_of(minter).ids, MANY * 3);
    munmap(stacks, (size_t)MANY << 16);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
}

/* --- several, again and again --- */

static void two_fleets_in_one_process(void **state)
{
    (void)state;
    struct sf_minter *red = open_ready("red"), *blue = open_ready("blue");
    uint64_t id, last[2] = {0};
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(sf_minter_next(red, &id), SF_MINTER_OK);
        assert_true(id > last[0]);
        last[0] = id;
        assert_int_equal(sf_minter_next(blue, &id), SF_MINTER_OK);
        assert_true(id > last[1]);
        last[1] = id;
    }
    assert_string_not_equal(status_of(red).fleet_id, status_of(blue).fleet_id);
    assert_int_equal(sf_minter_close(red), SF_MINTER_OK);
    assert_int_equal(sf_minter_next(blue, &id), SF_MINTER_OK); /* the other goes on */
    assert_int_equal(sf_minter_close(blue), SF_MINTER_OK);
}

/* Two at a time in one fleet, and IDs of all lives differ. */
static void it_is_opened_and_closed_again_and_again(void **state)
{
    (void)state;
    uint64_t *ids = calloc(lives, 2 * sizeof *ids);
    unsigned files = 0, threads = 0;
    size_t used = 0;
    assert_non_null(ids);
    for (unsigned life = 0; life < lives; life++) {
        struct sf_minter *one = open_ready("again"), *other = open_ready("again");
        assert_int_equal(sf_minter_next(one, &ids[2 * life]), SF_MINTER_OK);
        assert_int_equal(sf_minter_next(other, &ids[2 * life + 1]), SF_MINTER_OK);
        assert_int_equal(sf_minter_close(one), SF_MINTER_OK);
        assert_int_equal(sf_minter_close(other), SF_MINTER_OK);
        if (life == lives / 10) { /* libraries keep what they open once */
            files = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
            used = mallinfo2().uordblks;
        }
    }
    assert_int_equal(entries("/proc/self/fd"), files);
    assert_int_equal(entries("/proc/self/task"), threads);
    assert_true(mallinfo2().uordblks < used + 65536);
    assert_nothing_twice(ids, 2 * (size_t)lives);
    free(ids);
}

static void nothing_of_the_host_is_changed(void **state)
{
    (void)state;
    sigset_t mask, after;
    struct sigaction actions[NSIG], now;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, NULL, &actions[i]);
    const mode_t before = umask(0027);
    struct sf_minter *minter = open_ready("host");
    uint64_t id;
    assert_int_equal(sf_minter_next(minter, &id), SF_MINTER_OK);
    for (unsigned round = 0; round < 2; round++) {
        for (int i = 1; i < NSIG; i++) {
            memset(&now, 0, sizeof now);
            if (sigaction(i, NULL, &now) == 0)
                assert_ptr_equal(now.sa_handler, actions[i].sa_handler);
        }
        assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
        assert_true(sigismember(&after, SIGUSR2) && !sigismember(&after, SIGPIPE));
        if (round == 0)
            assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
    }
    assert_int_equal(umask(before), 0027);
    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        lives = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_does_what_it_says),
        cmocka_unit_test(what_it_is_told_is_judged),
        cmocka_unit_test(the_environment_is_read_when_asked_for),
        cmocka_unit_test(errors_have_names),
        cmocka_unit_test(what_cannot_be_waited_for_ends),
        cmocka_unit_test(without_a_coordinator_it_waits),
        cmocka_unit_test(a_full_millisecond_is_waited_out_so_long),
        cmocka_unit_test(lines_are_told),
        cmocka_unit_test(threads_get_ids_of_their_own_in_order),
        cmocka_unit_test(who_calls_while_it_closes_is_told),
        cmocka_unit_test(who_waits_while_it_closes_is_told),
        cmocka_unit_test(no_call_is_cancelled),
        cmocka_unit_test(more_threads_than_seats),
        cmocka_unit_test(two_fleets_in_one_process),
        cmocka_unit_test(it_is_opened_and_closed_again_and_again),
        cmocka_unit_test(nothing_of_the_host_is_changed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
