/* Whom the client asks, and when it asks again: the pure part, by tables and by a small simulation
 * of a fleet. */
#include "unit/cmocka_all.h"

#include <jansson.h>

#include "base/parse.h"
#include "base/random.h"
#include "client/policy.h"

#define MS INT64_C(1000000)

static const struct sf_client_policy_options standard = {.breaker_failures = 3,
                                                         .open_min_ns = 100 * MS,
                                                         .open_max_ns = 1000 * MS,
                                                         .idle_probe_ns = 25 * MS,
                                                         .backoff_min_ns = 2 * MS,
                                                         .backoff_max_ns = 100 * MS,
                                                         .budget_percent = 20,
                                                         .budget_max = 10};

static const struct sf_client_policy_tried none;

static struct sf_client_policy *fleet(int servers)
{
    static struct sf_client_policy policy;
    sf_client_policy_init(&policy, &standard);
    for (int i = 0; i < servers; i++)
        assert_int_equal(sf_client_policy_add(&policy), i);
    return &policy;
}

static void test_outcomes_move_the_breaker(void **state)
{
    static const struct {
        enum sf_outcome outcome;
        int times;
        enum sf_breaker expected;
    } rows[] = {
        {SF_OUTCOME_OK, 1, SF_BREAKER_CLOSED},         {SF_OUTCOME_UNUSABLE, 1, SF_BREAKER_OPEN},
        {SF_OUTCOME_OVERLOADED, 9, SF_BREAKER_CLOSED}, {SF_OUTCOME_FAULT, 2, SF_BREAKER_CLOSED},
        {SF_OUTCOME_FAULT, 3, SF_BREAKER_OPEN},        {SF_OUTCOME_UNREACHED, 1, SF_BREAKER_OPEN},
        {SF_OUTCOME_LOST, 2, SF_BREAKER_CLOSED},       {SF_OUTCOME_LOST, 3, SF_BREAKER_OPEN},
        {SF_OUTCOME_SILENT, 1, SF_BREAKER_OPEN},       {SF_OUTCOME_BROKEN, 1, SF_BREAKER_OPEN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sf_client_policy *policy = fleet(1);
        for (int k = 0; k < rows[i].times; k++)
            sf_client_policy_report(policy, 0, rows[i].outcome, 0, 1000, 7);
        assert_int_equal(policy->servers[0].state, rows[i].expected);
    }
}

static void test_a_success_forgets_losses(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(1);
    for (int k = 0; k < 10; k++) {
        sf_client_policy_report(policy, 0, SF_OUTCOME_LOST, 0, 0, 0);
        sf_client_policy_report(policy, 0, SF_OUTCOME_LOST, 0, 0, 0);
        sf_client_policy_report(policy, 0, SF_OUTCOME_OK, 0, 0, 0);
    }
    assert_int_equal(policy->servers[0].state, SF_BREAKER_CLOSED);
}

static void test_failed_probes_double_the_wait(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(2);
    sf_client_policy_report(policy, 1, SF_OUTCOME_SILENT, 0, 0, 0);
    int64_t now = 0;
    static const int64_t waits_ms[] = {100, 200, 400, 800, 1000, 1000};
    for (size_t i = 0; i < sizeof waits_ms / sizeof *waits_ms; i++) {
        assert_true(policy->servers[1].open_ns == waits_ms[i] * MS);
        const int64_t due = policy->servers[1].probe_at_ns;
        assert_true(due >= now + waits_ms[i] * MS / 2 && due <= now + waits_ms[i] * MS);
        assert_int_equal(sf_client_policy_probe(policy, due - 1), -1);
        assert_int_equal(sf_client_policy_probe(policy, due), 1);
        assert_int_equal(sf_client_policy_probe(policy, due), -1); /* one at a time */
        now = due + 5 * MS;
        sf_client_policy_report(policy, 1, SF_OUTCOME_SILENT, 0, now, i * 7919);
    }
    sf_client_policy_report(policy, 1, SF_OUTCOME_OK, 0, now, 0); /* late answer */
    assert_int_equal(policy->servers[1].state, SF_BREAKER_CLOSED);
}

static void test_a_probe_nobody_looks_after_lapses(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(2);
    sf_client_policy_report(policy, 1, SF_OUTCOME_SILENT, 0, 0, 0);
    assert_int_equal(sf_client_policy_probe(policy, 200 * MS), 1);
    assert_int_equal(sf_client_policy_probe(policy, 1199 * MS), -1);
    assert_int_equal(sf_client_policy_probe(policy, 1200 * MS), 1);
}

static void test_without_a_usable_server_calls_probe(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(3);
    for (int i = 0; i < 3; i++)
        sf_client_policy_report(policy, i, SF_OUTCOME_UNREACHED, 0, 0, 99);
    assert_int_equal(sf_client_policy_probe(policy, 3600000 * MS),
                     -1); /* nobody serves: no probes beside calls */
    assert_int_equal(sf_client_policy_choose(policy, 24 * MS, &none, 1), -1);
    assert_true(sf_client_policy_wake_ns(policy, 10 * MS) == 25 * MS);
    bool seen[3] = {0};
    for (int i = 0; i < 3; i++) {
        const int server = sf_client_policy_choose(policy, 25 * MS, &none, 1);
        assert_in_range(server, 0, 2);
        assert_false(seen[server]);
        seen[server] = true;
    }
    assert_int_equal(sf_client_policy_choose(policy, 25 * MS, &none, 1), -1);
}

/* A call that failed while nobody works does not wait longer than until somebody may be asked. */
static void test_without_a_usable_server_calls_wait_for_the_next_try(void **state)
{
    (void)state;
    bool no_budget;
    struct sf_client_policy *policy = fleet(3);
    for (int i = 0; i < 3; i++)
        sf_client_policy_report(policy, i, SF_OUTCOME_UNREACHED, 0, i * 4 * MS, 99);
    for (uint32_t round = 0; round < 40; round++) {
        assert_true(sf_client_policy_retry_wait_ns(policy, 10 * MS, &none, round, round * 77777777,
                                                   &no_budget) == 15 * MS);
        assert_true(sf_client_policy_retry_wait_ns(policy, 26 * MS, &none, round, round * 77777777,
                                                   &no_budget) == 1);
    }
    policy = fleet(100); /* 5 ms for each */
    for (int i = 0; i < 100; i++)
        sf_client_policy_report(policy, i, SF_OUTCOME_SILENT, 0, 0, UINT64_MAX);
    for (int i = 0; i < 100; i++)
        policy->servers[i].probe_at_ns = 5000 * MS;
    assert_int_equal(sf_client_policy_choose(policy, 499 * MS, &none, 1), -1);
    assert_int_not_equal(sf_client_policy_choose(policy, 500 * MS, &none, 1), -1);
}

/* A server that is back must be found within one round, however many others are down and whatever
 * the random numbers say. */
static void test_calls_probe_everybody_in_turn(void **state)
{
    (void)state;
    enum { SERVERS = 20 };
    struct sf_client_policy *policy = fleet(SERVERS);
    struct sf_prng prng = {7};
    int64_t now = 0;
    for (int i = 0; i < SERVERS; i++)
        sf_client_policy_report(policy, i, SF_OUTCOME_UNREACHED, 0, now, sf_prng_next(&prng));
    now = (int64_t)SERVERS * 5 * MS; /* until then nobody is tried again */
    for (int round = 0; round < 20; round++) {
        bool seen[SERVERS] = {0};
        for (int i = 0; i < SERVERS; i++) {
            now += 50 * MS;
            const int server = sf_client_policy_choose(policy, now, &none, sf_prng_next(&prng));
            assert_in_range(server, 0, SERVERS - 1);
            assert_false(seen[server]);
            seen[server] = true;
            sf_client_policy_report(policy, server, SF_OUTCOME_UNREACHED, 0, now,
                                    sf_prng_next(&prng));
        }
    }
}

/* Few calls, many servers that are down: each of them is probed all the same. */
static void test_few_calls_probe_everybody(void **state)
{
    (void)state;
    enum { SERVERS = 10 };
    struct sf_client_policy *policy = fleet(SERVERS);
    struct sf_prng prng = {11};
    int64_t now = 0, probed[SERVERS] = {0};
    for (int i = 1; i < SERVERS; i++)
        sf_client_policy_report(policy, i, SF_OUTCOME_UNREACHED, 0, now, sf_prng_next(&prng));
    for (int call = 0; call < 1000; call++) {
        now += 500 * MS;
        const int server = sf_client_policy_probe(policy, now);
        if (server < 0)
            continue;
        probed[server] = now;
        sf_client_policy_report(policy, server, SF_OUTCOME_UNREACHED, 0, now, sf_prng_next(&prng));
        for (int i = 1; i < SERVERS; i++)
            assert_true(now - probed[i] <= (SERVERS + 2) * 500 * MS);
    }
}

static void test_choice_of_two_prefers_the_less_loaded(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(3);
    struct sf_prng prng = {.state = 42};
    for (int i = 0; i < 50; i++)
        sf_client_policy_begin(policy, 1);
    int counts[3] = {0};
    for (int i = 0; i < 3000; i++)
        counts[sf_client_policy_choose(policy, 0, &none, sf_prng_next(&prng))]++;
    assert_int_equal(counts[1], 0); /* it always meets a less loaded one */
    assert_in_range(counts[0], 1300, 1700);
    struct sf_client_policy_tried tried = {0};
    sf_client_policy_tried_add(&tried, 0);
    sf_client_policy_tried_add(&tried, 2);
    assert_int_equal(sf_client_policy_choose(policy, 0, &tried, 5), 1);
    sf_client_policy_tried_add(&tried, 1);
    assert_int_equal(sf_client_policy_choose(policy, 0, &tried, 5), -1);
}

static void test_overloaded_is_left_alone_as_long_as_it_asked(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(1);
    sf_client_policy_report(policy, 0, SF_OUTCOME_OVERLOADED, 80 * MS, 0, 0);
    assert_int_equal(sf_client_policy_choose(policy, 80 * MS - 1, &none, 0), -1);
    assert_int_equal(sf_client_policy_choose(policy, 80 * MS, &none, 0), 0);
}

static void test_budget_bounds_retries(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(3);
    bool no_budget;
    int at_once = 0;
    for (int i = 0; i < 1000; i++) {
        sf_client_policy_call(policy);
        at_once += sf_client_policy_retry_wait_ns(policy, 0, &none, 0, (uint64_t)i * 7919,
                                                  &no_budget) == 0;
    }
    assert_in_range(at_once, 200, 212); /* 20 % and what was saved up */
    const int64_t wait = sf_client_policy_retry_wait_ns(policy, 0, &none, 0, 12345, &no_budget);
    assert_true(no_budget && wait > 0 && wait <= 100 * MS);
}

static void test_backoff_grows_with_full_jitter(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(1);
    struct sf_client_policy_tried tried = {0};
    sf_client_policy_tried_add(&tried, 0);
    struct sf_prng prng = {.state = 1};
    for (uint32_t round = 0; round < 40; round++) {
        int64_t most = 0, top = round < 6 ? (2 * MS) << round : 100 * MS;
        for (int i = 0; i < 400; i++) {
            bool no_budget;
            const int64_t wait = sf_client_policy_retry_wait_ns(policy, 0, &tried, round,
                                                                sf_prng_next(&prng), &no_budget);
            assert_true(wait > 0 && wait <= (top < 100 * MS ? top : 100 * MS));
            most = wait > most ? wait : most;
        }
        assert_true(most > (top < 100 * MS ? top : 100 * MS) * 9 / 10);
    }
}

static void test_places_run_out_and_come_back(void **state)
{
    (void)state;
    struct sf_client_policy *policy = fleet(SF_CLIENT_POLICY_SERVERS_MAX);
    assert_int_equal(sf_client_policy_add(policy), -1);
    const uint32_t generation = policy->servers[77].generation;
    sf_client_policy_remove(policy, 77);
    assert_int_equal(sf_client_policy_usable(policy, 0), SF_CLIENT_POLICY_SERVERS_MAX - 1);
    assert_int_equal(sf_client_policy_add(policy), 77);
    assert_int_equal(policy->servers[77].generation, generation + 1);
}

/* A fleet of five in which servers go up and down at random: a call is never without a usable
 * server for longer than one probe wait while one is up, and a server that is down is not asked by
 * calls over and over. */
static void test_simulated_fleet(void **state)
{
    (void)state;
    const uint64_t seed = sf_random_u64();
    print_message("seed %" PRIu64 "\n", seed);
    struct sf_prng prng = {.state = seed};
    struct sf_client_policy *policy = fleet(5);
    bool up[5] = {true, true, true, true, true};
    int64_t failed_in_a_row = 0, blind_ns = 0, last_ns = 0;
    uint64_t wrong = 0, calls = 0;
    for (int64_t now = 0; now < 600000 * MS; now += MS) {
        if (sf_prng_below(&prng, 200) == 0) {
            const uint64_t s = sf_prng_below(&prng, 5);
            up[s] = !up[s];
        }
        bool any_up = false;
        for (int i = 0; i < 5; i++)
            any_up = any_up || up[i];
        const int probe = sf_client_policy_probe(policy, now);
        if (probe >= 0)
            sf_client_policy_report(policy, probe, up[probe] ? SF_OUTCOME_OK : SF_OUTCOME_UNREACHED,
                                    0, now, sf_prng_next(&prng));
        const int server = sf_client_policy_choose(policy, now, &none, sf_prng_next(&prng));
        calls++;
        if (server >= 0) {
            sf_client_policy_report(policy, server,
                                    up[server] ? SF_OUTCOME_OK : SF_OUTCOME_UNREACHED, 0, now,
                                    sf_prng_next(&prng));
            wrong += !up[server];
        }
        failed_in_a_row = server >= 0 && up[server] ? 0 : failed_in_a_row + 1;
        blind_ns = failed_in_a_row > 0 && any_up ? blind_ns + (now - last_ns) : 0;
        last_ns = now;
        assert_true(blind_ns <= 60 * MS);
    }
    assert_true(wrong < calls / 20);
}

/* A client that knows `servers` and uses `subset` of them. */
static void ranked(struct sf_client_policy *policy, int servers, uint32_t subset, uint64_t seed)
{
    struct sf_client_policy_options options = standard;
    char address[32];
    options.subset = subset;
    sf_client_policy_init(policy, &options);
    for (int i = 0; i < servers; i++) {
        const int place = sf_client_policy_add(policy);
        snprintf(address, sizeof address, "10.0.%d.%d:7450", i / 250, i % 250);
        sf_client_policy_rank(policy, place, sf_client_policy_rank_of(seed, address));
    }
}

static void test_ranks_are_the_vectors(void **state)
{
    (void)state;
    json_error_t error;
    json_t *all = json_load_file(SF_SOURCE_DIR "/tests/vectors/rendezvous.json", 0, &error);
    const json_t *rows = json_object_get(all, "scores");
    assert_true(json_array_size(rows) > 20);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        uint64_t seed, score;
        assert_int_equal(
            sf_parse_u64(json_string_value(json_object_get(row, "seed")), 0, UINT64_MAX, &seed), 0);
        assert_int_equal(
            sf_parse_u64(json_string_value(json_object_get(row, "score")), 0, UINT64_MAX, &score),
            0);
        const char *address = json_string_value(json_object_get(row, "address"));
        assert_true(sf_client_policy_rank_of(seed, address) == score);
    }
    json_decref(all);
}

/* Which servers are chosen in many calls; returns how many. */
static int chosen(struct sf_client_policy *policy, struct sf_prng *prng, int64_t now_ns,
                  bool ret[SF_CLIENT_POLICY_SERVERS_MAX])
{
    int count = 0;
    memset(ret, 0, SF_CLIENT_POLICY_SERVERS_MAX * sizeof *ret);
    for (int i = 0; i < 1000; i++) {
        const int server = sf_client_policy_choose(policy, now_ns, &none, sf_prng_next(prng));
        assert_true(server >= 0);
        count += !ret[server];
        ret[server] = true;
    }
    return count;
}

static void test_a_subset_is_enough(void **state)
{
    (void)state;
    static struct sf_client_policy policy;
    struct sf_prng prng = {.state = 7};
    bool at_first[SF_CLIENT_POLICY_SERVERS_MAX], then[SF_CLIENT_POLICY_SERVERS_MAX];
    ranked(&policy, 100, 8, 1);
    assert_int_equal(chosen(&policy, &prng, 0, at_first), 8);
    /* One fails: another takes its place, and gives it back. */
    int failed = 0;
    while (!at_first[failed])
        failed++;
    sf_client_policy_report(&policy, failed, SF_OUTCOME_UNREACHED, 0, 0, 0);
    assert_int_equal(chosen(&policy, &prng, 0, then), 8);
    assert_false(then[failed]);
    int others = 0;
    for (int i = 0; i < 100; i++)
        others += then[i] && !at_first[i];
    assert_int_equal(others, 1);
    assert_int_equal(sf_client_policy_probe(&policy, 200 * MS), failed);
    sf_client_policy_report(&policy, failed, SF_OUTCOME_OK, 0, 200 * MS, 0);
    assert_int_equal(chosen(&policy, &prng, 200 * MS, then), 8);
    assert_memory_equal(then, at_first, sizeof then);
    /* A call that has tried all of them goes on to others. */
    struct sf_client_policy_tried tried = {0};
    for (int i = 0; i < 100; i++) {
        const int server = sf_client_policy_choose(&policy, 200 * MS, &tried, sf_prng_next(&prng));
        assert_true(server >= 0 && !sf_client_policy_tried_has(&tried, server));
        assert_true(i >= 8 || at_first[server]);
        sf_client_policy_tried_add(&tried, server);
    }
    ranked(&policy, 100, SF_CLIENT_POLICY_SERVERS_MAX, 1);
    assert_int_equal(chosen(&policy, &prng, 0, then), 100);
    ranked(&policy, 8, 8, 1);
    assert_int_equal(chosen(&policy, &prng, 0, then), 8);
}

/* Servers that were only told of are not all connected to: those of the subset are probed, and no other. */
static void test_a_subset_is_probed(void **state)
{
    (void)state;
    static struct sf_client_policy policy;
    bool probed[SF_CLIENT_POLICY_SERVERS_MAX] = {false};
    ranked(&policy, 101, 8, 3);
    for (int i = 1; i <= 100; i++)
        sf_client_policy_doubt(&policy, i, 0);
    int count = 0;
    for (int64_t now = 0; now < 60000 * MS; now += 10 * MS) {
        const int server = sf_client_policy_probe(&policy, now);
        if (server < 0)
            continue;
        assert_false(probed[server]);
        probed[server] = true;
        count++;
        sf_client_policy_report(&policy, server, SF_OUTCOME_OK, 0, now, 0);
    }
    assert_in_range(count, 7, 8);
}

/* Ten thousand clients of a hundred workers: eight connections each, and each worker has its share. */
static void test_subsets_spread_evenly(void **state)
{
    (void)state;
    enum { CLIENTS = 10000, WORKERS = 100, SUBSET = 8, CALLS = 60 };
    static struct sf_client_policy policy;
    unsigned connections[WORKERS] = {0};
    const uint64_t seed = sf_random_u64();
    print_message("seed %" PRIu64 "\n", seed);
    struct sf_prng prng = {.state = seed};
    for (int client = 0; client < CLIENTS; client++) {
        bool used[SF_CLIENT_POLICY_SERVERS_MAX] = {false};
        ranked(&policy, WORKERS, SUBSET, sf_prng_next(&prng));
        for (int i = 0; i < CALLS; i++)
            used[sf_client_policy_choose(&policy, 0, &none, sf_prng_next(&prng))] = true;
        for (int i = 0; i < WORKERS; i++)
            connections[i] += used[i];
    }
    const unsigned even = CLIENTS * SUBSET / WORKERS; /* all but each thousandth use all eight */
    for (int i = 0; i < WORKERS; i++)
        assert_in_range(connections[i], even * 8 / 10, even * 12 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes_move_the_breaker),
        cmocka_unit_test(test_a_success_forgets_losses),
        cmocka_unit_test(test_failed_probes_double_the_wait),
        cmocka_unit_test(test_a_probe_nobody_looks_after_lapses),
        cmocka_unit_test(test_without_a_usable_server_calls_probe),
        cmocka_unit_test(test_without_a_usable_server_calls_wait_for_the_next_try),
        cmocka_unit_test(test_calls_probe_everybody_in_turn),
        cmocka_unit_test(test_few_calls_probe_everybody),
        cmocka_unit_test(test_choice_of_two_prefers_the_less_loaded),
        cmocka_unit_test(test_overloaded_is_left_alone_as_long_as_it_asked),
        cmocka_unit_test(test_budget_bounds_retries),
        cmocka_unit_test(test_backoff_grows_with_full_jitter),
        cmocka_unit_test(test_places_run_out_and_come_back),
        cmocka_unit_test(test_simulated_fleet),
        cmocka_unit_test(test_a_subset_is_enough),
        cmocka_unit_test(test_a_subset_is_probed),
        cmocka_unit_test(test_subsets_spread_evenly),
        cmocka_unit_test(test_ranks_are_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
