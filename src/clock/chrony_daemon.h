/* clock/chrony_daemon.h - one chronyd, asked by its command protocol over UDP or its Unix socket:
 * TRACKING, then how many sources it has, then each of them; one question at a time. The clock
 * thread only.
 */
#ifndef SF_CLOCK_CHRONY_DAEMON_H
#define SF_CLOCK_CHRONY_DAEMON_H

#include "clock/driver.h"

extern const struct sf_clock_driver sf_chrony_driver;

#endif
