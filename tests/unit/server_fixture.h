/* A server with generators and a clock that the test holds in its hands, and a blocking client that
 * speaks frames. */
#ifndef SF_TESTS_SERVER_FIXTURE_H
#define SF_TESTS_SERVER_FIXTURE_H

#include "unit/cmocka_all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/ticks.h"
#include "server/server.h"

#define EPOCH_MS    INT64_C(1704067200000)
#define PATIENCE_MS 20000

struct fixture {
    struct sf_server *server;
    struct sf_server_options options;
    struct sf_metrics *metrics;
    struct sf_generator generators[4];
    _Atomic uint64_t words[4];
    _Atomic uint64_t fixed_ms; /* minting time; 0: the real one */
    _Atomic unsigned readings; /* how often minting time was asked for */
    _Atomic int refusal_status;
    uint64_t start_ms;
};

static inline uint64_t fixture_now(void *ctx)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->readings, 1);
    const uint64_t fixed = atomic_load(&f->fixed_ms);
    return fixed != 0 ? fixed : (uint64_t)(sf_real_ns() / 1000000 - EPOCH_MS);
}

static inline uint64_t fixture_mint_now(void *ctx, int64_t mono_ns)
{
    (void)mono_ns;
    return fixture_now(ctx);
}

static inline void fixture_refusal(void *ctx, bool exhausted, struct sf_server_refusal *ret)
{
    struct fixture *f = ctx;
    ret->status = (enum sf_wire_status)atomic_load(&f->refusal_status);
    ret->retry_after_ms = 77;
    snprintf(ret->reason, sizeof ret->reason, "%s", exhausted ? "exhausted" : "closed");
}

static inline size_t fixture_info(void *ctx, char *to, size_t size)
{
    (void)ctx;
    const int length = snprintf(to, size, "{\"protocol\":1}");
    return (size_t)length;
}

static inline bool fixture_time(void *ctx, struct sf_wire_time *ret)
{
    (void)ctx;
    *ret = (struct sf_wire_time){
        .earliest_us = 5, .latest_us = 9, .offset_ns = -3, .error_ns = 2, .source = 1};
    return true;
}

static inline size_t fixture_decode(void *ctx, uint64_t id, char *to, size_t size)
{
    (void)ctx;
    return (size_t)snprintf(to, size, "{\"id\":\"%" PRIu64 "\"}\n", id);
}

/* Change f->options between prepare and start. */
static inline void fixture_prepare(struct fixture *f, struct sf_layout layout,
                                   uint64_t max_ahead_ms, unsigned generators)
{
    memset(f, 0, sizeof *f);
    atomic_store(&f->refusal_status, SF_WIRE_NOT_READY);
    f->metrics = sf_metrics_create();
    f->start_ms = fixture_now(f);
    f->options = (struct sf_server_options){
        .address = {.host = "127.0.0.1", .port = 0},
        .http_address = {.host = "127.0.0.1", .port = 0},
        .threads = 2,
        .limits = {.max_connections = 1000,
                   .max_handshakes = 1024,
                   .max_batch = 65536,
                   .max_waiting = 65536,
                   .max_wait_ms = 10000,
                   .sequence_jitter = 16,
                   .idle_timeout_ms = 300000,
                   .frame_timeout_ms = 10000,
                   .write_timeout_ms = 10000},
        .host = {f, fixture_mint_now, fixture_refusal, fixture_info, fixture_time, fixture_decode},
        .metrics = f->metrics,
    };
    for (unsigned i = 0; i < generators; i++) {
        sf_generator_init(&f->generators[i], &layout, max_ahead_ms, &f->words[i]);
        assert_int_equal(sf_generator_open(&f->generators[i], 1, i, f->start_ms, UINT64_MAX >> 22),
                         0);
        f->options.generators[f->options.generator_count++] = &f->generators[i];
    }
}

static inline void fixture_start(struct fixture *f)
{
    struct sf_error err = {0};
    if (sf_server_create(&f->options, &f->server, &err) != 0 ||
        sf_server_start(f->server, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void fixture_stop(struct fixture *f)
{
    sf_server_destroy(f->server);
    assert_int_equal(sf_metrics_sum(f->metrics, SF_METRIC_CONNECTIONS_TOTAL, 0) > 0, true);
    sf_metrics_destroy(f->metrics);
}

/* What a test begins with; where it names none: the default layout, 10 ms ahead, one generator. */
struct arrangement {
    struct sf_layout layout;
    uint64_t max_ahead_ms;
    unsigned generators;
};
#define TINY_LAYOUT {41, 5, 11, 6} /* 64 IDs a millisecond */

static inline int fixture_setup_prepared(void **state)
{
    const struct arrangement usual = {SF_DEFAULT_LAYOUT, 10, 1};
    const struct arrangement *with = *state != NULL ? *state : &usual;
    struct fixture *f = malloc(sizeof *f);
    assert_non_null(f);
    fixture_prepare(f, with->layout, with->max_ahead_ms, with->generators);
    *state = f;
    return 0;
}

static inline int fixture_setup_started(void **state)
{
    fixture_setup_prepared(state);
    fixture_start(*state);
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_stop(*state);
    free(*state);
    return 0;
}

/* Rows of the table of tests; with: a struct arrangement * or NULL. A prepared test changes
 * f->options and calls fixture_start. */
#define STARTED_TEST(test, with) \
    cmocka_unit_test_prestate_setup_teardown(test, fixture_setup_started, fixture_teardown, with)
#define PREPARED_TEST(test, with) \
    cmocka_unit_test_prestate_setup_teardown(test, fixture_setup_prepared, fixture_teardown, with)

static inline int client_connect_to(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static inline int client_connect(const struct fixture *f)
{
    return client_connect_to(sf_server_port(f->server));
}

/* From an address of this machine, with the patience of client_connect. */
static inline int client_connect_from(const struct fixture *f, const char *source)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET},
                       to = {.sin_family = AF_INET, .sin_port = htons(sf_server_port(f->server))};
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void client_send(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

static inline void client_next(int fd, uint32_t request_id, uint32_t count)
{
    uint8_t frame[32];
    const struct sf_wire_next next = {.count = count};
    client_send(fd, frame, sf_wire_put_next(frame, sizeof frame, request_id, &next));
}

/* Reads one frame; false at the end of the stream. A reset counts as the end. */
static inline bool client_read(int fd, struct sf_wire_header *header, uint8_t *body)
{
    uint8_t head[SF_WIRE_HEADER_SIZE];
    ssize_t got = recv(fd, head, sizeof head, MSG_WAITALL);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return false;
    assert_int_equal(got, sizeof head);
    header->length = sf_load_be32(head);
    header->version = head[4];
    header->type = head[5];
    header->code = sf_load_be16(head + 6);
    header->request_id = sf_load_be32(head + 8);
    assert_int_equal(header->version, 1);
    assert_in_range(header->length, 8, 65536);
    if (header->length > 8)
        assert_int_equal(recv(fd, body, header->length - 8, MSG_WAITALL), header->length - 8);
    return true;
}

static inline void expect_status(int fd, uint8_t type, uint32_t request_id, unsigned status)
{
    static _Thread_local uint8_t body[65536];
    struct sf_wire_header header;
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.type, type);
    assert_int_equal(header.request_id, request_id);
    assert_int_equal(header.code, status);
    if (status != SF_WIRE_OK) {
        struct sf_wire_error error;
        assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
        assert_true(error.reason_size > 0);
    }
}

/* An OK answer to NEXT: checks that IDs ascend from *last on; returns how many there are. */
static inline uint32_t expect_ids(int fd, uint32_t request_id, uint64_t *last)
{
    static _Thread_local uint8_t body[65536];
    struct sf_wire_header header;
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.type, SF_WIRE_NEXT | SF_WIRE_RESPONSE);
    assert_int_equal(header.code, SF_WIRE_OK);
    assert_int_equal(header.request_id, request_id);
    size_t runs;
    uint32_t ids;
    assert_int_equal(sf_wire_get_runs(body, header.length - 8, &runs, &ids), 0);
    for (size_t i = 0; i < runs; i++) {
        const struct sf_wire_run run = sf_wire_run_at(body, i);
        assert_true(run.first > *last);
        *last = run.first + run.count - 1;
    }
    return ids;
}

static inline void expect_end(int fd)
{
    struct sf_wire_header header;
    uint8_t body[65536];
    assert_false(client_read(fd, &header, body));
    close(fd);
}

/* Polls until the condition holds. */
#define EVENTUALLY(condition)                                                                      \
    do {                                                                                           \
        const int64_t end_ = sf_mono_ns() + PATIENCE_MS * SF_NS_PER_MS;                            \
        while (!(condition) && sf_mono_ns() < end_)                                                \
            sf_sleep_ms(2);                                                                        \
        assert_true(condition);                                                                    \
    } while (0)

#endif
