/* clock/chrony_packet.c - chronyd's command protocol, bytes <-> values. */
#include "clock/chrony_packet.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/ticks.h"

#define VERSION        6
#define TYPE_REQUEST   1
#define TYPE_REPLY     2
#define REQUEST_HEADER 20
#define REPLY_HEADER   28
#define NO_TIME        UINT32_C(0x7fffffff)

enum { FAMILY_NONE, FAMILY_INET4, FAMILY_INET6 };

#define LEAP_MAX      3
#define MODE_MAX      2
#define MODE_REFCLOCK 2
#define STATE_MAX     5
#define STRATUM_MAX   16

static const struct shape {
    enum sf_chrony_command command;
    uint16_t reply;
    size_t size; /* of request and reply */
} shapes[] = {
    {SF_CHRONY_TRACKING, 5, 104}, {SF_CHRONY_N_SOURCES, 2, 32}, {SF_CHRONY_SOURCE_DATA, 3, 76}};

static const struct shape *shape_of(enum sf_chrony_command command)
{
    const struct shape *shape = shapes;
    while (shape->command != command)
        shape++;
    return shape;
}

size_t sf_chrony_put_request(uint8_t to[SF_CHRONY_PACKET_MAX], enum sf_chrony_command command,
                             uint32_t sequence, uint32_t index)
{
    memset(to, 0, SF_CHRONY_PACKET_MAX);
    to[0] = VERSION;
    to[1] = TYPE_REQUEST;
    sf_store_be16(to + 4, (uint16_t)command);
    sf_store_be32(to + 8, sequence);
    if (command == SF_CHRONY_SOURCE_DATA)
        sf_store_be32(to + REQUEST_HEADER, index);
    return shape_of(command)->size;
}

double sf_chrony_float(uint32_t wire)
{
    int exponent = (int)(wire >> 25);
    int32_t coefficient = (int32_t)(wire & 0x1ffffff);
    if (exponent >= 64)
        exponent -= 128;
    if (coefficient >= 0x1000000)
        coefficient -= 0x2000000;
    return ldexp(coefficient, exponent - 25);
}

/* Seconds as nanoseconds; false when they are outside of +- 10 years (int64 holds 292). */
static bool seconds_ns(uint32_t wire, int64_t *ret)
{
    const double seconds = sf_chrony_float(wire);
    if (fabs(seconds) > 315360000.0)
        return false;
    *ret = (int64_t)(seconds * 1e9 + (seconds < 0 ? -0.5 : 0.5));
    return true;
}

static enum sf_chrony_verdict check(const uint8_t *packet, size_t size, uint32_t sequence,
                                    enum sf_chrony_command command, uint16_t *ret_status)
{
    const struct shape *shape = shape_of(command);
    if (size < REPLY_HEADER)
        return SF_CHRONY_SHORT;
    if (packet[0] != VERSION || packet[1] != TYPE_REPLY || packet[2] != 0 || packet[3] != 0)
        return SF_CHRONY_HEADER;
    if (sf_load_be32(packet + 16) != sequence)
        return SF_CHRONY_SEQUENCE;
    if (sf_load_be16(packet + 4) != command)
        return SF_CHRONY_COMMAND;
    const uint16_t status = sf_load_be16(packet + 8);
    if (status != 0) {
        if (ret_status != NULL)
            *ret_status = status;
        return SF_CHRONY_STATUS;
    }
    if (sf_load_be16(packet + 6) != shape->reply)
        return SF_CHRONY_COMMAND;
    return size < shape->size ? SF_CHRONY_SHORT : SF_CHRONY_OK;
}

/* 16 bytes of address, then the family. A reference clock has its name in the first four bytes. */
static void put_address(const uint8_t *at, bool refclock, char to[SF_CHRONY_ADDRESS_MAX])
{
    const uint16_t family = sf_load_be16(at + 16);
    to[0] = '\0';
    if (refclock) {
        for (size_t i = 0; i < 4 && at[i] != 0; i++) {
            to[i] = at[i] > ' ' && at[i] < 0x7f ? (char)at[i] : '?';
            to[i + 1] = '\0';
        }
    } else if (family == FAMILY_INET4) {
        inet_ntop(AF_INET, at, to, SF_CHRONY_ADDRESS_MAX);
    } else if (family == FAMILY_INET6) {
        inet_ntop(AF_INET6, at, to, SF_CHRONY_ADDRESS_MAX);
    }
}

static bool read_reference_time(const uint8_t *at, struct sf_chrony_tracking *tracking)
{
    const uint32_t high = sf_load_be32(at), low = sf_load_be32(at + 4);
    const uint32_t nanoseconds = sf_load_be32(at + 8);
    const uint64_t seconds = high == NO_TIME ? low : (uint64_t)high << 32 | low;
    if (nanoseconds >= SF_NS_PER_S || seconds > (uint64_t)(INT64_MAX / SF_NS_PER_S - 1))
        return false;
    tracking->reference_ns = (int64_t)seconds * SF_NS_PER_S + nanoseconds;
    tracking->has_reference_time = tracking->reference_ns != 0;
    return true;
}

enum sf_chrony_verdict sf_chrony_get_tracking(const uint8_t *packet, size_t size, uint32_t sequence,
                                              struct sf_chrony_tracking *ret, uint16_t *ret_status)
{
    struct sf_chrony_tracking tracking = {0};
    const enum sf_chrony_verdict verdict =
        check(packet, size, sequence, SF_CHRONY_TRACKING, ret_status);
    if (verdict != SF_CHRONY_OK)
        return verdict;
    tracking.reference_id = sf_load_be32(packet + 28);
    put_address(packet + 32, false, tracking.address);
    tracking.stratum = sf_load_be16(packet + 52);
    tracking.leap = sf_load_be16(packet + 54);
    tracking.frequency_ppm = sf_chrony_float(sf_load_be32(packet + 80));
    tracking.skew_ppm = sf_chrony_float(sf_load_be32(packet + 88));
    if (tracking.stratum > STRATUM_MAX || tracking.leap > LEAP_MAX ||
        !read_reference_time(packet + 56, &tracking) ||
        !seconds_ns(sf_load_be32(packet + 68), &tracking.correction_ns) ||
        !seconds_ns(sf_load_be32(packet + 92), &tracking.root_delay_ns) ||
        !seconds_ns(sf_load_be32(packet + 96), &tracking.root_dispersion_ns) ||
        !seconds_ns(sf_load_be32(packet + 100), &tracking.update_interval_ns))
        return SF_CHRONY_VALUE;
    /* The delay of a refclock may be a hair below zero; a dispersion or an interval below zero is
     * nonsense. */
    if (tracking.root_dispersion_ns < 0 || tracking.update_interval_ns < 0)
        return SF_CHRONY_VALUE;
    if (tracking.root_delay_ns < 0)
        tracking.root_delay_ns = -tracking.root_delay_ns;
    *ret = tracking;
    return SF_CHRONY_OK;
}

enum sf_chrony_verdict sf_chrony_get_n_sources(const uint8_t *packet, size_t size,
                                               uint32_t sequence, uint32_t *ret,
                                               uint16_t *ret_status)
{
    const enum sf_chrony_verdict verdict =
        check(packet, size, sequence, SF_CHRONY_N_SOURCES, ret_status);
    if (verdict == SF_CHRONY_OK)
        *ret = sf_load_be32(packet + 28);
    return verdict;
}

enum sf_chrony_verdict sf_chrony_get_source(const uint8_t *packet, size_t size, uint32_t sequence,
                                            struct sf_chrony_source *ret, uint16_t *ret_status)
{
    struct sf_chrony_source source = {0};
    const enum sf_chrony_verdict verdict =
        check(packet, size, sequence, SF_CHRONY_SOURCE_DATA, ret_status);
    if (verdict != SF_CHRONY_OK)
        return verdict;
    source.stratum = sf_load_be16(packet + 50);
    source.state = sf_load_be16(packet + 52);
    source.mode = sf_load_be16(packet + 54);
    source.reach = sf_load_be16(packet + 58);
    source.since_s = sf_load_be32(packet + 60);
    put_address(packet + 28, source.mode == MODE_REFCLOCK, source.address);
    if (source.state > STATE_MAX || source.mode > MODE_MAX ||
        !seconds_ns(sf_load_be32(packet + 68), &source.offset_ns) ||
        !seconds_ns(sf_load_be32(packet + 72), &source.error_ns) || source.error_ns < 0)
        return SF_CHRONY_VALUE;
    source.offset_ns = -source.offset_ns;
    *ret = source;
    return SF_CHRONY_OK;
}

const char *sf_chrony_state_name(uint16_t state)
{
    static const char *const names[STATE_MAX + 1] = {"selected", "unselectable", "falseticker",
                                                     "jittery",  "unselected",   "selectable"};
    return state <= STATE_MAX ? names[state] : "unknown";
}

const char *sf_chrony_verdict_name(enum sf_chrony_verdict verdict)
{
    static const char *const names[SF_CHRONY_VERDICTS] = {
        [SF_CHRONY_OK] = "ok",           [SF_CHRONY_SHORT] = "short",
        [SF_CHRONY_HEADER] = "header",   [SF_CHRONY_SEQUENCE] = "sequence",
        [SF_CHRONY_COMMAND] = "command", [SF_CHRONY_STATUS] = "status",
        [SF_CHRONY_VALUE] = "value"};
    return (unsigned)verdict < SF_CHRONY_VERDICTS ? names[verdict] : "unknown";
}

const char *sf_chrony_status_name(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *name;
    } known[] = {{0, "ok"},        {1, "failed"},      {2, "unauthorised"}, {3, "invalid command"},
                 {4, "no source"}, {6, "not enabled"}, {18, "bad version"}, {19, "bad length"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].status == status)
            return known[i].name;
    return "unknown status";
}
