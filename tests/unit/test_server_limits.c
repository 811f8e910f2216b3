/* What a peer can make the server hold or wait for is bounded: unsent answers, half frames,
 * connections, waiting requests, IDs a second. */
#include "unit/server_fixture.h"

#include <malloc.h>

/* Never reads: its own reads stop, and it is closed at its deadline. Nobody else notices. */
static void test_slow_reader(void **state)
{
    struct fixture *f = *state;
    f->options.limits.write_timeout_ms = 300;
    fixture_start(f);
    const int slow = client_connect(f), other = client_connect(f);
    fcntl(slow, F_SETFL, O_NONBLOCK);
    uint8_t frame[300], body[256] = {0};
    const size_t size =
        sf_wire_put_request(frame, sizeof frame, SF_WIRE_PING, 1, body, sizeof body);
    uint64_t last = 0;
    size_t at = 0; /* of a frame that was sent in part; else what follows would be none */
    bool closed = false;
    for (int64_t end = sf_mono_ns() + PATIENCE_MS * SF_NS_PER_MS; !closed && sf_mono_ns() < end;) {
        for (int i = 0; i < 1000 && !closed; i++) {
            const ssize_t sent = send(slow, frame + at, size - at, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN)
                break;
            closed = sent < 0;
            at = closed ? 0 : (at + (size_t)sent) % size;
        }
        client_next(other, 1, 1);
        assert_int_equal(expect_ids(other, 1, &last), 1);
    }
    assert_true(closed);
    EVENTUALLY(
        sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_WRITE_TIMEOUT) == 1);
    close(slow);
    close(other);
}

static void test_timeouts(void **state)
{
    struct fixture *f = *state;
    f->options.limits.idle_timeout_ms = 600;
    f->options.limits.frame_timeout_ms = 200;
    fixture_start(f);
    const int half = client_connect(f), dripping = client_connect(f), skipping = client_connect(f),
              idle = client_connect(f);
    client_send(half, "\0\0\0", 3);
    uint8_t head[12];
    sf_wire_put_header(head, SF_WIRE_PING, 0, 1, 60000);
    client_send(skipping, head, sizeof head);
    sf_wire_put_header(head, SF_WIRE_PING, 0, 1, 200);
    client_send(dripping, head, sizeof head);
    /* One byte at a time keeps nobody alive. */
    for (int i = 0; i < 100; i++) {
        if (send(dripping, "x", 1, MSG_NOSIGNAL) < 0)
            break;
        send(skipping, "x", 1, MSG_NOSIGNAL);
        sf_sleep_ms(10);
    }
    EVENTUALLY(
        sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_FRAME_TIMEOUT) == 3);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_IDLE) == 1);
    expect_end(half);
    expect_end(idle);
    close(dripping);
    close(skipping);
}

static void test_connection_limit(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_connections = 8;
    fixture_start(f);
    int fds[8];
    uint64_t last = 0;
    for (int i = 0; i < 8; i++) {
        fds[i] = client_connect(f);
        client_next(fds[i], 1, 1);
        last = 0;
        assert_int_equal(expect_ids(fds[i], 1, &last), 1);
    }
    for (int i = 0; i < 100; i++) {
        const int fd = client_connect(f);
        expect_status(fd, 0xBF, 0, SF_WIRE_OVERLOADED);
        expect_end(fd);
    }
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_LIMIT) ==
               100);
    EVENTUALLY(sf_server_connections(f->server) == 8);
    close(fds[0]);
    EVENTUALLY(sf_server_connections(f->server) == 7);
    fds[0] = client_connect(f);
    client_next(fds[0], 2, 1);
    last = 0;
    assert_int_equal(expect_ids(fds[0], 2, &last), 1);
    for (int i = 0; i < 8; i++)
        close(fds[i]);
}

/* Who has been silent for long gives way; who talks stays. */
static void test_idle_gives_way(void **state)
{
    struct fixture *f = *state;
    enum { HELD = 6 };
    f->options.limits.max_connections = HELD;
    fixture_start(f);
    int fds[HELD];
    uint64_t last = 0;
    uint8_t frame[64], body[512];
    struct sf_wire_header header;
    for (int i = 0; i < HELD; i++) {
        fds[i] = client_connect(f);
        client_next(fds[i], 1, 1);
        last = 0;
        expect_ids(fds[i], 1, &last);
    }
    /* All but the first two keep talking. */
    for (const int64_t end = sf_mono_ns() + 2600 * SF_NS_PER_MS; sf_mono_ns() < end;) {
        for (int i = 2; i < HELD; i++) {
            client_send(fds[i], frame,
                        sf_wire_put_request(frame, sizeof frame, SF_WIRE_PING, 5, "", 0));
            expect_status(fds[i], 0x82, 5, SF_WIRE_OK);
        }
        sf_sleep_ms(50);
    }
    int fresh[2];
    for (int i = 0; i < 2; i++) {
        fresh[i] = client_connect(f);
        client_next(fresh[i], 2, 1);
        last = 0;
        assert_int_equal(expect_ids(fresh[i], 2, &last), 1);
    }
    for (int i = 0; i < 2; i++) {
        assert_true(client_read(fds[i], &header, body));
        assert_int_equal(header.type, SF_WIRE_GOAWAY);
        expect_end(fds[i]);
    }
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_EVICTED) ==
               2);
    for (int i = 2; i < HELD; i++) {
        client_next(fds[i], 6, 1);
        last = 0;
        assert_int_equal(expect_ids(fds[i], 6, &last), 1);
    }
    const int extra = client_connect(f);
    expect_status(extra, 0xBF, 0, SF_WIRE_OVERLOADED);
    expect_end(extra);
    EVENTUALLY(sf_server_connections(f->server) == HELD);
    for (int i = 2; i < HELD; i++)
        close(fds[i]);
    close(fresh[0]);
    close(fresh[1]);
}

/* Time stands still: what waits is bounded, refused at once past the bound, and ends with
 * OVERLOADED at its deadline. */
static void test_waiting_is_bounded(void **state)
{
    struct fixture *f = *state;
    const uint32_t tries = 1000;
    f->options.limits.max_waiting = 2;
    f->options.limits.max_wait_ms = 5000; /* room for a busy machine */
    f->options.limits.sequence_jitter = 0;
    atomic_store(&f->fixed_ms, fixture_now(f) + 1000);
    fixture_start(f);
    const int one = client_connect(f), two = client_connect(f), three = client_connect(f);
    uint64_t last = 0;
    client_next(one, 1, 64);
    assert_int_equal(expect_ids(one, 1, &last), 64);
    client_next(one, 2, 1);
    EVENTUALLY(sf_server_waiting(f->server) == 1);
    client_next(two, 3, 1);
    EVENTUALLY(sf_server_waiting(f->server) == 2);
    /* Those that wait are tried again every millisecond; their places are not free meanwhile. */
    for (uint32_t i = 0; i < tries; i++) {
        client_next(three, 4 + i, 1);
        expect_status(three, 0x81, 4 + i, SF_WIRE_OVERLOADED);
    }
    /* The next millisecond serves those who waited. */
    atomic_fetch_add(&f->fixed_ms, 1);
    assert_int_equal(expect_ids(one, 2, &last), 1);
    uint64_t other = 0;
    assert_int_equal(expect_ids(two, 3, &other), 1);
    EVENTUALLY(sf_server_waiting(f->server) == 0);
    /* And without one they are told at their deadline. */
    client_next(one, 5, 64);
    expect_status(one, 0x81, 5, SF_WIRE_OVERLOADED);
    assert_int_equal(sf_server_waiting(f->server), 0);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_OVERLOADED, SF_OVERLOAD_QUEUE) == tries);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_OVERLOADED, SF_OVERLOAD_WAIT) == 1);
    close(one);
    close(two);
    close(three);
}

static void test_rate_limits(void **state)
{
    struct fixture *f = *state;
    f->options.limits.connection_ids_per_s = 10;
    f->options.limits.connection_burst = 5;
    f->options.limits.worker_ids_per_s = 10;
    f->options.limits.worker_burst = 8;
    fixture_start(f);
    const int one = client_connect(f), two = client_connect(f);
    uint64_t last = 0;
    sf_sleep_ms(700); /* their own buckets begin empty; now they are full */
    for (uint32_t i = 0; i < 6; i++)
        client_next(one, i, 1);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(expect_ids(one, i, &last), 1);
    expect_status(one, 0x81, 5, SF_WIRE_RATE_LIMITED);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_RATE_LIMITED, SF_RATE_SCOPE_CONNECTION) == 1);
    last = 0;
    client_next(two, 1, 3);
    assert_int_equal(expect_ids(two, 1, &last), 3);
    client_next(two, 2, 2);
    struct sf_wire_header header;
    uint8_t body[512];
    assert_true(client_read(two, &header, body));
    assert_int_equal(header.code, SF_WIRE_RATE_LIMITED);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_RATE_LIMITED, SF_RATE_SCOPE_WORKER) == 1);
    /* The wait that was named is true. */
    struct sf_wire_error error;
    assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
    assert_in_range(error.retry_after_ms, 1, 200);
    sf_sleep_ms(error.retry_after_ms);
    client_next(two, 3, 2);
    assert_int_equal(expect_ids(two, 3, &last), 2);
    close(one);
    close(two);
}

/* Loops turn while nothing happens, and an idle connection holds next to no memory. */
static void test_idle(void **state)
{
    struct fixture *f = *state;
    enum { IDLE = 400 };
    static int fds[IDLE];
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < IDLE; i++) {
        uint64_t last = 0;
        fds[i] = client_connect(f);
        client_next(fds[i], 1, 1);
        assert_int_equal(expect_ids(fds[i], 1, &last), 1);
    }
    const size_t each = (mallinfo2().uordblks - before) / IDLE;
    print_message("%zu bytes for an idle connection\n", each);
    assert_true(each < 1024);
    const int64_t end_ns = sf_mono_ns() + 3 * SF_NS_PER_S;
    while (sf_mono_ns() < end_ns) {
        uint32_t stalls[SF_SERVER_THREADS_MAX];
        const size_t shards = sf_server_stalls_ms(f->server, stalls);
        for (size_t i = 0; i < shards; i++)
            assert_true(stalls[i] < 2500);
        sf_sleep_ms(100);
    }
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
}

static struct arrangement tiny = {TINY_LAYOUT, 0, 1};

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_slow_reader, NULL),
        PREPARED_TEST(test_timeouts, NULL),
        PREPARED_TEST(test_connection_limit, NULL),
        PREPARED_TEST(test_idle_gives_way, NULL),
        PREPARED_TEST(test_waiting_is_bounded, &tiny),
        PREPARED_TEST(test_rate_limits, NULL),
        STARTED_TEST(test_idle, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
