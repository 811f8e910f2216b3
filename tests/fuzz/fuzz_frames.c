/* A byte stream in either direction: every whole frame in it is decoded, and what decodes must
 * encode to the same bytes. */
#include "fuzz.h"

#include "wire/frame.h"

static void request(const struct sf_wire_header *header, const uint8_t *frame, const uint8_t *body)
{
    uint8_t again[SF_WIRE_HEADER_SIZE + SF_WIRE_TOKEN_MAX];
    size_t size = header->length - SF_WIRE_LENGTH_MIN, written;
    const char *reason = NULL;
    struct sf_wire_next next;
    if (header->type == SF_WIRE_NEXT) {
        if (sf_wire_get_next(header, body, &next, &reason) != 0) {
            MUST(reason);
            return;
        }
        written = sf_wire_put_next(again, sizeof again, header->request_id, &next);
    } else {
        if (sf_wire_check_request(header, &reason) != 0) {
            MUST(reason);
            return;
        }
        written =
            sf_wire_put_request(again, sizeof again, header->type, header->request_id, body, size);
    }
    MUST(written == header->length + 4);
    /* The version is the caller's to check, so it may differ. */
    MUST(memcmp(frame, again, 4) == 0);
    MUST(memcmp(frame + 5, again + 5, written - 5) == 0);
}

static void runs(const uint8_t *body, size_t size)
{
    size_t count = 0;
    uint32_t ids = 0, sum = 0;
    uint64_t last = 0;
    if (sf_wire_get_runs(body, size, &count, &ids) != 0)
        return;
    MUST(count * SF_WIRE_RUN_SIZE == size && count >= 1 && ids <= SF_WIRE_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        struct sf_wire_run run = sf_wire_run_at(body, i);
        MUST(run.count >= 1 && (i == 0 || run.first > last));
        last = run.first + run.count - 1;
        MUST(last >= run.first && last <= INT64_MAX);
        sum += run.count;
    }
    MUST(sum == ids);
}

static void answer(const struct sf_wire_header *header, const uint8_t *body)
{
    size_t size = header->length - SF_WIRE_LENGTH_MIN;
    struct sf_wire_error error;
    struct sf_wire_goaway goaway;
    struct sf_wire_time time;
    runs(body, size);
    if (sf_wire_get_error(body, size, &error) == 0)
        MUST(error.reason_size + 4 == size);
    if (sf_wire_get_goaway(body, size, &goaway) == 0)
        MUST(goaway.reason_size + 4 == size && goaway.reason == (const char *)body + 4);
    if (sf_wire_get_time_body(body, size, &time) == 0) {
        uint8_t again[SF_WIRE_TIME_SIZE];
        sf_wire_put_time_body(again, &time);
        MUST(memcmp(again, body, SF_WIRE_TIME_SIZE - 6) == 0);
    }
    MUST(sf_wire_status_name(header->code)[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size > 0) {
        struct sf_wire_header header;
        uint8_t *rest = fuzz_exact(data, size);
        enum sf_wire_scan scan = sf_wire_scan(rest, size, &header);
        free(rest);
        if (scan != SF_WIRE_COMPLETE)
            break;
        size_t frame_size = 4 + (size_t)header.length;
        MUST(frame_size <= size && frame_size >= SF_WIRE_HEADER_SIZE);
        uint8_t *frame = fuzz_exact(data, frame_size);
        if (header.type >= 1 && header.type <= SF_WIRE_REQUEST_LAST)
            request(&header, frame, frame + SF_WIRE_HEADER_SIZE);
        answer(&header, frame + SF_WIRE_HEADER_SIZE);
        free(frame);
        data += frame_size;
        size -= frame_size;
    }
    return 0;
}
