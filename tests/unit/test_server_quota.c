/* Rate limits that hold: also for who connects again, asks for much at once, or comes with many
 * connections. */
#include "unit/server_fixture.h"

#include <inttypes.h>

static unsigned status_of_next(int fd, uint32_t request_id, uint32_t count,
                               struct sf_wire_error *ret, char reason[256])
{
    static uint8_t body[65536];
    struct sf_wire_header header;
    client_next(fd, request_id, count);
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.request_id, request_id);
    *ret = (struct sf_wire_error){0};
    reason[0] = '\0';
    if (header.code != SF_WIRE_OK) {
        assert_int_equal(sf_wire_get_error(body, header.length - 8, ret), 0);
        snprintf(reason, 256, "%.*s", (int)ret->reason_size, ret->reason);
    }
    return header.code;
}

/* A new connection brings no IDs: a thousand of them get what the rate gives, not a burst each. */
static void test_reconnecting_brings_nothing(void **state)
{
    struct fixture *f = *state;
    f->options.limits.connection_ids_per_s = 2;
    f->options.limits.connection_burst = 1000;
    fixture_start(f);
    struct sf_wire_error error;
    char reason[256];
    uint64_t got = 0;
    const int64_t began_ns = sf_mono_ns();
    for (uint32_t i = 0; i < 200; i++) {
        const int fd = client_connect(f);
        const unsigned status = status_of_next(fd, i, 100, &error, reason);
        if (status == SF_WIRE_OK)
            got += 100;
        else
            assert_int_equal(status, SF_WIRE_RATE_LIMITED);
        close(fd);
    }
    const double seconds = (double)(sf_mono_ns() - began_ns) / 1e9;
    print_message("%" PRIu64 " IDs in %.1f s\n", got, seconds);
    assert_true((double)got <= 2 * seconds);
}

/* What was said about the wait is true for a new connection too. */
static void test_a_new_connection_waits_and_gets(void **state)
{
    struct fixture *f = *state;
    f->options.limits.connection_ids_per_s = 100;
    f->options.limits.connection_burst = 10;
    fixture_start(f);
    const int fd = client_connect(f);
    struct sf_wire_error error;
    char reason[256];
    const unsigned status = status_of_next(fd, 1, 10, &error, reason);
    if (status == SF_WIRE_RATE_LIMITED) { /* not on a machine that slept for 100 ms just now */
        assert_in_range(error.retry_after_ms, 1, 100);
        sf_sleep_ms(error.retry_after_ms);
        assert_int_equal(status_of_next(fd, 2, 10, &error, reason), SF_WIRE_OK);
    }
    close(fd);
}

/* More than a burst can never be had at once: it is refused for good, with the bound, and the
 * bucket is not touched. INFO tells the same bound. */
static void test_beyond_the_burst(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/sf-tokens-XXXXXX";
    const int file = mkstemp(path);
    assert_int_equal(write(file, "slow:secret-1:100\nfree:secret-2\n", 32), 32);
    close(file);
    f->options.token_file = path;
    f->options.limits.worker_ids_per_s = 1;
    f->options.limits.worker_burst = 400;
    fixture_start(f);
    static const struct {
        const char *token, *name;
        uint32_t bound;
    } cases[] = {{"secret-1", "slow", 100}, {"secret-2", "free", 400}};
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        uint8_t frame[64], body[512];
        struct sf_wire_header header;
        struct sf_wire_error error;
        char reason[256], allowed[32];
        const int fd = client_connect(f);
        client_send(fd, frame,
                    sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 1, cases[i].token, 8));
        expect_status(fd, 0x85, 1, SF_WIRE_OK);
        snprintf(allowed, sizeof allowed, "1 to %" PRIu32, cases[i].bound);
        const uint32_t over[] = {cases[i].bound + 1, 65536};
        for (size_t k = 0; k < SF_COUNT(over); k++) {
            assert_int_equal(status_of_next(fd, 2, over[k], &error, reason), SF_WIRE_TOO_LARGE);
            if (strstr(reason, allowed) == NULL)
                fail_msg("%s: %s", cases[i].name, reason);
        }
        assert_int_equal(status_of_next(fd, 3, cases[i].bound, &error, reason),
                         i == 0 ? SF_WIRE_OK : SF_WIRE_RATE_LIMITED); /* the worker's was used */
        client_send(fd, frame, sf_wire_put_request(frame, sizeof frame, SF_WIRE_INFO, 4, NULL, 0));
        assert_true(client_read(fd, &header, body));
        body[header.length - 8] = '\0';
        snprintf(allowed, sizeof allowed, "{\"max_batch\":%" PRIu32 ",\"x\":1}", cases[i].bound);
        assert_string_equal(body, allowed);
        close(fd);
    }
    unlink(path);
}

static size_t info_with_bound(void *ctx, char *to, size_t size)
{
    struct fixture *f = ctx;
    return (size_t)snprintf(to, size, "{\"max_batch\":%" PRIu32 ",\"x\":1}",
                            f->server != NULL ? sf_server_max_batch(f->server) : 0);
}

static int setup_with_bound(void **state)
{
    fixture_setup_prepared(state);
    ((struct fixture *)*state)->options.host.info = info_with_bound;
    return 0;
}

/* An address has one bucket, whatever connects from there and when; another one has its own. */
static void test_by_address(void **state)
{
    struct fixture *f = *state;
    f->options.limits.address_ids_per_s = 1;
    f->options.limits.address_burst = 100;
    fixture_start(f);
    struct sf_wire_error error;
    char reason[256];
    int fd = client_connect_from(f, "127.0.0.2");
    assert_int_equal(status_of_next(fd, 1, 90, &error, reason), SF_WIRE_OK);
    assert_int_equal(status_of_next(fd, 2, 101, &error, reason), SF_WIRE_TOO_LARGE);
    close(fd);
    EVENTUALLY(sf_server_connections(f->server) == 0);
    fd = client_connect_from(f, "127.0.0.2");
    assert_int_equal(status_of_next(fd, 3, 90, &error, reason), SF_WIRE_RATE_LIMITED);
    assert_non_null(strstr(reason, "address"));
    assert_in_range(error.retry_after_ms, 60000, 80000);
    const int other = client_connect_from(f, "127.0.0.3");
    assert_int_equal(status_of_next(other, 4, 90, &error, reason), SF_WIRE_OK);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_RATE_LIMITED, SF_RATE_SCOPE_ADDRESS) == 1);
    close(fd);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_reconnecting_brings_nothing, NULL),
        PREPARED_TEST(test_a_new_connection_waits_and_gets, NULL),
        cmocka_unit_test_setup_teardown(test_beyond_the_burst, setup_with_bound, fixture_teardown),
        PREPARED_TEST(test_by_address, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
