/* unit/test_generator_child.c - a generator in a child that was forked in the middle of a mint: what it
 * lies in is empty there, and nothing comes of it. */
#include "unit/cmocka_all.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "id/generator.h"

struct page {
    struct sf_generator gen;
    _Atomic uint64_t word, copy;
};

/* The number of the first thing that is not as it must be; 0: all is. */
static int in_the_child(struct page *page, const struct sf_mint_try *attempt)
{
    struct sf_mint mint;
    if (sf_mint_swap(&page->gen, attempt))
        return 1;
    if (sf_generator_mint(&page->gen, 1000, 0, 0, 1, &mint) != SF_MINT_CLOSED)
        return 2;
    if (!sf_generator_is_closed(&page->gen) || sf_generator_last_ms(&page->gen) != 0)
        return 3;
    sf_generator_raise_copy(&page->gen, 1);
    return 0;
}

static void nothing_comes_of_a_mint_that_a_fork_fell_into(void **state)
{
    (void)state;
    struct page *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    assert_int_equal(madvise(page, sizeof *page, MADV_WIPEONFORK), 0);
    sf_generator_init(&page->gen, &SF_DEFAULT_LAYOUT, 10, &page->word);
    sf_generator_keep_copy(&page->gen, &page->copy);
    assert_int_equal(sf_generator_open(&page->gen, 1, 2, 1000, 2000), 0);
    const struct sf_mint_ask ask = {.now_ms = 1000, .want = 1};
    struct sf_mint_try attempt;
    assert_int_equal(sf_mint_look(&page->gen, &ask, &attempt), SF_MINT_OK);
    int status = -1;
    const pid_t child = fork();
    if (child == 0)
        _exit(in_the_child(page, &attempt));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(sf_mint_swap(&page->gen, &attempt)); /* the parent's goes on */
    munmap(page, sizeof *page);
}

/* What the kernel has emptied (MADV_WIPEONFORK), looked at by whoever finds it so. */
static void what_is_empty_is_closed(void **state)
{
    (void)state;
    struct sf_generator gen;
    memset(&gen, 0, sizeof gen);
    assert_true(sf_generator_is_closed(&gen));
    assert_int_equal(sf_generator_last_ms(&gen), 0);
    sf_generator_raise_copy(&gen, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_comes_of_a_mint_that_a_fork_fell_into),
        cmocka_unit_test(what_is_empty_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
