/* server/queue.h - connections whose NEXT needs a later millisecond: how many may wait, in which order, for how long. Its shard's
 * thread; what waits in all shards is counted in the server. */
#ifndef SF_SERVER_QUEUE_H
#define SF_SERVER_QUEUE_H

#include "server/internal.h"

/* Queues a session whose first unanswered request is a NEXT (the partial one, or the one at the front of bytes) for the next
 * millisecond. Where the queue is full it stays SERVING, and refuse_next says how many at its front are refused. */
void sf_queue_park(struct sf_session *session, const uint8_t *bytes, size_t size);
/* It waits no more, and has no place any more. */
void sf_queue_unpark(struct sf_session *session);
/* Has its turn. Its place still counts, or another shard would give it away before it queues again: then sf_queue_park, or
 * sf_queue_give_up_place. */
void sf_queue_begin_turn(struct sf_session *session);
void sf_queue_give_up_place(struct sf_session *session);
/* It got all that it waited for and may ask for more at once. */
void sf_queue_expect_back(struct sf_session *session);
/* It is closed, or queues again. */
void sf_queue_came_back(struct sf_session *session);
/* IDs that it may get now: UINT64_MAX for one that did not wait. */
uint64_t sf_queue_budget(const struct sf_session *session);
bool sf_queue_others_wait(const struct sf_session *session);
/* Those whose AFTER does not lie ahead any more wait for IDs alone from now on. */
void sf_queue_due_after(struct sf_shard *shard);
/* Whether a session of this shard waits for lack of IDs, not only for its AFTER. */
bool sf_queue_ids_wanted(const struct sf_shard *shard);
/* Milliseconds until everything that waits now has been served. */
uint64_t sf_queue_ms(const struct sf_server *server);

#endif
