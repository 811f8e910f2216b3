/* clock/ntp_packet.h - NTP client packets (RFC 5905 section 7.3, kiss codes section 7.4): bytes <->
 * values. Pure.
 *
 * The request carries a random cookie as its transmit timestamp and nothing else (RFC 9109,
 * draft-ietf-ntp-data-minimization): the true sending time stays here, and a reply that does not
 * echo the cookie is not for us. Nothing in a reply is believed before every check has passed. True
 * time is expressed against the monotonic clock (see clock/reading.h). Nanoseconds. */
#ifndef SF_CLOCK_NTP_PACKET_H
#define SF_CLOCK_NTP_PACKET_H

#include <stddef.h>
#include <stdint.h>

#define SF_NTP_PACKET_SIZE     48
#define SF_NTP_DATAGRAM_MAX    1024 /* extension fields behind the packet are not read */
#define SF_NTP_DISTANCE_MAX_NS INT64_C(1500000000) /* RFC 5905 MAXDIST */

enum sf_ntp_verdict {
    SF_NTP_OK,
    SF_NTP_SHORT,          /* under 48 bytes */
    SF_NTP_MODE,           /* not a server's answer */
    SF_NTP_VERSION,        /* another version than asked */
    SF_NTP_ORIGIN,         /* does not echo our cookie: spoofed or late */
    SF_NTP_DUPLICATE,      /* the same transmit timestamp as the reply before: replayed */
    SF_NTP_KISS,           /* stratum 0 with a kiss code */
    SF_NTP_UNSYNCHRONISED, /* leap indicator 3, stratum 0 or over 15 */
    SF_NTP_LOCAL,    /* reference 127.127.1.1: a chronyd that serves its own unsynchronised clock */
    SF_NTP_ZERO,     /* transmit or receive timestamp 0 */
    SF_NTP_ORDER,    /* sent before it was received, or before its own last update */
    SF_NTP_DELAY,    /* a round trip shorter than the server's own time */
    SF_NTP_DISTANCE, /* root distance over SF_NTP_DISTANCE_MAX_NS */
    SF_NTP_VERDICTS
};

enum sf_ntp_kiss {
    SF_NTP_KISS_NONE,
    SF_NTP_KISS_STOP, /* DENY, RSTR: do not ask this server again */
    SF_NTP_KISS_RATE, /* ask less often */
    SF_NTP_KISS_OTHER /* nothing to do */
};

/* What is remembered of a request until its reply. */
struct sf_ntp_request {
    uint64_t cookie;
    int64_t sent_mono_ns;
    uint64_t last_transmit; /* transmit timestamp of the last good reply of this server; 0: none */
};

struct sf_ntp_reply {
    enum sf_ntp_kiss kiss;
    char kiss_code[5]; /* "" without one; printable */
    uint8_t leap, stratum;
    uint32_t reference_id;
    uint64_t transmit;
    /* The rest is set with SF_NTP_OK only. */
    int64_t base_ns; /* true time minus CLOCK_MONOTONIC */
    int64_t as_of_mono_ns;
    int64_t delay_ns; /* of the round trip, at least 0 */
    int64_t error_ns; /* true time lies within: (root delay + delay) / 2 + root dispersion +
                         precisions */
};

void sf_ntp_put_request(uint8_t to[SF_NTP_PACKET_SIZE], uint64_t cookie);

/* near_real_ns: the wall clock, only to choose the era of the server's 32-bit seconds (within 68
 * years). */
enum sf_ntp_verdict sf_ntp_get_reply(const uint8_t *packet, size_t size,
                                     const struct sf_ntp_request *request, int64_t received_mono_ns,
                                     int64_t near_real_ns, struct sf_ntp_reply *ret);

const char *sf_ntp_verdict_name(enum sf_ntp_verdict verdict); /* "ok", "short", "origin", ... */

#endif
