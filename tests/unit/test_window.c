/* unit/test_window.c - figures of the last seconds and minutes: what is in a window, what has left it, and how exact its quantiles are.
 */
#include "unit/cmocka_all.h"

#include "metrics/window.h"

struct world {
    struct sf_metrics *metrics;
    struct sf_metrics_block *block;
    struct sf_window *window;
    int64_t now_ms;
};

static struct world new_world(void)
{
    struct world w = {.metrics = sf_metrics_create(), .window = sf_window_create(), .now_ms = 5000};
    w.block = sf_metrics_block(w.metrics);
    return w;
}

static void end_world(struct world *w)
{
    sf_window_destroy(w->window);
    sf_metrics_destroy(w->metrics);
}

static void answer(struct world *w, unsigned status, int64_t took_ns, uint64_t requests)
{
    sf_metrics_add(w->block, SF_METRIC_REQUESTS, sf_series_request(SF_REQUEST_NEXT, status),
                   requests);
    sf_metrics_latency(w->block, status == SF_STATUS_OK ? SF_LATENCY_SERVED : SF_LATENCY_REFUSED,
                       took_ns, requests);
}

static bool take(struct world *w, uint32_t waiting)
{
    struct sf_window_totals totals;
    sf_window_totals(w->metrics, &totals);
    return sf_window_take(w->window, &totals, waiting, w->now_ms);
}

static void pass(struct world *w, unsigned seconds)
{
    while (seconds-- > 0) {
        w->now_ms += 1000;
        assert_true(sf_window_is_due(w->window, w->now_ms));
        take(w, 0);
        assert_false(sf_window_is_due(w->window, w->now_ms + 999));
    }
}

static struct sf_window_figures figures(struct world *w, enum sf_window_span span)
{
    struct sf_window_figures figures;
    sf_window_read(w->window, span, &figures);
    return figures;
}

static void what_was_before_the_first_look_is_in_no_window(void **state)
{
    (void)state;
    struct world w = new_world();
    answer(&w, SF_STATUS_OK, 1000, 7);
    assert_true(sf_window_is_due(w.window, w.now_ms));
    assert_int_equal(figures(&w, SF_WINDOW_10S).span_ms, 0);
    take(&w, 3);
    assert_int_equal(figures(&w, SF_WINDOW_10S).served, 0);
    assert_int_equal(figures(&w, SF_WINDOW_10S).quantiles_ns[SF_LATENCY_SERVED][0], -1);
    answer(&w, SF_STATUS_OK, 1000, 5);
    pass(&w, 1);
    for (unsigned span = 0; span < SF_WINDOW_SPANS; span++) {
        assert_int_equal(figures(&w, span).served, 5);
        assert_int_equal(figures(&w, span).span_ms, 1000);
    }
    end_world(&w);
}

/* What is told with each tenth second is told once, whatever the length of a second was. */
static void each_tenth_second_ends_ten(void **state)
{
    (void)state;
    struct world w = new_world();
    assert_false(take(&w, 0));
    uint64_t told = 0;
    for (unsigned second = 1; second <= 40; second++) {
        answer(&w, SF_STATUS_OK, 1000, second);
        w.now_ms += 1000 + second;
        assert_int_equal(take(&w, 0), second % 10 == 0);
        if (second % 10 == 0)
            told += figures(&w, SF_WINDOW_10S).served;
    }
    assert_int_equal(told, 40 * 41 / 2);
    end_world(&w);
}

/* A burst is in each window for as long as its name says: to the second, or to ten of them. */
static void a_burst_leaves_the_windows_one_by_one(void **state)
{
    (void)state;
    struct world w = new_world();
    take(&w, 0);
    answer(&w, SF_STATUS_OK, 1000000, 100);
    answer(&w, SF_STATUS_OVERLOADED, 20000, 300);
    sf_metrics_add(w.block, SF_METRIC_IDS_MINTED, 0, 1000);
    sf_metrics_add(w.block, SF_METRIC_IDS_REFUSED, 0, 6000);
    sf_metrics_add(w.block, SF_METRIC_SEQUENCE_EXHAUSTED, 0, 9);
    w.now_ms += 1000;
    take(&w, 42);
    for (unsigned second = 1; second <= 400; second++) {
        for (unsigned span = 0; span < SF_WINDOW_SPANS; span++) {
            static const unsigned least[SF_WINDOW_SPANS] = {10, 60, 300},
                                  most[SF_WINDOW_SPANS] = {10, 70, 310};
            const struct sf_window_figures f = figures(&w, span);
            if (second <= least[span])
                assert_int_equal(f.served, 100);
            if (second > most[span])
                assert_int_equal(f.served, 0);
            assert_int_equal(f.refused, 3 * f.served);
            assert_int_equal(f.by_status[SF_STATUS_OVERLOADED], f.refused);
            assert_int_equal(f.ids, 10 * f.served);
            assert_int_equal(f.ids_refused, 60 * f.served);
            assert_int_equal(f.exhausted, f.served > 0 ? 9 : 0);
            assert_int_equal(f.waiting_most, f.served > 0 ? 42 : 0);
            assert_true(f.span_ms <= (int64_t)most[span] * 1000);
            assert_true(f.span_ms >= (int64_t)(second < least[span] ? second : least[span]) * 1000);
        }
        pass(&w, 1);
    }
    end_world(&w);
}

/* Served and refused apart: a flood of quick refusals does not make the served ones look quick. */
static void refusals_do_not_hide_what_is_slow(void **state)
{
    (void)state;
    struct world w = new_world();
    take(&w, 0);
    answer(&w, SF_STATUS_OVERLOADED, 37000, 994);
    answer(&w, SF_STATUS_OK, 800000000, 6);
    pass(&w, 1);
    const struct sf_window_figures f = figures(&w, SF_WINDOW_10S);
    assert_in_range(f.quantiles_ns[SF_LATENCY_SERVED][2], 800000000, 900000000);
    assert_in_range(f.quantiles_ns[SF_LATENCY_REFUSED][2], 37000, 42000);
    end_world(&w);
}

/* What a bucket says is never less than what was observed, and an eighth more at most. */
static void quantiles_are_exact_to_an_eighth(void **state)
{
    (void)state;
    for (int64_t ns = 1; ns < INT64_C(68000000000); ns += ns / 7 + 1) {
        struct world w = new_world();
        take(&w, 0);
        answer(&w, SF_STATUS_OK, ns, 1);
        pass(&w, 1);
        const int64_t told = figures(&w, SF_WINDOW_1M).quantiles_ns[SF_LATENCY_SERVED][0];
        assert_true(told >= ns && told <= ns + ns / 8 + 128);
        end_world(&w);
    }
    struct world w = new_world();
    take(&w, 0);
    answer(&w, SF_STATUS_OK, -5, 1);
    answer(&w, SF_STATUS_OK, INT64_MAX, 1);
    for (unsigned i = 0; i < 98; i++)
        answer(&w, SF_STATUS_OK, 1000, 1);
    pass(&w, 1);
    const struct sf_window_figures f = figures(&w, SF_WINDOW_10S);
    assert_in_range(f.quantiles_ns[SF_LATENCY_SERVED][0], 1000, 1200);
    assert_in_range(f.quantiles_ns[SF_LATENCY_SERVED][1], 1000, 1200);
    assert_true(f.quantiles_ns[SF_LATENCY_SERVED][3] >= INT64_C(60000000000));
    end_world(&w);
}

/* A process that stood still: the slot is as long as it was, and rates stay true. */
static void a_late_look_is_one_long_slot(void **state)
{
    (void)state;
    struct world w = new_world();
    take(&w, 0);
    answer(&w, SF_STATUS_OK, 1000, 50);
    w.now_ms += 25000;
    take(&w, 0);
    assert_int_equal(figures(&w, SF_WINDOW_10S).span_ms, 25000);
    assert_string_equal(sf_window_span_name(SF_WINDOW_10S), "10s");
    assert_string_equal(sf_window_span_name(SF_WINDOW_1M), "1m");
    assert_string_equal(sf_window_span_name(SF_WINDOW_5M), "5m");
    sf_window_destroy(NULL);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_before_the_first_look_is_in_no_window),
        cmocka_unit_test(each_tenth_second_ends_ten),
        cmocka_unit_test(a_burst_leaves_the_windows_one_by_one),
        cmocka_unit_test(refusals_do_not_hide_what_is_slow),
        cmocka_unit_test(quantiles_are_exact_to_an_eighth),
        cmocka_unit_test(a_late_look_is_one_long_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
