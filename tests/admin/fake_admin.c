/* The admin port on a host that a test steers through files in one directory, over real sockets:
 *   fake_admin DIR [PORT]   prints the port, runs until its standard input ends
 * DIR/status.json, DIR/fleet.json and DIR/history.json are what /status, /fleet and /history answer; DIR/slot, DIR/clock ...
 * hold why that check fails (no file: it passes); DIR/stalled what /livez names; DIR/unready why
 * nothing is minted; with DIR/slow IDs are waited for; DIR/started makes /startupz pass; POST /drain makes DIR/drained, and with
 * DIR/ending it has the program end at once, as a worker does that has nothing to finish. /v1/ids
 * counts from 2^62. DIR/tokens, DIR/cert.pem and DIR/key.pem are used where they are there at the start. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "admin/admin.h"
#include "base/ticks.h"
#include "http/answer.h"
#include "http/ask.h"

#define BATCH_MAX      1000
#define SLOW_ANSWER_MS 200
#define FLEET_MAX      (1 << 20)

struct fake {
    const char *dir;
    _Atomic uint64_t next;
    int end[2]; /* a pipe: closing its second end has main stop the admin port */
};

static bool read_into(const struct fake *fake, const char *name, struct sf_strbuf *to)
{
    char path[512], chunk[4096];
    (void)snprintf(path, sizeof path, "%s/%s", fake->dir, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;)
        sf_strbuf_add(to, chunk, n);
    (void)fclose(file);
    return true;
}

static bool read_text(const struct fake *fake, const char *name, char *to, size_t size)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, size - 1);
    const bool found = read_into(fake, name, &buf);
    (void)snprintf(to, size, "%s", buf.text != NULL ? buf.text : "");
    sf_strbuf_free(&buf);
    return found;
}

static void fake_readiness(void *ctx, struct sf_readiness *ret)
{
    ret->ready = true;
    for (unsigned i = 0; i < SF_CHECKS; i++) {
        const char *name = sf_check_name((enum sf_check)i);
        ret->checks[i].ok = !read_text(ctx, name, ret->checks[i].text, SF_CHECK_TEXT_MAX);
        if (ret->checks[i].ok)
            (void)snprintf(ret->checks[i].text, SF_CHECK_TEXT_MAX, "fine");
        ret->ready = ret->ready && ret->checks[i].ok;
    }
}

static bool fake_live(void *ctx, struct sf_strbuf *to)
{
    return !read_into(ctx, "stalled", to);
}

static bool fake_started(void *ctx)
{
    char text[8];
    return read_text(ctx, "started", text, sizeof text);
}

static void fake_status(void *ctx, struct sf_strbuf *to)
{
    if (!read_into(ctx, "status.json", to))
        sf_strbuf_addf(to, "{}");
}

static void fake_fleet(void *ctx, struct sf_strbuf *to)
{
    if (!read_into(ctx, "fleet.json", to))
        sf_strbuf_addf(to, "{}");
}

static void fake_history(void *ctx, uint64_t after, struct sf_strbuf *to)
{
    if (!read_into(ctx, "history.json", to))
        sf_strbuf_addf(to, "{\"after\":%" PRIu64 "}", after);
}

/* The data port's side of a connection: it takes one request and answers it. */
struct data_port {
    struct fake *fake;
    int fd;
};

static size_t answer_ids(struct fake *fake, uint32_t count, char *to, size_t room)
{
    uint8_t run[SF_WIRE_RUN_SIZE];
    struct sf_http_ids ids = {0};
    sf_wire_put_run(run, atomic_fetch_add(&fake->next, count), count);
    const struct sf_http_answer answer = {.status = 200,
                                          .type = "application/json",
                                          .length = sf_http_ids_length(run, 1),
                                          .closes = true};
    const size_t head = sf_http_put_head(to, &answer);
    return head + sf_http_ids_put(&ids, run, 1, to + head, room - head);
}

static void *serve_data(void *arg)
{
    static char answer[1 << 21]; /* one at a time */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct data_port *port = arg;
    char bytes[SF_HTTP_HEAD_MAX], why[SF_HTTP_WHY_MAX];
    struct sf_http_request request;
    struct sf_http_problem problem;
    struct sf_http_ask ask = {0};
    size_t size;
    const ssize_t got = recv(port->fd, bytes, sizeof bytes, 0);
    while (read_text(port->fake, "slow", why, sizeof why))
        sf_sleep_ms(5);
    pthread_mutex_lock(&lock);
    struct sf_http_answer refusal = {.status = 400, .closes = true};
    if (got > 0 && sf_http_parse((uint8_t *)bytes, (size_t)got, &request, &size, &problem) ==
                       SF_HTTP_COMPLETE) {
        refusal.status = sf_http_ask_read(&request, &ask, why);
        if (refusal.status == 0 && read_text(port->fake, "unready", why, sizeof why))
            refusal.status = 503;
        if (refusal.status == 0 && ask.count > BATCH_MAX) {
            refusal.status = 413;
            (void)snprintf(why, sizeof why, "count is %u; allowed are 1 to %d", ask.count,
                           BATCH_MAX);
        }
        size = refusal.status == 0 ? answer_ids(port->fake, ask.count, answer, sizeof answer)
                                   : sf_http_put_error(answer, refusal, why);
        (void)!write(port->fd, answer, size);
    }
    pthread_mutex_unlock(&lock);
    (void)close(port->fd);
    free(arg);
    return NULL;
}

static int fake_connect(void *ctx, const struct sockaddr *peer, int *ret_fd)
{
    int pair[2];
    pthread_t thread;
    struct data_port *port = malloc(sizeof *port);
    if (port == NULL || peer == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return -ENOMEM;
    *port = (struct data_port){ctx, pair[0]};
    *ret_fd = pair[1];
    return pthread_create(&thread, NULL, serve_data, port) == 0 ? pthread_detach(thread) : -EAGAIN;
}

static int fake_reload(void *ctx, struct sf_strbuf *to)
{
    (void)ctx;
    sf_strbuf_addf(to, "{\"changed\": [], \"needs_restart\": []}\n");
    return 0;
}

static void fake_drain(void *ctx)
{
    struct fake *fake = ctx;
    char path[512];
    (void)snprintf(path, sizeof path, "%s/drained", fake->dir);
    FILE *file = fopen(path, "w");
    if (file != NULL)
        (void)fclose(file);
    if (read_text(fake, "ending", path, sizeof path)) {
        (void)close(fake->end[1]);
        sf_sleep_ms(
            SLOW_ANSWER_MS); /* the port is being stopped by now, and we have not answered */
    }
}

/* As the workers of fleet.json say. */
static bool fake_is_fleet_admin(void *ctx, const char *address)
{
    struct sf_strbuf text;
    sf_strbuf_init(&text, FLEET_MAX);
    json_t *fleet = read_into(ctx, "fleet.json", &text) ? json_loads(text.text, 0, NULL) : NULL;
    sf_strbuf_free(&text);
    bool found = false;
    size_t i;
    json_t *worker;
    json_array_foreach(json_object_get(fleet, "workers"), i, worker)
    {
        const char *admin = json_string_value(json_object_get(worker, "admin"));
        found = found || (admin != NULL && strcmp(admin, address) == 0);
    }
    json_decref(fleet);
    return found;
}

/* NULL: there is no such file. */
static const char *path_if_there(const struct fake *fake, const char *name, char *to, size_t size)
{
    (void)snprintf(to, size, "%s/%s", fake->dir, name);
    return access(to, F_OK) == 0 ? to : NULL;
}

static void wait_for_end(const struct fake *fake)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = fake->end[0], .events = POLLIN}};
    char byte;
    while (poll(fds, 2, -1) >= 0 && fds[1].revents == 0)
        if (fds[0].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0)
            return;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3)
        return 64;
    struct fake fake = {.dir = argv[1], .next = UINT64_C(1) << 62};
    struct sf_log *log = sf_log_create(STDERR_FILENO, SF_LOG_WARN, SF_LOG_TEXT);
    struct sf_metrics *metrics = sf_metrics_create();
    if (log == NULL || metrics == NULL || pipe(fake.end) != 0)
        return 70;
    struct sf_metrics_block *block = sf_metrics_block(metrics);
    sf_metrics_add(block, SF_METRIC_IDS_MINTED, 0, 7);
    struct sf_admin_options options = {
        .address = {.host = "127.0.0.1", .port = argc == 3 ? (uint16_t)atoi(argv[2]) : 0},
        .host = {&fake, fake_readiness, fake_live, fake_started, fake_status, fake_fleet,
                 fake_history, fake_connect, fake_drain, fake_reload, fake_is_fleet_admin},
        .metrics = metrics,
        .log = log};
    char tokens[512], cert[512], key[512];
    options.token_file = path_if_there(&fake, "tokens", tokens, sizeof tokens);
    options.tls_cert = path_if_there(&fake, "cert.pem", cert, sizeof cert);
    options.tls_key = path_if_there(&fake, "key.pem", key, sizeof key);
    options.hosts = "worker.example,other.example";
    struct sf_admin *admin = NULL;
    struct sf_error err = {0};
    if (sf_admin_create(&options, &admin, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        sf_metrics_destroy(metrics);
        sf_log_destroy(log);
        return 78;
    }
    (void)printf("%u\n", (unsigned)sf_admin_port(admin));
    (void)fflush(stdout);
    wait_for_end(&fake);
    sf_admin_destroy(admin);
    sf_metrics_destroy(metrics);
    sf_log_destroy(log);
    return 0;
}
