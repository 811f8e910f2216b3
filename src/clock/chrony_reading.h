/* clock/chrony_reading.h - chronyd's TRACKING reply as a reading. Pure. */
#ifndef SF_CLOCK_CHRONY_READING_H
#define SF_CLOCK_CHRONY_READING_H

#include "clock/chrony_packet.h"
#include "clock/reading.h"
#include "clock/source.h"

/* When chronyd's reference time last moved: one that has lost its sources goes on saying "Normal".
 * Zeros at first. */
struct sf_chrony_reference {
    bool known;
    int64_t time_ns, moved_mono_ns;
};

/* now: when the reply arrived; sent_mono_ns: when it was asked for; poll_ns: the interval of
 * questions, by which the reading goes stale. */
struct sf_reading sf_chrony_interpret(struct sf_chrony_reference *reference,
                                      const struct sf_chrony_tracking *tracking, int64_t poll_ns,
                                      struct sf_clock_now now, int64_t sent_mono_ns);

#endif
