/* server/partial.h - a NEXT whose IDs are not all there yet: the response as far as it has got. Its shard's thread. */
#ifndef SF_SERVER_PARTIAL_H
#define SF_SERVER_PARTIAL_H

#include "server/internal.h"

/* False: no memory. */
bool sf_partial_start(struct sf_session *session, uint32_t request_id, uint32_t count, uint64_t after);
/* Appends what was minted; false when the response cannot hold it. */
bool sf_partial_add(struct sf_session *session, const struct sf_generator *gen, struct sf_mint *minted);
/* Without one: nothing. */
void sf_partial_drop(struct sf_session *session);

#endif
