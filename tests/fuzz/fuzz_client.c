/* A client's connection to a server that may say anything: answers come in the order of the
 * requests or the connection ends with a reason. The first byte says how many requests are on the
 * way, and whether the answers' request_ids are put right, so that more of them are believed. */
#include "fuzz.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "client/conn.h"

struct seen {
    uint32_t answers, goaways, requests;
    bool up;
};

static const char *on_answer(void *ctx, struct sf_conn *conn, const struct sf_pending *pending,
                             const struct sf_wire_header *header, const uint8_t *body)
{
    struct seen *seen = ctx;
    size_t runs;
    uint32_t ids;
    struct sf_wire_error error;
    MUST(seen->up && conn->state != SF_CONN_CLOSED);
    MUST(header->request_id == pending->request_id);
    MUST(pending->request_id == ++seen->answers && seen->answers <= seen->requests);
    if (header->code != SF_WIRE_OK)
        return sf_wire_get_error(body, header->length - 8, &error) == 0 ? NULL : "malformed";
    if (pending->kind == SF_PENDING_CALL &&
        sf_wire_get_runs(body, header->length - 8, &runs, &ids) != 0)
        return "malformed";
    return NULL;
}

static void on_up(void *ctx, struct sf_conn *conn)
{
    struct seen *seen = ctx;
    MUST(!seen->up && conn->state == SF_CONN_UP);
    seen->up = true;
}

static void on_goaway(void *ctx, struct sf_conn *conn, const struct sf_wire_goaway *goaway)
{
    struct seen *seen = ctx;
    (void)conn;
    MUST(goaway->reason_size <= SF_WIRE_BODY_MAX);
    seen->goaways++;
}

/* A listening socket of the machine's own, without a name in the file system. */
static int listen_once(struct sockaddr_un *address, socklen_t *size)
{
    static int listener = -1;
    static struct sockaddr_un bound = {.sun_family = AF_UNIX};
    static socklen_t bound_size = sizeof bound;
    if (listener < 0) {
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        MUST(listener >= 0 && bind(listener, (struct sockaddr *)&bound, sizeof(sa_family_t)) == 0);
        MUST(listen(listener, 8) == 0);
        MUST(getsockname(listener, (struct sockaddr *)&bound, &bound_size) == 0);
    }
    *address = bound;
    *size = bound_size;
    return listener;
}

/* request_ids ascend from 1 in what are no pushes. */
static void number_answers(uint8_t *bytes, size_t size)
{
    for (uint32_t id = 1; size >= SF_WIRE_HEADER_SIZE;) {
        const size_t frame = 4 + (size_t)sf_load_be32(bytes);
        if (frame > size || frame < SF_WIRE_HEADER_SIZE)
            return;
        if (bytes[5] < SF_WIRE_GOAWAY)
            sf_store_be32(bytes + 8, id++);
        bytes += frame;
        size -= frame;
    }
}

static void put_requests(struct sf_conn *conn, uint32_t requests)
{
    const struct sf_wire_next next = {.count = 3};
    for (uint32_t i = 0; i < requests; i++) {
        const struct sf_pending pending = {.count = 3, .kind = SF_PENDING_CALL};
        MUST((i % 8 == 3 ? sf_conn_put_plain(conn, SF_PENDING_INFO, NULL, 1)
                         : sf_conn_put_next(conn, &next, &pending)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sf_conn_handler handler = {on_answer, on_up, on_goaway};
    static int epoll_fd = -1;
    if (size < 2)
        return 0;
    if (epoll_fd < 0)
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct sockaddr_un address;
    socklen_t address_size;
    const int listener = listen_once(&address, &address_size);
    struct seen seen = {.requests = data[0] % 64};
    uint8_t *bytes = fuzz_exact(data + 2, size - 2);
    size -= 2;
    if (data[0] & 0x80)
        number_answers(bytes, size);
    struct sf_conn *conn =
        sf_conn_create(epoll_fd, (struct sockaddr *)&address, address_size, NULL, "server", 1);
    MUST(conn);
    const int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    MUST(peer >= 0);
    sf_conn_on_ready(conn, EPOLLOUT, &handler, &seen, 2);
    put_requests(conn, seen.requests);
    sf_conn_flush(conn);
    /* In pieces of the size that the second byte says. */
    for (size_t at = 0, piece = 1u + data[1] * 17u; at < size; at += piece) {
        const size_t most = size - at < piece ? size - at : piece;
        if (send(peer, bytes + at, most, MSG_NOSIGNAL) != (ssize_t)most)
            break;
        sf_conn_on_ready(conn, EPOLLIN, &handler, &seen, 3);
    }
    close(peer);
    sf_conn_on_ready(conn, EPOLLIN, &handler, &seen, 4);
    MUST(conn->state == SF_CONN_CLOSED && conn->why[0]);
    MUST(memchr(conn->why, '\0', sizeof conn->why));
    sf_conn_destroy(conn, false);
    free(bytes);
    return 0;
}
