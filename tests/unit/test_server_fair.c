/* Who gets IDs when there are not enough, and who is told what: minting time stands still until the
 * test moves it, so what is counted are its milliseconds, not those of the machine. */
#include "base/random.h"
#include "unit/server_fixture.h"

static const struct sf_layout tiny = {41, 5, 11, 6}; /* 64 IDs a millisecond */
enum { PER_MS = 64 };

/* One thread; options may be changed before fixture_start. */
static void prepare_still(struct fixture *f, uint64_t max_ahead_ms, unsigned generators)
{
    fixture_prepare(f, tiny, max_ahead_ms, generators);
    f->options.threads = 1;
    f->options.limits.sequence_jitter = 0;
    f->options.limits.max_wait_ms = 60000;
    atomic_store(&f->fixed_ms, f->start_ms + 1000);
}

static void start_still(struct fixture *f, unsigned threads)
{
    prepare_still(f, 0, 1);
    f->options.threads = threads;
    fixture_start(f);
}

static uint64_t minted(const struct fixture *f)
{
    return sf_metrics_sum(f->metrics, SF_METRIC_IDS_MINTED, 0);
}

static bool has_answer(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

/* The next millisecond of minting time; returns when all of its IDs are taken. */
static void next_ms(struct fixture *f)
{
    const uint64_t before = minted(f);
    atomic_fetch_add(&f->fixed_ms, 1);
    EVENTUALLY(minted(f) >= before + PER_MS);
}

/* So many requests in one write, so that they are read together. */
static void client_next_many(int fd, uint32_t first_id, uint32_t requests, uint32_t count)
{
    uint8_t frames[16384];
    size_t size = 0;
    const struct sf_wire_next next = {.count = count};
    for (uint32_t i = 0; i < requests; i++)
        size += sf_wire_put_next(frames + size, sizeof frames - size, first_id + i, &next);
    assert_int_equal(size, requests * 16);
    client_send(fd, frames, size);
}

static void client_next_after(int fd, uint32_t request_id, uint64_t after)
{
    uint8_t frame[32];
    const struct sf_wire_next next = {.count = 1, .has_after = true, .after = after};
    client_send(fd, frame, sf_wire_put_next(frame, sizeof frame, request_id, &next));
}

static uint64_t id_at(const struct fixture *f, uint64_t ahead_ms)
{
    uint64_t id = 0;
    const struct sf_id_parts parts = {.timestamp_ms = f->fixed_ms + ahead_ms};
    assert_int_equal(sf_id_encode(&tiny, &parts, &id), 0);
    return id;
}

/* A few ask for far more than there is. Whoever asks for one ID has it after one round of their
 * turns, whatever they have on the way. */
static void test_greedy_and_modest(void **state)
{
    (void)state;
    enum { GREEDY = 4, BATCHES = 8, BATCH = 20000 };
    struct fixture f;
    prepare_still(&f, 0, 1);
    /* What the greedy have on the way fills the queue. */
    f.options.limits.max_wait_ms = GREEDY * BATCHES * BATCH / PER_MS;
    f.options.limits.max_waiting = GREEDY * BATCHES + 1;
    fixture_start(&f);
    int greedy[GREEDY];
    for (int i = 0; i < GREEDY; i++) {
        greedy[i] = client_connect(&f);
        client_next_many(greedy[i], 0, BATCHES, BATCH);
        EVENTUALLY(sf_server_waiting(f.server) == (unsigned)(i + 1) * BATCHES);
    }
    const int late = client_connect(&f);
    client_next(late, 7, BATCH);
    expect_status(late, 0x81, 7, SF_WIRE_OVERLOADED);
    close(late);
    const int modest = client_connect(&f);
    for (uint32_t round = 0; round < 5; round++) {
        client_next(modest, round, 1);
        EVENTUALLY(sf_server_waiting(f.server) == GREEDY * BATCHES + 1);
        int took_ms = 0;
        while (!has_answer(modest)) {
            next_ms(&f);
            sf_sleep_ms(1); /* the answer is on its way, if there is one */
            took_ms++;
            assert_true(took_ms <= GREEDY + 2);
        }
        uint64_t last = 0;
        assert_int_equal(expect_ids(modest, round, &last), 1);
        print_message("served after %d ms\n", took_ms);
    }
    for (int i = 0; i < GREEDY; i++)
        close(greedy[i]);
    close(modest);
    fixture_stop(&f);
}

/* The last part of limit.max_waiting is not for those who bring many. */
static void test_room_for_few(void **state)
{
    (void)state;
    enum { MOST = 80, MANY = 75 };
    struct fixture f;
    fixture_prepare(&f, tiny, 0, 1);
    f.options.threads = 1;
    f.options.limits.sequence_jitter = 0;
    f.options.limits.max_waiting = MOST;
    atomic_store(&f.fixed_ms, f.start_ms + 1000);
    fixture_start(&f);
    const int many = client_connect(&f), few = client_connect(&f);
    uint64_t last = 0;
    client_next(many, 0, PER_MS);
    assert_int_equal(expect_ids(many, 0, &last), PER_MS);
    client_next_many(many, 1, MANY, 1);
    for (uint32_t i = 1; i <= MANY - (MOST - MOST / 8); i++)
        expect_status(many, 0x81, i, SF_WIRE_OVERLOADED);
    EVENTUALLY(sf_server_waiting(f.server) == MOST - MOST / 8);
    client_next_many(few, 1, MOST / 8, 1);
    EVENTUALLY(sf_server_waiting(f.server) == MOST);
    next_ms(&f);
    atomic_fetch_add(&f.fixed_ms, 1);
    last = 0;
    for (uint32_t i = 1; i <= MOST / 8; i++)
        assert_int_equal(expect_ids(few, i, &last), 1);
    close(many);
    close(few);
    fixture_stop(&f);
}

/* Those that ask alike get alike. */
static void test_equal_shares(void **state)
{
    (void)state;
    enum { PEERS = 3, ROUNDS = 200 };
    struct fixture f;
    start_still(&f, 1);
    int fds[PEERS];
    uint32_t got[PEERS] = {0};
    for (int i = 0; i < PEERS; i++) {
        fds[i] = client_connect(&f);
        client_next_many(fds[i], 0, 4 * ROUNDS, PER_MS);
        EVENTUALLY(sf_server_waiting(f.server) > (unsigned)i * ROUNDS);
    }
    for (int i = 0; i < ROUNDS; i++)
        next_ms(&f);
    for (int i = 0; i < PEERS; i++) {
        uint64_t last = 0;
        for (sf_sleep_ms(5); has_answer(fds[i]); got[i]++)
            assert_int_equal(expect_ids(fds[i], got[i], &last), PER_MS);
        print_message("%u answers\n", got[i]);
        assert_in_range(got[i], ROUNDS / PEERS - 20, ROUNDS / PEERS + 20);
        close(fds[i]);
    }
    fixture_stop(&f);
}

/* With minting time ahead of the still clock used up, so that what comes is what the test gives. */
static void start_used_up(struct fixture *f, uint64_t max_ahead_ms)
{
    prepare_still(f, max_ahead_ms, 1);
    fixture_start(f);
    const int fd = client_connect(f);
    const uint32_t there = (uint32_t)(max_ahead_ms + 1) * PER_MS;
    uint64_t last = 0;
    client_next(fd, 0, there);
    assert_int_equal(expect_ids(fd, 0, &last), there);
    close(fd);
}

/* So many milliseconds of minting time at once, as after a long sleep. */
static void pass_ms(struct fixture *f, unsigned ms)
{
    const uint64_t before = minted(f);
    atomic_fetch_add(&f->fixed_ms, ms);
    EVENTUALLY(minted(f) == before + ms * PER_MS);
}

/* Where everybody needs many turns each has some at once: all of its answers, before the next one
 * gets any. So there are fewer writes, and nobody's last answer comes later. */
static void test_turns_at_once(void **state)
{
    (void)state;
    enum { TURNS = 8, REQUESTS = 4, COUNT = TURNS * PER_MS / REQUESTS };
    struct fixture f;
    start_used_up(&f, 2 * TURNS);
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = client_connect(&f);
        client_next_many(fds[i], 0, REQUESTS, COUNT);
        EVENTUALLY(sf_server_waiting(f.server) == (unsigned)(i + 1) * REQUESTS);
    }
    for (int i = 0; i < 2; i++) {
        pass_ms(&f, TURNS);
        EVENTUALLY(sf_server_waiting(f.server) == (unsigned)(1 - i) * REQUESTS);
        uint64_t last = 0;
        for (uint32_t request = 0; request < REQUESTS; request++)
            assert_int_equal(expect_ids(fds[i], request, &last), COUNT);
    }
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    fixture_stop(&f);
}

/* But whoever asks for one batch after the other has the same share as who has hundreds of requests
 * on the way. */
static void test_one_beside_many(void **state)
{
    (void)state;
    enum { STEPS = 60, STEP_MS = 8, MANY = 1000, BATCH = STEP_MS * PER_MS / 2 };
    struct fixture f;
    start_used_up(&f, 2 * STEP_MS);
    const int many = client_connect(&f), one = client_connect(&f);
    client_next_many(many, 0, MANY, PER_MS);
    EVENTUALLY(sf_server_waiting(f.server) == MANY);
    uint32_t asked = 0, answered = 0;
    uint64_t last = 0;
    for (int step = 0; step < STEPS; step++) {
        const unsigned waiting = sf_server_waiting(f.server);
        if (asked == answered) {
            client_next(one, asked++, BATCH);
            EVENTUALLY(sf_server_waiting(f.server) == waiting + 1);
        }
        pass_ms(&f, STEP_MS);
        if (has_answer(one))
            assert_int_equal(expect_ids(one, answered++, &last), BATCH);
    }
    print_message("%u of %d answers\n", answered, STEPS);
    assert_in_range(answered, STEPS * 8 / 10, STEPS);
    close(many);
    close(one);
    fixture_stop(&f);
}

/* A generator that was closed and is open again gets its share of the connections back, or half of
 * the worker would lie idle until they end. */
static void test_slot_comes_back(void **state)
{
    (void)state;
    enum { PEERS = 4, REQUESTS = 500 };
    struct fixture f;
    prepare_still(&f, 0, 2);
    fixture_start(&f);
    sf_generator_close(&f.generators[1]);
    int fds[PEERS];
    uint64_t last[PEERS] = {0};
    for (int i = 0; i < PEERS; i++) {
        const unsigned waiting = sf_server_waiting(f.server);
        fds[i] = client_connect(&f);
        client_next_many(fds[i], 0, REQUESTS, PER_MS);
        EVENTUALLY(sf_server_waiting(f.server) >= waiting + REQUESTS - 1);
    }
    for (int i = 0; i < 8; i++)
        next_ms(&f);
    const uint64_t limit_ms = sf_generator_limit_ms(&f.generators[0]);
    assert_int_equal(sf_generator_open(&f.generators[1], 1, 1, f.fixed_ms, limit_ms), 0);
    next_ms(&f); /* they find it, and start there in a later millisecond */
    for (int i = 0; i < 8; i++) {
        const uint64_t before = minted(&f);
        atomic_fetch_add(&f.fixed_ms, 1);
        EVENTUALLY(minted(&f) == before + 2 * PER_MS);
    }
    for (int i = 0; i < PEERS; i++) {
        uint32_t got = 0;
        for (sf_sleep_ms(5); has_answer(fds[i]); got++)
            assert_int_equal(expect_ids(fds[i], got, &last[i]), PER_MS);
        print_message("%u answers\n", got);
        close(fds[i]);
    }
    fixture_stop(&f);
}

/* One that waited in vain for a time ahead, and changed its generator meanwhile, has IDs of the
 * present again. */
static void test_after_in_vain(void **state)
{
    (void)state;
    enum { PEERS = 4, AHEAD_MS = 100 };
    struct fixture f;
    prepare_still(&f, 0, 2);
    f.options.limits.max_wait_ms = 2 * AHEAD_MS;
    fixture_start(&f);
    sf_generator_close(&f.generators[1]);
    int fds[PEERS];
    uint64_t last[PEERS] = {0};
    for (int i = 0; i < PEERS; i++) {
        fds[i] = client_connect(&f);
        client_next(fds[i], 0, 1);
        assert_int_equal(expect_ids(fds[i], 0, &last[i]), 1);
    }
    const uint64_t limit_ms = sf_generator_limit_ms(&f.generators[0]);
    assert_int_equal(sf_generator_open(&f.generators[1], 1, 1, f.fixed_ms, limit_ms), 0);
    client_next_after(fds[0], 1, id_at(&f, AHEAD_MS));
    expect_status(fds[0], 0x81, 1, SF_WIRE_OVERLOADED);
    atomic_fetch_add(&f.fixed_ms, 2);
    client_next(fds[0], 2, 1);
    assert_int_equal(expect_ids(fds[0], 2, &last[0]), 1);
    for (int i = 0; i < PEERS; i++)
        close(fds[i]);
    fixture_stop(&f);
}

/* Whoever waits for a time that lies ahead waits alone. */
static void test_after_blocks_nobody(void **state)
{
    (void)state;
    struct fixture f;
    start_still(&f, 1);
    const int first = client_connect(&f), ahead = client_connect(&f), behind = client_connect(&f);
    uint64_t last = 0;
    client_next(first, 1, PER_MS);
    assert_int_equal(expect_ids(first, 1, &last), PER_MS);
    client_next(first, 2, 1);
    EVENTUALLY(sf_server_waiting(f.server) == 1);
    /* Queued like anybody, because somebody waits already; its turn shows that it waits for
     * longer. */
    client_next_after(ahead, 3, id_at(&f, 50));
    EVENTUALLY(sf_server_waiting(f.server) == 2);
    client_next(behind, 4, 1);
    EVENTUALLY(sf_server_waiting(f.server) == 3);
    atomic_fetch_add(&f.fixed_ms, 1);
    assert_int_equal(expect_ids(first, 2, &last), 1);
    uint64_t other = 0;
    assert_int_equal(expect_ids(behind, 4, &other), 1);
    EVENTUALLY(sf_server_waiting(f.server) == 1);
    /* Its own time comes. */
    atomic_fetch_add(&f.fixed_ms, 49);
    other = id_at(&f, 0);
    assert_int_equal(expect_ids(ahead, 3, &other), 1);
    close(first);
    close(ahead);
    close(behind);
    fixture_stop(&f);
}

/* Many that wait for their AFTER: each is served when its own time has come, not before. */
static void test_after_in_order_of_time(void **state)
{
    (void)state;
    enum { PEERS = 20 };
    struct fixture f;
    start_still(&f, 2);
    int fds[PEERS];
    uint64_t after[PEERS];
    for (int i = 0; i < PEERS; i++) {
        fds[i] = client_connect(&f);
        after[i] = id_at(&f, 1 + (unsigned)(i * 7 % PEERS) * 3);
        client_next_after(fds[i], 1, after[i]);
    }
    EVENTUALLY(sf_server_waiting(f.server) == PEERS);
    for (unsigned i = 0; i < PEERS; i++) {
        atomic_fetch_add(&f.fixed_ms, i == 0 ? 2 : 3);
        EVENTUALLY(sf_server_waiting(f.server) == PEERS - 1 - i);
    }
    for (int i = 0; i < PEERS; i++) {
        assert_int_equal(expect_ids(fds[i], 1, &after[i]), 1);
        close(fds[i]);
    }
    fixture_stop(&f);
}

/* A worker that cannot mint says so, and does not call AFTER too far ahead: another worker may
 * do. */
static uint64_t no_epoch_yet(void *ctx, int64_t mono_ns)
{
    (void)ctx;
    (void)mono_ns;
    return 0;
}

static void test_after_without_right(void **state)
{
    (void)state;
    struct fixture f;
    start_still(&f, 1);
    const int fd = client_connect(&f);
    client_next_after(fd, 1, id_at(&f, 3600000));
    expect_status(fd, 0x81, 1, SF_WIRE_CAUSALITY);
    sf_generator_close(&f.generators[0]);
    client_next_after(fd, 2, id_at(&f, 3600000));
    expect_status(fd, 0x81, 2, SF_WIRE_NOT_READY);
    close(fd);
    fixture_stop(&f);
    /* And before the fleet is known. */
    static struct sf_generator blank;
    fixture_prepare(&f, tiny, 0, 0);
    f.options.generators[f.options.generator_count++] = &blank;
    f.options.host.mint_now_ms = no_epoch_yet;
    fixture_start(&f);
    const int early = client_connect(&f);
    client_next_after(early, 3, INT64_MAX);
    expect_status(early, 0x81, 3, SF_WIRE_NOT_READY);
    close(early);
    fixture_stop(&f);
}

/* Greater as a number than what it was asked to follow, whichever slot and sequence that had, and not a
 * millisecond later than that takes. A worker with several slots goes on so when it loses one. */
static void test_after_as_a_number(void **state)
{
    (void)state;
    struct fixture f;
    const struct sf_layout layout = SF_DEFAULT_LAYOUT;
    fixture_prepare(&f, layout, 10, 0);
    f.options.threads = 1;
    f.options.limits.sequence_jitter = 0;
    f.options.limits.max_wait_ms = 600000;
    for (unsigned i = 0; i < 2; i++) { /* slots 1/10 and 1/20 */
        sf_generator_init(&f.generators[i], &layout, 10, &f.words[i]);
        assert_int_equal(
            sf_generator_open(&f.generators[i], 1, 10 * (i + 1), f.start_ms, UINT64_MAX >> 22), 0);
        f.options.generators[f.options.generator_count++] = &f.generators[i];
    }
    fixture_start(&f);
    atomic_store(&f.fixed_ms, f.start_ms);
    const int fd = client_connect(&f);
    struct sf_prng prng = {.state = 4711};
    uint64_t ms = f.start_ms;
    for (uint32_t i = 0; i < 3000; i++) {
        struct sf_id_parts seen = {.timestamp_ms = ms,
                                   .datacenter = sf_prng_below(&prng, 3),
                                   .worker = sf_prng_below(&prng, 32),
                                   .sequence = sf_prng_below(&prng, 4096)};
        if (i % 7 == 0) /* the edges of the two slots, and of their milliseconds */
            seen = (struct sf_id_parts){ms, 1, 10 * (1 + sf_prng_below(&prng, 2)),
                                        sf_prng_below(&prng, 2) * 4095};
        if (i == 1500)
            sf_generator_close(&f.generators[0]);
        uint64_t after, id;
        struct sf_id_parts got;
        assert_int_equal(sf_id_encode(&layout, &seen, &after), 0);
        atomic_store(&f.fixed_ms, ms);
        client_next_after(fd, i, after);
        assert_int_equal(expect_ids(fd, i, &id), 1);
        assert_int_equal(sf_id_decode(&layout, id, &got), 0);
        if (id <= after)
            fail_msg("%u: %" PRIu64 " does not follow %" PRIu64, i, id, after);
        assert_in_range(got.timestamp_ms, ms, ms + 2);
        ms = got.timestamp_ms > ms ? got.timestamp_ms : ms;
    }
    close(fd);
    fixture_stop(&f);
}

/* OVERLOADED names the time that the queue needs: then there is room. */
static void test_retry_after_is_honest(void **state)
{
    (void)state;
    enum { QUEUED = 10 * PER_MS };
    struct fixture f;
    fixture_prepare(&f, tiny, 0, 1);
    f.options.threads = 1;
    f.options.limits.sequence_jitter = 0;
    f.options.limits.max_waiting = 1;
    atomic_store(&f.fixed_ms, f.start_ms + 1000);
    fixture_start(&f);
    const int one = client_connect(&f), two = client_connect(&f);
    uint8_t body[512];
    struct sf_wire_header header;
    struct sf_wire_error error;
    uint64_t last = 0;
    client_next(one, 1, PER_MS);
    assert_int_equal(expect_ids(one, 1, &last), PER_MS);
    client_next(one, 2, QUEUED);
    EVENTUALLY(sf_server_waiting(f.server) == 1);
    client_next(two, 3, 1);
    assert_true(client_read(two, &header, body));
    assert_int_equal(header.code, SF_WIRE_OVERLOADED);
    assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
    assert_int_equal(error.retry_after_ms, QUEUED / PER_MS + 1);
    for (uint32_t ms = 1; ms < error.retry_after_ms; ms++) {
        EVENTUALLY(sf_server_waiting(f.server) == 1);
        next_ms(&f);
    }
    assert_int_equal(expect_ids(one, 2, &last), QUEUED);
    atomic_fetch_add(&f.fixed_ms, 1);
    client_next(two, 4, 1);
    last = 0;
    assert_int_equal(expect_ids(two, 4, &last), 1);
    close(one);
    close(two);
    fixture_stop(&f);
}

/* Requests that waited show in request_duration_seconds with their wait, whether they waited in
 * part or behind one that did. */
static void test_waits_are_measured(void **state)
{
    (void)state;
    enum { WAIT_MS = 300, BEHIND = 40 };
    struct fixture f;
    start_still(&f, 1);
    const int fd = client_connect(&f);
    uint64_t last = 0;
    client_next(fd, 0, PER_MS);
    assert_int_equal(expect_ids(fd, 0, &last), PER_MS);
    client_next_many(fd, 1, BEHIND, 1);
    EVENTUALLY(sf_server_waiting(f.server) == BEHIND);
    sf_sleep_ms(WAIT_MS);
    atomic_fetch_add(&f.fixed_ms, 1);
    for (uint32_t i = 1; i <= BEHIND; i++)
        assert_int_equal(expect_ids(fd, i, &last), 1);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_REQUEST_DURATION, SF_REQUEST_NEXT) ==
               BEHIND + 1);
    /* All but the first one. Buckets are coarse: above 250 ms comes 500. */
    const int64_t low_ns =
        sf_metrics_quantile_ns(f.metrics, SF_METRIC_REQUEST_DURATION, SF_REQUEST_NEXT, 0.1);
    assert_true(low_ns > 200 * SF_NS_PER_MS);
    close(fd);
    fixture_stop(&f);
}

/* Ages differ, so that a crowd that came together does not go together. */
/* New limits that come before the fleet's layout is known are those that count afterwards. */
static void test_reload_before_the_layout(void **state)
{
    (void)state;
    struct fixture f;
    struct sf_error err = {0};
    fixture_prepare(&f, tiny, 0, 0);
    f.options.generators[f.options.generator_count++] = &f.generators[0];
    f.options.host.mint_now_ms = no_epoch_yet;
    f.options.limits.max_batch = 1000;
    fixture_start(&f);
    assert_int_equal(sf_server_max_batch(f.server), 1000);
    f.options.limits.max_batch = 500;
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), 0);
    assert_int_equal(sf_server_max_batch(f.server), 500);
    sf_generator_init(&f.generators[0], &tiny, 0, &f.words[0]);
    sf_server_layout_known(f.server);
    assert_int_equal(sf_server_max_batch(f.server), 500);
    close(client_connect(&f));
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTIONS_TOTAL, 0) == 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy_and_modest),
        cmocka_unit_test(test_room_for_few),
        cmocka_unit_test(test_equal_shares),
        cmocka_unit_test(test_turns_at_once),
        cmocka_unit_test(test_one_beside_many),
        cmocka_unit_test(test_slot_comes_back),
        cmocka_unit_test(test_after_in_vain),
        cmocka_unit_test(test_after_blocks_nobody),
        cmocka_unit_test(test_after_in_order_of_time),
        cmocka_unit_test(test_after_without_right),
        cmocka_unit_test(test_after_as_a_number),
        cmocka_unit_test(test_retry_after_is_honest),
        cmocka_unit_test(test_waits_are_measured),
        cmocka_unit_test(test_reload_before_the_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
