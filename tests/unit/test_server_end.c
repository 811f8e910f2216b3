/* Ends of connections: draining, a peer that ends, age. Whatever was sent before is answered. */
#include "unit/server_fixture.h"

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
    struct fixture *f = *state;
    enum { FLOODS = 6 };
    atomic_store(&f->refusal_status, SF_WIRE_DRAINING);
    fixture_start(f);
    static struct flood floods[FLOODS];
    memset(floods, 0, sizeof floods);
    pthread_t senders[FLOODS], readers[FLOODS];
    for (int i = 0; i < FLOODS; i++) {
        floods[i].fd = client_connect(f);
        pthread_create(&senders[i], NULL, flood_send, &floods[i]);
        pthread_create(&readers[i], NULL, flood_read, &floods[i]);
    }
    sf_sleep_ms(200);
    const int64_t began_ns = sf_mono_ns();
    sf_server_drain(f->server, 60000, "test");
    sf_sleep_ms(20);
    sf_generator_close(&f->generators[0]);
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
    EVENTUALLY(sf_server_connections(f->server) == 0);
    /* Ends when all is answered, not at some deadline: the shortest one here is 10 s. */
    assert_true(sf_mono_ns() - began_ns < 8 * SF_NS_PER_S);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sf_server_port(f->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    close(fd);
}

/* Requests with the end of the stream right behind them: all are answered, then the server ends as
 * well. */
static void test_half_closed(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 200; round++) {
        const int fd = client_connect(f);
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
    EVENTUALLY(sf_server_connections(f->server) == 0);
}

static void test_age(void **state)
{
    struct fixture *f = *state;
    f->options.limits.max_connection_age_ms = 200;
    fixture_start(f);
    const int fd = client_connect(f);
    struct sf_wire_header header;
    uint8_t body[512];
    assert_true(client_read(fd, &header, body));
    assert_int_equal(header.type, SF_WIRE_GOAWAY);
    uint64_t last = 0;
    client_next(fd, 1, 1);
    assert_int_equal(expect_ids(fd, 1, &last), 1);
    expect_end(fd);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_CONNECTION_CLOSED, SF_CONN_CLOSED_AGE) == 1);
}

static struct arrangement tiny = {TINY_LAYOUT, 10, 1};

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_drain_under_load, &tiny),
        STARTED_TEST(test_half_closed, NULL),
        PREPARED_TEST(test_age, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
