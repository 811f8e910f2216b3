/* fork between asynchronous calls, inside their callbacks, and beside a thread that carries them
 * through: whatever the parent has in hand is the parent's. */
#include <pthread.h>

#include "unit/fork_fixture.h"

#define CALLS 20

enum then { THEN_NOTHING, THEN_NEXT, THEN_SUBMIT, THEN_FORK };

struct caller {
    struct sf_client *client;
    uint32_t fork_at; /* the callback that forks: 1 is the first; 0: none */
    enum then then;   /* what the child does inside the callback */
    pid_t child;      /* 0: this is the child */
};

static void on_done(void *ctx, const struct sf_client_reply *reply);

static void submit(struct caller *caller, int count)
{
    for (int i = 0; i < count; i++)
        must(sf_client_submit(caller->client, &(struct sf_client_request){.count = 3}, on_done,
                              caller) == SF_CLIENT_OK);
}

static void in_child(struct caller *caller)
{
    become(&book->child);
    caller->fork_at = 0;
    if (caller->then == THEN_NEXT)
        take_one(caller->client);
    if (caller->then == THEN_SUBMIT)
        submit(caller, 2);
    if (caller->then == THEN_FORK) {
        const pid_t grandchild = fork();
        if (grandchild == 0)
            become(&book->grandchild);
        else
            caller->child = grandchild;
    }
}

static void on_done(void *ctx, const struct sf_client_reply *reply)
{
    struct caller *caller = ctx;
    if (++mine->callbacks == caller->fork_at) {
        caller->child = fork();
        if (caller->child == 0) {
            in_child(caller);
            return; /* this reply is the parent's */
        }
    }
    if (reply->error == SF_CLIENT_CANCELLED) {
        mine->cancelled++;
        mine->others += reply->count != 0 || reply->run_count != 0 || reply->detail[0] == '\0';
    } else if (reply->error != SF_CLIENT_OK) {
        mine->others++;
    }
    for (uint32_t i = 0; i < reply->run_count; i++)
        note(reply->runs[i].first, reply->runs[i].count);
}

/* Until nothing is under way any more, waiting for the descriptor each time. */
static void carry_through(struct sf_client *client)
{
    for (;;) {
        struct pollfd pollfd = {.fd = sf_client_fd(client), .events = POLLIN};
        must(poll(&pollfd, 1, 20000) == 1);
        if (sf_client_process(client) == 0)
            return;
    }
}

/* A client with this many calls answered and none reported. */
static void set_up(struct caller *ret, int calls)
{
    *ret = (struct caller){.client = client_of(1, (struct sf_client_options){0})};
    submit(ret, 1);
    carry_through(ret->client); /* the connection is there: the next requests go out at once */
    submit(ret, calls);
    while (servers[0].served < (uint64_t)calls + 1)
        sched_yield();
}

/* Nothing is under way in the child. */
static void finish_child(struct caller *caller)
{
    take_one(caller->client);
    sf_client_stats(caller->client, &mine->stats);
    mine->stats_read = true;
    sf_client_destroy(caller->client);
    leave();
}

/* The first callback of 20 forks. */
static void fork_in_callback(enum then then)
{
    struct caller caller;
    set_up(&caller, CALLS);
    caller.fork_at = mine->callbacks + 1;
    caller.then = then;
    carry_through(caller.client);
    if (mine != &book->parent) {
        if (then == THEN_FORK && mine == &book->child)
            must(has_ended(caller.child, &book->grandchild));
        finish_child(&caller);
    }
    assert_true(has_ended(caller.child, &book->child));
    take_one(caller.client); /* the parent's connection is unharmed */
    assert_int_equal(book->parent.callbacks, CALLS + 1);
    assert_int_equal(book->parent.cancelled + book->parent.others, 0);
    assert_int_equal(book->parent.seen, 3 * (CALLS + 1) + 1);
    assert_int_equal(book->child.others + book->grandchild.others, 0);
    assert_nothing_twice();
    assert_int_equal(stats_of(caller.client).disconnects, 0);
    assert_int_equal(stats_of(caller.client).order_errors, 0);
    sf_client_destroy(caller.client);
}

static void test_fork_in_a_callback(void **state)
{
    (void)state;
    fork_in_callback(THEN_NOTHING);
    assert_int_equal(book->child.cancelled, CALLS - 1);
    assert_int_equal(book->child.callbacks, CALLS - 1);
    assert_int_equal(book->child.seen, 1);
}

static void test_next_in_the_child_of_a_callback(void **state)
{
    (void)state;
    fork_in_callback(THEN_NEXT);
    assert_int_equal(book->child.cancelled, CALLS - 1);
    assert_int_equal(book->child.callbacks, CALLS - 1);
    assert_int_equal(book->child.seen, 2);
}

static void test_submit_in_the_child_of_a_callback(void **state)
{
    (void)state;
    fork_in_callback(THEN_SUBMIT);
    assert_int_equal(book->child.cancelled, CALLS - 1);
    assert_int_equal(book->child.callbacks, CALLS - 1 + 2);
    assert_int_equal(book->child.seen, 3 * 2 + 1);
}

static void test_fork_in_the_child_of_a_callback(void **state)
{
    (void)state;
    fork_in_callback(THEN_FORK);
    assert_int_equal(book->child.cancelled, CALLS - 1);
    assert_int_equal(book->grandchild.cancelled, CALLS - 1);
    assert_int_equal(book->grandchild.seen, 1);
}

/* A child's statistics are its own. */
static void test_statistics_begin_anew(void **state)
{
    (void)state;
    fork_in_callback(THEN_NOTHING);
    const struct sf_client_stats *stats = &book->child.stats;
    assert_true(book->child.stats_read);
    assert_int_equal(stats->calls_by_error[SF_CLIENT_CANCELLED], CALLS - 1);
    assert_int_equal(stats->calls_by_error[SF_CLIENT_OK], 1);
    assert_int_equal(stats->calls, CALLS);
    assert_int_equal(stats->ids, 1);
    assert_int_equal(stats->attempts, 1);
    assert_int_equal(stats->connects, 1);
    assert_int_equal(stats->disconnects, 0);
}

/* Calls are under way and nobody is in a function of the client. */
static void test_fork_between_calls(void **state)
{
    (void)state;
    for (int destroy_at_once = 0; destroy_at_once < 2; destroy_at_once++) {
        memset(book, 0, sizeof *book);
        servers[0].served = 0;
        struct caller caller;
        set_up(&caller, CALLS);
        caller.child = fork();
        if (caller.child == 0) {
            become(&book->child);
            if (destroy_at_once) {
                sf_client_destroy(caller.client);
                leave();
            }
            take_one(caller.client); /* reports nothing: only process and destroy do */
            must(mine->callbacks == 0);
            carry_through(caller.client);
            finish_child(&caller);
        }
        assert_true(has_ended(caller.child, &book->child));
        carry_through(caller.client);
        assert_int_equal(book->parent.callbacks, CALLS + 1);
        assert_int_equal(book->parent.cancelled + book->parent.others, 0);
        assert_int_equal(book->child.callbacks, CALLS);
        assert_int_equal(book->child.cancelled, CALLS);
        assert_int_equal(book->child.others, 0);
        assert_nothing_twice();
        sf_client_destroy(caller.client);
    }
}

/* The parent's client is at its end, and a callback forks. */
static void test_fork_in_a_callback_of_destroy(void **state)
{
    (void)state;
    struct caller caller;
    set_up(&caller, CALLS);
    caller.fork_at = mine->callbacks + 1;
    sf_client_destroy(caller.client);
    if (mine == &book->child)
        leave();
    assert_true(has_ended(caller.child, &book->child));
    assert_int_equal(book->parent.cancelled, CALLS);
    assert_int_equal(book->child.cancelled, CALLS - 1);
    assert_int_equal(book->child.seen, 0);
}

/* Another thread carries calls through while this one forks, over and over: the child has its own.
 */
struct processor {
    struct caller caller;
    _Atomic uint32_t most; /* IDs in the book: what a slow child lets pile up has an end */
    _Atomic bool stop;
    pthread_t thread;
};

static void *process_on(void *ctx)
{
    struct processor *processor = ctx;
    while (!processor->stop) {
        if (book->parent.seen >= processor->most) {
            sched_yield();
            continue;
        }
        submit(&processor->caller, 5);
        carry_through(processor->caller.client);
    }
    return NULL;
}

static void test_fork_beside_a_thread_that_processes(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    /* A child that forks while another thread is in this sanitizer's allocator waits for its lock for ever (seen in
     * GCC 12's). The C library's allocator sees to it, so do the other builds. */
    skip();
#endif
    struct processor processor = {.caller.client = client_of(1, (struct sf_client_options){0})};
    struct sf_client *client = processor.caller.client;
    assert_int_equal(pthread_create(&processor.thread, NULL, process_on, &processor), 0);
    for (int i = 0; i < 30; i++) {
        const uint64_t served = servers[0].served;
        processor.most = book->parent.seen + 3000;
        while (servers[0].served < served + 20)
            sched_yield();
        book->child.finished = false;
        const pid_t child = fork();
        if (child == 0) {
            become(&book->child);
            take_one(client);
            submit(&processor.caller, 3);
            carry_through(client);
            sf_client_destroy(client);
            leave();
        }
        assert_true(has_ended(child, &book->child));
    }
    processor.stop = true;
    pthread_join(processor.thread, NULL);
    assert_int_equal(book->parent.cancelled + book->parent.others, 0);
    assert_int_equal(book->child.others, 0);
    assert_int_equal(book->child.seen, 30 * (1 + 3 * 3));
    assert_nothing_twice();
    sf_client_destroy(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fork_in_a_callback),
        TEST(test_next_in_the_child_of_a_callback),
        TEST(test_submit_in_the_child_of_a_callback),
        TEST(test_fork_in_the_child_of_a_callback),
        TEST(test_statistics_begin_anew),
        TEST(test_fork_between_calls),
        TEST(test_fork_in_a_callback_of_destroy),
        TEST(test_fork_beside_a_thread_that_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
