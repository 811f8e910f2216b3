/* The raw connections of chaos_load: pipelined, every answer checked against what was asked. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

struct pipe {
    int fd;
    uint32_t next_id, answered, asked[DEPTH];
    size_t filled;
    bool goaway;
    uint8_t data[FRAME_MAX];
};

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static int dial(const struct sockaddr_in *address)
{
    int error = 0, one = 1;
    socklen_t size = sizeof error;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
        (errno == EINPROGRESS && load_wait_for(fd, POLLOUT, 500) &&
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0))
        return fd;
    close(fd);
    return -1;
}

static bool ask(struct pipe *pipe, uint32_t count)
{
    uint8_t frame[16] = {0, 0, 0, 12, 1, 1};
    pipe->asked[pipe->next_id % DEPTH] = count;
    write_u32(frame + 8, ++pipe->next_id);
    write_u32(frame + 12, count);
    return send(pipe->fd, frame, sizeof frame, MSG_NOSIGNAL) == sizeof frame;
}

/* The answer breaks the protocol. Returns false. */
static bool broken(struct collector *c, const struct pipe *pipe, const char *rule)
{
    char address[INET_ADDRSTRLEN], bytes[3 * 36 + 1] = "";
    inet_ntop(AF_INET, &c->address->sin_addr, address, sizeof address);
    for (size_t i = 0; i < 36 && i < pipe->filled; i++)
        sprintf(bytes + 3 * i, " %02x", pipe->data[i]);
    load_tell_broken(
        c->load,
        "%s connection %u: %s; %u asked, %u answered, the next asked for %u IDs, %zu bytes "
        "here:%s",
        address, c->connection, rule, pipe->next_id, pipe->answered,
        pipe->asked[pipe->answered % DEPTH], pipe->filled, bytes);
    c->bad++;
    return false;
}

/* One answer with its length checked against what was asked. Returns false when the peer breaks the
 * protocol. */
static bool take_answer(struct collector *c, struct pipe *pipe, uint32_t size)
{
    const uint8_t type = pipe->data[5];
    const uint32_t status = (uint32_t)pipe->data[6] << 8 | pipe->data[7];
    uint64_t sum = 0;
    if (type == 0xC0) {
        pipe->goaway = true;
        return true;
    }
    if (type == 0xBF && status == 6) { /* refused at the door */
        c->statuses[status]++;
        return false;
    }
    if (pipe->answered == pipe->next_id)
        return broken(c, pipe, "an answer that nobody asked for");
    if (type != 0x81)
        return broken(c, pipe, "no answer to NEXT");
    if (read_u32(pipe->data + 8) != pipe->answered + 1)
        return broken(c, pipe, "an answer out of order");
    const uint32_t asked = pipe->asked[pipe->answered % DEPTH];
    c->statuses[status < OTHER ? status : OTHER]++;
    if (status != 0) {
        pipe->answered++;
        return size >= 16 || broken(c, pipe, "a refusal without retry_after_ms");
    }
    for (uint32_t at = 12; at + 12 <= size; at += 12) {
        const uint64_t first =
            (uint64_t)read_u32(pipe->data + at) << 32 | read_u32(pipe->data + at + 4);
        const uint32_t count = read_u32(pipe->data + at + 8);
        load_keep(c, first, count, c->connection);
        sum += count;
    }
    if (sum != asked || (size - 12) % 12 != 0)
        return broken(c, pipe, "runs that do not add up to what was asked for");
    pipe->answered++;
    return true;
}

/* Reads what is there. Returns false when the connection is over. */
static bool take(struct collector *c, struct pipe *pipe)
{
    const ssize_t got = recv(pipe->fd, pipe->data + pipe->filled, FRAME_MAX - pipe->filled, 0);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    pipe->filled += (size_t)got;
    while (pipe->filled >= 12) {
        const uint32_t length = read_u32(pipe->data), size = length + 4;
        if (length < 8 || size > FRAME_MAX)
            return broken(c, pipe, "a length that no frame has");
        if (pipe->filled < size)
            break;
        if (!take_answer(c, pipe, size))
            return false;
        pipe->filled -= size;
        memmove(pipe->data, pipe->data + size, pipe->filled);
    }
    return true;
}

static uint32_t draw_count(struct collector *c)
{
    const uint64_t kind = load_random(&c->random) % 4;
    if (kind == 0)
        return 1;
    return 1 + (uint32_t)(load_random(&c->random) % (kind == 1 ? 16 : c->load->batch));
}

/* Life of one connection. */
static void use(struct collector *c, struct pipe *pipe, double *due_ms)
{
    const double mean = c->load->rate / (c->load->raw_per_server * c->load->server_count);
    double heard_ms = load_now_ms();
    while (!c->load->stop) {
        const double now = load_now_ms();
        const uint32_t waiting = pipe->next_id - pipe->answered;
        if (pipe->goaway && waiting == 0)
            return;
        if (!pipe->goaway && waiting < DEPTH && now >= *due_ms) {
            const uint32_t count = draw_count(c);
            *due_ms = (*due_ms < now - 1000 ? now : *due_ms) + count / mean * 1e3;
            if (!ask(pipe, count))
                break;
            if (waiting == 0)
                heard_ms = now;
            continue;
        }
        const double wait = waiting < DEPTH && *due_ms - now < 100 ? *due_ms - now : 100;
        if (load_wait_for(pipe->fd, POLLIN, wait < 1 ? 1 : (int)wait)) {
            heard_ms = now;
            if (!take(c, pipe))
                break;
        } else if (waiting > 0 && now - heard_ms > RAW_TIMEOUT_MS) {
            c->silent++;
            return;
        }
    }
    if (!c->load->stop)
        c->lost++;
}

void *load_run_raw(void *ctx)
{
    struct collector *c = ctx;
    struct pipe *pipe = malloc(sizeof *pipe);
    double due_ms = load_now_ms();
    while (!c->load->stop && pipe != NULL) {
        memset(pipe, 0, sizeof *pipe);
        pipe->fd = dial(c->address);
        if (pipe->fd >= 0) {
            c->connects++;
            c->connection++;
            use(c, pipe, &due_ms);
            close(pipe->fd);
        }
        load_sleep_ms(50 + (double)(load_random(&c->random) % 100));
    }
    free(pipe);
    return NULL;
}
