/* base/ticks.h - the clocks behind an interface, so that tests and the simulation bring their own.
 * real_ns: CLOCK_REALTIME, Unix nanoseconds, may step. mono_ns: CLOCK_MONOTONIC, never steps.
 * Thread-safe. */
#ifndef SF_BASE_TICKS_H
#define SF_BASE_TICKS_H

#include <stdint.h>

#define SF_NS_PER_MS INT64_C(1000000)
#define SF_NS_PER_S  INT64_C(1000000000)

struct sf_ticks {
    int64_t (*real_ns)(void *ctx);
    int64_t (*mono_ns)(void *ctx);
    void *ctx;
};

/* The machine's clocks. */
extern const struct sf_ticks sf_ticks_system;

/* Shorthands for the machine's clocks, for shells that need no seam. */
int64_t sf_real_ns(void);
int64_t sf_mono_ns(void);

/* Sleeps for a relative time; returns early on a signal. */
void sf_sleep_ms(int64_t duration_ms);

#endif
