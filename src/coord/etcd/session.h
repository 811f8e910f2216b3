/* coord/etcd/session.h - the session: token, lease and its keepalive. */
#ifndef SF_COORD_ETCD_SESSION_H
#define SF_COORD_ETCD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/etcd/http.h"
#include "coord/etcd/shared.h"

/*
 *   down --> login --> open --> up
 *    ^  \______________^        |  lease: kept alive every third of its TTL
 *    |_________|________|_______|
 *
 * down: waits for retry_ns. login: asks for a token (only with a username). open: makes a lease, or
 * keeps the one there is alive. up: requests are sent. renewing the token happens in up
 * (relogin). */
enum sf_etcd_state { SF_ETCD_DOWN, SF_ETCD_LOGIN, SF_ETCD_OPEN, SF_ETCD_UP };

struct sf_etcd_session {
    enum sf_etcd_state state;
    struct sf_etcd_transfer *transfer; /* login, grant or keepalive: one at a time */
    unsigned failures;                 /* in a row */
    int64_t retry_ns, keepalive_ns;
    uint64_t lease, ttl_s;
    bool announced;               /* CONNECTED was said last */
    char told[SF_COORD_TEXT_MAX]; /* text of the last DISCONNECTED */
    char logged[SF_COORD_TEXT_MAX];
    struct sf_log_limiter limit_down, limit_login;
};

void sf_etcd_session_turn(struct sf_etcd *etcd);
int64_t sf_etcd_session_due_ns(const struct sf_etcd *etcd);
/* May requests be sent? */
bool sf_etcd_session_ready(const struct sf_etcd *etcd);
/* The end: gives the lease back, waiting at most a second. */
void sf_etcd_session_farewell(struct sf_etcd *etcd);

#endif
