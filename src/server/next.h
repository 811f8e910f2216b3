/* server/next.h - NEXT: the requests found together are minted together. Its shard's thread. */
#ifndef SF_SERVER_NEXT_H
#define SF_SERVER_NEXT_H

#include <stddef.h>

#include "server/session.h"

/* Serves the NEXT requests at the front (the first is complete). Returns the bytes used; 0 when the session now waits or is
 * stalled. id_budget: IDs that may be minted before it stops and waits again. */
size_t sf_next_serve(struct sf_session *session, const uint8_t *bytes, size_t size, uint64_t *id_budget);
/* One request for so many IDs (1 or more), of a session that does not speak frames. False when the session is stalled: to be asked again. Else it
 * is refused, and that answered, or it is the partial request, and may wait. */
bool sf_next_one(struct sf_session *session, uint32_t count, uint64_t id_budget);
/* Goes on with the partial request; false when it waits or is stalled, or (SERVING still) when it is going to be refused. */
bool sf_next_resume(struct sf_session *session, const uint8_t *bytes, size_t size, uint64_t *id_budget);

#endif
