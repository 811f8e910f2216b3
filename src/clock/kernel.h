/* clock/kernel.h - what the kernel's clock discipline says of itself (ntp_adjtime(3), adjtimex(2)):
 * synchronised or not, and the error that the daemon behind it admits. Reading needs no privilege.
 * A coarse second opinion: the kernel's bound grows 500 ppm between the daemon's updates whatever
 * the clock really does, so what it grew since an update we saw is counted at SF_CLOCK_DRIFT_PPM
 * instead. interpret is pure; read is the one system call. One thread. */
#ifndef SF_CLOCK_KERNEL_H
#define SF_CLOCK_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/reading.h"

/* A copy of the fields of struct timex that matter, and when it was taken. */
struct sf_kernel_sample {
    int result;          /* TIME_OK, ..., TIME_ERROR; a negative errno code when the call failed */
    bool unsynchronised; /* STA_UNSYNC */
    int64_t maxerror_us;
    int64_t offset_ns; /* still to be slewed in by the kernel, positive: the clock is slow */
    int64_t time_ns;   /* the kernel's wall clock */
    int64_t before_real_ns, after_real_ns; /* our wall clock around the call */
    int64_t mono_ns;
    int64_t span_ns; /* how long all of this took: part of the error */
};

struct sf_kernel {
    bool has_last;
    int64_t last_maxerror_us;
    bool has_update; /* maxerror was seen to drop: a daemon's update */
    int64_t update_error_us, update_mono_ns;
};

/* The kernel sets STA_UNSYNC at this error by itself. */
#define SF_KERNEL_MAXERROR_US INT64_C(16000000)

/* For tests: what the driver is made of. Turns a sample into a reading. The offset is that of the kernel's wall clock against ours: 0,
 * except for what the kernel still slews, and where somebody fakes the wall clock of this
 * process. */
void sf_kernel_interpret(struct sf_kernel *kernel, const struct sf_kernel_sample *sample,
                         struct sf_reading *ret_reading);

/* For tests: as above. Asks the kernel. real_ns, mono_ns, ctx: the clocks, as in struct sf_ticks. */
void sf_kernel_read(int64_t (*real_ns)(void *ctx), int64_t (*mono_ns)(void *ctx), void *ctx,
                    struct sf_kernel_sample *ret_sample);

#endif
