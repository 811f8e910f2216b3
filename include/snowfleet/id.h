/* snowfleet/id.h - the layout of an ID: which bits mean what, and how to take an ID apart.
 *
 * An ID is a positive 64-bit integer: sign bit 0, then timestamp, datacenter, worker, sequence,
 * most significant first (the Snowflake format). The widths and the epoch belong to a fleet and
 * never change during its life. The timestamp counts milliseconds since the fleet's epoch, which is
 * given in Unix milliseconds.
 *
 * All functions are pure: no I/O, no state, safe from any thread. Fallible ones return 0 or a
 * negative errno code and leave their ret_ parameters alone on failure. */
#ifndef SNOWFLEET_ID_H
#define SNOWFLEET_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <snowfleet/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The widths must add up to this: 64 bits less the sign. */
#define SF_ID_BITS 63

/* The default epoch: 2024-01-01T00:00:00Z in Unix milliseconds. */
#define SF_DEFAULT_EPOCH_MS INT64_C(1704067200000)

/* How many bits each field has. Valid when every width is in its range and they add up to 63:
 * timestamp 1 to 63; datacenter, worker, sequence 0 to 62. */
struct sf_layout {
    uint8_t timestamp_bits;
    uint8_t datacenter_bits;
    uint8_t worker_bits;
    uint8_t sequence_bits;
};

/* 41, 5, 5, 12: 69 years, 32 datacenters of 32 workers, 4,096 IDs per worker and millisecond. */
#define SF_DEFAULT_LAYOUT ((struct sf_layout){41, 5, 5, 12})

/* The fields of one ID. timestamp_ms counts from the fleet's epoch. */
struct sf_id_parts {
    uint64_t timestamp_ms;
    uint64_t datacenter;
    uint64_t worker;
    uint64_t sequence;
};

/* Says whether the widths are usable.
 * Returns 0, or -EINVAL with a sentence for people in ret_reason (may be NULL; a static string). */
SF_API int sf_layout_validate(const struct sf_layout *layout, const char **ret_reason);

/* Reads "41,5,5,12" (timestamp, datacenter, worker, sequence). Returns 0 or -EINVAL. */
SF_API int sf_layout_parse(const char *text, struct sf_layout *ret_layout);

/* The other way round. size of buffer: SF_LAYOUT_TEXT_MAX. Returns buffer. */
#define SF_LAYOUT_TEXT_MAX 16 /* four numbers of up to three digits, commas, NUL */
SF_API const char *sf_layout_format(const struct sf_layout *layout,
                                    char buffer[SF_LAYOUT_TEXT_MAX]);

/* Largest value of each field. The layout must be valid. */
SF_API uint64_t sf_layout_max_timestamp(const struct sf_layout *layout);
SF_API uint64_t sf_layout_max_datacenter(const struct sf_layout *layout);
SF_API uint64_t sf_layout_max_worker(const struct sf_layout *layout);
SF_API uint64_t sf_layout_max_sequence(const struct sf_layout *layout);

/* Packs the parts into an ID. Returns 0, -EINVAL for a bad layout, -ERANGE if a part does not fit
 * its field. */
SF_API int sf_id_encode(const struct sf_layout *layout, const struct sf_id_parts *parts,
                        uint64_t *ret_id);

/* Takes an ID apart. Returns 0, -EINVAL for a bad layout, -ERANGE for an ID with the sign bit
 * set. */
SF_API int sf_id_decode(const struct sf_layout *layout, uint64_t id, struct sf_id_parts *ret_parts);

/* The Unix time in milliseconds of an ID of a fleet with this epoch. Returns 0, -EINVAL, or -ERANGE
 * as sf_id_decode, or -EOVERFLOW where the sum does not fit. */
SF_API int sf_id_unix_ms(const struct sf_layout *layout, int64_t epoch_ms, uint64_t id,
                         int64_t *ret_unix_ms);

/* The ID in Crockford's base 32 (digits 0 to 9, then A to Z without I, L, O, U): always 13 digits, so
 * that texts sort as the numbers do. A name for URLs and file names that no program takes for a
 * number. buffer gets the digits and a NUL. Returns buffer. */
#define SF_ID_BASE32_MAX 14
SF_API const char *sf_id_base32(uint64_t id, char buffer[SF_ID_BASE32_MAX]);

/* The other way round: 13 digits, in either case; I and L are read as 1, O as 0, as people write
 * them. Returns 0, -EINVAL for another text, -ERANGE for a number above 2^63 - 1. */
SF_API int sf_id_from_base32(const char *text, uint64_t *ret_id);

#ifdef __cplusplus
}
#endif

#endif
