/* cli/layout_of.c - see layout_of.h. */
#include "cli/layout_of.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/parse.h"
#include "cli/ask_data.h"
#include "cli/worker.h"
#include "coord/layout_json.h"
#include "wire/frame.h"

/* Of what INFO or /status say. A worker that has not read its fleet's config yet has null there. */
static int read_told(const char *where, const json_t *told, struct sf_layout *ret_layout,
                     int64_t *ret_epoch_ms)
{
    struct sf_error err = {0};
    const json_t *epoch = json_object_get(told, "epoch_ms");
    const json_t *layout = json_object_get(told, "layout");
    if (json_is_null(epoch) || json_is_null(layout))
        return sf_cli_fail(SF_CLI_UNREACHABLE,
                           "%s does not know its fleet's layout yet: it has not read the "
                           "coordinator; ask another one, or --coordinator",
                           where);
    if (!json_is_integer(epoch) || sf_layout_from_json(layout, ret_layout, &err) != 0)
        return sf_cli_fail(SF_CLI_FAILED, "%s tells no epoch and layout that can be used: %s",
                           where, err.text);
    *ret_epoch_ms = json_integer_value(epoch);
    return -1;
}

static int of_address(const struct sf_host_port *at, const struct addrinfo *address,
                      const struct sf_cli_layout_of *of, json_t **ret_info, struct sf_error *err)
{
    char host[NI_MAXHOST] = "?";
    (void)getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0,
                      NI_NUMERICHOST);
    return sf_cli_info(at, host, &of->admin, (uint32_t)of->fleet.timeout_ms, ret_info, err);
}

static int of_server(const struct sf_cli_layout_of *of, struct sf_layout *ret_layout,
                     int64_t *ret_epoch_ms)
{
    struct sf_host_port at;
    char port[8];
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (sf_parse_host_port(of->server, SF_WIRE_DEFAULT_PORT, false, &at) != 0)
        return sf_cli_fail(SF_CLI_USAGE,
                           "--server: \"%s\" is not allowed here; HOST, HOST:PORT and [IPV6]:PORT "
                           "are; behind a UNIX socket: --admin",
                           of->server);
    (void)snprintf(port, sizeof port, "%u", at.port);
    const int failed = getaddrinfo(at.host, port, &hints, &list);
    if (failed != 0)
        return sf_cli_fail(SF_CLI_UNREACHABLE, "%s: %s", of->server, gai_strerror(failed));
    json_t *info = NULL;
    struct sf_error err = {0};
    int rc = -ENOENT;
    for (const struct addrinfo *a = list; a != NULL && rc != 0; a = a->ai_next)
        rc = of_address(&at, a, of, &info, &err);
    freeaddrinfo(list);
    if (rc != 0)
        return sf_cli_fail(rc == -EINVAL || rc == -EACCES ? SF_CLI_CONFIG : SF_CLI_UNREACHABLE,
                           "%s: %s%s", of->server, err.text,
                           rc == -EACCES ? "; see --token-file" : "");
    const int code = read_told(of->server, info, ret_layout, ret_epoch_ms);
    json_decref(info);
    return code;
}

static int of_admin(const struct sf_cli_layout_of *of, struct sf_layout *ret_layout,
                    int64_t *ret_epoch_ms)
{
    json_t *status = NULL;
    struct sf_error err = {0};
    const int rc =
        sf_cli_get_json(&of->admin, "/status", (uint32_t)of->fleet.timeout_ms, &status, &err);
    if (rc != 0)
        return sf_cli_admin_failed(&of->admin, rc, &err);
    const int code = read_told(of->admin.url, status, ret_layout, ret_epoch_ms);
    json_decref(status);
    return code;
}

static int of_coordinator(const struct sf_cli_layout_of *of, struct sf_layout *ret_layout,
                          int64_t *ret_epoch_ms)
{
    struct sf_cli_fleet fleet = {0};
    struct sf_coord_config config = {0};
    int code = sf_cli_fleet_open(&of->fleet, &fleet);
    if (code < 0)
        code = sf_cli_fleet_config(&fleet, &config);
    sf_cli_fleet_close(&fleet);
    if (code < 0) {
        *ret_layout = config.layout;
        *ret_epoch_ms = config.epoch_ms;
    }
    return code;
}

/* An ID read by another fleet's layout or epoch looks sound, and is wrong by months. */
static void say_assumed(bool layout, bool epoch)
{
    char time[SF_TIME_TEXT_MAX], text[SF_LAYOUT_TEXT_MAX];
    const struct sf_layout standard = SF_DEFAULT_LAYOUT;
    (void)fprintf(stderr,
                  "snowfleet: %s%s%s%s%s assumed; --server, --admin or --coordinator asks the "
                  "fleet, --layout and --epoch-ms say it\n",
                  layout ? "layout " : "", layout ? sf_layout_format(&standard, text) : "",
                  layout && epoch ? " and " : "", epoch ? "epoch " : "",
                  epoch ? sf_format_time_ms(SF_DEFAULT_EPOCH_MS, time, sizeof time) : "");
}

int sf_cli_layout_of(const struct sf_cli_layout_of *of, struct sf_layout *ret_layout,
                     int64_t *ret_epoch_ms)
{
    const bool has_epoch = of->epoch_ms != SF_CLI_NOT_GIVEN_MS;
    const int asked =
        (of->server != NULL) + (of->admin.url != NULL) + (of->fleet.coordinator != NULL);
    if (asked > 1 || (asked == 1 && (of->given.given || has_epoch)))
        return sf_cli_fail(SF_CLI_USAGE,
                           "one of --server, --admin, --coordinator asks the fleet; --layout and "
                           "--epoch-ms are for IDs of a fleet that is not asked");
    if (of->server != NULL)
        return of_server(of, ret_layout, ret_epoch_ms);
    if (of->admin.url != NULL)
        return of_admin(of, ret_layout, ret_epoch_ms);
    if (of->fleet.coordinator != NULL)
        return of_coordinator(of, ret_layout, ret_epoch_ms);
    const bool knows_epoch = has_epoch || of->given.has_epoch;
    *ret_layout = of->given.given ? of->given.layout : SF_DEFAULT_LAYOUT;
    *ret_epoch_ms = has_epoch             ? of->epoch_ms
                    : of->given.has_epoch ? of->given.epoch_ms
                                          : SF_DEFAULT_EPOCH_MS;
    if (!of->given.given || !knows_epoch)
        say_assumed(!of->given.given, !knows_epoch);
    return -1;
}
