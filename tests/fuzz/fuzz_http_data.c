/* A byte stream to the HTTP port of the real data plane, over a socket: every answer is whole and well-formed, IDs ascend, there are no more answers than requests
 * can have been sent, and then the server ends as well. The first byte chooses with or without tokens, the second how the stream is cut. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ticks.h"
#include "server/server.h"

#define MAX_BATCH 500

static uint64_t now_ms(void *ctx, int64_t mono_ns)
{
    (void)ctx;
    return (uint64_t)(mono_ns / SF_NS_PER_MS);
}

static void refusal(void *ctx, bool exhausted, struct sf_server_refusal *ret)
{
    (void)ctx;
    (void)exhausted;
    *ret = (struct sf_server_refusal){.status = SF_WIRE_NOT_READY, .reason = "closed"};
}

static size_t info(void *ctx, char *to, size_t size)
{
    (void)ctx;
    return (size_t)snprintf(to, size, "{\"protocol\":1}");
}

static bool no_time(void *ctx, struct sf_wire_time *ret)
{
    (void)ctx;
    (void)ret;
    return false;
}

static size_t decode(void *ctx, uint64_t id, char *to, size_t size)
{
    (void)ctx;
    MUST(id <= INT64_MAX);
    return (size_t)snprintf(to, size, "{}\n");
}

static struct sf_server *start(const char *token_file)
{
    static const struct sf_layout layout = SF_DEFAULT_LAYOUT;
    struct sf_generator *gen = calloc(1, sizeof *gen);
    _Atomic uint64_t *word = calloc(1, sizeof *word);
    struct sf_server_options options = {.address = {.host = "127.0.0.1"},
                                        .http_address = {.host = "127.0.0.1"},
                                        .has_http = true,
                                        .threads = 1,
                                        .limits = {.max_connections = 100,
                                                   .max_batch = MAX_BATCH,
                                                   .max_waiting = 1000,
                                                   .max_wait_ms = 20,
                                                   .sequence_jitter = 16,
                                                   .idle_timeout_ms = 10000,
                                                   .frame_timeout_ms = 10000,
                                                   .write_timeout_ms = 10000},
                                        .generator_count = 1,
                                        .host = {NULL, now_ms, refusal, info, no_time, decode},
                                        .metrics = sf_metrics_create(),
                                        .log = sf_log_create(2, SF_LOG_ERROR, SF_LOG_TEXT),
                                        .token_file = token_file};
    struct sf_server *server = NULL;
    struct sf_error err = {0};
    MUST(gen && word);
    sf_generator_init(gen, &layout, 10, word);
    MUST(sf_generator_open(gen, 1, 2, now_ms(NULL, sf_mono_ns()), UINT64_MAX >> 22) == 0);
    options.generators[0] = gen;
    MUST(sf_server_create(&options, &server, &err) == 0 && sf_server_start(server, &err) == 0);
    return server;
}

static uint16_t port(bool with_tokens)
{
    static struct sf_server *servers[2];
    if (servers[0] == NULL) {
        char path[64];
        const int fd = memfd_create("tokens", MFD_CLOEXEC);
        MUST(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, "one:secret:1000:100\n", 20) == 20);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        servers[0] = start(NULL);
        servers[1] = start(path);
    }
    return sf_server_http_port(servers[with_tokens]);
}

struct stream {
    char bytes[1 << 20];
    size_t size, answers;
    uint64_t last;
};

static void take_ids(struct stream *stream, const char *body, size_t size)
{
    const char *at = body + 8;
    unsigned count = 0;
    MUST(size > 12 && memcmp(body, "{\"ids\":[", 8) == 0 &&
         memcmp(body + size - 3, "]}\n", 3) == 0);
    for (; *at == '"' || *at == ','; count++) {
        char *end;
        const uint64_t id = strtoull(at + (*at == ',') + 1, &end, 10);
        MUST(id > stream->last && *end == '"');
        stream->last = id;
        at = end + 1;
    }
    MUST(at == body + size - 3 && count >= 1 && count <= MAX_BATCH);
}

/* One whole answer at the front: its size, or 0. */
static size_t take_answer(struct stream *stream, const char *bytes, size_t size)
{
    const char *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    const char *length = memmem(bytes, (size_t)(end - bytes), "\r\nContent-Length: ", 18);
    MUST(memcmp(bytes, "HTTP/1.1 ", 9) == 0 && length != NULL);
    MUST(memmem(bytes, (size_t)(end - bytes), "\r\nCache-Control: no-store", 25) != NULL);
    const size_t body = strtoull(length + 18, NULL, 10), head = (size_t)(end + 4 - bytes);
    if (size - head < body)
        return 0;
    MUST(body > 0 && end[3 + body] == '\n');
    if (memcmp(bytes + 9, "200", 3) == 0 && body > 3)
        take_ids(stream, end + 4, body);
    stream->answers++;
    return head + body;
}

/* Takes what is there; false at the end of the stream. wait_ms 0: only what is there already. */
static bool take_some(int fd, struct stream *stream, int wait_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, wait_ms) == 0) {
        MUST(wait_ms == 0);
        return true;
    }
    const ssize_t got =
        recv(fd, stream->bytes + stream->size, sizeof stream->bytes - stream->size - 1, 0);
    if (got <= 0)
        return false;
    stream->size += (size_t)got;
    size_t at = 0;
    for (size_t used; (used = take_answer(stream, stream->bytes + at, stream->size - at)) > 0;)
        at += used;
    stream->size -= at;
    memmove(stream->bytes, stream->bytes + at, stream->size);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stream stream;
    if (size < 2)
        return 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port(data[0] & 1))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    stream.size = stream.answers = stream.last = 0;
    const size_t piece = data[1] == 0 ? size : 1 + data[1] * 13u;
    bool open = true;
    for (size_t at = 2; at < size && open; at += piece) {
        const size_t most = size - at < piece ? size - at : piece;
        if (send(fd, data + at, most, MSG_NOSIGNAL) < 0)
            break;
        open = take_some(fd, &stream, 0);
    }
    (void)shutdown(fd, SHUT_WR);
    while (open)
        open = take_some(fd, &stream, 20000);
    close(fd);
    MUST(stream.size == 0); /* no half of an answer */
    MUST(stream.answers <= (size - 2) / 16 + 1);
    return 0;
}
