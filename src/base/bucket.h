/* base/bucket.h - a token bucket in one word (the generic cell rate algorithm, ITU-T I.371): the
 * word is the time at which the bucket will be full again. Lock-free, any thread. Times are
 * nanoseconds since an origin that is the same for all calls on a bucket.
 *
 * A request for more than the burst passes when the bucket is full and leaves a debt, so that it
 * passes at all and the rate holds. */
#ifndef SF_BASE_BUCKET_H
#define SF_BASE_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Tokens per second; above that there is no limit to speak of. */
#define SF_BUCKET_RATE_MAX  UINT64_C(100000000)
#define SF_BUCKET_BURST_MAX UINT64_C(10000000000)

struct sf_bucket {
    _Atomic int64_t full_at; /* in 1/16 ns */
};

/* Takes n tokens and returns 0, or takes none and returns the nanoseconds until they can be had (at
 * least 1). rate 0: no limit. burst 0: what one second brings. */
int64_t sf_bucket_take(struct sf_bucket *bucket, uint64_t rate_per_s, uint64_t burst, uint32_t n,
                       int64_t now_ns);

/* Empties the bucket: what it holds from now on has come since. */
void sf_bucket_drain(struct sf_bucket *bucket, uint64_t rate_per_s, uint64_t burst, int64_t now_ns);

/* Whether nothing is missing in it, whatever its rate and burst are. */
bool sf_bucket_is_full(const struct sf_bucket *bucket, int64_t now_ns);

/* Puts n tokens back that were taken and not used. */
void sf_bucket_give_back(struct sf_bucket *bucket, uint64_t rate_per_s, uint32_t n);

#endif
