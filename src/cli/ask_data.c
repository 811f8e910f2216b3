/* cli/ask_data.c - one INFO over a connection that libcurl makes, TLS included; the frames are ours. */
#include "cli/ask_data.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ticks.h"
#include "cli/token.h"
#include "wire/frame.h"

#define ANSWER_MAX SF_WIRE_FRAME_MAX

enum { REQUEST_AUTH = 1, REQUEST_INFO = 2 };

struct line {
    CURL *curl;
    int64_t end_ms; /* of the monotonic clock */
    char why[CURL_ERROR_SIZE];
    size_t have; /* bytes in `in` */
    uint8_t in[ANSWER_MAX];
};

static int failed(struct line *line, CURLcode result, struct sf_error *err)
{
    const int rc = sf_cli_curl_code(line->curl, result);
    char text[128];
    if (rc == -ECONNREFUSED || rc == -ETIMEDOUT)
        return sf_error_set(err, rc, "%s", sf_errno_text(rc, text, sizeof text));
    return sf_error_set(err, rc, "%s",
                        line->why[0] != '\0' ? line->why : curl_easy_strerror(result));
}

/* Waits until the connection can do that. */
static int wait_for(struct line *line, short events, struct sf_error *err)
{
    struct pollfd wanted = {.fd = -1, .events = events};
    curl_socket_t fd = CURL_SOCKET_BAD;
    char text[128];
    (void)curl_easy_getinfo(line->curl, CURLINFO_ACTIVESOCKET, &fd);
    wanted.fd = fd;
    for (;;) {
        const int64_t left_ms = line->end_ms - sf_mono_ns() / SF_NS_PER_MS;
        if (left_ms <= 0)
            return sf_error_set(err, -ETIMEDOUT, "%s",
                                sf_errno_text(-ETIMEDOUT, text, sizeof text));
        const int ready = poll(&wanted, 1, (int)left_ms);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return sf_error_set(err, -errno, "%s", sf_errno_text(errno, text, sizeof text));
    }
}

static int send_all(struct line *line, const uint8_t *bytes, size_t size, struct sf_error *err)
{
    while (size > 0) {
        size_t sent = 0;
        const CURLcode result = curl_easy_send(line->curl, bytes, size, &sent);
        if (result != CURLE_OK && result != CURLE_AGAIN)
            return failed(line, result, err);
        const int rc = result == CURLE_AGAIN ? wait_for(line, POLLOUT, err) : 0;
        if (rc != 0)
            return rc;
        bytes += sent;
        size -= sent;
    }
    return 0;
}

/* At least one byte more. */
static int read_some(struct line *line, struct sf_error *err)
{
    for (;;) {
        size_t got = 0;
        const CURLcode result =
            curl_easy_recv(line->curl, line->in + line->have, sizeof line->in - line->have, &got);
        if (result == CURLE_OK && got == 0)
            return sf_error_set(err, -ECONNRESET, "it hung up");
        if (result == CURLE_OK) {
            line->have += got;
            return 0;
        }
        if (result != CURLE_AGAIN)
            return failed(line, result, err);
        const int rc = wait_for(line, POLLIN, err);
        if (rc != 0)
            return rc;
    }
}

/* The frame at the front of `in`; pushes are passed over. */
static int read_frame(struct line *line, struct sf_wire_header *ret, struct sf_error *err)
{
    for (;;) {
        const enum sf_wire_scan scan = sf_wire_scan(line->in, line->have, ret);
        if (scan == SF_WIRE_COMPLETE && ret->type < SF_WIRE_GOAWAY)
            return 0;
        if (scan == SF_WIRE_COMPLETE) {
            line->have -= ret->length + 4;
            memmove(line->in, line->in + ret->length + 4, line->have);
            continue;
        }
        if (scan != SF_WIRE_PARTIAL || line->have == sizeof line->in)
            return sf_error_set(err, -EPROTO, "not a frame of the protocol");
        const int rc = read_some(line, err);
        if (rc != 0)
            return rc;
    }
}

/* One request, and its answer at the front of `in`. */
static int exchange(struct line *line, uint8_t type, uint32_t id, const char *body,
                    struct sf_wire_header *ret, struct sf_error *err)
{
    uint8_t request[SF_WIRE_HEADER_SIZE + SF_WIRE_TOKEN_MAX];
    const size_t size = sf_wire_put_request(request, sizeof request, type, id, body,
                                            body != NULL ? strlen(body) : 0);
    line->have = 0;
    int rc = send_all(line, request, size, err);
    explicit_bzero(request, sizeof request);
    if (rc == 0)
        rc = read_frame(line, ret, err);
    if (rc != 0)
        return rc;
    if (ret->request_id != id || ret->type != (type | SF_WIRE_RESPONSE))
        return sf_error_set(err, -EPROTO, "not an answer to what was asked");
    if (ret->code == SF_WIRE_DENIED)
        return sf_error_set(err, -EACCES, "it wants a token%s",
                            type == SF_WIRE_AUTH ? ", another one" : "");
    if (ret->code != SF_WIRE_OK)
        return sf_error_set(err, -EPROTO, "it answers %s", sf_wire_status_name(ret->code));
    return 0;
}

static int show_token(struct line *line, const char *file, struct sf_error *err)
{
    char token[SF_CLI_TOKEN_MAX];
    struct sf_wire_header header;
    int rc = sf_cli_token_read(file, token, err);
    if (rc != 0) {
        err->code = -EINVAL;
        return -EINVAL;
    }
    rc = exchange(line, SF_WIRE_AUTH, REQUEST_AUTH, token, &header, err);
    explicit_bzero(token, sizeof token);
    return rc;
}

static int ask(struct line *line, const struct sf_cli_admin *like, json_t **ret_info,
               struct sf_error *err)
{
    struct sf_wire_header header;
    int rc = like->token_file != NULL ? show_token(line, like->token_file, err) : 0;
    if (rc == 0)
        rc = exchange(line, SF_WIRE_INFO, REQUEST_INFO, NULL, &header, err);
    if (rc != 0)
        return rc;
    *ret_info = json_loadb((const char *)line->in + SF_WIRE_HEADER_SIZE,
                           header.length + 4 - SF_WIRE_HEADER_SIZE, JSON_REJECT_DUPLICATES, NULL);
    return *ret_info != NULL ? 0 : sf_error_set(err, -EPROTO, "its INFO is no JSON");
}

static int dial(struct line *line, const struct sf_cli_admin *like, uint32_t timeout_ms,
                const char *url, struct curl_slist *where, struct sf_error *err)
{
    CURL *curl = line->curl;
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_RESOLVE, where);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* workers are asked directly */
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, line->why);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L); /* it is no HTTP */
    (void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    sf_cli_curl_certificates(curl, like);
    const CURLcode result = curl_easy_perform(curl);
    return result == CURLE_OK ? 0 : failed(line, result, err);
}

int sf_cli_info(const struct sf_host_port *named, const char *address,
                const struct sf_cli_admin *like, uint32_t timeout_ms, json_t **ret_info,
                struct sf_error *err)
{
    char place[SF_HOST_PORT_TEXT_MAX], url[SF_HOST_PORT_TEXT_MAX + 16],
        pin[2 * SF_HOST_PORT_TEXT_MAX];
    struct line *line = calloc(1, sizeof *line);
    if (line == NULL || (line->curl = curl_easy_init()) == NULL)
        abort();
    line->end_ms = sf_mono_ns() / SF_NS_PER_MS + timeout_ms;
    sf_format_host_port(named, place);
    (void)snprintf(url, sizeof url, "%s://%s", sf_cli_admin_has_tls(like) ? "https" : "http",
                   place);
    /* Of a name's addresses this one. (An address is its own name.) */
    (void)snprintf(pin, sizeof pin, strchr(address, ':') != NULL ? "%s:[%s]" : "%s:%s", place,
                   address);
    struct curl_slist *where =
        strchr(named->host, ':') == NULL ? curl_slist_append(NULL, pin) : NULL;
    int rc = dial(line, like, timeout_ms, url, where, err);
    if (rc == 0)
        rc = ask(line, like, ret_info, err);
    curl_easy_cleanup(line->curl);
    curl_slist_free_all(where);
    free(line);
    return rc;
}
