/* coord/zookeeper/session.h - the life of the connection: addresses, links, and what the sink hears
 * of them.
 *
 *   no link --addresses known, pause over--> link, not connected --CONNECTED--> connected
 *      ^                                        |       ^------------disconnected---'|
 *      '--- not connected for longer than T, or connected and silent for longer than T,
 *           expired, login refused
 *
 * T is the session timeout. Servers are tried one after the other, each once without delay, then
 * ever less often, with jitter, up to about one a second. Names are looked up again when the
 * connection breaks, and every few seconds until there is one. Dropping a link whose session was established is the end of that
 * session for us: SESSION_LOST. Backend thread only. */
#ifndef SF_COORD_ZOOKEEPER_SESSION_H
#define SF_COORD_ZOOKEEPER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/random.h"
#include "coord/zookeeper/hosts.h"
#include "coord/zookeeper/shared.h"

struct sf_zk_session {
    struct sf_zk_resolver *resolver;
    int64_t resolve_started_ns;
    struct sf_zk_addresses *addresses; /* last that resolved; NULL: none yet */
    bool told_down;                    /* since the last CONNECTED */
    char down_why[SF_COORD_TEXT_MAX];  /* in which words */
    int64_t next_link_ns;              /* when a new link is due, if there is none */
    unsigned failures; /* connections in a row that came to nothing, or not to much */
    size_t next_address;
    struct sf_prng prng; /* jitter of reconnection only */
    int64_t next_poll_ns, next_changed_ns;
    struct sf_log_limiter resolve_limiter;
};

void sf_zk_session_init(struct sf_zk *z);
/* Moves on by time: resolves, links, gives up, polls; tells CHANGED and FLEET_CHANGED. */
void sf_zk_session_turn(struct sf_zk *z);
/* When the next turn is due at the latest. */
int64_t sf_zk_session_due_ns(const struct sf_zk *z);

/* SF_ZK_RESOLVED; takes the addresses over. */
void sf_zk_session_resolved(struct sf_zk *z, struct sf_zk_addresses *addresses);

/* Closes what is open, waiting at most a second for the server's goodbye, and frees. */
void sf_zk_session_end(struct sf_zk *z);

#endif
