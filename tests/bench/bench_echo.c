/* A bare epoll server that answers each 16 bytes with 24: what the machine gives to frames of the
 * size of a NEXT for one ID, so the ceiling for any server of the protocol.
 *
 *   bench_echo [--port P] [--threads N]      prints "port P", runs until it is killed
 *
 * Each thread has its listener (SO_REUSEPORT); connections are dealt out in turn, as Snowfleet does
 * it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"

#define REQUEST     16
#define ANSWER      24
#define READ_MAX    16384
#define THREADS_MAX 16

struct echo {
    int listener;
    unsigned threads, next;
    int epolls[THREADS_MAX];
};

struct echo_thread {
    struct echo *echo;
    unsigned number;
};

struct connection {
    int fd;
    size_t have;
    uint8_t rest[REQUEST];
};

static void accept_all(struct echo *echo)
{
    for (;;) {
        const int fd = accept4(echo->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct connection *connection = calloc(1, sizeof *connection);
        SF_ASSERT(connection != NULL);
        connection->fd = fd;
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = connection};
        SF_ASSERT(
            epoll_ctl(echo->epolls[echo->next++ % echo->threads], EPOLL_CTL_ADD, fd, &event) == 0);
    }
}

/* False when the connection is over. Answers that the socket does not take are waited for: good
 * enough for a ceiling. */
static bool serve(struct connection *connection, uint8_t *in, uint8_t *out)
{
    for (;;) {
        memcpy(in, connection->rest, connection->have);
        const ssize_t got = recv(connection->fd, in + connection->have, READ_MAX, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0)
            return false;
        const size_t size = connection->have + (size_t)got, requests = size / REQUEST;
        for (size_t i = 0; i < requests; i++) {
            memcpy(out + i * ANSWER, in + i * REQUEST, REQUEST);
            out[i * ANSWER + 3] = ANSWER - 4;
            out[i * ANSWER + 5] = 0x81;
            memset(out + i * ANSWER + 12, 0, 12);
            out[i * ANSWER + 23] = 1;
        }
        connection->have = size % REQUEST;
        memcpy(connection->rest, in + requests * REQUEST, connection->have);
        for (size_t sent = 0; sent < requests * ANSWER;) {
            const ssize_t n =
                send(connection->fd, out + sent, requests * ANSWER - sent, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN)
                return false;
            sent += n > 0 ? (size_t)n : 0;
        }
        if (got < READ_MAX)
            return true;
    }
}

static void *run(void *arg)
{
    struct echo_thread *thread = arg;
    struct echo *echo = thread->echo;
    uint8_t *in = malloc(READ_MAX + REQUEST), *out = malloc((READ_MAX / REQUEST + 1) * ANSWER);
    SF_ASSERT(in != NULL && out != NULL);
    for (;;) {
        struct epoll_event events[128];
        const int count = epoll_wait(echo->epolls[thread->number], events, 128, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL) {
                accept_all(echo);
            } else if (!serve(connection, in, out)) {
                close(connection->fd);
                free(connection);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct echo echo = {.threads = 1};
    uint64_t port = 0, threads = 1;
    for (int i = 1; i < argc; i += 2) {
        const bool known =
            i + 1 < argc &&
            ((strcmp(argv[i], "--port") == 0 && sf_parse_u64(argv[i + 1], 0, 65535, &port) == 0) ||
             (strcmp(argv[i], "--threads") == 0 &&
              sf_parse_u64(argv[i + 1], 1, THREADS_MAX, &threads) == 0));
        if (!known) {
            fprintf(stderr, "usage: bench_echo [--port P] [--threads N]\n");
            return 64;
        }
    }
    echo.threads = (unsigned)threads;
    const int on = 1;
    echo.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    setsockopt(echo.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(echo.listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(echo.listener, (struct sockaddr *)&address, size) != 0 ||
        listen(echo.listener, 1024) != 0 ||
        getsockname(echo.listener, (struct sockaddr *)&address, &size) != 0) {
        perror("bench_echo");
        return 1;
    }
    static struct echo_thread jobs[THREADS_MAX];
    pthread_t handle;
    for (unsigned i = 0; i < threads; i++) {
        echo.epolls[i] = epoll_create1(EPOLL_CLOEXEC);
        SF_ASSERT(echo.epolls[i] >= 0);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    SF_ASSERT(epoll_ctl(echo.epolls[0], EPOLL_CTL_ADD, echo.listener, &event) == 0);
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = (struct echo_thread){.echo = &echo, .number = i};
        if (i + 1 < threads)
            SF_ASSERT(pthread_create(&handle, NULL, run, &jobs[i]) == 0);
        else
            run(&jobs[i]);
    }
    return 0;
}
