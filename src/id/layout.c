/* What the bits of an ID mean: layouts, encoding, decoding (include/snowfleet/id.h). */
#include <snowfleet/id.h>

#include <errno.h>
#include <stdio.h>

int sf_layout_validate(const struct sf_layout *layout, const char **ret_reason)
{
    const char *reason;
    if (layout->timestamp_bits < 1 || layout->timestamp_bits > SF_ID_BITS)
        reason = "the timestamp must have 1 to 63 bits";
    else if (layout->datacenter_bits > SF_ID_BITS - 1)
        reason = "the datacenter must have 0 to 62 bits";
    else if (layout->worker_bits > SF_ID_BITS - 1)
        reason = "the worker must have 0 to 62 bits";
    else if (layout->sequence_bits > SF_ID_BITS - 1)
        reason = "the sequence must have 0 to 62 bits";
    else if (layout->timestamp_bits + layout->datacenter_bits + layout->worker_bits +
                 layout->sequence_bits !=
             SF_ID_BITS)
        reason = "the widths of timestamp, datacenter, worker and sequence must add up to 63 bits";
    else
        return 0;
    if (ret_reason != NULL)
        *ret_reason = reason;
    return -EINVAL;
}

int sf_layout_parse(const char *text, struct sf_layout *ret_layout)
{
    uint8_t widths[4];
    for (int i = 0; i < 4; i++) {
        unsigned width = 0;
        int digits = 0;
        for (; *text >= '0' && *text <= '9'; text++, digits++) {
            width = width * 10 + (unsigned)(*text - '0');
            if (width > SF_ID_BITS)
                return -EINVAL;
        }
        if (digits == 0 || *text != (i < 3 ? ',' : '\0'))
            return -EINVAL;
        widths[i] = (uint8_t)width;
        text++;
    }
    struct sf_layout layout = {widths[0], widths[1], widths[2], widths[3]};
    const int rc = sf_layout_validate(&layout, NULL);
    if (rc == 0)
        *ret_layout = layout;
    return rc;
}

const char *sf_layout_format(const struct sf_layout *layout, char buffer[SF_LAYOUT_TEXT_MAX])
{
    snprintf(buffer, SF_LAYOUT_TEXT_MAX, "%u,%u,%u,%u", layout->timestamp_bits,
             layout->datacenter_bits, layout->worker_bits, layout->sequence_bits);
    return buffer;
}

/* The largest value of a field. Width 0 apart, because a shift by 64 is undefined. */
static uint64_t max_of(unsigned bits)
{
    return bits == 0 ? 0 : UINT64_MAX >> (64 - bits);
}

uint64_t sf_layout_max_timestamp(const struct sf_layout *layout)
{
    return max_of(layout->timestamp_bits);
}

uint64_t sf_layout_max_datacenter(const struct sf_layout *layout)
{
    return max_of(layout->datacenter_bits);
}

uint64_t sf_layout_max_worker(const struct sf_layout *layout)
{
    return max_of(layout->worker_bits);
}

uint64_t sf_layout_max_sequence(const struct sf_layout *layout)
{
    return max_of(layout->sequence_bits);
}

/* Where the fields begin. The timestamp has at least one bit, so that every shift is at most 62. */
struct shifts {
    unsigned timestamp, datacenter, worker;
};

static struct shifts shifts_of(const struct sf_layout *layout)
{
    struct shifts shifts;
    shifts.worker = layout->sequence_bits;
    shifts.datacenter = shifts.worker + layout->worker_bits;
    shifts.timestamp = shifts.datacenter + layout->datacenter_bits;
    return shifts;
}

int sf_id_encode(const struct sf_layout *layout, const struct sf_id_parts *parts, uint64_t *ret_id)
{
    const int rc = sf_layout_validate(layout, NULL);
    if (rc < 0)
        return rc;
    if (parts->timestamp_ms > sf_layout_max_timestamp(layout) ||
        parts->datacenter > sf_layout_max_datacenter(layout) ||
        parts->worker > sf_layout_max_worker(layout) ||
        parts->sequence > sf_layout_max_sequence(layout))
        return -ERANGE;
    struct shifts at = shifts_of(layout);
    *ret_id = parts->timestamp_ms << at.timestamp | parts->datacenter << at.datacenter |
              parts->worker << at.worker | parts->sequence;
    return 0;
}

int sf_id_decode(const struct sf_layout *layout, uint64_t id, struct sf_id_parts *ret_parts)
{
    const int rc = sf_layout_validate(layout, NULL);
    if (rc < 0)
        return rc;
    if (id > INT64_MAX)
        return -ERANGE;
    struct shifts at = shifts_of(layout);
    *ret_parts = (struct sf_id_parts){
        .timestamp_ms = id >> at.timestamp,
        .datacenter = id >> at.datacenter & sf_layout_max_datacenter(layout),
        .worker = id >> at.worker & sf_layout_max_worker(layout),
        .sequence = id & sf_layout_max_sequence(layout),
    };
    return 0;
}

int sf_id_unix_ms(const struct sf_layout *layout, int64_t epoch_ms, uint64_t id,
                  int64_t *ret_unix_ms)
{
    struct sf_id_parts parts;
    const int rc = sf_id_decode(layout, id, &parts);
    if (rc < 0)
        return rc;
    int64_t unix_ms;
    if (__builtin_add_overflow(epoch_ms, (int64_t)parts.timestamp_ms, &unix_ms))
        return -EOVERFLOW;
    *ret_unix_ms = unix_ms;
    return 0;
}
