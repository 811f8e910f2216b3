/* The real clocks of the machine, for whoever is not given other ones. */
#include "base/ticks.h"

#include <stddef.h>
#include <time.h>

#include "base/assert.h"

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    const int rc = clock_gettime(clock, &now);
    SF_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * SF_NS_PER_S + now.tv_nsec;
}

int64_t sf_real_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t sf_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_real_ns(void *ctx)
{
    (void)ctx;
    return sf_real_ns();
}

static int64_t system_mono_ns(void *ctx)
{
    (void)ctx;
    return sf_mono_ns();
}

const struct sf_ticks sf_ticks_system = {system_real_ns, system_mono_ns, NULL};

void sf_sleep_ms(int64_t duration_ms)
{
    if (duration_ms <= 0)
        return;
    struct timespec duration = {
        .tv_sec = duration_ms / 1000,
        .tv_nsec = (long)(duration_ms % 1000 * SF_NS_PER_MS),
    };
    nanosleep(&duration, NULL);
}
