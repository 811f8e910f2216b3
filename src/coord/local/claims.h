/* coord/local/claims.h - claims: files whose lock is held for the life of the process; CLAIM,
 * UNCLAIM and TELL. I/O thread only. */
#ifndef SF_COORD_LOCAL_CLAIMS_H
#define SF_COORD_LOCAL_CLAIMS_H

#include "coord/local/store.h"

struct sf_local_claim {
    struct sf_local_claim *next;
    char token[SF_COORD_TOKEN_SIZE]; /* of the making that it is in */
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

/* That file has the claim's name now, and is the claim. Takes fd over. */
void sf_local_claim_replaced(struct sf_local_claim *claim, int fd);

/* Live claims in ret (an array to free), by fence. Dead ones and left over temporary files are
 * removed if dc's lock is held, or can be had at once. Returns 0 or a negative errno code. */
int sf_local_claims_list(struct sf_local_store *store, struct sf_local_dc *dc,
                         struct sf_coord_claim **ret, size_t *ret_count);
/* Where the request wants it: how many there are, into the completion. What cannot be told is not. */
void sf_local_claims_count(struct sf_local_store *store, struct sf_local_job *job,
                           struct sf_local_dc *dc);
/* Removes left over temporary files of a directory whose lock is held. */
void sf_local_sweep(struct sf_local_store *store, int dirfd);

/* Return 0, or -1 refused. */
int sf_local_do_claim(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_unclaim(struct sf_local_store *store, struct sf_local_job *job);
int sf_local_do_tell(struct sf_local_store *store, struct sf_local_job *job);

/* The end: deletes the claims that are left, waiting for locks until give_up_ns. */
void sf_local_claims_end(struct sf_local_store *store, int64_t give_up_ns);
/* In a forked child: closes what it inherited, touching no file. */
void sf_local_claims_abandon(struct sf_local_store *store);

#endif
