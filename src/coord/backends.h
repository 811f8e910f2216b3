/* coord/backends.h - how a backend is opened. Only coord/open.c calls these; the contract is that
 * of sf_coord_open, with a URL whose scheme is the backend's and a fleet name that has been
 * checked. */
#ifndef SF_COORD_BACKENDS_H
#define SF_COORD_BACKENDS_H

#include "coord/coord.h"

int sf_coord_local_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                        struct sf_error *err);
int sf_coord_zookeeper_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                            struct sf_error *err);
int sf_coord_etcd_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                       struct sf_error *err);

#endif
