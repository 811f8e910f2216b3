/* coord/zookeeper/call.h - requests on a link, and their answers, which come in the order of the
 * requests. Backend thread only. */
#ifndef SF_COORD_ZOOKEEPER_CALL_H
#define SF_COORD_ZOOKEEPER_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/zookeeper/reply.h"

/* Each makes a call on z->link, which must be there; without a connection it waits for the next one,
 * and is lost with that one if it does not come to stand. `watch`: the server tells when what was
 * read changes. Returns 0, for who issues it as part of a phase. */
int sf_zk_get(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
              sf_zk_done *done);
int sf_zk_exists(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path, bool watch,
                 sf_zk_done *done);
int sf_zk_children(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                   bool watch, sf_zk_done *done);
/* mode: bits of how nodes are made. */
int sf_zk_create(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 const char *content, const struct sf_zk_acl *acl, int mode, sf_zk_done *done);
/* Of any version: for a claim, whose name is used once (it carries a fresh GUID). */
int sf_zk_delete(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done);
/* Takes the multi over. */
int sf_zk_multi_send(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                     struct sf_zk_multi *multi, sf_zk_done *done);
/* A multi that only checks: it goes through the quorum like a write, but writes nothing. */
int sf_zk_multi_ask(struct sf_zk *z, struct sf_zk_job *job, size_t index, struct sf_zk_multi *multi,
                    sf_zk_done *done);

/* For the link: one that is on its list no more. Hands the answer to its job (or, without one, to
 * done) and frees the call. */
void sf_zk_call_answered(struct sf_zk *z, struct sf_zk_call *call);

/* Frees the jobs that are finished; what they still wait for will be ignored. */
void sf_zk_jobs_reap(struct sf_zk *z);

#endif
