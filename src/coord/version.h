/* coord/version.h - comparing versions of records. Pure; any thread. */
#ifndef SF_COORD_VERSION_H
#define SF_COORD_VERSION_H

#include "coord/types.h"

static inline bool sf_version_same(const struct sf_coord_version *a,
                                   const struct sf_coord_version *b)
{
    return a->incarnation == b->incarnation && a->version == b->version;
}

#endif
