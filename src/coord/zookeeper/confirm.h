/* coord/zookeeper/confirm.h - reads that show what was so after the request came in.
 *
 * A server may lag behind, and its sync is answered without asking a quorum. A write is not: so a
 * multi that only checks whether the fleet's root is there (it need not be) goes first, and the
 * reads follow on the same connection, on which a server answers in order. */
#ifndef SF_COORD_ZOOKEEPER_CONFIRM_H
#define SF_COORD_ZOOKEEPER_CONFIRM_H

#include <stdbool.h>

#include "coord/zookeeper/call.h"

/* For a phase: the first call of a job whose reads, in this phase and later ones, are to be
 * confirmed. */
int sf_zk_confirm(struct sf_zk *z, struct sf_zk_job *job, size_t index);
/* The same, for who deals with the answer himself: SF_ZK_OK and SF_ZK_NO_NODE are answers of a quorum. */
int sf_zk_ask_quorum(struct sf_zk *z, struct sf_zk_job *job, size_t index, sf_zk_done *done);
/* Is what has been read since confirmed: is it still the same connection? Also of a job that has
 * asked for no confirmation. */
bool sf_zk_is_confirmed(const struct sf_zk *z, const struct sf_zk_job *job);
/* The same; when it is not, finishes the job as not answered. */
bool sf_zk_ensure_confirmed(struct sf_zk *z, struct sf_zk_job *job);
/* DONE when it is. */
void sf_zk_finish_confirmed(struct sf_zk *z, struct sf_zk_job *job);

#endif
