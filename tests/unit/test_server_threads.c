/* Many connections and threads at once: every ID once. */
#include "unit/server_fixture.h"

struct hammer {
    const struct fixture *f;
    unsigned seed;
    uint64_t *ids;
    size_t count;
};

#define HAMMER_IDS 200000

static void *hammer_run(void *arg)
{
    struct hammer *hammer = arg;
    static _Thread_local uint8_t body[65536];
    uint64_t last = 0;
    int fd = client_connect(hammer->f);
    uint32_t id = 0;
    while (hammer->count + 16 * 100 <= HAMMER_IDS) {
        for (uint32_t i = 0; i < 16; i++)
            client_next(fd, id + i, 1 + (uint32_t)rand_r(&hammer->seed) % 100);
        for (uint32_t i = 0; i < 16; i++) {
            struct sf_wire_header header;
            assert_true(client_read(fd, &header, body));
            assert_int_equal(header.code, SF_WIRE_OK);
            assert_int_equal(header.request_id, id + i);
            for (size_t r = 0; r < (header.length - 8) / 12; r++) {
                const struct sf_wire_run run = sf_wire_run_at(body, r);
                assert_true(run.first > last);
                for (uint32_t k = 0; k < run.count; k++)
                    hammer->ids[hammer->count++] = run.first + k;
                last = run.first + run.count - 1;
            }
        }
        id += 16;
        if (rand_r(&hammer->seed) % 16 == 0) {
            close(fd);
            fd = client_connect(hammer->f);
            last = 0;
        }
    }
    close(fd);
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_unique_under_threads(void **state)
{
    struct fixture *f = *state;
    enum { THREADS = 4 };
    f->options.threads = 4;
    fixture_start(f);
    uint64_t *ids = calloc(THREADS * HAMMER_IDS, sizeof *ids);
    struct hammer hammers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){.f = f, .seed = i + 1, .ids = ids + i * HAMMER_IDS};
        pthread_create(&threads[i], NULL, hammer_run, &hammers[i]);
    }
    size_t count = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        memmove(ids + count, hammers[i].ids, hammers[i].count * sizeof *ids);
        count += hammers[i].count;
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 1; i < count; i++)
        assert_true(ids[i] > ids[i - 1]);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_IDS_MINTED, 0) == count);
    print_message("%zu IDs\n", count);
    free(ids);
    uint32_t stalls[SF_SERVER_THREADS_MAX];
    assert_int_equal(sf_server_stalls_ms(f->server, stalls), 4);
    assert_true(stalls[0] < PATIENCE_MS);
}

static struct arrangement two_slots = {{41, 5, 7, 10}, 10, 2};

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_unique_under_threads, &two_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
