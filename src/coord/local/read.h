/* coord/local/read.h - LIST, PROBE, FIND and READ_SLOT. Each returns 0 with its results in the
 * job's event, or -1 refused. I/O thread only. */
#ifndef SF_COORD_LOCAL_READ_H
#define SF_COORD_LOCAL_READ_H

#include "coord/local/store.h"

int sf_local_do_list(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_probe(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_find(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_read_slot(struct sf_local_store *store, struct sf_local_job *job);

#endif
