/* cli/status_fleet.h - `snowfleet status --coordinator`: everybody who is to be there, and what each says.
 * One thread, blocking. */
#ifndef SF_CLI_STATUS_FLEET_H
#define SF_CLI_STATUS_FLEET_H

#include "cli/fleet.h"
#include "cli/http.h"

/* Prints them; like: the way in to their admin ports. Returns the exit code: SF_CLI_FAILED when any member
 * that is expected is not ready, or does not answer. */
int sf_cli_status_fleet(struct sf_cli_fleet *fleet, const char *name, const struct sf_cli_admin *like,
                        uint64_t remember_ms, bool as_json);

#endif
