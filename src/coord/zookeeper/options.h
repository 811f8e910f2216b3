/* coord/zookeeper/options.h - what the options of the ZooKeeper backend say. Only the password changes
 * after open; that is the backend thread's. */
#ifndef SF_COORD_ZOOKEEPER_OPTIONS_H
#define SF_COORD_ZOOKEEPER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/coord.h"
#include "coord/zookeeper/hosts.h"

#define SF_ZK_ROOT_MAX (SF_COORDINATOR_PATH_MAX + SF_COORD_FLEET_MAX + 16)

struct sf_zk_options {
    struct sf_coordinator_url url;
    char fleet[SF_COORD_FLEET_MAX];
    char root[SF_ZK_ROOT_MAX]; /* <chroot>/snowfleet/<fleet> */
    uint32_t session_timeout_ms;
    char *username, *password_file; /* both or none */
    char *auth;                     /* "user:password" or NULL */
    bool tls;
    struct sf_zk_tls_files {
        char *ca, *cert, *key; /* NULL: what the system trusts; no certificate */
    } tls_files;
};

/* Returns 0 or what sf_coord_open returns, with the reason. After 0: sf_zk_options_free. */
int sf_zk_options_read(const struct sf_coord_options *options, struct sf_zk_options *ret,
                       struct sf_error *err);
/* Reads the password again (it may have been changed). ret_changed: it is another one. Returns 0, or
 * what sf_secret_read_line returns, and keeps the one before. */
int sf_zk_options_login(struct sf_zk_options *options, bool *ret_changed, struct sf_error *err);
/* Wipes the password. All zero is fine. */
void sf_zk_options_free(struct sf_zk_options *options);

#endif
