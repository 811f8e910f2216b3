/* client/conn.h - one connection: socket or TLS, buffers, and the requests that wait for their
 * answers, in order.
 *
 * Belongs to one engine, so to one thread at a time. It does no waiting: the engine says when the
 * socket is ready. It knows frames, but neither calls nor policy: what arrives goes to the handler,
 * and `owner` of a pending request is the engine's own business. */
#ifndef SF_CLIENT_CONN_H
#define SF_CLIENT_CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire/frame.h"

/* Bytes that may wait to be sent on one connection; more requests go elsewhere. */
#define SF_CONN_OUT_MAX (1 << 20)
/* Requests in flight on one connection. */
#define SF_CONN_PENDING_MAX 16384

/* CONNECTING -> HANDSHAKING (TLS only) -> UP -> LEAVING (GOAWAY: nothing new, the rest is answered)
 * -> CLOSED; CLOSED from any. */
enum sf_conn_state {
    SF_CONN_CONNECTING,
    SF_CONN_HANDSHAKING,
    SF_CONN_UP,
    SF_CONN_LEAVING,
    SF_CONN_CLOSED
};

enum sf_pending_kind { SF_PENDING_CALL, SF_PENDING_PROBE, SF_PENDING_INFO, SF_PENDING_AUTH };

struct sf_pending {
    void *owner; /* CALL: the call, or NULL when it has ended or been answered elsewhere */
    int64_t sent_ns;
    uint64_t floor; /* an ID of the same slot must be above this; 0: unknown */
    uint64_t after; /* every ID must be: it was asked for; 0: it was not */
    uint32_t request_id;
    uint32_t count;
    enum sf_pending_kind kind;
    bool silent; /* has been reported as such */
};

struct sf_conn;

/* What the connection tells its engine. Called from sf_conn_on_ready only. */
struct sf_conn_handler {
    /* The answer to the oldest request; `pending` is a copy, it is no longer in the ring. Return a
     * sentence to have the connection closed as BROKEN, or NULL. */
    const char *(*on_answer)(void *ctx, struct sf_conn *conn, const struct sf_pending *pending,
                             const struct sf_wire_header *header, const uint8_t *body);
    void (*on_up)(void *ctx, struct sf_conn *conn);
    void (*on_goaway)(void *ctx, struct sf_conn *conn, const struct sf_wire_goaway *goaway);
};

struct sf_conn {
    struct sf_conn *next, **link; /* the engine's list */
    int server;
    uint32_t generation;
    int fd;
    int epoll_fd;
    enum sf_conn_state state;
    bool want_write; /* EPOLLOUT is asked for */
    bool announced;  /* on_up has been called */
    bool answered;   /* something valid came over it */
    bool broken;     /* ended by nonsense, not by the network */
    bool tls_failed; /* ended by certificate or handshake */
    bool tls_wants_write;
    bool info_asked; /* an INFO is on its way */
    bool denied;     /* the token was refused: it must be shown again */
    bool nameless;   /* the worker did not know its fleet when INFO was answered */
    bool ids_came;   /* IDs came while it was nameless */
    bool unwanted;   /* its server is no longer in use: ends when nothing is pending */
    uint32_t next_request_id;
    int64_t started_ns, heard_ns;
    uint64_t last_id; /* largest received; 0: none */
    SSL *ssl;
    uint8_t *in, *out;
    size_t in_start, in_end, in_capacity;
    size_t out_start, out_end, out_capacity;
    struct sf_pending *ring; /* capacity a power of two; [head, tail) */
    uint32_t head, tail, ring_capacity;
    char why[160]; /* CLOSED: why, for people */
};

/* Starts connecting and registers with epoll (data.ptr: the connection). tls may be NULL;
 * server_name is for SNI and the check of the certificate, and may then be an address. Returns NULL
 * when memory or descriptors are out. A refusal that comes at once gives a CLOSED connection. */
struct sf_conn *sf_conn_create(int epoll_fd, const struct sockaddr *address, socklen_t address_size,
                               SSL_CTX *tls, const char *server_name, int64_t now_ns);
/* Closes the socket (no TLS shutdown when `abandon`: the session belongs to another process) and
 * frees. */
void sf_conn_destroy(struct sf_conn *conn, bool abandon);

/* Queues a frame and the place of its answer. Nothing is sent before sf_conn_flush. Returns 0,
 * -EAGAIN when too much waits already, -ENOMEM. */
int sf_conn_put_next(struct sf_conn *conn, const struct sf_wire_next *next,
                     const struct sf_pending *pending);
int sf_conn_put_plain(struct sf_conn *conn, enum sf_pending_kind kind, const char *token,
                      int64_t now_ns);

/* Sends what waits, as far as the socket takes it. The state is CLOSED afterwards when that
 * failed. */
void sf_conn_flush(struct sf_conn *conn);

/* The socket is ready (epoll events): connects, handshakes, sends, receives. */
void sf_conn_on_ready(struct sf_conn *conn, uint32_t events, const struct sf_conn_handler *handler,
                      void *ctx, int64_t now_ns);

static inline uint32_t sf_conn_pending(const struct sf_conn *conn)
{
    return conn->tail - conn->head;
}

static inline struct sf_pending *sf_conn_pending_at(struct sf_conn *conn, uint32_t index)
{
    return &conn->ring[(conn->head + index) & (conn->ring_capacity - 1)];
}

/* May a new request go out here? */
static inline bool sf_conn_open(const struct sf_conn *conn)
{
    return conn->state <= SF_CONN_UP;
}

void sf_conn_close(struct sf_conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
