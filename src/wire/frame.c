/* Frames and requests. Responses and pushes: wire/response.c. */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

enum sf_wire_scan sf_wire_scan(const uint8_t *bytes, size_t size, struct sf_wire_header *ret_header)
{
    if (size < 4)
        return SF_WIRE_PARTIAL;
    uint32_t length = sf_load_be32(bytes);
    if (length < SF_WIRE_LENGTH_MIN || length > SF_WIRE_LENGTH_MAX) {
        *ret_header = (struct sf_wire_header){.length = length};
        return SF_WIRE_BAD_LENGTH;
    }
    if (size - 4 < length)
        return SF_WIRE_PARTIAL;
    *ret_header = (struct sf_wire_header){
        .length = length,
        .version = bytes[4],
        .type = bytes[5],
        .code = sf_load_be16(bytes + 6),
        .request_id = sf_load_be32(bytes + 8),
    };
    return SF_WIRE_COMPLETE;
}

void sf_wire_put_header(uint8_t *to, uint8_t type, uint16_t code, uint32_t request_id,
                        size_t body_size)
{
    SF_ASSERT(body_size <= SF_WIRE_BODY_MAX);
    sf_store_be32(to, (uint32_t)(SF_WIRE_LENGTH_MIN + body_size));
    to[4] = SF_WIRE_VERSION;
    to[5] = type;
    sf_store_be16(to + 6, code);
    sf_store_be32(to + 8, request_id);
}

size_t sf_wire_put_next(uint8_t *to, size_t room, uint32_t request_id,
                        const struct sf_wire_next *next)
{
    size_t body_size = next->has_after ? 12 : 4;
    if (room < SF_WIRE_HEADER_SIZE + body_size)
        return 0;
    sf_wire_put_header(to, SF_WIRE_NEXT, next->has_after ? SF_WIRE_AFTER : 0, request_id,
                       body_size);
    sf_store_be32(to + SF_WIRE_HEADER_SIZE, next->count);
    if (next->has_after)
        sf_store_be64(to + SF_WIRE_HEADER_SIZE + 4, next->after);
    return SF_WIRE_HEADER_SIZE + body_size;
}

static size_t put_request(uint8_t *to, size_t room, uint8_t type, uint32_t request_id,
                          const void *body, size_t size)
{
    if (room < SF_WIRE_HEADER_SIZE + size)
        return 0;
    sf_wire_put_header(to, type, 0, request_id, size);
    if (size > 0)
        memcpy(to + SF_WIRE_HEADER_SIZE, body, size);
    return SF_WIRE_HEADER_SIZE + size;
}

size_t sf_wire_put_ping(uint8_t *to, size_t room, uint32_t request_id, const void *body,
                        size_t size)
{
    if (size > SF_WIRE_PING_MAX)
        return 0;
    return put_request(to, room, SF_WIRE_PING, request_id, body, size);
}

size_t sf_wire_put_info(uint8_t *to, size_t room, uint32_t request_id)
{
    return put_request(to, room, SF_WIRE_INFO, request_id, NULL, 0);
}

size_t sf_wire_put_time(uint8_t *to, size_t room, uint32_t request_id)
{
    return put_request(to, room, SF_WIRE_TIME, request_id, NULL, 0);
}

size_t sf_wire_put_auth(uint8_t *to, size_t room, uint32_t request_id, const void *token,
                        size_t size)
{
    if (size < 1 || size > SF_WIRE_TOKEN_MAX)
        return 0;
    return put_request(to, room, SF_WIRE_AUTH, request_id, token, size);
}

static int refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return -EINVAL;
}

int sf_wire_get_next(const struct sf_wire_header *header, const uint8_t *body,
                     struct sf_wire_next *ret, const char **ret_reason)
{
    if (header->code & ~SF_WIRE_AFTER)
        return refuse(ret_reason, "NEXT has flags that are not known; only AFTER (1) is");
    bool has_after = header->code & SF_WIRE_AFTER;
    uint32_t size = header->length - SF_WIRE_LENGTH_MIN;
    if (has_after && size != 12)
        return refuse(ret_reason, "the body of NEXT with AFTER must be 12 bytes: count, after");
    if (!has_after && size != 4)
        return refuse(ret_reason, "the body of NEXT without AFTER must be 4 bytes: count");
    *ret = (struct sf_wire_next){
        .count = sf_load_be32(body),
        .has_after = has_after,
        .after = has_after ? sf_load_be64(body + 4) : 0,
    };
    return 0;
}

int sf_wire_check_request(const struct sf_wire_header *header, const char **ret_reason)
{
    uint32_t size = header->length - SF_WIRE_LENGTH_MIN;
    if (header->code != 0)
        return refuse(ret_reason, "flags that are not known; this request has none");
    switch (header->type) {
    case SF_WIRE_PING:
        if (size > SF_WIRE_PING_MAX)
            return refuse(ret_reason, "the body of PING must be 0 to 256 bytes");
        return 0;
    case SF_WIRE_INFO:
        if (size != 0)
            return refuse(ret_reason, "the body of INFO must be empty");
        return 0;
    case SF_WIRE_TIME:
        if (size != 0)
            return refuse(ret_reason, "the body of TIME must be empty");
        return 0;
    case SF_WIRE_AUTH:
        if (size < 1 || size > SF_WIRE_TOKEN_MAX)
            return refuse(ret_reason, "the token of AUTH must be 1 to 256 bytes");
        return 0;
    default:
        return refuse(ret_reason, "not a PING, INFO, TIME or AUTH request");
    }
}

const char *sf_wire_type_name(uint8_t type)
{
    switch (type) {
    case SF_WIRE_NEXT:
    case SF_WIRE_RESPONSE | SF_WIRE_NEXT:
        return "NEXT";
    case SF_WIRE_PING:
    case SF_WIRE_RESPONSE | SF_WIRE_PING:
        return "PING";
    case SF_WIRE_INFO:
    case SF_WIRE_RESPONSE | SF_WIRE_INFO:
        return "INFO";
    case SF_WIRE_TIME:
    case SF_WIRE_RESPONSE | SF_WIRE_TIME:
        return "TIME";
    case SF_WIRE_AUTH:
    case SF_WIRE_RESPONSE | SF_WIRE_AUTH:
        return "AUTH";
    case SF_WIRE_ERROR:
        return "ERROR";
    case SF_WIRE_GOAWAY:
        return "GOAWAY";
    default:
        return "UNKNOWN";
    }
}

const char *sf_wire_status_name(uint16_t status)
{
    static const char *const names[SF_WIRE_STATUSES] = {
        [SF_WIRE_OK] = "OK",
        [SF_WIRE_BAD_REQUEST] = "BAD_REQUEST",
        [SF_WIRE_UNSUPPORTED] = "UNSUPPORTED",
        [SF_WIRE_TOO_LARGE] = "TOO_LARGE",
        [SF_WIRE_NOT_READY] = "NOT_READY",
        [SF_WIRE_CLOCK] = "CLOCK",
        [SF_WIRE_OVERLOADED] = "OVERLOADED",
        [SF_WIRE_RATE_LIMITED] = "RATE_LIMITED",
        [SF_WIRE_DRAINING] = "DRAINING",
        [SF_WIRE_DENIED] = "DENIED",
        [SF_WIRE_CAUSALITY] = "CAUSALITY",
        [SF_WIRE_INTERNAL] = "INTERNAL",
    };
    return status < SF_WIRE_STATUSES ? names[status] : "UNKNOWN";
}
