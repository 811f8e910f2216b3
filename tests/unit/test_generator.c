/* The generator: overflow, limit, borrowing, closing, moving, and closing under concurrent
 * minting. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/random.h"
#include "id/generator.h"

static const struct sf_layout tiny = {45, 8, 4, 6}; /* 64 sequences */

struct fixture {
    struct sf_generator gen;
    _Atomic uint64_t word;
};

static void set_up(struct fixture *f, const struct sf_layout *layout, uint64_t max_ahead_ms)
{
    atomic_init(&f->word, 0);
    sf_generator_init(&f->gen, layout, max_ahead_ms, &f->word);
}

static void starts_closed(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    set_up(&f, &SF_DEFAULT_LAYOUT, 10);
    assert_true(sf_generator_is_closed(&f.gen));
    assert_int_equal(sf_generator_mint(&f.gen, 1000, 0, 0, 1, &mint), SF_MINT_CLOSED);
}

static void first_id_is_at_start(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    struct sf_id_parts parts;
    set_up(&f, &SF_DEFAULT_LAYOUT, 10);
    assert_int_equal(sf_generator_open(&f.gen, 3, 7, 1000, 2000), 0);
    /* The clock is behind the start: IDs come from the start as soon as borrowing reaches it. */
    assert_int_equal(sf_generator_mint(&f.gen, 989, 0, 0, 1, &mint), SF_MINT_WAIT);
    assert_int_equal(sf_generator_mint(&f.gen, 990, 0, 0, 1, &mint), SF_MINT_OK);
    const uint64_t id = sf_generator_id(&f.gen, mint.first_word, mint.slot_bits);
    assert_int_equal(sf_id_decode(&SF_DEFAULT_LAYOUT, id, &parts), 0);
    assert_int_equal(parts.timestamp_ms, 1000);
    assert_int_equal(parts.datacenter, 3);
    assert_int_equal(parts.worker, 7);
    assert_int_equal(parts.sequence, 0);
    assert_int_equal(sf_generator_above(&f.gen, id - 1), mint.first_word);
    assert_int_equal(sf_generator_above(&f.gen, id), mint.first_word + 1);
}

/* Slots count between timestamp and sequence. */
static void above_is_above_as_a_number(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, &SF_DEFAULT_LAYOUT, 10);
    assert_int_equal(sf_generator_open(&f.gen, 3, 7, 1000, 2000), 0);
    static const struct {
        struct sf_id_parts id;
        uint64_t ms, sequence;
    } table[] = {{{1500, 3, 6, 4095}, 1500, 0}, {{1500, 2, 31, 0}, 1500, 0},
                 {{1500, 3, 7, 0}, 1500, 1},    {{1500, 3, 7, 4094}, 1500, 4095},
                 {{1500, 3, 7, 4095}, 1501, 0}, {{1500, 3, 8, 0}, 1501, 0},
                 {{1500, 4, 0, 9}, 1501, 0},    {{1500, 31, 31, 4095}, 1501, 0},
                 {{0, 0, 0, 0}, 0, 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint64_t id;
        assert_int_equal(sf_id_encode(&SF_DEFAULT_LAYOUT, &table[i].id, &id), 0);
        const uint64_t word = sf_generator_above(&f.gen, id);
        assert_int_equal(word, (table[i].ms << 12) + table[i].sequence);
    }
}

static void overflow_carries_into_the_timestamp(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    struct sf_run run;
    set_up(&f, &tiny, 2);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 1000), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 1000, &mint), SF_MINT_OK);
    assert_int_equal(mint.count, 3 * 64); /* this ms and two borrowed */
    uint64_t expect_ms = 100;
    uint32_t total = 0;
    while (sf_run_take(&f.gen, &mint, 1000, &run)) {
        struct sf_id_parts parts;
        assert_int_equal(run.count, 64);
        assert_int_equal(sf_id_decode(&tiny, run.first, &parts), 0);
        assert_int_equal(parts.timestamp_ms, expect_ms++);
        assert_int_equal(parts.sequence, 0);
        total += run.count;
    }
    assert_int_equal(total, 192);
    assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 1, &mint), SF_MINT_WAIT);
    assert_int_equal(sf_generator_mint(&f.gen, 101, 0, 0, 100, &mint), SF_MINT_OK);
    assert_int_equal(mint.count, 64);
}

static void limit_is_exclusive(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    set_up(&f, &tiny, 10);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 102), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 1000, &mint), SF_MINT_OK);
    assert_int_equal(mint.count, 128); /* 100 and 101, never 102 */
    assert_int_equal(sf_generator_last_ms(&f.gen), 101);
    assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 1, &mint), SF_MINT_EXHAUSTED);
    assert_int_equal(sf_generator_mint(&f.gen, 5000, 0, 0, 1, &mint), SF_MINT_EXHAUSTED);
    sf_generator_raise(&f.gen, 103);
    assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 1000, &mint), SF_MINT_OK);
    assert_int_equal(mint.count, 64);
}

static void lowering_moves_the_word(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    set_up(&f, &tiny, 10);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 100000), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 1, &mint), SF_MINT_OK);
    const uint64_t before = atomic_load(&f.word);
    sf_generator_lower(&f.gen, 105);
    assert_int_equal(atomic_load(&f.word), before + 1);
    assert_int_equal(sf_generator_limit_ms(&f.gen), 105);
    assert_int_equal(sf_generator_mint(&f.gen, 105, 0, 0, 1, &mint), SF_MINT_EXHAUSTED);
}

static void at_least_and_jitter(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    set_up(&f, &tiny, 10);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 100000), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 200, 0, 5, 1, &mint), SF_MINT_OK);
    assert_int_equal(mint.first_word, (200u << 6) + 5);
    assert_int_equal(sf_generator_mint(&f.gen, 200, 0, 9, 1, &mint), SF_MINT_OK);
    assert_int_equal(mint.first_word, (200u << 6) + 9);
    assert_int_equal(sf_generator_mint(&f.gen, 200, 0, 5, 1, &mint), SF_MINT_OK);
    assert_int_equal(mint.first_word, (200u << 6) + 10); /* never back */
    assert_int_equal(sf_generator_mint(&f.gen, 200, (210u << 6) + 1, 0, 1, &mint), SF_MINT_OK);
    assert_int_equal(mint.first_word, (210u << 6) + 1);
    assert_int_equal(sf_generator_mint(&f.gen, 200, 211u << 6, 0, 1, &mint), SF_MINT_WAIT);
}

static void reopening_never_goes_back(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    set_up(&f, &tiny, 10);
    assert_int_equal(sf_generator_open(&f.gen, 0, 1, 100, 100000), 0);
    assert_int_equal(sf_generator_open(&f.gen, 0, 1, 100, 100000), -EALREADY);
    assert_int_equal(sf_generator_mint(&f.gen, 500, 0, 0, 1, &mint), SF_MINT_OK);
    const uint64_t last = mint.first_word;
    sf_generator_close(&f.gen);
    sf_generator_close(&f.gen);
    assert_int_equal(sf_generator_last_ms(&f.gen), 500);
    assert_int_equal(sf_generator_open(&f.gen, 0, 2, 100, 100000), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 500, 0, 0, 1, &mint), SF_MINT_OK);
    assert_true(mint.first_word > last);
    assert_int_equal(mint.slot_bits, 2u << 6);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    const struct sf_layout small = {10, 1, 1, 51};
    set_up(&f, &small, 10);
    assert_int_equal(sf_generator_open(&f.gen, 2, 0, 0, 10), -ERANGE);
    assert_int_equal(sf_generator_open(&f.gen, 0, 2, 0, 10), -ERANGE);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 1024, 2000), -ERANGE);
    assert_int_equal(sf_generator_open(&f.gen, 1, 1, 1023, UINT64_MAX), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 1023, 0, 0, 1, &mint), SF_MINT_OK);
    assert_true(sf_generator_id(&f.gen, mint.first_word, mint.slot_bits) < UINT64_C(1) << 63);
    /* The last millisecond of the layout ends minting. */
    assert_int_equal(sf_generator_mint(&f.gen, 1024, 0, 0, 1, &mint), SF_MINT_EXHAUSTED);
}

/* Times beyond the layout's end are its end, however many of their bits the shift would lose. */
/* A word at the very end cannot be moved on: the closed bit is the next one. */
static void a_word_at_its_end_is_never_opened(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, &SF_DEFAULT_LAYOUT, 10);
    atomic_store(f.gen.word, UINT64_MAX);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 0, 10), -ERANGE);
    assert_true(atomic_load(f.gen.word) == UINT64_MAX);
    atomic_store(f.gen.word, UINT64_MAX - 1);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 0, 10), 0);
}

static void nothing_is_taken_of_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_run run = {.first = 7, .count = 7};
    struct sf_mint minted;
    set_up(&f, &SF_DEFAULT_LAYOUT, 10);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 1000), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 3, &minted), SF_MINT_OK);
    assert_false(sf_run_take(&f.gen, &minted, 0, &run));
    assert_true(sf_run_take(&f.gen, &minted, 3, &run));
    assert_false(sf_run_take(&f.gen, &minted, 3, &run));
    assert_int_equal(run.count, 3);
}

/* Whoever comes second finds it higher, and leaves it. */
static void a_copy_that_is_higher_stays(void **state)
{
    (void)state;
    struct fixture f;
    _Atomic uint64_t copy = 0;
    set_up(&f, &SF_DEFAULT_LAYOUT, 10);
    f.gen.copy = &copy;
    const uint64_t span = (uint64_t)SF_GENERATOR_COPY_SPAN_MS << SF_DEFAULT_LAYOUT.sequence_bits;
    sf_generator_raise_copy(&f.gen, 5 * span);
    const uint64_t there = atomic_load(&copy);
    assert_true(there >= 5 * span);
    sf_generator_raise_copy(&f.gen, 2 * span);
    sf_generator_raise_copy(&f.gen, 5 * span);
    assert_true(atomic_load(&copy) == there);
}

static void nothing_behind_the_last_timestamp(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    const struct sf_layout wide = {10, 1, 1, 51};
    set_up(&f, &wide, 10);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 1000, UINT64_MAX), 0);
    static const uint64_t late[] = {1024,           8192,      8192 + 1000, UINT64_C(1) << 62,
                                    UINT64_MAX - 5, UINT64_MAX};
    for (size_t i = 0; i < sizeof late / sizeof *late; i++)
        assert_int_equal(sf_generator_mint(&f.gen, late[i], 0, 3, 1, &mint), SF_MINT_EXHAUSTED);
    /* Before the end borrowing goes up to it, and no further. */
    const struct sf_layout narrow = {10, 52, 0, 1};
    set_up(&f, &narrow, 10);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 1020, UINT64_MAX), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 1020, 0, 0, 100, &mint), SF_MINT_OK);
    assert_int_equal(mint.count, 8);
    assert_int_equal(sf_generator_last_ms(&f.gen), 1023);
    assert_int_equal(sf_generator_mint(&f.gen, 1020, 0, 0, 1, &mint), SF_MINT_EXHAUSTED);
    /* A borrowing limit that no word can hold is the end as well. */
    set_up(&f, &narrow, UINT64_MAX);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 24, UINT64_MAX), 0);
    assert_int_equal(sf_generator_mint(&f.gen, 24, 0, 0, UINT32_MAX, &mint), SF_MINT_OK);
    assert_int_equal(mint.count, 2000);
}

static void widths_at_the_edges(void **state)
{
    (void)state;
    static const struct sf_layout layouts[] = {
        {63, 0, 0, 0}, {41, 22, 0, 0}, {41, 0, 0, 22}, {3, 60, 0, 0}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct fixture f;
        struct sf_mint mint;
        struct sf_run run;
        set_up(&f, &layouts[i], 0);
        assert_int_equal(sf_generator_open(&f.gen, 0, 0, 5, 6), 0);
        assert_int_equal(sf_generator_mint(&f.gen, 5, 0, 0, 1, &mint), SF_MINT_OK);
        assert_true(sf_run_take(&f.gen, &mint, 1, &run));
        assert_int_equal(run.first >> 63, 0);
        assert_false(sf_run_take(&f.gen, &mint, 1, &run));
    }
}

/* The two steps of a mint: whatever time passes between them, the second one takes nothing when the
 * word has moved. */
static void a_mint_in_two_steps(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    struct sf_mint_try attempt;
    const struct sf_mint_ask ask = {.now_ms = 200, .want = 3};
    set_up(&f, &tiny, 10);
    assert_int_equal(sf_mint_look(&f.gen, &ask, &attempt), SF_MINT_CLOSED);
    assert_int_equal(sf_generator_open(&f.gen, 0, 1, 100, 100000), 0);
    assert_int_equal(sf_mint_look(&f.gen, &ask, &attempt), SF_MINT_OK);
    assert_int_equal(sf_generator_mint(&f.gen, 200, 0, 0, 1, &mint), SF_MINT_OK);
    assert_false(sf_mint_swap(&f.gen, &attempt));
    sf_generator_step_back();
    do /* some processors give a swap up now and then without a cause */
        assert_int_equal(sf_mint_look(&f.gen, &ask, &attempt), SF_MINT_OK);
    while (!sf_mint_swap(&f.gen, &attempt));
    assert_int_equal(attempt.mint.first_word, mint.first_word + 1);
    assert_int_equal(attempt.mint.count, 3);
    assert_false(sf_mint_swap(&f.gen, &attempt)); /* not a second time */
    assert_int_equal(sf_mint_look(&f.gen, &ask, &attempt), SF_MINT_OK);
    sf_generator_close(&f.gen);
    assert_false(sf_mint_swap(&f.gen, &attempt));
}

/* Four threads mint while control closes, opens for other slots, lowers and raises. Every ID is
 * checked: unique, below the limit in force, and none after a close returned. */
#define THREADS   4
#define PER_CLOSE 200

struct minter {
    struct sf_generator *gen;
    _Atomic uint64_t *now_ms;
    _Atomic bool *stop;
    uint64_t count, last;
    bool ascending;
    _Atomic uint64_t highest; /* word */
};

static void *mint_until_stopped(void *arg)
{
    struct minter *m = arg;
    struct sf_mint mint;
    while (!atomic_load(m->stop)) {
        const uint64_t now_ms = atomic_load(m->now_ms);
        if (sf_generator_mint(m->gen, now_ms, 0, 0, 3, &mint) != SF_MINT_OK)
            continue;
        m->ascending = m->ascending && mint.first_word > m->last;
        m->last = mint.first_word + mint.count - 1;
        atomic_store(&m->highest, m->last);
        m->count += mint.count;
    }
    return NULL;
}

/* Until one of them has minted at or above the word: without this the rounds may be over before
 * the threads have begun. */
static void wait_for_minters(struct minter *minters, uint64_t word)
{
    for (;;) {
        for (int i = 0; i < THREADS; i++)
            if (atomic_load(&minters[i].highest) >= word)
                return;
        sched_yield();
    }
}

static void closing_under_concurrent_minting(void **state)
{
    (void)state;
    static struct fixture f;
    _Atomic uint64_t now_ms;
    _Atomic bool stop;
    struct minter minters[THREADS];
    pthread_t threads[THREADS];
    atomic_init(&now_ms, 1000);
    atomic_init(&stop, false);
    set_up(&f, &SF_DEFAULT_LAYOUT, 10);
    for (int i = 0; i < THREADS; i++) {
        minters[i] =
            (struct minter){.gen = &f.gen, .now_ms = &now_ms, .stop = &stop, .ascending = true};
        assert_int_equal(pthread_create(&threads[i], NULL, mint_until_stopped, &minters[i]), 0);
    }
    const uint64_t give_up =
        100000; /* rounds: until every minter has had its turn on a busy machine */
    for (uint64_t round = 0; round < give_up; round++) {
        bool all_minted = true;
        for (int i = 0; i < THREADS; i++)
            all_minted = all_minted && atomic_load(&minters[i].highest) > 0;
        if (round >= PER_CLOSE && all_minted)
            break;
        if (round >= PER_CLOSE)
            sched_yield();
        const uint64_t start_ms = atomic_load(&now_ms);
        assert_int_equal(sf_generator_open(&f.gen, 0, round % 32, start_ms, start_ms + 50), 0);
        for (int i = 0; i < 20; i++)
            atomic_fetch_add(&now_ms, 1);
        wait_for_minters(minters, start_ms << f.gen.layout.sequence_bits);
        sf_generator_lower(&f.gen, start_ms + 40);
        sf_generator_close(&f.gen);
        const uint64_t mark = sf_generator_last_ms(&f.gen);
        assert_true(mark < start_ms + 50);
        for (int i = 0; i < THREADS; i++)
            assert_true(atomic_load(&minters[i].highest) <=
                        (atomic_load(&f.word) & ~SF_GENERATOR_CLOSED));
        assert_int_equal(sf_generator_last_ms(&f.gen), mark);
        atomic_store(&now_ms, start_ms + 60);
    }
    atomic_store(&stop, true);
    uint64_t total = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(minters[i].ascending);
        total += minters[i].count;
    }
    assert_true(total >= THREADS);
}

/* Uniqueness of the words over threads: each word is a claim on one bit of a map. */
#define MAP_MS 2000

struct mapper {
    struct sf_generator *gen;
    _Atomic uint64_t *map;
    uint64_t doubles, minted;
};

static void *mint_into_map(void *arg)
{
    struct mapper *m = arg;
    struct sf_prng prng = {.state = (uint64_t)(uintptr_t)m};
    for (uint64_t now_ms = 1; now_ms < MAP_MS; now_ms++) {
        struct sf_mint mint;
        while (sf_generator_mint(m->gen, now_ms, 0, sf_prng_below(&prng, 16),
                                 (uint32_t)sf_prng_below(&prng, 100) + 1, &mint) == SF_MINT_OK) {
            for (uint64_t w = mint.first_word; w < mint.first_word + mint.count; w++)
                m->doubles +=
                    (atomic_fetch_or(&m->map[w / 64], UINT64_C(1) << (w % 64)) >> (w % 64)) & 1;
            m->minted += mint.count;
        }
    }
    return NULL;
}

static void no_word_twice_over_threads(void **state)
{
    (void)state;
    static struct fixture f;
    struct mapper mappers[THREADS];
    pthread_t threads[THREADS];
    _Atomic uint64_t *map = calloc((MAP_MS + 16) * 64, sizeof *map);
    assert_non_null(map);
    set_up(&f, &SF_DEFAULT_LAYOUT, 5);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 0, MAP_MS), 0);
    for (int i = 0; i < THREADS; i++) {
        mappers[i] = (struct mapper){.gen = &f.gen, .map = map};
        assert_int_equal(pthread_create(&threads[i], NULL, mint_into_map, &mappers[i]), 0);
    }
    uint64_t doubles = 0, minted = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        doubles += mappers[i].doubles;
        minted += mappers[i].minted;
    }
    assert_int_equal(doubles, 0);
    assert_true(minted > (MAP_MS - 100) * 4096ull);
    free(map);
}

/* What a process after this one goes on from: never below an ID that has left, and nothing that anybody
 * writes there is read. */
static void the_copy_is_raised_and_never_read(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    _Atomic uint64_t copy = 0;
    set_up(&f, &tiny, 1000);
    sf_generator_keep_copy(&f.gen, &copy);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 1000), 0);
    uint64_t before = 0;
    for (unsigned i = 0; i < 3000; i++) {
        /* Now and then somebody writes over it: what it was before, nothing at all, all ones. */
        if (i % 100 == 50)
            atomic_store(&copy, i % 300 == 50 ? 0 : i % 300 == 150 ? before / 2 : UINT64_MAX);
        const bool was_written_over = atomic_load(&copy) == UINT64_MAX;
        assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 3, &mint), SF_MINT_OK);
        assert_true(mint.first_word > before);
        before = mint.first_word + mint.count - 1;
        assert_true(atomic_load(&copy) >= before);
        if (was_written_over)
            atomic_store(&copy, before);
        assert_true(atomic_load(&copy) >> 6 < (before >> 6) + SF_GENERATOR_COPY_SPAN_MS);
    }
}

/* What stood there before, of somebody else or written over, does not stay in the way. */
static void the_copy_begins_anew_with_each_opening(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    _Atomic uint64_t copy = UINT64_MAX >> 1;
    set_up(&f, &tiny, 1000);
    sf_generator_keep_copy(&f.gen, &copy);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 1000), 0);
        assert_int_equal(sf_generator_mint(&f.gen, 100, 0, 0, 1, &mint), SF_MINT_OK);
        assert_true(atomic_load(&copy) >= mint.first_word);
        assert_true(atomic_load(&copy) >> 6 < 100 + 2 * SF_GENERATOR_COPY_SPAN_MS);
        sf_generator_close(&f.gen);
        atomic_store(&copy, UINT64_MAX >> 1);
    }
}

/* Opened again where everything up to the limit was minted: nothing more has left, and the copy says so.
 * Whoever reads it would take the next owner, who starts at the limit, for one who starts too low. */
static void the_copy_tells_nothing_that_was_not_minted(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_mint mint;
    _Atomic uint64_t copy = 0;
    set_up(&f, &tiny, 1000);
    sf_generator_keep_copy(&f.gen, &copy);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 104), 0);
    assert_int_equal(atomic_load(&copy), (100 << 6) - 1);
    while (sf_generator_mint(&f.gen, 103, 0, 0, 64, &mint) == SF_MINT_OK) {
    }
    sf_generator_close(&f.gen);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 104), 0);
    assert_int_equal(atomic_load(&copy), (104 << 6) - 1);
    assert_int_equal(sf_generator_mint(&f.gen, 103, 0, 0, 1, &mint), SF_MINT_EXHAUSTED);
}

struct copier {
    struct sf_generator *gen;
    _Atomic uint64_t *copy;
    pthread_t thread;
};

static char not_minted[] = "not minted", lags[] = "the copy lags behind an ID that has left";

static void *mint_and_look(void *ctx)
{
    const struct copier *copier = ctx;
    struct sf_mint mint;
    for (unsigned i = 0; i < 20000; i++) {
        if (sf_generator_mint(copier->gen, 100, 0, 0, 1 + i % 7, &mint) != SF_MINT_OK)
            return not_minted;
        if (atomic_load(copier->copy) < mint.first_word + mint.count - 1)
            return lags;
    }
    return NULL;
}

static void the_copy_of_many_threads(void **state)
{
    (void)state;
    struct fixture f;
    _Atomic uint64_t copy = 0;
    struct copier copiers[4];
    set_up(&f, &tiny, 1000000);
    sf_generator_keep_copy(&f.gen, &copy);
    assert_int_equal(sf_generator_open(&f.gen, 0, 0, 100, 1000000), 0);
    for (unsigned i = 0; i < 4; i++) {
        copiers[i] = (struct copier){.gen = &f.gen, .copy = &copy};
        assert_int_equal(pthread_create(&copiers[i].thread, NULL, mint_and_look, &copiers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(copiers[i].thread, &wrong), 0);
        if (wrong != NULL)
            fail_msg("%s", (const char *)wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_closed),
        cmocka_unit_test(first_id_is_at_start),
        cmocka_unit_test(above_is_above_as_a_number),
        cmocka_unit_test(overflow_carries_into_the_timestamp),
        cmocka_unit_test(limit_is_exclusive),
        cmocka_unit_test(lowering_moves_the_word),
        cmocka_unit_test(at_least_and_jitter),
        cmocka_unit_test(reopening_never_goes_back),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_word_at_its_end_is_never_opened),
        cmocka_unit_test(nothing_is_taken_of_nothing),
        cmocka_unit_test(a_copy_that_is_higher_stays),
        cmocka_unit_test(nothing_behind_the_last_timestamp),
        cmocka_unit_test(widths_at_the_edges),
        cmocka_unit_test(a_mint_in_two_steps),
        cmocka_unit_test(closing_under_concurrent_minting),
        cmocka_unit_test(no_word_twice_over_threads),
        cmocka_unit_test(the_copy_is_raised_and_never_read),
        cmocka_unit_test(the_copy_begins_anew_with_each_opening),
        cmocka_unit_test(the_copy_tells_nothing_that_was_not_minted),
        cmocka_unit_test(the_copy_of_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
