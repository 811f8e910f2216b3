/* server/mint.h - IDs for a connection: from its generator, or from another one when that has none. Its shard's thread; generators
 * are shared and lock-free. */
#ifndef SF_SERVER_MINT_H
#define SF_SERVER_MINT_H

#include "server/internal.h"

/* The one that the session goes on with, also after a change of generator. */
static inline struct sf_generator *sf_mint_generator(const struct sf_session *session)
{
    return session->shard->server->options.generators[session->generator];
}

/* Mints up to `want` IDs, all greater than the ID `after` (0: whatever they are), above all that the session had before. */
enum sf_mint_result sf_mint_ids(struct sf_session *session, uint64_t after, uint32_t want, struct sf_mint *ret);
/* Largest count of NEXT whose answer fits a frame in this layout, at most max_batch. */
uint32_t sf_mint_max_batch(uint32_t max_batch, unsigned sequence_bits);

#endif
