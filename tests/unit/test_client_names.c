/* Names that change their addresses: getaddrinfo is the test's own here, and 127.0.0.1 to .3 are
 * three servers. */
#include "unit/cmocka_all.h"

#include <netdb.h>
#include <netinet/in.h>

#include <snowfleet/client.h>

#include "unit/fake_server.h"

static _Atomic int zone;    /* bit i: the name has server i's address */
static _Atomic int failing; /* the lookup fails */
static struct fake_server servers[3];

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    (void)service;
    if (failing || hints->ai_flags & AI_NUMERICHOST || strcmp(name, "ids.example") != 0)
        return EAI_NONAME;
    *ret = NULL;
    for (int i = 0; i < 3; i++) {
        if (!(zone >> i & 1))
            continue;
        struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in));
        struct sockaddr_in *address = (struct sockaddr_in *)(void *)(info + 1);
        *address = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_port = htons(servers[i].port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        *info = (struct addrinfo){.ai_family = AF_INET,
                                  .ai_socktype = SOCK_STREAM,
                                  .ai_addrlen = sizeof *address,
                                  .ai_addr = (struct sockaddr *)address,
                                  .ai_next = *ret};
        *ret = info;
    }
    return *ret != NULL ? 0 : EAI_NODATA;
}

void freeaddrinfo(struct addrinfo *info)
{
    while (info != NULL) {
        struct addrinfo *next = info->ai_next;
        free(info);
        info = next;
    }
}

static void serve(struct sf_client *client, int calls)
{
    for (int i = 0; i < calls; i++) {
        uint64_t id;
        assert_int_equal(sf_client_next(client, &id), SF_CLIENT_OK);
    }
}

static uint32_t wait_for_servers(struct sf_client *client, uint32_t expected, uint64_t resolves)
{
    struct sf_client_stats stats = {0};
    for (int i = 0; i < 1000; i++) {
        sf_client_stats(client, &stats);
        if (stats.servers == expected && stats.resolves + stats.resolve_failures >= resolves)
            break;
        usleep(10000);
    }
    return stats.servers;
}

static void test_addresses_come_and_go(void **state)
{
    (void)state;
    const struct sf_client_options options = {.servers = "ids.example", .resolve_ms = 1000};
    struct sf_client *client;
    zone = 1 | 2;
    assert_int_equal(sf_client_create(&options, &client, NULL, 0), SF_CLIENT_OK);
    serve(client, 200);
    assert_true(servers[0].served > 50 && servers[1].served > 50 && servers[2].served == 0);
    zone = 2 | 4;
    struct sf_client_stats stats;
    sf_client_stats(client, &stats);
    (void)wait_for_servers(client, 2, stats.resolves + 2);
    const uint64_t before = servers[0].served;
    serve(client, 200);
    assert_int_equal(servers[0].served, before);
    assert_true(servers[2].served > 50);
    failing = 1; /* a lookup that fails changes nothing */
    sf_client_stats(client, &stats);
    assert_int_equal(wait_for_servers(client, 2, stats.resolves + stats.resolve_failures + 2), 2);
    serve(client, 50);
    failing = 0;
    zone = 1;
    assert_int_equal(wait_for_servers(client, 1, 0), 1);
    serve(client, 50);
    assert_true(servers[0].served >= before + 50);
    sf_client_destroy(client);
}

/* The place of an address that went is given to another one: the warm connection that stood there
 * is not the new one's. */
static void test_a_place_is_given_to_another(void **state)
{
    (void)state;
    const struct sf_client_options options = {.servers = "ids.example", .resolve_ms = 1000};
    struct sf_client *client;
    zone = 1 | 2;
    assert_int_equal(sf_client_create(&options, &client, NULL, 0), SF_CLIENT_OK);
    serve(client, 200);
    zone = 2;
    assert_int_equal(wait_for_servers(client, 1, 0), 1);
    zone = 2 | 4;
    assert_int_equal(wait_for_servers(client, 2, 0), 2);
    const uint64_t before[] = {servers[0].served, servers[2].served};
    serve(client, 200);
    assert_int_equal(servers[0].served, before[0]);
    assert_true(servers[2].served > before[1] + 50);
    sf_client_destroy(client);
}

static void test_a_name_that_appears_later(void **state)
{
    (void)state;
    const struct sf_client_options options = {.servers = "ids.example"};
    struct sf_client *client;
    uint64_t id;
    failing = 1;
    assert_int_equal(sf_client_create(&options, &client, NULL, 0), SF_CLIENT_OK);
    const struct sf_client_request request = {.count = 1, .timeout_ms = 50};
    struct sf_client_reply reply;
    assert_int_equal(sf_client_ask(client, &request, &reply), SF_CLIENT_NAME);
    sf_client_reply_free(&reply);
    zone = 4;
    failing = 0;
    assert_int_equal(sf_client_next(client, &id), SF_CLIENT_OK); /* within its two seconds */
    sf_client_destroy(client);
}

static int start(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        servers[i].worker = (uint64_t)i + 1;
        fake_start(&servers[i], 0);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        fake_end(&servers[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_come_and_go),
        cmocka_unit_test(test_a_place_is_given_to_another),
        cmocka_unit_test(test_a_name_that_appears_later),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
