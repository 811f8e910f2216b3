/* coord/zookeeper/shared.h - what the parts of one handle share, and the paths of its fleet.
 * Backend thread only, but for what does not change after open. */
#ifndef SF_COORD_ZOOKEEPER_SHARED_H
#define SF_COORD_ZOOKEEPER_SHARED_H

#include <stdint.h>

#include "coord/coord.h"
#include "coord/zookeeper/options.h"

#define SF_ZK_PATH_MAX (SF_ZK_ROOT_MAX + SF_COORD_TOKEN_SIZE + SF_COORD_CLAIM_MAX + 64)

struct sf_zk_job;
struct sf_zk_link;
struct sf_zk_session;
struct sf_zk_watches;

/* On which connection, and after how many notices of the fleet's watches. */
struct sf_zk_moment {
    int64_t session_id;
    uint64_t losses, notices;
};

/* A basis whose nodes were found as it says, incarnations too. */
struct sf_zk_looked {
    struct sf_zk_moment moment;
    struct sf_coord_basis basis;
};

struct sf_zk {
    struct sf_coord coord; /* first */
    /* Fixed at open, but for the password. */
    struct sf_zk_options options;
    struct sf_log *log;
    struct sf_ticks ticks;
    struct sf_inbox *inbox;
    /* The backend thread's. */
    struct sf_zk_job *jobs;
    struct sf_zk_link *link; /* NULL: none */
    struct sf_zk_session *session;
    struct sf_zk_watches *watches;
    struct sf_zk_looked looked; /* the last that was */
    struct sf_log_limiter auth_limiter, password_limiter, garbage_limiter, protocol_limiter;
};

static inline int64_t sf_zk_now_ns(const struct sf_zk *z)
{
    return z->ticks.mono_ns(z->ticks.ctx);
}

/* A path below the fleet's root. */
void sf_zk_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sf_zk_current_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token);
void sf_zk_state_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token);
void sf_zk_slot_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token,
                     uint64_t datacenter, uint64_t worker);
/* The directory of a datacenter's claims. */
void sf_zk_claims_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token,
                       uint64_t datacenter);
void sf_zk_claim_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token,
                      uint64_t datacenter, const char *name);

#endif
