/* A load generator for servers of the protocol (and for bench_echo): many connections, many
 * requests on the way on each.
 *
 *   bench_load --port P [--host H | --unix PATH] [-c CONNS] [-d DEPTH] [-b BATCH] [-t SECONDS] [-w
 * WARMUP_SECONDS] [-T THREADS]
 *              [--rate REQUESTS_PER_S] [--redis] [--json]
 *
 * Closed loop: each connection keeps DEPTH requests on the way. With --rate the loop is open:
 * requests are due at fixed times whatever the answers do, and latency counts from when a request
 * was due, so a server that stalls cannot hide it (no coordinated omission). DEPTH then bounds what
 * one connection has on the way; what is due meanwhile is sent later and counted from its due time.
 *
 * --redis: the server is Redis, and a request is the INCR of one key that redis-benchmark sends. So
 * both servers are driven by the same program.
 * With --tls the connections are encrypted (the server's certificate is not looked at). With
 * --reconnect every request has a connection of its own, which is set up anew and counts.
 *
 * Every answer is checked: request_id in order, IDs ascending on a connection (not for bench_echo,
 * whose IDs are zero). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/parse.h"
#include "base/ticks.h"
#include "base/unix_address.h"
#include "wire/frame.h"

#define IN_MAX      (1U << 17)
#define DEPTH_MAX   65536
#define THREADS_MAX 16
#define WAIT_MIN_NS 10000
#define WAIT_MAX_NS 50000000
/* Latencies: 32 steps in each power of two of nanoseconds, so within 3 %. */
#define STEPS   32
#define BUCKETS (STEPS * 40)

struct options {
    const char *host, *path; /* path NULL: TCP */
    uint64_t port, connections, depth, batch, seconds, warmup, threads, rate;
    bool json, redis, tls, reconnect;
};

static const char redis_incr[] = "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:__rand_int__\r\n";
#define REQUEST_MAX 48 /* bytes of either kind */
_Static_assert(sizeof redis_incr <= REQUEST_MAX, "a request fits");

struct connection {
    int fd;
    SSL *ssl; /* NULL: plain */
    bool writable;
    uint32_t sent, answered; /* requests; their difference is on the way */
    uint64_t last_id;
    int64_t *due_ns; /* of each request on the way, a ring of depth */
    int64_t next_due_ns;
    size_t in_size, out_at, out_size;
    uint8_t *in, *out;
};

struct load {
    const struct options *options;
    unsigned number;
    unsigned connection_count;
    struct connection *connections;
    int epoll;
    int64_t begin_ns, end_ns; /* of what is counted */
    int64_t period_ns;        /* open loop: of one connection */
    uint64_t requests, ids, errors, order_errors;
    uint64_t statuses[16];
    uint64_t latencies[BUCKETS];
    uint64_t max_ns;
};

static unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    const unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    const unsigned bucket = (power - 4) * STEPS + (unsigned)((ns >> (power - 5)) & (STEPS - 1));
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_ns(unsigned bucket)
{
    if (bucket < STEPS)
        return bucket;
    const unsigned power = bucket / STEPS + 4;
    return (double)((uint64_t)(STEPS + bucket % STEPS) << (power - 5)) * (1 + 0.5 / STEPS);
}

static SSL_CTX *tls; /* NULL: plain */

/* Blocks until the connection is set up. */
static void connect_to(const struct options *o, struct connection *c)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ip;
        struct sockaddr_un local;
    } address = {.ip = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)}};
    socklen_t size = sizeof address.ip;
    const int on = 1;
    if (o->path != NULL && sf_unix_address(o->path, &address.local, &size) != 0) {
        fprintf(stderr, "bench_load: --unix must be " SF_UNIX_RULE "\n");
        exit(64);
    }
    if (o->path == NULL && inet_pton(AF_INET, o->host, &address.ip.sin_addr) != 1) {
        fprintf(stderr, "bench_load: --host must be an IPv4 address\n");
        exit(64);
    }
    c->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, &address.any, size) != 0) {
        perror("bench_load: connect");
        exit(1);
    }
    if (o->path == NULL)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls == NULL)
        return;
    c->ssl = SSL_new(tls);
    SF_ASSERT(c->ssl != NULL && SSL_set_fd(c->ssl, c->fd) == 1);
    if (SSL_connect(c->ssl) != 1) {
        fprintf(stderr, "bench_load: the TLS handshake failed\n");
        exit(1);
    }
}

/* As send and recv that do not wait: bytes, -1 with EAGAIN. */
static ssize_t transfer(struct connection *c, uint8_t *bytes, size_t size, bool out)
{
    if (c->ssl == NULL)
        return out ? send(c->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT)
                   : recv(c->fd, bytes, size, MSG_DONTWAIT);
    const int n = out ? SSL_write(c->ssl, bytes, (int)size) : SSL_read(c->ssl, bytes, (int)size);
    if (n > 0)
        return n;
    const int error = SSL_get_error(c->ssl, n);
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static void prepare(struct load *load, struct connection *c)
{
    const struct options *o = load->options;
    c->due_ns = calloc(o->depth, sizeof *c->due_ns);
    c->in = malloc(IN_MAX);
    c->out = malloc(o->depth * REQUEST_MAX);
    SF_ASSERT(c->due_ns != NULL && c->in != NULL && c->out != NULL);
    if (o->reconnect)
        return;
    connect_to(o, c);
    SF_ASSERT(fcntl(c->fd, F_SETFL, O_NONBLOCK) == 0);
    c->writable = true;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    SF_ASSERT(epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0);
}

static size_t put_request(const struct options *o, uint8_t *to, uint32_t request_id)
{
    const struct sf_wire_next next = {.count = (uint32_t)o->batch};
    if (!o->redis)
        return sf_wire_put_next(to, REQUEST_MAX, request_id, &next);
    memcpy(to, redis_incr, sizeof redis_incr - 1);
    return sizeof redis_incr - 1;
}

/* Sends what may be on the way and is due. */
static void fill(struct load *load, struct connection *c, int64_t now_ns)
{
    const struct options *o = load->options;
    if (c->out_at == c->out_size) {
        c->out_at = c->out_size = 0;
        while (c->sent - c->answered < o->depth) {
            if (load->period_ns > 0 && c->next_due_ns > now_ns)
                break;
            c->due_ns[c->sent % o->depth] = load->period_ns > 0 ? c->next_due_ns : now_ns;
            c->next_due_ns += load->period_ns;
            c->out_size += put_request(o, c->out + c->out_size, c->sent++);
        }
    }
    while (c->writable && c->out_at < c->out_size) {
        const ssize_t n = transfer(c, c->out + c->out_at, c->out_size - c->out_at, true);
        if (n > 0) {
            c->out_at += (size_t)n;
        } else if (errno == EAGAIN) {
            c->writable = false;
        } else {
            perror("bench_load: send");
            exit(1);
        }
    }
}

/* Bytes of the answer at the front; 0: not all of it is there. */
static size_t answer_size(const struct options *o, const uint8_t *bytes, size_t size)
{
    if (o->redis) {
        const uint8_t *end = memchr(bytes, '\n', size);
        return end == NULL ? 0 : (size_t)(end - bytes) + 1;
    }
    const size_t frame = size < 4 ? SIZE_MAX : 4 + (size_t)sf_load_be32(bytes);
    return frame <= size ? frame : 0;
}

static void take_run(struct load *load, struct connection *c, uint64_t first, uint32_t count)
{
    if (first <= c->last_id && first != 0)
        load->order_errors++;
    c->last_id = first + count - 1;
}

/* ":N", or an error. Returns the status that it stands for. */
static unsigned read_redis(struct load *load, struct connection *c, const uint8_t *line,
                           size_t size, uint64_t *ret_ids)
{
    uint64_t number = 0;
    if (line[0] != ':')
        return SF_WIRE_INTERNAL;
    for (size_t i = 1; i + 2 < size; i++)
        number = number * 10 + (uint64_t)(line[i] - '0');
    take_run(load, c, number, 1);
    *ret_ids = 1;
    return SF_WIRE_OK;
}

static unsigned read_frame(struct load *load, struct connection *c, const uint8_t *frame,
                           size_t size, uint64_t *ret_ids)
{
    const unsigned status = sf_load_be16(frame + 6);
    if (sf_load_be32(frame + 8) != c->answered)
        load->order_errors++;
    for (size_t at = 12; status == SF_WIRE_OK && at + 12 <= size; at += 12) {
        const uint32_t count = sf_load_be32(frame + at + 8);
        take_run(load, c, sf_load_be64(frame + at), count);
        *ret_ids += count;
    }
    return status;
}

static void take_answer(struct load *load, struct connection *c, const uint8_t *bytes, size_t size,
                        int64_t now_ns)
{
    const bool counted = now_ns >= load->begin_ns && now_ns < load->end_ns;
    uint64_t ids = 0;
    const unsigned status =
        (load->options->redis ? read_redis : read_frame)(load, c, bytes, size, &ids);
    if (status == SF_WIRE_OK && ids != load->options->batch)
        load->order_errors++;
    const uint64_t took_ns = (uint64_t)(now_ns - c->due_ns[c->answered % load->options->depth]);
    c->answered++;
    if (!counted)
        return;
    load->statuses[status % 16]++;
    if (status != SF_WIRE_OK) {
        load->errors++;
        return;
    }
    load->requests++;
    load->ids += ids;
    load->latencies[bucket_of(took_ns)]++;
    if (took_ns > load->max_ns)
        load->max_ns = took_ns;
}

static void drain_socket(struct load *load, struct connection *c)
{
    for (;;) {
        const size_t room = IN_MAX - c->in_size;
        const ssize_t n = transfer(c, c->in + c->in_size, room, false);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            fprintf(stderr, "bench_load: the server closed a connection\n");
            exit(1);
        }
        const int64_t now_ns = sf_mono_ns();
        c->in_size += (size_t)n;
        size_t at = 0, size;
        while ((size = answer_size(load->options, c->in + at, c->in_size - at)) > 0) {
            if (load->options->redis || c->in[at + 5] < SF_WIRE_GOAWAY)
                take_answer(load, c, c->in + at, size, now_ns);
            at += size;
        }
        memmove(c->in, c->in + at, c->in_size - at);
        c->in_size -= at;
        if (c->ssl == NULL && (size_t)n < room) /* TLS gives record by record */
            return;
    }
}

/* Never less than a little, or the generator would take a core from the server it measures. */
static int64_t wait_until_due_ns(int64_t ns)
{
    return ns < WAIT_MIN_NS ? WAIT_MIN_NS : ns > WAIT_MAX_NS ? WAIT_MAX_NS : ns;
}

/* One connection after the other, with one request each. */
static void run_reconnecting(struct load *load)
{
    struct connection *c = &load->connections[0];
    const struct linger at_once = {.l_onoff = 1}; /* or the ports run out */
    for (int64_t now_ns = sf_mono_ns(); now_ns < load->end_ns; now_ns = sf_mono_ns()) {
        const uint32_t answered = c->answered;
        c->last_id = 0;
        c->in_size = c->out_at = c->out_size = 0;
        connect_to(load->options, c);
        c->writable = true;
        SF_ASSERT(fcntl(c->fd, F_SETFL, O_NONBLOCK) == 0);
        fill(load, c, now_ns);
        struct pollfd pollfd = {.fd = c->fd, .events = POLLIN};
        while (c->answered == answered && poll(&pollfd, 1, 10000) == 1)
            drain_socket(load, c);
        SF_ASSERT(c->answered == c->sent);
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        SSL_free(c->ssl);
        close(c->fd);
    }
}

static void *run(void *arg)
{
    struct load *load = arg;
    if (load->options->reconnect) {
        run_reconnecting(load);
        return NULL;
    }
    prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    const int64_t start_ns = sf_mono_ns();
    for (unsigned i = 0; i < load->connection_count; i++) {
        load->connections[i].next_due_ns = start_ns + load->period_ns * i / load->connection_count;
        fill(load, &load->connections[i], start_ns);
    }
    int64_t due_ns = start_ns; /* open loop: of the next request of any connection */
    for (int64_t now_ns = start_ns; now_ns < load->end_ns; now_ns = sf_mono_ns()) {
        struct epoll_event events[256];
        const struct timespec wait = {
            .tv_nsec = load->period_ns > 0 ? wait_until_due_ns(due_ns - now_ns) : WAIT_MAX_NS};
        int count = epoll_pwait2(load->epoll, events, 256, &wait, NULL);
        if (count < 0 && errno == ENOSYS)
            count = epoll_wait(load->epoll, events, 256, 1);
        now_ns = sf_mono_ns();
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                c->writable = true;
            drain_socket(load, c);
            fill(load, c, load->options->depth == 1 || load->period_ns > 0 ? sf_mono_ns() : now_ns);
        }
        now_ns = sf_mono_ns();
        due_ns = INT64_MAX;
        for (unsigned i = 0; load->period_ns > 0 && i < load->connection_count; i++) {
            struct connection *c = &load->connections[i];
            if (c->next_due_ns <= now_ns)
                fill(load, c, now_ns);
            if (c->next_due_ns < due_ns)
                due_ns = c->next_due_ns;
        }
    }
    return NULL;
}

static double quantile_us(const struct load *sum, double q)
{
    uint64_t upto = 0;
    const double rank = q * (double)sum->requests;
    for (unsigned i = 0; i < BUCKETS; i++) {
        upto += sum->latencies[i];
        if (upto > 0 && (double)upto >= rank)
            return bucket_ns(i) / 1000;
    }
    return 0;
}

static void report_text(const struct load *sum, const double *latencies, double seconds,
                        double cpu_s)
{
    printf("%.0f requests/s, %.0f IDs/s, %" PRIu64 " refused, %" PRIu64
           " out of order, client CPU %.2f s\n",
           (double)sum->requests / seconds, (double)sum->ids / seconds, sum->errors,
           sum->order_errors, cpu_s);
    printf("latency us: p50 %.1f p90 %.1f p95 %.1f p99 %.1f p99.9 %.1f max %.1f\n", latencies[0],
           latencies[1], latencies[2], latencies[3], latencies[4], (double)sum->max_ns / 1000);
    for (uint16_t i = 0; i < 16; i++)
        if (sum->statuses[i] > 0)
            printf("%s %" PRIu64 "\n", sf_wire_status_name(i), sum->statuses[i]);
}

static void report_json(const struct load *sum, const double *latencies, double seconds,
                        double cpu_s)
{
    printf("{\"requests_per_s\":%.0f,\"ids_per_s\":%.0f,\"errors\":%" PRIu64
           ",\"order_errors\":%" PRIu64 ",\"client_cpu_s\":%.2f,",
           (double)sum->requests / seconds, (double)sum->ids / seconds, sum->errors,
           sum->order_errors, cpu_s);
    printf("\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p95\":%.1f,\"p99\":%.1f,\"p999\":%.1f,"
           "\"max\":%.1f},"
           "\"statuses\":{",
           latencies[0], latencies[1], latencies[2], latencies[3], latencies[4],
           (double)sum->max_ns / 1000);
    const char *comma = "";
    for (uint16_t i = 0; i < 16; i++) {
        if (sum->statuses[i] == 0)
            continue;
        printf("%s\"%s\":%" PRIu64, comma, sf_wire_status_name(i), sum->statuses[i]);
        comma = ",";
    }
    puts("}}");
}

static void report(const struct load *sum, const struct options *o, double cpu_s)
{
    static const double quantiles[] = {0.5, 0.9, 0.95, 0.99, 0.999};
    double latencies[5];
    for (int i = 0; i < 5; i++)
        latencies[i] = quantile_us(sum, quantiles[i]);
    (o->json ? report_json : report_text)(sum, latencies, (double)o->seconds, cpu_s);
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const struct {
            const char *name;
            uint64_t *value, max;
        } numbers[] = {{"--port", &o->port, 65535},      {"-c", &o->connections, 60000},
                       {"-d", &o->depth, DEPTH_MAX},     {"-b", &o->batch, 65536},
                       {"-t", &o->seconds, 86400},       {"-w", &o->warmup, 3600},
                       {"-T", &o->threads, THREADS_MAX}, {"--rate", &o->rate, 100000000}};
        const struct {
            const char *name;
            bool *value;
        } flags[] = {{"--json", &o->json},
                     {"--tls", &o->tls},
                     {"--reconnect", &o->reconnect},
                     {"--redis", &o->redis}};
        size_t f = 0;
        while (f < sizeof flags / sizeof flags[0] && strcmp(argv[i], flags[f].name) != 0)
            f++;
        if (f < sizeof flags / sizeof flags[0]) {
            *flags[f].value = true;
            continue;
        }
        if (strcmp(argv[i], "--host") == 0 && i + 1 < argc) {
            o->host = argv[++i];
            continue;
        }
        if (strcmp(argv[i], "--unix") == 0 && i + 1 < argc) {
            o->path = argv[++i];
            continue;
        }
        size_t n = 0;
        while (n < sizeof numbers / sizeof numbers[0] && strcmp(argv[i], numbers[n].name) != 0)
            n++;
        if (n == sizeof numbers / sizeof numbers[0] || ++i == argc ||
            sf_parse_u64(argv[i], 0, numbers[n].max, numbers[n].value) != 0)
            return false;
    }
    if (o->redis && o->batch != 1)
        return false;
    return o->port > 0 && o->connections > 0 && o->depth > 0 && o->batch > 0 && o->seconds > 0 &&
           o->threads > 0 && o->threads <= o->connections &&
           (!o->reconnect || (o->depth == 1 && o->connections == o->threads && o->rate == 0));
}

int main(int argc, char **argv)
{
    struct options o = {.host = "127.0.0.1",
                        .connections = 8,
                        .depth = 64,
                        .batch = 1,
                        .seconds = 5,
                        .warmup = 1,
                        .threads = 1};
    if (!parse(argc, argv, &o)) {
        fprintf(
            stderr,
            "usage: bench_load --port P [--host H | --unix PATH] [-c CONNS] [-d DEPTH] [-b BATCH] "
            "[-t SECONDS] [-w WARMUP]\n"
            "                  [-T THREADS] [--rate REQUESTS_PER_S] [--redis] [--tls] "
            "[--json]\n"
            "       bench_load --reconnect -d 1 -c N -T N ...\n");
        return 64;
    }
    if (o.tls) {
        tls = SSL_CTX_new(TLS_client_method());
        SF_ASSERT(tls != NULL);
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    static struct load loads[THREADS_MAX], sum;
    pthread_t handles[THREADS_MAX];
    for (unsigned t = 0; t < o.threads; t++) {
        struct load *load = &loads[t];
        load->options = &o;
        load->number = t;
        load->connection_count =
            (unsigned)(o.connections / o.threads + (t < o.connections % o.threads));
        load->connections = calloc(load->connection_count, sizeof *load->connections);
        load->epoll = epoll_create1(EPOLL_CLOEXEC);
        SF_ASSERT(load->connections != NULL && load->epoll >= 0);
        if (o.rate > 0)
            load->period_ns = (int64_t)(1e9 * (double)o.connections / (double)o.rate);
        for (unsigned i = 0; i < load->connection_count; i++)
            prepare(load, &load->connections[i]);
    }
    const int64_t start_ns = sf_mono_ns();
    for (unsigned t = 0; t < o.threads; t++) {
        loads[t].begin_ns = start_ns + (int64_t)o.warmup * SF_NS_PER_S;
        loads[t].end_ns = loads[t].begin_ns + (int64_t)o.seconds * SF_NS_PER_S;
        SF_ASSERT(pthread_create(&handles[t], NULL, run, &loads[t]) == 0);
    }
    for (unsigned t = 0; t < o.threads; t++) {
        pthread_join(handles[t], NULL);
        sum.requests += loads[t].requests;
        sum.ids += loads[t].ids;
        sum.errors += loads[t].errors;
        sum.order_errors += loads[t].order_errors;
        sum.max_ns = loads[t].max_ns > sum.max_ns ? loads[t].max_ns : sum.max_ns;
        for (unsigned i = 0; i < BUCKETS; i++)
            sum.latencies[i] += loads[t].latencies[i];
        for (unsigned i = 0; i < 16; i++)
            sum.statuses[i] += loads[t].statuses[i];
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    report(&sum, &o,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return sum.order_errors == 0 && sum.requests > 0 ? 0 : 1;
}
