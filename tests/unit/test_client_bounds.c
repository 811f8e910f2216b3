/* More workers than a client keeps: which ones it keeps does not depend on who was told of first. */
#include "unit/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "client/shared.h"

enum { MANY = 900, TEXT_MAX = MANY * 24 };

static struct sf_shared shared;

static void set_up(uint64_t seed, uint32_t subset)
{
    const struct sf_client_policy_options options = {.breaker_failures = 3, .subset = subset};
    memset(&shared, 0, sizeof shared);
    assert_int_equal(pthread_mutex_init(&shared.mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&shared.resolve_wake, NULL), 0);
    sf_client_policy_init(&shared.policy, &options);
    shared.rank_seed = seed;
    shared.options.discover = true;
    shared.options.discover_ms = 30000;
}

static void tear_down(void)
{
    pthread_cond_destroy(&shared.resolve_wake);
    pthread_mutex_destroy(&shared.mutex);
}

/* Of `count` workers, from `first` on, `step` apart. */
static const char *list(char to[TEXT_MAX], unsigned count, unsigned first, unsigned step,
                        const char *before, const char *behind)
{
    size_t used = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        const unsigned worker = (first + i * step) % count;
        used += (size_t)snprintf(to + used, TEXT_MAX - used, "%s%s10.1.%u.%u:7450%s",
                                 i == 0 ? "" : ",", before, worker / 200, worker % 200 + 1, behind);
    }
    return to;
}

/* The addresses that calls go to, all of them together, whatever their places. */
static uint64_t used_by_calls(uint32_t subset)
{
    const struct sf_client_policy_tried none = {0};
    struct sf_prng prng = {.state = 11};
    bool used[SF_CLIENT_SERVERS_MAX] = {false};
    uint64_t sum = 0;
    uint32_t count = 0;
    for (int i = 0; i < 2000; i++) {
        const int server = sf_client_policy_choose(&shared.policy, 0, &none, sf_prng_next(&prng));
        assert_true(server >= 0);
        if (!used[server])
            sum += sf_client_policy_rank_of(1, shared.servers[server].text);
        count += !used[server];
        used[server] = true;
    }
    assert_int_equal(count, subset);
    return sum;
}

static void test_the_same_are_used_in_whatever_order(void **state)
{
    (void)state;
    static char text[TEXT_MAX];
    char detail[SF_CLIENT_DETAIL_MAX];
    uint64_t used[3];
    for (unsigned i = 0; i < 3; i++) {
        set_up(5, 8);
        shared.options.servers = list(text, MANY, i * 100, i == 2 ? 7 : 1, "", "");
        assert_int_equal(sf_resolve_parse(&shared, detail, sizeof detail), SF_CLIENT_OK);
        assert_int_equal(shared.name_count, MANY);
        assert_int_equal(shared.policy.places, SF_CLIENT_SERVERS_MAX);
        assert_int_equal(shared.counters[SF_COUNT_PASSED_OVER], MANY - SF_CLIENT_SERVERS_MAX);
        used[i] = used_by_calls(8);
        tear_down();
    }
    assert_true(used[0] == used[1] && used[1] == used[2]);
}

static void test_more_entries_than_are_taken_are_an_error(void **state)
{
    (void)state;
    static char text[SF_CLIENT_NAMES_MAX * 4 + 8];
    char detail[SF_CLIENT_DETAIL_MAX];
    for (unsigned i = 0; i <= SF_CLIENT_NAMES_MAX; i++)
        memcpy(text + (size_t)4 * i, "ids,", 5);
    set_up(1, 8);
    shared.options.servers = text;
    assert_int_equal(sf_resolve_parse(&shared, detail, sizeof detail), SF_CLIENT_INVALID);
    assert_string_equal(detail, "servers: more than 1024 entries");
    tear_down();
}

/* Told of by one worker after the other, each of whom knows a few. */
static void test_the_same_are_discovered_in_whatever_order(void **state)
{
    (void)state;
    enum { TOLD = 18 };
    char detail[SF_CLIENT_DETAIL_MAX];
    char kept[2][SF_CLIENT_DISCOVER_MAX][SF_HOST_MAX];
    for (unsigned way = 0; way < 2; way++) {
        set_up(9, 8);
        shared.options.servers = "10.9.9.9:7450";
        assert_int_equal(sf_resolve_parse(&shared, detail, sizeof detail), SF_CLIENT_OK);
        for (unsigned i = 0; i < MANY / TOLD; i++) {
            static char text[TEXT_MAX];
            size_t used = 0;
            for (unsigned k = 0; k < TOLD; k++) {
                const unsigned at = i * TOLD + k, worker = way == 0 ? at : MANY - 1 - at;
                used += (size_t)snprintf(text + used, sizeof text - used, "%s\"10.1.%u.%u:7450\"",
                                         k == 0 ? "" : ",", worker / 200, worker % 200 + 1);
            }
            struct sf_info info = {.workers = text, .end = text + used};
            sf_discover_take(&shared, &info, INT64_C(1000) * i);
        }
        uint32_t count = 0;
        for (uint32_t i = shared.seed_count; i < shared.name_count; i++)
            if (shared.names[i].in_use)
                memcpy(kept[way][count++], shared.names[i].at.host, SF_HOST_MAX);
        assert_int_equal(count, SF_CLIENT_DISCOVER_MAX);
        assert_int_equal(shared.counters[SF_COUNT_PASSED_OVER], MANY - SF_CLIENT_DISCOVER_MAX);
        tear_down();
    }
    for (unsigned i = 0; i < SF_CLIENT_DISCOVER_MAX; i++) {
        bool there = false;
        for (unsigned k = 0; k < SF_CLIENT_DISCOVER_MAX && !there; k++)
            there = strcmp(kept[0][i], kept[1][k]) == 0;
        assert_true(there);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_are_used_in_whatever_order),
        cmocka_unit_test(test_more_entries_than_are_taken_are_an_error),
        cmocka_unit_test(test_the_same_are_discovered_in_whatever_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
