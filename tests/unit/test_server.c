/* The server over real sockets: what it answers, in which order, and that bad input costs bounded
 * memory and disturbs nobody. */
#include "server_fixture.h"

#include "base/strbuf.h"

#include <malloc.h>

static const struct sf_layout tiny = {41, 5, 11, 6}; /* 64 IDs a millisecond */

static void test_next_ping_info_time(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    const int fd = client_connect(&f);
    uint64_t last = 0;
    client_next(fd, 7, 1);
    assert_int_equal(expect_ids(fd, 7, &last), 1);
    struct sf_id_parts parts;
    assert_int_equal(sf_id_decode(&SF_DEFAULT_LAYOUT, last, &parts), 0);
    assert_int_equal(parts.datacenter, 1);
    assert_int_equal(parts.worker, 0);
    assert_in_range(parts.timestamp_ms, f.start_ms, f.start_ms + 60000);
    uint8_t frame[512], body[65536];
    struct sf_wire_header header;
    for (unsigned size = 0; size <= SF_WIRE_PING_MAX; size += 128) {
        memset(body, 'x', size);
        client_send(fd, frame, sf_wire_put_ping(frame, sizeof frame, 8, body, size));
        memset(body, 0, size);
        assert_true(client_read(fd, &header, body));
        assert_int_equal(header.type, 0x82);
        assert_int_equal(header.code, 0);
        assert_int_equal(header.length, 8 + size);
        if (size > 0)
            assert_int_equal(body[size - 1], 'x');
    }
    client_send(fd, frame, sf_wire_put_info(frame, sizeof frame, 9));
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.type, 0x83);
    assert_memory_equal(body, "{\"protocol\":1}", 14);
    client_send(fd, frame, sf_wire_put_time(frame, sizeof frame, 10));
    assert_true(client_read(fd, &header, body));
    struct sf_wire_time time;
    assert_int_equal(sf_wire_get_time_body(body, header.length - 8, &time), 0);
    assert_int_equal(time.offset_ns, -3);
    client_send(fd, frame, sf_wire_put_auth(frame, sizeof frame, 11, "any", 3));
    expect_status(fd, 0x85, 11, SF_WIRE_OK);
    close(fd);
    EVENTUALLY(sf_server_connections(f.server) == 0);
    fixture_stop(&f);
}

/* Answers come in the order of the requests, whatever kind they are, also when one in the middle
 * has to wait. */
static void test_pipelined_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, tiny, 2, 1);
    fixture_start(&f);
    const int fd = client_connect(&f);
    enum { ROUNDS = 50 };
    uint8_t frames[ROUNDS * 128];
    size_t size = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const struct sf_wire_next one = {.count = 1}, many = {.count = 300};
        size += sf_wire_put_next(frames + size, 64, 4 * i, &one);
        size += sf_wire_put_next(frames + size, 64, 4 * i + 1, &many);
        size += sf_wire_put_ping(frames + size, 64, 4 * i + 2, "p", 1);
        size += sf_wire_put_next(frames + size, 64, 4 * i + 3, &one);
    }
    client_send(fd, frames, size);
    uint64_t last = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(expect_ids(fd, 4 * i, &last), 1);
        assert_int_equal(expect_ids(fd, 4 * i + 1, &last), 300);
        expect_status(fd, 0x82, 4 * i + 2, SF_WIRE_OK);
        assert_int_equal(expect_ids(fd, 4 * i + 3, &last), 1);
    }
    assert_true(sf_metrics_sum(f.metrics, SF_METRIC_SEQUENCE_EXHAUSTED, 0) > 0);
    close(fd);
    EVENTUALLY(sf_server_waiting(f.server) == 0);
    fixture_stop(&f);
}

static void test_largest_batch(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    const int fd = client_connect(&f);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 5; i++)
        client_next(fd, i, 65536);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(expect_ids(fd, i, &last), 65536);
    client_next(fd, 1, 65537);
    expect_status(fd, 0x81, 1, SF_WIRE_TOO_LARGE);
    client_next(fd, 2, 0);
    expect_status(fd, 0x81, 2, SF_WIRE_TOO_LARGE);
    close(fd);
    fixture_stop(&f);
}

/* With one sequence number a millisecond a response is all runs: the largest batch must fit its
 * frame. */
static void test_runs_fit_a_frame(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, (struct sf_layout){53, 5, 5, 0}, 5000, 1);
    fixture_start(&f);
    const uint32_t most = sf_server_max_batch(f.server);
    assert_in_range(most, 1, SF_WIRE_RUNS_MAX);
    const int fd = client_connect(&f);
    uint64_t last = 0;
    client_next(fd, 1, most);
    assert_int_equal(expect_ids(fd, 1, &last), most);
    client_next(fd, 2, most + 1);
    expect_status(fd, 0x81, 2, SF_WIRE_TOO_LARGE);
    close(fd);
    fixture_stop(&f);
}

struct bad_input {
    const char *name;
    uint8_t bytes[24];
    size_t size;
    uint8_t type;
    uint32_t request_id;
    unsigned status;
    bool closes;
};

static void test_bad_input(void **state)
{
    (void)state;
    static const struct bad_input cases[] = {
        {"length 0", {0, 0, 0, 0}, 4, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
        {"length 7", {0, 0, 0, 7}, 4, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
        {"length 65537", {0, 1, 0, 1}, 4, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
        {"length 2^32-1", {255, 255, 255, 255, 1}, 5, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
        {"version 2", {0, 0, 0, 8, 2, 2, 0, 0, 0, 0, 0, 9}, 12, 0x82, 9, SF_WIRE_UNSUPPORTED, true},
        {"version 0",
         {0, 0, 0, 8, 0, 0x99, 0, 0, 0, 0, 0, 9},
         12,
         0xBF,
         9,
         SF_WIRE_UNSUPPORTED,
         true},
        {"type 0", {0, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 9}, 12, 0xBF, 9, SF_WIRE_UNSUPPORTED, false},
        {"type 6", {0, 0, 0, 8, 1, 6, 0, 0, 0, 0, 0, 9}, 12, 0x86, 9, SF_WIRE_UNSUPPORTED, false},
        {"type 0x3F",
         {0, 0, 0, 8, 1, 0x3F, 0, 0, 0, 0, 0, 9},
         12,
         0xBF,
         9,
         SF_WIRE_UNSUPPORTED,
         false},
        {"type 0x40",
         {0, 0, 0, 8, 1, 0x40, 0, 0, 0, 0, 0, 9},
         12,
         0xBF,
         9,
         SF_WIRE_UNSUPPORTED,
         false},
        {"a response",
         {0, 0, 0, 8, 1, 0x81, 0, 0, 0, 0, 0, 9},
         12,
         0xBF,
         9,
         SF_WIRE_UNSUPPORTED,
         false},
        {"flags of NEXT",
         {0, 0, 0, 12, 1, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1},
         16,
         0x81,
         9,
         SF_WIRE_BAD_REQUEST,
         false},
        {"flags of PING",
         {0, 0, 0, 8, 1, 2, 0, 1, 0, 0, 0, 9},
         12,
         0x82,
         9,
         SF_WIRE_BAD_REQUEST,
         false},
        {"NEXT without count",
         {0, 0, 0, 8, 1, 1, 0, 0, 0, 0, 0, 9},
         12,
         0x81,
         9,
         SF_WIRE_BAD_REQUEST,
         false},
        {"AFTER without after",
         {0, 0, 0, 12, 1, 1, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1},
         16,
         0x81,
         9,
         SF_WIRE_BAD_REQUEST,
         false},
        {"count 0",
         {0, 0, 0, 12, 1, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0},
         16,
         0x81,
         9,
         SF_WIRE_TOO_LARGE,
         false},
        {"count 65537",
         {0, 0, 0, 12, 1, 1, 0, 0, 0, 0, 0, 9, 0, 1, 0, 1},
         16,
         0x81,
         9,
         SF_WIRE_TOO_LARGE,
         false},
        {"after with its sign bit",
         {0, 0, 0, 20, 1, 1, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0x80},
         24,
         0x81,
         9,
         SF_WIRE_BAD_REQUEST,
         false},
        {"INFO with a body",
         {0, 0, 0, 9, 1, 3, 0, 0, 0, 0, 0, 9, 1},
         13,
         0x83,
         9,
         SF_WIRE_BAD_REQUEST,
         false},
        {"AUTH without a token",
         {0, 0, 0, 8, 1, 5, 0, 0, 0, 0, 0, 9},
         12,
         0x85,
         9,
         SF_WIRE_BAD_REQUEST,
         false},
    };
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    const int bystander = client_connect(&f);
    uint64_t last = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct bad_input *c = &cases[i];
        print_message("%s\n", c->name);
        const int fd = client_connect(&f);
        /* Before and behind it stand good requests; at once, and byte by byte. */
        for (int slowly = 0; slowly < 2; slowly++) {
            uint64_t own = 0;
            client_next(fd, 1, 1);
            for (size_t b = 0; slowly && b < c->size; b++) {
                client_send(fd, c->bytes + b, 1);
                sf_sleep_ms(1);
            }
            if (!slowly)
                client_send(fd, c->bytes, c->size);
            if (!c->closes)
                client_next(fd, 2, 1);
            assert_int_equal(expect_ids(fd, 1, &own), 1);
            expect_status(fd, c->type, c->request_id, c->status);
            if (c->closes)
                break;
            assert_int_equal(expect_ids(fd, 2, &own), 1);
        }
        if (c->closes)
            expect_end(fd);
        else
            close(fd);
        client_next(bystander, 3, 1);
        assert_int_equal(expect_ids(bystander, 3, &last), 1);
    }
    close(bystander);
    EVENTUALLY(sf_server_connections(f.server) == 0);
    fixture_stop(&f);
}

/* A frame longer than any request is answered and skipped, and the next one follows. */
static void test_long_frames_are_skipped(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, answer;
        unsigned status;
        uint32_t body;
    } cases[] = {
        {2, 0x82, SF_WIRE_BAD_REQUEST, 257},   {2, 0x82, SF_WIRE_BAD_REQUEST, 65528},
        {1, 0x81, SF_WIRE_BAD_REQUEST, 40000}, {5, 0x85, SF_WIRE_BAD_REQUEST, 257},
        {9, 0x89, SF_WIRE_UNSUPPORTED, 65528},
    };
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    const int fd = client_connect(&f);
    uint64_t last = 0;
    uint8_t *frame = calloc(1, SF_WIRE_FRAME_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(frame, 1, SF_WIRE_FRAME_MAX);
        sf_wire_put_header(frame, cases[i].type, 0, 5, cases[i].body);
        client_send(fd, frame, 12 + (size_t)cases[i].body);
        client_next(fd, 6, 2);
        expect_status(fd, cases[i].answer, 5, cases[i].status);
        assert_int_equal(expect_ids(fd, 6, &last), 2);
    }
    free(frame);
    close(fd);
    fixture_stop(&f);
}

static void *send_frames(void *arg)
{
    const int fd = *(int *)arg;
    static uint8_t chunk[16 * 4096];
    const struct sf_wire_next next = {.count = 1};
    for (uint32_t i = 0; i < 1000000;) {
        size_t size = 0;
        for (; size < sizeof chunk && i < 1000000; i++)
            size += sf_wire_put_next(chunk + size, 16, i, &next);
        client_send(fd, chunk, size);
    }
    return NULL;
}

static void test_a_million_frames(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.max_wait_ms = 600000; /* a slow machine is no reason to shed */
    fixture_start(&f);
    int fd = client_connect(&f);
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_frames, &fd), 0);
    uint64_t last = 0;
    static uint8_t chunk[24 * 1000];
    for (uint32_t i = 0; i < 1000000; i += 1000) {
        assert_int_equal(recv(fd, chunk, sizeof chunk, MSG_WAITALL), sizeof chunk);
        for (uint32_t j = 0; j < 1000; j++) {
            assert_int_equal(sf_load_be32(chunk + 24 * j + 8), i + j);
            assert_true(sf_load_be64(chunk + 24 * j + 12) > last);
            last = sf_load_be64(chunk + 24 * j + 12);
        }
    }
    pthread_join(sender, NULL);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_IDS_MINTED, 0) == 1000000);
    close(fd);
    fixture_stop(&f);
}

/* Never reads: its own reads stop, and it is closed at its deadline. Nobody else notices. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.write_timeout_ms = 300;
    fixture_start(&f);
    const int slow = client_connect(&f), other = client_connect(&f);
    fcntl(slow, F_SETFL, O_NONBLOCK);
    uint8_t frame[300], body[256] = {0};
    const size_t size = sf_wire_put_ping(frame, sizeof frame, 1, body, sizeof body);
    uint64_t last = 0;
    bool closed = false;
    for (int64_t end = sf_mono_ns() + PATIENCE_MS * SF_NS_PER_MS; !closed && sf_mono_ns() < end;) {
        for (int i = 0; i < 1000 && !closed; i++) {
            const ssize_t sent = send(slow, frame, size, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN)
                break;
            closed = sent < 0;
        }
        client_next(other, 1, 1);
        assert_int_equal(expect_ids(other, 1, &last), 1);
    }
    assert_true(closed);
    EVENTUALLY(
        sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_WRITE_TIMEOUT) == 1);
    close(slow);
    close(other);
    fixture_stop(&f);
}

/* Reads late but reads: gets everything, in order. */
static void test_late_reader(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.max_wait_ms = 600000; /* a slow machine is no reason to shed */
    fixture_start(&f);
    int fd = client_connect(&f);
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_frames, &fd), 0);
    sf_sleep_ms(300);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        uint8_t answer[24];
        assert_int_equal(recv(fd, answer, sizeof answer, MSG_WAITALL), sizeof answer);
        assert_int_equal(sf_load_be32(answer + 8), i);
        assert_true(sf_load_be64(answer + 12) > last);
        last = sf_load_be64(answer + 12);
    }
    pthread_join(sender, NULL);
    close(fd);
    fixture_stop(&f);
}

static void test_timeouts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.idle_timeout_ms = 600;
    f.options.limits.frame_timeout_ms = 200;
    fixture_start(&f);
    const int half = client_connect(&f), dripping = client_connect(&f),
              skipping = client_connect(&f), idle = client_connect(&f);
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
        sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_FRAME_TIMEOUT) == 3);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_IDLE) == 1);
    expect_end(half);
    expect_end(idle);
    close(dripping);
    close(skipping);
    fixture_stop(&f);
}

static void test_connection_limit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.max_connections = 8;
    fixture_start(&f);
    int fds[8];
    uint64_t last = 0;
    for (int i = 0; i < 8; i++) {
        fds[i] = client_connect(&f);
        client_next(fds[i], 1, 1);
        last = 0;
        assert_int_equal(expect_ids(fds[i], 1, &last), 1);
    }
    for (int i = 0; i < 100; i++) {
        const int fd = client_connect(&f);
        expect_status(fd, 0xBF, 0, SF_WIRE_OVERLOADED);
        expect_end(fd);
    }
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_LIMIT) ==
               100);
    EVENTUALLY(sf_server_connections(f.server) == 8);
    close(fds[0]);
    EVENTUALLY(sf_server_connections(f.server) == 7);
    fds[0] = client_connect(&f);
    client_next(fds[0], 2, 1);
    last = 0;
    assert_int_equal(expect_ids(fds[0], 2, &last), 1);
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    fixture_stop(&f);
}

/* Who has been silent for long gives way; who talks stays. */
static void test_idle_gives_way(void **state)
{
    (void)state;
    enum { HELD = 6 };
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.max_connections = HELD;
    fixture_start(&f);
    int fds[HELD];
    uint64_t last = 0;
    uint8_t frame[64], body[512];
    struct sf_wire_header header;
    for (int i = 0; i < HELD; i++) {
        fds[i] = client_connect(&f);
        client_next(fds[i], 1, 1);
        last = 0;
        expect_ids(fds[i], 1, &last);
    }
    /* All but the first two keep talking. */
    for (const int64_t end = sf_mono_ns() + 2600 * SF_NS_PER_MS; sf_mono_ns() < end;) {
        for (int i = 2; i < HELD; i++) {
            client_send(fds[i], frame, sf_wire_put_ping(frame, sizeof frame, 5, "", 0));
            expect_status(fds[i], 0x82, 5, SF_WIRE_OK);
        }
        sf_sleep_ms(50);
    }
    int fresh[2];
    for (int i = 0; i < 2; i++) {
        fresh[i] = client_connect(&f);
        client_next(fresh[i], 2, 1);
        last = 0;
        assert_int_equal(expect_ids(fresh[i], 2, &last), 1);
    }
    for (int i = 0; i < 2; i++) {
        assert_true(client_read(fds[i], &header, body));
        assert_int_equal(header.type, SF_WIRE_GOAWAY);
        expect_end(fds[i]);
    }
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_EVICTED) == 2);
    for (int i = 2; i < HELD; i++) {
        client_next(fds[i], 6, 1);
        last = 0;
        assert_int_equal(expect_ids(fds[i], 6, &last), 1);
    }
    const int extra = client_connect(&f);
    expect_status(extra, 0xBF, 0, SF_WIRE_OVERLOADED);
    expect_end(extra);
    EVENTUALLY(sf_server_connections(f.server) == HELD);
    for (int i = 2; i < HELD; i++)
        close(fds[i]);
    close(fresh[0]);
    close(fresh[1]);
    fixture_stop(&f);
}

static void test_refusals(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    const int fd = client_connect(&f);
    sf_generator_close(&f.generators[0]);
    static const int statuses[] = {SF_WIRE_NOT_READY, SF_WIRE_CLOCK, SF_WIRE_DRAINING};
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&f.refusal_status, statuses[i]);
        client_next(fd, 1, 1);
        client_next(fd, 2, 100);
        expect_status(fd, 0x81, 1, (unsigned)statuses[i]);
        expect_status(fd, 0x81, 2, (unsigned)statuses[i]);
    }
    /* The reservation's end: served up to it, refused from there. */
    const uint64_t now = fixture_now(&f);
    atomic_store(&f.fixed_ms, now + 1000);
    assert_int_equal(sf_generator_open(&f.generators[0], 1, 0, now + 1000, now + 1001), 0);
    uint64_t last = 0;
    client_next(fd, 3, 4000);
    assert_int_equal(expect_ids(fd, 3, &last), 4000);
    client_next(fd, 4, 4000);
    expect_status(fd, 0x81, 4, SF_WIRE_DRAINING);
    struct sf_id_parts parts;
    assert_int_equal(sf_id_decode(&SF_DEFAULT_LAYOUT, last, &parts), 0);
    assert_true(parts.timestamp_ms < now + 1001);
    close(fd);
    fixture_stop(&f);
}

/* Time stands still: what waits is bounded, refused at once past the bound, and ends with
 * OVERLOADED at its deadline. */
static void test_waiting_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    const uint32_t tries = 1000;
    fixture_prepare(&f, tiny, 0, 1);
    f.options.limits.max_waiting = 2;
    f.options.limits.max_wait_ms = 5000; /* room for a busy machine */
    f.options.limits.sequence_jitter = 0;
    atomic_store(&f.fixed_ms, fixture_now(&f) + 1000);
    fixture_start(&f);
    const int one = client_connect(&f), two = client_connect(&f), three = client_connect(&f);
    uint64_t last = 0;
    client_next(one, 1, 64);
    assert_int_equal(expect_ids(one, 1, &last), 64);
    client_next(one, 2, 1);
    EVENTUALLY(sf_server_waiting(f.server) == 1);
    client_next(two, 3, 1);
    EVENTUALLY(sf_server_waiting(f.server) == 2);
    /* Those that wait are tried again every millisecond; their places are not free meanwhile. */
    for (uint32_t i = 0; i < tries; i++) {
        client_next(three, 4 + i, 1);
        expect_status(three, 0x81, 4 + i, SF_WIRE_OVERLOADED);
    }
    /* The next millisecond serves those who waited. */
    atomic_fetch_add(&f.fixed_ms, 1);
    assert_int_equal(expect_ids(one, 2, &last), 1);
    uint64_t other = 0;
    assert_int_equal(expect_ids(two, 3, &other), 1);
    EVENTUALLY(sf_server_waiting(f.server) == 0);
    /* And without one they are told at their deadline. */
    client_next(one, 5, 64);
    expect_status(one, 0x81, 5, SF_WIRE_OVERLOADED);
    assert_int_equal(sf_server_waiting(f.server), 0);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_OVERLOADED, SF_OVERLOAD_QUEUE) == tries);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_OVERLOADED, SF_OVERLOAD_WAIT) == 1);
    close(one);
    close(two);
    close(three);
    fixture_stop(&f);
}

static void test_after(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.max_wait_ms = 1000;
    fixture_start(&f);
    const int fd = client_connect(&f);
    uint8_t frame[64], body[65536];
    struct sf_wire_header header;
    static const struct {
        int64_t ahead_ms;
        unsigned status;
    } cases[] = {
        {-10000, SF_WIRE_OK}, {5, SF_WIRE_OK}, {300, SF_WIRE_OK}, {60000, SF_WIRE_CAUSALITY}};
    for (uint32_t i = 0; i < 4; i++) {
        const struct sf_id_parts seen = {
            .timestamp_ms = (uint64_t)((int64_t)fixture_now(&f) + cases[i].ahead_ms),
            .datacenter = 31,
            .worker = 31,
            .sequence = 4095};
        struct sf_wire_next next = {.count = 3, .has_after = true};
        assert_int_equal(sf_id_encode(&SF_DEFAULT_LAYOUT, &seen, &next.after), 0);
        client_send(fd, frame, sf_wire_put_next(frame, sizeof frame, i, &next));
        assert_true(client_read(fd, &header, body));
        assert_int_equal(header.code, cases[i].status);
        if (cases[i].status == SF_WIRE_OK) {
            struct sf_id_parts parts;
            assert_int_equal(sf_id_decode(&SF_DEFAULT_LAYOUT, sf_load_be64(body), &parts), 0);
            assert_true(parts.timestamp_ms > seen.timestamp_ms);
            continue;
        }
        struct sf_wire_error error;
        assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
        assert_in_range(error.retry_after_ms, 55000, 60000);
    }
    close(fd);
    fixture_stop(&f);
}

static void test_rate_limits(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.connection_ids_per_s = 10;
    f.options.limits.connection_burst = 5;
    f.options.limits.worker_ids_per_s = 10;
    f.options.limits.worker_burst = 8;
    fixture_start(&f);
    const int one = client_connect(&f), two = client_connect(&f);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 6; i++)
        client_next(one, i, 1);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(expect_ids(one, i, &last), 1);
    expect_status(one, 0x81, 5, SF_WIRE_RATE_LIMITED);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_RATE_LIMITED, SF_RATE_SCOPE_CONNECTION) == 1);
    last = 0;
    client_next(two, 1, 3);
    assert_int_equal(expect_ids(two, 1, &last), 3);
    client_next(two, 2, 2);
    struct sf_wire_header header;
    uint8_t body[512];
    assert_true(client_read(two, &header, body));
    assert_int_equal(header.code, SF_WIRE_RATE_LIMITED);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_RATE_LIMITED, SF_RATE_SCOPE_WORKER) == 1);
    /* The wait that was named is true. */
    struct sf_wire_error error;
    assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
    assert_in_range(error.retry_after_ms, 1, 200);
    sf_sleep_ms(error.retry_after_ms);
    client_next(two, 3, 2);
    assert_int_equal(expect_ids(two, 3, &last), 2);
    close(one);
    close(two);
    fixture_stop(&f);
}

static void test_auth(void **state)
{
    (void)state;
    char path[] = "/tmp/sf-tokens-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "# who\none:secret-1\ntwo:secret-2\n", 32), 32);
    close(file);
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.token_file = path;
    fixture_start(&f);
    const int fd = client_connect(&f);
    uint8_t frame[300];
    client_next(fd, 1, 1);
    expect_status(fd, 0x81, 1, SF_WIRE_DENIED);
    client_send(fd, frame, sf_wire_put_auth(frame, sizeof frame, 2, "secret-3", 8));
    expect_status(fd, 0x85, 2, SF_WIRE_DENIED);
    client_send(fd, frame, sf_wire_put_auth(frame, sizeof frame, 3, "secret-", 7));
    expect_status(fd, 0x85, 3, SF_WIRE_DENIED);
    client_send(fd, frame, sf_wire_put_ping(frame, sizeof frame, 4, "", 0));
    expect_status(fd, 0x82, 4, SF_WIRE_OK);
    client_send(fd, frame, sf_wire_put_auth(frame, sizeof frame, 5, "secret-2", 8));
    client_next(fd, 6, 1);
    expect_status(fd, 0x85, 5, SF_WIRE_OK);
    uint64_t last = 0;
    assert_int_equal(expect_ids(fd, 6, &last), 1);
    struct sf_error err = {0};
    f.options.token_file = "/nonexistent/tokens";
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/tokens"));
    close(fd);
    unlink(path);
    fixture_stop(&f);
}

static void write_tokens(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}

static void expect_metric(const struct fixture *f, const char *line)
{
    bool found = false;
    for (int64_t end = sf_mono_ns() + PATIENCE_MS * SF_NS_PER_MS; !found && sf_mono_ns() < end;) {
        struct sf_strbuf page;
        sf_strbuf_init(&page, 1 << 20);
        sf_metrics_scrape(f->metrics, false, &page);
        found = strstr(page.text, line) != NULL;
        sf_strbuf_free(&page);
        sf_sleep_ms(2);
    }
    if (!found)
        fail_msg("%s is not there", line);
}

static int client_auth(const struct fixture *f, const char *token, unsigned status)
{
    uint8_t frame[300];
    const int fd = client_connect(f);
    client_send(fd, frame, sf_wire_put_auth(frame, sizeof frame, 9, token, strlen(token)));
    expect_status(fd, 0x85, 9, status);
    return fd;
}

/* A name's limit holds over all its connections; reading the file again moves limits and revokes.
 */
static void test_names(void **state)
{
    (void)state;
    char path[] = "/tmp/sf-tokens-XXXXXX";
    close(mkstemp(path));
    write_tokens(path, "free:secret-1\nslow:secret-2:10:5\n");
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.token_file = path;
    fixture_start(&f);
    const int open = client_auth(&f, "secret-1", SF_WIRE_OK);
    const int one = client_auth(&f, "secret-2", SF_WIRE_OK),
              two = client_auth(&f, "secret-2", SF_WIRE_OK);
    uint64_t last = 0;
    client_next(one, 1, 3);
    assert_int_equal(expect_ids(one, 1, &last), 3);
    last = 0;
    client_next(two, 2, 5);
    expect_status(two, 0x81, 2, SF_WIRE_RATE_LIMITED);
    client_next(open, 3, 5000);
    assert_int_equal(expect_ids(open, 3, &last), 5000);
    expect_metric(&f, "snowfleet_auth_requests_total{name=\"slow\"} 1\n");
    expect_metric(&f, "snowfleet_auth_ids_total{name=\"free\"} 5000\n");
    expect_metric(&f, "snowfleet_auth_limited_total{name=\"slow\"} 1\n");
    expect_metric(&f, "snowfleet_auth_logins_total{name=\"slow\"} 2\n");
    expect_metric(&f, "snowfleet_rate_limited_total{scope=\"name\"} 1\n");
    /* slow is slow no more; free has got another token. */
    write_tokens(path, "free:secret-3\nslow:secret-2\n");
    struct sf_error err = {0};
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), 0);
    close(client_auth(&f, "secret-3", SF_WIRE_OK));
    client_next(open, 4, 1);
    expect_status(open, 0x81, 4, SF_WIRE_DENIED);
    last = 0;
    client_next(two, 5, 5000);
    assert_int_equal(expect_ids(two, 5, &last), 5000);
    expect_metric(&f, "snowfleet_auth_ids_total{name=\"slow\"} 5003\n");
    expect_metric(&f, "snowfleet_auth_ids_total{name=\"free\"} 5000\n");
    static const char *const bad[] = {"a:b:c\n", "a:b:0\n",    "a:b:1:\n",   "a b:c\n",
                                      "a:\n",    ":b\n",       "a:b\na:c\n", "a:b\nc:b\n",
                                      "",        "a:b:1:2:3\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_tokens(path, bad[i]);
        assert_int_equal(sf_server_reload(f.server, &f.options, &err), -EINVAL);
        assert_non_null(strstr(err.text, "listen.token_file"));
    }
    close(open);
    close(one);
    close(two);
    unlink(path);
    fixture_stop(&f);
}

struct flood {
    int fd;
    atomic_bool enough;
    uint32_t sent, answered, refused;
    bool goaway;
};

static void *flood_send(void *arg)
{
    struct flood *flood = arg;
    uint8_t frame[16];
    while (!atomic_load(&flood->enough)) {
        const struct sf_wire_next next = {.count = 1 + flood->sent % 50};
        sf_wire_put_next(frame, sizeof frame, flood->sent, &next);
        client_send(flood->fd, frame, sizeof frame);
        flood->sent++;
    }
    shutdown(flood->fd, SHUT_WR);
    return NULL;
}

static void *flood_read(void *arg)
{
    struct flood *flood = arg;
    static _Thread_local uint8_t body[65536];
    struct sf_wire_header header;
    while (client_read(flood->fd, &header, body)) {
        if (header.type == SF_WIRE_GOAWAY) {
            flood->goaway = true;
            atomic_store(&flood->enough, true);
            continue;
        }
        assert_int_equal(header.request_id, flood->answered);
        flood->answered++;
        flood->refused += header.code == SF_WIRE_DRAINING;
    }
    return NULL;
}

/* Whatever was sent before GOAWAY was heard is answered, with IDs or with DRAINING. */
static void test_drain_under_load(void **state)
{
    (void)state;
    enum { FLOODS = 6 };
    struct fixture f;
    fixture_prepare(&f, tiny, 10, 1);
    atomic_store(&f.refusal_status, SF_WIRE_DRAINING);
    fixture_start(&f);
    static struct flood floods[FLOODS];
    memset(floods, 0, sizeof floods);
    pthread_t senders[FLOODS], readers[FLOODS];
    for (int i = 0; i < FLOODS; i++) {
        floods[i].fd = client_connect(&f);
        pthread_create(&senders[i], NULL, flood_send, &floods[i]);
        pthread_create(&readers[i], NULL, flood_read, &floods[i]);
    }
    sf_sleep_ms(200);
    const int64_t began_ns = sf_mono_ns();
    sf_server_drain(f.server, 60000, "test");
    sf_sleep_ms(20);
    sf_generator_close(&f.generators[0]);
    uint32_t refused = 0;
    for (int i = 0; i < FLOODS; i++) {
        pthread_join(senders[i], NULL);
        pthread_join(readers[i], NULL);
        assert_true(floods[i].goaway);
        assert_int_equal(floods[i].answered, floods[i].sent);
        refused += floods[i].refused;
        close(floods[i].fd);
    }
    print_message("%u of the last connection's %u requests refused with DRAINING; %u in all\n",
                  floods[FLOODS - 1].refused, floods[FLOODS - 1].sent, refused);
    EVENTUALLY(sf_server_connections(f.server) == 0);
    /* Ends when all is answered, not at some deadline: the shortest one here is 10 s. */
    assert_true(sf_mono_ns() - began_ns < 8 * SF_NS_PER_S);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sf_server_port(f.server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    close(fd);
    fixture_stop(&f);
}

/* Requests with the end of the stream right behind them: all are answered, then the server ends as
 * well. */
static void test_half_closed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    for (int round = 0; round < 200; round++) {
        const int fd = client_connect(&f);
        uint8_t frames[32 * 16];
        size_t size = 0;
        const struct sf_wire_next next = {.count = 100};
        for (uint32_t i = 0; i < 32; i++)
            size += sf_wire_put_next(frames + size, 16, i, &next);
        if (round % 2 == 0)
            sf_sleep_ms(1); /* the connection has been taken over by its shard */
        client_send(fd, frames, size);
        shutdown(fd, SHUT_WR);
        uint64_t last = 0;
        for (uint32_t i = 0; i < 32; i++)
            assert_int_equal(expect_ids(fd, i, &last), 100);
        expect_end(fd);
    }
    EVENTUALLY(sf_server_connections(f.server) == 0);
    fixture_stop(&f);
}

static void test_age(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.max_connection_age_ms = 200;
    fixture_start(&f);
    const int fd = client_connect(&f);
    struct sf_wire_header header;
    uint8_t body[512];
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.type, SF_WIRE_GOAWAY);
    uint64_t last = 0;
    client_next(fd, 1, 1);
    assert_int_equal(expect_ids(fd, 1, &last), 1);
    expect_end(fd);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_AGE) == 1);
    fixture_stop(&f);
}

/* Several generators: a connection whose generator is closed goes on with another one, and its IDs
 * still ascend. */
static void test_generators_change(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 3);
    fixture_start(&f);
    int fds[6];
    uint64_t last[6] = {0};
    for (int i = 0; i < 6; i++)
        fds[i] = client_connect(&f);
    for (unsigned closed = 0; closed < 3; closed++) {
        for (int round = 0; round < 20; round++)
            for (int i = 0; i < 6; i++) {
                client_next(fds[i], 1, 500);
                assert_int_equal(expect_ids(fds[i], 1, &last[i]), 500);
            }
        sf_generator_close(&f.generators[2 - closed]);
    }
    client_next(fds[0], 1, 1);
    expect_status(fds[0], 0x81, 1, SF_WIRE_NOT_READY);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    fixture_stop(&f);
}

struct hammer {
    const struct fixture *f;
    unsigned seed;
    uint64_t *ids;
    size_t count;
};
#define HAMMER_IDS 200000

static void *hammer_run(void *arg)
{
    struct hammer *hammer = arg;
    static _Thread_local uint8_t body[65536];
    uint64_t last = 0;
    int fd = client_connect(hammer->f);
    uint32_t id = 0;
    while (hammer->count + 16 * 100 <= HAMMER_IDS) {
        for (uint32_t i = 0; i < 16; i++)
            client_next(fd, id + i, 1 + (uint32_t)rand_r(&hammer->seed) % 100);
        for (uint32_t i = 0; i < 16; i++) {
            struct sf_wire_header header;
            assert_true(client_read(fd, &header, body));
            assert_int_equal(header.code, SF_WIRE_OK);
            assert_int_equal(header.request_id, id + i);
            for (size_t r = 0; r < (header.length - 8) / 12; r++) {
                const struct sf_wire_run run = sf_wire_run_at(body, r);
                assert_true(run.first > last);
                for (uint32_t k = 0; k < run.count; k++)
                    hammer->ids[hammer->count++] = run.first + k;
                last = run.first + run.count - 1;
            }
        }
        id += 16;
        if (rand_r(&hammer->seed) % 16 == 0) {
            close(fd);
            fd = client_connect(hammer->f);
            last = 0;
        }
    }
    close(fd);
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_unique_under_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct fixture f;
    fixture_prepare(&f, (struct sf_layout){41, 5, 7, 10}, 10, 2);
    f.options.threads = 4;
    fixture_start(&f);
    uint64_t *ids = calloc(THREADS * HAMMER_IDS, sizeof *ids);
    struct hammer hammers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){.f = &f, .seed = i + 1, .ids = ids + i * HAMMER_IDS};
        pthread_create(&threads[i], NULL, hammer_run, &hammers[i]);
    }
    size_t count = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        memmove(ids + count, hammers[i].ids, hammers[i].count * sizeof *ids);
        count += hammers[i].count;
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 1; i < count; i++)
        assert_true(ids[i] > ids[i - 1]);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_IDS_MINTED, 0) == count);
    print_message("%zu IDs\n", count);
    free(ids);
    uint32_t stalls[SF_SERVER_THREADS_MAX];
    assert_int_equal(sf_server_stalls_ms(f.server, stalls), 4);
    assert_true(stalls[0] < PATIENCE_MS);
    fixture_stop(&f);
}

/* Loops turn while nothing happens, and an idle connection holds next to no memory. */
static void test_idle(void **state)
{
    (void)state;
    enum { IDLE = 400 };
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    static int fds[IDLE];
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < IDLE; i++) {
        uint64_t last = 0;
        fds[i] = client_connect(&f);
        client_next(fds[i], 1, 1);
        assert_int_equal(expect_ids(fds[i], 1, &last), 1);
    }
    const size_t each = (mallinfo2().uordblks - before) / IDLE;
    print_message("%zu bytes for an idle connection\n", each);
    assert_true(each < 1024);
    const int64_t end_ns = sf_mono_ns() + 3 * SF_NS_PER_S;
    while (sf_mono_ns() < end_ns) {
        uint32_t stalls[SF_SERVER_THREADS_MAX];
        const size_t shards = sf_server_stalls_ms(f.server, stalls);
        for (size_t i = 0; i < shards; i++)
            assert_true(stalls[i] < 2500);
        sf_sleep_ms(100);
    }
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
    fixture_stop(&f);
}

static void test_refused_options(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_error err = {0};
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    struct sf_server *second = NULL;
    struct sf_server_options options = f.options;
    options.address.port = sf_server_port(f.server);
    assert_int_equal(sf_server_create(&options, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "listen.address"));
    options.address.port = 0;
    options.threads = 0;
    assert_int_equal(sf_server_create(&options, &second, &err), -EINVAL);
    assert_null(second);
    sf_server_destroy(NULL);
    close(client_connect(&f));
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTIONS_TOTAL, 0) == 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_ping_info_time),
        cmocka_unit_test(test_pipelined_order),
        cmocka_unit_test(test_largest_batch),
        cmocka_unit_test(test_runs_fit_a_frame),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_long_frames_are_skipped),
        cmocka_unit_test(test_a_million_frames),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_late_reader),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_rate_limits),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_idle_gives_way),
        cmocka_unit_test(test_drain_under_load),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_generators_change),
        cmocka_unit_test(test_unique_under_threads),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_refused_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
