/* client/conn.c - one connection: connecting, TLS, reading and writing frames, and the ring of
 * requests that wait for answers. */
#include "client/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "client/tls.h"

#define IN_START   4096
#define OUT_START  1024
#define RING_START 16

static const uint8_t type_of[] = {
    [SF_PENDING_CALL] = SF_WIRE_NEXT,
    [SF_PENDING_PROBE] = SF_WIRE_NEXT,
    [SF_PENDING_INFO] = SF_WIRE_INFO,
    [SF_PENDING_AUTH] = SF_WIRE_AUTH,
};

void sf_conn_close(struct sf_conn *conn, const char *format, ...)
{
    if (conn->state == SF_CONN_CLOSED)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(conn->why, sizeof conn->why, format, args);
    va_end(args);
    conn->state = SF_CONN_CLOSED;
    if (conn->fd >= 0)
        (void)epoll_ctl(conn->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
}

static void close_errno(struct sf_conn *conn, const char *what, int error)
{
    char text[64];
    sf_conn_close(conn, "%s: %s", what, sf_errno_text(error, text, sizeof text));
}

static void close_tls(struct sf_conn *conn, const char *what)
{
    const long verify = SSL_get_verify_result(conn->ssl);
    const unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    /* A peer that was killed says no farewell: that is a lost connection like any other. */
    conn->tls_failed = ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (verify != X509_V_OK)
        sf_conn_close(conn, "%s: the server's certificate is refused: %s", what,
                      X509_verify_cert_error_string(verify));
    else
        sf_conn_close(conn, "%s: %s", what, reason != NULL ? reason : "the peer ended it");
    ERR_clear_error();
}

static int tls_setup(struct sf_conn *conn, SSL_CTX *tls, const char *server_name)
{
    conn->ssl = SSL_new(tls);
    BIO *bio = conn->ssl != NULL ? sf_client_bio_create(tls, conn->fd) : NULL;
    if (bio == NULL)
        return -ENOMEM;
    SSL_set_bio(conn->ssl, bio, bio);
    SSL_set_connect_state(conn->ssl);
    uint8_t address[16];
    if (inet_pton(AF_INET, server_name, address) == 1 ||
        inet_pton(AF_INET6, server_name, address) == 1) {
        if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(conn->ssl), server_name) != 1)
            return -ENOMEM;
    } else if (SSL_set1_host(conn->ssl, server_name) != 1 ||
               SSL_set_tlsext_host_name(conn->ssl, server_name) != 1) {
        return -ENOMEM;
    }
    return 0;
}

static void watch(struct sf_conn *conn, bool write)
{
    if (conn->want_write == write || conn->state == SF_CONN_CLOSED)
        return;
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = conn};
    if (epoll_ctl(conn->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) != 0)
        close_errno(conn, "epoll", errno);
    conn->want_write = write;
}

struct sf_conn *sf_conn_create(int epoll_fd, const struct sockaddr *address, socklen_t address_size,
                               SSL_CTX *tls, const char *server_name, int64_t now_ns)
{
    struct sf_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->epoll_fd = epoll_fd;
    conn->started_ns = conn->heard_ns = now_ns;
    conn->in = malloc(IN_START);
    conn->out = malloc(OUT_START);
    conn->ring = malloc(RING_START * sizeof *conn->ring);
    conn->in_capacity = IN_START;
    conn->out_capacity = OUT_START;
    conn->ring_capacity = RING_START;
    conn->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->in == NULL || conn->out == NULL || conn->ring == NULL || conn->fd < 0)
        goto fail;
    const int on = 1;
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (tls != NULL && tls_setup(conn, tls, server_name) != 0)
        goto fail;
    conn->state = SF_CONN_CONNECTING;
    conn->want_write = true;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        goto fail;
    if (connect(conn->fd, address, address_size) != 0 && errno != EINPROGRESS)
        close_errno(conn, "connect", errno);
    return conn;
fail:
    sf_conn_destroy(conn, true);
    return NULL;
}

void sf_conn_destroy(struct sf_conn *conn, bool abandon)
{
    if (conn == NULL)
        return;
    if (conn->ssl != NULL) {
        if (!abandon && conn->state == SF_CONN_UP)
            (void)SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
        ERR_clear_error();
    }
    if (conn->fd >= 0)
        (void)close(conn->fd);
    free(conn->in);
    free(conn->out);
    free(conn->ring);
    free(conn);
}

static int out_room(struct sf_conn *conn, size_t size)
{
    if (conn->out_end + size <= conn->out_capacity)
        return 0;
    if (conn->out_start > 0) {
        memmove(conn->out, conn->out + conn->out_start, conn->out_end - conn->out_start);
        conn->out_end -= conn->out_start;
        conn->out_start = 0;
        if (conn->out_end + size <= conn->out_capacity)
            return 0;
    }
    if (conn->out_end + size > SF_CONN_OUT_MAX)
        return -EAGAIN;
    size_t capacity = conn->out_capacity;
    while (conn->out_end + size > capacity)
        capacity *= 2;
    uint8_t *out = realloc(conn->out, capacity);
    if (out == NULL)
        return -ENOMEM;
    conn->out = out;
    conn->out_capacity = capacity;
    return 0;
}

static int ring_room(struct sf_conn *conn)
{
    if (sf_conn_pending(conn) < conn->ring_capacity)
        return 0;
    if (conn->ring_capacity == SF_CONN_PENDING_MAX)
        return -EAGAIN;
    const uint32_t count = conn->ring_capacity;
    struct sf_pending *ring = malloc(2 * (size_t)count * sizeof *ring);
    if (ring == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        ring[i] = *sf_conn_pending_at(conn, i);
    free(conn->ring);
    conn->ring = ring;
    conn->ring_capacity = 2 * count;
    conn->head = 0;
    conn->tail = count;
    return 0;
}

static int make_room(struct sf_conn *conn, size_t size)
{
    const int rc = ring_room(conn);
    return rc != 0 ? rc : out_room(conn, size);
}

static void push(struct sf_conn *conn, const struct sf_pending *pending, uint32_t request_id,
                 size_t size)
{
    SF_ASSERT(size > 0);
    conn->out_end += size;
    struct sf_pending *to = &conn->ring[conn->tail++ & (conn->ring_capacity - 1)];
    *to = *pending;
    to->request_id = request_id;
}

int sf_conn_put_next(struct sf_conn *conn, const struct sf_wire_next *next,
                     const struct sf_pending *pending)
{
    const int rc = make_room(conn, SF_WIRE_HEADER_SIZE + 12);
    if (rc != 0)
        return rc;
    const uint32_t id = ++conn->next_request_id;
    push(conn, pending, id,
         sf_wire_put_next(conn->out + conn->out_end, conn->out_capacity - conn->out_end, id, next));
    return 0;
}

int sf_conn_put_plain(struct sf_conn *conn, enum sf_pending_kind kind, const char *token,
                      int64_t now_ns)
{
    const int rc = make_room(conn, SF_WIRE_HEADER_SIZE + SF_WIRE_TOKEN_MAX);
    if (rc != 0)
        return rc;
    const uint32_t id = ++conn->next_request_id;
    uint8_t *to = conn->out + conn->out_end;
    const size_t room = conn->out_capacity - conn->out_end;
    push(
        conn, &(struct sf_pending){.kind = kind, .sent_ns = now_ns}, id,
        sf_wire_put_request(to, room, type_of[kind], id, token, token != NULL ? strlen(token) : 0));
    return 0;
}

/* Returns bytes moved, 0 for "not now", -1 when the connection has been closed. */
static ssize_t tls_result(struct sf_conn *conn, int done, const char *what)
{
    if (done > 0)
        return done;
    switch (SSL_get_error(conn->ssl, done)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        conn->tls_wants_write = true;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        sf_conn_close(conn, "the server closed the connection");
        return -1;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        sf_conn_close(conn, "%s: the connection broke", what);
        return -1;
    default:
        close_tls(conn, what);
        return -1;
    }
}

static ssize_t transport_send(struct sf_conn *conn, const uint8_t *from, size_t size)
{
    if (conn->ssl != NULL) {
        ERR_clear_error();
        return tls_result(conn, SSL_write(conn->ssl, from, (int)size), "send");
    }
    for (;;) {
        const ssize_t sent = send(conn->fd, from, size, MSG_NOSIGNAL);
        if (sent >= 0)
            return sent;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR) {
            close_errno(conn, "send", errno);
            return -1;
        }
    }
}

static ssize_t transport_receive(struct sf_conn *conn, uint8_t *to, size_t size)
{
    if (conn->ssl != NULL) {
        ERR_clear_error();
        return tls_result(conn, SSL_read(conn->ssl, to, (int)size), "receive");
    }
    for (;;) {
        const ssize_t got = recv(conn->fd, to, size, 0);
        if (got > 0)
            return got;
        if (got == 0) {
            sf_conn_close(conn, "the server closed the connection");
            return -1;
        }
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR) {
            close_errno(conn, "receive", errno);
            return -1;
        }
    }
}

void sf_conn_flush(struct sf_conn *conn)
{
    if (conn->state != SF_CONN_UP && conn->state != SF_CONN_LEAVING)
        return;
    conn->tls_wants_write = false;
    while (conn->out_start < conn->out_end) {
        const ssize_t sent =
            transport_send(conn, conn->out + conn->out_start, conn->out_end - conn->out_start);
        if (sent < 0)
            return;
        if (sent == 0)
            break;
        conn->out_start += (size_t)sent;
    }
    if (conn->out_start == conn->out_end)
        conn->out_start = conn->out_end = 0;
    watch(conn, conn->out_end > 0 && (conn->ssl == NULL || conn->tls_wants_write));
}

static void handshake(struct sf_conn *conn)
{
    conn->tls_wants_write = false;
    ERR_clear_error();
    const int done = SSL_do_handshake(conn->ssl);
    if (done == 1) {
        conn->state = SF_CONN_UP;
        return;
    }
    if (tls_result(conn, done, "TLS handshake") == 0)
        watch(conn, conn->tls_wants_write);
    else
        conn->tls_failed = true;
}

static void connected(struct sf_conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0) {
        close_errno(conn, "connect", error);
        return;
    }
    conn->state = conn->ssl != NULL ? SF_CONN_HANDSHAKING : SF_CONN_UP;
}

/* Makes room for the frame that is arriving: the buffer grows only when a length field asks for
 * it. */
static bool in_room(struct sf_conn *conn)
{
    if (conn->in_start > 0) {
        memmove(conn->in, conn->in + conn->in_start, conn->in_end - conn->in_start);
        conn->in_end -= conn->in_start;
        conn->in_start = 0;
    }
    if (conn->in_end < conn->in_capacity)
        return true;
    const size_t capacity =
        conn->in_capacity * 4 < SF_WIRE_FRAME_MAX ? conn->in_capacity * 4 : SF_WIRE_FRAME_MAX;
    uint8_t *in = capacity > conn->in_capacity ? realloc(conn->in, capacity) : NULL;
    if (in == NULL) {
        sf_conn_close(conn, "out of memory for a frame");
        return false;
    }
    conn->in = in;
    conn->in_capacity = capacity;
    return true;
}

static void broken(struct sf_conn *conn, const char *why)
{
    conn->broken = true;
    sf_conn_close(conn, "%s", why);
}

static void take_frame(struct sf_conn *conn, const struct sf_wire_header *header,
                       const uint8_t *body, const struct sf_conn_handler *handler, void *ctx)
{
    if (header->version != SF_WIRE_VERSION) {
        broken(conn, "a frame of another protocol version came");
        return;
    }
    if (header->type == SF_WIRE_GOAWAY) {
        struct sf_wire_goaway goaway;
        if (sf_wire_get_goaway(body, header->length - 8, &goaway) != 0) {
            broken(conn, "a malformed GOAWAY came");
            return;
        }
        conn->state = SF_CONN_LEAVING;
        handler->on_goaway(ctx, conn, &goaway);
        return;
    }
    if (header->type >= SF_WIRE_GOAWAY) /* a push of a later version: not ours to know */
        return;
    if (header->type == SF_WIRE_ERROR) {
        if (header->code == SF_WIRE_BAD_REQUEST || header->code == SF_WIRE_UNSUPPORTED)
            broken(conn, "the server could not read our stream");
        else
            sf_conn_close(conn, "the server refused the connection: %s",
                          sf_wire_status_name(header->code));
        return;
    }
    if (sf_conn_pending(conn) == 0) {
        broken(conn, "an answer came that nobody asked for");
        return;
    }
    const struct sf_pending pending = *sf_conn_pending_at(conn, 0);
    if (header->request_id != pending.request_id ||
        header->type != (type_of[pending.kind] | SF_WIRE_RESPONSE)) {
        broken(conn, "an answer came out of order");
        return;
    }
    conn->head++;
    conn->answered = true;
    const char *why = handler->on_answer(ctx, conn, &pending, header, body);
    if (why != NULL)
        broken(conn, why);
}

static void take_frames(struct sf_conn *conn, const struct sf_conn_handler *handler, void *ctx)
{
    while (conn->state != SF_CONN_CLOSED) {
        struct sf_wire_header header;
        const uint8_t *at = conn->in + conn->in_start;
        switch (sf_wire_scan(at, conn->in_end - conn->in_start, &header)) {
        case SF_WIRE_PARTIAL:
            return;
        case SF_WIRE_BAD_LENGTH:
            broken(conn, "what came is no Snowfleet frame (length field)");
            return;
        case SF_WIRE_COMPLETE:
            conn->in_start += 4 + (size_t)header.length;
            take_frame(conn, &header, at + SF_WIRE_HEADER_SIZE, handler, ctx);
        }
    }
}

static void receive(struct sf_conn *conn, const struct sf_conn_handler *handler, void *ctx,
                    int64_t now_ns)
{
    while (conn->state == SF_CONN_UP || conn->state == SF_CONN_LEAVING) {
        if (conn->in_start == conn->in_end)
            conn->in_start = conn->in_end = 0;
        else if (conn->in_end == conn->in_capacity && !in_room(conn))
            return;
        const size_t room = conn->in_capacity - conn->in_end;
        const ssize_t got = transport_receive(conn, conn->in + conn->in_end, room);
        if (got <= 0)
            break;
        conn->in_end += (size_t)got;
        conn->heard_ns = now_ns;
        take_frames(conn, handler, ctx);
        /* Less than the room means that the socket is empty; TLS hands out record by record. */
        if (conn->ssl == NULL && (size_t)got < room)
            break;
    }
    if ((conn->state == SF_CONN_LEAVING || conn->unwanted) && sf_conn_pending(conn) == 0)
        sf_conn_close(conn, conn->unwanted ? "its server is no longer in use"
                                           : "the server asked us to leave");
}

void sf_conn_on_ready(struct sf_conn *conn, uint32_t events, const struct sf_conn_handler *handler,
                      void *ctx, int64_t now_ns)
{
    if (conn->state == SF_CONN_CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        connected(conn);
    if (conn->state == SF_CONN_HANDSHAKING)
        handshake(conn);
    if (conn->state == SF_CONN_UP && !conn->announced) {
        conn->announced = true;
        handler->on_up(ctx, conn);
        sf_conn_flush(conn);
    } else if (events & EPOLLOUT || conn->tls_wants_write) {
        sf_conn_flush(conn);
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(conn, handler, ctx, now_ns);
}
