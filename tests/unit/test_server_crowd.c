/* Many connections: those that are old enough leave one after the other, and those that come and go
 * in a storm leave nothing behind. */
#include "unit/server_fixture.h"

#include <dirent.h>

static void test_ages_are_spread(void **state)
{
    (void)state;
    enum { PEERS = 60, AGE_MS = 2000 };
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    f.options.limits.max_connection_age_ms = AGE_MS;
    fixture_start(&f);
    struct pollfd fds[PEERS];
    int64_t begun_ns[PEERS], took_ms[PEERS] = {0};
    for (int i = 0; i < PEERS; i++) {
        begun_ns[i] = sf_mono_ns();
        fds[i] = (struct pollfd){.fd = client_connect(&f), .events = POLLIN};
    }
    for (int gone = 0; gone < PEERS;) {
        assert_true(poll(fds, PEERS, PATIENCE_MS) > 0);
        for (int i = 0; i < PEERS; i++) {
            if (took_ms[i] != 0 || (fds[i].revents & POLLIN) == 0)
                continue;
            uint8_t body[512];
            struct sf_wire_header header;
            struct sf_wire_goaway goaway;
            took_ms[i] = (sf_mono_ns() - begun_ns[i]) / SF_NS_PER_MS;
            assert_true(client_read(fds[i].fd, &header, body));
            assert_int_equal(header.type, SF_WIRE_GOAWAY);
            assert_int_equal(sf_wire_get_goaway(body, header.length - 8, &goaway), 0);
            assert_true(goaway.deadline_ms > 0);
            fds[i].events = 0;
            gone++;
        }
    }
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < PEERS; i++) {
        least = took_ms[i] < least ? took_ms[i] : least;
        most = took_ms[i] > most ? took_ms[i] : most;
        close(fds[i].fd);
    }
    print_message("told after %" PRId64 " to %" PRId64 " ms\n", least, most);
    assert_true(least >= AGE_MS - AGE_MS / 10);
    assert_true(most - least >= AGE_MS / 20); /* of the fifth that they are spread over */
    fixture_stop(&f);
}

static unsigned open_files(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

struct storm {
    const struct fixture *f;
    unsigned number;
};

/* Connects and is gone, with a reset, an end or half a frame behind it. */
static void *storm_run(void *arg)
{
    const struct storm *storm = arg;
    enum { CONNECTS = 1000 };
    for (unsigned i = 0; i < CONNECTS; i++) {
        const int fd = client_connect(storm->f);
        const struct linger reset = {.l_onoff = 1};
        const unsigned kind = (i + storm->number) % 4;
        if (kind >= 2)
            client_send(fd, "\0\0\0\x0c\1\1\0\0\0\0\0\1\0\0\0\1", kind == 2 ? 16 : 7);
        if (kind % 2 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    return NULL;
}

/* Thousands of connections come and go; one that was there is answered all the time, and nothing
 * is left of them. */
static void test_accept_storm(void **state)
{
    (void)state;
    enum { STORMS = 4 };
    struct fixture f;
    fixture_prepare(&f, SF_DEFAULT_LAYOUT, 10, 1);
    fixture_start(&f);
    const int held = client_connect(&f);
    uint64_t last = 0;
    client_next(held, 0, 1);
    assert_int_equal(expect_ids(held, 0, &last), 1);
    const unsigned before = open_files();
    struct storm storms[STORMS];
    pthread_t threads[STORMS];
    for (unsigned i = 0; i < STORMS; i++) {
        storms[i] = (struct storm){.f = &f, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, storm_run, &storms[i]), 0);
    }
    for (uint32_t i = 1; i <= 300; i++) {
        client_next(held, i, 1);
        assert_int_equal(expect_ids(held, i, &last), 1);
    }
    for (unsigned i = 0; i < STORMS; i++)
        pthread_join(threads[i], NULL);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTIONS_TOTAL, 0) == STORMS * 1000 + 1);
    EVENTUALLY(sf_server_connections(f.server) == 1);
    EVENTUALLY(open_files() == before);
    client_next(held, 9, 1);
    assert_int_equal(expect_ids(held, 9, &last), 1);
    close(held);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ages_are_spread),
        cmocka_unit_test(test_accept_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
