/* Random bytes from the kernel, and the small generator for whatever must be repeatable. */
#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"

void sf_random_bytes(void *to, size_t size)
{
    unsigned char *at = to;
    while (size > 0) {
        const ssize_t n = getrandom(at, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        SF_ASSERT(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

uint64_t sf_random_u64(void)
{
    uint64_t value;
    sf_random_bytes(&value, sizeof value);
    return value;
}

static const char hex_digits[] = "0123456789abcdef";

void sf_hex128(const uint8_t bytes[16], char to[SF_HEX128_SIZE])
{
    for (int i = 0; i < 16; i++) {
        to[2 * i] = hex_digits[bytes[i] >> 4];
        to[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    to[32] = '\0';
}

void sf_uuid4(const uint8_t random[16], char to[SF_UUID_SIZE])
{
    uint8_t bytes[16];
    memcpy(bytes, random, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40); /* version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80); /* the variant of RFC 9562 */
    char *at = to;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex_digits[bytes[i] >> 4];
        *at++ = hex_digits[bytes[i] & 15];
    }
    *at = '\0';
}

bool sf_uuid_is_valid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (dash ? text[i] != '-' : !hex)
            return false;
    }
    return text[36] == '\0';
}

uint64_t sf_prng_next(struct sf_prng *prng)
{
    uint64_t z = (prng->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t sf_prng_below(struct sf_prng *prng, uint64_t bound)
{
    if (bound == 0)
        return 0;
    /* Values under 2^64 mod bound would make small results likelier: draw again. */
    const uint64_t unfair = (0 - bound) % bound;
    uint64_t value;
    do {
        value = sf_prng_next(prng);
    } while (value < unfair);
    return value % bound;
}
