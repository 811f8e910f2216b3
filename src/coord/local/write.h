/* coord/local/write.h - BIND, RENEW and RELEASE: compare and replace one slot record under the
 * datacenter's lock. Returns 0 with the version in the job's event, or -1 refused. I/O thread only. */
#ifndef SF_COORD_LOCAL_WRITE_H
#define SF_COORD_LOCAL_WRITE_H

#include "coord/local/store.h"

int sf_local_do_write(struct sf_local_store *store, struct sf_local_job *job);

#endif
