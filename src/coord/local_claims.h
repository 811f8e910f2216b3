/* coord/local_claims.h - the claims that this handle holds: names and the open files whose locks
 * keep them alive. I/O thread only. */
#ifndef SF_COORD_LOCAL_CLAIMS_H
#define SF_COORD_LOCAL_CLAIMS_H

#include "coord/local_store.h"

struct sf_local_claim {
    struct sf_local_claim *next;
    uint64_t datacenter;
    char name[SF_COORD_CLAIM_MAX];
    int fd;
};

/* NULL when it is not ours, or not in the directory any more (then we have let go of it). */
struct sf_local_claim *sf_local_claim_held(struct sf_local_store *store,
                                           const struct sf_local_dc *dc, const char *name);
/* Lets go of a claim: closes its file, frees it. */
void sf_local_claim_drop(struct sf_local_store *store, struct sf_local_claim *claim);
/* Makes a locked file with this content under a temporary name in dc's claims. */
int sf_local_claim_prepare(struct sf_local_store *store, const struct sf_local_dc *dc,
                           const struct sf_coord_claim *content, char ret_name[SF_DISK_NAME_MAX],
                           int *ret_fd, int64_t *ret_mtime_ms);

#endif
