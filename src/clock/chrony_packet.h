/* clock/chrony_packet.h - chronyd's command and monitoring protocol, version 6 (candm.h of
 * chrony 3.5 to 4.8): TRACKING, N_SOURCES and SOURCE_DATA requests and replies, bytes <-> values.
 * Pure. Requests are as long as their replies (no amplification), so padded. chronyd calls the sign
 * of `correction` ours: positive when the local clock is slow. */
#ifndef SF_CLOCK_CHRONY_PACKET_H
#define SF_CLOCK_CHRONY_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_CHRONY_PACKET_MAX   104
#define SF_CHRONY_DATAGRAM_MAX 1024
#define SF_CHRONY_ADDRESS_MAX  48

enum sf_chrony_command {
    SF_CHRONY_N_SOURCES = 14,
    SF_CHRONY_SOURCE_DATA = 15,
    SF_CHRONY_TRACKING = 33
};

enum sf_chrony_verdict {
    SF_CHRONY_OK,
    SF_CHRONY_SHORT,    /* fewer bytes than the reply has */
    SF_CHRONY_HEADER,   /* version, packet type or reserved bytes */
    SF_CHRONY_SEQUENCE, /* not the reply to our request: late or spoofed */
    SF_CHRONY_COMMAND,  /* another command or reply type */
    SF_CHRONY_STATUS,   /* chronyd refused: see ret_status */
    SF_CHRONY_VALUE,    /* a field outside its range */
    SF_CHRONY_VERDICTS
};

struct sf_chrony_tracking {
    uint32_t reference_id;
    uint16_t stratum; /* 0: unsynchronised */
    uint16_t leap;    /* 0 normal, 1 insert, 2 delete, 3 unsynchronised */
    char address[SF_CHRONY_ADDRESS_MAX];
    bool has_reference_time;
    int64_t reference_ns; /* Unix ns of the last update */
    int64_t correction_ns;
    int64_t root_delay_ns, root_dispersion_ns;
    int64_t update_interval_ns;
    double frequency_ppm, skew_ppm;
};

struct sf_chrony_source {
    char address[SF_CHRONY_ADDRESS_MAX];
    uint16_t stratum, state, mode, reach;
    uint32_t since_s;  /* UINT32_MAX: never */
    int64_t offset_ns; /* turned to our sign: positive when the local clock is slow */
    int64_t error_ns;
};

/* Writes a request; returns its size. index: for SOURCE_DATA. */
size_t sf_chrony_put_request(uint8_t to[SF_CHRONY_PACKET_MAX], enum sf_chrony_command command,
                             uint32_t sequence, uint32_t index);

/* Each decodes the reply to the request with this sequence. ret_status (may be NULL) gets chronyd's
 * status with SF_CHRONY_STATUS. */
enum sf_chrony_verdict sf_chrony_get_tracking(const uint8_t *packet, size_t size, uint32_t sequence,
                                              struct sf_chrony_tracking *ret, uint16_t *ret_status);
enum sf_chrony_verdict sf_chrony_get_n_sources(const uint8_t *packet, size_t size,
                                               uint32_t sequence, uint32_t *ret,
                                               uint16_t *ret_status);
enum sf_chrony_verdict sf_chrony_get_source(const uint8_t *packet, size_t size, uint32_t sequence,
                                            struct sf_chrony_source *ret, uint16_t *ret_status);

/* For tests: every bit pattern is tried. chronyd's 32-bit float: 7 bits exponent, 25 bits coefficient, both two's complement; always
 * finite. */
double sf_chrony_float(uint32_t wire);

/* "selected", "unselectable", "falseticker", "jittery", "unselected", "selectable". */
const char *sf_chrony_state_name(uint16_t state);
const char *sf_chrony_verdict_name(enum sf_chrony_verdict verdict);
const char *sf_chrony_status_name(uint16_t status);

#endif
