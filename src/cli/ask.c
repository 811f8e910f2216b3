/* cli/ask.c - see ask.h. */
#include "cli/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/parse.h"
#include "cli/ask_data.h"
#include "cli/worker.h"
#include "coord/layout_json.h"
#include "wire/frame.h"

#define WAIT_MS 3000

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

/* Something is there, and it is not known what: with or without TLS. */
static int strange(const char *where, const char *why, const struct sf_cli_admin *like)
{
    return sf_cli_fail(
        SF_CLI_FAILED,
        sf_cli_admin_has_tls(like)
            ? "--ask: %s answers, but not as a worker with TLS does that these certificates fit "
              "(%s); "
              "see --ask-tls-ca, --ask-tls-cert and --ask-tls-key, or leave it out"
            : "--ask: %s answers, but not as a worker without TLS does (%s); with TLS: "
              "--ask-tls-ca; "
              "or ask its admin port (--ask http://HOST:PORT, https://HOST:PORT), or leave it out",
        where, why);
}

static int ask_address(const char *named, const struct sf_host_port *at,
                       const struct addrinfo *address, const char *fleet,
                       const struct sf_cli_admin *like, bool force, struct sf_cli_asked *asked)
{
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?", where[SF_CLI_ASK_WHERE_MAX];
    (void)getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(where, sizeof where, "%.200s (%.60s:%.8s)", named, host, port);
    json_t *info = NULL;
    struct sf_error err = {0};
    const int rc = sf_cli_info(at, host, like, WAIT_MS, &info, &err);
    if (rc == -EINVAL)
        return sf_cli_fail(SF_CLI_USAGE, "--ask: %s", err.text);
    if (rc == -EACCES)
        return sf_cli_fail(SF_CLI_FAILED, "--ask: %s: %s; see --ask-token-file", where, err.text);
    if (rc == -EPROTO || rc == -ECONNRESET)
        return strange(where, err.text, like);
    if (rc != 0)
        return silent(where, rc, err.text, force);
    const int code = judge(where, info, fleet, asked);
    json_decref(info);
    return code;
}

static int ask_data(const char *named, const char *fleet, const struct sf_cli_admin *like,
                    bool force, struct sf_cli_asked *asked)
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
        code = ask_address(named, &at, a, fleet, like, force, asked);
    freeaddrinfo(list);
    return code;
}

static int ask_admin(const char *url, const char *fleet, const struct sf_cli_admin *like,
                     bool force, struct sf_cli_asked *asked)
{
    struct sf_cli_admin admin = *like;
    admin.url = url;
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
                                                      : ask_data(named, fleet, admin, force, ret);
        if (code >= 0)
            return code;
    }
    return -1;
}
