/* Frames and requests. Responses and pushes: wire/response.c. */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

#define TEXT(x)  TEXT_(x)
#define TEXT_(x) #x

#define AUTH_NEEDED     true
#define AUTH_NOT_NEEDED false

static const struct sf_wire_request rows[] = {
#define SF_X(NAME, name_, number, flags_, flag_names, least, most, auth)                           \
    [number] = {                                                                                   \
        .name = #NAME,                                                                             \
        .flags = (flags_),                                                                         \
        .body_least = (least),                                                                     \
        .body_most = (most),                                                                       \
        .needs_auth = AUTH_##auth,                                                                 \
        .bad_flags = #NAME " has flags that are not known; it knows: " flag_names,                 \
        .bad_body = (most) == 0 ? "the body of " #NAME " must be empty"                            \
                                : "the body of " #NAME                                             \
                                  " must be " TEXT(least) " to " TEXT(most) " bytes",              \
    },
    SF_WIRE_REQUESTS(SF_X)
#undef SF_X
};
_Static_assert(sizeof rows / sizeof *rows == SF_WIRE_REQUEST_TYPES + 1, "numbers have no gaps");
_Static_assert((int)SF_WIRE_REQUEST_TYPES <= (int)SF_WIRE_REQUEST_LAST, "a request has its range");

const struct sf_wire_request *sf_wire_request(uint8_t type)
{
    return type >= 1 && type <= SF_WIRE_REQUEST_TYPES ? &rows[type] : NULL;
}

enum sf_wire_scan sf_wire_scan(const uint8_t *bytes, size_t size, struct sf_wire_header *ret_header)
{
    if (size < 4)
        return SF_WIRE_PARTIAL;
    const uint32_t length = sf_load_be32(bytes);
    if (length < SF_WIRE_LENGTH_MIN || length > SF_WIRE_LENGTH_MAX) {
        *ret_header = (struct sf_wire_header){.length = length};
        return SF_WIRE_BAD_LENGTH;
    }
    if (size - 4 < length)
        return SF_WIRE_PARTIAL;
    *ret_header = sf_wire_header_at(bytes);
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
    const size_t body_size = next->has_after ? 12 : 4;
    if (room < SF_WIRE_HEADER_SIZE + body_size)
        return 0;
    sf_wire_put_header(to, SF_WIRE_NEXT, next->has_after ? SF_WIRE_AFTER : 0, request_id,
                       body_size);
    sf_store_be32(to + SF_WIRE_HEADER_SIZE, next->count);
    if (next->has_after)
        sf_store_be64(to + SF_WIRE_HEADER_SIZE + 4, next->after);
    return SF_WIRE_HEADER_SIZE + body_size;
}

size_t sf_wire_put_request(uint8_t *to, size_t room, uint8_t type, uint32_t request_id,
                           const void *body, size_t size)
{
    const struct sf_wire_request *row = sf_wire_request(type);
    if (row == NULL || size < row->body_least || size > row->body_most ||
        room < SF_WIRE_HEADER_SIZE + size)
        return 0;
    sf_wire_put_header(to, type, 0, request_id, size);
    if (size > 0)
        memcpy(to + SF_WIRE_HEADER_SIZE, body, size);
    return SF_WIRE_HEADER_SIZE + size;
}

static int refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return -EINVAL;
}

int sf_wire_check_request(const struct sf_wire_header *header, const char **ret_reason)
{
    const struct sf_wire_request *row = sf_wire_request(header->type);
    const uint32_t size = header->length - SF_WIRE_LENGTH_MIN;
    if (row == NULL)
        return refuse(ret_reason, "no such request type");
    if (header->code & ~row->flags)
        return refuse(ret_reason, row->bad_flags);
    if (size < row->body_least || size > row->body_most)
        return refuse(ret_reason, row->bad_body);
    return 0;
}

int sf_wire_get_next(const struct sf_wire_header *header, const uint8_t *body,
                     struct sf_wire_next *ret, const char **ret_reason)
{
    const int rc = sf_wire_check_request(header, ret_reason);
    if (rc != 0)
        return rc;
    const bool has_after = header->code & SF_WIRE_AFTER;
    const uint32_t size = header->length - SF_WIRE_LENGTH_MIN;
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

const char *sf_wire_status_name(uint16_t status)
{
    static const char *const names[SF_WIRE_STATUSES] = {
#define SF_X(NAME, number) [number] = #NAME,
        SF_WIRE_STATUS_LIST(SF_X)
#undef SF_X
    };
    return status < SF_WIRE_STATUSES ? names[status] : "UNKNOWN";
}
