/* Responses and pushes. Frames and requests: wire/frame.c. */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

void sf_wire_put_run(uint8_t *to, uint64_t first, uint32_t count)
{
    sf_store_be64(to, first);
    sf_store_be32(to + 8, count);
}

struct sf_wire_run sf_wire_run_at(const uint8_t *body, size_t index)
{
    const uint8_t *at = body + index * SF_WIRE_RUN_SIZE;
    return (struct sf_wire_run){.first = sf_load_be64(at), .count = sf_load_be32(at + 8)};
}

int sf_wire_get_runs(const uint8_t *body, size_t size, size_t *ret_runs, uint32_t *ret_ids)
{
    if (size == 0 || size % SF_WIRE_RUN_SIZE != 0)
        return -EBADMSG;
    const size_t runs = size / SF_WIRE_RUN_SIZE;
    uint32_t ids = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < runs; i++) {
        const struct sf_wire_run run = sf_wire_run_at(body, i);
        if (run.count == 0 || run.count > SF_WIRE_COUNT_MAX - ids)
            return -EBADMSG;
        if (run.first > INT64_MAX || run.count - 1 > INT64_MAX - run.first)
            return -EBADMSG;
        if (i > 0 && run.first <= last)
            return -EBADMSG;
        last = run.first + run.count - 1;
        ids += run.count;
    }
    *ret_runs = runs;
    *ret_ids = ids;
    return 0;
}

/* A u32 and then text for people, cut between characters to what fits; the shape of errors and of
 * GOAWAY. */
static size_t put_number_and_text(uint8_t *to, size_t room, uint8_t type, uint16_t code,
                                  uint32_t request_id, uint32_t number, const char *text)
{
    const size_t fixed = SF_WIRE_HEADER_SIZE + 4;
    if (room < fixed)
        return 0;
    const size_t most = room - fixed < SF_WIRE_BODY_MAX - 4 ? room - fixed : SF_WIRE_BODY_MAX - 4;
    size_t size = text != NULL ? strnlen(text, most + 1) : 0;
    if (size > most) {
        size = most;
        while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80)
            size--;
    }
    sf_wire_put_header(to, type, code, request_id, 4 + size);
    sf_store_be32(to + SF_WIRE_HEADER_SIZE, number);
    if (size > 0)
        memcpy(to + fixed, text, size);
    return fixed + size;
}

size_t sf_wire_put_error(uint8_t *to, size_t room, uint8_t type, enum sf_wire_status status,
                         uint32_t request_id, uint32_t retry_after_ms, const char *reason)
{
    return put_number_and_text(to, room, type, (uint16_t)status, request_id, retry_after_ms,
                               reason);
}

int sf_wire_get_error(const uint8_t *body, size_t size, struct sf_wire_error *ret)
{
    if (size < 4)
        return -EBADMSG;
    *ret = (struct sf_wire_error){
        .retry_after_ms = sf_load_be32(body),
        .reason = (const char *)body + 4,
        .reason_size = size - 4,
    };
    return 0;
}

void sf_wire_put_time_body(uint8_t to[SF_WIRE_TIME_SIZE], const struct sf_wire_time *time)
{
    sf_store_be64(to, time->earliest_us);
    sf_store_be64(to + 8, time->latest_us);
    sf_store_be64(to + 16, (uint64_t)time->offset_ns);
    sf_store_be64(to + 24, time->error_ns);
    to[32] = time->source;
    to[33] = time->synchronized;
    memset(to + 34, 0, 6);
}

int sf_wire_get_time_body(const uint8_t *body, size_t size, struct sf_wire_time *ret)
{
    if (size != SF_WIRE_TIME_SIZE)
        return -EBADMSG;
    const struct sf_wire_time time = {
        .earliest_us = sf_load_be64(body),
        .latest_us = sf_load_be64(body + 8),
        .offset_ns = (int64_t)sf_load_be64(body + 16),
        .error_ns = sf_load_be64(body + 24),
        .source = body[32],
        .synchronized = body[33],
    };
    /* An interval that ends before it begins brackets nothing. */
    if (time.earliest_us > time.latest_us || time.synchronized > 1)
        return -EBADMSG;
    *ret = time;
    return 0;
}

size_t sf_wire_put_goaway(uint8_t *to, size_t room, uint32_t deadline_ms, const char *reason)
{
    return put_number_and_text(to, room, SF_WIRE_GOAWAY, 0, 0, deadline_ms, reason);
}

int sf_wire_get_goaway(const uint8_t *body, size_t size, struct sf_wire_goaway *ret)
{
    if (size < 4)
        return -EBADMSG;
    *ret = (struct sf_wire_goaway){
        .deadline_ms = sf_load_be32(body),
        .reason = (const char *)body + 4,
        .reason_size = size - 4,
    };
    return 0;
}
