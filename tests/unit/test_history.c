/* unit/test_history.c - the ring of the last hour: what is in it, at its edge and past it, and what `after` leaves out.
 */
#include "unit/cmocka_all.h"

#include "metrics/history.h"

static void put(struct sf_history *history, uint64_t count)
{
    static uint64_t made;
    for (; count > 0; count--) {
        const struct sf_history_point point = {.serial = 77, .ids = ++made, .at_ms = 1000};
        sf_history_put(history, &point);
    }
}

/* Serials and what came with them, in order, from `first` on. */
static void assert_read(struct sf_history *history, uint64_t after, uint64_t first, size_t count)
{
    static struct sf_history_point points[SF_HISTORY_POINTS];
    assert_int_equal(sf_history_read(history, after, points), count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(points[i].serial, first + i);
        assert_int_equal(points[i].at_ms, 1000);
        assert_int_equal(points[i].ids - points[0].ids, i);
    }
}

static void points_come_back_in_order(void **state)
{
    (void)state;
    struct sf_history *history = sf_history_create();
    assert_read(history, 0, 1, 0);
    put(history, 1);
    assert_read(history, 0, 1, 1);
    put(history, 2);
    assert_read(history, 0, 1, 3);
    assert_read(history, 2, 3, 1);
    assert_read(history, 3, 4, 0);
    sf_history_destroy(history);
}

static void a_full_ring_forgets_the_oldest(void **state)
{
    (void)state;
    struct sf_history *history = sf_history_create();
    put(history, SF_HISTORY_POINTS);
    assert_read(history, 0, 1, SF_HISTORY_POINTS);
    put(history, 1);
    assert_read(history, 0, 2, SF_HISTORY_POINTS);
    assert_read(history, 1, 2, SF_HISTORY_POINTS);
    assert_read(history, 2, 3, SF_HISTORY_POINTS - 1);
    put(history, 5 * SF_HISTORY_POINTS);
    assert_read(history, 7, 5 * SF_HISTORY_POINTS + 2, SF_HISTORY_POINTS);
    sf_history_destroy(history);
}

/* Who asks for later ones than there are gets none; a reader of a process before this one asks so. */
static void after_the_last_there_is_nothing(void **state)
{
    (void)state;
    struct sf_history *history = sf_history_create();
    assert_read(history, UINT64_MAX, 0, 0);
    put(history, SF_HISTORY_POINTS + 3);
    assert_read(history, SF_HISTORY_POINTS + 3, 0, 0);
    assert_read(history, SF_HISTORY_POINTS + 4, 0, 0);
    assert_read(history, UINT64_MAX, 0, 0);
    sf_history_destroy(history);
    sf_history_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_come_back_in_order),
        cmocka_unit_test(a_full_ring_forgets_the_oldest),
        cmocka_unit_test(after_the_last_there_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
