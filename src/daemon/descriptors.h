/* daemon/descriptors.h - how many data connections may be open. */
#ifndef SF_DAEMON_DESCRIPTORS_H
#define SF_DAEMON_DESCRIPTORS_H

#include <stdint.h>

#include "base/log.h"

/* Raises the limit of open files as far as it goes, and returns how many data connections fit below
 * it beside what the coordinator, the admin port and files need: `wanted`, or less, which is
 * logged. */
uint32_t sf_descriptors_fit(struct sf_log *log, uint32_t wanted);

#endif
