/* cli/ask.c - see ask.h. */
#include "cli/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "cli/worker.h"
#include "coord/layout_json.h"
#include "wire/frame.h"

#define WAIT_MS    3000
#define ANSWER_MAX SF_WIRE_FRAME_MAX

/* --- one request by the data protocol --- */

/* Waits until the socket can do that. Returns 0 or -ETIMEDOUT. */
static int wait_for(int fd, short events, int64_t end_ms)
{
    struct pollfd wanted = {.fd = fd, .events = events};
    for (;;) {
        const int64_t left_ms = end_ms - sf_mono_ns() / SF_NS_PER_MS;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        const int ready = poll(&wanted, 1, (int)left_ms);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
    }
}

static int connect_to(const struct addrinfo *address, int64_t end_ms)
{
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : -errno;
    if (rc == -EINPROGRESS)
        rc = wait_for(fd, POLLOUT, end_ms);
    if (rc == 0) {
        int failed = 0;
        socklen_t size = sizeof failed;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0)
            failed = errno;
        rc = -failed;
    }
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* Returns the size of the frame that came; a negative errno code: -EPROTO for what is no frame of
 * ours. */
static ssize_t read_frame(int fd, uint8_t *to, int64_t end_ms, struct sf_wire_header *ret)
{
    size_t have = 0;
    for (;;) {
        const enum sf_wire_scan scan = sf_wire_scan(to, have, ret);
        if (scan == SF_WIRE_COMPLETE)
            return (ssize_t)have;
        if (scan != SF_WIRE_PARTIAL || have == ANSWER_MAX)
            return -EPROTO;
        const int rc = wait_for(fd, POLLIN, end_ms);
        if (rc != 0)
            return rc;
        const ssize_t got = recv(fd, to + have, ANSWER_MAX - have, 0);
        if (got == 0)
            return have == 0 ? -ECONNRESET : -EPROTO;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (got > 0)
            have += (size_t)got;
    }
}

static int exchange(int fd, int64_t end_ms, json_t **ret)
{
    uint8_t request[SF_WIRE_HEADER_SIZE];
    struct sf_wire_header header;
    const size_t size = sf_wire_put_request(request, sizeof request, SF_WIRE_INFO, 1, NULL, 0);
    if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
        return -errno;
    uint8_t *answer = malloc(ANSWER_MAX);
    if (answer == NULL)
        abort();
    const ssize_t got = read_frame(fd, answer, end_ms, &header);
    int rc = got < 0 ? (int)got : -EPROTO;
    if (got > 0 && header.type == (SF_WIRE_INFO | SF_WIRE_RESPONSE) && header.code == SF_WIRE_OK)
        *ret = json_loadb((const char *)answer + SF_WIRE_HEADER_SIZE,
                          header.length + 4 - SF_WIRE_HEADER_SIZE, JSON_REJECT_DUPLICATES, NULL);
    if (*ret != NULL)
        rc = 0;
    free(answer);
    return rc;
}

static int info_of(const struct addrinfo *address, uint32_t timeout_ms, json_t **ret)
{
    const int64_t end_ms = sf_mono_ns() / SF_NS_PER_MS + timeout_ms;
    const int fd = connect_to(address, end_ms);
    if (fd < 0)
        return fd;
    const int rc = exchange(fd, end_ms, ret);
    close(fd);
    return rc;
}

/* --- what an answer says --- */

static int judge_id(const char *where, const json_t *info, const char *id,
                    struct sf_cli_asked *asked)
{
    if (id[0] == '\0')
        return -1;
    if (asked->fleet_id[0] != '\0' && strcmp(asked->fleet_id, id) != 0)
        return sf_cli_fail(SF_CLI_FAILED,
                           "--ask: %s is of the fleet %s, %s of %s; ask the workers of one fleet",
                           asked->where, asked->fleet_id, where, id);
    if (asked->fleet_id[0] != '\0')
        return -1;
    struct sf_error err = {0};
    const json_t *epoch = json_object_get(info, "epoch_ms");
    if (!json_is_integer(epoch) ||
        sf_layout_from_json(json_object_get(info, "layout"), &asked->layout, &err) != 0)
        return sf_cli_fail(SF_CLI_FAILED,
                           "--ask: %s tells no epoch and layout that can be used: %s", where,
                           err.text);
    (void)snprintf(asked->fleet_id, sizeof asked->fleet_id, "%s", id);
    asked->epoch_ms = json_integer_value(epoch);
    return -1;
}

static int judge(const char *where, const json_t *info, const char *fleet,
                 struct sf_cli_asked *asked)
{
    const char *name = sf_cli_text_at(info, "fleet", "");
    if (strcmp(name, fleet) != 0)
        return sf_cli_fail(SF_CLI_FAILED, "--ask: %s is of the fleet \"%s\", not of \"%s\"", where,
                           name, fleet);
    const json_t *until = json_object_get(info, "may_spend_until_ms");
    if (!json_is_integer(until))
        return sf_cli_fail(
            SF_CLI_FAILED,
            "--ask: %s does not tell how far it may have minted (may_spend_until_ms): it is older "
            "than this tool; stop it, or name a floor with --floor-ms",
            where);
    const char *id = sf_cli_text_at(info, "fleet_id", "");
    const int code = judge_id(where, info, strlen(id) < sizeof asked->fleet_id ? id : "", asked);
    if (code >= 0)
        return code;
    if (asked->answers++ == 0)
        (void)snprintf(asked->where, sizeof asked->where, "%s", where);
    if (json_integer_value(until) <= asked->may_spend_until_ms)
        return -1;
    asked->may_spend_until_ms = json_integer_value(until);
    (void)snprintf(asked->latest, sizeof asked->latest, "%s", where);
    return -1;
}

/* Silence proves nothing: whoever is there may mint on. Where nobody listens, or no such name is, nobody
 * is. */
static int silent(const char *where, int rc, const char *why, bool force)
{
    if (!force && rc != -ECONNREFUSED && rc != -ENOENT)
        return sf_cli_fail(SF_CLI_FAILED,
                           "--ask: %s does not answer (%s), and may be minting all the same. "
                           "Nothing was changed. If "
                           "it is gone: leave it out, or --force",
                           where, why);
    (void)fprintf(stderr, "snowfleet: --ask: %s does not answer (%s)\n", where, why);
    return -1;
}

static int ask_address(const char *named, const struct addrinfo *address, const char *fleet,
                       bool force, struct sf_cli_asked *asked)
{
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?", where[SF_CLI_ASK_WHERE_MAX];
    (void)getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(where, sizeof where, "%.200s (%.60s:%.8s)", named, host, port);
    json_t *info = NULL;
    const int rc = info_of(address, WAIT_MS, &info);
    if (rc == -EPROTO || rc == -ECONNRESET)
        return sf_cli_fail(
            SF_CLI_FAILED,
            "--ask: %s answers, but not as a worker without TLS does; ask its admin port "
            "(--ask http://HOST:PORT, https://HOST:PORT), or leave it out",
            where);
    if (rc != 0) {
        return silent(where, rc, strerror(-rc), force);
    }
    const int code = judge(where, info, fleet, asked);
    json_decref(info);
    return code;
}

static int ask_data(const char *named, const char *fleet, bool force, struct sf_cli_asked *asked)
{
    struct sf_host_port at;
    char port[8];
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (sf_parse_host_port(named, SF_WIRE_DEFAULT_PORT, false, &at) != 0)
        return sf_cli_fail(
            SF_CLI_USAGE,
            "--ask: \"%s\" is not allowed; HOST, HOST:PORT, [IPV6]:PORT, http://HOST:PORT and "
            "https://HOST:PORT are",
            named);
    (void)snprintf(port, sizeof port, "%u", at.port);
    const int failed = getaddrinfo(at.host, port, &hints, &list);
    if (failed != 0) {
        const bool nobody = failed == EAI_NONAME || failed == EAI_NODATA;
        return silent(named, nobody ? -ENOENT : -EAGAIN, gai_strerror(failed), force);
    }
    int code = -1;
    for (const struct addrinfo *a = list; a != NULL && code < 0; a = a->ai_next)
        code = ask_address(named, a, fleet, force, asked);
    freeaddrinfo(list);
    return code;
}

static int ask_admin(const char *url, const char *fleet, const struct sf_cli_admin *like,
                     bool force, struct sf_cli_asked *asked)
{
    const struct sf_cli_admin admin = {.url = url, .token_file = like->token_file, .ca = like->ca};
    json_t *status = NULL;
    struct sf_error err = {0};
    const int rc = sf_cli_get_json(&admin, "/status", WAIT_MS, &status, &err);
    if (rc == -EINVAL)
        return sf_cli_fail(SF_CLI_USAGE, "--ask: %s", err.text);
    if (rc == -EPROTO)
        return sf_cli_fail(SF_CLI_FAILED, "--ask: %s", err.text);
    if (rc != 0) {
        return silent(url, rc, err.text, force);
    }
    const int code = judge(url, status, fleet, asked);
    json_decref(status);
    return code;
}

int sf_cli_ask(const struct sf_cli_list *where, const char *fleet, const struct sf_cli_admin *admin,
               bool force, struct sf_cli_asked *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < where->count; i++) {
        const char *named = where->items[i];
        const int code = strstr(named, "://") != NULL ? ask_admin(named, fleet, admin, force, ret)
                                                      : ask_data(named, fleet, force, ret);
        if (code >= 0)
            return code;
    }
    return -1;
}
