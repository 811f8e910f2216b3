/* coord/etcd/belief.h - which endpoint is asked, with which token, and which answers may be
 * believed. */
#ifndef SF_COORD_ETCD_BELIEF_H
#define SF_COORD_ETCD_BELIEF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "coord/etcd/answer.h"
#include "coord/etcd/shared.h"

struct sf_etcd_belief {
    unsigned current; /* endpoint to ask */
    /* How often each endpoint came into doubt, and another took its place. */
    unsigned suspicions[SF_COORDINATOR_HOSTS_MAX];
    bool doubt;            /* look at the session now */
    char *token;           /* NULL: none */
    uint64_t token_serial; /* grows with every login */
    bool relogin;          /* the token was refused */
    uint64_t cluster_id, raft_term, revision;
    int64_t
        back_since_ns; /* since when only another cluster or lower terms were heard; 0: not so */
    bool went_back;    /* what is there was made anew or restored: to be told (session.c) */
    struct sf_log_limiter limit_stale;
};

/* May this answer be believed? Otherwise says why not, without naming the endpoint; checks cluster
 * id and term, learns the revision. */
bool sf_etcd_believes(struct sf_etcd *etcd, const struct sf_etcd_header *header,
                      char text[SF_COORD_TEXT_MAX]);
/* An endpoint did not answer (or not well): use the next one, and look at the session now. */
void sf_etcd_suspect(struct sf_etcd *etcd, unsigned endpoint);
/* The token was refused: log in again. serial: that of the token used. */
void sf_etcd_relogin(struct sf_etcd *etcd, uint64_t serial);
/* A new token (copied), or NULL. The old one is wiped. */
void sf_etcd_set_token(struct sf_etcd *etcd, const char *token);

#endif
