/* server/place.h - which shard a new connection goes to. Any thread. */
#ifndef SF_SERVER_PLACE_H
#define SF_SERVER_PLACE_H

#include "server/internal.h"

/* The shard with the fewest connections; of several, `preferred` where it is one of them. */
struct sf_shard *sf_place_fewest(const struct sf_server *server, struct sf_shard *preferred);

#endif
