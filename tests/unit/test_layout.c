/* <snowfleet/id.h>: layouts that are allowed and refused, and IDs there and back. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include <snowfleet/id.h>

#include "base/random.h"

static void validity(void **state)
{
    (void)state;
    static const struct {
        struct sf_layout layout;
        int rc;
    } cases[] = {
        {{41, 5, 5, 12}, 0},
        {{63, 0, 0, 0}, 0},
        {{1, 62, 0, 0}, 0},
        {{1, 0, 62, 0}, 0},
        {{1, 0, 0, 62}, 0},
        {{60, 1, 1, 1}, 0},
        {{0, 21, 21, 21}, -EINVAL},
        {{64, 0, 0, 0}, -EINVAL},
        {{0, 63, 0, 0}, -EINVAL},
        {{0, 0, 63, 0}, -EINVAL},
        {{0, 0, 0, 63}, -EINVAL},
        {{41, 5, 5, 13}, -EINVAL},
        {{41, 5, 5, 11}, -EINVAL},
        {{0, 0, 0, 0}, -EINVAL},
        {{255, 255, 255, 255}, -EINVAL},
        /* These sums are 63 only modulo 256. */
        {{62, 255, 1, 1}, -EINVAL},
        {{1, 62, 255, 1}, -EINVAL},
        {{63, 128, 64, 64}, -EINVAL},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        const char *reason = NULL;
        assert_int_equal(sf_layout_validate(&cases[i].layout, &reason), cases[i].rc);
        assert_int_equal(reason == NULL, cases[i].rc == 0);
        assert_int_equal(sf_layout_validate(&cases[i].layout, NULL), cases[i].rc);
        uint64_t id = 77;
        struct sf_id_parts parts = {0};
        assert_int_equal(sf_id_encode(&cases[i].layout, &parts, &id), cases[i].rc);
        assert_true(id == (cases[i].rc ? 77 : 0));
        assert_int_equal(sf_id_decode(&cases[i].layout, 0, &parts), cases[i].rc);
    }
}

static void texts(void **state)
{
    (void)state;
    struct sf_layout layout = {1, 2, 3, 4};
    static const char *const bad[] = {"",
                                      "41",
                                      "41,5,5",
                                      "41,5,5,",
                                      "41,5,5,12,",
                                      "41,5,5,12 ",
                                      " 41,5,5,12",
                                      "41,5,5,-12",
                                      "41;5;5;12",
                                      "41,,5,17",
                                      "41,5,5,13",
                                      "297,5,5,12",
                                      "4294967337,5,5,12",
                                      "0x29,5,5,12"};
    for (size_t i = 0; i < SF_COUNT(bad); i++) {
        assert_int_equal(sf_layout_parse(bad[i], &layout), -EINVAL);
        assert_int_equal(layout.timestamp_bits, 1);
    }
    assert_int_equal(sf_layout_parse("41,5,5,12", &layout), 0);
    assert_memory_equal(&layout, &SF_DEFAULT_LAYOUT, sizeof layout);
    assert_int_equal(sf_layout_parse("1,00,062,0", &layout), 0);
    assert_int_equal(layout.worker_bits, 62);

    char text[SF_LAYOUT_TEXT_MAX];
    assert_string_equal(sf_layout_format(&SF_DEFAULT_LAYOUT, text), "41,5,5,12");
    assert_string_equal(sf_layout_format(&layout, text), "1,0,62,0");
    /* No widths that the type can hold are too long. */
    layout = (struct sf_layout){255, 255, 255, 255};
    assert_string_equal(sf_layout_format(&layout, text), "255,255,255,255");
}

static void known_ids(void **state)
{
    (void)state;
    static const struct {
        struct sf_layout layout;
        struct sf_id_parts parts;
        uint64_t id;
    } cases[] = {
        {{41, 5, 5, 12}, {0, 0, 0, 0}, 0},
        {{41, 5, 5, 12}, {1, 0, 0, 0}, 1 << 22},
        {{41, 5, 5, 12}, {0, 1, 0, 0}, 1 << 17},
        {{41, 5, 5, 12}, {0, 0, 1, 0}, 1 << 12},
        {{41, 5, 5, 12}, {0, 0, 0, 1}, 1},
        {{41, 5, 5, 12}, {(UINT64_C(1) << 41) - 1, 31, 31, 4095}, INT64_MAX},
        /* The example of the format's first description: 2010-11-04 epoch, worker 378 as 11, 26. */
        {{41, 5, 5, 12}, {367597485448, 11, 26, 0}, 1541815603606036480},
        {{63, 0, 0, 0}, {INT64_MAX, 0, 0, 0}, INT64_MAX},
        {{1, 62, 0, 0}, {1, (UINT64_C(1) << 62) - 1, 0, 0}, INT64_MAX},
        {{1, 0, 62, 0}, {1, 0, (UINT64_C(1) << 62) - 1, 0}, INT64_MAX},
        {{1, 0, 0, 62}, {1, 0, 0, (UINT64_C(1) << 62) - 1}, INT64_MAX},
        {{1, 0, 0, 62}, {1, 0, 0, 0}, UINT64_C(1) << 62},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        uint64_t id = 77;
        struct sf_id_parts parts;
        assert_int_equal(sf_id_encode(&cases[i].layout, &cases[i].parts, &id), 0);
        assert_true(id == cases[i].id);
        assert_int_equal(sf_id_decode(&cases[i].layout, id, &parts), 0);
        assert_memory_equal(&parts, &cases[i].parts, sizeof parts);
        assert_int_equal(sf_id_decode(&cases[i].layout, id | UINT64_C(1) << 63, &parts), -ERANGE);
    }
}

/* Every layout there is: the largest parts fill 63 bits, one more in any field is refused, and
 * random parts come back. */
static void every_layout(void **state)
{
    (void)state;
    struct sf_prng prng = {20261120};
    for (int t = 1; t <= 63; t++) {
        for (int d = 0; t + d <= 63; d++) {
            for (int w = 0; t + d + w <= 63; w++) {
                struct sf_layout layout = {(uint8_t)t, (uint8_t)d, (uint8_t)w,
                                           (uint8_t)(63 - t - d - w)};
                struct sf_id_parts max = {
                    sf_layout_max_timestamp(&layout), sf_layout_max_datacenter(&layout),
                    sf_layout_max_worker(&layout), sf_layout_max_sequence(&layout)};
                uint64_t id = 0;
                assert_int_equal(sf_id_encode(&layout, &max, &id), 0);
                assert_true(id == INT64_MAX);
                for (int field = 0; field < 4; field++) {
                    struct sf_id_parts over = max;
                    *(&over.timestamp_ms + field) += 1;
                    assert_int_equal(sf_id_encode(&layout, &over, &id), -ERANGE);
                }
                struct sf_id_parts parts = {
                    sf_prng_next(&prng) & max.timestamp_ms, sf_prng_next(&prng) & max.datacenter,
                    sf_prng_next(&prng) & max.worker, sf_prng_next(&prng) & max.sequence};
                struct sf_id_parts back;
                assert_int_equal(sf_id_encode(&layout, &parts, &id), 0);
                assert_int_equal(sf_id_decode(&layout, id, &back), 0);
                assert_memory_equal(&parts, &back, sizeof parts);
            }
        }
    }
}

static void unix_times(void **state)
{
    (void)state;
    struct sf_layout wide = {63, 0, 0, 0};
    int64_t unix_ms = 77;
    assert_int_equal(sf_id_unix_ms(&SF_DEFAULT_LAYOUT, SF_DEFAULT_EPOCH_MS, 5 << 22, &unix_ms), 0);
    assert_true(unix_ms == SF_DEFAULT_EPOCH_MS + 5);
    assert_int_equal(sf_id_unix_ms(&wide, INT64_MIN, INT64_MAX, &unix_ms), 0);
    assert_true(unix_ms == -1);
    assert_int_equal(sf_id_unix_ms(&wide, 0, INT64_MAX, &unix_ms), 0);
    assert_true(unix_ms == INT64_MAX);
    assert_int_equal(sf_id_unix_ms(&wide, 1, INT64_MAX, &unix_ms), -EOVERFLOW);
    assert_int_equal(sf_id_unix_ms(&wide, 0, UINT64_C(1) << 63, &unix_ms), -ERANGE);
    struct sf_layout bad = {0, 0, 0, 0};
    assert_int_equal(sf_id_unix_ms(&bad, 0, 0, &unix_ms), -EINVAL);
    assert_true(unix_ms == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validity),     cmocka_unit_test(texts),      cmocka_unit_test(known_ids),
        cmocka_unit_test(every_layout), cmocka_unit_test(unix_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
