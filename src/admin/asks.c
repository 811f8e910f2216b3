/* Requests for IDs that wait for the data port. */
#include "admin/asks.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "base/thread.h"

#define ASKS_MAX   128        /* the admin port keeps fewer connections */
#define ANSWER_MAX (2U << 20) /* 65,536 IDs and their head are less */

struct sf_admin_ask {
    struct sf_admin_ask *next;
    struct MHD_Connection *connection; /* suspended */
    int fd;
    struct sf_strbuf answer;
    bool whole; /* the answer ended as it should */
};

struct sf_admin_asks {
    pthread_t thread;
    int wake;
    pthread_mutex_t lock; /* guards what follows */
    struct sf_admin_ask *first;
    unsigned count;
    bool ending;
};

/* Takes what is there; false when no more comes. */
static bool read_some(struct sf_admin_ask *ask)
{
    char chunk[16384];
    for (;;) {
        const ssize_t got = recv(ask->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (got > 0) {
            sf_strbuf_add(&ask->answer, chunk, (size_t)got);
            continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        ask->whole = got == 0 && !ask->answer.failed;
        return got < 0 && errno == EAGAIN;
    }
}

/* Its connection goes on: from then on it belongs to an HTTP thread. */
static void finish(struct sf_admin_asks *asks, struct sf_admin_ask *ask)
{
    struct MHD_Connection *connection = ask->connection;
    pthread_mutex_lock(&asks->lock);
    struct sf_admin_ask **at = &asks->first;
    while (*at != ask)
        at = &(*at)->next;
    *at = ask->next;
    asks->count--;
    pthread_mutex_unlock(&asks->lock);
    (void)close(ask->fd);
    ask->fd = -1;
    MHD_resume_connection(connection);
}

struct watched {
    struct pollfd fds[ASKS_MAX + 1]; /* the first: wake */
    struct sf_admin_ask *asks[ASKS_MAX + 1];
    unsigned count;
};

/* False: the end. */
static bool collect(struct sf_admin_asks *asks, struct watched *ret)
{
    ret->fds[0] = (struct pollfd){.fd = asks->wake, .events = POLLIN};
    ret->count = 1;
    pthread_mutex_lock(&asks->lock);
    for (struct sf_admin_ask *ask = asks->first; ask != NULL; ask = ask->next) {
        ret->fds[ret->count] = (struct pollfd){.fd = ask->fd, .events = POLLIN};
        ret->asks[ret->count++] = ask;
    }
    const bool ending = asks->ending;
    pthread_mutex_unlock(&asks->lock);
    return !ending;
}

static void *wait_for_answers(void *arg)
{
    struct sf_admin_asks *asks = arg;
    struct watched watched;
    while (collect(asks, &watched)) {
        eventfd_t wakes;
        if (poll(watched.fds, watched.count, -1) < 0)
            continue;
        if (watched.fds[0].revents != 0)
            (void)eventfd_read(asks->wake, &wakes);
        for (unsigned i = 1; i < watched.count; i++)
            if (watched.fds[i].revents != 0 && !read_some(watched.asks[i]))
                finish(asks, watched.asks[i]);
    }
    for (unsigned i = 1; i < watched.count; i++)
        finish(asks, watched.asks[i]);
    return NULL;
}

int sf_admin_asks_create(struct sf_admin_asks **ret_asks, struct sf_error *err)
{
    struct sf_admin_asks *asks = calloc(1, sizeof *asks);
    if (asks == NULL)
        return sf_error_set(err, -ENOMEM, "admin: out of memory");
    pthread_mutex_init(&asks->lock, NULL);
    asks->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int rc = asks->wake < 0
                       ? -errno
                       : sf_thread_start(&asks->thread, "sf-admin-ids", wait_for_answers, asks);
    if (rc != 0) {
        if (asks->wake >= 0)
            (void)close(asks->wake);
        pthread_mutex_destroy(&asks->lock);
        free(asks);
        return sf_error_set(err, rc, "admin: no thread for /v1/ids");
    }
    *ret_asks = asks;
    return 0;
}

void sf_admin_asks_end(struct sf_admin_asks *asks)
{
    if (asks == NULL)
        return;
    pthread_mutex_lock(&asks->lock);
    asks->ending = true;
    pthread_mutex_unlock(&asks->lock);
    (void)eventfd_write(asks->wake, 1);
    pthread_join(asks->thread, NULL);
}

void sf_admin_asks_destroy(struct sf_admin_asks *asks)
{
    if (asks == NULL)
        return;
    SF_ASSERT(asks->first == NULL);
    (void)close(asks->wake);
    pthread_mutex_destroy(&asks->lock);
    free(asks);
}

static bool hand_over(struct sf_admin_asks *asks, struct sf_admin_ask *ask)
{
    pthread_mutex_lock(&asks->lock);
    const bool taken = !asks->ending && asks->count < ASKS_MAX;
    if (taken) {
        MHD_suspend_connection(ask->connection);
        ask->next = asks->first;
        asks->first = ask;
        asks->count++;
    }
    pthread_mutex_unlock(&asks->lock);
    if (taken)
        (void)eventfd_write(asks->wake, 1);
    return taken;
}

struct sf_admin_ask *sf_admin_ask_begin(struct sf_admin_asks *asks,
                                        struct MHD_Connection *connection, int fd,
                                        const char *request, size_t size)
{
    struct sf_admin_ask *ask = calloc(1, sizeof *ask);
    if (ask == NULL) {
        (void)close(fd);
        return NULL;
    }
    ask->connection = connection;
    ask->fd = fd;
    sf_strbuf_init(&ask->answer, ANSWER_MAX);
    /* The socket's buffer is larger than any request. */
    if (send(fd, request, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size ||
        !hand_over(asks, ask)) {
        sf_admin_ask_free(ask);
        return NULL;
    }
    return ask;
}

char *sf_admin_ask_take(struct sf_admin_ask *ask, size_t *ret_size)
{
    if (!ask->whole || ask->answer.text == NULL)
        return NULL;
    char *text = ask->answer.text;
    *ret_size = ask->answer.length;
    ask->answer.text = NULL;
    return text;
}

void sf_admin_ask_free(struct sf_admin_ask *ask)
{
    if (ask == NULL)
        return;
    if (ask->fd >= 0)
        (void)close(ask->fd);
    sf_strbuf_free(&ask->answer);
    free(ask);
}
