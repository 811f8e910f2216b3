/* The server with layouts of extreme widths, and at the end of a layout's timestamps: what comes
 * over the wire decodes to the right slot and time, and nothing is minted past the end. */
#include "unit/server_fixture.h"

#define AHEAD_MS 20
#define WORKER   1

/* Minting time is in the test's hands, since some layouts hold only a few milliseconds. */
static void start_at(struct fixture *f, struct sf_layout layout, uint64_t now_ms)
{
    fixture_prepare(f, layout, AHEAD_MS, 0);
    atomic_store(&f->fixed_ms, now_ms);
    const uint64_t worker = sf_layout_max_worker(&layout) > 0 ? WORKER : 0;
    sf_generator_init(&f->generators[0], &layout, AHEAD_MS, &f->words[0]);
    assert_int_equal(sf_generator_open(&f->generators[0], 0, worker, now_ms, UINT64_MAX >> 22), 0);
    f->options.generators[f->options.generator_count++] = &f->generators[0];
    f->options.limits.sequence_jitter = 1;
    fixture_start(f);
}

struct clockwork {
    struct fixture *f;
    atomic_bool stop;
};

/* Minting time runs four times as fast as the clock. */
static void *run_clock(void *arg)
{
    struct clockwork *clockwork = arg;
    while (!atomic_load(&clockwork->stop)) {
        atomic_fetch_add(&clockwork->f->fixed_ms, 4);
        sf_sleep_ms(1);
    }
    return NULL;
}

struct answers {
    const struct sf_layout *layout;
    int fd;
    uint64_t last;
};

/* One answer of `count` IDs: every run lies in one millisecond of the right slot, behind the one
 * before. */
static void expect_decoded(struct answers *answers, uint32_t request_id, uint32_t count)
{
    static uint8_t body[65536];
    struct sf_wire_header header;
    const struct sf_layout *layout = answers->layout;
    const uint64_t worker = sf_layout_max_worker(layout) > 0 ? WORKER : 0;
    size_t runs;
    uint32_t ids;
    assert_true(client_read(answers->fd, &header, body));
    assert_int_equal(header.request_id, request_id);
    assert_int_equal(header.code, SF_WIRE_OK);
    assert_int_equal(sf_wire_get_runs(body, header.length - 8, &runs, &ids), 0);
    assert_int_equal(ids, count);
    for (size_t i = 0; i < runs; i++) {
        const struct sf_wire_run run = sf_wire_run_at(body, i);
        struct sf_id_parts first, end;
        assert_true(run.first > answers->last);
        answers->last = run.first + run.count - 1;
        assert_int_equal(sf_id_decode(layout, run.first, &first), 0);
        assert_int_equal(sf_id_decode(layout, answers->last, &end), 0);
        assert_int_equal(first.datacenter, 0);
        assert_int_equal(first.worker, worker);
        assert_int_equal(end.worker, worker);
        assert_int_equal(end.timestamp_ms, first.timestamp_ms);
    }
}

static void serve_everything(struct fixture *f, const struct sf_layout *layout)
{
    struct answers answers = {.layout = layout, .fd = client_connect(f)};
    const uint32_t most = sf_server_max_batch(f->server);
    const uint32_t counts[] = {1, 2, 3, 100, most / 2 + 1, most};
    uint32_t id = 0;
    for (int round = 0; round < 2; round++) {
        /* One by one, and then all on the way at once. */
        const uint32_t first = id;
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            client_next(answers.fd, id, counts[i]);
            if (round == 0)
                expect_decoded(&answers, id, counts[i]);
            id++;
        }
        for (size_t i = 0; round == 1 && i < sizeof counts / sizeof *counts; i++)
            expect_decoded(&answers, first + (uint32_t)i, counts[i]);
    }
    uint8_t frames[64 * SF_WIRE_HEADER_SIZE * 2];
    size_t size = 0;
    const struct sf_wire_next one = {.count = 1};
    for (uint32_t i = 0; i < 64; i++)
        size += sf_wire_put_next(frames + size, 16, i, &one);
    client_send(answers.fd, frames, size);
    for (uint32_t i = 0; i < 64; i++)
        expect_decoded(&answers, i, 1);
    close(answers.fd);
}

/* After an ID of another slot comes one with a later (timestamp, sequence), though the ID may be
 * smaller. */
static void serve_after(struct fixture *f, const struct sf_layout *layout)
{
    const int fd = client_connect(f);
    uint8_t frame[64], body[65536];
    struct sf_wire_header header;
    struct sf_id_parts got;
    const struct sf_id_parts seen = {.timestamp_ms = atomic_load(&f->fixed_ms) + AHEAD_MS / 2,
                                     .worker = sf_layout_max_worker(layout),
                                     .datacenter = sf_layout_max_datacenter(layout),
                                     .sequence = sf_layout_max_sequence(layout)};
    struct sf_wire_next next = {.count = 1, .has_after = true};
    assert_int_equal(sf_id_encode(layout, &seen, &next.after), 0);
    client_send(fd, frame, sf_wire_put_next(frame, sizeof frame, 1, &next));
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.code, SF_WIRE_OK);
    assert_int_equal(sf_id_decode(layout, sf_load_be64(body), &got), 0);
    assert_true(got.timestamp_ms > seen.timestamp_ms);
    /* The largest number that is an ID: further ahead than any clock. */
    next.after = INT64_MAX;
    client_send(fd, frame, sf_wire_put_next(frame, sizeof frame, 2, &next));
    expect_status(fd, 0x81, 2, SF_WIRE_CAUSALITY);
    close(fd);
}

static void test_extreme_widths(void **state)
{
    (void)state;
    static const struct sf_layout layouts[] = {{41, 0, 0, 22}, /* no datacenter, no worker */
                                               {41, 0, 10, 12}, {41, 22, 0, 0}, {52, 5, 5, 1},
                                               {62, 0, 0, 1},   {63, 0, 0, 0},  {40, 1, 18, 4},
                                               {45, 1, 1, 16},  {24, 1, 5, 33}, {30, 0, 1, 32}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct sf_layout *layout = &layouts[i];
        struct fixture f;
        struct clockwork clockwork = {.f = &f};
        pthread_t clock;
        print_message("%u,%u,%u,%u\n", layout->timestamp_bits, layout->datacenter_bits,
                      layout->worker_bits, layout->sequence_bits);
        start_at(&f, *layout, 1000);
        assert_int_equal(pthread_create(&clock, NULL, run_clock, &clockwork), 0);
        serve_everything(&f, layout);
        serve_after(&f, layout);
        atomic_store(&clockwork.stop, true);
        pthread_join(clock, NULL);
        fixture_stop(&f);
    }
}

static void expect_exhausted(int fd, uint32_t request_id)
{
    uint8_t body[65536];
    struct sf_wire_header header;
    struct sf_wire_error error;
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.request_id, request_id);
    assert_int_equal(header.code, SF_WIRE_NOT_READY);
    assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
    assert_int_equal(error.reason_size, strlen("exhausted"));
    assert_memory_equal(error.reason, "exhausted", error.reason_size);
}

/* Two IDs a millisecond; the last one is 1023. */
static void test_timestamps_end(void **state)
{
    (void)state;
    static const struct sf_layout layout = {10, 1, 51, 1};
    struct fixture f;
    start_at(&f, layout, 1000);
    struct answers answers = {.layout = &layout, .fd = client_connect(&f)};
    client_next(answers.fd, 1, 1);
    expect_decoded(&answers, 1, 1);
    atomic_store(&f.fixed_ms, 1015);
    client_next(answers.fd, 2, 10); /* runs ahead of the clock, up to 1019 */
    expect_decoded(&answers, 2, 10);
    client_next(answers.fd, 3, 8); /* and to the end */
    expect_decoded(&answers, 3, 8);
    assert_int_equal(sf_generator_last_ms(&f.generators[0]), 1023);
    client_next(answers.fd, 4, 1);
    expect_exhausted(answers.fd, 4);
    static const uint64_t later[] = {1023, 1024, 5000, UINT64_C(1) << 40};
    for (uint32_t i = 0; i < sizeof later / sizeof *later; i++) {
        atomic_store(&f.fixed_ms, later[i]);
        client_next(answers.fd, 10 + i, 1);
        expect_exhausted(answers.fd, 10 + i);
    }
    close(answers.fd);
    fixture_stop(&f);
}

/* Times whose upper bits the place of the timestamp cuts off do not come back as early ones. */
static void test_times_beyond_the_word(void **state)
{
    (void)state;
    static const struct sf_layout layout = {10, 1, 1, 51};
    struct fixture f;
    start_at(&f, layout, 1000);
    struct answers answers = {.layout = &layout, .fd = client_connect(&f)};
    client_next(answers.fd, 1, 1);
    expect_decoded(&answers, 1, 1);
    for (uint32_t i = 0; i < 3; i++) {
        atomic_store(&f.fixed_ms, 8192 * (UINT64_C(1) << (10 * i)) + 1000); /* 2^13 << 51 is 2^64 */
        client_next(answers.fd, 2, 1);
        expect_exhausted(answers.fd, 2);
    }
    close(answers.fd);
    fixture_stop(&f);
}

/* A request that reaches past the end gets nothing rather than a part. */
static void test_batch_over_the_end(void **state)
{
    (void)state;
    static const struct sf_layout layout = {10, 1, 51, 1};
    struct fixture f;
    start_at(&f, layout, 1020);
    const int fd = client_connect(&f);
    client_next(fd, 1, 9); /* eight are left */
    expect_exhausted(fd, 1);
    close(fd);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extreme_widths),
        cmocka_unit_test(test_timestamps_end),
        cmocka_unit_test(test_times_beyond_the_word),
        cmocka_unit_test(test_batch_over_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
