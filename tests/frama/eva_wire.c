/* Every frame of SIZE bytes, whatever they are, through the decoders of src/wire, the frame ending where its memory ends: for
 * Frama-C's Eva (tests/frama/eva). The functions are the product's own. */
#include <stdint.h>
#include <stdlib.h>

#include "../../src/wire/frame.c"
#include "../../src/wire/response.c"

extern volatile uint8_t any_byte;
extern volatile int any_int;

/* Reached by nobody, or it is an alarm. */
void sf_assert_failed(const char *expression, const char *file, int line, const char *function)
{
    volatile int *nowhere = NULL;
    *nowhere = line;
    exit(1);
}

static void answers(const uint8_t *body, size_t size)
{
    size_t runs;
    uint32_t ids;
    if (sf_wire_get_runs(body, size, &runs, &ids) == 0)
        for (size_t i = 0; i < size / SF_WIRE_RUN_SIZE; i++)
            ids -= sf_wire_run_at(body, i).count;
    struct sf_wire_error error;
    if (sf_wire_get_error(body, size, &error) == 0 && error.reason_size > 0)
        any_int = error.reason[error.reason_size - 1];
    struct sf_wire_goaway goaway;
    if (sf_wire_get_goaway(body, size, &goaway) == 0 && goaway.reason_size > 0)
        any_int = goaway.reason[goaway.reason_size - 1];
    struct sf_wire_time time;
    sf_wire_get_time_body(body, size, &time);
}

static void whole(const struct sf_wire_header *header, const uint8_t *body)
{
    const char *reason;
    struct sf_wire_next next;
    sf_wire_check_request(header, &reason);
    sf_wire_get_next(header, body, &next, &reason);
    any_int = *sf_wire_status_name(header->code);
    answers(body, SIZE - SF_WIRE_HEADER_SIZE);
}

/* What is written ends where the room ends. */
static void written(void)
{
    uint8_t to[SIZE];
    const struct sf_wire_next next = {.count = any_int, .has_after = any_int, .after = any_int};
    sf_wire_put_next(to, SIZE, any_int, &next);
    sf_wire_put_error(to, SIZE, any_byte, SF_WIRE_CLOCK, any_int, any_int, "the clock");
    sf_wire_put_goaway(to, SIZE, any_int, NULL);
}

void main(void)
{
    uint8_t bytes[SIZE];
    for (int i = 0; i < SIZE; i++)
        bytes[i] = any_byte;
    struct sf_wire_header header;
    if (sf_wire_scan(bytes, SIZE, &header) == SF_WIRE_COMPLETE && header.length == SIZE - 4)
        whole(&header, bytes + SF_WIRE_HEADER_SIZE);
    written();
}
