/* coord/zookeeper/zookeeper.h - the coordinator backend for ZooKeeper.
 *
 * URL: zk://host[:port][,host[:port]...][/chroot], port 2181 where none is given. Everything else is
 * the contract of sf_coord_open. Names: docs/uniqueness.md below the chroot. Version tokens are
 * (czxid, version); a claim's fence is the czxid of its node. docs/coordinators.md tells operators
 * the rest.
 *
 *   control thread --submit--> inbox --> backend thread <--> server
 *                                              '--> sink
 *
 * The backend thread owns everything in this folder but what is marked. A `link` is one session; a
 * `call` is one request to a server; a `job` is one request of the contract and makes one or more
 * calls. */
#ifndef SF_COORD_ZOOKEEPER_ZOOKEEPER_H
#define SF_COORD_ZOOKEEPER_ZOOKEEPER_H

#include "coord/coord.h"

int sf_coord_zookeeper_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                            struct sf_error *err);
/* Would it be opened, as far as URL, options and files go? Returns 0, or what the opening would refuse with. */
int sf_coord_zookeeper_check(const struct sf_coord_options *options, struct sf_error *err);

#endif
