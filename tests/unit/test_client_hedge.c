/* Requests beside requests: after a percentile, after a loss; and that they do not multiply. */
#include "base/random.h"
#include "client/policy.h"

#define SERVERS 2
#include "unit/client_fixture.h"

static void test_a_slow_server_after_a_percentile(void **state)
{
    (void)state;
    struct sf_client *client =
        client_of(SERVERS, (struct sf_client_options){.hedge_percentile = 95,
                                                      .hedge_ms = 10,
                                                      .attempt_timeout_ms = 3000,
                                                      .timeout_ms = 9000});
    must_serve(client, 500);
    servers[0].delay_ms = 1500;
    const uint64_t before = servers[1].served;
    assert_true(must_serve(client, 20) < 1400);
    assert_true(stats_of(client).hedges >= 1);
    assert_true(servers[1].served >= before + 20);
    sf_client_destroy(client);
}

/* The time follows the answers: where all are slow, slow is what is expected, and what is sent
 * twice has to be paid for. */
static void test_a_slow_fleet_is_not_asked_twice(void **state)
{
    (void)state;
    struct sf_client *client = client_of(
        SERVERS, (struct sf_client_options){.hedge_percentile = 95, .retry_budget_max = 5});
    must_serve(client, 300);
    servers[0].delay_ms = servers[1].delay_ms = 20;
    must_serve(client, 150);
    assert_true(stats_of(client).hedges < 5 + 150 / 5 + 5);
    const uint64_t hedges = stats_of(client).hedges;
    must_serve(client, 100);
    assert_true(stats_of(client).hedges <= hedges + 20);
    sf_client_destroy(client);
}

/* No call ever waits for it to the end of an attempt, and yet it is found out. */
static void test_a_silent_server_is_left_alone(void **state)
{
    (void)state;
    struct sf_client *client =
        client_of(SERVERS, (struct sf_client_options){.hedge_ms = 5,
                                                      .attempt_timeout_ms = 3000,
                                                      .timeout_ms = 9000,
                                                      .retry_budget_max = 1000});
    must_serve(client, 50);
    servers[0].mode = FAKE_SILENT;
    const uint64_t asked = stats_of(client).attempts;
    uint64_t calls = 0;
    for (; calls < 5000 && stats_of(client).breaker_opens == 0; calls += 5) {
        assert_true(must_serve(client, 5) < 2700);
        usleep(5000);
    }
    assert_true(stats_of(client).breaker_opens >= 1);
    assert_int_equal(stats_of(client).disconnects, 0); /* before its connection is given up */
    assert_true(stats_of(client).attempts - asked < calls + 100);
    sf_client_destroy(client);
}

/* A process that is being killed may have lost one connection and still take others. */
static void test_a_dying_server_is_not_waited_for(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct sf_client *client = client_of(
            SERVERS, (struct sf_client_options){.attempt_timeout_ms = 4000, .timeout_ms = 20000});
        const uint16_t port = servers[0].port;
        must_serve(client, 50);
        servers[0].mode = FAKE_DYING;
        assert_true(must_serve(client, 200) < 3500);
        assert_int_equal(servers[0].mode, FAKE_SILENT);
        fake_stop(&servers[0]);
        must_serve(client, 50);
        sf_client_destroy(client);
        servers[0].mode = FAKE_SERVE;
        fake_start(&servers[0], port);
    }
}

static void test_the_percentile_is_found(void **state)
{
    (void)state;
    for (uint32_t percentile = 50; percentile <= 99; percentile += 7) {
        struct sf_client_policy policy;
        const struct sf_client_policy_options options = {.hedge_percentile = percentile,
                                                         .budget_max = 1};
        struct sf_prng prng = {.state = percentile};
        sf_client_policy_init(&policy, &options);
        assert_true(sf_client_policy_hedge_ns(&policy) == INT64_MAX);
        for (int64_t scale = 10000; scale <= 100000000; scale *= 100) { /* 10 us, 1 ms, 100 ms */
            int below = 0;
            for (int i = 0; i < 60000; i++) { /* uniform up to the scale */
                const int64_t latency = 1 + (int64_t)sf_prng_below(&prng, (uint64_t)scale);
                below += i >= 40000 && latency <= sf_client_policy_hedge_ns(&policy);
                sf_client_policy_answered(&policy, latency);
            }
            if (below < 200 * (int)percentile - 600 || below > 200 * (int)percentile + 600)
                fail_msg("%u %% at %" PRId64 " ns: %d of 20000 came within %" PRId64 " ns",
                         percentile, scale, below, sf_client_policy_hedge_ns(&policy));
        }
    }
}

static void test_hedges_cost_tokens(void **state)
{
    (void)state;
    struct sf_client_policy policy;
    const struct sf_client_policy_options options = {
        .hedge_ns = 7, .budget_max = 2, .budget_percent = 20};
    sf_client_policy_init(&policy, &options);
    assert_int_equal(sf_client_policy_hedge_ns(&policy), 7);
    assert_true(sf_client_policy_may_hedge(&policy));
    assert_true(sf_client_policy_may_hedge(&policy));
    assert_false(sf_client_policy_may_hedge(&policy));
    for (int i = 0; i < 5; i++)
        sf_client_policy_call(&policy);
    assert_true(sf_client_policy_may_hedge(&policy));
    assert_false(sf_client_policy_may_hedge(&policy));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_slow_server_after_a_percentile),    TEST(test_a_slow_fleet_is_not_asked_twice),
        TEST(test_a_silent_server_is_left_alone),       TEST(test_a_dying_server_is_not_waited_for),
        cmocka_unit_test(test_the_percentile_is_found), cmocka_unit_test(test_hedges_cost_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
