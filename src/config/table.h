/* config/table.h - the table of options: one row is everything that the program knows of one. The
 * fields of struct sf_config (config.h), the rows with their parsers and destinations (options.c),
 * --help, --check-config and docs/configuration.md come from it. docs/how-to/add-an-option.md says
 * what else an option needs.
 *
 *   X(TYPE, group, key, attributes...)
 *
 * makes the option group.key, the field group_key of the type's C type, and a parser. Groups lie
 * together. Attributes are members of struct sf_option (option.h); those a row may need:
 *
 *   .min, .max        bounds of a number (0 where they are left out)
 *   .check, .allowed  what judges a text (a function of options.c, or of base), and its rule in words
 *   .fallback         the default as text, "" for none; without it
 *   .fallback_help    says in words what defaults.c works out from the machine or from other options
 *   .reloaded         read again at SIGHUP
 *   .flag             a second name of the flag, without dashes
 *   .help             one sentence */
#ifndef SF_CONFIG_TABLE_H
#define SF_CONFIG_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock_source.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/unix_address.h"

/* TYPE, and the C type of its field. */
#define SF_OPTION_C_U32     uint32_t
#define SF_OPTION_C_U64     uint64_t
#define SF_OPTION_C_I64     int64_t
#define SF_OPTION_C_WORKER  int64_t /* "any" is -1 */
#define SF_OPTION_C_BOOL    bool
#define SF_OPTION_C_TEXT    char * /* judged by .check; never NULL */
#define SF_OPTION_C_FILE    char * /* a path, or what .check takes; NULL: none (empty, or null in the file) */
#define SF_OPTION_C_COORDINATOR char * /* a URL that sf_coordinator_url_parse takes; never NULL */
#define SF_OPTION_C_ADDRESS struct sf_host_port /* to listen on; the host may be "": any address */
#define SF_OPTION_C_SOURCES struct sf_clock_specs
#define SF_OPTION_C_LEVEL   enum sf_log_level
#define SF_OPTION_C_FORMAT  enum sf_log_format

#define SF_OPTION_HOUR_MS         3600000
#define SF_OPTION_DAY_MS          86400000
#define SF_OPTION_REMEMBER_MIN_MS 60000     /* a holder may write no more often than once a minute */
#define SF_OPTION_REMEMBER_MAX_MS 604800000 /* a week: whoever is gone for longer is no news */
#define SF_OPTION_IDS_PER_S_MAX   INT64_C(1000000000000)
#define SF_OPTION_ADVERTISED_RULE "HOST:PORT; port 0 stands for the one that is listened on"

#define SF_OPTION_TABLE(X)                                                                                            \
    X(TEXT, fleet, name, .check = sf_fleet_name_ok, .allowed = SF_FLEET_NAME_RULE,  \
      .fallback = "default", .help = "Namespace in the coordinator.")                                                 \
    X(U32, fleet, datacenter, .max = 1023, .fallback = "0",                                                           \
      .help = "This worker's datacenter number. The fleet's layout may allow less.")                                  \
    X(WORKER, fleet, worker, .max = 16383, .fallback = "any", .help = "Ask for one slot number only.")                \
    X(COORDINATOR, fleet, coordinator,                                                                                \
      .fallback_help = "`local:///var/lib/snowfleet` for root, else `local://` and `snowfleet` below "                \
        "`$XDG_STATE_HOME` or `~/.local/state`", .help = "Where the fleet keeps who holds which slot.")               \
    X(BOOL, fleet, auto_init, .fallback_help = "`true` for `local:`, else `false`",                                   \
      .help = "Create the fleet's config if there is none.")                                                          \
    X(BOOL, fleet, auto_init_first, .fallback_help = "`true` for `local:`, else `false`",                             \
      .help = "A fleet that `auto_init` creates begins at once where no trace of an older one is found. Say `true` only "  \
        "for a coordinator whose data cannot have been wiped. `false`: on `local:` it begins when what an older one " \
        "may have reserved has passed, elsewhere `snowfleet init` has to make it.")                                                                                       \
    X(TEXT, fleet, node, .check = is_node, .allowed = "1 to 127 visible ASCII characters",                            \
      .fallback_help = "the host's name", .help = "The name shown for this process.")                                 \
    X(FILE, fleet, expect_id, .check = sf_uuid_is_valid, .allowed = "a fleet id as `snowfleet init` prints it, or empty",      \
      .fallback = "", .help = "Serve this fleet only: with another id in the coordinator, exit 78. Empty: any.")      \
    X(FILE, fleet, expect_epoch_ms, .check = is_epoch, .allowed = "a whole number of Unix milliseconds, or empty",    \
      .fallback = "", .help = "Serve a fleet of this epoch only; empty: any.")                                        \
    X(FILE, fleet, expect_layout, .check = is_layout, .allowed = "widths in bits as 41,5,5,12, or empty",             \
      .fallback = "", .help = "Serve a fleet of this layout only; empty: any.")                                       \
    X(U32, fleet, slots_per_worker, .min = 1, .max = 8, .fallback = "1",                                              \
      .help = "How many slots this process holds and mints from.")                                                    \
    X(I64, fleet, remember_ms, .min = SF_OPTION_REMEMBER_MIN_MS, .max = SF_OPTION_REMEMBER_MAX_MS,                    \
      .fallback = "3600000", .help = "How long members that are lost or have left stay visible in the console and in /fleet.") \
                                                                                                                      \
    X(U32, coordinator, session_timeout_ms, .min = 1000, .max = 600000, .fallback = "10000",                          \
      .help = "ZooKeeper session or etcd lease: when a dead worker's claim goes away.")                               \
    X(FILE, coordinator, username, .check = is_user_name,                                                             \
      .allowed = "less than 256 bytes without a colon or a line break", .fallback = "",                               \
      .help = "User of a ZooKeeper digest ACL, or etcd user.")                                                        \
    X(FILE, coordinator, password_file, .fallback = "",                                                               \
      .help = "File with the user's password; must not be readable by others.")                                       \
    X(FILE, coordinator, tls_ca, .fallback = "",                                                                      \
      .help = "CA certificates (PEM) that the coordinator's certificate must come from.")                             \
    X(FILE, coordinator, tls_cert, .fallback = "", .help = "Our certificate (PEM) for the coordinator.")              \
    X(FILE, coordinator, tls_key, .fallback = "", .help = "The key of that certificate (PEM).")                       \
                                                                                                                      \
    X(I64, reservation, window_ms, .min = 1000, .max = SF_OPTION_DAY_MS, .fallback = "600000",                        \
      .help = "How long a worker can mint without its coordinator.")                                                  \
    X(I64, reservation, min_window_ms, .min = 1000, .max = SF_OPTION_DAY_MS,                                          \
      .fallback_help = "30000, or the window if that is shorter",                                                     \
      .help = "The window used while the datacenter has fewer free slots than held ones.")                            \
    X(TEXT, reservation, state_dir, .check = is_directory_or_empty,                                                   \
      .allowed = "an absolute path, or empty for none",                                                               \
      .fallback_help = "`/run/snowfleet` for root, else `$XDG_RUNTIME_DIR/snowfleet` if there is one",                \
      .help = "A memory file system, for fast restart; empty: none.")                                                 \
                                                                                                                      \
    X(U32, mint, max_ahead_ms, .max = 60000, .fallback = "10",                                                        \
      .help = "How far an ID's timestamp may run ahead of minting time.")                                             \
    X(U32, mint, max_wait_ms, .max = SF_OPTION_HOUR_MS, .fallback = "1000",                                           \
      .help = "How long a request may wait for its timestamp.")                                                       \
    X(I64, mint, max_silence_ms, .max = SF_OPTION_DAY_MS, .fallback = "0",                                            \
      .help = "Stop minting when the coordinator has not been heard for this long, reservation or not; 0: off.")      \
    X(U32, mint, sequence_jitter, .max = 65536, .fallback = "16",                                                     \
      .help = "A fresh millisecond starts at a random sequence below this; 0 or 1: at zero.")                         \
                                                                                                                      \
    X(ADDRESS, listen, address, .fallback = "127.0.0.1:7450",                                                         \
      .help = "Data port. Port 0 takes a free one; no host means every address.")                                     \
    X(FILE, listen, http_address, .check = is_listen_address, .allowed = "HOST:PORT, or :PORT for every address",    \
      .fallback = "", .help = "IDs over HTTP for who has no client (docs/http.md), with the limits, the tokens and "  \
        "the TLS of the data port; empty: none.")                                                                     \
    X(FILE, listen, unix_path, .check = sf_unix_address_ok, .allowed = SF_UNIX_RULE ", or empty",                    \
      .fallback = "", .help = "The data port as a UNIX socket too, without TLS (docs/operations.md); empty: none.")   \
    X(FILE, listen, unix_mode, .check = is_mode, .allowed = "three or four octal digits, 0777 at most, or empty",     \
      .fallback = "", .help = "Mode of that socket's file: who may write to it may connect; empty: 0660.")            \
    X(FILE, listen, unix_owner, .check = is_account, .allowed = "a user's name or number, or empty",                  \
      .fallback = "", .help = "Owner of the file; empty: the worker's user.")                                         \
    X(FILE, listen, unix_group, .check = is_account, .allowed = "a group's name or number, or empty",                 \
      .fallback = "", .help = "Group of the file; empty: the worker's.")                                              \
    X(U32, listen, threads, .min = 1, .max = 64, .fallback_help = "one per CPU, at most 4",                           \
      .help = "Shards: one event loop each.")                                                                         \
    X(U32, listen, max_connections, .min = 1, .max = 1000000, .fallback = "10000",                                    \
      .help = "With so many, one that is idle for 2 s goes in favour of a new one; else the new one is refused "      \
        "with OVERLOADED.")                                                                                           \
    X(U32, listen, max_handshakes, .min = 1, .max = 65536, .fallback = "1024", .reloaded = true,                      \
      .help = "Half-open TLS connections, a quarter of them from one address; over that the oldest gives way.")       \
    X(U32, listen, max_batch, .min = 1, .max = 65536, .fallback = "65536", .help = "The most IDs in one request.")    \
    X(U32, listen, max_connection_age_ms, .max = SF_OPTION_DAY_MS, .fallback = "0",                                   \
      .help = "GOAWAY after this, give or take 10 %, so that load spreads after a scale-out; 0: never.")              \
    X(U32, listen, idle_timeout_ms, .min = 1, .max = SF_OPTION_DAY_MS, .fallback = "300000",                          \
      .help = "Close a connection that sends nothing.")                                                               \
    X(U32, listen, frame_timeout_ms, .min = 1, .max = SF_OPTION_DAY_MS, .fallback = "10000",                          \
      .help = "Close a connection that stalls within a frame.")                                                       \
    X(U32, listen, write_timeout_ms, .min = 1, .max = SF_OPTION_DAY_MS, .fallback = "10000",                          \
      .help = "Close a connection that does not read its responses.")                                                 \
    X(FILE, listen, tls_cert, .fallback = "", .reloaded = true,                                                       \
      .help = "The server's certificate chain (PEM): turns TLS on.")                                                  \
    X(FILE, listen, tls_key, .fallback = "", .reloaded = true, .help = "The key of that certificate (PEM).")          \
    X(FILE, listen, tls_client_ca, .fallback = "", .reloaded = true,                                                  \
      .help = "CA certificates (PEM): clients must show a certificate from one of them.")                             \
    X(FILE, listen, token_file, .fallback = "", .reloaded = true,                                                     \
      .help = "AUTH tokens, one a line: name:token[:ids_per_s[:burst]].")                                             \
                                                                                                                      \
    X(U64, limit, connection_ids_per_s, .max = SF_OPTION_IDS_PER_S_MAX, .fallback = "0", .reloaded = true,            \
      .help = "Token bucket of each connection; 0: none.")                                                            \
    X(U64, limit, connection_burst, .max = SF_OPTION_IDS_PER_S_MAX, .fallback = "0", .reloaded = true,                \
      .help = "Size of that bucket; 0: one second's worth.")                                                          \
    X(U64, limit, address_ids_per_s, .max = SF_OPTION_IDS_PER_S_MAX, .fallback = "0", .reloaded = true,               \
      .help = "Token bucket of each address (IPv6: /64; UNIX socket: user) that clients connect from; 0: none.")       \
    X(U64, limit, address_burst, .max = SF_OPTION_IDS_PER_S_MAX, .fallback = "0", .reloaded = true,                   \
      .help = "Size of that bucket; 0: one second's worth.")                                                          \
    X(U64, limit, worker_ids_per_s, .max = SF_OPTION_IDS_PER_S_MAX, .fallback = "0", .reloaded = true,                \
      .help = "Token bucket of the whole worker; 0: none.")                                                           \
    X(U64, limit, worker_burst, .max = SF_OPTION_IDS_PER_S_MAX, .fallback = "0", .reloaded = true,                    \
      .help = "Size of that bucket; 0: one second's worth.")                                                          \
    X(U32, limit, max_waiting, .min = 1, .max = 1048576, .fallback = "65536", .reloaded = true,                       \
      .help = "Requests that may wait for a timestamp; over that OVERLOADED.")                                        \
                                                                                                                      \
    X(ADDRESS, admin, address, .fallback = "127.0.0.1:7451", .help = "HTTP: health, metrics, status, console.")       \
    X(FILE, admin, tls_cert, .fallback = "", .reloaded = true,                                                        \
      .help = "Certificate chain (PEM) of the admin port: turns TLS on there, at the start only.")                    \
    X(FILE, admin, tls_key, .fallback = "", .reloaded = true, .help = "The key of that certificate (PEM).")           \
    X(FILE, admin, token_file, .fallback = "", .reloaded = true,                                                      \
      .help = "Tokens, one a line: name:token. With it everything but health and metrics needs one; POST /drain "     \
        "needs it where admin.address is not loopback.")                                                              \
    X(TEXT, admin, allowed_hosts, .check = is_host_list,                                                              \
      .allowed = "names separated by commas, * for any, or empty", .fallback = "",                                    \
      .help = "Names that HTTP requests may come under (the field Host), beside addresses, names without a dot, "     \
        "fleet.node and the advertised ones.")                                                                        \
                                                                                                                      \
    X(BOOL, security, seccomp, .fallback = "true",                                                                    \
      .help = "Allow only the system calls that a worker makes, and changes to its own files, where the system can. " \
        "--no-seccomp is the same as false.")                                                                         \
    X(BOOL, security, allow_injection, .fallback = "false",                                                           \
      .help = "Allow code to be put into the process by who may trace it, as Chaos Mesh's TimeChaos does. For chaos " \
        "tests on purpose; warned of in the log and shown in /status.")                                               \
                                                                                                                      \
    X(TEXT, advertise, address, .check = is_reachable_address, .allowed = SF_OPTION_ADVERTISED_RULE,                  \
      .fallback_help = "listen.address, with the host's name when that is every address",                             \
      .help = "The data port as others are told it.")                                                                 \
    X(TEXT, advertise, admin, .check = is_reachable_address, .allowed = SF_OPTION_ADVERTISED_RULE,                    \
      .fallback_help = "admin.address, with the host's name when that is every address",                              \
      .help = "The admin port as others are told it.")                                                                \
                                                                                                                      \
    X(SOURCES, clock, sources, .fallback = "kernel",                                                                  \
      .help = "What tells how far the clock can be trusted: a list (JSON array in the file, separated by commas "     \
        "elsewhere).")                                                                                                \
    X(U32, clock, poll_ms, .min = 100, .max = SF_OPTION_HOUR_MS, .fallback = "4000",                                  \
      .help = "How often the sources are asked.")                                                                     \
    X(U32, clock, warn_offset_ms, .min = 1, .max = SF_OPTION_HOUR_MS, .fallback = "100",                              \
      .help = "Warn when absolute offset and error bound together exceed this.")                                      \
    X(U32, clock, max_offset_ms, .min = 1, .max = SF_OPTION_HOUR_MS, .fallback = "1000",                              \
      .help = "Stop serving when they exceed this.")                                                                  \
    X(BOOL, clock, require_sync, .fallback = "false", .help = "Never mint on an unsynchronised clock.")               \
                                                                                                                      \
    X(U32, drain, delay_ms, .max = SF_OPTION_HOUR_MS, .fallback = "0",                                                \
      .help = "Keep serving while load balancers notice.")                                                            \
    X(U32, drain, timeout_ms, .max = SF_OPTION_HOUR_MS, .fallback = "15000",                                          \
      .help = "Then finish in-flight work within this.")                                                              \
                                                                                                                      \
    X(U32, start, timeout_ms, .flag = "start-timeout", .max = SF_OPTION_DAY_MS, .fallback = "0",                      \
      .help = "Exit with 69 when the coordinator has not answered by then; 0: keep trying.")                          \
                                                                                                                      \
    X(LEVEL, log, level, .fallback = "info", .reloaded = true, .help = "The least level that is written.")            \
    X(FORMAT, log, format, .fallback = "text", .help = "How a line is written to stderr.")

#endif
