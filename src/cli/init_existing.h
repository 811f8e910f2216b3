/* cli/init_existing.h - what `snowfleet init` says of a fleet that is there. One thread, blocking. */
#ifndef SF_CLI_INIT_EXISTING_H
#define SF_CLI_INIT_EXISTING_H

#include "cli/fleet.h"

/* The fleet as a text or one JSON line, to stdout. */
void sf_cli_init_print(const char *fleet, const struct sf_coord_config *config, bool as_json);

/* Shows the fleet that is there, and judges: whole, granting, and with if_missing like the one wanted.
 * Returns the exit code: SF_CLI_DONE only with if_missing. */
int sf_cli_init_existing(struct sf_cli_fleet *fleet, const char *name, const struct sf_coord_config *want,
                         bool if_missing, bool as_json);

#endif
