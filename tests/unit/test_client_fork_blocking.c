/* fork beside threads that are in a call, and inside a signal handler that interrupts one; and what a
 * child keeps. */
#include <pthread.h>

#include "unit/fork_fixture.h"

struct blocked {
    pthread_t thread;
    struct sf_client *client;
    bool failed;
};

static void *next_on(void *ctx)
{
    struct blocked *blocked = ctx;
    uint64_t id;
    for (int i = 0; i < 3; i++) {
        if (sf_client_next(blocked->client, &id) != SF_CLIENT_OK)
            blocked->failed = true;
        else
            note(id, 1);
    }
    return NULL;
}

/* Callers wait for an answer, and others for an engine, while one more thread forks. */
static void fork_beside_blocked(struct sf_client_options options)
{
    enum { THREADS = 6 };
    struct blocked blocked[THREADS];
    struct sf_client *client = client_of(1, options);
    take_one(client);
    servers[0].hold = true;
    const uint64_t asked = servers[0].asked;
    for (int i = 0; i < THREADS; i++) {
        blocked[i] = (struct blocked){.client = client};
        assert_int_equal(pthread_create(&blocked[i].thread, NULL, next_on, &blocked[i]), 0);
    }
    while (servers[0].asked == asked)
        sched_yield();
    const pid_t child = fork();
    servers[0].hold = false;
    if (child == 0) {
        become(&book->child);
        for (int i = 0; i < 5; i++)
            take_one(client);
        sf_client_stats(client, &mine->stats);
        mine->stats_read = true;
        sf_client_destroy(client);
        leave();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(blocked[i].thread, NULL);
        assert_false(blocked[i].failed);
    }
    assert_true(has_ended(child, &book->child));
    assert_int_equal(book->parent.seen, 1 + 3 * THREADS);
    assert_int_equal(book->child.seen, 5);
    assert_nothing_twice();
    sf_client_destroy(client);
}

static void test_fork_beside_blocked_callers(void **state)
{
    (void)state;
    fork_beside_blocked(
        (struct sf_client_options){.pool = 2, .attempt_timeout_ms = 20000, .timeout_ms = 60000});
    assert_int_equal(book->child.stats.calls, 5);
    assert_int_equal(book->child.stats.ids, 5);
}

static void test_fork_beside_fillers(void **state)
{
    (void)state;
    fork_beside_blocked((struct sf_client_options){.pool = 4,
                                                   .prefetch = 4,
                                                   .prefetch_max_age_ms = 60000,
                                                   .attempt_timeout_ms = 20000,
                                                   .timeout_ms = 60000});
    assert_true(book->child.stats.prefetch_hits + book->child.stats.prefetch_fills == 5);
}

static struct {
    pthread_t thread;
    uint64_t asked; /* before the call */
    _Atomic pid_t child;
} signalled;

static void fork_now(int number)
{
    (void)number;
    const int kept = errno;
    const pid_t child = fork();
    if (child == 0)
        become(&book->child);
    else
        signalled.child = child;
    errno = kept;
}

static void *signal_once_asked(void *ctx)
{
    (void)ctx;
    while (servers[0].asked == signalled.asked)
        sched_yield();
    pthread_kill(signalled.thread, SIGUSR1);
    while (signalled.child == 0)
        sched_yield();
    servers[0].hold = false;
    return NULL;
}

/* A signal arrives while the call waits for its answer, and its handler forks. The call returns
 * twice: with an ID in the parent, with an error in the child. */
static void fork_in_a_handler(struct sf_client_options options)
{
    const struct sigaction action = {.sa_handler = fork_now};
    struct sigaction before;
    options.attempt_timeout_ms = 20000;
    options.timeout_ms = 60000;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    struct sf_client *client = client_of(1, options);
    uint64_t id = 7, many[3] = {7, 7, 7};
    assert_int_equal(sf_client_next_many(client, 3, many), SF_CLIENT_OK);
    note(many[0], 3);
    signalled.thread = pthread_self();
    signalled.asked = servers[0].asked;
    signalled.child = 0;
    servers[0].hold = true;
    pthread_t signaller;
    assert_int_equal(pthread_create(&signaller, NULL, signal_once_asked, NULL), 0);
    const enum sf_client_error error = sf_client_next(client, &id);
    if (mine == &book->child) {
        must(error == SF_CLIENT_CANCELLED && id == 7);
        take_one(client);
        take_one(client);
        sf_client_destroy(client);
        leave();
    }
    assert_int_equal(error, SF_CLIENT_OK);
    note(id, 1);
    take_one(client);
    pthread_join(signaller, NULL);
    assert_true(has_ended(signalled.child, &book->child));
    assert_int_equal(book->child.seen, 2);
    assert_nothing_twice();
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    sf_client_destroy(client);
}

static void test_fork_in_a_signal_handler(void **state)
{
    (void)state;
    fork_in_a_handler((struct sf_client_options){0});
}

static void test_fork_in_a_signal_handler_while_filling(void **state)
{
    (void)state;
    fork_in_a_handler((struct sf_client_options){.prefetch = 10, .prefetch_max_age_ms = 60000});
}

/* --- what a child keeps --- */

/* The fleet does not change with a fork: its layout is known, and another one is refused. */
static void test_the_fleet_is_kept(void **state)
{
    (void)state;
    struct sf_client *client =
        client_of(2, (struct sf_client_options){.causal = true, .timeout_ms = 20000});
    take_one(client);
    const uint64_t last = book->parent.ids[0];
    servers[0].fleet_id = servers[1].fleet_id = "99999999-2222-4333-8444-555555555555";
    const pid_t child = fork();
    if (child == 0) {
        struct sf_layout layout;
        int64_t epoch_ms;
        struct sf_client_reply reply;
        become(&book->child);
        must(sf_client_layout(client, &layout, &epoch_ms) && layout.sequence_bits == 12);
        must(sf_client_ask(client, &(struct sf_client_request){.count = 1, .timeout_ms = 1500},
                           &reply) != SF_CLIENT_OK);
        sf_client_stats(client, &mine->stats);
        sf_client_destroy(client);
        leave();
    }
    assert_true(has_ended(child, &book->child));
    assert_true(book->child.stats.wrong_fleet >= 1);
    assert_true(servers[0].after_seen == last || servers[1].after_seen == last);
    sf_client_destroy(client);
}

/* The ring is empty in each descendant, and each fills its own. */
static void test_prefetched_ids_are_not_inherited(void **state)
{
    (void)state;
    struct sf_client *client =
        client_of(1, (struct sf_client_options){.prefetch = 50, .prefetch_max_age_ms = 60000});
    for (int i = 0; i < 10; i++)
        take_one(client);
    const pid_t child = fork();
    if (child == 0) {
        become(&book->child);
        for (int i = 0; i < 10; i++)
            take_one(client);
        const pid_t grandchild = fork();
        if (grandchild == 0) {
            become(&book->grandchild);
            for (int i = 0; i < 60; i++)
                take_one(client);
            sf_client_destroy(client);
            leave();
        }
        must(has_ended(grandchild, &book->grandchild));
        for (int i = 0; i < 60; i++)
            take_one(client);
        sf_client_destroy(client);
        leave();
    }
    assert_true(has_ended(child, &book->child));
    for (int i = 0; i < 60; i++)
        take_one(client);
    assert_int_equal(book->parent.seen + book->child.seen + book->grandchild.seen, 200);
    assert_nothing_twice();
    sf_client_destroy(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fork_beside_blocked_callers), TEST(test_fork_beside_fillers),
        TEST(test_fork_in_a_signal_handler),    TEST(test_fork_in_a_signal_handler_while_filling),
        TEST(test_the_fleet_is_kept),           TEST(test_prefetched_ids_are_not_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
