/* config/config.h - the options of snowfleetd: one table, four places to set them (flag over
 * environment over file over default).
 *
 * One name everywhere: listen.address in the file (JSON, nested objects), SNOWFLEET_LISTEN_ADDRESS
 * in the environment,
 * --listen-address as a flag. The table in config/options.c is where parser, --help, --check-config
 * and docs/configuration.md come from. One thread. Strings belong to the config.
 */
#ifndef SF_CONFIG_CONFIG_H
#define SF_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock_source.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strbuf.h"

struct sf_config {
    char *fleet_name;
    uint32_t fleet_datacenter;
    int64_t fleet_worker; /* -1: any */
    char *fleet_coordinator;
    bool fleet_auto_init;
    char *fleet_node;
    uint32_t fleet_slots_per_worker; /* 1 to 8 */

    uint32_t coordinator_session_timeout_ms;
    char *coordinator_username,
        *coordinator_password_file; /* NULL: none, as for every file below */
    char *coordinator_tls_ca, *coordinator_tls_cert, *coordinator_tls_key;

    int64_t reservation_window_ms, reservation_min_window_ms;
    char *reservation_state_dir; /* "": none */

    uint32_t mint_max_ahead_ms, mint_max_wait_ms;
    int64_t mint_max_silence_ms; /* 0: off */
    uint32_t mint_sequence_jitter;

    char *listen_address_text;
    struct sf_host_port listen_address;
    uint32_t listen_threads;
    uint32_t listen_max_connections, listen_max_batch, listen_max_connection_age_ms;
    uint32_t listen_idle_timeout_ms, listen_frame_timeout_ms, listen_write_timeout_ms;
    char *listen_tls_cert, *listen_tls_key, *listen_tls_client_ca, *listen_token_file;

    uint64_t limit_connection_ids_per_s, limit_connection_burst, limit_worker_ids_per_s,
        limit_worker_burst;
    uint32_t limit_max_waiting;

    char *admin_address_text;
    struct sf_host_port admin_address;
    char *admin_tls_cert, *admin_tls_key, *admin_token_file; /* NULL: none */
    bool security_seccomp;
    char *advertise_address; /* host:port */
    char *advertise_admin;   /* host:port of the admin server as others reach it */

    struct sf_clock_specs clock_sources;
    uint32_t clock_poll_ms, clock_warn_offset_ms, clock_max_offset_ms;
    bool clock_require_sync;

    uint32_t drain_delay_ms, drain_timeout_ms;
    uint32_t start_timeout_ms; /* --start-timeout: exit 69 when the coordinator has not answered by
                                  then; 0: never */

    enum sf_log_level log_level;
    enum sf_log_format log_format;
};

enum sf_config_action {
    SF_CONFIG_RUN,
    SF_CONFIG_CHECK,  /* --check-config */
    SF_CONFIG_HELP,   /* --help */
    SF_CONFIG_VERSION /* --version */
};

/* Reads flags, environment (name=value strings as in environ) and the file that --config names. All
 * errors are written to `errors`, one a line: option, where it came from, value, what is allowed.
 * Returns 0, -EINVAL when `errors` has lines about values (exit 78), or -ENOENT-like codes are also
 * reported as lines; -EDOM for a usage error (unknown flag, missing value: exit 64). */
int sf_config_load(int argc, char *const argv[], char *const environment[],
                   struct sf_config **ret_config, enum sf_config_action *ret_action,
                   struct sf_strbuf *errors);
void sf_config_free(struct sf_config *config);

/* The effective options as a JSON object, nested as in the file. Secrets are file names, so nothing
 * is hidden. */
void sf_config_json(const struct sf_config *config, struct sf_strbuf *to);
/* --help and the table of docs/configuration.md, from the same table. */
void sf_config_help(FILE *to);
void sf_config_markdown(FILE *to);

#endif
