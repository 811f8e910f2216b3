/* unit/test_metrics.c - the table, counting in blocks, and both expositions; promtool judges the text format, the
 * document must name every metric. */
#include "unit/cmocka_all.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "coord/coord.h"
#include "metrics/metrics.h"
#include "wire/frame.h"

static void test_counts_over_blocks(void **state)
{
    (void)state;
    struct sf_metrics *metrics = sf_metrics_create();
    struct sf_metrics_block *one = sf_metrics_block(metrics), *two = sf_metrics_block(metrics);
    const unsigned series = sf_series_request(SF_REQUEST_NEXT, SF_WIRE_OVERLOADED);
    sf_metrics_add(one, SF_METRIC_REQUESTS, series, 3);
    sf_metrics_add(two, SF_METRIC_REQUESTS, series, 4);
    sf_metrics_add(two, SF_METRIC_REQUESTS, series + 1, 100);
    assert_int_equal(sf_metrics_sum(metrics, SF_METRIC_REQUESTS, series), 7);
    assert_int_equal(sf_metrics_sum(metrics, SF_METRIC_REQUESTS, series + 1), 100);
    assert_int_equal(sf_metrics_sum(metrics, SF_METRIC_REQUESTS, series - 1), 0);
    char labels[128];
    assert_string_equal(sf_metrics_series_labels(SF_METRIC_REQUESTS, series, labels, sizeof labels),
                        "type=\"next\",status=\"overloaded\"");
    sf_metrics_destroy(metrics);
    sf_metrics_destroy(NULL);
}

/* Cells of neighbouring metrics must not overlap: each series gets its own number and keeps it. */
static void test_cells_do_not_overlap(void **state)
{
    (void)state;
    struct sf_metrics *metrics = sf_metrics_create();
    struct sf_metrics_block *block = sf_metrics_block(metrics);
    for (unsigned round = 0; round < 2; round++) {
        uint64_t n = 1;
        for (unsigned m = 0; m < SF_METRIC_COUNT; m++) {
            const struct sf_metric_info *info = sf_metric_info((enum sf_metric)m);
            for (unsigned s = 0; s < info->series; s++, n++) {
                if (round == 1)
                    assert_int_equal(sf_metrics_sum(metrics, (enum sf_metric)m, s), n);
                else if (info->type == SF_METRIC_COUNTER)
                    sf_metrics_add(block, (enum sf_metric)m, s, n);
                else
                    sf_metrics_observe(block, (enum sf_metric)m, s, 5 * (int64_t)n, n);
            }
        }
    }
    sf_metrics_destroy(metrics);
}

/* The numbers of ops and outcomes are the contract's: their labels must be its words. */
static void test_coordinator_labels(void **state)
{
    (void)state;
    static const enum sf_coord_outcome outcomes[] = {SF_COORD_DONE, SF_COORD_REFUSED, SF_COORD_LOST,
                                                     SF_COORD_UNKNOWN};
    for (unsigned op = 0; op < SF_COORD_OPS; op++)
        for (size_t i = 0; i < SF_COUNT(outcomes); i++) {
            char labels[128], wanted[128];
            snprintf(wanted, sizeof wanted, "op=\"%s\",result=\"%s\"",
                     sf_coord_op_name((enum sf_coord_op)op), sf_coord_outcome_name(outcomes[i]));
            assert_string_equal(sf_metrics_series_labels(SF_METRIC_COORDINATOR_OPERATIONS,
                                                         sf_series_coord(op, outcomes[i]), labels,
                                                         sizeof labels),
                                wanted);
        }
    assert_int_equal(sf_metric_info(SF_METRIC_COORDINATOR_OPERATIONS)->series,
                     SF_COORD_OPS * SF_COUNT(outcomes));
}

static void test_quantiles(void **state)
{
    (void)state;
    struct sf_metrics *metrics = sf_metrics_create();
    struct sf_metrics_block *block = sf_metrics_block(metrics);
    assert_int_equal(sf_metrics_quantile_ns(metrics, SF_METRIC_REQUEST_DURATION, 0, 0.5), -1);
    sf_metrics_observe(block, SF_METRIC_REQUEST_DURATION, 0, 15000, 100); /* in 10 to 20 us */
    assert_in_range(sf_metrics_quantile_ns(metrics, SF_METRIC_REQUEST_DURATION, 0, 0.5), 14900,
                    15100);
    sf_metrics_observe(block, SF_METRIC_REQUEST_DURATION, 0, 10000,
                       100); /* the edge belongs below */
    assert_in_range(sf_metrics_quantile_ns(metrics, SF_METRIC_REQUEST_DURATION, 0, 0.5), 9900,
                    10000);
    sf_metrics_observe(block, SF_METRIC_REQUEST_DURATION, 0, INT64_C(7000000000), 10000);
    assert_int_equal(sf_metrics_quantile_ns(metrics, SF_METRIC_REQUEST_DURATION, 0, 0.99),
                     1000000000);
    sf_metrics_destroy(metrics);
}

struct writer {
    struct sf_metrics_block *block;
};

static void *write_much(void *arg)
{
    struct writer *writer = arg;
    for (int i = 0; i < 100000; i++) {
        sf_metrics_add(writer->block, SF_METRIC_IDS_MINTED, 0, 2);
        sf_metrics_observe(writer->block, SF_METRIC_SHARD_LOOP, 3, 1000, 1);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct sf_metrics *metrics = sf_metrics_create();
    struct writer writers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        writers[i].block = sf_metrics_block(metrics);
        assert_int_equal(pthread_create(&threads[i], NULL, write_much, &writers[i]), 0);
    }
    uint64_t before = 0;
    for (int i = 0; i < 100; i++) {
        const uint64_t now = sf_metrics_sum(metrics, SF_METRIC_IDS_MINTED, 0);
        assert_true(now >= before);
        before = now;
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sf_metrics_sum(metrics, SF_METRIC_IDS_MINTED, 0), 800000);
    assert_int_equal(sf_metrics_sum(metrics, SF_METRIC_SHARD_LOOP, 3), 400000);
    sf_metrics_destroy(metrics);
}

static void test_escape(void **state)
{
    (void)state;
    char buffer[16];
    assert_string_equal(sf_metrics_escape("a\"b\\c\nd", buffer, sizeof buffer), "a\\\"b\\\\c\\nd");
    assert_string_equal(sf_metrics_escape("0123456789abcdefgh", buffer, 8), "012345");
}

/* Emits one sample of everything that is collected. */
static void collect_all(void *ctx, struct sf_metrics_page *page)
{
    (void)ctx;
    for (unsigned m = 0; m < SF_METRIC_COUNT; m++) {
        const struct sf_metric_info *info = sf_metric_info((enum sf_metric)m);
        if (info->series > 0 || info->type == SF_METRIC_HISTOGRAM ||
            strncmp(info->name, "process_", 8) == 0)
            continue;
        char labels[256] = "", keys[128];
        snprintf(keys, sizeof keys, "%s", info->labels);
        char *rest = NULL;
        for (const char *key = strtok_r(keys, ",", &rest); key != NULL;
             key = strtok_r(NULL, ",", &rest)) {
            const size_t used = strlen(labels);
            snprintf(labels + used, sizeof labels - used, "%s%s=\"a\\\"b\"", used > 0 ? "," : "",
                     key);
        }
        sf_metrics_emit(page, (enum sf_metric)m, labels, 1.25);
    }
}

static void make_page(bool openmetrics, struct sf_strbuf *page)
{
    struct sf_metrics *metrics = sf_metrics_create();
    struct sf_metrics_block *block = sf_metrics_block(metrics);
    sf_metrics_register(metrics, collect_all, NULL);
    double start_s = 1795212995.125;
    sf_metrics_register(metrics, sf_metrics_process, &start_s);
    for (unsigned m = 0; m < SF_METRIC_COUNT; m++) {
        const struct sf_metric_info *info = sf_metric_info((enum sf_metric)m);
        for (unsigned s = 0; s < info->series && info->type == SF_METRIC_HISTOGRAM; s++)
            sf_metrics_observe(block, (enum sf_metric)m, s, 1500, 2);
    }
    sf_metrics_add(block, SF_METRIC_CONNECTIONS_TOTAL, 0, 12);
    sf_strbuf_init(page, 1 << 20);
    sf_metrics_scrape(metrics, openmetrics, page);
    assert_false(page->failed);
    sf_metrics_unregister(metrics, collect_all, NULL);
    sf_metrics_unregister(metrics, sf_metrics_process, &start_s);
    sf_metrics_destroy(metrics);
}

static void test_text_format(void **state)
{
    (void)state;
    struct sf_strbuf page;
    make_page(false, &page);
    assert_non_null(strstr(
        page.text, "# TYPE snowfleet_ids_minted_total counter\nsnowfleet_ids_minted_total 0\n"));
    assert_non_null(strstr(page.text, "\nsnowfleet_connections_total 12\n"));
    assert_non_null(strstr(page.text, "\nsnowfleet_connections 1.25\n"));
    assert_non_null(strstr(
        page.text, "snowfleet_request_duration_seconds_bucket{type=\"next\",le=\"1e-05\"} 2\n"));
    assert_non_null(
        strstr(page.text, "snowfleet_request_duration_seconds_count{type=\"next\"} 2\n"));
    assert_non_null(strstr(page.text, "snowfleet_request_duration_seconds_sum{type=\"next\"} "));
    assert_non_null(
        strstr(page.text, "snowfleet_build_info{version=\"a\\\"b\",commit=\"a\\\"b\"} 1.25\n"));
    assert_null(strstr(page.text, "# EOF"));
    /* As told, and not as a clock says at the scrape: who changes it seems to have restarted. */
    assert_non_null(strstr(page.text, "\nprocess_start_time_seconds 1795212995.125\n"));
    const double now_s = (double)time(NULL), start_s = sf_metrics_process_start_s();
    assert_true(start_s > now_s - 600 && start_s < now_s + 2);
    assert_true(strstr(page.text, "process_cpu_seconds_total") >
                strstr(page.text, "snowfleet_build_info"));
    sf_strbuf_free(&page);
}

static void test_openmetrics(void **state)
{
    (void)state;
    struct sf_strbuf page;
    make_page(true, &page);
    assert_non_null(
        strstr(page.text, "# TYPE snowfleet_ids_minted counter\nsnowfleet_ids_minted_total 0\n"));
    assert_non_null(
        strstr(page.text, "# TYPE snowfleet_bytes counter\n# UNIT snowfleet_bytes bytes\n"));
    assert_non_null(strstr(page.text, "# TYPE snowfleet_connections gauge\n"));
    assert_non_null(strstr(
        page.text, "# TYPE snowfleet_connections_total unknown\nsnowfleet_connections_total 12\n"));
    assert_string_equal(page.text + page.length - 6, "# EOF\n");
    /* A unit is the end of the family's name. */
    for (unsigned m = 0; m < SF_METRIC_COUNT; m++) {
        const struct sf_metric_info *info = sf_metric_info((enum sf_metric)m);
        const size_t name = strlen(info->name), unit = strlen(info->unit);
        if (unit > 0)
            assert_string_equal(info->name + name - unit, info->unit);
    }
    sf_strbuf_free(&page);
}

/* promtool is part of the package prometheus. */
static void test_promtool(void **state)
{
    (void)state;
    if (access("/usr/bin/promtool", X_OK) != 0) {
        print_message("promtool is not installed\n");
        skip();
    }
    struct sf_strbuf page;
    make_page(false, &page);
    /* Now and then, as its maps fall, promtool takes the "bits" in timestamp_bits_exhausted_seconds
     * for a unit; grep gives 1 when nothing else was said. */
    FILE *promtool = popen("/usr/bin/promtool check metrics 2>&1 |"
                           " grep -v timestamp_bits_exhausted_seconds >&2; test $? -eq 1",
                           "w");
    assert_non_null(promtool);
    assert_int_equal(fwrite(page.text, 1, page.length, promtool), page.length);
    assert_int_equal(pclose(promtool), 0);
    sf_strbuf_free(&page);
}

static void test_documented(void **state)
{
    (void)state;
    FILE *file = fopen(SF_SOURCE_DIR "/docs/metrics.md", "r");
    assert_non_null(file);
    static char text[1 << 17];
    const size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    for (unsigned m = 0; m < SF_METRIC_COUNT; m++) {
        const struct sf_metric_info *info = sf_metric_info((enum sf_metric)m);
        char row[256];
        static const char *const types[] = {"counter", "gauge", "histogram"};
        snprintf(row, sizeof row, "| `%s%s` | %s | %s |", info->name,
                 info->type == SF_METRIC_COUNTER ? "_total" : "", types[info->type],
                 *info->labels ? info->labels : "-");
        if (strstr(text, row) == NULL)
            fail_msg("docs/metrics.md lacks: %s", row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_over_blocks),
        cmocka_unit_test(test_cells_do_not_overlap),
        cmocka_unit_test(test_coordinator_labels),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_text_format),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_promtool),
        cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
