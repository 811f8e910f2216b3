/* Unpacking is the reverse of packing, under every layout there is. Both work on every bit by
 * itself (tests/frama/codec.c proves of which shifts, | and & they are made), so that an ID is the |
 * of the IDs of its single bits, and to try every bit under every layout is to try every ID. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <inttypes.h>

#include <snowfleet/id.h>

static void one(const struct sf_layout *layout, const struct sf_id_parts *parts, uint64_t want)
{
    uint64_t id = 0;
    struct sf_id_parts back = {0};
    if (sf_id_encode(layout, parts, &id) != 0 || id != want ||
        sf_id_decode(layout, id, &back) != 0 || back.timestamp_ms != parts->timestamp_ms ||
        back.datacenter != parts->datacenter || back.worker != parts->worker ||
        back.sequence != parts->sequence)
        fail_msg("layout %u,%u,%u,%u: %#" PRIx64 " is not taken apart into what it was made of",
                 layout->timestamp_bits, layout->datacenter_bits, layout->worker_bits,
                 layout->sequence_bits, want);
}

/* Every bit of every field, and the first value that does not fit it. */
static void every_bit(const struct sf_layout *layout)
{
    struct sf_id_parts parts = {0};
    const struct {
        uint64_t *part;
        unsigned bits;
    } fields[] = {{&parts.sequence, layout->sequence_bits},
                  {&parts.worker, layout->worker_bits},
                  {&parts.datacenter, layout->datacenter_bits},
                  {&parts.timestamp_ms, layout->timestamp_bits}};
    unsigned at = 0;
    one(layout, &parts, 0);
    for (size_t i = 0; i < SF_COUNT(fields); i++) {
        for (unsigned bit = 0; bit < fields[i].bits; bit++, at++) {
            *fields[i].part = UINT64_C(1) << bit;
            one(layout, &parts, UINT64_C(1) << at);
        }
        uint64_t id = 0;
        *fields[i].part = UINT64_C(1) << fields[i].bits;
        assert_int_equal(sf_id_encode(layout, &parts, &id), -ERANGE);
        *fields[i].part = 0;
    }
}

static void every_layout(void **state)
{
    (void)state;
    unsigned layouts = 0;
    for (unsigned t = 1; t <= 63; t++)
        for (unsigned d = 0; t + d <= 63; d++)
            for (unsigned w = 0; t + d + w <= 63; w++, layouts++) {
                const struct sf_layout layout = {(uint8_t)t, (uint8_t)d, (uint8_t)w,
                                                 (uint8_t)(63 - t - d - w)};
                every_bit(&layout);
            }
    assert_int_equal(layouts, 43680); /* 65 choose 3 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_layout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
