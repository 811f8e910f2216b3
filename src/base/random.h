/* base/random.h - the kernel's random source, and a small generator that is given its state.
 * sf_random_*: thread-safe, abort if the kernel gives no randomness (nothing sensible can follow).
 * sf_prng: one thread. */
#ifndef SF_BASE_RANDOM_H
#define SF_BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void sf_random_bytes(void *to, size_t size);
uint64_t sf_random_u64(void);

/* 32 lower-case hexadecimal digits and a NUL. */
#define SF_HEX128_SIZE 33
void sf_hex128(const uint8_t bytes[16], char to[SF_HEX128_SIZE]);

/* A random UUID, version 4 (RFC 9562), from 16 random bytes. */
#define SF_UUID_SIZE 37
void sf_uuid4(const uint8_t random[16], char to[SF_UUID_SIZE]);
/* As sf_uuid4 writes it, of any version: lower case, with dashes. */
bool sf_uuid_is_valid(const char *text);

/* splitmix64 (Steele, Lea, Flood 2014): fast, seedable, not for secrets. */
struct sf_prng {
    uint64_t state;
};
uint64_t sf_prng_next(struct sf_prng *prng);
/* Uniform in [0, bound); bound 0 gives 0. */
uint64_t sf_prng_below(struct sf_prng *prng, uint64_t bound);

#endif
