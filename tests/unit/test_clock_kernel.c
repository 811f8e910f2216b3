/* The kernel's answer: what is believed of it, and when it is asked again. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <sys/timex.h>

#include "base/ticks.h"
#include "clock/kernel.h"

#define MS     SF_NS_PER_MS
#define S      SF_NS_PER_S
#define NOW_NS (INT64_C(1795212995) * S)

static struct sf_reading interpret(struct sf_kernel *kernel, int64_t mono_s, int64_t maxerror_us)
{
    const struct sf_kernel_sample sample = {.result = TIME_OK,
                                            .maxerror_us = maxerror_us,
                                            .time_ns = NOW_NS + mono_s * S,
                                            .before_real_ns = NOW_NS + mono_s * S,
                                            .after_real_ns = NOW_NS + mono_s * S,
                                            .mono_ns = mono_s * S};
    struct sf_reading reading;
    sf_kernel_interpret(kernel, &sample, &reading);
    return reading;
}

static void test_kernel_bound(void **state)
{
    (void)state;
    struct sf_kernel kernel = {0};
    /* First sight: how long the kernel has been counting is unknown, so all of it counts. */
    assert_int_equal(interpret(&kernel, 0, 700000).error_ns, 700 * MS);
    assert_int_equal(interpret(&kernel, 10, 705000).error_ns, 705 * MS);
    assert_int_equal(interpret(&kernel, 20, 2000).error_ns, 2 * MS); /* an update */
    const struct sf_reading later = interpret(&kernel, 2020, 1002000);
    assert_int_equal(later.error_ns, 102 * MS + 1); /* 50 ppm, not 500 */
    assert_int_equal(later.status, SF_READING_SYNCED);
    assert_int_equal(sf_reading_offset_ns(&later, NOW_NS + 2020 * S, 2020 * S), 0);
    assert_int_equal(interpret(&kernel, 2021, 15999999).status, SF_READING_SYNCED);
    assert_int_equal(interpret(&kernel, 2022, 16000000).status, SF_READING_UNSYNCED);
    assert_int_equal(interpret(&kernel, 2023, 500000).error_ns, 500 * MS); /* starts over */
    assert_int_equal(interpret(&kernel, 2023, -1).status, SF_READING_UNSYNCED);
}

static void test_kernel_answers(void **state)
{
    (void)state;
    static const struct {
        int result;
        bool unsynchronised;
        int64_t time_ahead_ns, offset_ns;
        enum sf_reading_status status;
        int64_t offset;
    } rows[] = {
        {TIME_OK, false, 0, 0, SF_READING_SYNCED, 0},
        {TIME_INS, false, 0, 0, SF_READING_SYNCED, 0}, /* a leap second is announced: no error */
        {TIME_DEL, false, 0, 0, SF_READING_SYNCED, 0},
        {TIME_OOP, false, 0, 0, SF_READING_SYNCED, 0},
        {TIME_WAIT, false, 0, 0, SF_READING_SYNCED, 0},
        {TIME_ERROR, false, 0, 0, SF_READING_UNSYNCED, 0},
        {TIME_OK, true, 0, 0, SF_READING_UNSYNCED, 0},
        {-EPERM, false, 0, 0, SF_READING_UNSYNCED, 0},
        {TIME_OK, false, 0, 3 * MS, SF_READING_SYNCED, 3 * MS},
        {TIME_OK, false, -3600 * S, 0, SF_READING_SYNCED, -3600 * S}, /* our wall clock is faked */
        {TIME_OK, false, 5 * S, 0, SF_READING_SYNCED, 5 * S - 1000},
        {TIME_OK, false, -900, 0, SF_READING_SYNCED, 0}, /* whole microseconds */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sf_kernel kernel = {0};
        struct sf_reading reading;
        const struct sf_kernel_sample sample = {.result = rows[i].result,
                                                .unsynchronised = rows[i].unsynchronised,
                                                .maxerror_us = 100,
                                                .offset_ns = rows[i].offset_ns,
                                                .time_ns = NOW_NS + rows[i].time_ahead_ns,
                                                .before_real_ns = NOW_NS,
                                                .after_real_ns = NOW_NS + 1000,
                                                .mono_ns = S,
                                                .span_ns = 1000};
        sf_kernel_interpret(&kernel, &sample, &reading);
        assert_int_equal(reading.status, rows[i].status);
        assert_int_equal(reading.has_time, rows[i].status == SF_READING_SYNCED);
        if (reading.has_time) {
            assert_int_equal(reading.error_ns, 101000);
            assert_int_equal(sf_reading_offset_ns(&reading, NOW_NS + 1000, S), rows[i].offset);
        }
    }
}

static void test_kernel_read(void **state)
{
    (void)state;
    struct sf_kernel_sample sample;
    sf_kernel_read(sf_ticks_system.real_ns, sf_ticks_system.mono_ns, sf_ticks_system.ctx, &sample);
    assert_true(sample.result >= 0); /* allowed to everybody */
    assert_in_range(sample.time_ns - sample.before_real_ns + 1000, 0, S);
    assert_true(sample.after_real_ns >= sample.before_real_ns && sample.maxerror_us >= 0);
}

/* A monotonic clock on which every look takes this long, but for the first ones. */
struct interrupted {
    int64_t mono_ns;
    unsigned looks, slow_looks;
};

static int64_t interrupted_real_ns(void *ctx)
{
    (void)ctx;
    return NOW_NS;
}

static int64_t interrupted_mono_ns(void *ctx)
{
    struct interrupted *clock = ctx;
    clock->mono_ns += clock->looks++ < clock->slow_looks ? MS : 1000;
    return clock->mono_ns;
}

static void test_kernel_is_asked_again_when_interrupted(void **state)
{
    (void)state;
    static const struct {
        unsigned slow_looks, looks;
        int64_t span_ns;
    } rows[] = {{0, 2, 1000}, {2, 4, 1000}, {6, 8, 1000}, {100, 8, MS}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct interrupted clock = {.slow_looks = rows[i].slow_looks};
        struct sf_kernel_sample sample;
        sf_kernel_read(interrupted_real_ns, interrupted_mono_ns, &clock, &sample);
        assert_int_equal(clock.looks, rows[i].looks);
        assert_int_equal(sample.span_ns,
                         rows[i].span_ns); /* never hidden: it is part of the error */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel_bound),
        cmocka_unit_test(test_kernel_answers),
        cmocka_unit_test(test_kernel_read),
        cmocka_unit_test(test_kernel_is_asked_again_when_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
