/* The table of options. docs/configuration.md is generated from it (tests/unit/test_config_docs.c).
 */
#include "config/options.h"

#include <stdio.h>
#include <string.h>

#include "base/coordinator.h"

static bool is_fleet_name(const char *text)
{
    size_t size = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return size >= 1 && size <= 63 && text[size] == '\0' && text[0] != '.';
}

static bool is_node(const char *text)
{
    size_t size = strlen(text);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at > '~')
            return false;
    return size >= 1 && size <= 127;
}

static bool is_directory_or_empty(const char *text)
{
    return (text[0] == '\0' || text[0] == '/') && strlen(text) < 4000;
}

static bool is_reachable_address(const char *text)
{
    struct sf_host_port parsed;
    return sf_parse_host_port(text, -1, false, &parsed) == 0;
}

static bool is_user_name(const char *text)
{
    return strlen(text) < 256 && !strchr(text, ':') && !strchr(text, '\n');
}

#define AT(field)      offsetof(struct sf_config, field)
#define A_DAY_MS       86400000
#define AN_HOUR_MS     3600000
#define MOST_IDS_S     INT64_C(1000000000000)
#define FILE_AT(field) SF_OPTION_FILE, AT(field), .fallback = ""
#define ADDRESS_RULE   "HOST:PORT; port 0 stands for the one that is listened on"

const struct sf_option sf_options[] = {
    {"fleet.name", NULL, SF_OPTION_TEXT, AT(fleet_name), .check = is_fleet_name,
     .allowed = "1 to 63 of A-Z a-z 0-9 . _ - and not begin with a dot", .fallback = "default",
     .help = "Namespace in the coordinator."},
    {"fleet.datacenter", NULL, SF_OPTION_U32, AT(fleet_datacenter), .max = 1023, .fallback = "0",
     .help = "This worker's datacenter number. The fleet's layout may allow less."},
    {"fleet.worker", NULL, SF_OPTION_WORKER, AT(fleet_worker), .max = 16383, .fallback = "any",
     .help = "Ask for one slot number only."},
    {"fleet.coordinator", NULL, SF_OPTION_TEXT, AT(fleet_coordinator),
     .check = sf_coordinator_url_ok, .allowed = SF_COORDINATOR_URL_FORMS,
     .fallback_help =
         "`local:///var/lib/snowfleet` for root, else `local://` and `snowfleet` below "
         "`$XDG_STATE_HOME` or `~/.local/state`",
     .help = "Where the fleet keeps who holds which slot."},
    {"fleet.auto_init", NULL, SF_OPTION_BOOL, AT(fleet_auto_init),
     .fallback_help = "`true` for `local:`, else `false`",
     .help = "Create the fleet's config if there is none."},
    {"fleet.node", NULL, SF_OPTION_TEXT, AT(fleet_node), .check = is_node,
     .allowed = "1 to 127 visible ASCII characters", .fallback_help = "the host's name",
     .help = "The name shown for this process."},
    {"fleet.slots_per_worker", NULL, SF_OPTION_U32, AT(fleet_slots_per_worker), .min = 1, .max = 8,
     .fallback = "1", .help = "How many slots this process holds and mints from."},

    {"coordinator.session_timeout_ms", NULL, SF_OPTION_U32, AT(coordinator_session_timeout_ms),
     .min = 1000, .max = 600000, .fallback = "10000",
     .help = "ZooKeeper session or etcd lease: when a dead worker's claim goes away."},
    {"coordinator.username", NULL, SF_OPTION_FILE, AT(coordinator_username), .check = is_user_name,
     .allowed = "less than 256 bytes without a colon or a line break", .fallback = "",
     .help = "User of a ZooKeeper digest ACL, or etcd user."},
    {"coordinator.password_file", NULL, FILE_AT(coordinator_password_file),
     .help = "File with the user's password; must not be readable by others."},
    {"coordinator.tls_ca", NULL, FILE_AT(coordinator_tls_ca),
     .help = "CA certificates (PEM) that the coordinator's certificate must come from."},
    {"coordinator.tls_cert", NULL, FILE_AT(coordinator_tls_cert),
     .help = "Our certificate (PEM) for the coordinator."},
    {"coordinator.tls_key", NULL, FILE_AT(coordinator_tls_key),
     .help = "The key of that certificate (PEM)."},

    {"reservation.window_ms", NULL, SF_OPTION_I64, AT(reservation_window_ms), .min = 1000,
     .max = A_DAY_MS, .fallback = "600000",
     .help = "How long a worker can mint without its coordinator."},
    {"reservation.min_window_ms", NULL, SF_OPTION_I64, AT(reservation_min_window_ms), .min = 1000,
     .max = A_DAY_MS, .fallback_help = "30000, or the window if that is shorter",
     .help = "The window used while the datacenter has fewer free slots than held ones."},
    {"reservation.state_dir", NULL, SF_OPTION_TEXT, AT(reservation_state_dir),
     .check = is_directory_or_empty, .allowed = "an absolute path, or empty for none",
     .fallback_help =
         "`/run/snowfleet` for root, else `$XDG_RUNTIME_DIR/snowfleet` if there is one",
     .help = "A memory file system, for fast restart; empty: none."},

    {"mint.max_ahead_ms", NULL, SF_OPTION_U32, AT(mint_max_ahead_ms), .max = 60000,
     .fallback = "10", .help = "How far an ID's timestamp may run ahead of minting time."},
    {"mint.max_wait_ms", NULL, SF_OPTION_U32, AT(mint_max_wait_ms), .max = AN_HOUR_MS,
     .fallback = "1000", .help = "How long a request may wait for its timestamp."},
    {"mint.max_silence_ms", NULL, SF_OPTION_I64, AT(mint_max_silence_ms), .max = A_DAY_MS,
     .fallback = "0",
     .help =
         "Stop minting when the coordinator has not been heard for this long, reservation or not; "
         "0: off."},
    {"mint.sequence_jitter", NULL, SF_OPTION_U32, AT(mint_sequence_jitter), .max = 65536,
     .fallback = "16",
     .help = "A fresh millisecond starts at a random sequence below this; 0 or 1: at zero."},

    {"listen.address", NULL, SF_OPTION_ADDRESS, AT(listen_address_text), AT(listen_address),
     .fallback = "127.0.0.1:7450",
     .help = "Data port. Port 0 takes a free one; no host means every address."},
    {"listen.threads", NULL, SF_OPTION_U32, AT(listen_threads), .min = 1, .max = 64,
     .fallback_help = "one per CPU, at most 4", .help = "Shards: one event loop each."},
    {"listen.max_connections", NULL, SF_OPTION_U32, AT(listen_max_connections), .min = 1,
     .max = 1000000, .fallback = "10000",
     .help = "With so many, one that is idle for 2 s goes in favour of a new one; else the new one "
             "is refused with OVERLOADED."},
    {"listen.max_batch", NULL, SF_OPTION_U32, AT(listen_max_batch), .min = 1, .max = 65536,
     .fallback = "65536", .help = "The most IDs in one request."},
    {"listen.max_connection_age_ms", NULL, SF_OPTION_U32, AT(listen_max_connection_age_ms),
     .max = A_DAY_MS, .fallback = "0",
     .help =
         "GOAWAY after this, give or take 10 %, so that load spreads after a scale-out; 0: never."},
    {"listen.idle_timeout_ms", NULL, SF_OPTION_U32, AT(listen_idle_timeout_ms), .min = 1,
     .max = A_DAY_MS, .fallback = "300000", .help = "Close a connection that sends nothing."},
    {"listen.frame_timeout_ms", NULL, SF_OPTION_U32, AT(listen_frame_timeout_ms), .min = 1,
     .max = A_DAY_MS, .fallback = "10000",
     .help = "Close a connection that stalls within a frame."},
    {"listen.write_timeout_ms", NULL, SF_OPTION_U32, AT(listen_write_timeout_ms), .min = 1,
     .max = A_DAY_MS, .fallback = "10000",
     .help = "Close a connection that does not read its responses."},
    {"listen.tls_cert", NULL, FILE_AT(listen_tls_cert), .reloaded = true,
     .help = "The server's certificate chain (PEM): turns TLS on."},
    {"listen.tls_key", NULL, FILE_AT(listen_tls_key), .reloaded = true,
     .help = "The key of that certificate (PEM)."},
    {"listen.tls_client_ca", NULL, FILE_AT(listen_tls_client_ca), .reloaded = true,
     .help = "CA certificates (PEM): clients must show a certificate from one of them."},
    {"listen.token_file", NULL, FILE_AT(listen_token_file), .reloaded = true,
     .help = "AUTH tokens, one a line: name:token[:ids_per_s[:burst]]."},

    {"limit.connection_ids_per_s", NULL, SF_OPTION_U64, AT(limit_connection_ids_per_s),
     .max = MOST_IDS_S, .fallback = "0", .reloaded = true,
     .help = "Token bucket of each connection; 0: none."},
    {"limit.connection_burst", NULL, SF_OPTION_U64, AT(limit_connection_burst), .max = MOST_IDS_S,
     .fallback = "0", .reloaded = true, .help = "Size of that bucket; 0: one second's worth."},
    {"limit.worker_ids_per_s", NULL, SF_OPTION_U64, AT(limit_worker_ids_per_s), .max = MOST_IDS_S,
     .fallback = "0", .reloaded = true, .help = "Token bucket of the whole worker; 0: none."},
    {"limit.worker_burst", NULL, SF_OPTION_U64, AT(limit_worker_burst), .max = MOST_IDS_S,
     .fallback = "0", .reloaded = true, .help = "Size of that bucket; 0: one second's worth."},
    {"limit.max_waiting", NULL, SF_OPTION_U32, AT(limit_max_waiting), .min = 1, .max = 1048576,
     .fallback = "65536", .reloaded = true,
     .help = "Requests that may wait for a timestamp; over that OVERLOADED."},

    {"admin.address", NULL, SF_OPTION_ADDRESS, AT(admin_address_text), AT(admin_address),
     .fallback = "127.0.0.1:7451", .help = "HTTP: health, metrics, status, console."},

    {"admin.tls_cert", NULL, FILE_AT(admin_tls_cert),
     .help = "Certificate chain (PEM) of the admin port: turns TLS on there. Read at the start."},
    {"admin.tls_key", NULL, FILE_AT(admin_tls_key), .help = "The key of that certificate (PEM)."},
    {"admin.token_file", NULL, FILE_AT(admin_token_file),
     .help = "Tokens, one a line: name:token. With it everything but health and metrics needs one; "
             "POST /drain needs it where admin.address is not loopback."},

    {"security.seccomp", NULL, SF_OPTION_BOOL, AT(security_seccomp), .fallback = "true",
     .help = "Allow only the system calls that a worker makes, where the system can. --no-seccomp "
             "is the same as false."},

    {"advertise.address", NULL, SF_OPTION_TEXT, AT(advertise_address),
     .check = is_reachable_address, .allowed = ADDRESS_RULE,
     .fallback_help = "listen.address, with the host's name when that is every address",
     .help = "The data port as others are told it."},
    {"advertise.admin", NULL, SF_OPTION_TEXT, AT(advertise_admin), .check = is_reachable_address,
     .allowed = ADDRESS_RULE,
     .fallback_help = "admin.address, with the host's name when that is every address",
     .help = "The admin port as others are told it."},

    {"clock.sources", NULL, SF_OPTION_SOURCES, AT(clock_sources), .fallback = "kernel",
     .help =
         "What tells how far the clock can be trusted: a list (JSON array in the file, separated "
         "by commas elsewhere)."},
    {"clock.poll_ms", NULL, SF_OPTION_U32, AT(clock_poll_ms), .min = 100, .max = AN_HOUR_MS,
     .fallback = "4000", .help = "How often the sources are asked."},
    {"clock.warn_offset_ms", NULL, SF_OPTION_U32, AT(clock_warn_offset_ms), .min = 1,
     .max = AN_HOUR_MS, .fallback = "100",
     .help = "Warn when absolute offset and error bound together exceed this."},
    {"clock.max_offset_ms", NULL, SF_OPTION_U32, AT(clock_max_offset_ms), .min = 1,
     .max = AN_HOUR_MS, .fallback = "1000", .help = "Stop serving when they exceed this."},
    {"clock.require_sync", NULL, SF_OPTION_BOOL, AT(clock_require_sync), .fallback = "false",
     .help = "Never mint on an unsynchronised clock."},

    {"drain.delay_ms", NULL, SF_OPTION_U32, AT(drain_delay_ms), .max = AN_HOUR_MS, .fallback = "0",
     .help = "Keep serving while load balancers notice."},
    {"drain.timeout_ms", NULL, SF_OPTION_U32, AT(drain_timeout_ms), .max = AN_HOUR_MS,
     .fallback = "15000", .help = "Then finish in-flight work within this."},

    {"start.timeout_ms", "start-timeout", SF_OPTION_U32, AT(start_timeout_ms), .max = A_DAY_MS,
     .fallback = "0",
     .help = "Exit with 69 when the coordinator has not answered by then; 0: keep trying."},

    {"log.level", NULL, SF_OPTION_LEVEL, AT(log_level), .fallback = "info", .reloaded = true,
     .help = "The least level that is written."},
    {"log.format", NULL, SF_OPTION_FORMAT, AT(log_format), .fallback = "text",
     .help = "How a line is written to stderr."},
};

const unsigned sf_option_count = sizeof sf_options / sizeof *sf_options;

_Static_assert(sizeof sf_options / sizeof *sf_options <= SF_OPTIONS_MAX, "raise SF_OPTIONS_MAX");

const char *sf_option_variable(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX])
{
    snprintf(buffer, SF_OPTION_NAME_MAX, "SNOWFLEET_%s", option->name);
    for (char *at = buffer; *at; at++) {
        if (*at == '.')
            *at = '_';
        else if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    }
    return buffer;
}

const char *sf_option_flag(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX])
{
    snprintf(buffer, SF_OPTION_NAME_MAX, "%s", option->name);
    for (char *at = buffer; *at; at++)
        if (*at == '.' || *at == '_')
            *at = '-';
    return buffer;
}

int sf_option_by_name(const char *name)
{
    for (unsigned i = 0; i < sf_option_count; i++)
        if (strcmp(sf_options[i].name, name) == 0)
            return (int)i;
    return -1;
}

int sf_option_by_variable(const char *variable)
{
    char buffer[SF_OPTION_NAME_MAX];
    for (unsigned i = 0; i < sf_option_count; i++)
        if (strcmp(sf_option_variable(&sf_options[i], buffer), variable) == 0)
            return (int)i;
    return -1;
}

int sf_option_by_flag(const char *flag)
{
    char buffer[SF_OPTION_NAME_MAX];
    for (unsigned i = 0; i < sf_option_count; i++)
        if (strcmp(sf_option_flag(&sf_options[i], buffer), flag) == 0 ||
            (sf_options[i].flag && strcmp(sf_options[i].flag, flag) == 0))
            return (int)i;
    return -1;
}
