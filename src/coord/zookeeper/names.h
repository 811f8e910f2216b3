/* coord/zookeeper/names.h - the children of a node, as a list of one's own. */
#ifndef SF_COORD_ZOOKEEPER_NAMES_H
#define SF_COORD_ZOOKEEPER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "coord/zookeeper/call.h"

struct sf_zk_names {
    char **text;
    size_t count;
};

/* The names of an answer, which has none any more. */
struct sf_zk_names *sf_zk_names_take(struct sf_zk_call *call);
/* NULL is fine. */
void sf_zk_names_free(struct sf_zk_names *names);
/* Drops the others: of a name that is not ours no path is ever built. */
void sf_zk_names_keep(struct sf_zk_names *names, bool (*is_ours)(const char *name));

bool sf_zk_is_claim_name(const char *name);
bool sf_zk_is_token(const char *name);
/* "current-" and a token. */
bool sf_zk_is_current_name(const char *name);
/* A number from 0 to max, as we write it. */
bool sf_zk_number_of(const char *name, uint64_t max, uint64_t *ret);

#endif
