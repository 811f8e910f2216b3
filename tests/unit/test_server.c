/* The server over real sockets: what it answers, in which order, and that bad input costs bounded
 * memory and disturbs nobody. */
#include "unit/server_fixture.h"

static void test_next_ping_info_time(void **state)
{
    struct fixture *f = *state;
    const int fd = client_connect(f);
    uint64_t last = 0;
    client_next(fd, 7, 1);
    assert_int_equal(expect_ids(fd, 7, &last), 1);
    struct sf_id_parts parts;
    assert_int_equal(sf_id_decode(&SF_DEFAULT_LAYOUT, last, &parts), 0);
    assert_int_equal(parts.datacenter, 1);
    assert_int_equal(parts.worker, 0);
    assert_in_range(parts.timestamp_ms, f->start_ms, f->start_ms + 60000);
    uint8_t frame[512], body[65536];
    struct sf_wire_header header;
    for (unsigned size = 0; size <= SF_WIRE_PING_MAX; size += 128) {
        memset(body, 'x', size);
        client_send(fd, frame,
                    sf_wire_put_request(frame, sizeof frame, SF_WIRE_PING, 8, body, size));
        memset(body, 0, size);
        assert_true(client_read(fd, &header, body));
        assert_int_equal(header.type, 0x82);
        assert_int_equal(header.code, 0);
        assert_int_equal(header.length, 8 + size);
        if (size > 0)
            assert_int_equal(body[size - 1], 'x');
    }
    client_send(fd, frame, sf_wire_put_request(frame, sizeof frame, SF_WIRE_INFO, 9, NULL, 0));
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.type, 0x83);
    assert_memory_equal(body, "{\"protocol\":1}", 14);
    client_send(fd, frame, sf_wire_put_request(frame, sizeof frame, SF_WIRE_TIME, 10, NULL, 0));
    assert_true(client_read(fd, &header, body));
    struct sf_wire_time time;
    assert_int_equal(sf_wire_get_time_body(body, header.length - 8, &time), 0);
    assert_int_equal(time.offset_ns, -3);
    client_send(fd, frame, sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 11, "any", 3));
    expect_status(fd, 0x85, 11, SF_WIRE_OK);
    close(fd);
    EVENTUALLY(sf_server_connections(f->server) == 0);
}

/* Answers come in the order of the requests, whatever kind they are, also when one in the middle
 * has to wait. */
static void test_pipelined_order(void **state)
{
    struct fixture *f = *state;
    const int fd = client_connect(f);
    enum { ROUNDS = 50 };
    uint8_t frames[ROUNDS * 128];
    size_t size = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const struct sf_wire_next one = {.count = 1}, many = {.count = 300};
        size += sf_wire_put_next(frames + size, 64, 4 * i, &one);
        size += sf_wire_put_next(frames + size, 64, 4 * i + 1, &many);
        size += sf_wire_put_request(frames + size, 64, SF_WIRE_PING, 4 * i + 2, "p", 1);
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
    assert_true(sf_metrics_sum(f->metrics, SF_METRIC_SEQUENCE_EXHAUSTED, 0) > 0);
    close(fd);
    EVENTUALLY(sf_server_waiting(f->server) == 0);
}

static void test_largest_batch(void **state)
{
    struct fixture *f = *state;
    const int fd = client_connect(f);
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
}

/* With one sequence number a millisecond a response is all runs: the largest batch must fit its
 * frame. */
static void test_runs_fit_a_frame(void **state)
{
    struct fixture *f = *state;
    const uint32_t most = sf_server_max_batch(f->server);
    assert_in_range(most, 1, SF_WIRE_RUNS_MAX);
    const int fd = client_connect(f);
    uint64_t last = 0;
    client_next(fd, 1, most);
    assert_int_equal(expect_ids(fd, 1, &last), most);
    client_next(fd, 2, most + 1);
    expect_status(fd, 0x81, 2, SF_WIRE_TOO_LARGE);
    close(fd);
}

/* clang-format off */
static const struct bad_input {
    const char *name;
    uint8_t bytes[24];
    size_t size;
    uint8_t type;        /* of the answer, */
    uint32_t request_id; /* and its other parts */
    unsigned status;
    bool closes;
} bad_inputs[] = {
    {"length 0",      {0, 0, 0, 0},              4, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
    {"length 7",      {0, 0, 0, 7},              4, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
    {"length 65537",  {0, 1, 0, 1},              4, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
    {"length 2^32-1", {255, 255, 255, 255, 1},   5, 0xBF, 0, SF_WIRE_BAD_REQUEST, true},
    /*                          length        version type  flags  request_id  body            size */
    {"version 2",               {0, 0, 0, 8,  2, 2,    0, 0,  0, 0, 0, 9},                     12, 0x82, 9, SF_WIRE_UNSUPPORTED, true},
    {"version 0",               {0, 0, 0, 8,  0, 0x99, 0, 0,  0, 0, 0, 9},                     12, 0xBF, 9, SF_WIRE_UNSUPPORTED, true},
    {"type 0",                  {0, 0, 0, 8,  1, 0,    0, 0,  0, 0, 0, 9},                     12, 0xBF, 9, SF_WIRE_UNSUPPORTED, false},
    {"a type of tomorrow",      {0, 0, 0, 8,  1, 0x3D, 0, 0,  0, 0, 0, 9},                     12, 0xBD, 9, SF_WIRE_UNSUPPORTED, false},
    {"type 0x3F",               {0, 0, 0, 8,  1, 0x3F, 0, 0,  0, 0, 0, 9},                     12, 0xBF, 9, SF_WIRE_UNSUPPORTED, false},
    {"type 0x40",               {0, 0, 0, 8,  1, 0x40, 0, 0,  0, 0, 0, 9},                     12, 0xBF, 9, SF_WIRE_UNSUPPORTED, false},
    {"a response",              {0, 0, 0, 8,  1, 0x81, 0, 0,  0, 0, 0, 9},                     12, 0xBF, 9, SF_WIRE_UNSUPPORTED, false},
    {"flags of NEXT",           {0, 0, 0, 12, 1, 1,    0, 2,  0, 0, 0, 9,  0, 0, 0, 1},        16, 0x81, 9, SF_WIRE_BAD_REQUEST, false},
    {"flags of PING",           {0, 0, 0, 8,  1, 2,    0, 1,  0, 0, 0, 9},                     12, 0x82, 9, SF_WIRE_BAD_REQUEST, false},
    {"NEXT without count",      {0, 0, 0, 8,  1, 1,    0, 0,  0, 0, 0, 9},                     12, 0x81, 9, SF_WIRE_BAD_REQUEST, false},
    {"AFTER without after",     {0, 0, 0, 12, 1, 1,    0, 1,  0, 0, 0, 9,  0, 0, 0, 1},        16, 0x81, 9, SF_WIRE_BAD_REQUEST, false},
    {"count 0",                 {0, 0, 0, 12, 1, 1,    0, 0,  0, 0, 0, 9,  0, 0, 0, 0},        16, 0x81, 9, SF_WIRE_TOO_LARGE, false},
    {"count 65537",             {0, 0, 0, 12, 1, 1,    0, 0,  0, 0, 0, 9,  0, 1, 0, 1},        16, 0x81, 9, SF_WIRE_TOO_LARGE, false},
    {"after with its sign bit", {0, 0, 0, 20, 1, 1,    0, 1,  0, 0, 0, 9,  0, 0, 0, 1, 0x80},  24, 0x81, 9, SF_WIRE_BAD_REQUEST, false},
    {"INFO with a body",        {0, 0, 0, 9,  1, 3,    0, 0,  0, 0, 0, 9,  1},                 13, 0x83, 9, SF_WIRE_BAD_REQUEST, false},
    {"AUTH without a token",    {0, 0, 0, 8,  1, 5,    0, 0,  0, 0, 0, 9},                     12, 0x85, 9, SF_WIRE_BAD_REQUEST, false},
};
/* clang-format on */

static void test_bad_input(void **state)
{
    struct fixture *f = *state;
    const int bystander = client_connect(f);
    uint64_t last = 0;
    for (size_t i = 0; i < SF_COUNT(bad_inputs); i++) {
        const struct bad_input *c = &bad_inputs[i];
        print_message("%s\n", c->name);
        const int fd = client_connect(f);
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
    EVENTUALLY(sf_server_connections(f->server) == 0);
}

/* A frame longer than any request is answered and skipped, and the next one follows. */
static void test_long_frames_are_skipped(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint8_t type, answer;
        unsigned status;
        uint32_t body;
    } cases[] = {
        {2, 0x82, SF_WIRE_BAD_REQUEST, 257},      {2, 0x82, SF_WIRE_BAD_REQUEST, 65528},
        {1, 0x81, SF_WIRE_BAD_REQUEST, 40000},    {5, 0x85, SF_WIRE_BAD_REQUEST, 257},
        {0x3D, 0xBD, SF_WIRE_UNSUPPORTED, 65528},
    };
    const int fd = client_connect(f);
    uint64_t last = 0;
    uint8_t *frame = calloc(1, SF_WIRE_FRAME_MAX);
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        memset(frame, 1, SF_WIRE_FRAME_MAX);
        sf_wire_put_header(frame, cases[i].type, 0, 5, cases[i].body);
        client_send(fd, frame, 12 + (size_t)cases[i].body);
        client_next(fd, 6, 2);
        expect_status(fd, cases[i].answer, 5, cases[i].status);
        assert_int_equal(expect_ids(fd, 6, &last), 2);
    }
    free(frame);
    close(fd);
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
    struct fixture *f = *state;
    f->options.limits.max_wait_ms = 600000; /* a slow machine is no reason to shed */
    fixture_start(f);
    int fd = client_connect(f);
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
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_IDS_MINTED, 0) == 1000000);
    close(fd);
}

/* Reads late but reads: gets everything, in order. */
static void test_late_reader(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_wait_ms = 600000; /* a slow machine is no reason to shed */
    fixture_start(f);
    int fd = client_connect(f);
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
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    const int fd = client_connect(f);
    sf_generator_close(&f->generators[0]);
    static const int statuses[] = {SF_WIRE_NOT_READY, SF_WIRE_CLOCK, SF_WIRE_DRAINING};
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&f->refusal_status, statuses[i]);
        client_next(fd, 1, 1);
        client_next(fd, 2, 100);
        expect_status(fd, 0x81, 1, (unsigned)statuses[i]);
        expect_status(fd, 0x81, 2, (unsigned)statuses[i]);
    }
    /* The reservation's end: served up to it, refused from there. */
    const uint64_t now = fixture_now(f);
    atomic_store(&f->fixed_ms, now + 1000);
    assert_int_equal(sf_generator_open(&f->generators[0], 1, 0, now + 1000, now + 1001), 0);
    uint64_t last = 0;
    client_next(fd, 3, 4000);
    assert_int_equal(expect_ids(fd, 3, &last), 4000);
    client_next(fd, 4, 4000);
    expect_status(fd, 0x81, 4, SF_WIRE_DRAINING);
    struct sf_id_parts parts;
    assert_int_equal(sf_id_decode(&SF_DEFAULT_LAYOUT, last, &parts), 0);
    assert_true(parts.timestamp_ms < now + 1001);
    close(fd);
}

static void test_after(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_wait_ms = 1000;
    fixture_start(f);
    const int fd = client_connect(f);
    uint8_t frame[64], body[65536];
    struct sf_wire_header header;
    static const struct {
        int64_t ahead_ms;
        unsigned status;
    } cases[] = {
        {-10000, SF_WIRE_OK}, {5, SF_WIRE_OK}, {300, SF_WIRE_OK}, {60000, SF_WIRE_CAUSALITY}};
    for (uint32_t i = 0; i < 4; i++) {
        const struct sf_id_parts seen = {
            .timestamp_ms = (uint64_t)((int64_t)fixture_now(f) + cases[i].ahead_ms),
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
}

/* Several generators: a connection whose generator is closed goes on with another one, and its IDs
 * still ascend. */
static void test_generators_change(void **state)
{
    struct fixture *f = *state;
    int fds[6];
    uint64_t last[6] = {0};
    for (int i = 0; i < 6; i++)
        fds[i] = client_connect(f);
    for (unsigned closed = 0; closed < 3; closed++) {
        for (int round = 0; round < 20; round++)
            for (int i = 0; i < 6; i++) {
                client_next(fds[i], 1, 500);
                assert_int_equal(expect_ids(fds[i], 1, &last[i]), 500);
            }
        sf_generator_close(&f->generators[2 - closed]);
    }
    client_next(fds[0], 1, 1);
    expect_status(fds[0], 0x81, 1, SF_WIRE_NOT_READY);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

static void test_refused_options(void **state)
{
    struct fixture *f = *state;
    struct sf_error err = {0};
    struct sf_server *second = NULL;
    struct sf_server_options options = f->options;
    options.address.port = sf_server_port(f->server);
    assert_int_equal(sf_server_create(&options, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "listen.address"));
    options.address.port = 0;
    options.threads = 0;
    assert_int_equal(sf_server_create(&options, &second, &err), -EINVAL);
    assert_null(second);
    sf_server_destroy(NULL);
    close(client_connect(f));
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_CONNECTIONS_TOTAL, 0) == 1);
}

static struct arrangement tiny = {TINY_LAYOUT, 2, 1};
static struct arrangement one_a_ms = {{53, 5, 5, 0}, 5000, 1};
static struct arrangement three_slots = {{41, 5, 5, 12}, 10, 3};

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTED_TEST(test_next_ping_info_time, NULL),
        STARTED_TEST(test_pipelined_order, &tiny),
        STARTED_TEST(test_largest_batch, NULL),
        STARTED_TEST(test_runs_fit_a_frame, &one_a_ms),
        STARTED_TEST(test_bad_input, NULL),
        STARTED_TEST(test_long_frames_are_skipped, NULL),
        PREPARED_TEST(test_a_million_frames, NULL),
        PREPARED_TEST(test_late_reader, NULL),
        STARTED_TEST(test_refusals, NULL),
        PREPARED_TEST(test_after, NULL),
        STARTED_TEST(test_generators_change, &three_slots),
        STARTED_TEST(test_refused_options, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
