/* clock/drivers.c - the table of drivers as data. */
#include "clock/drivers.h"

#define ADDRESS(driver) &(driver),

const struct sf_clock_driver *const sf_clock_drivers[] = {SF_CLOCK_DRIVERS(ADDRESS) NULL};
