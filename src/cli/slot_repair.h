/* cli/slot_repair.h - what a person may do to a single slot: free one whose holder is gone (release), write
 * a record anew that nobody can read (reset). Neither can make an ID twice: release leaves the record
 * alone, so that the slot rests until its reservation ends; reset starts it above everything that anybody
 * can have reserved. One thread, blocking. */
#ifndef SF_CLI_SLOT_REPAIR_H
#define SF_CLI_SLOT_REPAIR_H

#include "cli/fleet.h"
#include "cli/http.h"

struct sf_cli_repair {
    struct sf_cli_admin admin;      /* how the holder is asked; url is not used */
    struct sf_cli_list clock_sources;
    int64_t floor_ms;               /* reset: SF_CLI_REPAIR_FLOOR: by the clocks */
    bool force, yes;
};

#define SF_CLI_REPAIR_FLOOR INT64_MIN

/* Deletes the claim that holds the slot, if nobody listens at its holder's address any more (or with
 * force). Returns the exit code. */
int sf_cli_slot_release(struct sf_cli_fleet *fleet, const char *slot, const struct sf_cli_repair *how);

/* Writes the slot's record anew, if it cannot be read or is missing (or with force). Returns the exit
 * code. */
int sf_cli_slot_reset(struct sf_cli_fleet *fleet, const char *slot, const struct sf_cli_repair *how);

#endif
