/* How often the clock is read: for what came in together, not for each request. */
#include "unit/server_fixture.h"

enum { REQUESTS = 2000, REQUESTS_PER_READING = 10 };
static const struct sf_layout wide = {41, 5, 5, 12};

static void test_one_reading_for_many_requests(void **state)
{
    (void)state;
    static uint8_t frames[REQUESTS * 16];
    struct fixture f;
    size_t size = 0;
    fixture_prepare(&f, wide, 10, 1);
    f.options.threads = 1;
    fixture_start(&f);
    const int fd = client_connect(&f);
    const struct sf_wire_next next = {.count = 1};
    for (uint32_t i = 0; i < REQUESTS; i++)
        size += sf_wire_put_next(frames + size, 16, i, &next);
    const unsigned before = atomic_load(&f.readings);
    client_send(fd, frames, size);
    uint64_t last = 0;
    for (uint32_t i = 0; i < REQUESTS; i++)
        assert_int_equal(expect_ids(fd, i, &last), 1);
    const unsigned readings = atomic_load(&f.readings) - before;
    print_message("%d requests, %u readings\n", REQUESTS, readings);
    assert_in_range(readings, 1, REQUESTS / REQUESTS_PER_READING);
    close(fd);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_reading_for_many_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
