/* daemon/capabilities.h - the privileges that Linux divides root's into (capabilities(7)): a worker needs none. */
#ifndef SF_DAEMON_CAPABILITIES_H
#define SF_DAEMON_CAPABILITIES_H

#include <stdbool.h>

#include "base/error.h"

/* Gives all of them up, the bounding and the ambient set too, on the calling thread and what it starts from now on, for good. To be
 * called once the ports are bound and before any other thread is started. ret_had: there were some. Returns 0, or a negative
 * errno code. */
int sf_capabilities_drop(bool *ret_had, struct sf_error *err);

#endif
