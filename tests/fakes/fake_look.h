/* fakes/fake_look.h - where the coordinator in memory keeps what, and what is there. For fake_ops.c. One
 * thread.
 */
#ifndef SF_FAKES_FAKE_LOOK_H
#define SF_FAKES_FAKE_LOOK_H

#include "base/error.h"
#include "fakes/fake_ops.h"

#define SF_FAKE_PATH_SIZE 256

/* Paths. rest: "" is the fleet's root itself; token "": what all of them begin with. */
void sf_fake_fleet_path(const struct sf_fake_job *job, const char *rest,
                        char path[SF_FAKE_PATH_SIZE]);
void sf_fake_current_path(const struct sf_fake_job *job, const char *token,
                          char path[SF_FAKE_PATH_SIZE]);
void sf_fake_state_path(const struct sf_fake_job *job, const char *token,
                        char path[SF_FAKE_PATH_SIZE]);
void sf_fake_slot_path(const struct sf_fake_job *job, const char *token, uint64_t datacenter,
                       uint64_t worker, char path[SF_FAKE_PATH_SIZE]);
/* In the request's datacenter and making. */
void sf_fake_claim_path(const struct sf_fake_job *job, const char *name,
                        char path[SF_FAKE_PATH_SIZE]);

/* Is the node at this index one of those that begin with prefix? */
bool sf_fake_is_below(const struct sf_fake_tree *tree, size_t at, const char *prefix);
/* The request's, in the request's making. */
bool sf_fake_datacenter_exists(const struct sf_fake_job *job, const struct sf_fake_tree *tree);
/* {0, 0}: nothing is there. */
struct sf_coord_version sf_fake_version_at(const struct sf_fake_tree *tree, const char *path);
bool sf_fake_current_exists(const struct sf_fake_job *job, const char *token);
/* ret is filled when it is OK, of any format; err when it is garbage. */
enum sf_coord_record_state sf_fake_look_at_config(const struct sf_fake_job *job,
                                                  struct sf_coord_config *ret,
                                                  struct sf_coord_version *ret_version,
                                                  struct sf_error *err);
/* The caller frees it. NULL: none, or garbage. */
struct sf_coord_state *sf_fake_load_state(const struct sf_fake_job *job, const char *token);
/* ret->state says what it is; err why it is garbage. */
void sf_fake_look_at_slot(const struct sf_fake_job *job, const struct sf_fake_tree *tree,
                          uint64_t worker, struct sf_coord_slot *ret, struct sf_error *err);
/* token: whose claims count as live ones. */
void sf_fake_survey(const struct sf_fake_job *job, const char *token, struct sf_coord_survey *ret);

#endif
