/* clock/ntp_filter.c - which of the last samples of a server counts. */
#include "clock/ntp_filter.h"

#include <string.h>

#include "clock/reading.h"

int64_t sf_ntp_sample_error_ns(const struct sf_ntp_sample *sample, int64_t mono_ns)
{
    return sf_clock_add_ns(sample->error_ns,
                           sf_clock_drift_ns(sf_clock_sub_ns(mono_ns, sample->as_of_mono_ns)));
}

static bool contradicts(const struct sf_ntp_sample *old, const struct sf_ntp_sample *newest)
{
    const int64_t apart = sf_clock_abs_ns(sf_clock_sub_ns(old->base_ns, newest->base_ns));
    return apart >
           sf_clock_add_ns(sf_ntp_sample_error_ns(old, newest->as_of_mono_ns), newest->error_ns);
}

void sf_ntp_filter_add(struct sf_ntp_filter *filter, const struct sf_ntp_sample *sample)
{
    size_t keep = 0;
    while (keep < filter->count && keep < SF_NTP_FILTER_SIZE - 1 &&
           !contradicts(&filter->samples[keep], sample))
        keep++;
    memmove(filter->samples + 1, filter->samples, keep * sizeof filter->samples[0]);
    filter->samples[0] = *sample;
    filter->count = keep + 1;
}

const struct sf_ntp_sample *sf_ntp_filter_best(const struct sf_ntp_filter *filter, int64_t mono_ns)
{
    const struct sf_ntp_sample *best = NULL;
    for (size_t i = 0; i < filter->count; i++) {
        const struct sf_ntp_sample *sample = &filter->samples[i];
        if (best == NULL ||
            sf_ntp_sample_error_ns(sample, mono_ns) < sf_ntp_sample_error_ns(best, mono_ns))
            best = sample;
    }
    return best;
}
