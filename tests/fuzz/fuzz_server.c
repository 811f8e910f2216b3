/* A byte stream to the real data port, over a socket: every answer is a whole frame, IDs ascend,
 * there are no more answers than requests can have been sent, and then the server ends as well. The
 * first byte chooses the server (with or without tokens), the second how the stream is cut. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
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

static size_t no_decode(void *ctx, uint64_t id, char *to, size_t size)
{
    (void)ctx, (void)id, (void)to, (void)size;
    return 0;
}

static bool no_time(void *ctx, struct sf_wire_time *ret)
{
    (void)ctx;
    (void)ret;
    return false;
}

static struct sf_server *start(const char *token_file)
{
    static const struct sf_layout layout = SF_DEFAULT_LAYOUT;
    struct sf_generator *gen = calloc(1, sizeof *gen);
    _Atomic uint64_t *word = calloc(1, sizeof *word);
    struct sf_server_options options = {.address = {.host = "127.0.0.1"},
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
                                        .host = {NULL, now_ms, refusal, info, no_time, no_decode},
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
    return sf_server_port(servers[with_tokens]);
}

struct stream {
    uint8_t bytes[1 << 20];
    size_t size, answers;
    uint64_t last;
};

static void take_ids(struct stream *stream, const uint8_t *body, size_t size)
{
    size_t runs;
    uint32_t ids;
    MUST(sf_wire_get_runs(body, size, &runs, &ids) == 0 && ids <= MAX_BATCH);
    MUST(sf_wire_run_at(body, 0).first > stream->last);
    const struct sf_wire_run end = sf_wire_run_at(body, runs - 1);
    stream->last = end.first + end.count - 1;
}

/* Whole frames at the front of the stream. */
static void take_frames(struct stream *stream)
{
    size_t at = 0;
    struct sf_wire_header header;
    while (sf_wire_scan(stream->bytes + at, stream->size - at, &header) == SF_WIRE_COMPLETE) {
        const uint8_t *body = stream->bytes + at + SF_WIRE_HEADER_SIZE;
        const size_t size = header.length - SF_WIRE_LENGTH_MIN;
        struct sf_wire_error error;
        MUST(header.version == SF_WIRE_VERSION && (header.type & SF_WIRE_RESPONSE));
        MUST(header.code < SF_WIRE_STATUSES);
        if (header.code != SF_WIRE_OK)
            MUST(sf_wire_get_error(body, size, &error) == 0 && error.reason_size > 0);
        else if (header.type == (SF_WIRE_NEXT | SF_WIRE_RESPONSE))
            take_ids(stream, body, size);
        stream->answers++;
        at += 4 + (size_t)header.length;
    }
    stream->size -= at;
    memmove(stream->bytes, stream->bytes + at, stream->size);
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
        recv(fd, stream->bytes + stream->size, sizeof stream->bytes - stream->size, 0);
    if (got <= 0)
        return false;
    stream->size += (size_t)got;
    take_frames(stream);
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
    MUST(stream.answers <= (size - 2) / 4);
    return 0;
}
