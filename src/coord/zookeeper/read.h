/* coord/zookeeper/read.h - READ_CONFIG, LIST, READ_SLOT.
 *
 * A record's version is (czxid, version) of the stat that came with its content: never of another
 * read. Requests of one session are answered in order and never show older states, so slots are
 * read before claims. */
#ifndef SF_COORD_ZOOKEEPER_READ_H
#define SF_COORD_ZOOKEEPER_READ_H

#include "coord/zookeeper/call.h"

void sf_zk_read_config(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_list(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_list_free(void *work);
void sf_zk_read_slot(struct sf_zk *z, struct sf_zk_job *job);

/* What an answer of the server is: config and slot documents with their version, from one read.
 * Return 0 or -EBADMSG. */
int sf_zk_config_from(const struct sf_zk_call *call, struct sf_coord_config *ret,
                      struct sf_error *err);
int sf_zk_slot_from(const struct sf_zk_call *call, uint64_t worker, struct sf_coord_slot *ret,
                    struct sf_error *err);

/* The sync that comes before a read which must be fresh. A sync of a missing root fails with
 * ZNONODE, and what follows it says the same more precisely. */
void sf_zk_synced(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call);

/* Finishes: the fleet has no such datacenter. */
void sf_zk_refuse_no_datacenter(struct sf_zk *z, struct sf_zk_job *job);

#endif
