/* worker/reservation_list.h - what the list of a datacenter's slots and claims changes: the census,
 * claims of unknown outcome, and which slot to try for. Only for the files of the reservation
 * machine; the member's thread. */
#ifndef SF_WORKER_RESERVATION_LIST_H
#define SF_WORKER_RESERVATION_LIST_H

#include "worker/reservation_step.h"

/* The answer to LIST. */
void sf_res_listed(struct sf_res_step *s, const struct sf_coord_completion *c);

#endif
