/* Token buckets: the arithmetic of one word, in sixteenths of a nanosecond. */
#include "base/bucket.h"

/* Parts of a nanosecond. Times are 64 bits: with 16 parts they last for 18 years of uptime, and one
 * token at the highest rate still has 160 of them. */
#define UNIT 16

static int64_t cost_of(uint64_t rate_per_s, uint64_t n)
{
    if (rate_per_s > SF_BUCKET_RATE_MAX)
        rate_per_s = SF_BUCKET_RATE_MAX;
    if (n > SF_BUCKET_BURST_MAX)
        n = SF_BUCKET_BURST_MAX;
    const double cost = (double)n * (double)UNIT * 1e9 / (double)rate_per_s;
    return cost > 4e18 ? INT64_C(4000000000000000000) : (int64_t)cost;
}

int64_t sf_bucket_take(struct sf_bucket *bucket, uint64_t rate_per_s, uint64_t burst, uint32_t n,
                       int64_t now_ns)
{
    if (rate_per_s == 0)
        return 0;
    if (burst == 0)
        burst = rate_per_s;
    const int64_t now = now_ns * UNIT;
    const int64_t size = cost_of(rate_per_s, burst);
    const int64_t cost = cost_of(rate_per_s, n);
    const int64_t needed = cost < size ? cost : size;
    int64_t full_at = atomic_load_explicit(&bucket->full_at, memory_order_relaxed);
    for (;;) {
        const int64_t from = full_at > now ? full_at : now;
        const int64_t over = from - now - (size - needed);
        if (over > 0)
            return over / UNIT + 1;
        if (atomic_compare_exchange_weak_explicit(&bucket->full_at, &full_at, from + cost,
                                                  memory_order_relaxed, memory_order_relaxed))
            return 0;
    }
}

void sf_bucket_drain(struct sf_bucket *bucket, uint64_t rate_per_s, uint64_t burst, int64_t now_ns)
{
    if (rate_per_s > 0)
        atomic_store_explicit(&bucket->full_at,
                              now_ns * UNIT + cost_of(rate_per_s, burst == 0 ? rate_per_s : burst),
                              memory_order_relaxed);
}

bool sf_bucket_is_full(const struct sf_bucket *bucket, int64_t now_ns)
{
    return atomic_load_explicit(&bucket->full_at, memory_order_relaxed) <= now_ns * UNIT;
}

void sf_bucket_give_back(struct sf_bucket *bucket, uint64_t rate_per_s, uint32_t n)
{
    if (rate_per_s > 0)
        atomic_fetch_sub_explicit(&bucket->full_at, cost_of(rate_per_s, n), memory_order_relaxed);
}
