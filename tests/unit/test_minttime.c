/* Minting time: tables, and properties over random histories of slews and steps. */
#include "unit/cmocka_all.h"

#include <pthread.h>
#include <time.h>

#include "base/random.h"
#include "base/ticks.h"
#include "clock/minttime.h"

#define MS SF_NS_PER_MS
#define S  SF_NS_PER_S

static void test_table(void **state)
{
    (void)state;
    static const struct {
        int64_t pending, elapsed, advance, left;
    } rows[] = {
        {0, 0, 0, 0},
        {0, S, S, 0},
        {0, -S, 0, 0},              /* a reading before the anchor counts as the anchor */
        {500000, S, S + 500000, 0}, /* 500 us need exactly 1 s */
        {500001, S, S + 500000, 1},
        {-500000, S, S - 500000, 0},
        {-500001, S, S - 500000, -1},
        {S, 2000 * S, 2001 * S, 0}, /* a whole leap second takes 2000 s */
        {-S, 2000 * S, 1999 * S, 0},
        {-S, 1000 * S, 1000 * S - S / 2, -S / 2},
        {-3600 * S, 10 * S, 10 * S - 5 * MS, -3600 * S + 5 * MS},
        {100 * MS, 1000 * S, 1000 * S + 100 * MS, 0},
        {1, 1999, 1999, 1},
        {1, 2000, 2001, 0},
        {-1, 2000, 1999, 0},
        {1, 9000, 9001, 0},
        {-1, 9000, 8999, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sf_minttime mint;
        sf_minttime_start(&mint, 5 * S, 1000 * S);
        sf_minttime_slew(&mint, 5 * S, rows[i].pending);
        const int64_t mono = 5 * S + rows[i].elapsed;
        assert_int_equal(sf_minttime_at(&mint, mono), 1000 * S + rows[i].advance);
        assert_int_equal(sf_minttime_pending(&mint, mono), rows[i].left);
    }
}

static void test_slew_replaces_what_is_pending(void **state)
{
    (void)state;
    struct sf_minttime mint;
    sf_minttime_start(&mint, 0, 0);
    sf_minttime_slew(&mint, 0, 10 * MS);
    sf_minttime_slew(&mint, 2 * S, -MS); /* 1 ms is in by now; 9 ms are forgotten */
    assert_int_equal(sf_minttime_at(&mint, 2 * S), 2 * S + MS);
    assert_int_equal(sf_minttime_pending(&mint, 2 * S), -MS);
    assert_int_equal(sf_minttime_at(&mint, 4 * S), 4 * S);
    /* A reading from before the anchor must not rewind it. */
    sf_minttime_slew(&mint, S, 0);
    assert_int_equal(sf_minttime_at(&mint, 4 * S), 4 * S + MS);
}

static void test_step_forward(void **state)
{
    (void)state;
    struct sf_minttime mint;
    sf_minttime_start(&mint, 0, 0);
    sf_minttime_slew(&mint, 0, -2 * MS);
    sf_minttime_step_forward(&mint, 2 * S, 3600 * S);
    assert_int_equal(sf_minttime_at(&mint, 2 * S), 3602 * S - MS);
    assert_int_equal(sf_minttime_pending(&mint, 2 * S), -MS); /* a step does not forget a slew */
    sf_minttime_step_forward(&mint, 2 * S, 0);
    assert_int_equal(sf_minttime_at(&mint, 2 * S), 3602 * S - MS);
}

static void test_extremes_saturate(void **state)
{
    (void)state;
    static const int64_t values[] = {INT64_MIN, INT64_MIN + 1, -S,       -1, 0, 1,
                                     S,         INT64_MAX - 1, INT64_MAX};
    const size_t n = sizeof values / sizeof values[0];
    for (size_t i = 0; i < n * n * n * n; i++) {
        const int64_t anchor = values[i % n], start = values[i / n % n];
        const int64_t correction = values[i / n / n % n], mono = values[i / n / n / n];
        struct sf_minttime mint;
        sf_minttime_start(&mint, anchor, start);
        sf_minttime_slew(&mint, anchor, correction);
        const int64_t at = sf_minttime_at(&mint, mono);
        assert_true(at >= start); /* UBSan watches the sums */
        sf_minttime_slew(&mint, mono, correction);
        assert_true(sf_minttime_at(&mint, mono) == at);
        sf_minttime_step_forward(&mint, mono, INT64_MAX);
        assert_true(sf_minttime_at(&mint, INT64_MAX) >= at);
    }
}

/* Whatever is asked of it, it never goes back, never stands still for 2 ns, and keeps to its rate
 * outside of steps. */
static void test_properties(void **state)
{
    (void)state;
    const uint64_t seed = sf_random_u64();
    printf("seed %#" PRIx64 "\n", seed);
    struct sf_prng prng = {.state = seed};
    for (int history = 0; history < 300; history++) {
        struct sf_minttime mint;
        int64_t mono = (int64_t)sf_prng_below(&prng, 1000 * S);
        int64_t last = 1795000000 * S;
        sf_minttime_start(&mint, mono, last);
        for (int i = 0; i < 300; i++) {
            const int64_t gap =
                (int64_t)sf_prng_below(&prng, UINT64_C(1) << sf_prng_below(&prng, 40));
            const int64_t size =
                (int64_t)sf_prng_below(&prng, UINT64_C(1) << sf_prng_below(&prng, 45));
            int64_t step = 0;
            mono += gap;
            const int64_t now = sf_minttime_at(&mint, mono);
            assert_true(now >= last);
            assert_true(gap < 2 || now > last);
            const int64_t off_rate = now - last - gap;
            const int64_t slew_max = gap / 2000 + 1; /* whole ns: one more where a boundary falls */
            assert_true(off_rate <= slew_max && off_rate >= -slew_max);
            switch (sf_prng_below(&prng, 4)) {
            case 0:
                sf_minttime_slew(&mint, mono, size);
                break;
            case 1:
                sf_minttime_slew(&mint, mono, -size);
                break;
            case 2:
                sf_minttime_step_forward(&mint, mono, size);
                step = size;
                break;
            default:
                break;
            }
            last = sf_minttime_at(&mint, mono);
            assert_int_equal(last, now + step);
        }
    }
}

struct shared {
    struct sf_minttime_cell cell;
    _Atomic bool stop;
};

static void *publish_loop(void *ctx)
{
    struct shared *shared = ctx;
    for (int64_t i = 1; i <= 200000; i++) {
        const struct sf_minttime mint = {
            .anchor_mono_ns = i, .anchor_mint_ns = 3 * i, .pending_ns = -i};
        sf_minttime_publish(&shared->cell, &mint);
    }
    atomic_store(&shared->stop, true);
    return NULL;
}

static void test_cell_is_never_torn(void **state)
{
    (void)state;
    static struct shared shared;
    pthread_t writer;
    int64_t last = 0;
    assert_int_equal(pthread_create(&writer, NULL, publish_loop, &shared), 0);
    while (!atomic_load(&shared.stop)) {
        const struct sf_minttime mint = sf_minttime_read(&shared.cell);
        assert_true(mint.anchor_mint_ns == 3 * mint.anchor_mono_ns);
        assert_true(mint.pending_ns == -mint.anchor_mono_ns);
        assert_true(mint.anchor_mono_ns >= last);
        last = mint.anchor_mono_ns;
    }
    pthread_join(writer, NULL);
    assert_int_equal(sf_minttime_read(&shared.cell).anchor_mono_ns, 200000);
}

struct reader {
    struct sf_minttime_cell cell;
    _Atomic bool began, ended;
    struct sf_minttime read;
};

static void *read_once(void *ctx)
{
    struct reader *reader = ctx;
    atomic_store(&reader->began, true);
    reader->read = sf_minttime_read(&reader->cell);
    atomic_store(&reader->ended, true);
    return NULL;
}

static int64_t cpu_ns_of(pthread_t thread)
{
    clockid_t clock;
    struct timespec time;
    assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
    assert_int_equal(clock_gettime(clock, &time), 0);
    return time.tv_sec * S + time.tv_nsec;
}

/* A writer that sleeps in the middle: whoever reads meanwhile waits, and then reads what was
 * written. */
static void test_a_half_written_cell_is_waited_for(void **state)
{
    (void)state;
    static struct reader reader;
    const struct sf_minttime before = {.anchor_mint_ns = 1}, after = {.anchor_mint_ns = 2};
    pthread_t thread;
    sf_minttime_publish(&reader.cell, &before);
    atomic_fetch_add(&reader.cell.sequence, 1);
    assert_int_equal(pthread_create(&thread, NULL, read_once, &reader), 0);
    while (!atomic_load(&reader.began))
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    const int64_t began_ns = cpu_ns_of(thread); /* work that it does from here on is that read */
    while (cpu_ns_of(thread) < began_ns + MS)
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    assert_false(atomic_load(&reader.ended));
    atomic_fetch_sub(&reader.cell.sequence, 1);
    sf_minttime_publish(&reader.cell, &after);
    pthread_join(thread, NULL);
    assert_in_range(reader.read.anchor_mint_ns, 1,
                    2); /* for a moment the old one was whole again */
    assert_true(atomic_load(&reader.ended));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_slew_replaces_what_is_pending),
        cmocka_unit_test(test_step_forward),
        cmocka_unit_test(test_extremes_saturate),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_cell_is_never_torn),
        cmocka_unit_test(test_a_half_written_cell_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
