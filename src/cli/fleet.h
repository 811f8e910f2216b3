/* cli/fleet.h - a fleet as its coordinator knows it, for init, slots, status and top. One thread,
 * blocking. */
#ifndef SF_CLI_FLEET_H
#define SF_CLI_FLEET_H

#include <stdio.h>

#include "base/coordinator.h"
#include "cli/cli.h"
#include "coord/records.h"
#include "coord/coord.h"

struct sf_cli_fleet_options {
    const char *coordinator; /* NULL: that of the environment, SNOWFLEET_COORDINATOR; then where
                                snowfleetd looks by default, unless must_name */
    bool must_name;          /* for commands that write: nothing is made in a place that nobody named */
    const char *fleet;
    uint64_t timeout_ms;
    const char *username, *password_file, *ca, *cert, *key;
};

#define SF_CLI_FLEET ((struct sf_cli_fleet_options){.fleet = "default", .timeout_ms = 10000})

#define SF_CLI_FLEET_OPTIONS(f)                                                                    \
    {"timeout-ms", 0, SF_CLI_NUMBER, &(f).timeout_ms, "MS", "for each question [10000]", 1,        \
     3600000},                                                                                     \
    SF_CLI_FLEET_ACCESS_OPTIONS(f)

/* For commands whose --timeout-ms means something else. */
#define SF_CLI_FLEET_ACCESS_OPTIONS(f)                                                             \
    {"coordinator", 0, SF_CLI_TEXT, &(f).coordinator, "URL", SF_COORDINATOR_URL_FORMS, 0, 0},      \
    {"fleet", 0, SF_CLI_TEXT, &(f).fleet, "NAME", "the fleet's name [default]", 0, 0},             \
    {"username", 0, SF_CLI_TEXT, &(f).username, "NAME", "for the coordinator", 0, 0},              \
    {"password-file", 0, SF_CLI_TEXT, &(f).password_file, "FILE", "its password", 0, 0},           \
    {"coordinator-ca", 0, SF_CLI_TEXT, &(f).ca, "FILE", "certificates to trust", 0, 0},            \
    {"coordinator-cert", 0, SF_CLI_TEXT, &(f).cert, "FILE", "own certificate", 0, 0},              \
    {"coordinator-key", 0, SF_CLI_TEXT, &(f).key, "FILE", "its key", 0, 0}

struct sf_cli_fleet {
    struct sf_coord *coord;
    struct sf_coord_calls *calls;
    uint32_t timeout_ms;
    uint64_t last_id;
    char halted[320]; /* after sf_cli_fleet_config: who halted the fleet, and what to do; "": nobody */
    char url[SF_COORDINATOR_URL_MAX + 1];
};

/* Return -1 to go on, or the exit code after saying what is wrong. */
int sf_cli_fleet_open(const struct sf_cli_fleet_options *options, struct sf_cli_fleet *ret);
void sf_cli_fleet_close(struct sf_cli_fleet *fleet);

/* Asks; fills in deadline and id. The event is the caller's to free, whatever came of it. */
struct sf_coord_event *sf_cli_fleet_ask(struct sf_cli_fleet *fleet,
                                        struct sf_coord_request *request);
/* Says why a request was not done, and what to do; returns the exit code. */
int sf_cli_fleet_failed(const struct sf_cli_fleet *fleet, const struct sf_coord_event *event);

/* Fills in `halted` by what a READ_CONFIG found. */
void sf_cli_fleet_halted(struct sf_cli_fleet *fleet, const struct sf_coord_completion *found);
/* A line about a fleet that is halted; else nothing. */
void sf_cli_fleet_print_halted(const struct sf_cli_fleet *fleet, FILE *to);

/* The making that a READ_CONFIG found, as the condition of what is asked next. */
struct sf_coord_basis sf_cli_fleet_basis(const struct sf_coord_completion *found);
/* The fleet's config, and whether it is halted; -1, or the exit code. */
int sf_cli_fleet_config(struct sf_cli_fleet *fleet, struct sf_coord_config *ret);
/* Calls `each` for every datacenter that has records (or only for *only). `each` returns -1 to go
 * on. */
int sf_cli_fleet_list(struct sf_cli_fleet *fleet, const struct sf_coord_config *config,
                      const uint64_t *only,
                      int (*each)(void *ctx, uint64_t datacenter,
                                  const struct sf_coord_completion *found),
                      void *ctx);

/* Slots counted by state. Datacenters in which nobody ever held a slot are counted apart: with a layout
 * for 32 datacenters and a fleet in one of them, nobody can use what the others have. */
struct sf_cli_census {
    uint64_t states[SF_SLOT_STATES];
    uint64_t waiting; /* claims that seek a slot */
    uint64_t idle_datacenters, idle_slots;
};

/* Was nobody ever there, and could whoever came begin at once? */
bool sf_cli_datacenter_is_idle(const struct sf_coord_completion *found, int64_t now_ms);
/* Adds a datacenter's list. */
void sf_cli_census_add(struct sf_cli_census *census, const struct sf_coord_completion *found,
                       int64_t now_ms);
/* After the last one: where all are idle, the fleet is new, and they count. */
void sf_cli_census_end(struct sf_cli_census *census);
/* "3 held, 29 free, 0 quarantined, 0 broken". buffer: SF_CLI_CENSUS_TEXT_MAX. */
#define SF_CLI_CENSUS_TEXT_MAX 160
const char *sf_cli_census_text(const struct sf_cli_census *census,
                               char buffer[SF_CLI_CENSUS_TEXT_MAX]);

#endif
