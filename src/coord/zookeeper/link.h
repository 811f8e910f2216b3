/* coord/zookeeper/link.h - one ZooKeeper session and the connections that carry it, one at a time.
 *
 *   pause --> connecting --(securing)--> greeting --(login)--> up --.
 *     ^            |                         |          |           |
 *     '------------+-------------------------+----------+-----------'   broken: the next server, the same session
 *
 * Once a server says that the session is over, or refuses who we are, the link has ended; who owns
 * it closes it. Whatever a server sends, nothing but an answer to what was asked is believed: the
 * first byte that does not fit ends the connection, and what was under way is lost with it. Backend
 * thread only. */
#ifndef SF_COORD_ZOOKEEPER_LINK_H
#define SF_COORD_ZOOKEEPER_LINK_H

#include <poll.h>
#include <stdbool.h>

#include "coord/zookeeper/hosts.h"
#include "coord/zookeeper/reply.h"
#include "coord/zookeeper/tls.h"

enum sf_zk_stage {
    SF_ZK_PAUSE,
    SF_ZK_CONNECTING,
    SF_ZK_SECURING, /* TLS's handshake; without TLS: never */
    SF_ZK_GREETING, /* the session is asked for */
    SF_ZK_LOGGING_IN,
    SF_ZK_UP,
    SF_ZK_EXPIRED, /* ended */
    SF_ZK_REFUSED  /* ended: we are not let in */
};

/* Who owns a link: what it tells and what it asks. None of these may close it. */
struct sf_zk_link_owner {
    void (*connected)(struct sf_zk *z);
    void (*broken)(struct sf_zk *z, const char *why);
    /* The node at path has changed. */
    void (*watched)(struct sf_zk *z, const char *path);
    /* A call has been answered, or lost; takes it over. */
    void (*answered)(struct sf_zk *z, struct sf_zk_call *call);
    /* The server to try next. */
    const struct sf_zk_address *(*next_address)(struct sf_zk *z);
    /* When, after a connection that was up for that long, or never (0). */
    int64_t (*next_ns)(struct sf_zk *z, int64_t was_up_ns);
};

struct sf_zk_link {
    const struct sf_zk_link_owner *owner;
    enum sf_zk_stage stage;
    bool connected; /* up */
    bool had_session;
    uint64_t losses;        /* how often the connection was lost; the session may have survived */
    int64_t since_ns;       /* of the last change of connected */
    char peer[64];          /* the server, as text */
    char host[SF_HOST_MAX]; /* its name or address in the URL */
    int refusal;            /* how; 0: we are */
    char why[SF_COORD_TEXT_MAX]; /* the last connection ended; "": none has */
    /* The session. */
    int64_t session_id;
    uint8_t password[SF_ZK_PASSWORD_SIZE];
    int64_t zxid; /* the last that was seen: no server that lags behind it is used */
    /* The connection. */
    int fd;                /* -1: none */
    struct sf_zk_tls *tls; /* NULL: none */
    struct sf_zk_bytes in, out;
    struct sf_zk_bytes secured; /* with TLS: what became of `out` */
    struct sf_zk_bytes waiting; /* requests that were made before it is up */
    int64_t stage_ns;           /* when the stage was entered */
    int64_t next_ns;            /* PAUSE: when the next connection is due */
    int64_t patience_ns; /* how long a server may be silent: the session's timeout, or ours */
    int64_t heard_ns, sent_ns;
    int64_t answered_ns; /* the last answer to a call */
    int64_t password_ns; /* the password was last looked at */
    int pings, logins;   /* unanswered */
    int32_t next_xid;
    struct sf_zk_call *oldest, *newest; /* unanswered */
};

/* Never NULL. The first connection is made in the next turn. owner: static. */
struct sf_zk_link *sf_zk_link_open(struct sf_zk *z, const struct sf_zk_link_owner *owner);
/* Says goodbye when it is up, and waits at most wait_ms for what the server says to that. Calls
 * without an answer are forgotten. */
void sf_zk_link_close(struct sf_zk_link *link, int64_t wait_ms);

/* What to wait for; fd->fd is -1 when there is nothing. And until when at the latest. */
void sf_zk_link_poll(const struct sf_zk_link *link, struct pollfd *fd);
int64_t sf_zk_link_due_ns(const struct sf_zk_link *link);
/* Reads, writes, connects, gives up what is silent. Tells its owner. revents: of
 * poll. */
void sf_zk_link_turn(struct sf_zk *z, short revents);

/* For call.c: something was forbidden. Whoever changed the password in its file is let in with it on the
 * connection that stands. */
void sf_zk_link_login_again(struct sf_zk *z);
/* For call.c: a request stands in `out`. */
void sf_zk_link_expect(struct sf_zk_link *link, struct sf_zk_call *call);
/* Answers to this job are of no use any more. */
void sf_zk_link_forget(struct sf_zk_link *link, const struct sf_zk_job *job);

#endif
