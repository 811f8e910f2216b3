/* coord/local/fleet.h - what belongs to a fleet as a whole: its lock, its config, the names of its
 * makings and their states; READ_CONFIG, HALT, SURVEY. The tree is described in coord/local/store.h.
 * I/O thread only. */
#ifndef SF_COORD_LOCAL_FLEET_H
#define SF_COORD_LOCAL_FLEET_H

#include "coord/local/store.h"

/* The fleet's directory, and its lock while it is held; -1: not. */
struct sf_local_fleet {
    int top, lock;
};
#define SF_LOCAL_FLEET_CLOSED                                                                      \
    {                                                                                              \
        -1, -1                                                                                     \
    }

/* Opens and locks. Returns 0, or -1 refused (MISSING where there is no such directory). */
int sf_local_fleet_open(struct sf_local_store *store, struct sf_local_job *job,
                        enum sf_disk_hold hold, struct sf_local_fleet *ret);
void sf_local_fleet_close(struct sf_local_fleet *fleet);

/* Of any format. ret_version is filled when there is a file at all. Returns 0, -ENOENT, -EBADMSG, or
 * another errno code; err says why. */
int sf_local_read_config_any(struct sf_local_store *store, const struct sf_local_fleet *fleet,
                             struct sf_coord_config *ret, struct sf_coord_version *ret_version,
                             struct sf_error *err);
/* How often the fleet was made. -ENOENT: never, and the version is {0, 0}. */
int sf_local_read_makings(struct sf_local_store *store, const struct sf_local_fleet *fleet,
                          uint64_t *ret_makings, struct sf_coord_version *ret_version,
                          struct sf_error *err);
bool sf_local_is_current(const struct sf_local_fleet *fleet, const char *token);
int sf_local_read_state(struct sf_local_store *store, const struct sf_local_fleet *fleet,
                        const char *token, struct sf_coord_state *ret, struct sf_error *err);
/* Seals and replaces the state of a making. Returns 0, or -1 refused. */
int sf_local_write_state(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_fleet *fleet, const char *token,
                         const struct sf_coord_state *state,
                         const struct sf_coord_version *version);

/* Does the request's basis hold? by_name: current-<token> counts too. With the fleet's lock, shared
 * at least. Returns 0, or -1 refused. */
int sf_local_check_basis(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_fleet *fleet, bool by_name);

/* All makings. token: whose claims count as live ones. Returns 0, or -1 refused. */
int sf_local_survey(struct sf_local_store *store, struct sf_local_job *job,
                    const struct sf_local_fleet *fleet, const char *token,
                    struct sf_coord_survey *ret);

/* The ops. Return 0, or -1 refused. */
int sf_local_do_read_config(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_survey(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_halt(struct sf_local_store *store, struct sf_local_job *job);

#endif
