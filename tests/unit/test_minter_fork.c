/* unit/test_minter_fork.c - children of a process that mints. */
#include "unit/minter_fixture.h"

#define BOOK_MAX 4096
struct book {
    _Atomic uint32_t used;
    uint64_t ids[BOOK_MAX];
};
static struct book *book;

static void note(uint64_t id)
{
    book->ids[book->used++] = id;
}

/* Whatever the parent did last: its minter gives the child nothing, and one of its own gives it IDs. */
static void be_a_child(struct sf_minter *minter, bool closes)
{
    uint64_t id = 7, ids[3];
    struct sf_minter_view status;
    char page[4096];
    (void)alarm(60);
    must(sf_minter_next(minter, &id) == SF_MINTER_NOT_READY && id == 7);
    must(sf_minter_next_n(minter, 3, ids) == SF_MINTER_NOT_READY);
    must(sf_minter_next_after(minter, 1, &id) == SF_MINTER_NOT_READY && id == 7);
    must(sf_minter_wait(minter, 60000) == SF_MINTER_NOT_READY);
    must(sf_minter_status(minter, &status, sizeof status) == SF_MINTER_OK);
    must(status.next == SF_MINTER_NOT_READY && strstr(status.why, "child") != NULL);
    must(sf_minter_metrics(minter, page, sizeof page) > 0);
    if (closes)
        must(sf_minter_close(minter) == SF_MINTER_OK);
    if (!CHILD_MAKES_THREADS)
        _exit(0);
    const struct sf_minter_options options = options_of("children");
    struct sf_minter *own = NULL;
    must(sf_minter_open(&options, &own, NULL, 0) == SF_MINTER_OK);
    must(sf_minter_wait(own, PATIENCE_MS) == SF_MINTER_OK);
    for (unsigned i = 0; i < 20; i++) {
        must(sf_minter_next(own, &id) == SF_MINTER_OK);
        note(id);
    }
    must(closes || sf_minter_next(minter, &id) == SF_MINTER_NOT_READY);
    must(sf_minter_close(own) == SF_MINTER_OK);
    _exit(0);
}

static void fork_here(struct sf_minter *minter, bool closes)
{
    int status = -1;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        be_a_child(minter, closes);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_child_gets_nothing_wherever_it_was_made(void **state)
{
    (void)state;
    uint64_t id, ids[50];
    struct sf_minter_view status;
    book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(book != MAP_FAILED);
    const struct sf_minter_options options = options_of("children");
    struct sf_minter *minter = open_with(&options);
    fork_here(minter, false);
    assert_int_equal(sf_minter_wait(minter, PATIENCE_MS), SF_MINTER_OK);
    fork_here(minter, true);
    assert_int_equal(sf_minter_next(minter, &id), SF_MINTER_OK);
    note(id);
    fork_here(minter, false);
    assert_int_equal(sf_minter_next_n(minter, 50, ids), SF_MINTER_OK);
    for (unsigned i = 0; i < 50; i++)
        note(ids[i]);
    fork_here(minter, true);
    assert_int_equal(sf_minter_next_after(minter, ids[49], &id), SF_MINTER_OK);
    note(id);
    fork_here(minter, false);
    assert_int_equal(sf_minter_status(minter, &status, sizeof status), SF_MINTER_OK);
    fork_here(minter, true);
    for (unsigned i = 0; i < 100; i++) { /* the parent's goes on */
        assert_int_equal(sf_minter_next(minter, &id), SF_MINTER_OK);
        note(id);
    }
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
    assert_nothing_twice(book->ids, book->used);
    assert_int_equal(book->used, (CHILD_MAKES_THREADS ? 6 * 20 : 0) + 1 + 50 + 1 + 100);
    munmap(book, sizeof *book);
}

/* While other threads are inside. */
static void children_are_made_while_others_mint(void **state)
{
    (void)state;
    static uint64_t ids[THREADS * EACH];
    book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(book != MAP_FAILED);
    struct sf_minter *minter = open_ready("children");
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.minter = minter, .ids = ids + (size_t)i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, take_until_refused, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 5; i++)
        fork_here(minter, i % 2 == 0);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_nothing_twice(book->ids, book->used);
    munmap(book, sizeof *book);
}

static struct sf_minter *interrupted;
static uint64_t interrupted_seen;

static void fork_in_handler(int number)
{
    (void)number;
    const pid_t child = fork();
    if (child == 0) { /* the call that was interrupted is the parent's */
        uint64_t id = 7;
        _exit(sf_minter_next(interrupted, &id) == SF_MINTER_NOT_READY && id == 7 ? 0 : 1);
    }
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0);
    interrupted_seen++;
}

static void a_signal_handler_may_fork(void **state)
{
    (void)state;
    interrupted = open_ready("handler");
    struct sigaction action = {.sa_handler = fork_in_handler}, before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    uint64_t id, last = 0;
    for (unsigned i = 0; i < 100000; i++) {
        if (i % 5000 == 0)
            raise(SIGUSR1);
        assert_int_equal(sf_minter_next(interrupted, &id), SF_MINTER_OK);
        assert_true(id > last);
        last = id;
    }
    assert_int_equal(interrupted_seen, 20);
    sigaction(SIGUSR1, &before, NULL);
    assert_int_equal(sf_minter_close(interrupted), SF_MINTER_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_gets_nothing_wherever_it_was_made),
        cmocka_unit_test(children_are_made_while_others_mint),
        cmocka_unit_test(a_signal_handler_may_fork),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
