/* The parts of the tool that compute: the set of seen IDs against a plain list, the histogram
 * against sorted values. */
#include "unit/cmocka_all.h"

#include "base/random.h"
#include "cli/histogram.h"
#include "cli/seen.c" /* the tool is no library */

static void test_seen_is_exact(void **state)
{
    (void)state;
    const uint64_t seed = sf_random_u64();
    print_message("seed %" PRIu64 "\n", seed);
    struct sf_prng prng = {.state = seed};
    for (uint64_t window = 1; window <= 300; window = window * 3 + 1) {
        struct sf_seen *seen = sf_seen_create(window);
        uint64_t list[400];
        uint32_t givers[400];
        uint64_t count = 0;
        for (int i = 0; i < 20000; i++) {
            const uint64_t id = sf_prng_below(&prng, window * 2 + 2) << (i & 1 ? 22 : 0);
            const uint32_t giver = (uint32_t)sf_prng_below(&prng, 65536);
            uint32_t before = 99999;
            uint64_t at = 0;
            while (at < count && list[at] != id)
                at++;
            assert_int_equal(sf_seen_add(seen, id, giver, &before), at == count);
            if (at < count) {
                assert_int_equal(before, givers[at]);
                continue;
            }
            if (count == window) {
                for (uint64_t k = 1; k < count; k++) {
                    list[k - 1] = list[k];
                    givers[k - 1] = givers[k];
                }
                count--;
            }
            list[count] = id;
            givers[count++] = giver;
        }
        sf_seen_destroy(seen);
    }
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_histogram_is_close(void **state)
{
    (void)state;
    static struct sf_histogram one, two, all;
    static uint64_t values[10001];
    struct sf_prng prng = {.state = 7};
    for (int i = 0; i < 10001; i++) {
        values[i] = sf_prng_next(&prng) >> (20 + sf_prng_below(&prng, 40));
        sf_histogram_add(i & 1 ? &one : &two, values[i], 1);
        const uint32_t bucket = sf_histogram_bucket(values[i]);
        assert_true(values[i] <= sf_histogram_top(bucket));
        assert_true(bucket == 0 || values[i] > sf_histogram_top(bucket - 1));
    }
    sf_histogram_merge(&all, &one);
    sf_histogram_merge(&all, &two);
    qsort(values, 10001, sizeof *values, by_value);
    assert_int_equal(all.count, 10001);
    assert_true(sf_histogram_at(&all, 1) == values[10000]);
    static const double shares[] = {0.01, 0.5, 0.9, 0.99, 0.999};
    for (int i = 0; i < 5; i++) {
        const double exact = (double)values[(int)(shares[i] * 10001 + 0.5) - 1];
        const double got = (double)sf_histogram_at(&all, shares[i]);
        assert_true(got >= exact && got <= exact * 1.016 + 1);
    }
    assert_true(sf_histogram_top(sf_histogram_bucket(UINT64_MAX >> 1)) == UINT64_MAX >> 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_is_exact),
        cmocka_unit_test(test_histogram_is_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
