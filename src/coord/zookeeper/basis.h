/* coord/zookeeper/basis.h - the conditions of writes.
 *
 * The ops of a multi compare versions, but not incarnations (czxid): nothing in ZooKeeper does. So
 * a write looks at the incarnations first, and what comes back of it is compared afterwards: a
 * record that was deleted and made again behind our back is never reported as the one that was
 * read. */
#ifndef SF_COORD_ZOOKEEPER_BASIS_H
#define SF_COORD_ZOOKEEPER_BASIS_H

#include <stdbool.h>

#include "coord/zookeeper/call.h"

/* A phase that looks whether each of these (CONFIG, STATE, CLAIM, SLOT) is there and is what the
 * request names: of the incarnation that it names, or in the case of a claim our session's (its
 * version goes into the job). Of a holder's record version and content are compared too: that a
 * counter was reached again proves nothing. What is not as expected refuses, after another look that
 * is confirmed. list: static. Where the request wants it, the claims are counted along. */
void sf_zk_look(struct sf_zk *z, struct sf_zk_job *job, const enum sf_zk_condition *list,
                size_t count, void (*then)(struct sf_zk *z, struct sf_zk_job *job));

/* The same, for a list that begins with CONFIG and STATE: where these two were found so before on this
 * very connection, and are watched on it, they are not looked at again. Versions are compared by the
 * write itself, as always; what a look adds is the incarnation. */
void sf_zk_look_anew(struct sf_zk *z, struct sf_zk_job *job, const enum sf_zk_condition *list,
                     size_t count, void (*then)(struct sf_zk *z, struct sf_zk_job *job));

/* The ops: config at its version, the making named, its state at its version. */
#define SF_ZK_BASIS_OPS 3
void sf_zk_add_basis(const struct sf_zk *z, const struct sf_zk_job *job, struct sf_zk_multi *multi);

/* Finishes by the answer of a multi that is not SF_ZK_OK: a condition that does not hold refuses,
 * anything else (while doing `what`) leaves the outcome unknown. */
void sf_zk_refuse_multi(struct sf_zk *z, struct sf_zk_job *job, const struct sf_zk_call *call,
                        const char *what);

/* Finishes a write of a record (SLOT, STATE) by the stat that came back of it: DONE with its
 * version and the server's time. If it has hit another incarnation than the one that was read, that
 * is not the write that was asked for: UNKNOWN. */
void sf_zk_finish_written(struct sf_zk *z, struct sf_zk_job *job, enum sf_zk_condition condition,
                          const struct sf_zk_stat *stat);

#endif
