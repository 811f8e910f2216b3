/* cli/fleet_view.h - the fleet as people see it: the slots and everybody who is to be there, in the words of
 * /fleet (docs/http.md), whether the coordinator or a worker was asked. One thread, blocking. */
#ifndef SF_CLI_FLEET_VIEW_H
#define SF_CLI_FLEET_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "cli/fleet.h"
#include "cli/http.h"
#include "coord/expected.h"

/* For commands that show one: how long who is gone stays in it. */
#define SF_CLI_REMEMBER_OPTION(ms)                                                                 \
    {"remember-ms", 0, SF_CLI_NUMBER, &(ms), "MS",                                                 \
     "how long members that are lost or have left stay visible [3600000]", SF_REMEMBER_MIN_MS,     \
     SF_REMEMBER_MAX_MS}

/* By the coordinator: lists every datacenter of the config that has been used (or only *only). remember_ms:
 * within the bounds of coord/expected.h. Returns -1 with a new reference, or the exit code after saying
 * what is wrong. census: counts all slots; NULL: not wanted. */
int sf_cli_view_read(struct sf_cli_fleet *fleet, const struct sf_coord_config *config,
                     const uint64_t *only, uint64_t remember_ms, json_t **ret,
                     struct sf_cli_census *census);

/* As a worker reads it: waits, for two seconds at most, until it has read the coordinator again. Returns 0
 * with a new reference, or a negative errno code with err, as sf_cli_get_json. */
int sf_cli_view_ask(const struct sf_cli_admin *admin, uint32_t timeout_ms, json_t **ret,
                    struct sf_error *err);

/* Asks each member that has an admin address for its /status, and puts what it says into the member:
 * "status", or "error" where it does not answer; what its claim said of its state gives way to what it says
 * itself. One that does not answer is not ready, whatever its claim says. Then counts anew, and judges
 * "health" by what is asked of those who are ready as well: one that refuses, or is saturated, is named.
 * each: called after every one; NULL: not wanted. */
void sf_cli_view_look(json_t *picture, const struct sf_cli_admin *like, uint32_t timeout_ms,
                      void (*each)(void *ctx, const json_t *member), void *ctx);

/* A line for each member that is expected and not ready: "host-b 0/3 lost since 12s: ...". Nothing where
 * there is none. now_ms: Unix ms. */
void sf_cli_view_print_trouble(const json_t *picture, int64_t now_ms, FILE *to);

#endif
