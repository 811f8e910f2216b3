/* Greedy connections must not starve a modest one, whatever they ask for: what a turn of a
 * connection may cost is counted in work, not in bytes. What a request waits for is measured as CPU
 * time of the shard and compared with that beside greedy one-ID NEXT in the same run. */
#include "unit/server_fixture.h"

#include <inttypes.h>
#include <time.h>

#define GREEDY        50
#define ROUNDS        5
#define TURN_BYTES    20000 /* a turn reads less */
#define RATIO_MAX     3
#define INFO_SIZE     4096
#define INFO_BUILD_NS 50000 /* what a worker's JSON takes */
#define TIME_NS       1000

static _Atomic unsigned info_builds;

static void spin_ns(int64_t ns)
{
    for (const int64_t end = sf_mono_ns() + ns; sf_mono_ns() < end;)
        ;
}

static size_t slow_info(void *ctx, char *to, size_t size)
{
    (void)ctx;
    assert_true(size >= INFO_SIZE);
    atomic_fetch_add(&info_builds, 1);
    spin_ns(INFO_BUILD_NS);
    memset(to, 'x', INFO_SIZE);
    return INFO_SIZE;
}

static bool slow_time(void *ctx, struct sf_wire_time *ret)
{
    spin_ns(TIME_NS);
    return fixture_time(ctx, ret);
}

/* The only shard runs step by step: it asks for minting time at the beginning of each turn of its
 * loop and every 32 connections, and goes on when the test lets it. So what it does between two
 * steps is the same however busy the machine is. */
static struct {
    _Atomic unsigned allowed, taken; /* steps; the shard waits where they are equal */
    _Atomic bool waits, free_run;
    int64_t began_ns; /* CPU time of the shard's thread; the shard's */
    _Atomic int64_t spent_ns;
} gate;

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * SF_NS_PER_S + now.tv_nsec;
}

static uint64_t stepped_now(void *ctx, int64_t mono_ns)
{
    if (!atomic_load(&gate.free_run)) {
        atomic_fetch_add(&gate.spent_ns, cpu_ns() - gate.began_ns);
        atomic_store(&gate.waits, true);
        while (atomic_load(&gate.allowed) == atomic_load(&gate.taken) &&
               !atomic_load(&gate.free_run))
            sf_sleep_ms(1);
        atomic_store(&gate.waits, false);
        atomic_fetch_add(&gate.taken, 1);
    }
    gate.began_ns = cpu_ns();
    return fixture_mint_now(ctx, mono_ns);
}

static void step(void)
{
    const unsigned before = atomic_load(&gate.taken);
    atomic_fetch_add(&gate.allowed, 1);
    EVENTUALLY(atomic_load(&gate.taken) > before && atomic_load(&gate.waits));
}

/* As much of this frame as fits. */
static void fill(int fd, const uint8_t *frame, size_t size)
{
    static uint8_t chunk[1 << 16];
    size_t filled = 0;
    for (; filled + size <= sizeof chunk; filled += size)
        memcpy(chunk + filled, frame, size);
    assert_true(send(fd, chunk, filled, MSG_NOSIGNAL | MSG_DONTWAIT) > TURN_BYTES);
}

/* Every greedy connection has more to be read than a turn takes, then the modest one asks: the CPU
 * time until it is answered. */
static int64_t round_ns(const struct fixture *f, uint16_t port, const uint8_t *frame, size_t size)
{
    int fds[GREEDY];
    uint64_t last = 0;
    uint8_t byte;
    atomic_store(&gate.free_run, true);
    for (int i = 0; i < GREEDY; i++)
        fds[i] = client_connect_to(port);
    const int modest = client_connect(f);
    client_next(modest, 1, 1); /* all are accepted */
    assert_int_equal(expect_ids(modest, 1, &last), 1);
    EVENTUALLY(sf_server_connections(f->server) == GREEDY + 1);
    atomic_store(&gate.allowed, atomic_load(&gate.taken));
    atomic_store(&gate.free_run, false);
    for (int i = 0; i < GREEDY; i++)
        fill(fds[i], frame,
             size); /* the first of them wakes the shard, which waits before it reads */
    client_next(modest, 2, 1);
    EVENTUALLY(atomic_load(&gate.waits));
    atomic_store(&gate.spent_ns, 0);
    while (recv(modest, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
        step();
    const int64_t spent = atomic_load(&gate.spent_ns);
    assert_int_equal(expect_ids(modest, 2, &last), 1);
    atomic_store(&gate.free_run, true);
    for (int i = 0; i < GREEDY; i++)
        close(fds[i]);
    close(modest);
    EVENTUALLY(sf_server_connections(f->server) == 0);
    return spent;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t modest_ns(const struct fixture *f, uint16_t port, const uint8_t *frame, size_t size)
{
    int64_t took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        took[i] = round_ns(f, port, frame, size);
    qsort(took, ROUNDS, sizeof *took, compare);
    return took[ROUNDS / 2];
}

static void test_no_request_starves_others(void **state)
{
    struct fixture *f = *state;
    f->options.threads = 1;
    f->options.has_http = true;
    f->options.host.mint_now_ms = stepped_now;
    f->options.host.info = slow_info;
    f->options.host.time = slow_time;
    atomic_store(&gate.free_run, true);
    f->options.limits.max_wait_ms = 600000; /* nobody is shed: all that is asked is served */
    fixture_start(f);
    uint8_t frame[512], body[SF_WIRE_PING_MAX] = {0};
    const struct sf_wire_next one = {.count = 1}, many = {.count = 500}, most = {.count = 65536};
    const struct sf_wire_next none = {.count = 0}, after = {.count = 1, .has_after = true};
    const struct sf_wire_next ahead = {.count = 1, .has_after = true, .after = INT64_MAX / 2};
    const uint16_t data = sf_server_port(f->server), http = sf_server_http_port(f->server);
    const int64_t usual = modest_ns(f, data, frame, sf_wire_put_next(frame, sizeof frame, 1, &one));
    print_message("beside NEXT for one ID: %" PRId64 " us\n", usual / 1000);
    const struct {
        const char *name;
        uint8_t type;
        size_t body;
        const struct sf_wire_next *next;
        const char *path;
    } cases[] = {{"PING", .type = SF_WIRE_PING},
                 {"long PING", .type = SF_WIRE_PING, .body = 256},
                 {"INFO", .type = SF_WIRE_INFO},
                 {"TIME", .type = SF_WIRE_TIME},
                 {"AUTH", .type = SF_WIRE_AUTH, .body = 200},
                 {"large NEXT", .next = &many},
                 {"largest NEXT", .next = &most},
                 {"NEXT for none", .next = &none},
                 {"AFTER", .next = &after},
                 {"AFTER, far ahead", .next = &ahead},
                 {"unknown type", .type = 0x3D},
                 {"HTTP", .path = "/v1/ids"},
                 {"HTTP, large", .path = "/v1/ids?count=500"},
                 {"HTTP, largest", .path = "/v1/ids?count=65536"},
                 {"HTTP, decode", .path = "/v1/decode/382138005323788288"},
                 {"HTTP, nothing there", .path = "/nothing"}};
    bool failed = false;
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        size_t size = SF_WIRE_HEADER_SIZE + cases[i].body;
        if (cases[i].path != NULL) {
            size = (size_t)snprintf((char *)frame, sizeof frame,
                                    "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].path);
        } else if (cases[i].next != NULL) {
            size = sf_wire_put_next(frame, sizeof frame, 1, cases[i].next);
        } else {
            sf_wire_put_header(frame, cases[i].type, 0, 1, cases[i].body);
            memcpy(frame + SF_WIRE_HEADER_SIZE, body, cases[i].body);
        }
        const int64_t ns = modest_ns(f, cases[i].path != NULL ? http : data, frame, size);
        print_message("beside %s: %" PRId64 " us\n", cases[i].name, ns / 1000);
        failed = failed || ns > RATIO_MAX * usual;
    }
    assert_false(failed);
}

/* However often it is asked for, INFO is built ten times at once and then once a second. */
static void test_info_is_built_once_a_second(void **state)
{
    struct fixture *f = *state;
    f->options.host.info = slow_info;
    fixture_start(f);
    atomic_store(&info_builds, 0);
    uint8_t frame[16];
    const int fds[2] = {client_connect(f), client_connect(f)}; /* one for each shard */
    const int64_t began = sf_mono_ns();
    unsigned asked = 0;
    for (; sf_mono_ns() - began < 2500 * SF_NS_PER_MS; asked++) {
        const size_t size = sf_wire_put_request(frame, sizeof frame, SF_WIRE_INFO, asked, NULL, 0);
        client_send(fds[asked % 2], frame, size);
        expect_status(fds[asked % 2], SF_WIRE_INFO | SF_WIRE_RESPONSE, asked, SF_WIRE_OK);
    }
    const unsigned builds = atomic_load(&info_builds);
    const unsigned seconds = (unsigned)((sf_mono_ns() - began) / SF_NS_PER_S);
    print_message("%u asked, %u built\n", asked, builds);
    assert_in_range(builds, 10 + seconds, 10 + seconds + 1);
    close(fds[0]);
    close(fds[1]);
}

static _Atomic bool named;

static size_t info_of_a_fleet(void *ctx, char *to, size_t size)
{
    (void)ctx;
    return (size_t)snprintf(to, size, "{\"fleet_id\":%s}", atomic_load(&named) ? "7" : "null");
}

/* Whoever asks so often that INFO is no longer built for him still hears of the fleet before its
 * first ID. */
static void test_info_tells_the_fleet_before_its_first_id(void **state)
{
    struct fixture *f = *state;
    f->options.host.info = info_of_a_fleet;
    atomic_store(&named, false);
    fixture_start(f);
    uint8_t frame[16], body[65536];
    struct sf_wire_header header;
    const int fds[2] = {client_connect(f), client_connect(f)}; /* one for each shard */
    for (uint32_t asked = 0; asked < 60; asked++) {
        if (asked == 40) {
            atomic_store(&named, true);
            sf_server_layout_known(f->server);
        }
        const size_t size = sf_wire_put_request(frame, sizeof frame, SF_WIRE_INFO, asked, NULL, 0);
        client_send(fds[asked % 2], frame, size);
        assert_true(client_read(fds[asked % 2], &header, body));
        if (asked >= 40)
            assert_memory_equal(body, "{\"fleet_id\":7}", 14);
    }
    close(fds[0]);
    close(fds[1]);
}

static struct arrangement wide = {{41, 2, 4, 16}, 10, 1};

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_no_request_starves_others, &wide),
        PREPARED_TEST(test_info_is_built_once_a_second, NULL),
        PREPARED_TEST(test_info_tells_the_fleet_before_its_first_id, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
