/* cli/load.c - the load of bench over bare connections: frames written and read by hand, so that
 * the measurement costs little. */
#include "cli/load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/ticks.h"

#define IN_SIZE    (128 * 1024)
#define EVENTS_MAX 64

struct sf_load_conn {
    int fd;
    uint32_t in_flight, to_send; /* requests; bytes of the write that is under way */
    uint32_t next_id, expected_id;
    size_t in_end, out_start, out_end;
    uint8_t *in, *out;                  /* out: depth requests at most */
    int64_t sent_ns[SF_LOAD_DEPTH_MAX]; /* by request_id modulo depth */
};

static int fail(struct sf_load *load, int code, const char *what)
{
    char text[64];
    (void)snprintf(load->why, sizeof load->why, "%s: %s", what,
                   sf_errno_text(code, text, sizeof text));
    return code;
}

static int connect_one(struct sf_load *load, struct sf_load_conn *conn, uint32_t address)
{
    const struct sf_load_options *options = load->options;
    const int on = 1;
    conn->fd = socket(options->addresses[address].ss_family,
                      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    conn->in = malloc(IN_SIZE);
    conn->out = malloc((size_t)options->depth * 16);
    if (conn->fd < 0 || conn->in == NULL || conn->out == NULL)
        return fail(load, -ENOMEM, "connection");
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(conn->fd, (const struct sockaddr *)&options->addresses[address],
                options->sizes[address]) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return fail(load, -errno, "connect");
    struct pollfd pollfd = {.fd = conn->fd, .events = POLLOUT};
    if (poll(&pollfd, 1, (int)options->connect_timeout_ms) <= 0)
        return fail(load, -ETIMEDOUT, "connect");
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    return error == 0 ? 0 : fail(load, -error, "connect");
}

int sf_load_connect(struct sf_load *load)
{
    load->all = calloc(load->conns, sizeof *load->all);
    if (load->all == NULL)
        return fail(load, -ENOMEM, "connections");
    for (uint32_t i = 0; i < load->conns; i++)
        load->all[i].fd = -1;
    for (uint32_t i = 0; i < load->conns; i++) {
        const int rc =
            connect_one(load, &load->all[i], (load->first + i) % load->options->address_count);
        if (rc != 0)
            return rc;
    }
    return 0;
}

void sf_load_free(struct sf_load *load)
{
    for (uint32_t i = 0; load->all != NULL && i < load->conns; i++) {
        if (load->all[i].fd >= 0)
            (void)close(load->all[i].fd);
        free(load->all[i].in);
        free(load->all[i].out);
    }
    free(load->all);
}

uint32_t sf_load_take_budget(struct sf_load *load, uint32_t want)
{
    if (*load->stop)
        return 0;
    if (load->budget == NULL)
        return want;
    uint64_t left = atomic_load(load->budget);
    uint32_t take;
    do {
        take = left < want ? (uint32_t)left : want;
    } while (!atomic_compare_exchange_weak(load->budget, &left, left - take));
    return take;
}

static int flush(struct sf_load *load, struct sf_load_conn *conn)
{
    while (conn->out_start < conn->out_end) {
        const ssize_t sent = send(conn->fd, conn->out + conn->out_start,
                                  conn->out_end - conn->out_start, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN)
                return 0; /* the answers that come will bring us here again */
            if (errno != EINTR)
                return fail(load, -errno, "send");
        } else {
            conn->out_start += (size_t)sent;
        }
    }
    conn->out_start = conn->out_end = 0;
    return 0;
}

static int fill(struct sf_load *load, struct sf_load_conn *conn, int64_t now_ns)
{
    const uint32_t depth = load->options->depth;
    const uint32_t room = conn->out_end == 0 ? depth - conn->in_flight : 0;
    const uint32_t count = room > 0 ? sf_load_take_budget(load, room) : 0;
    const struct sf_wire_next next = {.count = load->options->batch};
    for (uint32_t i = 0; i < count; i++) {
        conn->sent_ns[conn->next_id % depth] = now_ns;
        conn->out_end += sf_wire_put_next(
            conn->out + conn->out_end, (size_t)depth * 16 - conn->out_end, conn->next_id++, &next);
    }
    conn->in_flight += count;
    return conn->out_end > 0 ? flush(load, conn) : 0;
}

static int take_answer(struct sf_load *load, struct sf_load_conn *conn,
                       const struct sf_wire_header *header, const uint8_t *body)
{
    size_t runs;
    uint32_t ids;
    if (header->type == SF_WIRE_GOAWAY)
        return fail(load, -ESHUTDOWN, "the server asked us to leave");
    if (header->type != (SF_WIRE_NEXT | SF_WIRE_RESPONSE) ||
        header->request_id != conn->expected_id)
        return fail(load, -EPROTO, "an answer came that does not fit its request");
    conn->expected_id++;
    if (header->code >= SF_WIRE_STATUSES) {
        load->unknown_statuses++;
        return 0;
    }
    load->statuses[header->code]++;
    if (header->code != SF_WIRE_OK)
        return 0;
    if (sf_wire_get_runs(body, header->length - 8, &runs, &ids) != 0 || ids != load->options->batch)
        return fail(load, -EPROTO, "an answer to NEXT is malformed");
    load->ids += ids;
    return 0;
}

/* Answers of requests that left in the same write have waited equally long: they are counted
 * together, those with IDs apart from the others. */
struct alike {
    int64_t sent_ns;
    uint64_t served, refused;
};

static void count_alike(struct sf_load *load, struct alike *alike, int64_t now_ns)
{
    const uint64_t took_ns = (uint64_t)(now_ns - alike->sent_ns);
    if (alike->served > 0)
        sf_histogram_add(&load->latency, took_ns, alike->served);
    if (alike->refused > 0)
        sf_histogram_add(&load->refused, took_ns, alike->refused);
    alike->served = alike->refused = 0;
}

static int take_answers(struct sf_load *load, struct sf_load_conn *conn, int64_t now_ns)
{
    const uint32_t depth = load->options->depth;
    size_t at = 0;
    uint64_t answers = 0;
    struct alike alike = {0};
    struct sf_wire_header header;
    for (;;) {
        const enum sf_wire_scan scan = sf_wire_scan(conn->in + at, conn->in_end - at, &header);
        if (scan == SF_WIRE_PARTIAL)
            break;
        if (scan == SF_WIRE_BAD_LENGTH || conn->in_flight == 0)
            return fail(load, -EPROTO, "what answers does not speak the Snowfleet protocol");
        const int64_t sent_ns = conn->sent_ns[conn->expected_id % depth];
        const int rc = take_answer(load, conn, &header, conn->in + at + SF_WIRE_HEADER_SIZE);
        if (rc != 0)
            return rc;
        at += 4 + (size_t)header.length;
        conn->in_flight--;
        answers++;
        if (sent_ns != alike.sent_ns)
            count_alike(load, &alike, now_ns);
        alike.sent_ns = sent_ns;
        *(header.code == SF_WIRE_OK ? &alike.served : &alike.refused) += 1;
    }
    count_alike(load, &alike, now_ns);
    memmove(conn->in, conn->in + at, conn->in_end - at);
    conn->in_end -= at;
    atomic_store_explicit(&load->answers, load->answers + answers, memory_order_relaxed);
    return 0;
}

static int serve(struct sf_load *load, struct sf_load_conn *conn)
{
    const ssize_t got = recv(conn->fd, conn->in + conn->in_end, IN_SIZE - conn->in_end, 0);
    if (got == 0)
        return fail(load, -ECONNRESET, "the server closed a connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return fail(load, -errno, "receive");
    const int64_t now_ns = sf_mono_ns();
    if (got > 0) {
        conn->in_end += (size_t)got;
        const int rc = take_answers(load, conn, now_ns);
        if (rc != 0)
            return rc;
    }
    return fill(load, conn, now_ns);
}

static uint64_t outstanding(const struct sf_load *load)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < load->conns; i++)
        count += load->all[i].in_flight;
    return count;
}

void *sf_load_run(void *ctx)
{
    struct sf_load *load = ctx;
    struct epoll_event events[EVENTS_MAX];
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int rc = epoll_fd >= 0 ? 0 : fail(load, -errno, "epoll");
    for (uint32_t i = 0; i < load->conns && rc == 0; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->all[i]};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, load->all[i].fd, &event) != 0)
            rc = fail(load, -errno, "epoll");
        else
            rc = fill(load, &load->all[i], sf_mono_ns());
    }
    while (rc == 0 && !*load->stop && outstanding(load) > 0) {
        const int count = epoll_wait(epoll_fd, events, EVENTS_MAX, 100);
        for (int i = 0; i < count && rc == 0; i++)
            rc = serve(load, events[i].data.ptr);
        /* What a full socket left behind. */
        for (uint32_t i = 0; count == 0 && i < load->conns && rc == 0; i++)
            rc = flush(load, &load->all[i]);
    }
    if (epoll_fd >= 0)
        (void)close(epoll_fd);
    return NULL;
}
