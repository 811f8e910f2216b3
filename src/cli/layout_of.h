/* cli/layout_of.h - by which layout and epoch IDs are read and made: those of a fleet that is asked, or those that the
 * options say, or the defaults, which are said to be assumed. For decode and encode. One thread, blocking. */
#ifndef SF_CLI_LAYOUT_OF_H
#define SF_CLI_LAYOUT_OF_H

#include <stdint.h>

#include "cli/cli.h"
#include "cli/fleet.h"
#include "cli/http.h"

struct sf_cli_layout_of {
    struct sf_cli_given_layout given;
    int64_t epoch_ms; /* SF_CLI_NOT_GIVEN_MS: not given */
    const char *server;
    struct sf_cli_admin admin;
    struct sf_cli_fleet_options fleet;
};

#define SF_CLI_LAYOUT_OF                                                                           \
    ((struct sf_cli_layout_of){.epoch_ms = SF_CLI_NOT_GIVEN_MS, .fleet = SF_CLI_FLEET})

#define SF_CLI_LAYOUT_OF_OPTIONS(of)                                                               \
    {"layout",    0,        SF_CLI_LAYOUT,                                                         \
     &(of).given, "LAYOUT", "T,D,W,S, or " SF_CLI_PRESETS " [41,5,5,12]",                          \
     0,           0},                                                                              \
        {"epoch-ms",                                                                               \
         0,                                                                                        \
         SF_CLI_SIGNED,                                                                            \
         &(of).epoch_ms,                                                                           \
         "MS",                                                                                     \
         "the fleet's epoch in Unix milliseconds [the layout's, 1704067200000, 2024-01-01]",       \
         0,                                                                                        \
         0},                                                                                       \
        {"server",    's',                                                                         \
         SF_CLI_TEXT, &(of).server,                                                                \
         "HOST:PORT", "the worker whose fleet's layout and epoch are meant",                       \
         0,           0},                                                                          \
        {"admin", 0, SF_CLI_TEXT, &(of).admin.url, "URL", "the same by its admin port", 0, 0},     \
        SF_CLI_ADMIN_OPTIONS((of).admin), SF_CLI_FLEET_OPTIONS((of).fleet)

/* Where one of --server, --admin and --coordinator is given, that one is asked. Returns -1 with layout and epoch, or
 * the exit code after saying what is wrong. */
int sf_cli_layout_of(const struct sf_cli_layout_of *of, struct sf_layout *ret_layout,
                     int64_t *ret_epoch_ms);

#endif
