/* The token bucket: rate, burst, debt, and that the wait it names is neither too long nor too
 * short. */
#include "unit/cmocka_all.h"

#include "base/bucket.h"
#include "base/ticks.h"

#define YEAR_NS (INT64_C(31557600) * SF_NS_PER_S)

static void burst_then_rate(void **state)
{
    (void)state;
    struct sf_bucket bucket = {0};
    const int64_t now = 5 * SF_NS_PER_S;
    assert_int_equal(sf_bucket_take(&bucket, 0, 5, 1000000, now), 0); /* no limit */
    for (int i = 0; i < 5; i++)
        assert_int_equal(sf_bucket_take(&bucket, 10, 5, 1, now), 0);
    const int64_t wait = sf_bucket_take(&bucket, 10, 5, 1, now);
    assert_in_range(wait, 99000000, 100000001);
    assert_true(sf_bucket_take(&bucket, 10, 5, 1, now + wait - 1000) > 0);
    assert_int_equal(sf_bucket_take(&bucket, 10, 5, 1, now + wait), 0);
    /* An empty second brings ten, but the bucket holds five. */
    const int64_t later = now + wait + 60 * SF_NS_PER_S;
    assert_int_equal(sf_bucket_take(&bucket, 10, 5, 5, later), 0);
    assert_true(sf_bucket_take(&bucket, 10, 5, 1, later) > 0);
    /* Burst 0: what a second brings. */
    struct sf_bucket other = {0};
    assert_int_equal(sf_bucket_take(&other, 10, 0, 10, now), 0);
    assert_true(sf_bucket_take(&other, 10, 0, 1, now) > 0);
}

/* More than the burst passes when the bucket is full, and is paid back. */
static void debt(void **state)
{
    (void)state;
    struct sf_bucket bucket = {0};
    const int64_t now = SF_NS_PER_S;
    assert_int_equal(sf_bucket_take(&bucket, 100, 10, 1000, now), 0);
    const int64_t wait = sf_bucket_take(&bucket, 100, 10, 1, now);
    assert_in_range(wait, 9900 * SF_NS_PER_MS, 9920 * SF_NS_PER_MS); /* 990 too many, and one */
    sf_bucket_give_back(&bucket, 100, 1000);
    assert_int_equal(sf_bucket_take(&bucket, 100, 10, 10, now), 0);
}

/* Whatever it says is what has to be waited for, up to the highest rate. */
static void waits_are_true(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 7, 1000, 123457, 4096000, SF_BUCKET_RATE_MAX};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct sf_bucket bucket = {0};
        int64_t now = 3 * SF_NS_PER_S;
        uint64_t taken = 0;
        const int64_t begin = now;
        for (int n = 0; n < 1000; n++) {
            const int64_t wait = sf_bucket_take(&bucket, rates[i], 1, 1, now);
            now += wait;
            if (wait > 0)
                assert_int_equal(sf_bucket_take(&bucket, rates[i], 1, 1, now), 0);
            taken++;
        }
        const double rate = (double)taken * 1e9 / (double)(now - begin + 1);
        assert_true(rate > 0.9 * (double)rates[i] && rate < 1.01 * (double)rates[i]);
    }
}

/* On a machine that has been up for long. */
static void long_uptime(void **state)
{
    (void)state;
    static const int64_t uptimes[] = {YEAR_NS, 5 * YEAR_NS, 17 * YEAR_NS};
    for (size_t i = 0; i < sizeof uptimes / sizeof *uptimes; i++) {
        struct sf_bucket bucket = {0};
        assert_int_equal(sf_bucket_take(&bucket, 10, 5, 5, uptimes[i]), 0);
        assert_in_range(sf_bucket_take(&bucket, 10, 5, 1, uptimes[i]), 99000000, 100000001);
        assert_int_equal(sf_bucket_take(&bucket, 10, 5, 5, uptimes[i] + SF_NS_PER_S), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_then_rate),
        cmocka_unit_test(debt),
        cmocka_unit_test(waits_are_true),
        cmocka_unit_test(long_uptime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
