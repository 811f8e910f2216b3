/* clock/ntp_group.h - what all NTP servers say together: a majority of their intervals
 * (clock/select), carried on while they are silent. The clock thread only. */
#ifndef SF_CLOCK_NTP_GROUP_H
#define SF_CLOCK_NTP_GROUP_H

#include "clock/ntp_server.h"

/* For tests: what the driver is made of. The reading at mono_ns of 1 to SF_SELECT_MAX servers, whose falsetickers it marks. last: the
 * reading before, for holdover; at first one with status NONE. */
void sf_ntp_group_read(struct sf_ntp_server *servers, size_t count, const struct sf_source_env *env,
                       int64_t mono_ns, const struct sf_reading *last, struct sf_reading *ret_reading);

#endif
