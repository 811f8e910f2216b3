/* coord/zookeeper/acl.h - who may do what with the nodes that we make. With credentials everything
 * of the fleet is theirs alone. Records can then be read and written, but no slot record is deleted
 * by accident: its directory gives no DELETE; and what names a making has no content to write. The
 * chroot and /snowfleet are shared by fleets and stay open. Without credentials everything is
 * anyone's. Constants; any thread. */
#ifndef SF_COORD_ZOOKEEPER_ACL_H
#define SF_COORD_ZOOKEEPER_ACL_H

#include "coord/zookeeper/options.h"
#include "coord/zookeeper/wire.h"

/* A record (config, state, slot): read, write; no children. */
const struct sf_zk_acl *sf_zk_acl_record(const struct sf_zk_options *options);
/* The node that names a making: read. */
const struct sf_zk_acl *sf_zk_acl_name(const struct sf_zk_options *options);
/* The slots' directory: read, create: records are never deleted. */
const struct sf_zk_acl *sf_zk_acl_slots(const struct sf_zk_options *options);
/* Other directories and claims: all. */
const struct sf_zk_acl *sf_zk_acl_directory(const struct sf_zk_options *options);
/* The chroot and /snowfleet. */
const struct sf_zk_acl *sf_zk_acl_shared(void);

#endif
