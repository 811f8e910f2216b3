/* A client that learns the fleet from its workers. */
#include <sys/wait.h>

#include "base/bytes.h"
#include "client/shared.h"

#define SERVERS 4
#include "unit/client_fixture.h"

static char lists[8][8192];

/* All servers tell these (bit i: server i) from now on, and what stands in `more`. */
static void tell(int which, const char *more, int list)
{
    char *text = lists[list];
    int size = snprintf(text, sizeof lists[0], "[");
    for (int i = 0; i < SERVERS; i++)
        if (which >> i & 1)
            size += snprintf(text + size, sizeof lists[0] - (size_t)size, "%s\"127.0.0.1:%u\"",
                             size > 1 ? "," : "", servers[i].port);
    (void)snprintf(text + size, sizeof lists[0] - (size_t)size, "%s]", more);
    for (int i = 0; i < SERVERS; i++)
        servers[i].workers = text;
}

/* Told of the first server only. */
static struct sf_client *make(struct sf_client_options options)
{
    options.discover = true;
    return client_of(1, options);
}

/* Calls go on until the client knows so many servers, of which so many serve. */
static void serve_until(struct sf_client *client, uint32_t known, uint32_t usable)
{
    struct sf_client_stats stats = {0};
    for (int i = 0; i < 2000; i++) {
        must_serve(client, 2);
        stats = stats_of(client);
        if (stats.servers == known && stats.servers_usable == usable)
            return;
        usleep(5000);
    }
    fail_msg("%u servers of which %u serve, not %u and %u", stats.servers, stats.servers_usable,
             known, usable);
}

static void assert_spread(struct sf_client *client, int which)
{
    uint64_t before[SERVERS];
    for (int i = 0; i < SERVERS; i++)
        before[i] = servers[i].served;
    must_serve(client, 600);
    for (int i = 0; i < SERVERS; i++) {
        if (which >> i & 1)
            assert_true(servers[i].served >= before[i] + 50);
        else
            assert_int_equal(servers[i].served, before[i]);
    }
}

static void test_the_fleet_is_found_from_one_server(void **state)
{
    (void)state;
    tell(1 | 2 | 4, "", 0);
    struct sf_client *client = make((struct sf_client_options){.discover_ms = 1000});
    serve_until(client, 3, 3);
    assert_int_equal(stats_of(client).servers_discovered, 2);
    assert_spread(client, 1 | 2 | 4);

    const uint16_t port = servers[0].port;
    fake_stop(&servers[0]); /* the only one that was configured */
    must_serve(client, 300);
    tell(2 | 4 | 8, "", 1); /* one comes, and the one that was lost is no longer told of */
    serve_until(client, 4, 3);
    assert_spread(client, 2 | 4 | 8);

    tell(2 | 8, "", 2);
    const uint16_t gone = servers[2].port;
    fake_stop(&servers[2]);
    serve_until(client, 3, 2); /* dropped; the configured one is kept */
    assert_spread(client, 2 | 8);
    fake_start(&servers[0], port);
    serve_until(client, 3, 3);
    assert_int_equal(stats_of(client).calls_by_error[SF_CLIENT_OK], stats_of(client).calls);
    sf_client_destroy(client);
    fake_start(&servers[2], gone);
}

static void test_who_answers_is_kept(void **state)
{
    (void)state;
    tell(1 | 2, "", 0);
    struct sf_client *client = make((struct sf_client_options){.discover_ms = 1000});
    serve_until(client, 2, 2);
    tell(1, "", 1);
    const uint64_t lists_read = stats_of(client).discoveries;
    while (stats_of(client).discoveries < lists_read + 3) {
        must_serve(client, 5);
        usleep(10000);
    }
    assert_int_equal(stats_of(client).servers, 2);
    assert_spread(client, 1 | 2);
    sf_client_destroy(client);
}

/* NEXT for so many IDs among what clients sent to a listener that answers nobody. */
static int asked_in_vain(int listener, uint32_t count)
{
    int found = 0;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        uint8_t bytes[4096];
        const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        struct sf_wire_header header;
        for (size_t at = 0;
             got > 0 && sf_wire_scan(bytes + at, (size_t)got - at, &header) == SF_WIRE_COMPLETE;
             at += 4 + header.length)
            found += header.type == SF_WIRE_NEXT && sf_load_be32(bytes + at + 12) == count;
        close(fd);
    }
    return found;
}

/* Nobody answers there: no call is sent there, so none waits for it; probes alone are. A machine
 * that stands still makes calls slow, too, and changes nothing here. Calls are for two IDs, probes
 * for one. */
static void test_unreachable_addresses_cost_no_call(void **state)
{
    (void)state;
    const int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(silent, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(silent, 64), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &size), 0);
    char more[256];
    (void)snprintf(more, sizeof more,
                   ",\"127.0.0.1:%u\",\"127.0.0.1:1\",\"no-such-host.invalid:7450\"",
                   ntohs(address.sin_port));
    tell(1 | 2, more, 0);
    struct sf_client *client = make((struct sf_client_options){.discover_ms = 1000});
    uint64_t ids[2];
    for (int i = 0; i < 150; i++) {
        for (int k = 0; k < 5; k++)
            assert_int_equal(sf_client_next_many(client, 2, ids), SF_CLIENT_OK);
        usleep(10000);
    }
    serve_until(client, 4, 2);
    const struct sf_client_stats stats = stats_of(client);
    assert_true(stats.connect_failures > 0); /* where connecting is refused */
    assert_true(stats.connect_failures <= stats.probes);
    sf_client_destroy(client);
    assert_int_equal(asked_in_vain(silent, 2), 0);
    close(silent);
}

static void must_be_served_by(struct sf_client *client, const struct fake_server *server)
{
    struct sf_client_reply reply;
    assert_int_equal(sf_client_ask(client, &(struct sf_client_request){.count = 1}, &reply),
                     SF_CLIENT_OK);
    assert_int_equal(reply.runs[0].first >> 12 & 31, server->worker);
    sf_client_reply_free(&reply);
}

static void test_another_fleet_is_not_joined(void **state)
{
    (void)state;
    servers[1].fleet_id = "99999999-2222-4333-8444-555555555555";
    tell(1 | 2, "", 0);
    servers[1].workers = lists[1]; /* nor believed */
    (void)snprintf(lists[1], sizeof lists[1], "[\"127.0.0.1:%u\"]", servers[2].port);
    struct sf_client *client = make((struct sf_client_options){.discover_ms = 1000});
    while (stats_of(client).wrong_fleet == 0 || stats_of(client).discoveries < 3) {
        must_be_served_by(client, &servers[0]);
        usleep(5000);
    }
    assert_int_equal(servers[2].accepted, 0);
    assert_int_equal(stats_of(client).servers, 2);
    sf_client_destroy(client);
}

/* Which fleet it is may come out only later. */
static void test_ids_of_an_unknown_fleet_are_not_used(void **state)
{
    (void)state;
    tell(1, "", 0);
    struct sf_client *client = make((struct sf_client_options){0});
    must_serve(client, 5);
    tell(1 | 2, "", 1);
    servers[1].fleet_id = "";
    servers[1].mode = FAKE_STATUS;
    servers[1].status = SF_WIRE_NOT_READY;
    sf_client_destroy(client);
    client = make((struct sf_client_options){.discover_ms = 1000});
    while (servers[1].asked < 3) {
        must_serve(client, 5);
        usleep(5000);
    }
    servers[1].fleet_id = "99999999-2222-4333-8444-555555555555";
    servers[1].mode = FAKE_SERVE;
    for (int i = 0; i < 300 && stats_of(client).wrong_fleet == 0; i++) {
        must_be_served_by(client, &servers[0]);
        usleep(5000);
    }
    assert_true(stats_of(client).wrong_fleet > 0);
    sf_client_destroy(client);
}

static void test_a_list_has_bounds(void **state)
{
    (void)state;
    char more[8000] = "";
    size_t used = 0;
    for (int i = 0; i < 300; i++)
        used += (size_t)snprintf(more + used, sizeof more - used, ",\"127.1.%d.%d:1\"", i / 200,
                                 i % 200 + 1);
    tell(1, more, 0);
    struct sf_client *client = make((struct sf_client_options){0});
    must_serve(client, 300);
    assert_int_equal(stats_of(client).servers_discovered, SF_CLIENT_DISCOVER_MAX);
    assert_int_equal(stats_of(client).servers, SF_CLIENT_DISCOVER_MAX + 1);
    assert_int_equal(stats_of(client).retries, 0);
    sf_client_destroy(client);
}

static void test_the_fleet_is_asked_seldom(void **state)
{
    (void)state;
    tell(1, "", 0);
    struct sf_client *client = make((struct sf_client_options){0});
    must_serve(client, 2000);
    assert_in_range(servers[0].infos, 1, 2); /* that of the connection, and the first look */
    servers[0].mode = FAKE_GOAWAY;           /* a connection for every call: each asks who it is */
    must_serve(client, 100);
    servers[0].mode = FAKE_SERVE;
    const uint64_t before = servers[0].infos;
    must_serve(client, 2000);
    assert_in_range(servers[0].infos - before, 0, 3);
    sf_client_destroy(client);
}

static void test_a_child_finds_the_fleet_anew(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* it knows no threads in a child of a process that had some */
#endif
    tell(1 | 2, "", 0);
    struct sf_client *client = make((struct sf_client_options){.discover_ms = 1000});
    serve_until(client, 2, 2);
    const pid_t child = fork();
    if (child == 0) {
        bool fine = stats_of(client).servers == 1;
        for (int i = 0; i < 1000 && fine && stats_of(client).servers_usable < 2; i++) {
            uint64_t id;
            fine = sf_client_next(client, &id) == SF_CLIENT_OK;
            usleep(2000);
        }
        fine = fine && stats_of(client).servers_usable == 2;
        sf_client_destroy(client);
        _exit(fine ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_spread(client, 1 | 2);
    sf_client_destroy(client);
}

struct worker {
    pthread_t thread;
    struct sf_client *client;
    int failed;
};

static atomic_bool over;

static void *call_on(void *ctx)
{
    struct worker *worker = ctx;
    while (!over) {
        uint64_t id;
        worker->failed += sf_client_next(worker->client, &id) != SF_CLIENT_OK;
    }
    return NULL;
}

/* Servers come and go under eight threads; what they give up is closed by all engines. */
static void test_threads_while_the_fleet_changes(void **state)
{
    (void)state;
    struct worker workers[8];
    tell(1, "", 0);
    struct sf_client *client = make((struct sf_client_options){.discover_ms = 1000, .pool = 8});
    over = false;
    for (int i = 0; i < 8; i++) {
        workers[i] = (struct worker){.client = client};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, call_on, &workers[i]), 0);
    }
    tell(1 | 2 | 4 | 8, "", 1);
    for (int i = 0; i < 1000 && stats_of(client).servers_usable < 4; i++)
        usleep(10000);
    assert_int_equal(stats_of(client).servers_usable, 4);
    tell(1 | 8, "", 2);
    const uint16_t ports[] = {servers[1].port, servers[2].port};
    fake_stop(&servers[1]);
    fake_stop(&servers[2]);
    for (int i = 0; i < 1000 && stats_of(client).servers != 2; i++)
        usleep(10000);
    assert_int_equal(stats_of(client).servers, 2);
    over = true;
    for (int i = 0; i < 8; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failed, 0);
    }
    sf_client_destroy(client);
    fake_start(&servers[1], ports[0]);
    fake_start(&servers[2], ports[1]);
}

/* The worker read its tokens again, and then once more: the connection is not lost for that. */
static void test_a_refused_token_is_shown_again(void **state)
{
    (void)state;
    tell(1, "", 0);
    servers[0].auth = 1;
    struct sf_client *client = make((struct sf_client_options){.token = "secret"});
    must_serve(client, 5);
    servers[0].auth = 2;
    uint64_t id;
    assert_int_equal(sf_client_next(client, &id), SF_CLIENT_DENIED);
    must_serve(client, 5);
    assert_int_equal(servers[0].accepted, 1);
    sf_client_destroy(client);
}

static void test_lists_are_read_strictly(void **state)
{
    static const struct {
        const char *json;
        int count;
    } rows[] = {
        {"{\"workers\":[]}", 0},
        {"{\"workers\":null}", 0},
        {"{\"workers\":", 0},
        {"{\"workers\":[", 0},
        {"{\"workers\":[\"", 0},
        {"{\"workers\":[\"a:1", 0},
        {"{\"workers\":[\"a:1\"", 1},
        {"{\"workers\" : [ \"a:1\" , \"[::1]:7450\" ] }", 2},
        {"{\"workers\":[\"a\",\"a:0\",\":7\",\"a:99999\",\"a b:7\",\"\",\"ok:7\"]}", 1},
        {"{\"workers\":[\"a\\\"b:1\",\"ok:7\"]}", 0},
        {"{\"workers\":[1,\"ok:7\"]}", 0},
        {"{\"fleet_id\":", 0},
        {"{\"layout\":", 0},
        {"{\"max_batch\":", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t size = strlen(rows[i].json);
        uint8_t *json = malloc(size); /* not a byte more, for the sanitizer */
        memcpy(json, rows[i].json, size);
        struct sf_info info = {0};
        struct sf_host_port at;
        int count = 0;
        if (sf_info_parse(json, size, &info) == 0)
            while (sf_info_next_worker(&info, &at))
                count++;
        if (count != rows[i].count)
            fail_msg("row %zu: %d workers, not %d", i, count, rows[i].count);
        free(json);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_fleet_is_found_from_one_server),
        TEST(test_who_answers_is_kept),
        TEST(test_unreachable_addresses_cost_no_call),
        TEST(test_another_fleet_is_not_joined),
        TEST(test_ids_of_an_unknown_fleet_are_not_used),
        TEST(test_a_list_has_bounds),
        TEST(test_the_fleet_is_asked_seldom),
        TEST(test_a_child_finds_the_fleet_anew),
        TEST(test_threads_while_the_fleet_changes),
        TEST(test_a_refused_token_is_shown_again),
        cmocka_unit_test(test_lists_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
