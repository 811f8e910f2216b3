/* HTTP on the data plane: the same queue, limits and tokens as frames have, answers as long as they get, and ends. */
#include "unit/server_fixture.h"

#define GET_ONE "GET /v1/ids HTTP/1.1\r\nHost: x\r\n\r\n"

/* A blocking end of a connection from within the process. */
static int open_inside(const struct fixture *f)
{
    int fd = -1;
    const struct sockaddr_in peer = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(sf_server_connect(f->server, (const struct sockaddr *)&peer, &fd), 0);
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

struct answer {
    unsigned status;
    char head[SF_WIRE_FRAME_MAX];
    char *body; /* the test's */
    size_t size;
};

/* Reads one answer; false at the end of the stream. */
static bool read_answer(int fd, struct answer *ret)
{
    size_t have = 0;
    ret->head[0] = '\0';
    while (strstr(ret->head, "\r\n\r\n") == NULL) {
        const ssize_t got = recv(fd, ret->head + have, 1, 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return false;
        assert_int_equal(got, 1);
        ret->head[++have] = '\0';
    }
    assert_int_equal(sscanf(ret->head, "HTTP/1.1 %u ", &ret->status), 1);
    const char *length = strstr(ret->head, "Content-Length: ");
    assert_non_null(length);
    ret->size = strtoul(length + 16, NULL, 10);
    ret->body = malloc(ret->size + 1);
    assert_non_null(ret->body);
    assert_int_equal(recv(fd, ret->body, ret->size, MSG_WAITALL), ret->size);
    ret->body[ret->size] = '\0';
    return true;
}

/* Returns how many IDs were in it; all ascend from *last on. */
static unsigned expect_http_ids(int fd, uint64_t *last)
{
    struct answer answer;
    unsigned count = 0;
    assert_true(read_answer(fd, &answer));
    if (answer.status != 200)
        fail_msg("%s%s", answer.head, answer.body);
    assert_non_null(strstr(answer.head, "Cache-Control: no-store"));
    assert_memory_equal(answer.body, "{\"ids\":[\"", 9);
    for (char *at = answer.body + 8; *at == '"' || *at == ','; count++) {
        const uint64_t id = strtoull(at + (*at == ',') + 1, &at, 10);
        assert_true(id > *last);
        *last = id;
        at++;
    }
    assert_string_equal(answer.body + answer.size - 3, "]}\n");
    free(answer.body);
    return count;
}

static void expect_refusal(int fd, unsigned status, const char *field)
{
    struct answer answer;
    assert_true(read_answer(fd, &answer));
    if (answer.status != status)
        fail_msg("%u was expected: %s%s", status, answer.head, answer.body);
    if (field != NULL)
        assert_non_null(strstr(answer.head, field));
    free(answer.body);
}

static void say(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

static void ask_ids(int fd, unsigned count)
{
    char text[100];
    snprintf(text, sizeof text, "GET /v1/ids?count=%u HTTP/1.1\r\nHost: x\r\n\r\n", count);
    say(fd, text);
}

static void test_pipeline(void **state)
{
    const struct fixture *f = *state;
    const int fd = open_inside(f);
    uint64_t last = 0;
    for (int i = 0; i < 500; i++)
        say(fd, GET_ONE);
    for (int i = 0; i < 500; i++)
        assert_int_equal(expect_http_ids(fd, &last), 1);
    say(fd, "GET /v1/decode/77 HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer answer;
    assert_true(read_answer(fd, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"id\":\"77\"}\n");
    free(answer.body);
    say(fd, "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n" GET_ONE);
    expect_refusal(fd, 404, NULL);
    assert_int_equal(expect_http_ids(fd, &last), 1);
    say(fd, "GET /v1/ids HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET_ONE);
    assert_int_equal(expect_http_ids(fd, &last), 1);
    assert_false(read_answer(fd, &answer));
    close(fd);
}

/* Byte by byte. */
static void test_slow(void **state)
{
    const struct fixture *f = *state;
    const int fd = open_inside(f);
    uint64_t last = 0;
    for (const char *at = GET_ONE GET_ONE; *at != '\0'; at++) {
        client_send(fd, at, 1);
        sf_sleep_ms(1);
    }
    assert_int_equal(expect_http_ids(fd, &last), 1);
    assert_int_equal(expect_http_ids(fd, &last), 1);
    close(fd);
}

/* Longer than all that is collected for a connection, with pauses of the reader. */
static void test_long_answers(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_batch = 65536;
    fixture_start(f);
    const int fd = open_inside(f);
    uint64_t last = 0;
    for (int i = 0; i < 3; i++)
        ask_ids(fd, 65536);
    say(fd, GET_ONE);
    sf_sleep_ms(50);
    for (int i = 0; i < 3; i++)
        assert_int_equal(expect_http_ids(fd, &last), 65536);
    assert_int_equal(expect_http_ids(fd, &last), 1);
    ask_ids(fd, 65537);
    expect_refusal(fd, 413, NULL);
    close(fd);
}

static void test_bad_ones_end_it(void **state)
{
    const struct fixture *f = *state;
    static const char *const bad[] = {
        "GET /v1/ids HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" GET_ONE,
        "GET /v1/ids HTTP/1.1\nHost: x\n\n", "GET /v1/ids%00 HTTP/1.1\r\nHost: x\r\n\r\n" GET_ONE,
        "GET /v1/ids HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" GET_ONE,
        "GET /v1/ids HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET_ONE};
    struct answer answer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int fd = open_inside(f);
        say(fd, bad[i]);
        expect_refusal(fd, 400, "Connection: close");
        assert_false(read_answer(fd, &answer));
        close(fd);
    }
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_BAD_FRAMES, SF_BAD_FRAME_HTTP) == 3);
    assert_int_equal(sf_server_waiting(f->server), 0);
}

/* Whether the last ID of that millisecond after the start has been taken. Who waits for no more than its
 * next turn would let others in before. */
static bool all_is_taken(const struct fixture *f, uint64_t ms)
{
    const struct sf_generator *gen = &f->generators[0];
    return atomic_load(gen->word) == ((f->start_ms + ms + 1) << gen->layout.sequence_bits) - 1;
}

/* Who waits over HTTP stands in the queue of all, with what it needs. */
static void test_queue(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_wait_ms = 600000; /* a slow machine is no reason to shed */
    f->options.limits.sequence_jitter = 0;
    f->options.threads = 1; /* the order is each thread's own */
    fixture_start(f);
    const int http = open_inside(f), frames = client_connect(f);
    uint64_t last = 0, other = 0;
    atomic_store(&f->fixed_ms, f->start_ms + 100);
    ask_ids(http, 64 * 12); /* all there is, and one millisecond's more: 10 may be ahead */
    EVENTUALLY(sf_server_waiting(f->server) == 1 && all_is_taken(f, 110));
    client_next(frames, 1, 64); /* stands behind it */
    EVENTUALLY(sf_server_waiting(f->server) == 2);
    atomic_store(&f->fixed_ms, f->start_ms + 101);
    EVENTUALLY(sf_server_waiting(f->server) == 1);
    assert_int_equal(expect_http_ids(http, &last), 64 * 12);
    atomic_store(&f->fixed_ms, f->start_ms + 102);
    assert_int_equal(expect_ids(frames, 1, &other), 64);
    assert_true(other > last);
    close(http);
    close(frames);
}

/* A queue that is full refuses, and what was paid comes back. */
static void test_overloaded(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_waiting = 1;
    f->options.limits.max_wait_ms = 600000; /* a slow machine is no reason to shed */
    f->options.limits.sequence_jitter = 0;
    f->options.limits.worker_ids_per_s = 64 * 20;
    f->options.limits.worker_burst = 64 * 20;
    fixture_start(f);
    atomic_store(&f->fixed_ms, f->start_ms + 100);
    const int one = open_inside(f), two = open_inside(f);
    uint64_t last = 0;
    ask_ids(one, 64 * 12);
    EVENTUALLY(sf_server_waiting(f->server) == 1 && all_is_taken(f, 110));
    for (int i = 0; i < 20; i++) {
        ask_ids(two, 64);
        expect_refusal(two, 503, "Retry-After: 1\r\n");
    }
    atomic_store(&f->fixed_ms, f->start_ms + 110);
    assert_int_equal(expect_http_ids(one, &last), 64 * 12);
    ask_ids(two, 64 * 4);
    assert_int_equal(expect_http_ids(two, &last), 64 * 4);
    close(one);
    close(two);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    const int fd = open_inside(f);
    sf_generator_close(&f->generators[0]);
    static const enum sf_wire_status statuses[] = {SF_WIRE_NOT_READY, SF_WIRE_CLOCK,
                                                   SF_WIRE_DRAINING};
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&f->refusal_status, (int)statuses[i]);
        say(fd, GET_ONE);
        expect_refusal(fd, 503, "Retry-After: 1\r\n");
    }
    close(fd);
}

/* The limit of a connection is not for these: each request is one. Those of the worker and of its address are. */
static void test_limits(void **state)
{
    struct fixture *f = *state;
    f->options.limits.connection_ids_per_s = 50;
    f->options.limits.address_ids_per_s = 100;
    f->options.limits.address_burst = 50;
    fixture_start(f);
    uint64_t last = 0;
    int fd = open_inside(f);
    ask_ids(fd, 50);
    assert_int_equal(expect_http_ids(fd, &last), 50);
    close(fd);
    fd = open_inside(f);
    ask_ids(fd, 50);
    expect_refusal(fd, 429, "Retry-After: 1\r\n");
    ask_ids(fd, 51);
    expect_refusal(fd, 413, NULL);
    close(fd);
    /* Reading the options again does not forget the burst. */
    struct sf_error err = {0};
    assert_int_equal(sf_server_max_batch(f->server), 50);
    assert_int_equal(sf_server_reload(f->server, &f->options, &err), 0);
    assert_int_equal(sf_server_max_batch(f->server), 50);
}

/* Each request shows its token; who guesses is ended, and told so. */
static void test_guesses(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/sf-tokens-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "one:secret\n", 11), 11);
    close(file);
    f->options.token_file = path;
    fixture_start(f);
    const int fd = open_inside(f);
    struct answer answer;
    uint64_t last = 0;
    static const char good[] =
        "GET /v1/ids HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n";
    static const char wrong[] =
        "GET /v1/ids HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secreT\r\n\r\n";
    say(fd, good);
    assert_int_equal(expect_http_ids(fd, &last), 1);
    say(fd, GET_ONE); /* that the connection had one before does not count */
    expect_refusal(fd, 401, "WWW-Authenticate: Bearer");
    say(fd, good);
    assert_int_equal(expect_http_ids(fd, &last), 1);
    for (int i = 1; i < 8; i++) {
        say(fd, wrong);
        expect_refusal(fd, 401, "WWW-Authenticate: Bearer");
    }
    say(fd, wrong);
    expect_refusal(fd, 401, "Connection: close");
    assert_false(read_answer(fd, &answer));
    close(fd);
    unlink(path);
}

static void test_drain(void **state)
{
    struct fixture *f = *state;
    const int fd = open_inside(f), idle = open_inside(f);
    uint64_t last = 0;
    struct answer answer;
    say(fd, GET_ONE);
    assert_int_equal(expect_http_ids(fd, &last), 1);
    sf_server_drain(f->server, 10000, "test");
    sf_sleep_ms(100);
    say(fd, GET_ONE GET_ONE);
    assert_true(read_answer(fd, &answer));
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Connection: close"));
    free(answer.body);
    assert_false(read_answer(fd, &answer));
    assert_false(read_answer(idle, &answer)); /* without a word */
    EVENTUALLY(sf_server_connections(f->server) == 0);
    close(fd);
    close(idle);
}

static int open_http(const struct fixture *f)
{
    return client_connect_to(sf_server_http_port(f->server));
}

/* A port of its own: there the limit of a connection holds too. */
static void test_port(void **state)
{
    struct fixture *f = *state;
    f->options.has_http = true;
    f->options.limits.connection_ids_per_s = 1000000;
    f->options.limits.connection_burst = 10;
    fixture_start(f);
    const int fd = open_http(f), frames = client_connect(f);
    uint64_t last = 0;
    sf_sleep_ms(5); /* its bucket begins empty */
    ask_ids(fd, 10);
    assert_int_equal(expect_http_ids(fd, &last), 10);
    ask_ids(fd, 11);
    expect_refusal(fd, 413, NULL);
    client_next(frames, 1, 10);
    last = 0;
    assert_int_equal(expect_ids(frames, 1, &last), 10);
    close(fd);
    close(frames);
}

/* A page whose site's name leads here gets nothing, unless each request proves who sends it. */
static void test_names(void **state)
{
    struct fixture *f = *state;
    f->options.has_http = true;
    f->options.hosts = "ids.example";
    fixture_start(f);
    const int fd = open_http(f), inside = open_inside(f);
    uint64_t last = 0;
    say(fd, "GET /v1/ids HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    expect_refusal(fd, 403, NULL);
    say(fd, "GET /v1/ids HTTP/1.1\r\nHost: ids.example:7452\r\n\r\n");
    assert_int_equal(expect_http_ids(fd, &last), 1);
    say(fd, "GET /v1/ids HTTP/1.1\r\nHost: 127.0.0.1:7452\r\n\r\n");
    assert_int_equal(expect_http_ids(fd, &last), 1);
    last = 0;
    say(inside, "GET /v1/ids HTTP/1.1\r\nHost: judged.elsewhere\r\n\r\n");
    assert_int_equal(expect_http_ids(inside, &last), 1);
    close(fd);
    close(inside);
}

/* Who does not finish a head, or says nothing, is closed as with frames. */
static void test_timeouts(void **state)
{
    struct fixture *f = *state;
    f->options.has_http = true;
    f->options.limits.frame_timeout_ms = 200;
    f->options.limits.idle_timeout_ms = 600;
    fixture_start(f);
    const int half = open_http(f), idle = open_http(f);
    struct answer answer;
    say(half, "GET /v1/ids HTTP/1.1\r\nHost: x\r\n");
    assert_false(read_answer(half, &answer));
    EVENTUALLY(
        sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_FRAME_TIMEOUT) == 1);
    assert_false(read_answer(idle, &answer));
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_IDLE) == 1);
    close(half);
    close(idle);
}

/* The two ports share listen.max_connections. */
static void test_crowd(void **state)
{
    struct fixture *f = *state;
    f->options.has_http = true;
    f->options.limits.max_connections = 3;
    fixture_start(f);
    const int frames = client_connect(f), one = open_http(f), two = open_http(f);
    EVENTUALLY(sf_server_connections(f->server) == 3);
    const int more = open_http(f);
    struct answer answer;
    expect_refusal(more, 503, "Retry-After: 1\r\n");
    assert_false(read_answer(more, &answer));
    close(more);
    close(frames);
    close(one);
    close(two);
}

static void test_full(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_connections = 2;
    fixture_start(f);
    const struct sockaddr_in peer = {.sin_family = AF_INET};
    const int one = open_inside(f), two = open_inside(f);
    int fd = -1;
    assert_int_equal(sf_server_connect(f->server, (const struct sockaddr *)&peer, &fd), -EAGAIN);
    close(one);
    close(two);
    EVENTUALLY(sf_server_connections(f->server) == 0);
    close(open_inside(f));
}

int main(void)
{
    static const struct arrangement tiny = {TINY_LAYOUT, 10, 1};
    const struct CMUnitTest tests[] = {
        STARTED_TEST(test_pipeline, NULL),
        STARTED_TEST(test_slow, NULL),
        PREPARED_TEST(test_long_answers, NULL),
        STARTED_TEST(test_bad_ones_end_it, NULL),
        PREPARED_TEST(test_queue, (void *)(uintptr_t)&tiny),
        PREPARED_TEST(test_overloaded, (void *)(uintptr_t)&tiny),
        STARTED_TEST(test_refusals, NULL),
        PREPARED_TEST(test_limits, NULL),
        PREPARED_TEST(test_guesses, NULL),
        STARTED_TEST(test_drain, NULL),
        PREPARED_TEST(test_full, NULL),
        PREPARED_TEST(test_port, NULL),
        PREPARED_TEST(test_names, NULL),
        PREPARED_TEST(test_timeouts, NULL),
        PREPARED_TEST(test_crowd, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
