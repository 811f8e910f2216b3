/* worker/reservation_events.h - what the coordinator's answers and notices change. Only for the
 * files of the reservation machine; the member's thread. */
#ifndef SF_WORKER_RESERVATION_EVENTS_H
#define SF_WORKER_RESERVATION_EVENTS_H

#include "worker/reservation_step.h"

/* A completion that is not the machine's own (of another machine on the same handle, or of a
 * request that it no longer waits for) changes nothing. */
void sf_res_on_coord(struct sf_res_step *s, const struct sf_coord_event *event);

#endif
