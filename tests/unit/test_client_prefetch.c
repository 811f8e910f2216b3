/* IDs fetched ahead: the ring against a list that is as simple as can be, and callers that fill it at
 * the same time. */
#include <inttypes.h>

#include "base/random.h"
#include "client/prefetch.h"

#define SERVERS 2
#include "unit/client_fixture.h"

/* What the ring holds, oldest first. */
struct list {
    struct {
        uint64_t id;
        int64_t fetched_ns;
    } kept[SF_CLIENT_PREFETCH_MAX];
    uint32_t head, tail;
};

static void check_take(struct sf_prefetch *ring, struct list *list, int64_t now_ns,
                       int64_t max_age_ns)
{
    uint32_t expired = 0, ring_expired = 7;
    uint64_t id = 7;
    while (list->head < list->tail && now_ns - list->kept[list->head].fetched_ns > max_age_ns) {
        list->head++;
        expired++;
    }
    const bool there = list->head < list->tail;
    assert_int_equal(sf_prefetch_take(ring, now_ns, max_age_ns, &id, &ring_expired), there);
    assert_int_equal(ring_expired, expired);
    assert_int_equal(id, there ? list->kept[list->head].id : 7);
    list->head += there;
}

static void check_put(struct sf_prefetch *ring, struct list *list, uint32_t max,
                      struct sf_client_run run, int64_t fetched_ns)
{
    sf_prefetch_put(ring, &run, fetched_ns);
    for (uint32_t i = 0; i < run.count && list->tail - list->head < max; i++) {
        list->kept[list->tail].id = run.first + i;
        list->kept[list->tail].fetched_ns = fetched_ns;
        list->tail++;
    }
}

static void test_the_ring_holds_what_was_put(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 10, 64, 100};
    static struct list list;
    const uint64_t seed = sf_random_u64();
    print_message("seed %" PRIu64 "\n", seed);
    struct sf_prng prng = {.state = seed};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const uint32_t max = sizes[i];
        struct sf_prefetch *ring = sf_prefetch_create(max);
        assert_non_null(ring);
        list.head = list.tail = 0;
        uint64_t next = 1000;
        int64_t now_ns = 1000;
        for (int step = 0; step < 20000 && list.tail < SF_CLIENT_PREFETCH_MAX - max; step++) {
            now_ns += (int64_t)sf_prng_below(&prng, 3);
            /* Runs of one ID, so that every place of the ring is used, and runs beyond its size. */
            const uint32_t count =
                sf_prng_below(&prng, 2) != 0 ? 1 : (uint32_t)sf_prng_below(&prng, max + 4);
            if (sf_prng_below(&prng, 2) != 0)
                check_put(ring, &list, max, (struct sf_client_run){next, count}, now_ns);
            else
                check_take(ring, &list, now_ns, sf_prng_below(&prng, 20) == 0 ? 5 : 1000000);
            next += count + 5;
        }
        while (list.head < list.tail)
            check_take(ring, &list, now_ns, 1000000);
        check_take(ring, &list, now_ns, 1000000);
        sf_prefetch_destroy(ring);
    }
}

static void test_two_fillers_have_one_room(void **state)
{
    (void)state;
    for (uint32_t max = 1; max <= 50; max++) {
        static struct list list;
        struct sf_prefetch *ring = sf_prefetch_create(max);
        assert_non_null(ring);
        list.head = list.tail = 0;
        for (uint32_t filler = 1; filler <= 3; filler++) /* one ID of each is handed out at once */
            for (uint32_t i = 1; i < max; i++)
                check_put(ring, &list, max, (struct sf_client_run){filler * 1000 + i, 1}, 0);
        while (list.head < list.tail)
            check_take(ring, &list, 0, 0);
        check_take(ring, &list, 0, 0);
        sf_prefetch_destroy(ring);
    }
}

static void test_age_ends_after_its_last_moment(void **state)
{
    (void)state;
    uint64_t id = 7;
    uint32_t expired;
    struct sf_prefetch *ring = sf_prefetch_create(10);
    sf_prefetch_put(ring, &(struct sf_client_run){100, 5}, 1000);
    assert_true(sf_prefetch_take(ring, 1100, 100, &id, &expired));
    assert_int_equal(id, 100);
    assert_false(sf_prefetch_take(ring, 1101, 100, &id, &expired));
    assert_int_equal(expired, 4);
    sf_prefetch_put(ring, &(struct sf_client_run){200, 5}, 1101);
    sf_prefetch_clear(ring);
    assert_false(sf_prefetch_take(ring, 1101, 100, &id, &expired));
    assert_int_equal(expired, 0);
    sf_prefetch_destroy(ring);
}

struct caller {
    pthread_t thread;
    struct sf_client *client;
    uint64_t ids[3000];
    int failed;
};

static void *call(void *ctx)
{
    struct caller *caller = ctx;
    for (size_t i = 0; i < sizeof caller->ids / sizeof *caller->ids; i++)
        caller->failed += sf_client_next(caller->client, &caller->ids[i]) != SF_CLIENT_OK;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_callers_fill_and_take_together(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    static struct caller callers[CALLERS];
    static uint64_t all[CALLERS * 3000];
    for (uint32_t prefetch = 1; prefetch <= 50; prefetch += 7) {
        const uint64_t served = servers[0].served + servers[1].served;
        struct sf_client *client =
            client_of(SERVERS, (struct sf_client_options){.prefetch = prefetch,
                                                          .prefetch_max_age_ms = 60000,
                                                          .attempt_timeout_ms = 20000,
                                                          .timeout_ms = 60000});
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (struct caller){.client = client};
            assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
        }
        for (int i = 0; i < CALLERS; i++) {
            pthread_join(callers[i].thread, NULL);
            assert_int_equal(callers[i].failed, 0);
            memcpy(all + (size_t)i * 3000, callers[i].ids, sizeof callers[i].ids);
        }
        qsort(all, sizeof all / sizeof *all, sizeof *all, by_value);
        for (size_t i = 1; i < sizeof all / sizeof *all; i++)
            if (all[i] == all[i - 1])
                fail_msg("prefetch %u: %" PRIu64 " was handed out twice", prefetch, all[i]);
        const uint64_t given = prefetch * (servers[0].served + servers[1].served - served);
        assert_true(given >= sizeof all / sizeof *all);
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) { /* by a server, not made up here */
            const struct fake_server *server = &servers[(all[i] >> 12 & 31) - 1];
            assert_true(all[i] < fake_id(server, server->word));
        }
        sf_client_destroy(client);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_ring_holds_what_was_put),
        cmocka_unit_test(test_two_fillers_have_one_room),
        cmocka_unit_test(test_age_ends_after_its_last_moment),
        TEST(test_callers_fill_and_take_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
