/* clock/ntp_packet.c - NTP packets, bytes <-> values, and what is not believed. */
#include "clock/ntp_packet.h"

#include <string.h>

#include "base/bytes.h"
#include "base/ticks.h"
#include "clock/reading.h"

#define VERSION_4     4
#define MODE_CLIENT   3
#define MODE_SERVER   4
#define LEAP_UNSYNC   3
#define STRATUM_MAX   15
#define LOCAL_ID      UINT32_C(0x7f7f0101)
#define UNIX_ERA      INT64_C(2208988800) /* seconds from 1900 to 1970 */
#define OWN_PRECISION INT64_C(1000)       /* of a clock read; generous */

/* A difference of raw 64-bit timestamps, modulo 2^64: survives the end of an era. */
static int64_t ns_of_fixed(int64_t fixed)
{
    const uint64_t fraction = (uint64_t)fixed & UINT32_MAX;
    return (fixed >> 32) * SF_NS_PER_S + (int64_t)(fraction * (uint64_t)SF_NS_PER_S >> 32);
}

/* 16.16 seconds. */
static int64_t ns_of_short(uint32_t fixed)
{
    return (int64_t)(((uint64_t)fixed * (uint64_t)SF_NS_PER_S) >> 16);
}

/* log2 seconds. Precisions worse than a second are one, finer than 1 ns none. */
static int64_t ns_of_precision(int8_t precision)
{
    if (precision >= 0)
        return SF_NS_PER_S;
    return precision < -30 ? 1 : SF_NS_PER_S >> -precision;
}

/* Unix time of a timestamp, in the era that is nearest to the clock at hand; beside a clock that is
 * centuries ahead, the end of the type. */
static int64_t unix_ns(uint64_t timestamp, int64_t near_real_ns)
{
    const int64_t near_s = near_real_ns / SF_NS_PER_S + UNIX_ERA;
    const uint32_t seconds = (uint32_t)(timestamp >> 32);
    const int32_t away = (int32_t)(seconds - (uint32_t)near_s);
    const int64_t fraction = (int64_t)(((timestamp & UINT32_MAX) * (uint64_t)SF_NS_PER_S) >> 32);
    int64_t whole_ns;
    if (__builtin_mul_overflow(near_s + away - UNIX_ERA, SF_NS_PER_S, &whole_ns))
        return INT64_MAX;
    return sf_clock_add_ns(whole_ns, fraction);
}

void sf_ntp_put_request(uint8_t to[SF_NTP_PACKET_SIZE], uint64_t cookie)
{
    memset(to, 0, SF_NTP_PACKET_SIZE);
    to[0] = VERSION_4 << 3 | MODE_CLIENT;
    sf_store_be64(to + 40, cookie);
}

static void read_kiss(const uint8_t *packet, struct sf_ntp_reply *ret)
{
    static const struct {
        char code[5];
        enum sf_ntp_kiss kiss;
    } known[] = {
        {"DENY", SF_NTP_KISS_STOP}, {"RSTR", SF_NTP_KISS_STOP}, {"RATE", SF_NTP_KISS_RATE}};
    for (size_t i = 0; i < 4; i++) {
        const uint8_t c = packet[12 + i];
        ret->kiss_code[i] = c >= 'A' && c <= 'Z' ? (char)c : '?';
    }
    ret->kiss = SF_NTP_KISS_OTHER;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (memcmp(packet + 12, known[i].code, 4) == 0)
            ret->kiss = known[i].kiss;
}

/* What can be told from the header alone. Kiss codes count only behind the cookie, or anybody could
 * stop us. */
static enum sf_ntp_verdict check_header(const uint8_t *packet, size_t size,
                                        const struct sf_ntp_request *request,
                                        struct sf_ntp_reply *ret)
{
    if (size < SF_NTP_PACKET_SIZE)
        return SF_NTP_SHORT;
    if ((packet[0] & 7) != MODE_SERVER)
        return SF_NTP_MODE;
    if ((packet[0] >> 3 & 7) != VERSION_4)
        return SF_NTP_VERSION;
    if (sf_load_be64(packet + 24) != request->cookie)
        return SF_NTP_ORIGIN;
    ret->leap = packet[0] >> 6;
    ret->stratum = packet[1];
    ret->reference_id = sf_load_be32(packet + 12);
    ret->transmit = sf_load_be64(packet + 40);
    if (ret->transmit != 0 && ret->transmit == request->last_transmit)
        return SF_NTP_DUPLICATE;
    if (ret->stratum == 0 && ret->reference_id != 0) {
        read_kiss(packet, ret);
        return SF_NTP_KISS;
    }
    if (ret->leap == LEAP_UNSYNC || ret->stratum == 0 || ret->stratum > STRATUM_MAX)
        return SF_NTP_UNSYNCHRONISED;
    if (ret->reference_id == LOCAL_ID)
        return SF_NTP_LOCAL;
    return SF_NTP_OK;
}

static enum sf_ntp_verdict check_times(const uint8_t *packet, const struct sf_ntp_request *request,
                                       int64_t received_mono_ns, int64_t near_real_ns,
                                       struct sf_ntp_reply *ret)
{
    const uint64_t reference = sf_load_be64(packet + 16), receive = sf_load_be64(packet + 32);
    const int64_t inside_ns = ns_of_fixed((int64_t)(ret->transmit - receive));
    const int64_t round_ns = received_mono_ns - request->sent_mono_ns;
    const int64_t precision_ns = ns_of_precision((int8_t)packet[3]) + OWN_PRECISION;
    const int64_t root_delay_ns = ns_of_short(sf_load_be32(packet + 4));
    const int64_t root_dispersion_ns = ns_of_short(sf_load_be32(packet + 8));
    if (ret->transmit == 0 || receive == 0)
        return SF_NTP_ZERO;
    if (inside_ns < 0 || (reference != 0 && (int64_t)(ret->transmit - reference) < 0))
        return SF_NTP_ORDER;
    if (round_ns < 0 || round_ns - inside_ns < -precision_ns)
        return SF_NTP_DELAY;
    ret->delay_ns = round_ns > inside_ns ? round_ns - inside_ns : 0;
    ret->error_ns = (root_delay_ns + ret->delay_ns) / 2 + root_dispersion_ns + precision_ns;
    if (ret->error_ns > SF_NTP_DISTANCE_MAX_NS)
        return SF_NTP_DISTANCE;
    /* The middle of the server's interval was the middle of ours, give or take half the delay. */
    const int64_t server_middle_ns = sf_clock_add_ns(unix_ns(receive, near_real_ns), inside_ns / 2);
    ret->as_of_mono_ns = received_mono_ns;
    ret->base_ns = sf_clock_sub_ns(server_middle_ns, request->sent_mono_ns + round_ns / 2);
    return SF_NTP_OK;
}

enum sf_ntp_verdict sf_ntp_get_reply(const uint8_t *packet, size_t size,
                                     const struct sf_ntp_request *request, int64_t received_mono_ns,
                                     int64_t near_real_ns, struct sf_ntp_reply *ret)
{
    struct sf_ntp_reply reply = {.kiss = SF_NTP_KISS_NONE};
    enum sf_ntp_verdict verdict = check_header(packet, size, request, &reply);
    if (verdict == SF_NTP_OK)
        verdict = check_times(packet, request, received_mono_ns, near_real_ns, &reply);
    *ret = reply;
    return verdict;
}

const char *sf_ntp_verdict_name(enum sf_ntp_verdict verdict)
{
    static const char *const names[SF_NTP_VERDICTS] = {
        [SF_NTP_OK] = "ok",
        [SF_NTP_SHORT] = "short",
        [SF_NTP_MODE] = "mode",
        [SF_NTP_VERSION] = "version",
        [SF_NTP_ORIGIN] = "origin",
        [SF_NTP_DUPLICATE] = "duplicate",
        [SF_NTP_KISS] = "kiss",
        [SF_NTP_UNSYNCHRONISED] = "unsynchronised",
        [SF_NTP_LOCAL] = "local reference",
        [SF_NTP_ZERO] = "zero timestamp",
        [SF_NTP_ORDER] = "order",
        [SF_NTP_DELAY] = "negative delay",
        [SF_NTP_DISTANCE] = "root distance",
    };
    return (unsigned)verdict < SF_NTP_VERDICTS ? names[verdict] : "unknown";
}
