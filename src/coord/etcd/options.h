/* coord/etcd/options.h - what the options of the etcd backend say, and the files that they name;
 * only the password changes after open. */
#ifndef SF_COORD_ETCD_OPTIONS_H
#define SF_COORD_ETCD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/coordinator.h"
#include "base/secret.h"
#include "coord/coord.h"

struct sf_etcd_endpoint {
    char *url; /* http://host:port */
    char name[SF_COORD_ADDRESS_MAX];
};

struct sf_etcd_options {
    struct sf_etcd_endpoint endpoints[SF_COORDINATOR_HOSTS_MAX];
    unsigned endpoint_count;
    bool tls;
    char root[SF_COORDINATOR_PATH_MAX + SF_COORD_FLEET_MAX + 16]; /* <prefix>/snowfleet/<fleet> */
    uint64_t ttl_s;                                          /* of the lease */
    char *username, *password_file, *tls_ca, *tls_cert, *tls_key;
    char password[SF_SECRET_LINE_MAX];
};

/* Returns 0 or what sf_coord_open returns, with the reason. After 0: sf_etcd_options_free. */
int sf_etcd_options_read(const struct sf_coord_options *options, struct sf_etcd_options *ret,
                         struct sf_error *err);
/* Wipes the password. */
void sf_etcd_options_free(struct sf_etcd_options *options);
/* Reads the password again (it may have been changed); keeps the old one when that fails. */
int sf_etcd_options_password(struct sf_etcd_options *options, struct sf_error *err);

#endif
