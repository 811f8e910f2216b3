/* unit/test_minter_fork.c - children of a process that mints. */
#include "unit/minter_fixture.h"

#include <ucontext.h>

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

/* A child that forks while another thread, the member's own for one, is in this sanitizer's allocator waits for its lock for
 * ever (GCC 12's), as in test_client_fork.c. The other builds judge. */
static void skip_in_address_sanitizer(void)
{
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
}

static void a_child_gets_nothing_wherever_it_was_made(void **state)
{
    (void)state;
    skip_in_address_sanitizer();
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
    skip_in_address_sanitizer();
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

#ifdef __x86_64__
#define TRAP_FLAG  0x100
#define STEPS_MOST 2000
#define HAS_IT     33 /* what a child says that has an ID */
#define LAST_STEPS 80

static struct {
    uint64_t steps, fork_at, forks, done;
    bool child;
} walk;

static void on_step(int number, siginfo_t *info, void *ctx)
{
    ucontext_t *const context = ctx;
    (void)number;
    (void)info;
    if (walk.steps++ != walk.fork_at)
        return;
    int status = -1;
    const pid_t child = fork();
    if (child == 0) { /* goes on in the middle of the call */
        walk.child = true;
        (void)signal(SIGSEGV, SIG_DFL);
        (void)alarm(30);
        context->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
        return;
    }
    must(child > 0 && waitpid(child, &status, 0) == child);
    walk.forks++;
    walk.done += WIFEXITED(status) && WEXITSTATUS(status) == HAS_IT;
    must(status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == HAS_IT));
}

static void step(bool on)
{
    if (on)
        __asm__ volatile(
            "lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                : "memory", "cc");
    else
        __asm__ volatile(
            "lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                : "memory", "cc");
}

/* A signal handler forks at each instruction of a call in turn, and the child goes on from there: it may be
 * refused and has no ID: but for the last instructions, when the call is done and its ID is the
 * program's, as it is when it forks afterwards. */
static void a_fork_at_every_instruction_gives_nothing(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    struct sf_minter *minter = open_ready("steps");
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, before;
    uint64_t id = 0, last = 0;
    assert_int_equal(sf_minter_next(minter, &last), SF_MINTER_OK);
    assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
    for (walk.fork_at = 0;; walk.fork_at++) {
        walk.steps = 0;
        id = 7;
        step(true);
        const enum sf_minter_error error = sf_minter_next(minter, &id);
        step(false);
        if (walk.child)
            _exit(error == SF_MINTER_OK ? HAS_IT : error == SF_MINTER_NOT_READY && id == 7 ? 0 : 1);
        assert_int_equal(error, SF_MINTER_OK);
        assert_true(id > last);
        last = id;
        if (walk.steps <= walk.fork_at || walk.fork_at > STEPS_MOST)
            break;
    }
    sigaction(SIGTRAP, &before, NULL);
    assert_in_range(walk.forks, 100, STEPS_MOST);
    assert_in_range(walk.done, 1, LAST_STEPS);
    print_message("%" PRIu64 " places, %" PRIu64 " too late\n", walk.forks, walk.done);
    assert_int_equal(sf_minter_close(minter), SF_MINTER_OK);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_gets_nothing_wherever_it_was_made),
        cmocka_unit_test(children_are_made_while_others_mint),
        cmocka_unit_test(a_signal_handler_may_fork),
#ifdef __x86_64__
        cmocka_unit_test(a_fork_at_every_instruction_gives_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
