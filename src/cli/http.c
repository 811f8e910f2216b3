#include "cli/http.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/strbuf.h"
#include "base/ticks.h"

#define HEAD_MAX 65536

static int wait_for(int fd, short events, int64_t deadline_ns)
{
    struct pollfd pollfd = {.fd = fd, .events = events};
    const int64_t left_ns = deadline_ns - sf_mono_ns();
    const int r = left_ns > 0 ? poll(&pollfd, 1, (int)(left_ns / SF_NS_PER_MS + 1)) : 0;
    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    return r == 0 ? -ETIMEDOUT : 0;
}

static int connect_one(const struct addrinfo *info, int64_t deadline_ns)
{
    const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = 0;
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        error = errno == EINPROGRESS ? -wait_for(fd, POLLOUT, deadline_ns) : errno;
        socklen_t size = sizeof error;
        if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
    }
    if (error == 0)
        return fd;
    (void)close(fd);
    return -error;
}

static int connect_any(const struct sf_host_port *at, int64_t deadline_ns, struct sf_error *err)
{
    char port[8], text[64];
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    (void)snprintf(port, sizeof port, "%u", at->port);
    const int r = getaddrinfo(at->host, port, &hints, &list);
    if (r != 0)
        return sf_error_set(err, -EHOSTUNREACH, "%s: %s", at->host, gai_strerror(r));
    int fd = -EHOSTUNREACH;
    for (const struct addrinfo *info = list; info != NULL && fd < 0; info = info->ai_next)
        fd = connect_one(info, deadline_ns);
    freeaddrinfo(list);
    if (fd < 0)
        return sf_error_set(err, fd, "%s:%s: %s", at->host, port,
                            sf_errno_text(fd, text, sizeof text));
    return fd;
}

static int exchange(int fd, const char *request, struct sf_strbuf *answer, int64_t deadline_ns)
{
    size_t left = strlen(request);
    while (left > 0) {
        const ssize_t sent = send(fd, request, left, MSG_NOSIGNAL);
        if (sent > 0) {
            request += sent;
            left -= (size_t)sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        } else {
            const int r = wait_for(fd, POLLOUT, deadline_ns);
            if (r != 0)
                return r;
        }
    }
    for (;;) {
        char part[16384];
        const ssize_t got = recv(fd, part, sizeof part, 0);
        if (got == 0)
            return answer->failed ? -EFBIG : 0;
        if (got > 0) {
            sf_strbuf_add(answer, part, (size_t)got);
        } else if (errno == EAGAIN || errno == EINTR) {
            const int r = wait_for(fd, POLLIN, deadline_ns);
            if (r != 0)
                return r;
        } else {
            return -errno;
        }
    }
}

/* "HTTP/1.1 200 OK": the three digits, or -1 (RFC 9112, 4). */
static int status_of(const char *line)
{
    static const char pattern[] = "HTTP/#.# ###";
    for (size_t i = 0; pattern[i] != '\0'; i++)
        if (pattern[i] == '#' ? line[i] < '0' || line[i] > '9' : line[i] != pattern[i])
            return -1;
    return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

static int take_apart(const struct sf_strbuf *text, struct sf_cli_answer *ret)
{
    struct sf_cli_answer answer = {0};
    answer.status = text->length == 0 ? -1 : status_of(text->text);
    if (answer.status < 0)
        return -EPROTO;
    const char *body = strstr(text->text, "\r\n\r\n");
    if (body == NULL)
        return -EPROTO;
    body += 4;
    answer.size = text->length - (size_t)(body - text->text);
    answer.body = malloc(answer.size + 1);
    if (answer.body == NULL)
        return -ENOMEM;
    memcpy(answer.body, body, answer.size);
    answer.body[answer.size] = '\0';
    *ret = answer;
    return 0;
}

int sf_cli_http(const char *method, const char *url, const char *path, uint32_t timeout_ms,
                struct sf_cli_answer *ret, struct sf_error *err)
{
    struct sf_host_port at;
    char place[SF_HOST_MAX + 16], request[SF_HOST_MAX + 512], text[64];
    const int64_t deadline_ns = sf_mono_ns() + timeout_ms * SF_NS_PER_MS;
    const char *rest = strncmp(url, "http://", 7) == 0 ? url + 7 : url;
    (void)snprintf(place, sizeof place, "%.*s", (int)strcspn(rest, "/"), rest);
    const char *behind = rest + strcspn(rest, "/");
    if (strstr(rest, "://") != NULL || (behind[0] == '/' && behind[1] != '\0') ||
        sf_parse_host_port(place, 7451, false, &at) != 0)
        return sf_error_set(
            err, -EINVAL, "\"%s\" is no admin address; allowed are http://HOST:PORT and HOST:PORT",
            url);
    /* HTTP/1.0: the answer ends where the connection does, and never comes in chunks. */
    (void)snprintf(
        request, sizeof request,
        "%s %s HTTP/1.0\r\nHost: %s\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n",
        method, path, place);
    const int fd = connect_any(&at, deadline_ns, err);
    if (fd < 0)
        return fd;
    struct sf_strbuf answer;
    sf_strbuf_init(&answer, SF_CLI_HTTP_BODY_MAX + HEAD_MAX);
    int r = exchange(fd, request, &answer, deadline_ns);
    (void)close(fd);
    if (r == 0)
        r = take_apart(&answer, ret);
    sf_strbuf_free(&answer);
    if (r == -EPROTO)
        return sf_error_set(err, r, "%s: what answers there does not speak HTTP", place);
    return r == 0 ? 0 : sf_error_set(err, r, "%s: %s", place, sf_errno_text(r, text, sizeof text));
}

void sf_cli_answer_free(struct sf_cli_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}
