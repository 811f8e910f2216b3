/* base/bytes.h - big-endian integers in byte buffers. Pure; the caller guarantees the bounds. */
#ifndef SF_BASE_BYTES_H
#define SF_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t sf_load_be16(const void *from)
{
    uint16_t v;
    memcpy(&v, from, sizeof v);
    return be16toh(v);
}

static inline uint32_t sf_load_be32(const void *from)
{
    uint32_t v;
    memcpy(&v, from, sizeof v);
    return be32toh(v);
}

static inline uint64_t sf_load_be64(const void *from)
{
    uint64_t v;
    memcpy(&v, from, sizeof v);
    return be64toh(v);
}

static inline void sf_store_be16(void *to, uint16_t v)
{
    v = htobe16(v);
    memcpy(to, &v, sizeof v);
}

static inline void sf_store_be32(void *to, uint32_t v)
{
    v = htobe32(v);
    memcpy(to, &v, sizeof v);
}

static inline void sf_store_be64(void *to, uint64_t v)
{
    v = htobe64(v);
    memcpy(to, &v, sizeof v);
}

#endif
