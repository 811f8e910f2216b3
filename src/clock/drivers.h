/* clock/drivers.h - the table of drivers. Constant; any thread. */
#ifndef SF_CLOCK_DRIVERS_H
#define SF_CLOCK_DRIVERS_H

#include "clock/driver.h"

/* In the order in which sources are listed; ends with NULL. */
extern const struct sf_clock_driver *const sf_clock_drivers[];

#endif
