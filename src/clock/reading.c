/* clock/reading.c - a reading by age, and sums that stop at the ends of the type. */
#include "clock/reading.h"

#define DRIFT_DIVISOR (1000000 / SF_CLOCK_DRIFT_PPM)

int64_t sf_clock_add_ns(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

int64_t sf_clock_sub_ns(int64_t a, int64_t b)
{
    int64_t difference;
    if (!__builtin_sub_overflow(a, b, &difference))
        return difference;
    return b < 0 ? INT64_MAX : INT64_MIN;
}

int64_t sf_clock_abs_ns(int64_t a)
{
    if (a == INT64_MIN)
        return INT64_MAX;
    return a < 0 ? -a : a;
}

int64_t sf_clock_drift_ns(int64_t elapsed_ns)
{
    return elapsed_ns > 0 ? elapsed_ns / DRIFT_DIVISOR + 1 : 0;
}

enum sf_reading_status sf_reading_status_at(const struct sf_reading *reading, int64_t mono_ns)
{
    const int64_t age = sf_clock_sub_ns(mono_ns, reading->good_mono_ns);
    if (reading->status != SF_READING_SYNCED && reading->status != SF_READING_HOLDOVER)
        return reading->status;
    if (age > reading->expired_after_ns)
        return SF_READING_UNSYNCED;
    return age > reading->stale_after_ns ? SF_READING_HOLDOVER : reading->status;
}

int64_t sf_reading_error_ns(const struct sf_reading *reading, int64_t mono_ns)
{
    if (!reading->has_time)
        return INT64_MAX;
    return sf_clock_add_ns(reading->error_ns,
                           sf_clock_drift_ns(sf_clock_sub_ns(mono_ns, reading->as_of_mono_ns)));
}

int64_t sf_reading_offset_ns(const struct sf_reading *reading, int64_t real_ns, int64_t mono_ns)
{
    if (!reading->has_time)
        return 0;
    return sf_clock_sub_ns(sf_clock_add_ns(reading->base_ns, mono_ns), real_ns);
}

const char *sf_reading_status_name(enum sf_reading_status status)
{
    static const char *const names[] = {"none", "synced", "holdover", "no majority", "unsynced"};
    return (unsigned)status < sizeof names / sizeof names[0] ? names[status] : "unknown";
}
