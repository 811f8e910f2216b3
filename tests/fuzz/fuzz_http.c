/* The admin port: any bytes to a real one, over a socket. It answers with HTTP or not at all, and
 * what it repeats of bad input is printable ASCII. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"

static void readiness(void *ctx, struct sf_readiness *ret)
{
    (void)ctx;
    ret->ready = true;
    for (unsigned i = 0; i < SF_CHECKS; i++)
        ret->checks[i].ok = true;
}

static bool live(void *ctx, struct sf_strbuf *to)
{
    (void)ctx;
    (void)to;
    return true;
}

static bool started(void *ctx)
{
    (void)ctx;
    return true;
}

static void object(void *ctx, struct sf_strbuf *to)
{
    (void)ctx;
    sf_strbuf_addf(to, "{\"workers\":[{\"admin\":\"127.0.0.1:7451\"}]}");
}

static void history(void *ctx, uint64_t after, struct sf_strbuf *to)
{
    (void)after;
    object(ctx, to);
}

/* A data port that has answered already. */
static int connect_data(void *ctx, const struct sockaddr *peer, int *ret_fd)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: 14\r\n\r\n{\"ids\":[\"1\"]}";
    static int before = -1;
    int pair[2];
    (void)ctx;
    MUST(peer->sa_family == AF_INET);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    MUST(write(pair[0], text, sizeof text - 1) == sizeof text - 1);
    (void)shutdown(pair[0], SHUT_WR);
    if (before >= 0)
        close(before);
    before = pair[0]; /* open for what is asked */
    *ret_fd = pair[1];
    return 0;
}

static bool is_fleet_admin(void *ctx, const char *address)
{
    (void)ctx;
    return address[0] == 'a';
}

static void drain(void *ctx)
{
    (void)ctx;
}

static int reload(void *ctx, struct sf_strbuf *to)
{
    (void)ctx;
    sf_strbuf_addf(to, "nothing was changed\n");
    return -EINVAL;
}

static uint16_t port(void)
{
    static struct sf_admin *admin;
    if (admin == NULL) {
        const struct sf_admin_options options = {
            .address = {.host = "127.0.0.1"},
            .host = {NULL, readiness, live, started, object, object, history, connect_data, drain,
                     reload, is_fleet_admin},
            .metrics = sf_metrics_create(),
            .log = sf_log_create(STDERR_FILENO, SF_LOG_ERROR, SF_LOG_TEXT)};
        struct sf_error err = {0};
        MUST(sf_admin_create(&options, &admin, &err) == 0);
    }
    return sf_admin_port(admin);
}

/* Behind the input comes a request that ends the connection, as far as the input did not do so or
 * swallow it; then silence is the end. */
static const char last_request[] = "\r\n\r\nGET /livez HTTP/1.0\r\n\r\n";
#define SILENCE_MS 10

static size_t exchange(const uint8_t *data, size_t size, char *answer, size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port())};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t have = 0;
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    if (size > 0)
        (void)!send(fd, data, size, MSG_NOSIGNAL);
    (void)!send(fd, last_request, sizeof last_request - 1, MSG_NOSIGNAL);
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, SILENCE_MS) == 0)
            break;
        const ssize_t got = recv(fd, answer + have, room - have, 0);
        if (got <= 0)
            break;
        have += (size_t)got;
        if (have == room)
            have = room / 2; /* the first line is what matters */
    }
    close(fd);
    return have;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answer[1 << 20];
    const size_t have = exchange(data, size, answer, sizeof answer - 1);
    answer[have] = '\0';
    if (have == 0)
        return 0;
    MUST(have > 12 && strncmp(answer, "HTTP/1.", 7) == 0);
    const char *body = strstr(answer, "\r\n\r\n");
    MUST(body);
    const char *next = strstr(body, "HTTP/1."); /* the answer to what followed */
    if (strncmp(answer + 9, "400", 3) == 0)
        for (const char *c = body + 4; *c && c != next; c++)
            MUST((*c >= ' ' && *c <= '~') || *c == '\n');
    return 0;
}
