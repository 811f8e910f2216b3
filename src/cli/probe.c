/* cli/probe.c - the probes of verify: a thread for each worker asks and checks; another tells the
 * figures over HTTP. */
#include "cli/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "base/ticks.h"
#include "cli/cli.h"

/* 4096 workers, about 2,300 bytes each. */
#define TEXT_MAX (16 << 20)
/* How long a peer may take to ask, and to read. */
#define PEER_ASK_MS     1000
#define PEER_READ_MS    10000
#define ACCEPT_PAUSE_MS 100

/* Under the mutex. The first finding ends everything, or is told while the others are counted. */
static void found(struct sf_probe *probe, const char *text)
{
    struct sf_probe_shared *shared = probe->shared;
    if (shared->finding[0] == '\0') {
        (void)snprintf(shared->finding, sizeof shared->finding, "%s", text);
        if (shared->go_on)
            (void)sf_cli_fail(SF_CLI_FAILED, "%s", text);
    }
    shared->stop = shared->stop || !shared->go_on;
}

static void check_id(struct sf_probe *probe, uint64_t id, const struct sf_layout *layout,
                     int64_t epoch_ms, int64_t now_ms)
{
    struct sf_probe_shared *shared = probe->shared;
    char text[320];
    uint32_t giver;
    int64_t unix_ms;
    if (!sf_seen_add(shared->seen, id, probe->index, &giver)) {
        probe->duplicates++;
        shared->duplicates++;
        (void)snprintf(text, sizeof text,
                       "DUPLICATE: ID %" PRIu64 " from %s is the same as ID %" PRIu64 " from %s",
                       id, probe->server, id, shared->probes[giver].server);
        found(probe, text);
    }
    if (sf_id_unix_ms(layout, epoch_ms, id, &unix_ms) != 0 || unix_ms < now_ms - shared->skew_ms ||
        unix_ms > now_ms + shared->skew_ms)
        probe->time_errors++;
}

static void check_reply(struct sf_probe *probe, const struct sf_client_reply *reply)
{
    struct sf_layout layout = SF_DEFAULT_LAYOUT;
    int64_t epoch_ms = SF_DEFAULT_EPOCH_MS;
    const int64_t now_ms = sf_real_ns() / SF_NS_PER_MS;
    (void)sf_client_layout(probe->client, &layout, &epoch_ms);
    pthread_mutex_lock(&probe->shared->mutex);
    sf_histogram_add(&probe->latency, (uint64_t)reply->duration_ns, 1);
    for (uint32_t i = 0; i < reply->run_count; i++)
        for (uint32_t k = 0; k < reply->runs[i].count; k++)
            check_id(probe, reply->runs[i].first + k, &layout, epoch_ms, now_ms);
    pthread_mutex_unlock(&probe->shared->mutex);
    probe->ids += reply->count;
}

void *sf_probe_run(void *ctx)
{
    struct sf_probe *probe = ctx;
    struct sf_probe_shared *shared = probe->shared;
    while (!shared->stop && !probe->gone) {
        struct sf_client_reply reply;
        const struct sf_client_request request = {.count = shared->batch};
        const enum sf_client_error error = sf_client_ask(probe->client, &request, &reply);
        probe->requests++;
        if (error == SF_CLIENT_OK) {
            check_reply(probe, &reply);
        } else if (error == SF_CLIENT_ORDER) {
            char text[320];
            probe->order_errors++;
            (void)snprintf(text, sizeof text, "DISORDER: %s: %s", probe->server, reply.detail);
            pthread_mutex_lock(&shared->mutex);
            found(probe, text);
            pthread_mutex_unlock(&shared->mutex);
        } else {
            if (probe->from_fleet)
                probe->unjudged++;
            else
                probe->failures++;
            (void)snprintf(probe->last_failure, sizeof probe->last_failure, "%s", reply.detail);
        }
        sf_client_reply_free(&reply);
        for (uint64_t left = shared->interval_ms; left > 0 && !shared->stop && !probe->gone;) {
            const uint64_t step = left < 100 ? left : 100;
            sf_sleep_ms((int64_t)step);
            left -= step;
        }
    }
    return NULL;
}

void sf_probe_judge(struct sf_probe *probe, bool failed)
{
    const uint64_t count = atomic_exchange(&probe->unjudged, 0);
    if (failed)
        probe->failures += count;
}

/* --- metrics --- */

static void add_counter(struct sf_strbuf *to, const struct sf_probe_shared *shared,
                        const char *name, const char *help, size_t offset)
{
    sf_strbuf_addf(
        to, "# HELP snowfleet_verify_%s_total %s\n# TYPE snowfleet_verify_%s_total counter\n", name,
        help, name);
    for (size_t i = 0; i < shared->count; i++) {
        const _Atomic uint64_t *value =
            (const _Atomic uint64_t *)(const void *)((const char *)&shared->probes[i] + offset);
        sf_strbuf_addf(to, "snowfleet_verify_%s_total{worker=\"%s\"} %" PRIu64 "\n", name,
                       shared->probes[i].server, *value);
    }
}

static void add_durations(struct sf_strbuf *to, struct sf_probe_shared *shared)
{
    static const double bounds_s[] = {10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3,
                                      5e-3,  10e-3, 25e-3, 50e-3,  0.1,    0.25,   0.5,  1};
    sf_strbuf_addf(
        to, "# HELP snowfleet_verify_duration_seconds Time that the prober waited for an answer.\n"
            "# TYPE snowfleet_verify_duration_seconds histogram\n");
    pthread_mutex_lock(&shared->mutex);
    for (size_t i = 0; i < shared->count; i++) {
        const struct sf_histogram *h = &shared->probes[i].latency;
        const char *server = shared->probes[i].server;
        uint64_t below = 0;
        uint32_t bucket = 0;
        for (size_t b = 0; b < sizeof bounds_s / sizeof *bounds_s; b++) {
            for (; bucket < SF_HISTOGRAM_BUCKETS &&
                   (double)sf_histogram_top(bucket) <= bounds_s[b] * 1e9;
                 bucket++)
                below += h->counts[bucket];
            sf_strbuf_addf(
                to,
                "snowfleet_verify_duration_seconds_bucket{worker=\"%s\",le=\"%g\"} %" PRIu64 "\n",
                server, bounds_s[b], below);
        }
        sf_strbuf_addf(
            to,
            "snowfleet_verify_duration_seconds_bucket{worker=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
            "snowfleet_verify_duration_seconds_sum{worker=\"%s\"} %.9f\n"
            "snowfleet_verify_duration_seconds_count{worker=\"%s\"} %" PRIu64 "\n",
            server, h->count, server, (double)h->sum_ns / 1e9, server, h->count);
    }
    pthread_mutex_unlock(&shared->mutex);
}

/* The request up to the end of its first line, which is all that counts; false when it does not
 * come. */
static bool read_request(int fd, char *to, size_t size)
{
    size_t length = 0;
    const int64_t limit_ns = sf_mono_ns() + PEER_ASK_MS * SF_NS_PER_MS;
    while (length + 1 < size && sf_mono_ns() < limit_ns) {
        const ssize_t got = recv(fd, to + length, size - 1 - length, 0);
        if (got <= 0)
            return false;
        length += (size_t)got;
        to[length] = '\0';
        if (strchr(to, '\n') != NULL)
            return true;
    }
    return false;
}

/* A peer that does not read keeps the others from being answered: not for long. */
static void send_all(const struct sf_probe_shared *shared, int fd, const char *data, size_t size)
{
    const int64_t limit_ns = sf_mono_ns() + PEER_READ_MS * SF_NS_PER_MS;
    while (size > 0 && !shared->stop && sf_mono_ns() < limit_ns) {
        const ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        size -= (size_t)sent;
    }
}

static void answer(struct sf_probe_shared *shared, int fd)
{
    char request[2048];
    const struct timeval patience = {.tv_sec = PEER_ASK_MS / 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        !read_request(fd, request, sizeof request))
        return;
    struct sf_strbuf body, head;
    sf_strbuf_init(&body, TEXT_MAX);
    sf_strbuf_init(&head, TEXT_MAX);
    const bool known =
        strncmp(request, "GET /metrics", 12) == 0 && (request[12] == ' ' || request[12] == '?');
    if (known) {
        add_counter(&body, shared, "ids", "IDs that the prober received.",
                    offsetof(struct sf_probe, ids));
        add_counter(&body, shared, "duplicates", "IDs that the prober received twice.",
                    offsetof(struct sf_probe, duplicates));
        add_counter(&body, shared, "order_errors", "IDs that did not ascend on one connection.",
                    offsetof(struct sf_probe, order_errors));
        add_counter(&body, shared, "failures", "Requests of the prober that failed.",
                    offsetof(struct sf_probe, failures));
        add_durations(&body, shared);
    } else {
        sf_strbuf_addf(&body, "only /metrics is here\n");
    }
    sf_strbuf_addf(&head,
                   "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4; "
                   "charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
                   known ? "200 OK" : "404 Not Found", body.length);
    sf_strbuf_add(&head, body.text, body.length);
    if (!head.failed && !body.failed)
        send_all(shared, fd, head.text, head.length);
    sf_strbuf_free(&head);
    sf_strbuf_free(&body);
}

static void *serve_metrics(void *ctx)
{
    struct sf_probe_shared *shared = ctx;
    while (!shared->stop) {
        struct pollfd pollfd = {.fd = shared->metrics_fd, .events = POLLIN};
        if (poll(&pollfd, 1, 100) != 1)
            continue;
        const int fd = accept4(shared->metrics_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            sf_sleep_ms(ACCEPT_PAUSE_MS); /* no descriptors left, say: not in a hurry */
            continue;
        }
        answer(shared, fd);
        (void)close(fd);
    }
    return NULL;
}

int sf_probe_metrics_start(struct sf_probe_shared *shared, const char *address)
{
    struct sf_host_port at;
    char port[8];
    struct addrinfo *list = NULL;
    const int on = 1;
    if (sf_parse_host_port(address, -1, true, &at) != 0)
        return sf_cli_fail(SF_CLI_USAGE,
                           "--metrics: \"%s\" is not allowed; HOST:PORT and :PORT are", address);
    (void)snprintf(port, sizeof port, "%u", at.port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (getaddrinfo(at.host[0] != '\0' ? at.host : NULL, port, &hints, &list) != 0)
        return sf_cli_fail(SF_CLI_CONFIG, "--metrics: %s has no address", at.host);
    const int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                       bind(fd, list->ai_addr, list->ai_addrlen) == 0 && listen(fd, 16) == 0;
    freeaddrinfo(list);
    shared->metrics_fd = fd;
    if (!bound || sf_thread_start(&shared->metrics_thread, "metrics", serve_metrics, shared) != 0) {
        if (fd >= 0)
            (void)close(fd);
        shared->metrics_fd = -1;
        return sf_cli_fail(SF_CLI_CONFIG, "--metrics: cannot listen on %s: %s", address,
                           strerror(errno));
    }
    return -1;
}

void sf_probe_metrics_stop(struct sf_probe_shared *shared)
{
    if (shared->metrics_fd < 0)
        return;
    shared->stop = true;
    pthread_join(shared->metrics_thread, NULL);
    (void)close(shared->metrics_fd);
    shared->metrics_fd = -1;
}
