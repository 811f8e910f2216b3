/* clock/drivers.h - the table of drivers. Constant; any thread. */
#ifndef SF_CLOCK_DRIVERS_H
#define SF_CLOCK_DRIVERS_H

#include "clock/driver.h"

/* One for each kind that can be configured, in the order in which sources are listed. */
#define SF_CLOCK_DRIVERS(X) \
    X(sf_kernel_driver)     \
    X(sf_ntp_driver)        \
    X(sf_chrony_driver)

#define SF_CLOCK_DRIVER_DECLARED(driver) extern const struct sf_clock_driver driver;
SF_CLOCK_DRIVERS(SF_CLOCK_DRIVER_DECLARED)
#undef SF_CLOCK_DRIVER_DECLARED

/* The same as data; ends with NULL. */
extern const struct sf_clock_driver *const sf_clock_drivers[];

#endif
