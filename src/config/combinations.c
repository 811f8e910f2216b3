/* config/combinations.c - the table of combinations that cannot work. */
#include "config/combinations.h"

#include <string.h>

#include "base/coordinator.h"

#define PAIR(one, other) ((c->one == NULL) != (c->other == NULL))

/* R(first, second, when it holds of the configuration c, why not) */
#define COMBINATIONS(R)                                                                            \
    R("coordinator.tls_cert", "coordinator.tls_key",                                               \
      PAIR(coordinator_tls_cert, coordinator_tls_key),                                             \
      "a certificate needs its key, and a key needs its certificate")                              \
    R("fleet.coordinator", "coordinator.tls_ca", c->coordinator_tls_ca != NULL && !has_tls(c),     \
      "TLS needs a URL that begins with " SF_COORDINATOR_TLS_FORMS)                                \
    R("fleet.coordinator", "coordinator.tls_cert", c->coordinator_tls_cert != NULL && !has_tls(c), \
      "TLS needs a URL that begins with " SF_COORDINATOR_TLS_FORMS)                                \
    R("coordinator.username", "coordinator.password_file",                                         \
      PAIR(coordinator_username, coordinator_password_file),                                       \
      "a user needs a password, and a password needs its user")                                    \
    R("fleet.coordinator", "coordinator.username", c->coordinator_username != NULL && is_local(c), \
      "a local coordinator knows no users")                                                        \
    R("reservation.min_window_ms", "reservation.window_ms",                                        \
      c->reservation_min_window_ms > c->reservation_window_ms,                                     \
      "the smaller window must not be the larger one")                                             \
    R("mint.max_ahead_ms", "reservation.min_window_ms",                                            \
      (int64_t)c->mint_max_ahead_ms >= c->reservation_min_window_ms,                               \
      "IDs must not run ahead further than a reservation reaches")                                 \
    R("fleet.worker", "fleet.slots_per_worker",                                                    \
      c->fleet_worker >= 0 && c->fleet_slots_per_worker > 1,                                       \
      "one slot number is not enough for several slots")                                           \
    R("listen.tls_cert", "listen.tls_key", PAIR(listen_tls_cert, listen_tls_key),                  \
      "a certificate needs its key, and a key needs its certificate")                              \
    R("listen.tls_client_ca", "listen.tls_cert",                                                   \
      c->listen_tls_client_ca != NULL && c->listen_tls_cert == NULL,                               \
      "client certificates are only asked for inside TLS")                                         \
    R("admin.tls_cert", "admin.tls_key", PAIR(admin_tls_cert, admin_tls_key),                      \
      "a certificate needs its key, and a key needs its certificate")                              \
    R("listen.address", "admin.address", same_address(&c->listen_address, &c->admin_address),      \
      "they are the same address")                                                                 \
    R("listen.http_address", "listen.address", http_meets(c, &c->listen_address),                  \
      "they are the same address")                                                                 \
    R("listen.http_address", "admin.address", http_meets(c, &c->admin_address),                    \
      "they are the same address")                                                                 \
    R("listen.unix_mode", "listen.unix_path", c->listen_unix_mode != NULL && !has_unix_file(c),    \
      "only a socket that has a file has a mode")                                                  \
    R("listen.unix_owner", "listen.unix_path", c->listen_unix_owner != NULL && !has_unix_file(c),  \
      "only a socket that has a file has an owner")                                                \
    R("listen.unix_group", "listen.unix_path", c->listen_unix_group != NULL && !has_unix_file(c),  \
      "only a socket that has a file has a group")                                                 \
    R("listen.unix_path", "listen.tls_client_ca", is_open_to_all(c),                               \
      "an abstract name is open to every process of this host, and knows no certificates: give "   \
      "a path, or tokens")                                                                         \
    R("limit.connection_burst", "limit.connection_ids_per_s",                                      \
      c->limit_connection_burst > 0 && c->limit_connection_ids_per_s == 0, "a burst needs a rate") \
    R("limit.address_burst", "limit.address_ids_per_s",                                            \
      c->limit_address_burst > 0 && c->limit_address_ids_per_s == 0, "a burst needs a rate")       \
    R("limit.worker_burst", "limit.worker_ids_per_s",                                              \
      c->limit_worker_burst > 0 && c->limit_worker_ids_per_s == 0, "a burst needs a rate")         \
    R("clock.warn_offset_ms", "clock.max_offset_ms",                                               \
      c->clock_warn_offset_ms > c->clock_max_offset_ms, "the warning would come after the stop")

#define ROW(first, second, holds, why) {first, second, why},
const struct sf_config_combination sf_config_combinations[] = {COMBINATIONS(ROW)};
#undef ROW
const unsigned sf_config_combination_count =
    sizeof sf_config_combinations / sizeof *sf_config_combinations;

static const struct sf_coordinator_scheme *scheme_of(const struct sf_config *c)
{
    return sf_coordinator_scheme(c->fleet_coordinator != NULL ? c->fleet_coordinator : "", NULL);
}

static bool is_local(const struct sf_config *c)
{
    return scheme_of(c) != NULL && scheme_of(c)->kind == SF_COORDINATOR_LOCAL;
}

static bool has_tls(const struct sf_config *c)
{
    return scheme_of(c) != NULL && scheme_of(c)->tls;
}

/* Also where one listens on every address and the other on one of them. */
static bool same_address(const struct sf_host_port *a, const struct sf_host_port *b)
{
    return a->port != 0 && a->port == b->port &&
           (strcmp(a->host, b->host) == 0 || a->host[0] == '\0' || b->host[0] == '\0');
}

static bool http_meets(const struct sf_config *c, const struct sf_host_port *other)
{
    struct sf_host_port http;
    return c->listen_http_address != NULL &&
           sf_parse_host_port(c->listen_http_address, -1, true, &http) == 0 &&
           same_address(&http, other);
}

static bool has_unix_file(const struct sf_config *c)
{
    return c->listen_unix_path != NULL && c->listen_unix_path[0] == '/';
}

/* Who has no certificate is kept out on the one door and let in at the other. */
static bool is_open_to_all(const struct sf_config *c)
{
    return c->listen_unix_path != NULL && !has_unix_file(c) && c->listen_tls_client_ca != NULL &&
           c->listen_token_file == NULL;
}

static void forbid(struct sf_config_loader *loader, bool holds, const char *first,
                   const char *second, const char *why)
{
    if (holds && !loader->refused[sf_option_by_name(first)] &&
        !loader->refused[sf_option_by_name(second)])
        sf_config_complain(loader, "%s and %s do not fit: %s", first, second, why);
}

void sf_config_check_combinations(struct sf_config_loader *loader)
{
    const struct sf_config *c = loader->config;
#define CHECK(first, second, holds, why) forbid(loader, holds, first, second, why);
    COMBINATIONS(CHECK)
#undef CHECK
}
