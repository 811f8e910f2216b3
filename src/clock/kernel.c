/* clock/kernel.c - one system call, what it means, and the driver of the kernel's clock. */
#include "clock/kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include "base/ticks.h"
#include "clock/drivers.h"

#define READ_TRIES       4
#define READ_SPAN_MAX_NS INT64_C(100000)

#define FRESH_NS (5 * SF_NS_PER_S) /* the kernel is asked several times a second */

/* The bound without the kernel's blind growth since the last update that we saw. */
static int64_t error_ns(struct sf_kernel *kernel, const struct sf_kernel_sample *sample)
{
    if (kernel->has_last && sample->maxerror_us < kernel->last_maxerror_us) {
        kernel->has_update = true;
        kernel->update_error_us = sample->maxerror_us;
        kernel->update_mono_ns = sample->mono_ns;
    }
    kernel->has_last = true;
    kernel->last_maxerror_us = sample->maxerror_us;
    if (!kernel->has_update)
        return sample->maxerror_us * 1000;
    const int64_t grown = kernel->update_error_us * 1000 +
                          sf_clock_drift_ns(sample->mono_ns - kernel->update_mono_ns);
    return grown < sample->maxerror_us * 1000 ? grown : sample->maxerror_us * 1000;
}

static int64_t outside_ns(const struct sf_kernel_sample *sample)
{
    /* The kernel may count in whole microseconds: one below the first look is still inside. */
    if (sample->time_ns < sample->before_real_ns - 1000)
        return sample->time_ns - sample->before_real_ns;
    return sample->time_ns > sample->after_real_ns ? sample->time_ns - sample->after_real_ns : 0;
}

void sf_kernel_interpret(struct sf_kernel *kernel, const struct sf_kernel_sample *sample,
                         struct sf_reading *ret_reading)
{
    struct sf_reading reading = {.kind = SF_CLOCK_KERNEL,
                                 .status = SF_READING_UNSYNCED,
                                 .as_of_mono_ns = sample->mono_ns,
                                 .good_mono_ns = sample->mono_ns,
                                 .stale_after_ns = FRESH_NS,
                                 .expired_after_ns = 2 * FRESH_NS};
    if (sample->result < 0) {
        snprintf(reading.text, sizeof reading.text, "ntp_adjtime failed: %s",
                 strerrordesc_np(-sample->result));
        *ret_reading = reading;
        return;
    }
    if (sample->result == TIME_ERROR || sample->unsynchronised || sample->maxerror_us < 0 ||
        sample->maxerror_us >= SF_KERNEL_MAXERROR_US) {
        *kernel = (struct sf_kernel){.has_last = false};
        snprintf(reading.text, sizeof reading.text, "the kernel says: unsynchronised");
        *ret_reading = reading;
        return;
    }
    reading.status = SF_READING_SYNCED;
    reading.has_time = true;
    reading.error_ns = error_ns(kernel, sample) + sample->span_ns;
    reading.base_ns = sf_clock_add_ns(sf_clock_sub_ns(sample->after_real_ns, sample->mono_ns),
                                      sf_clock_add_ns(outside_ns(sample), sample->offset_ns));
    snprintf(reading.text, sizeof reading.text, "synchronised, maximum error %" PRId64 " us",
             sample->maxerror_us);
    *ret_reading = reading;
}

static void read_once(int64_t (*real_ns)(void *ctx), int64_t (*mono_ns)(void *ctx), void *ctx,
                      struct sf_kernel_sample *ret_sample)
{
    struct timex timex = {.modes = 0};
    const int64_t began_mono_ns = mono_ns(ctx);
    struct sf_kernel_sample sample = {.before_real_ns = real_ns(ctx)};
    const int result = adjtimex(&timex);
    sample.result = result < 0 ? -errno : result;
    sample.after_real_ns = real_ns(ctx);
    sample.mono_ns = mono_ns(ctx);
    sample.span_ns = sample.mono_ns - began_mono_ns;
    const int64_t unit_ns = timex.status & STA_NANO ? 1 : 1000;
    sample.unsynchronised = (timex.status & STA_UNSYNC) != 0;
    sample.maxerror_us = timex.maxerror;
    sample.offset_ns = timex.offset * unit_ns;
    sample.time_ns = timex.time.tv_sec * SF_NS_PER_S + timex.time.tv_usec * unit_ns;
    *ret_sample = sample;
}

void sf_kernel_read(int64_t (*real_ns)(void *ctx), int64_t (*mono_ns)(void *ctx), void *ctx,
                    struct sf_kernel_sample *ret_sample)
{
    /* Again if we were interrupted in between. */
    for (int i = 0; i < READ_TRIES; i++) {
        read_once(real_ns, mono_ns, ctx, ret_sample);
        if (ret_sample->span_ns <= READ_SPAN_MAX_NS)
            return;
    }
}

/* --- the driver: nothing to wait for --- */

static void *kernel_open(const struct sf_clock_spec *const *specs, size_t count)
{
    (void)specs;
    (void)count;
    return calloc(1, sizeof(struct sf_kernel));
}

static void kernel_close(void *source)
{
    free(source);
}

static void kernel_read(void *source, struct sf_source_env *env, struct sf_reading *ret_reading)
{
    struct sf_kernel_sample sample;
    sf_kernel_read(env->ticks->real_ns, env->ticks->mono_ns, env->ticks->ctx, &sample);
    sf_kernel_interpret(source, &sample, ret_reading);
}

const struct sf_clock_driver sf_kernel_driver = {
    .kind = SF_CLOCK_KERNEL,
    .open = kernel_open,
    .close = kernel_close,
    .read = kernel_read,
};
