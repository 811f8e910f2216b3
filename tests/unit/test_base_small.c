/* The small ones of base: errors, assertions, bytes, random numbers, ticks, growing text. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "base/ticks.h"

static void errors(void **state)
{
    (void)state;
    struct sf_error err = {0};
    assert_int_equal(sf_error_set(&err, -EINVAL, "port %d", 70000), -EINVAL);
    assert_int_equal(err.code, -EINVAL);
    assert_string_equal(err.text, "port 70000");
    sf_error_prefix(&err, "listen.%s", "address");
    assert_string_equal(err.text, "listen.address: port 70000");
    assert_int_equal(err.code, -EINVAL);
    assert_int_equal(sf_error_set(NULL, -EIO, "nobody listens"), -EIO);
    sf_error_prefix(NULL, "nobody");

    char text[SF_ERROR_TEXT_MAX + 10];
    for (size_t size = SF_ERROR_TEXT_MAX - 5; size < SF_ERROR_TEXT_MAX + 5; size++) {
        memset(text, 'x', size);
        text[size] = '\0';
        sf_error_set(&err, -EIO, "%s", text);
        if (size < SF_ERROR_TEXT_MAX) {
            assert_string_equal(err.text, text);
        } else {
            assert_int_equal(strlen(err.text), SF_ERROR_TEXT_MAX - 1);
            assert_string_equal(err.text + SF_ERROR_TEXT_MAX - 5, "x...");
        }
        sf_error_prefix(&err, "ab");
        assert_memory_equal(err.text, "ab: xxx", 7);
        assert_string_equal(err.text + strlen(err.text) - 3,
                            size + 4 < SF_ERROR_TEXT_MAX ? "xxx" : "...");
        sf_error_prefix(&err, "%s", text);
        assert_int_equal(strlen(err.text), SF_ERROR_TEXT_MAX - 1);
        assert_string_equal(err.text + SF_ERROR_TEXT_MAX - 4, "...");
    }
}

static void errno_texts(void **state)
{
    (void)state;
    char buffer[80];
    assert_string_equal(sf_errno_text(ENOSPC, buffer, sizeof buffer),
                        "ENOSPC: No space left on device");
    assert_string_equal(sf_errno_text(-ENOSPC, buffer, sizeof buffer),
                        "ENOSPC: No space left on device");
    assert_string_equal(sf_errno_text(99999, buffer, sizeof buffer), "error 99999");
    assert_string_equal(sf_errno_text(ENOSPC, buffer, 7), "ENOSPC");
    assert_string_equal(sf_errno_text(ENOSPC, buffer, 0), "");
}

static void assertion_ends_with_70(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        int two = 2;
        SF_ASSERT(two == 2);
        SF_ASSERT(two == 3);
        _exit(0);
    }
    close(fds[1]);
    char text[512] = "";
    assert_true(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 70);
    assert_non_null(strstr(text, "two == 3"));
    assert_non_null(strstr(text, "test_base_small.c"));
}

static void byte_order(void **state)
{
    (void)state;
    unsigned char bytes[9] = {0};
    sf_store_be16(bytes + 1, 0x0102);
    assert_memory_equal(bytes + 1, "\x01\x02", 2);
    assert_int_equal(sf_load_be16(bytes + 1), 0x0102);
    sf_store_be32(bytes + 1, 0x01020304);
    assert_memory_equal(bytes + 1, "\x01\x02\x03\x04", 4);
    assert_int_equal(sf_load_be32(bytes + 1), 0x01020304);
    sf_store_be64(bytes + 1, UINT64_C(0x8102030405060708));
    assert_memory_equal(bytes + 1, "\x81\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(sf_load_be64(bytes + 1) == UINT64_C(0x8102030405060708));
}

static void random_numbers(void **state)
{
    (void)state;
    assert_true(sf_random_u64() != sf_random_u64());
    unsigned char bytes[300] = {0};
    sf_random_bytes(bytes, sizeof bytes);
    int zeros = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        zeros += bytes[i] == 0;
    assert_true(zeros < 30);
    sf_random_bytes(bytes, 0);

    static const uint8_t known[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                      0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    char hex[SF_HEX128_SIZE], uuid[SF_UUID_SIZE];
    sf_hex128(known, hex);
    assert_string_equal(hex, "00112233445566778899aabbccddeeff");
    sf_uuid4(known, uuid);
    assert_string_equal(uuid, "00112233-4455-4677-8899-aabbccddeeff");
    static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255};
    sf_uuid4(ones, uuid);
    assert_string_equal(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_true(sf_uuid_is_valid(uuid));
    static const char *const not_uuids[] = {"",
                                            "x",
                                            "00112233-4455-4677-8899-aabbccddeef",
                                            "00112233-4455-4677-8899-aabbccddeeff0",
                                            "00112233-4455-4677-8899-AABBCCDDEEFF",
                                            "00112233-4455-4677-8899-aabbccddeefg",
                                            "001122334455-4677-8899-aabbccddeeff",
                                            "00112233-4455-4677-88990aabbccddeeff",
                                            "00112233--455-4677-8899-aabbccddeeff"};
    for (size_t i = 0; i < sizeof not_uuids / sizeof *not_uuids; i++)
        assert_false(sf_uuid_is_valid(not_uuids[i]));
}

static void prng(void **state)
{
    (void)state;
    /* First outputs of the reference splitmix64 for seed 1234567. */
    struct sf_prng p = {1234567};
    assert_true(sf_prng_next(&p) == UINT64_C(6457827717110365317));
    assert_true(sf_prng_next(&p) == UINT64_C(3203168211198807973));
    assert_true(sf_prng_next(&p) == UINT64_C(9817491932198370423));
    assert_true(sf_prng_below(&p, 0) == 0);
    assert_true(sf_prng_below(&p, 1) == 0);
    int counts[3] = {0};
    for (int i = 0; i < 30000; i++)
        counts[sf_prng_below(&p, 3)]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 9500, 10500);
    /* A bound just over 2^63 refuses nearly half of the draws, and never gives a value at or over
     * it. */
    uint64_t bound = (UINT64_C(1) << 63) + 1;
    for (int i = 0; i < 1000; i++)
        assert_true(sf_prng_below(&p, bound) < bound);
}

static void ticks(void **state)
{
    (void)state;
    int64_t before = sf_mono_ns();
    sf_sleep_ms(5);
    assert_true(sf_mono_ns() - before >= 5 * SF_NS_PER_MS);
    sf_sleep_ms(0);
    sf_sleep_ms(-1);
    assert_true(sf_ticks_system.mono_ns(sf_ticks_system.ctx) >= before);
    int64_t real = sf_ticks_system.real_ns(sf_ticks_system.ctx);
    assert_true(llabs(sf_real_ns() - real) < 60 * SF_NS_PER_S);
}

static void growing_text(void **state)
{
    (void)state;
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, 100000);
    sf_strbuf_add(&buf, "", 0);
    assert_string_equal(buf.text, "");
    for (int i = 0; i < 1000; i++)
        sf_strbuf_addf(&buf, "%04d,", i);
    assert_false(buf.failed);
    assert_int_equal(buf.length, 5000);
    assert_memory_equal(buf.text + 4995, "0999,", 6);
    sf_strbuf_free(&buf);
    assert_null(buf.text);

    for (size_t max = 0; max < 8; max++) {
        sf_strbuf_init(&buf, max);
        sf_strbuf_add(&buf, "abc", 3);
        sf_strbuf_addf(&buf, "%s", "def");
        assert_memory_equal(buf.text, "abcdef", max < 6 ? max : 6);
        assert_int_equal(buf.text[buf.length], '\0');
        assert_int_equal(buf.length, max < 6 ? max : 6);
        assert_int_equal(buf.failed, max < 6);
        if (buf.failed) {
            sf_strbuf_add(&buf, "", 0);
            sf_strbuf_addf(&buf, "more");
            assert_int_equal(buf.length, max);
        }
        sf_strbuf_free(&buf);
    }
}

static void json_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "\"\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\t\r\x01\x7f", "\"\\n\\t\\u000d\\u0001\\u007f\""},
        {"\xc3\xbc\xf0\x9f\x98\x80", "\"\xc3\xbc\xf0\x9f\x98\x80\""},
        {"\xff"
         "a\xe2\x82",
         "\"\xef\xbf\xbd"
         "a\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        struct sf_strbuf buf;
        sf_strbuf_init(&buf, 1000);
        sf_strbuf_add_json(&buf, cases[i].text);
        assert_string_equal(buf.text, cases[i].json);
        sf_strbuf_free(&buf);
    }
}

static void *count_blocked(void *ctx)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    atomic_int *blocked = ctx;
    int count = 0;
    for (int number = 1; number < SIGRTMIN; number++)
        count += sigismember(&mask, number) == 1;
    atomic_store(blocked, count);
    return NULL;
}

/* All but the two that nobody can block. */
static void threads(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_int joined = -1;
    static atomic_int detached = -1; /* outlives this test */
    assert_int_equal(sf_thread_start(&thread, "small", count_blocked, &joined), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&joined) >= 29);
    assert_int_equal(sf_thread_detach(count_blocked, &detached), 0);
    while (atomic_load(&detached) < 0)
        sf_sleep_ms(1);
    assert_int_equal(atomic_load(&detached), atomic_load(&joined));
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0); /* our own mask is as it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads),      cmocka_unit_test(errors),
        cmocka_unit_test(errno_texts),  cmocka_unit_test(assertion_ends_with_70),
        cmocka_unit_test(byte_order),   cmocka_unit_test(random_numbers),
        cmocka_unit_test(prng),         cmocka_unit_test(ticks),
        cmocka_unit_test(growing_text), cmocka_unit_test(json_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
