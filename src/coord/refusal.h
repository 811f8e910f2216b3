/* coord/refusal.h - the words of the contract's refusals, so that every backend says the same of the
 * same. `root` is where the fleet is: the path that its records lie below. Pure; any thread.
 */
#ifndef SF_COORD_REFUSAL_H
#define SF_COORD_REFUSAL_H

#include <stdbool.h>

#include "coord/types.h"

/* Why a request was surely not done. */
struct sf_refusal {
    enum sf_coord_reason reason;
    char text[SF_COORD_TEXT_MAX];
};

struct sf_refusal sf_refusal_make(enum sf_coord_reason reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What is there, and what is not. `why`: what its decoder says. */
struct sf_refusal sf_refusal_no_fleet(const char *root);
struct sf_refusal sf_refusal_replaced(const char *root);
struct sf_refusal sf_refusal_no_datacenter(const char *root, uint64_t datacenter);
struct sf_refusal sf_refusal_config_garbage(const char *root, const char *why);
struct sf_refusal sf_refusal_slot_garbage(const char *root, uint64_t datacenter, uint64_t worker,
                                          const char *why);

/* Conditions of CLAIM, BIND, RENEW and RELEASE that do not hold. */
struct sf_refusal sf_refusal_claim_gone(const char *name);
/* It is there, but was written after it had been read: by the same BIND, when a hop delivers it twice. */
struct sf_refusal sf_refusal_claim_written(const char *name);
struct sf_refusal sf_refusal_config_changed(uint64_t expected_version);
struct sf_refusal sf_refusal_current_gone(const char *token);
struct sf_refusal sf_refusal_state_changed(const char *token, uint64_t expected_version);
struct sf_refusal sf_refusal_slot_missing(uint64_t worker);
struct sf_refusal sf_refusal_slot_version(uint64_t worker, uint64_t expected_version);

/* INIT. */
struct sf_refusal sf_refusal_fleet_exists(const char *root, const char *fleet_id);
/* Somebody else wrote the config between our look at it and our write. */
struct sf_refusal sf_refusal_config_raced(const char *root, bool after_data_loss);
/* A reservation or report that survived lies further ahead than any that was rightly made. */
struct sf_refusal sf_refusal_survivor(const char *root, const struct sf_coord_survey *survey,
                                      int64_t survivor_ms, int64_t max_ms);
/* RESET_SLOT: somebody lives in it. */
struct sf_refusal sf_refusal_slot_held(uint64_t datacenter, uint64_t worker, const char *claim);

#endif
