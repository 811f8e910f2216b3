/* coord/local/init.h - INIT: make a fleet's tree under a fresh token, and name it (coord/init_plan.h).
 *
 * All of it alone under the fleet's lock. What the plan calls one step is, on a disk, an order in which
 * being cut off anywhere grants nothing: names of other makings go first, then the root's counter
 * moves, then the config is replaced, and its own name comes last, each durable before the next.
 * Records are on the disk before they get their names; a tree that was left half made has no name.
 * Returns 0 with the config in the job's event, or -1 refused. I/O thread only.
 */
#ifndef SF_COORD_LOCAL_INIT_H
#define SF_COORD_LOCAL_INIT_H

#include "coord/local/store.h"

int sf_local_do_init(struct sf_local_store *store, struct sf_local_job *job);

#endif
