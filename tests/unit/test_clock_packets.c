/* NTP and chrony packets: every field and every refusal, by tables. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <math.h>

#include "base/bytes.h"
#include "base/ticks.h"
#include "clock/chrony_packet.h"
#include "clock/ntp_packet.h"
#include "clock/reading.h"

#define MS SF_NS_PER_MS
#define S  SF_NS_PER_S

#define COOKIE UINT64_C(0x1122334455667788)
#define NOW_NS (INT64_C(1795212995) * S)

static uint64_t stamp(int64_t unix_ns)
{
    const uint64_t seconds = (uint64_t)(unix_ns / S + INT64_C(2208988800));
    return seconds << 32 | ((uint64_t)(unix_ns % S) << 32) / (uint64_t)S;
}

/* A good answer of a server that is 250 ms ahead of our wall clock: sent at mono 100 s, back 20 ms
 * later. */
static void good_reply(uint8_t packet[SF_NTP_PACKET_SIZE], int64_t now_ns)
{
    memset(packet, 0, SF_NTP_PACKET_SIZE);
    packet[0] = 0 << 6 | 4 << 3 | 4;
    packet[1] = 2;
    packet[3] = (uint8_t)-20;
    sf_store_be32(packet + 4, 0x00000100 * 10); /* 39.06 ms */
    sf_store_be32(packet + 8, 0x00000100);      /* 3.906 ms */
    sf_store_be32(packet + 12, 0x0a000001);
    sf_store_be64(packet + 16, stamp(now_ns - 30 * S));
    sf_store_be64(packet + 24, COOKIE);
    sf_store_be64(packet + 32, stamp(now_ns + 250 * MS + 9 * MS));
    sf_store_be64(packet + 40, stamp(now_ns + 250 * MS + 11 * MS));
}

static const struct sf_ntp_request request = {.cookie = COOKIE, .sent_mono_ns = 100 * S};

static enum sf_ntp_verdict get(const uint8_t *packet, size_t size, struct sf_ntp_reply *reply)
{
    return sf_ntp_get_reply(packet, size, &request, 100 * S + 20 * MS, NOW_NS, reply);
}

static void test_ntp_request(void **state)
{
    (void)state;
    uint8_t packet[SF_NTP_PACKET_SIZE];
    sf_ntp_put_request(packet, COOKIE);
    assert_int_equal(packet[0], 0x23);
    assert_int_equal(sf_load_be64(packet + 40), COOKIE);
    for (size_t i = 1; i < 40; i++)
        assert_int_equal(packet[i], 0);
}

static void test_ntp_good(void **state)
{
    (void)state;
    /* Today, on both sides of the end of the first era (2036-02-07), and when our own clock is 30
     * years off. */
    static const struct {
        int64_t server_ns, near_ns;
    } rows[] = {{NOW_NS, NOW_NS},
                {INT64_C(2085978495) * S, INT64_C(2085978495) * S},
                {INT64_C(2085978497) * S, INT64_C(2085978490) * S},
                {INT64_C(2085978600) * S, INT64_C(2085978600) * S},
                {NOW_NS, NOW_NS - INT64_C(946728000) * S},
                {NOW_NS, NOW_NS + INT64_C(946728000) * S}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t packet[SF_NTP_PACKET_SIZE + 24] = {0};
        struct sf_ntp_reply reply;
        good_reply(packet, rows[i].server_ns);
        const enum sf_ntp_verdict verdict = sf_ntp_get_reply(
            packet, sizeof packet, &request, 100 * S + 20 * MS, rows[i].near_ns, &reply);
        assert_string_equal(sf_ntp_verdict_name(verdict), "ok");
        /* The middle of our exchange, mono 100.010 s, was the server's now + 260 ms. */
        const int64_t base = rows[i].server_ns + 260 * MS - (100 * S + 10 * MS);
        assert_in_range(reply.base_ns - base + 1000, 0, 2000);
        assert_in_range(reply.delay_ns, 18 * MS - 1000, 18 * MS + 1000);
        assert_in_range(reply.error_ns, 32435000,
                        32445000); /* (39.06 + 18) / 2 + 3.906 ms + precision */
        assert_int_equal(reply.stratum, 2);
        assert_int_equal(reply.as_of_mono_ns, 100 * S + 20 * MS);
    }
}

/* Beside a wall clock in the year 2262 the nearest era may lie beyond what nanoseconds can tell. */
static void test_ntp_at_the_end_of_time(void **state)
{
    (void)state;
    uint8_t packet[SF_NTP_PACKET_SIZE];
    struct sf_ntp_reply reply;
    good_reply(packet, NOW_NS);
    const int64_t year_ns = INT64_C(365) * 86400 * S;
    for (int64_t near_ns = INT64_MAX; near_ns > INT64_MAX - 136 * year_ns; near_ns -= year_ns) {
        assert_int_equal(
            sf_ntp_get_reply(packet, sizeof packet, &request, 100 * S + 20 * MS, near_ns, &reply),
            SF_NTP_OK);
        assert_true(reply.base_ns > 0);
    }
}

/* One byte range of the good reply changed: the verdict. */
static void test_ntp_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *expected;
        size_t at, size;
        uint64_t value;
    } rows[] = {
        {"ok", 1, 1, 1},
        {"ok", 1, 1, 15},
        {"ok", 16, 8, 0}, /* no reference time is no reason */
        {"mode", 0, 1, 4 << 3 | 3},
        {"mode", 0, 1, 4 << 3 | 5},
        {"version", 0, 1, 3 << 3 | 4},
        {"origin", 24, 8, COOKIE + 1},
        {"origin", 24, 8, 0},
        {"unsynchronised", 0, 1, 3 << 6 | 4 << 3 | 4},
        {"unsynchronised", 1, 1, 16},
        {"unsynchronised", 1, 1, 255},
        {"kiss", 1, 1, 0},
        {"local reference", 12, 4, 0x7f7f0101},
        {"zero timestamp", 40, 8, 0},
        {"zero timestamp", 32, 8, 0},
        {"root distance", 8, 4, 0x00018000}, /* 1.5 s */
        {"root distance", 4, 4, 0xffffffff},
        {"root distance", 3, 1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t packet[SF_NTP_PACKET_SIZE];
        struct sf_ntp_reply reply;
        good_reply(packet, NOW_NS);
        for (size_t k = 0; k < rows[i].size; k++)
            packet[rows[i].at + k] = (uint8_t)(rows[i].value >> 8 * (rows[i].size - 1 - k));
        if (i == sizeof rows / sizeof rows[0] - 1)
            sf_store_be32(packet + 4, 0x00010000); /* precision 1 s and root delay 1 s */
        assert_string_equal(sf_ntp_verdict_name(get(packet, sizeof packet, &reply)),
                            rows[i].expected);
    }
}

static void test_ntp_order_and_delay(void **state)
{
    (void)state;
    uint8_t packet[SF_NTP_PACKET_SIZE];
    struct sf_ntp_reply reply;
    for (size_t size = 0; size < SF_NTP_PACKET_SIZE; size++) {
        good_reply(packet, NOW_NS);
        assert_int_equal(get(packet, size, &reply), SF_NTP_SHORT);
    }
    good_reply(packet, NOW_NS);
    sf_store_be64(packet + 40, sf_load_be64(packet + 32) - 1);
    assert_int_equal(get(packet, sizeof packet, &reply), SF_NTP_ORDER);
    good_reply(packet, NOW_NS);
    sf_store_be64(packet + 16, sf_load_be64(packet + 40) + 1);
    assert_int_equal(get(packet, sizeof packet, &reply), SF_NTP_ORDER);
    good_reply(packet, NOW_NS);
    sf_store_be64(packet + 32, stamp(NOW_NS + 240 * MS)); /* 21 ms inside, of 20 ms in all */
    assert_int_equal(get(packet, sizeof packet, &reply), SF_NTP_DELAY);
    good_reply(packet, NOW_NS); /* our own times the wrong way round */
    assert_int_equal(sf_ntp_get_reply(packet, sizeof packet, &request, 99 * S, NOW_NS, &reply),
                     SF_NTP_DELAY);
    struct sf_ntp_request again = request;
    again.last_transmit = sf_load_be64(packet + 40);
    assert_int_equal(
        sf_ntp_get_reply(packet, sizeof packet, &again, 100 * S + 20 * MS, NOW_NS, &reply),
        SF_NTP_DUPLICATE);
}

static void test_ntp_kiss(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum sf_ntp_kiss kiss;
        const char *shown;
    } rows[] = {{"DENY", SF_NTP_KISS_STOP, "DENY"},
                {"RSTR", SF_NTP_KISS_STOP, "RSTR"},
                {"RATE", SF_NTP_KISS_RATE, "RATE"},
                {"XABC", SF_NTP_KISS_OTHER, "XABC"},
                {"\n\x01\xff;", SF_NTP_KISS_OTHER, "????"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t packet[SF_NTP_PACKET_SIZE];
        struct sf_ntp_reply reply;
        good_reply(packet, NOW_NS);
        packet[0] |= 3 << 6;
        packet[1] = 0;
        memcpy(packet + 12, rows[i].code, 4);
        assert_int_equal(get(packet, sizeof packet, &reply), SF_NTP_KISS);
        assert_int_equal(reply.kiss, rows[i].kiss);
        assert_string_equal(reply.kiss_code, rows[i].shown);
        sf_store_be64(packet + 24, COOKIE ^ 1); /* a stranger cannot send us away */
        assert_int_equal(get(packet, sizeof packet, &reply), SF_NTP_ORIGIN);
        assert_int_equal(reply.kiss, SF_NTP_KISS_NONE);
    }
    uint8_t packet[SF_NTP_PACKET_SIZE];
    struct sf_ntp_reply reply;
    good_reply(packet, NOW_NS);
    packet[1] = 0;
    sf_store_be32(packet + 12, 0); /* chronyd without sources: no kiss */
    assert_int_equal(get(packet, sizeof packet, &reply), SF_NTP_UNSYNCHRONISED);
}

static void test_chrony_float(void **state)
{
    (void)state;
    static const struct {
        uint32_t wire;
        double value;
    } rows[] = {{0, 0.0},
                {0x02800000, 0.5},                         /* exponent 1, 2^23 */
                {0x03800000, -0.5},                        /* negative coefficient */
                {0xff000000, -0.25},                       /* exponent -1 */
                {0x7effffff, 16777215.0 * 274877906944.0}, /* the largest */
                {0x80000001, 0x1p-89}};                    /* the smallest */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(sf_chrony_float(rows[i].wire) == rows[i].value);
}

/* The inverse, as chronyd does it, for building replies. */
static uint32_t to_float(double value)
{
    int exponent = 0;
    const double fraction = frexp(value, &exponent); /* 0.5 <= |fraction| < 1 */
    const int32_t coefficient = (int32_t)lrint(ldexp(fraction, 24));
    return value == 0.0 ? 0 : (uint32_t)(exponent + 1) << 25 | ((uint32_t)coefficient & 0x1ffffff);
}

static void put_tracking(uint8_t packet[104])
{
    memset(packet, 0, 104);
    packet[0] = 6;
    packet[1] = 2;
    sf_store_be16(packet + 4, 33);
    sf_store_be16(packet + 6, 5);
    sf_store_be32(packet + 16, 77);
    sf_store_be32(packet + 28, 0x0a000001);
    memcpy(packet + 32, "\x0a\x00\x00\x01", 4);
    sf_store_be16(packet + 48, 1);
    sf_store_be16(packet + 52, 3);
    sf_store_be32(packet + 60, 1795212995);
    sf_store_be32(packet + 64, 250000000);
    sf_store_be32(packet + 68, to_float(0.25));
    sf_store_be32(packet + 80, to_float(-12.5));
    sf_store_be32(packet + 88, to_float(0.125));
    sf_store_be32(packet + 92, to_float(-0.004));
    sf_store_be32(packet + 96, to_float(0.001));
    sf_store_be32(packet + 100, to_float(64.5));
}

static void test_chrony_tracking(void **state)
{
    (void)state;
    uint8_t packet[104];
    struct sf_chrony_tracking tracking;
    put_tracking(packet);
    assert_int_equal(sf_chrony_get_tracking(packet, sizeof packet, 77, &tracking, NULL),
                     SF_CHRONY_OK);
    assert_int_equal(tracking.correction_ns, 250 * MS);
    assert_int_equal(tracking.reference_ns, NOW_NS + 250 * MS);
    assert_in_range(tracking.root_delay_ns, 4 * MS - 10, 4 * MS + 10);
    assert_in_range(tracking.root_dispersion_ns, MS - 10, MS + 10);
    assert_int_equal(tracking.update_interval_ns, 64 * S + 500 * MS);
    assert_true(tracking.frequency_ppm == -12.5 && tracking.skew_ppm == 0.125);
    assert_string_equal(tracking.address, "10.0.0.1");
    assert_int_equal(tracking.stratum, 3);
    assert_true(tracking.has_reference_time);
}

static void test_chrony_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *expected;
        size_t at, size;
        uint64_t value;
    } rows[] = {
        {"ok", 54, 2, 3},
        {"ok", 52, 2, 16},
        {"ok", 56, 4, 0x7fffffff}, /* a time of 32 bits */
        {"header", 0, 1, 5},
        {"header", 1, 1, 1},
        {"header", 2, 1, 1},
        {"header", 3, 1, 1},
        {"sequence", 16, 4, 78},
        {"command", 4, 2, 14},
        {"command", 6, 2, 3},
        {"status", 8, 2, 2},
        {"value", 52, 2, 17},
        {"value", 54, 2, 4},
        {"value", 64, 4, 1000000000},
        {"value", 56, 4, 0x7ffffffe},
        {"value", 68, 4, 0x7effffff},
        {"value", 92, 4, 0x7effffff},
        {"value", 96, 4, 0x03800000},
        {"value", 100, 4, 0x03800000},
    };
    uint8_t packet[104];
    struct sf_chrony_tracking tracking;
    uint16_t status = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_tracking(packet);
        for (size_t k = 0; k < rows[i].size; k++)
            packet[rows[i].at + k] = (uint8_t)(rows[i].value >> 8 * (rows[i].size - 1 - k));
        assert_string_equal(sf_chrony_verdict_name(sf_chrony_get_tracking(packet, sizeof packet, 77,
                                                                          &tracking, &status)),
                            rows[i].expected);
    }
    assert_int_equal(status, 2);
    for (size_t size = 0; size < sizeof packet; size++) {
        put_tracking(packet);
        assert_int_equal(sf_chrony_get_tracking(packet, size, 77, &tracking, NULL),
                         SF_CHRONY_SHORT);
    }
}

static void test_chrony_sources(void **state)
{
    (void)state;
    uint8_t packet[76] = {6, 2};
    uint32_t count = 0;
    struct sf_chrony_source source;
    sf_store_be16(packet + 4, 14);
    sf_store_be16(packet + 6, 2);
    sf_store_be32(packet + 16, 9);
    sf_store_be32(packet + 28, 4);
    assert_int_equal(sf_chrony_get_n_sources(packet, 32, 9, &count, NULL), SF_CHRONY_OK);
    assert_int_equal(count, 4);
    sf_store_be16(packet + 4, 15);
    sf_store_be16(packet + 6, 3);
    memcpy(packet + 28, "PPS\0", 4);
    sf_store_be16(packet + 52, 2);
    sf_store_be16(packet + 54, 2);
    sf_store_be32(packet + 68, to_float(-0.25)); /* local behind: slow, +250 ms in our sign */
    sf_store_be32(packet + 72, to_float(0.5));
    assert_int_equal(sf_chrony_get_source(packet, 76, 9, &source, NULL), SF_CHRONY_OK);
    assert_string_equal(source.address, "PPS");
    assert_string_equal(sf_chrony_state_name(source.state), "falseticker");
    assert_int_equal(source.offset_ns, 250 * MS);
    assert_int_equal(source.error_ns, 500 * MS);
    assert_int_equal(sf_chrony_get_source(packet, 75, 9, &source, NULL), SF_CHRONY_SHORT);
    sf_store_be16(packet + 52, 6);
    assert_int_equal(sf_chrony_get_source(packet, 76, 9, &source, NULL), SF_CHRONY_VALUE);
    uint8_t out[SF_CHRONY_PACKET_MAX];
    assert_int_equal(sf_chrony_put_request(out, SF_CHRONY_TRACKING, 5, 0), 104);
    assert_int_equal(sf_chrony_put_request(out, SF_CHRONY_N_SOURCES, 5, 0), 32);
    assert_int_equal(sf_chrony_put_request(out, SF_CHRONY_SOURCE_DATA, 0x01020304, 3), 76);
    assert_memory_equal(out, "\x06\x01\0\0\0\x0f\0\0\x01\x02\x03\x04\0\0\0\0\0\0\0\0\0\0\0\x03",
                        24);
}

static void put_source(uint8_t packet[76])
{
    memset(packet, 0, 76);
    packet[0] = 6;
    packet[1] = 2;
    sf_store_be16(packet + 4, 15);
    sf_store_be16(packet + 6, 3);
    sf_store_be32(packet + 16, 9);
    memcpy(packet + 28, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x7b", 16);
    sf_store_be16(packet + 44, 2);
    sf_store_be32(packet + 68, to_float(0.5));
    sf_store_be32(packet + 72, to_float(0.25));
}

static void test_chrony_source_fields(void **state)
{
    (void)state;
    static const struct {
        const char *expected, *address;
        size_t at, size;
        uint64_t value;
    } rows[] = {
        {"ok", "2001:db8::7b", 52, 2, 5},
        {"ok", "32.1.13.184", 44, 2, 1},
        {"ok", "", 44, 2, 0},     /* no address */
        {"ok", "", 44, 2, 9},     /* of a family of tomorrow */
        {"ok", "G??1", 54, 2, 2}, /* a reference clock: its name, filled in below */
        {"value", "", 52, 2, 6},
        {"value", "", 54, 2, 3},
        {"value", "", 68, 4, 0x7effffff},
        {"value", "", 72, 4, 0x7effffff},
        {"value", "", 72, 4, 0x03800000},
        {"header", "", 0, 1, 5},
        {"command", "", 6, 2, 5},
        {"status", "", 8, 2, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t packet[76];
        struct sf_chrony_source source;
        uint16_t status = 0;
        put_source(packet);
        for (size_t k = 0; k < rows[i].size; k++)
            packet[rows[i].at + k] = (uint8_t)(rows[i].value >> 8 * (rows[i].size - 1 - k));
        const bool refclock = rows[i].at == 54 && rows[i].value == 2;
        if (refclock)
            memcpy(packet + 28, "G\x7f\x1f\x31", 4);
        const enum sf_chrony_verdict verdict =
            sf_chrony_get_source(packet, sizeof packet, 9, &source, &status);
        assert_string_equal(sf_chrony_verdict_name(verdict), rows[i].expected);
        if (verdict == SF_CHRONY_OK)
            assert_string_equal(source.address, rows[i].address);
        if (verdict == SF_CHRONY_STATUS)
            assert_int_equal(status, 4);
    }
    uint8_t packet[76];
    uint32_t count = 12345;
    put_source(packet); /* the reply to another question */
    assert_int_equal(sf_chrony_get_n_sources(packet, sizeof packet, 9, &count, NULL),
                     SF_CHRONY_COMMAND);
    assert_int_equal(count, 12345);
}

static void test_chrony_never_updated(void **state)
{
    (void)state;
    uint8_t packet[104];
    struct sf_chrony_tracking tracking;
    put_tracking(packet);
    memset(packet + 56, 0, 12);
    assert_int_equal(sf_chrony_get_tracking(packet, sizeof packet, 77, &tracking, NULL),
                     SF_CHRONY_OK);
    assert_false(tracking.has_reference_time);
    sf_store_be32(packet + 92, to_float(0.004));
    assert_int_equal(sf_chrony_get_tracking(packet, sizeof packet, 77, &tracking, NULL),
                     SF_CHRONY_OK);
    assert_in_range(tracking.root_delay_ns, 4 * MS - 10, 4 * MS + 10);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        const char *name;
    } statuses[] = {{0, "ok"},
                    {1, "failed"},
                    {2, "unauthorised"},
                    {3, "invalid command"},
                    {4, "no source"},
                    {6, "not enabled"},
                    {18, "bad version"},
                    {19, "bad length"},
                    {5, "unknown status"}};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        assert_string_equal(sf_chrony_status_name(statuses[i].status), statuses[i].name);
    assert_string_equal(sf_chrony_state_name(0), "selected");
    assert_string_equal(sf_chrony_state_name(5), "selectable");
    assert_string_equal(sf_chrony_state_name(6), "unknown");
    assert_string_equal(sf_chrony_verdict_name(SF_CHRONY_VERDICTS), "unknown");
    assert_string_equal(sf_reading_status_name(SF_READING_UNSYNCED), "unsynced");
    assert_string_equal(sf_reading_status_name((enum sf_reading_status)5), "unknown");
}

static void test_sums_stop_at_the_ends(void **state)
{
    (void)state;
    static const struct {
        int64_t a, b, sum, difference;
    } rows[] = {{1, 2, 3, -1},
                {INT64_MAX, 1, INT64_MAX, INT64_MAX - 1},
                {INT64_MIN, -1, INT64_MIN, INT64_MIN + 1},
                {INT64_MAX, -1, INT64_MAX - 1, INT64_MAX},
                {INT64_MIN, 1, INT64_MIN + 1, INT64_MIN},
                {0, INT64_MIN, INT64_MIN, INT64_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(sf_clock_add_ns(rows[i].a, rows[i].b) == rows[i].sum);
        assert_true(sf_clock_sub_ns(rows[i].a, rows[i].b) == rows[i].difference);
    }
    assert_true(sf_clock_abs_ns(INT64_MIN) == INT64_MAX);
    assert_true(sf_clock_abs_ns(-7) == 7 && sf_clock_abs_ns(7) == 7);
    assert_int_equal(sf_clock_drift_ns(-S), 0);
    assert_int_equal(sf_clock_drift_ns(S), 50001);
    const struct sf_reading none = {.has_time = false};
    assert_true(sf_reading_error_ns(&none, S) == INT64_MAX);
    assert_int_equal(sf_reading_offset_ns(&none, S, S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ntp_request),
        cmocka_unit_test(test_ntp_good),
        cmocka_unit_test(test_ntp_at_the_end_of_time),
        cmocka_unit_test(test_ntp_refusals),
        cmocka_unit_test(test_ntp_order_and_delay),
        cmocka_unit_test(test_ntp_kiss),
        cmocka_unit_test(test_chrony_float),
        cmocka_unit_test(test_chrony_tracking),
        cmocka_unit_test(test_chrony_refusals),
        cmocka_unit_test(test_chrony_sources),
        cmocka_unit_test(test_chrony_source_fields),
        cmocka_unit_test(test_chrony_never_updated),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_sums_stop_at_the_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
