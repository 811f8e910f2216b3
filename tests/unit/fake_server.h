/* A small Snowfleet server in a thread, for tests of the client: it answers NEXT and INFO, or
 * misbehaves as told. Its IDs are of the default layout, of worker `worker`, from one counter, so
 * that the tests can tell servers apart. */
#ifndef TEST_FAKE_SERVER_H
#define TEST_FAKE_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/frame.h"

enum fake_mode {
    FAKE_SERVE,
    FAKE_SILENT,   /* reads, never answers */
    FAKE_DROP,     /* closes the connection on a NEXT */
    FAKE_GARBAGE,  /* answers with bytes that are no frame */
    FAKE_STATUS,   /* answers NEXT with `status` */
    FAKE_GOAWAY,   /* answers, then says GOAWAY */
    FAKE_BACKWARD, /* IDs go back */
    FAKE_WRONG_ID, /* answers with another request_id */
    FAKE_SHORT,    /* gives one ID too few */
    FAKE_LONG,     /* gives one ID too many */
    FAKE_REPEAT,   /* gives the same IDs each time */
    FAKE_OVERLAP,  /* half of the IDs are those of the answer before */
    FAKE_POISON,   /* answers with another request_id, and then as it should */
    FAKE_DEAF,     /* does not look at AFTER */
    FAKE_DYING     /* closes the connection on a NEXT, and answers nothing on later ones */
};

#define FAKE_CONNS_MAX 64

struct fake_conn {
    int fd;
    uint32_t auth; /* the server's when AUTH came */
    uint8_t in[4096];
    size_t size;
};

struct fake_server {
    pthread_t thread;
    int port_fd, listen_fd, stop_fd[2];
    uint16_t port;
    uint64_t worker;
    uint32_t max_batch;
    _Atomic(const char *) fleet_id;
    _Atomic(const char *)
        named_by_next;             /* what fleet_id is from the next NEXT on; NULL: as it is */
    _Atomic(const char *) workers; /* the list in INFO (JSON); NULL: none */
    _Atomic uint32_t auth; /* 0: no AUTH is needed; else NEXT and INFO need one since it changed */
    _Atomic int mode;
    _Atomic int status;
    _Atomic uint32_t refusals; /* FAKE_STATUS so many times, then FAKE_SERVE; 0: for good */
    _Atomic uint32_t retry_after_ms;
    _Atomic uint32_t delay_ms; /* before every answer */
    _Atomic bool hold;         /* no NEXT is answered before this is taken back */
    _Atomic bool no_info;      /* INFO is refused */
    _Atomic uint64_t served;
    _Atomic uint64_t asked;
    _Atomic uint64_t accepted;
    _Atomic uint64_t infos;
    _Atomic uint64_t after_seen;
    _Atomic uint64_t word;
    struct fake_conn conns[FAKE_CONNS_MAX];
    uint32_t conn_count;
};

/* What must not happen to a server, whatever a client does. */
static inline void fake_die(const char *what)
{
    (void)fprintf(stderr, "fake server: %s: %s\n", what, strerror(errno));
    abort();
}

static inline uint64_t fake_id(const struct fake_server *server, uint64_t word)
{
    return (word >> 12) << 22 | server->worker << 12 | (word & 4095);
}

static inline void fake_send(int fd, const void *from, size_t size)
{
    if (size > 0 && send(fd, from, size, MSG_NOSIGNAL) != (ssize_t)size && errno != EPIPE &&
        errno != ECONNRESET)
        fake_die("send");
}

static inline void fake_ids(struct fake_server *server, int fd, const struct sf_wire_header *header,
                            const struct sf_wire_next *next)
{
    static _Thread_local uint8_t out[SF_WIRE_FRAME_MAX];
    const int mode = server->mode;
    uint32_t left = next->count + (mode == FAKE_LONG) - (mode == FAKE_SHORT);
    size_t runs = 0;
    if (next->has_after && mode != FAKE_DEAF) {
        server->after_seen = next->after;
        const uint64_t millisecond = (next->after >> 22) << 12;
        if (server->word < millisecond)
            server->word = millisecond;
        while (fake_id(server, server->word) <= next->after)
            server->word++;
    }
    if (mode == FAKE_BACKWARD)
        server->word -= 5000;
    while (left > 0) {
        const uint32_t room = 4096 - (uint32_t)(server->word & 4095);
        const uint32_t count = left < room ? left : room;
        sf_wire_put_run(out + SF_WIRE_HEADER_SIZE + runs++ * SF_WIRE_RUN_SIZE,
                        fake_id(server, server->word), count);
        server->word += count;
        left -= count;
    }
    if (mode == FAKE_REPEAT || mode == FAKE_OVERLAP)
        server->word -= mode == FAKE_REPEAT ? next->count : next->count / 2;
    const size_t body = runs * SF_WIRE_RUN_SIZE;
    sf_wire_put_header(out, SF_WIRE_NEXT | SF_WIRE_RESPONSE, SF_WIRE_OK,
                       header->request_id + (mode == FAKE_WRONG_ID || mode == FAKE_POISON), body);
    server->served++;
    size_t size = SF_WIRE_HEADER_SIZE + body;
    if (mode == FAKE_POISON && size <= sizeof out - size) {
        memcpy(out + size, out, size);
        sf_wire_put_header(out + size, SF_WIRE_NEXT | SF_WIRE_RESPONSE, SF_WIRE_OK,
                           header->request_id, body);
        size *= 2;
    }
    if (mode == FAKE_GOAWAY) /* together, so that it is seen before the next request */
        size += sf_wire_put_goaway(out + size, sizeof out - size, 1000, "max age");
    fake_send(fd, out, size);
}

static inline void fake_info(struct fake_server *server, int fd, uint32_t request_id)
{
    static _Thread_local uint8_t out[16384];
    const char *workers = server->workers;
    server->infos++;
    const int size =
        snprintf((char *)out + SF_WIRE_HEADER_SIZE, sizeof out - SF_WIRE_HEADER_SIZE,
                 "{\"protocol\":1,\"fleet\":\"x\\\"layout\\\":{\",\"fleet_id\":\"%s\","
                 "\"epoch_ms\":1704067200000,"
                 "\"layout\":{\"timestamp\":41,\"datacenter\":5,\"worker\":5,"
                 "\"sequence\":12},\"max_batch\":%u%s%s}",
                 server->fleet_id, server->max_batch, workers != NULL ? ",\"workers\":" : "",
                 workers != NULL ? workers : "");
    sf_wire_put_header(out, SF_WIRE_INFO | SF_WIRE_RESPONSE, SF_WIRE_OK, request_id, (size_t)size);
    fake_send(fd, out, SF_WIRE_HEADER_SIZE + (size_t)size);
}

/* Returns false to have the connection closed. */
static inline bool fake_request(struct fake_server *server, struct fake_conn *conn,
                                const struct sf_wire_header *header, const uint8_t *body)
{
    const int fd = conn->fd;
    uint8_t out[512];
    struct sf_wire_next next;
    const char *reason;
    if (server->mode == FAKE_SILENT)
        return true;
    if (header->type == SF_WIRE_AUTH)
        conn->auth = server->auth;
    else if (conn->auth != server->auth) {
        fake_send(fd, out,
                  sf_wire_put_error(out, sizeof out, header->type | SF_WIRE_RESPONSE,
                                    SF_WIRE_DENIED, header->request_id, 0, "AUTH first"));
        return true;
    }
    if (header->type == SF_WIRE_INFO && server->no_info) {
        fake_send(fd, out,
                  sf_wire_put_error(out, sizeof out, SF_WIRE_INFO | SF_WIRE_RESPONSE,
                                    SF_WIRE_UNSUPPORTED, header->request_id, 0, "no INFO"));
        return true;
    }
    if (header->type == SF_WIRE_INFO) {
        fake_info(server, fd, header->request_id);
        return true;
    }
    if (header->type == SF_WIRE_AUTH) {
        sf_wire_put_header(out, SF_WIRE_AUTH | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id, 0);
        fake_send(fd, out, SF_WIRE_HEADER_SIZE);
        return true;
    }
    errno = EPROTO;
    if (header->type != SF_WIRE_NEXT)
        fake_die("a request that no client makes");
    if (sf_wire_get_next(header, body, &next, &reason) != 0)
        fake_die(reason);
    server->asked++;
    if (server->named_by_next != NULL)
        server->fleet_id = server->named_by_next;
    if (server->delay_ms > 0)
        usleep(server->delay_ms * 1000);
    while (server->hold)
        usleep(100);
    int status = server->status;
    switch (atomic_load(&server->mode)) {
    case FAKE_DYING:
        server->mode = FAKE_SILENT;
        return false;
    case FAKE_DROP:
        return false;
    case FAKE_GARBAGE:
        fake_send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
        return true;
    case FAKE_STATUS:
        if (server->refusals > 0 && --server->refusals == 0)
            server->mode = FAKE_SERVE;
        break;
    default:
        if (next.count <= server->max_batch) {
            fake_ids(server, fd, header, &next);
            return true;
        }
        status = SF_WIRE_TOO_LARGE;
    }
    fake_send(fd, out,
              sf_wire_put_error(out, sizeof out, SF_WIRE_NEXT | SF_WIRE_RESPONSE,
                                (enum sf_wire_status)status, header->request_id,
                                server->retry_after_ms, "told to"));
    return true;
}

static inline bool fake_read(struct fake_server *server, struct fake_conn *conn)
{
    const ssize_t got = recv(conn->fd, conn->in + conn->size, sizeof conn->in - conn->size, 0);
    if (got <= 0)
        return false;
    conn->size += (size_t)got;
    struct sf_wire_header header;
    size_t at = 0;
    while (sf_wire_scan(conn->in + at, conn->size - at, &header) == SF_WIRE_COMPLETE) {
        if (!fake_request(server, conn, &header, conn->in + at + SF_WIRE_HEADER_SIZE))
            return false;
        at += 4 + header.length;
    }
    memmove(conn->in, conn->in + at, conn->size - at);
    conn->size -= at;
    return true;
}

static inline void *fake_main(void *ctx)
{
    struct fake_server *server = ctx;
    for (;;) {
        struct pollfd fds[FAKE_CONNS_MAX + 2] = {{.fd = server->stop_fd[0], .events = POLLIN},
                                                 {.fd = server->listen_fd, .events = POLLIN}};
        const uint32_t count = server->conn_count;
        for (uint32_t i = 0; i < count; i++)
            fds[i + 2] = (struct pollfd){.fd = server->conns[i].fd, .events = POLLIN};
        if (poll(fds, count + 2, -1) < 0)
            continue;
        if (fds[0].revents)
            break;
        for (uint32_t i = count; i-- > 0;) {
            if (fds[i + 2].revents == 0 || fake_read(server, &server->conns[i]))
                continue;
            close(server->conns[i].fd);
            server->conns[i] = server->conns[--server->conn_count];
        }
        if (fds[1].revents && server->conn_count < FAKE_CONNS_MAX) {
            const int fd = accept(server->listen_fd, NULL, NULL);
            server->accepted += fd >= 0;
            if (fd >= 0)
                server->conns[server->conn_count++] = (struct fake_conn){.fd = fd};
        }
    }
    for (uint32_t i = 0; i < server->conn_count; i++)
        close(server->conns[i].fd);
    server->conn_count = 0;
    close(server->listen_fd);
    return NULL;
}

static inline int fake_bind(struct sockaddr_in *address)
{
    const int on = 1;
    socklen_t size = sizeof *address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) != 0)
        fake_die("bind");
    return fd;
}

/* port 0: any, which is this server's until fake_end: another process could take it while the
 * server is stopped. The counter goes on where it stood, so that a restarted server gives fresh
 * IDs. */
static inline void fake_start(struct fake_server *server, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (port == 0)
        server->port_fd = fake_bind(&address); /* never listens: whoever connects is refused */
    server->listen_fd = fake_bind(&address);
    if (listen(server->listen_fd, 64) != 0 || pipe(server->stop_fd) != 0)
        fake_die("listen");
    server->port = ntohs(address.sin_port);
    if (server->word == 0)
        server->word = UINT64_C(1000000) << 12;
    if (server->max_batch == 0)
        server->max_batch = 65536;
    if (server->fleet_id == NULL)
        server->fleet_id = "11111111-2222-4333-8444-555555555555";
    if (pthread_create(&server->thread, NULL, fake_main, server) != 0)
        fake_die("thread");
}

static inline void fake_stop(struct fake_server *server)
{
    if (write(server->stop_fd[1], "x", 1) != 1)
        fake_die("stop");
    pthread_join(server->thread, NULL);
    close(server->stop_fd[0]);
    close(server->stop_fd[1]);
}

/* Stops a server for good. */
static inline void fake_end(struct fake_server *server)
{
    fake_stop(server);
    close(server->port_fd);
}

#endif
