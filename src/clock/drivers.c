/* clock/drivers.c - the table of drivers: one row for each kind of time source. */
#include "clock/drivers.h"

#include "clock/chrony_daemon.h"
#include "clock/kernel.h"
#include "clock/ntp_group.h"

const struct sf_clock_driver *const sf_clock_drivers[] = {
    &sf_kernel_driver,
    &sf_ntp_driver,
    &sf_chrony_driver,
    NULL,
};
