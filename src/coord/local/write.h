/* coord/local/write.h - BIND, RENEW, RELEASE and RESET_SLOT: compare and replace one slot record under
 * the fleet's lock, shared, and the datacenter's. Return 0 with the version in the job's event, or -1
 * refused. I/O thread only. */
#ifndef SF_COORD_LOCAL_WRITE_H
#define SF_COORD_LOCAL_WRITE_H

#include "coord/local/store.h"

int sf_local_do_write(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_reset_slot(struct sf_local_store *store, struct sf_local_job *job);

#endif
