/* wire/frame.h - the frames of the Snowfleet protocol, version 1 (docs/protocol.md): bytes <->
 * structs, no sockets.
 *
 * Pure and thread-safe. Decoders check every bound and never read past the length given; encoders
 * never write past the room given and return the number of bytes written, or 0 if it does not fit.
 * Integers on the wire are big-endian. */
#ifndef SF_WIRE_FRAME_H
#define SF_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

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

/* --- the tables: whatever lists types or statuses is made from these or compared with them --- */

/* A request: X(NAME, name of its handler, number, flags it knows and their names, least and most bytes of its body, AUTH).
 * Numbers follow on each other from 1. AUTH: NEEDED where a server that has tokens wants one first, NOT_NEEDED where not.
 * What else belongs to a request: docs/how-to/add-a-frame.md. */
#define SF_WIRE_REQUESTS(X)                                                                        \
    X(NEXT, next, 0x01, SF_WIRE_AFTER, "AFTER (1)", 4, 12, NEEDED)                                 \
    X(PING, ping, 0x02, 0, "none", 0, SF_WIRE_PING_MAX, NOT_NEEDED)                                \
    X(INFO, info, 0x03, 0, "none", 0, 0, NEEDED)                                                   \
    X(TIME, time, 0x04, 0, "none", 0, 0, NEEDED)                                                   \
    X(AUTH, auth, 0x05, 0, "none", 1, SF_WIRE_TOKEN_MAX, NOT_NEEDED)

/* A status: X(NAME, number). Numbers follow on each other from 0. */
#define SF_WIRE_STATUS_LIST(X)                                                                     \
    X(OK, 0)                                                                                       \
    X(BAD_REQUEST, 1)                                                                              \
    X(UNSUPPORTED, 2)                                                                              \
    X(TOO_LARGE, 3)                                                                                \
    X(NOT_READY, 4)                                                                                \
    X(CLOCK, 5)                                                                                    \
    X(OVERLOADED, 6)                                                                               \
    X(RATE_LIMITED, 7)                                                                             \
    X(DRAINING, 8)                                                                                 \
    X(DENIED, 9)                                                                                   \
    X(CAUSALITY, 10)                                                                               \
    X(INTERNAL, 11)

/* Flags of NEXT. */
#define SF_WIRE_AFTER 0x0001

enum sf_wire_type {
#define SF_X(NAME, name, number, flags, flag_names, least, most, auth) SF_WIRE_##NAME = (number),
    SF_WIRE_REQUESTS(SF_X)
#undef SF_X
    SF_WIRE_REQUEST_LAST = 0x3E, /* request types are 0x01 to this: the response to 0x3F would be ERROR */
    SF_WIRE_RESPONSE = 0x80,     /* set in the type of a response */
    SF_WIRE_ERROR = 0xBF,        /* the response to what was no request */
    SF_WIRE_GOAWAY = 0xC0        /* pushes are this to 0xFF */
};
enum { /* SF_WIRE_REQUEST_TYPES: how many there are */
#define SF_X(NAME, name, number, flags, flag_names, least, most, auth) SF_WIRE_ROW_##NAME,
    SF_WIRE_REQUESTS(SF_X)
#undef SF_X
    SF_WIRE_REQUEST_TYPES
};

enum sf_wire_status {
#define SF_X(NAME, number) SF_WIRE_##NAME = (number),
    SF_WIRE_STATUS_LIST(SF_X)
#undef SF_X
    SF_WIRE_STATUSES
};

/* A row of SF_WIRE_REQUESTS. */
struct sf_wire_request {
    const char *name; /* "NEXT" */
    uint16_t flags;   /* those that it knows */
    uint16_t body_least, body_most;
    bool needs_auth;
    const char *bad_flags, *bad_body; /* what to say about others: static sentences */
};

/* The row of this request type; NULL for what is none. Static. */
const struct sf_wire_request *sf_wire_request(uint8_t type);

struct sf_wire_header {
    uint32_t length; /* bytes behind the length field: 8 + body */
    uint8_t version;
    uint8_t type;
    uint16_t code; /* flags of a request, status of a response */
    uint32_t request_id;
};

/* The header that begins at `bytes` (SF_WIRE_HEADER_SIZE of them), whatever it says. */
static inline struct sf_wire_header sf_wire_header_at(const uint8_t *bytes)
{
    return (struct sf_wire_header){.length = sf_load_be32(bytes),
                                   .version = bytes[4],
                                   .type = bytes[5],
                                   .code = sf_load_be16(bytes + 6),
                                   .request_id = sf_load_be32(bytes + 8)};
}

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
/* Any request but NEXT, whose body is the bytes given; 0 also when the type is unknown or its body may not have this size.
 * body: NULL where size is 0. */
size_t sf_wire_put_request(uint8_t *to, size_t room, uint8_t type, uint32_t request_id,
                           const void *body, size_t size);

/* Flags and size of the body, as the row of its type has them. Returns 0 or -EINVAL with a static sentence in ret_reason. For
 * NEXT, sf_wire_get_next says more. */
int sf_wire_check_request(const struct sf_wire_header *header, const char **ret_reason);
/* Body and flags of a NEXT request. Returns 0 or -EINVAL with a static sentence in ret_reason. */
int sf_wire_get_next(const struct sf_wire_header *header, const uint8_t *body,
                     struct sf_wire_next *ret, const char **ret_reason);

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
    uint8_t source; /* a kind of base/clock_source.h; 0: none */
    uint8_t synchronized;
};
/* The body of an OK answer to TIME. get: 0 or -EBADMSG. For tests: sf_wire_get_time_body is the other half of the pair, so that
 * vectors and fuzzer read what is written; no client of ours asks for TIME yet. */
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

/* A name for people, metrics and logs: "OK", ...; "UNKNOWN" for others. A static string. */
const char *sf_wire_status_name(uint16_t status);

#endif
