/* worker/reservation_loss.h - what a machine does when the coordinator has lost data, or when the
 * making that it mints under is not the one that grants any more (docs/uniqueness.md, rules 8 and
 * 9). Only for the files of the reservation machine; the member's thread. */
#ifndef SF_WORKER_RESERVATION_LOSS_H
#define SF_WORKER_RESERVATION_LOSS_H

#include "worker/reservation_step.h"

/* Was a loss noticed in this making? */
bool sf_res_is_lost(const struct sf_reservation *res, const char *token);

/* What was acknowledged in the making `token` is not there any more, or its floor is below what was
 * minted: it is remembered as lost, a report is due for it, and the hold is spent (not renewed, not
 * given back). limit_ms: no ID at or above it from here on (INT64_MAX: what was acknowledged). */
void sf_res_lost(struct sf_res_step *s, const char *token, int64_t limit_ms, const char *because);
/* The same at a restart, where the slot of the state file is what was lost. */
void sf_res_lost_at_restart(struct sf_res_step *s, const char *token, const char *because);

/* The making's state was read. NULL: it is not there. */
void sf_res_state_read(struct sf_res_step *s, const struct sf_coord_state *state);

/* Asks for the report to be written, if one is due for the making that the config names. Returns
 * whether it asked. */
bool sf_res_halt_ask(struct sf_res_step *s);
void sf_res_halt_answered(struct sf_res_step *s, const struct sf_coord_completion *c);

/* May anything be claimed, bound or renewed? If not, `why` of the machine says why not. */
bool sf_res_grants(struct sf_reservation *res);

/* The config names another making of our fleet than the one that we know, at `config`. */
void sf_res_other_making(struct sf_res_step *s, const struct sf_coord_config *config);

#endif
