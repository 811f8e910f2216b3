/* unit/test_daemon_history.c - /history as JSON: its lists, what is null, what `after` leaves, and that the largest answer keeps to the bound that the page
 * names. */
#include "unit/cmocka_all.h"

#include <jansson.h>

#include "base/ticks.h"
#include "daemon/history.h"
#include "metrics/history.h"
#include "worker/reservation_state.h"

#define ANSWER_MAX (128u << 10) /* docs/http.md */

static json_t *told(struct sf_history *history, uint64_t after, size_t *ret_size)
{
    struct sf_daemon d = {.history = history, .process_start_s = 1795215000.5};
    struct sf_strbuf text;
    sf_strbuf_init(&text, 8u << 20);
    sf_history_json(&d, after, &text);
    assert_false(text.failed);
    json_t *object = json_loads(text.text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    if (ret_size != NULL)
        *ret_size = text.length;
    sf_strbuf_free(&text);
    return object;
}

static int64_t integer(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

/* Every list is as long as it has to be. Returns how many there are. */
static size_t assert_lists(json_t *object, size_t length)
{
    const char *name;
    json_t *value;
    size_t lists = 0;
    json_object_foreach(object, name, value)
    {
        if (json_is_array(value)) {
            assert_int_equal(json_array_size(value), length);
            lists++;
        }
    }
    return lists;
}

static void an_empty_hour(void **state)
{
    (void)state;
    struct sf_history *history = sf_history_create();
    json_t *object = told(history, 7, NULL);
    assert_int_equal(assert_lists(object, 0), 18);
    assert_int_equal(integer(object, "first"), 0);
    assert_int_equal(integer(object, "last"), 7);
    assert_int_equal(integer(object, "started_ms"), 1795215000500);
    assert_int_equal(integer(object, "points_max"), SF_HISTORY_POINTS);
    json_decref(object);
    sf_history_destroy(history);
}

static void what_is_not_known_is_null(void **state)
{
    (void)state;
    struct sf_history *history = sf_history_create();
    const struct sf_history_point none = {.p50_ns = -1,
                                          .p99_ns = -1,
                                          .refused_p99_ns = -1,
                                          .left_ms = -1,
                                          .saturation = -1,
                                          .offset_ns = 5,
                                          .error_ns = 5};
    const struct sf_history_point some = {.span_ms = 10000,
                                          .ids = 5,
                                          .served = 25,
                                          .p50_ns = 1500,
                                          .p99_ns = 0,
                                          .refused_p99_ns = 1,
                                          .left_ms = 0,
                                          .saturation = 0,
                                          .clock_known = true,
                                          .offset_ns = -5,
                                          .state = SF_WORKER_READY,
                                          .mono_ms = sf_mono_ns() / SF_NS_PER_MS - 250,
                                          .at_ms = 1795215000000};
    sf_history_put(history, &none);
    sf_history_put(history, &some);
    json_t *object = told(history, 0, NULL), *later = told(history, 1, NULL);
    assert_lists(object, 2);
    assert_lists(later, 1);
    assert_int_equal(integer(later, "first"), 2);
    static const char *const nulls[] = {"saturation", "p50_us",   "p99_us", "refused_p99_us",
                                        "offset_ns",  "error_ns", "left_ms"};
    for (size_t i = 0; i < SF_COUNT(nulls); i++) {
        assert_true(json_is_null(json_array_get(json_object_get(object, nulls[i]), 0)));
        assert_true(json_is_number(json_array_get(json_object_get(object, nulls[i]), 1)));
    }
    assert_float_equal(json_number_value(json_array_get(json_object_get(later, "ids_per_s"), 0)),
                       0.5, 1e-9);
    assert_float_equal(json_number_value(json_array_get(json_object_get(later, "served_per_s"), 0)),
                       2.5, 1e-9);
    assert_float_equal(json_number_value(json_array_get(json_object_get(later, "p50_us"), 0)), 1.5,
                       1e-9);
    assert_float_equal(json_number_value(json_array_get(json_object_get(object, "ids_per_s"), 0)),
                       0, 1e-9); /* of no time at all */
    assert_in_range(json_integer_value(json_array_get(json_object_get(later, "age_ms"), 0)), 250,
                    60000);
    assert_string_equal(json_string_value(json_array_get(json_object_get(later, "state"), 0)),
                        "ready");
    json_decref(object);
    json_decref(later);
    sf_history_destroy(history);
}

static void the_largest_answer_keeps_to_its_bound(void **state)
{
    (void)state;
    struct sf_history *history = sf_history_create();
    const struct sf_history_point large = {.mono_ms = -INT64_C(1000000000),
                                           .at_ms = 1795215000123,
                                           .span_ms = 9999999,
                                           .ids = UINT64_MAX / 3,
                                           .ceiling_per_s = 8 * 4096000.0 * 1024,
                                           .saturation = 12345.678901,
                                           .served = UINT64_MAX / 7,
                                           .refused = UINT64_MAX / 9,
                                           .errors = UINT64_MAX / 11,
                                           .exhausted = UINT64_MAX / 13,
                                           .waiting_most = UINT32_MAX,
                                           .p50_ns = 68719476735,
                                           .p99_ns = 68719476735,
                                           .refused_p99_ns = 68719476735,
                                           .clock_known = true,
                                           .offset_ns = -INT64_C(45000000123),
                                           .error_ns = 16000000123,
                                           .left_ms = 8640000123,
                                           .state = SF_WORKER_QUARANTINED};
    for (unsigned i = 0; i < 2 * SF_HISTORY_POINTS; i++)
        sf_history_put(history, &large);
    size_t size = 0;
    json_t *object = told(history, 0, &size);
    assert_lists(object, SF_HISTORY_POINTS);
    assert_true(size < ANSWER_MAX);
    json_decref(object);
    sf_history_destroy(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_hour),
        cmocka_unit_test(what_is_not_known_is_null),
        cmocka_unit_test(the_largest_answer_keeps_to_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
