/* clock/chrony_reading.c - what a TRACKING reply means. */
#include "clock/chrony_reading.h"

#include <inttypes.h>
#include <stdio.h>

#define LOCAL_ID            UINT32_C(0x7f7f0101) /* chronyd's `local` mode: its own clock, dressed up */
#define LEAP_UNSYNC         3
#define REFERENCE_MIN_NS    (30 * SF_NS_PER_S)
#define REFERENCE_INTERVALS 8 /* update intervals until its reference counts as lost */
#define REFERENCE_AGE_MAX   (86400 * SF_NS_PER_S)

/* How long ago its reference time last moved: chronyd that has lost its sources goes on saying
 * "Normal". */
static int64_t reference_age_ns(struct sf_chrony_reference *reference,
                                const struct sf_chrony_tracking *tracking, struct sf_clock_now now)
{
    if (!reference->known || tracking->reference_ns != reference->time_ns) {
        int64_t age_ns = now.real_ns + tracking->correction_ns - tracking->reference_ns;
        if (age_ns < 0)
            age_ns = 0;
        if (age_ns > REFERENCE_AGE_MAX)
            age_ns = REFERENCE_AGE_MAX;
        reference->known = true;
        reference->time_ns = tracking->reference_ns;
        reference->moved_mono_ns = now.mono_ns - age_ns;
    }
    return now.mono_ns - reference->moved_mono_ns;
}

struct sf_reading sf_chrony_interpret(struct sf_chrony_reference *reference,
                                      const struct sf_chrony_tracking *tracking, int64_t poll_ns,
                                      struct sf_clock_now now, int64_t sent_mono_ns)
{
    struct sf_reading reading = {.kind = SF_CLOCK_CHRONY,
                                 .status = SF_READING_UNSYNCED,
                                 .as_of_mono_ns = now.mono_ns,
                                 .good_mono_ns = now.mono_ns,
                                 .stale_after_ns =
                                     SF_SOURCE_STALE_POLLS * poll_ns + SF_SOURCE_TIMEOUT_NS,
                                 .expired_after_ns = SF_SOURCE_HOLDOVER_POLLS * poll_ns};
    if (tracking->reference_id == LOCAL_ID) {
        snprintf(reading.text, sizeof reading.text, "chronyd serves its own clock (local mode)");
    } else if (tracking->stratum == 0 || tracking->leap == LEAP_UNSYNC ||
               !tracking->has_reference_time) {
        snprintf(reading.text, sizeof reading.text, "chronyd has no synchronised source");
    } else {
        const int64_t age_ns = reference_age_ns(reference, tracking, now);
        int64_t allowed_ns = REFERENCE_INTERVALS * tracking->update_interval_ns;
        if (allowed_ns < REFERENCE_MIN_NS)
            allowed_ns = REFERENCE_MIN_NS;
        reading.status = SF_READING_SYNCED;
        reading.has_time = true;
        reading.base_ns = now.real_ns + tracking->correction_ns - now.mono_ns;
        reading.error_ns = tracking->root_dispersion_ns + tracking->root_delay_ns / 2 +
                           (now.mono_ns - sent_mono_ns);
        snprintf(reading.text, sizeof reading.text, "stratum %u, reference %s", tracking->stratum,
                 tracking->address[0] ? tracking->address : "clock");
        if (age_ns > allowed_ns) { /* chronyd's own dispersion grows far too slowly then */
            reading.status = SF_READING_HOLDOVER;
            reading.error_ns += sf_clock_drift_ns(age_ns);
            reading.good_mono_ns = reference->moved_mono_ns + allowed_ns;
            snprintf(reading.text, sizeof reading.text,
                     "chronyd has lost its sources, no update for %" PRId64 " s",
                     age_ns / SF_NS_PER_S);
        }
    }
    return reading;
}
