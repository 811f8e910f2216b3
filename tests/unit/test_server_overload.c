/* Far more is asked for than there are IDs: what is accepted is answered in bounded time, what
 * there is gets handed out, and it is over when the demand is. */
#include "unit/server_fixture.h"

/* Few requests and fewer IDs: the server and the peers have little to do, also on a busy
 * machine. */
enum { PEERS = 4, REQUESTS = 20000, PART = 100, PART_MS = 10, MAX_WAIT_MS = 500 };
/* Two IDs a millisecond; the peers ask for twenty times as many, 40 s' worth in all. */
static const struct sf_layout narrow = {41, 10, 11, 1};
/* Beyond mint.max_wait_ms: a busy machine. Without shedding it would be over 6 s. */
enum { MARGIN_MS = 2000 };

/* The time that the queue needs is no longer than a request may wait (and run ahead), but for what
 * the other shard takes in or has in its hands at the moment: one connection's requests, as many as
 * one read brings. */
enum { RETRY_MAX_MS = MAX_WAIT_MS + 11 + 16384 / 16 / 2 };

struct peer {
    int fd;
    _Atomic uint32_t sent;
    int64_t *sent_ns;
    uint32_t accepted, refused;
    int64_t longest_ms;
    uint32_t longest_retry_ms;
};

static void *send_all(void *arg)
{
    struct peer *peer = arg;
    uint8_t frames[PART * 16];
    const struct sf_wire_next next = {.count = 1};
    for (uint32_t i = 0; i < REQUESTS; i += PART) {
        for (uint32_t k = 0; k < PART; k++) {
            sf_wire_put_next(frames + k * 16, 16, i + k, &next);
            peer->sent_ns[i + k] = sf_mono_ns();
        }
        atomic_store(&peer->sent, i + PART);
        client_send(peer->fd, frames, sizeof frames);
        sf_sleep_ms(PART_MS);
    }
    return NULL;
}

static void *read_all(void *arg)
{
    struct peer *peer = arg;
    static _Thread_local uint8_t body[65536];
    struct sf_wire_header header;
    for (uint32_t i = 0; i < REQUESTS && client_read(peer->fd, &header, body); i++) {
        struct sf_wire_error error;
        assert_int_equal(header.request_id, i);
        assert_true(i < atomic_load(&peer->sent));
        const int64_t took_ms = (sf_mono_ns() - peer->sent_ns[i]) / SF_NS_PER_MS;
        if (header.code == SF_WIRE_OK) {
            peer->accepted++;
            peer->longest_ms = took_ms > peer->longest_ms ? took_ms : peer->longest_ms;
            continue;
        }
        assert_int_equal(header.code, SF_WIRE_OVERLOADED);
        assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
        peer->refused++;
        if (error.retry_after_ms > peer->longest_retry_ms)
            peer->longest_retry_ms = error.retry_after_ms;
    }
    return NULL;
}

/* Whether it is served; OVERLOADED while what was before is still remembered. */
static bool gets_five(int fd)
{
    static uint8_t body[65536];
    struct sf_wire_header header;
    client_next(fd, 7, 5);
    assert_true(client_read(fd, &header, body));
    assert_true(header.code == SF_WIRE_OK || header.code == SF_WIRE_OVERLOADED);
    return header.code == SF_WIRE_OK;
}

static void test_latency_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_prepare(&f, narrow, 10, 1);
    f.options.limits.max_wait_ms = MAX_WAIT_MS;
    fixture_start(&f);
    static struct peer peers[PEERS];
    pthread_t senders[PEERS], readers[PEERS];
    for (int i = 0; i < PEERS; i++) {
        peers[i].fd = client_connect(&f);
        peers[i].sent_ns = calloc(REQUESTS, sizeof *peers[i].sent_ns);
        assert_non_null(peers[i].sent_ns);
    }
    for (int i = 0; i < PEERS; i++) {
        pthread_create(&readers[i], NULL, read_all, &peers[i]);
        pthread_create(&senders[i], NULL, send_all, &peers[i]);
    }
    uint32_t accepted = 0;
    for (int i = 0; i < PEERS; i++) {
        pthread_join(senders[i], NULL);
        pthread_join(readers[i], NULL);
        print_message(
            "peer %d: %u accepted, %u refused, longest %" PRId64 " ms, longest retry %u ms\n", i,
            peers[i].accepted, peers[i].refused, peers[i].longest_ms, peers[i].longest_retry_ms);
        assert_int_equal(peers[i].accepted + peers[i].refused, REQUESTS);
        accepted += peers[i].accepted;
        assert_true(peers[i].longest_ms <= MAX_WAIT_MS + MARGIN_MS);
        assert_in_range(peers[i].longest_retry_ms, 0, RETRY_MAX_MS);
    }
    /* Who asks for the same gets about the same. */
    for (int i = 0; i < PEERS; i++)
        assert_true(peers[i].accepted * PEERS > accepted / 3);
    EVENTUALLY(sf_server_waiting(f.server) == 0);
    /* Afterwards it is as if nothing had been, once the sockets have been empty for a while. */
    for (int i = 0; i < PEERS; i++) {
        const int64_t began_ns = sf_mono_ns();
        while (!gets_five(peers[i].fd))
            sf_sleep_ms(1);
        assert_true(sf_mono_ns() - began_ns < MARGIN_MS * SF_NS_PER_MS);
        close(peers[i].fd);
        free(peers[i].sent_ns);
    }
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_latency_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
