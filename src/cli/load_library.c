/* cli/load_library.c - the same load through the client library: each of CONNS callers is a client
 * of its own that keeps DEPTH calls under way. So what is measured is what a program that uses the
 * library gets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/load.h"

#define EVENTS_MAX 64
#define WAIT_MS    100

struct sf_load_caller {
    struct sf_load *load;
    struct sf_client *client;
};

static int fail(struct sf_load *load, int code, const char *what)
{
    char text[64];
    (void)snprintf(load->why, sizeof load->why, "%s: %s", what,
                   sf_errno_text(code, text, sizeof text));
    return code;
}

static void submit(struct sf_load_caller *caller, uint32_t calls);

static void done(void *ctx, const struct sf_client_reply *reply)
{
    struct sf_load_caller *caller = ctx;
    struct sf_load *load = caller->load;
    if (reply->error == SF_CLIENT_CANCELLED)
        return; /* by us, at the end */
    load->outcomes[reply->error]++;
    load->ids += reply->count;
    sf_histogram_add(reply->error == SF_CLIENT_OK ? &load->latency : &load->refused,
                     (uint64_t)reply->duration_ns, 1);
    atomic_store_explicit(&load->answers, load->answers + 1, memory_order_relaxed);
    submit(caller, 1);
}

static void submit(struct sf_load_caller *caller, uint32_t calls)
{
    struct sf_load *load = caller->load;
    const struct sf_client_request request = {.count = load->options->batch};
    for (uint32_t left = sf_load_take_budget(load, calls); left > 0; left--) {
        const enum sf_client_error error = sf_client_submit(caller->client, &request, done, caller);
        if (error == SF_CLIENT_OK)
            continue;
        (void)snprintf(load->why, sizeof load->why, "a call cannot begin: %s",
                       sf_client_error_text(error));
        return;
    }
}

int sf_load_library_open(struct sf_load *load, struct sf_cli_servers *servers)
{
    load->callers = calloc(load->conns, sizeof *load->callers);
    if (load->callers == NULL)
        return sf_cli_fail(SF_CLI_BUG, "no memory for %u callers", load->conns);
    for (uint32_t i = 0; i < load->conns; i++) {
        load->callers[i].load = load;
        const int code = sf_cli_servers_open(servers, NULL, &load->callers[i].client);
        if (code >= 0)
            return code;
    }
    return -1;
}

void sf_load_library_free(struct sf_load *load)
{
    for (uint32_t i = 0; load->callers != NULL && i < load->conns; i++)
        sf_client_destroy(load->callers[i].client);
    free(load->callers);
}

static int begin(struct sf_load *load, int epoll_fd)
{
    for (uint32_t i = 0; i < load->conns; i++) {
        struct sf_load_caller *caller = &load->callers[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = caller};
        const int fd = sf_client_fd(caller->client);
        if (fd < 0)
            return fail(load, -EMFILE, "a caller");
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
            return fail(load, -errno, "epoll");
        submit(caller, load->options->depth);
        (void)sf_client_process(caller->client);
    }
    return 0;
}

void *sf_load_library_run(void *ctx)
{
    struct sf_load *load = ctx;
    struct epoll_event events[EVENTS_MAX];
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    const int rc = epoll_fd >= 0 ? begin(load, epoll_fd) : fail(load, -errno, "epoll");
    while (rc == 0 && load->why[0] == '\0' && !*load->stop) {
        const int count = epoll_wait(epoll_fd, events, EVENTS_MAX, WAIT_MS);
        for (int i = 0; i < count; i++)
            (void)sf_client_process(((struct sf_load_caller *)events[i].data.ptr)->client);
    }
    if (epoll_fd >= 0)
        (void)close(epoll_fd);
    return NULL;
}
