/* coord/zookeeper/acl.h - who may do what with the nodes that we make. With credentials everything
 * of the fleet is theirs alone. Slot records can then be read and written, but neither made nor
 * deleted by accident: their directory gives no DELETE. The chroot and /snowfleet are shared by
 * fleets and stay open. Without credentials everything is anyone's. Constants; any thread. */
#ifndef SF_COORD_ZOOKEEPER_ACL_H
#define SF_COORD_ZOOKEEPER_ACL_H

#include "coord/zookeeper/library.h"
#include "coord/zookeeper/options.h"

/* A record: read, write; no children, and its directory forbids delete. */
const struct ACL_vector *sf_zk_acl_record(const struct sf_zk_options *options);
/* The slots' directory: read, create: records are never deleted. */
const struct ACL_vector *sf_zk_acl_slots(const struct sf_zk_options *options);
/* Other directories and claims: all. */
const struct ACL_vector *sf_zk_acl_directory(const struct sf_zk_options *options);
/* The chroot and /snowfleet. */
const struct ACL_vector *sf_zk_acl_shared(void);

#endif
