/* coord/etcd/etcd.h - the coordinator backend for etcd, over the JSON gateway of its v3 API (etcd
 * 3.4 to 3.6).
 *
 * url: etcd://host:port[,host:port...][/prefix], etcds:// for TLS. Everything else is the contract
 * of sf_coord_open. Names: docs/uniqueness.md below the prefix. A claim's key is named
 * claim-<guid>-<lease id, decimal, at least ten digits>; its fence is the create revision of that
 * key. Version tokens are (create_revision, mod_revision). docs/coordinators-etcd.md tells
 * operators the rest.
 *
 * One thread per handle owns everything in this folder except what etcd.c guards by its lock. It
 * sleeps in curl_multi_poll; submit and destroy wake it with curl_multi_wakeup. Times ending in _ns
 * are monotonic. */
#ifndef SF_COORD_ETCD_ETCD_H
#define SF_COORD_ETCD_ETCD_H

#include "coord/coord.h"

int sf_coord_etcd_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                       struct sf_error *err);
/* Would it be opened, as far as URL, options and files go? Returns 0, or what the opening would refuse with. */
int sf_coord_etcd_check(const struct sf_coord_options *options, struct sf_error *err);

#endif
