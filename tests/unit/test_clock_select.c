/* Which servers to believe, and which sample of one server. */
#include "unit/cmocka_all.h"

#include "base/random.h"
#include "base/ticks.h"
#include "clock/ntp_filter.h"
#include "clock/reading.h"
#include "clock/select.h"

static void test_select_table(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        struct {
            int answered;
            int64_t low, high;
        } in[5];
        enum sf_select_verdict verdict;
        int64_t low, high;
        const char *falsetickers; /* one letter per server */
    } rows[] = {
        {0, {{0}}, SF_SELECT_NO_ANSWER, 0, 0, ""},
        {1, {{0}}, SF_SELECT_NO_ANSWER, 0, 0, "-"},
        {1, {{1, -5, 7}}, SF_SELECT_MAJORITY, -5, 7, "-"},
        {1, {{1, 3, 3}}, SF_SELECT_MAJORITY, 3, 3, "-"},
        {2, {{1, -5, 7}, {1, 7, 9}}, SF_SELECT_MAJORITY, 7, 7, "--"}, /* they touch */
        {2, {{1, -5, 7}, {1, 8, 9}}, SF_SELECT_NO_MAJORITY, 0, 0, "xx"},
        {2, {{1, -5, 7}, {0}}, SF_SELECT_TOO_FEW, 0, 0, "--"},
        {3, {{1, -5, 5}, {1, -4, 6}, {1, 5000, 5010}}, SF_SELECT_MAJORITY, -4, 5, "--x"},
        {3, {{1, -5010, -5000}, {1, -5, 5}, {1, -4, 6}}, SF_SELECT_MAJORITY, -4, 5, "x--"},
        {3, {{1, 0, 10}, {1, 5, 15}, {1, 10, 20}}, SF_SELECT_MAJORITY, 5, 15, "---"},
        {3, {{1, 0, 1}, {1, 10, 11}, {1, 20, 21}}, SF_SELECT_NO_MAJORITY, 0, 0, "xxx"},
        {3, {{1, 0, 4}, {1, 2, 6}, {0}}, SF_SELECT_MAJORITY, 2, 4, "---"},
        {3, {{1, 0, 4}, {0}, {0}}, SF_SELECT_TOO_FEW, 0, 0, "---"}, /* a partition: one is no
                                                                       majority of three */
        {4, {{1, 0, 4}, {1, 2, 6}, {0}, {0}}, SF_SELECT_TOO_FEW, 0, 0, "----"},
        {4, {{1, 0, 4}, {1, 2, 6}, {1, 9, 9}, {0}}, SF_SELECT_MAJORITY, 2, 4, "--x-"},
        {4, {{1, 0, 4}, {1, 1, 5}, {1, 20, 24}, {1, 21, 25}}, SF_SELECT_NO_MAJORITY, 0, 0, "xxxx"},
        {5,
         {{1, 0, 4}, {1, 1, 5}, {1, 2, 6}, {1, 20, 24}, {1, 21, 25}},
         SF_SELECT_MAJORITY,
         2,
         4,
         "---xx"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sf_select_interval intervals[5];
        int64_t low = 0, high = 0;
        for (size_t k = 0; k < rows[i].count; k++)
            intervals[k] = (struct sf_select_interval){.answered = rows[i].in[k].answered,
                                                       .low = rows[i].in[k].low,
                                                       .high = rows[i].in[k].high};
        assert_int_equal(sf_select(intervals, rows[i].count, &low, &high), rows[i].verdict);
        assert_int_equal(low, rows[i].low);
        assert_int_equal(high, rows[i].high);
        for (size_t k = 0; k < rows[i].count; k++)
            assert_int_equal(intervals[k].falseticker, rows[i].falsetickers[k] == 'x');
    }
}

/* As long as at most (n - 1) / 2 servers lie, the truth (0) is never excluded. */
static void test_select_never_excludes_the_truth(void **state)
{
    (void)state;
    const uint64_t seed = sf_random_u64();
    printf("seed %#" PRIx64 "\n", seed);
    struct sf_prng prng = {.state = seed};
    for (int trial = 0; trial < 100000; trial++) {
        struct sf_select_interval intervals[SF_SELECT_MAX];
        const size_t n = 1 + sf_prng_below(&prng, SF_SELECT_MAX);
        const size_t liars = sf_prng_below(&prng, (n - 1) / 2 + 1);
        int64_t low = 1, high = -1;
        for (size_t i = 0; i < n; i++) {
            const int64_t width = (int64_t)sf_prng_below(&prng, 20);
            const int64_t low_at = i < liars ? (int64_t)sf_prng_below(&prng, 60) - 30
                                             : -(int64_t)sf_prng_below(&prng, (uint64_t)width + 1);
            intervals[i] = (struct sf_select_interval){
                .answered = true, .low = low_at, .high = low_at + width};
        }
        assert_int_equal(sf_select(intervals, n, &low, &high), SF_SELECT_MAJORITY);
        assert_true(low <= 0 && high >= 0);
    }
}

static void test_filter(void **state)
{
    (void)state;
    struct sf_ntp_filter filter = {.count = 0};
    assert_null(sf_ntp_filter_best(&filter, 0));
    const struct sf_ntp_sample good = {.base_ns = 100, .error_ns = 1000, .as_of_mono_ns = 0};
    const struct sf_ntp_sample slow = {
        .base_ns = 4000, .error_ns = 90000, .as_of_mono_ns = SF_NS_PER_S};
    sf_ntp_filter_add(&filter, &good);
    sf_ntp_filter_add(&filter, &slow);
    assert_int_equal(filter.count, 2);
    assert_int_equal(sf_ntp_filter_best(&filter, SF_NS_PER_S)->base_ns,
                     100); /* 51 us more by now */
    assert_int_equal(sf_ntp_sample_error_ns(&filter.samples[1], SF_NS_PER_S), 1000 + 50001);
    assert_int_equal(sf_ntp_sample_error_ns(&filter.samples[0], SF_NS_PER_S), 90000);
    const struct sf_ntp_sample young = {
        .base_ns = 6000, .error_ns = 50000, .as_of_mono_ns = SF_NS_PER_S};
    sf_ntp_filter_add(&filter, &young); /* smaller than what the first has grown to */
    assert_int_equal(sf_ntp_filter_best(&filter, SF_NS_PER_S)->base_ns, 6000);
    assert_int_equal(sf_ntp_filter_best(&filter, 0)->base_ns, 100);
    for (int i = 0; i < 20; i++)
        sf_ntp_filter_add(&filter, &slow);
    assert_int_equal(filter.count, SF_NTP_FILTER_SIZE);
    /* The newest contradicts the rest: they go, however small their bounds are. */
    const struct sf_ntp_sample moved = {
        .base_ns = SF_NS_PER_S, .error_ns = 90000, .as_of_mono_ns = SF_NS_PER_S};
    sf_ntp_filter_add(&filter, &moved);
    assert_int_equal(filter.count, 1);
    assert_int_equal(sf_ntp_filter_best(&filter, SF_NS_PER_S)->base_ns, SF_NS_PER_S);
    filter = (struct sf_ntp_filter){.count = 0};
    assert_null(sf_ntp_filter_best(&filter, 0));
}

static void test_reading_ages(void **state)
{
    (void)state;
    const struct sf_reading reading = {.status = SF_READING_SYNCED,
                                       .has_time = true,
                                       .as_of_mono_ns = 100 * SF_NS_PER_S,
                                       .base_ns = 5000 * SF_NS_PER_S,
                                       .error_ns = SF_NS_PER_MS,
                                       .good_mono_ns = 100 * SF_NS_PER_S,
                                       .stale_after_ns = 13 * SF_NS_PER_S,
                                       .expired_after_ns = 900 * SF_NS_PER_S};
    static const struct {
        int64_t at_s;
        enum sf_reading_status status;
        int64_t error_ns;
    } rows[] = {{90, SF_READING_SYNCED, SF_NS_PER_MS},
                {100, SF_READING_SYNCED, SF_NS_PER_MS},
                {113, SF_READING_SYNCED, SF_NS_PER_MS + 650001},
                {114, SF_READING_HOLDOVER, SF_NS_PER_MS + 700001},
                {1000, SF_READING_HOLDOVER, 46 * SF_NS_PER_MS + 1},
                {1001, SF_READING_UNSYNCED, 46 * SF_NS_PER_MS + 50001}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(sf_reading_status_at(&reading, rows[i].at_s * SF_NS_PER_S),
                         rows[i].status);
        assert_int_equal(sf_reading_error_ns(&reading, rows[i].at_s * SF_NS_PER_S),
                         rows[i].error_ns);
    }
    /* A step of the wall clock shows as an offset at once. */
    assert_int_equal(sf_reading_offset_ns(&reading, 5101 * SF_NS_PER_S, 101 * SF_NS_PER_S), 0);
    assert_int_equal(sf_reading_offset_ns(&reading, 5100 * SF_NS_PER_S, 101 * SF_NS_PER_S),
                     SF_NS_PER_S);
    const struct sf_reading none = {.status = SF_READING_NONE};
    assert_true(sf_reading_error_ns(&none, 0) == INT64_MAX);
    assert_int_equal(sf_clock_abs_ns(INT64_MIN), INT64_MAX);
    assert_int_equal(sf_clock_sub_ns(INT64_MIN, 1), INT64_MIN);
    assert_int_equal(sf_clock_sub_ns(0, INT64_MIN), INT64_MAX);
    assert_int_equal(sf_clock_add_ns(INT64_MAX, 1), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select_table),
        cmocka_unit_test(test_select_never_excludes_the_truth),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_reading_ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
