/* worker/reservation_decide.h - what to ask the coordinator for next. Only for the files of the
 * reservation machine; the member's thread. */
#ifndef SF_WORKER_RESERVATION_DECIDE_H
#define SF_WORKER_RESERVATION_DECIDE_H

#include "worker/reservation_step.h"

/* Looked at from scratch after every event: at most one request, and none while one is outstanding
 * or a wait has not ended. */
void sf_res_decide(struct sf_res_step *s);

#endif
