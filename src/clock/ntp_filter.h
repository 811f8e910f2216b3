/* clock/ntp_filter.h - the last 8 samples of one NTP server, and which of them to believe: the one
 * with the smallest error now (RFC 5905 section 10, with the whole error bound in place of the
 * delay). A sample that contradicts the newest one (their intervals do not touch) is dropped with
 * all older ones: the server or our monotonic clock has moved since, and the past cannot say. Pure,
 * one thread. */
#ifndef SF_CLOCK_NTP_FILTER_H
#define SF_CLOCK_NTP_FILTER_H

#include <stddef.h>
#include <stdint.h>

#define SF_NTP_FILTER_SIZE 8

struct sf_ntp_sample {
    int64_t base_ns, error_ns, delay_ns, as_of_mono_ns;
};

/* Zeros: empty. */
struct sf_ntp_filter {
    struct sf_ntp_sample samples[SF_NTP_FILTER_SIZE]; /* newest first */
    size_t count;
};

void sf_ntp_filter_add(struct sf_ntp_filter *filter, const struct sf_ntp_sample *sample);

/* The sample with the smallest error bound at this moment, as it was measured; NULL when there is
 * none. */
const struct sf_ntp_sample *sf_ntp_filter_best(const struct sf_ntp_filter *filter, int64_t mono_ns);

/* A sample's error bound at this moment. */
int64_t sf_ntp_sample_error_ns(const struct sf_ntp_sample *sample, int64_t mono_ns);

#endif
