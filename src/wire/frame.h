/* wire/frame.h - the frames of the Snowfleet protocol, version 1 (docs/protocol.md): bytes <->
 * structs, no sockets.
 *
 * Pure and thread-safe. Decoders check every bound and never read past the length given; encoders
 * never write past the room given and return the number of bytes written, or 0 if it does not fit.
 * Integers on the wire are big-endian.
 */
#ifndef SF_WIRE_FRAME_H
#define SF_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_WIRE_VERSION      1
#define SF_WIRE_DEFAULT_PORT 7450
#define SF_WIRE_HEADER_SIZE  12
#define SF_WIRE_LENGTH_MIN   8
#define SF_WIRE_LENGTH_MAX   65536
#define SF_WIRE_FRAME_MAX    (4 + SF_WIRE_LENGTH_MAX)
#define SF_WIRE_BODY_MAX     (SF_WIRE_LENGTH_MAX - 8)
#define SF_WIRE_RUN_SIZE     12
#define SF_WIRE_RUNS_MAX     (SF_WIRE_BODY_MAX / SF_WIRE_RUN_SIZE)
#define SF_WIRE_COUNT_MAX    65536
#define SF_WIRE_PING_MAX     256
#define SF_WIRE_TOKEN_MAX    256
#define SF_WIRE_TIME_SIZE    40

enum sf_wire_type {
    SF_WIRE_NEXT = 0x01,
    SF_WIRE_PING = 0x02,
    SF_WIRE_INFO = 0x03,
    SF_WIRE_TIME = 0x04,
    SF_WIRE_AUTH = 0x05,
    SF_WIRE_REQUEST_LAST = 0x3F, /* request types are 0x01 to this */
    SF_WIRE_RESPONSE = 0x80,     /* set in the type of a response */
    SF_WIRE_ERROR = 0xBF,        /* the response to what was no request */
    SF_WIRE_GOAWAY = 0xC0
};

enum sf_wire_status {
    SF_WIRE_OK,
    SF_WIRE_BAD_REQUEST,
    SF_WIRE_UNSUPPORTED,
    SF_WIRE_TOO_LARGE,
    SF_WIRE_NOT_READY,
    SF_WIRE_CLOCK,
    SF_WIRE_OVERLOADED,
    SF_WIRE_RATE_LIMITED,
    SF_WIRE_DRAINING,
    SF_WIRE_DENIED,
    SF_WIRE_CAUSALITY,
    SF_WIRE_INTERNAL,
    SF_WIRE_STATUSES
};

/* Flags of NEXT. */
#define SF_WIRE_AFTER 0x0001

struct sf_wire_header {
    uint32_t length; /* bytes behind the length field: 8 + body */
    uint8_t version;
    uint8_t type;
    uint16_t code; /* flags of a request, status of a response */
    uint32_t request_id;
};

enum sf_wire_scan {
    SF_WIRE_COMPLETE,  /* a whole frame lies at the front */
    SF_WIRE_PARTIAL,   /* more bytes are needed */
    SF_WIRE_BAD_LENGTH /* the length field is under 8 or over 65,536: the stream cannot go on */
};

/* Looks at the front of a byte stream. The header is filled for COMPLETE (all fields) and
 * BAD_LENGTH (length only). A bad length is reported as soon as its four bytes are there. The frame
 * is 4 + length bytes; its body starts at 12. */
enum sf_wire_scan sf_wire_scan(const uint8_t *bytes, size_t size,
                               struct sf_wire_header *ret_header);

/* The header of a frame with a body of this size (at most SF_WIRE_BODY_MAX); to has
 * SF_WIRE_HEADER_SIZE bytes. */
void sf_wire_put_header(uint8_t *to, uint8_t type, uint16_t code, uint32_t request_id,
                        size_t body_size);

/* --- requests --- */
struct sf_wire_next {
    uint32_t count; /* any value the wire can carry: the server checks 1 to max_batch */
    bool has_after;
    uint64_t after;
};

/* Each returns the frame's size, or 0 if room is too small (or the argument too long). */
size_t sf_wire_put_next(uint8_t *to, size_t room, uint32_t request_id,
                        const struct sf_wire_next *next);
size_t sf_wire_put_ping(uint8_t *to, size_t room, uint32_t request_id, const void *body,
                        size_t size);
size_t sf_wire_put_info(uint8_t *to, size_t room, uint32_t request_id);
size_t sf_wire_put_time(uint8_t *to, size_t room, uint32_t request_id);
size_t sf_wire_put_auth(uint8_t *to, size_t room, uint32_t request_id, const void *token,
                        size_t size);

/* Body and flags of a NEXT request. Returns 0 or -EINVAL with a static sentence in ret_reason. */
int sf_wire_get_next(const struct sf_wire_header *header, const uint8_t *body,
                     struct sf_wire_next *ret, const char **ret_reason);
/* PING, INFO, TIME, AUTH: checks flags and body size. Returns 0 or -EINVAL with a static sentence.
 */
int sf_wire_check_request(const struct sf_wire_header *header, const char **ret_reason);

/* --- responses --- */
struct sf_wire_run {
    uint64_t first;
    uint32_t count;
};
void sf_wire_put_run(uint8_t *to, uint64_t first, uint32_t count); /* 12 bytes */
/* Number of runs in an OK response to NEXT and the sum of their counts. Returns 0 or -EBADMSG (size
 * not a multiple of 12, no run, a count of 0, a run past 2^63, IDs that do not ascend, a sum over
 * SF_WIRE_COUNT_MAX). */
int sf_wire_get_runs(const uint8_t *body, size_t size, size_t *ret_runs, uint32_t *ret_ids);
struct sf_wire_run sf_wire_run_at(const uint8_t *body, size_t index);

struct sf_wire_error {
    uint32_t retry_after_ms;
    const char *reason; /* not NUL-terminated when decoded; points into the body */
    size_t reason_size;
};
/* A response of any status but OK. The reason is cut to what fits. */
size_t sf_wire_put_error(uint8_t *to, size_t room, uint8_t type, enum sf_wire_status status,
                         uint32_t request_id, uint32_t retry_after_ms, const char *reason);
int sf_wire_get_error(const uint8_t *body, size_t size, struct sf_wire_error *ret);

struct sf_wire_time {
    uint64_t earliest_us;
    uint64_t latest_us;
    int64_t offset_ns;
    uint64_t error_ns;
    uint8_t source; /* 0 none, 1 kernel, 2 ntp, 3 chrony, 4 coordinator */
    uint8_t synchronized;
};
void sf_wire_put_time_body(uint8_t to[SF_WIRE_TIME_SIZE], const struct sf_wire_time *time);
int sf_wire_get_time_body(const uint8_t *body, size_t size, struct sf_wire_time *ret);

/* --- pushes --- */
size_t sf_wire_put_goaway(uint8_t *to, size_t room, uint32_t deadline_ms, const char *reason);
struct sf_wire_goaway {
    uint32_t deadline_ms;
    const char *reason; /* points into the body, not NUL-terminated */
    size_t reason_size;
};
int sf_wire_get_goaway(const uint8_t *body, size_t size, struct sf_wire_goaway *ret);

/* Names for people, metrics and logs: "NEXT", "OK", ...; "UNKNOWN" for others. Static strings. */
const char *sf_wire_type_name(uint8_t type);
const char *sf_wire_status_name(uint16_t status);

#endif
