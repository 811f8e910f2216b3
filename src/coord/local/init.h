/* coord/local/init.h - INIT: make a fleet's tree, or raise it above what a loss of data may have
 * forgotten.
 *
 * Order: all records first (each datacenter under its lock, on the disk before they get their
 * names), the config last. A tree without a config is no fleet yet, so an INIT that died halfway is
 * simply done again; records that it left are kept and raised. After a loss of data a config that
 * can be read is replaced first: its floor holds back what the records do not yet.
 * Returns 0 with the config in the job's event, or -1 refused. I/O thread only.
 */
#ifndef SF_COORD_LOCAL_INIT_H
#define SF_COORD_LOCAL_INIT_H

#include "coord/local/store.h"

int sf_local_do_init(struct sf_local_store *store, struct sf_local_job *job);

#endif
