/* worker/reservation_config.h - the fleet's config: learning it, making it where that is asked for,
 * and what follows when it moves. Only for the files of the reservation machine; the member's
 * thread. */
#ifndef SF_WORKER_RESERVATION_CONFIG_H
#define SF_WORKER_RESERVATION_CONFIG_H

#include "worker/reservation_step.h"

/* The answer to READ_CONFIG. */
void sf_res_config_read(struct sf_res_step *s, const struct sf_coord_completion *c);
/* The answer to INIT. */
void sf_res_config_made(struct sf_res_step *s, const struct sf_coord_completion *c);

#endif
