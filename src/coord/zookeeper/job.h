/* coord/zookeeper/job.h - from a request to its one completion: phases, and what an answer of the
 * server means for the outcome.
 *
 * A job goes through phases; in a phase `total` calls are issued, at most SF_ZK_WINDOW at once,
 * then `then` is called. A job that is finished stays on the list until sf_zk_jobs_reap, so that whoever
 * finished it may still look at it. Backend thread only. */
#ifndef SF_COORD_ZOOKEEPER_JOB_H
#define SF_COORD_ZOOKEEPER_JOB_H

#include <stdbool.h>
#include <stddef.h>

#include "coord/refusal.h"
#include "coord/zookeeper/message.h"
#include "coord/zookeeper/multi.h"
#include "coord/zookeeper/shared.h"

#define SF_ZK_WINDOW 256 /* calls of one job in flight */

/* How one op is done. zookeeper.c has the table. */
struct sf_zk_job_ops {
    void (*start)(struct sf_zk *z, struct sf_zk_job *job);
    void (*free)(void *work); /* of job->work, never NULL; NULL: it has none */
};

struct sf_zk_job {
    struct sf_zk_message head;
    struct sf_zk_job *next, *prev;
    struct sf_coord_request request;
    struct sf_coord_event *event; /* what will be delivered; NULL: it has been */
    int64_t start_ns, deadline_ns;
    bool wrote;      /* a write has left: without an answer the outcome is unknown */
    bool confirmed;  /* what it reads must be ordered behind a write (confirm.h) */
    uint64_t losses; /* of the link, when that write left */
    bool finished;   /* the event was delivered */
    bool pumping;
    size_t next_index, total, in_flight;
    int (*issue)(struct sf_zk *z, struct sf_zk_job *job, size_t index);
    void (*then)(struct sf_zk *z, struct sf_zk_job *job);
    const struct sf_zk_job_ops *op;
    const enum sf_zk_condition *looks; /* what it looks at (basis.h) */
    size_t look_count;
    struct sf_zk_moment looks_since;
    bool doubted; /* something was not as expected, on a server that may lag */
    void (*after_look)(struct sf_zk *z, struct sf_zk_job *job);
    uint64_t claim_version; /* BIND: of the claim's node, as looked at */
    void *work;             /* the op's own */
};

/* Submit's part, on the control thread: a job that is on no list yet. */
struct sf_zk_job *sf_zk_job_create(const struct sf_zk *z, const struct sf_coord_request *request);
/* Puts it on the handle's list and starts it. */
void sf_zk_job_start(struct sf_zk *z, struct sf_zk_job *job, const struct sf_zk_job_ops *op);
/* Takes one that is finished off the list and frees it. */
void sf_zk_job_free(struct sf_zk *z, struct sf_zk_job *job);

/* Starts a phase of total calls (0: `then` follows at once). issue returns 0 or the library's code:
 * then nothing has been sent. */
void sf_zk_phase(struct sf_zk *z, struct sf_zk_job *job, size_t total,
                 int (*issue)(struct sf_zk *z, struct sf_zk_job *job, size_t index),
                 void (*then)(struct sf_zk *z, struct sf_zk_job *job));
/* Its deadline begins anew: it has come a step further. */
void sf_zk_job_progress(const struct sf_zk *z, struct sf_zk_job *job);
/* A call of the phase has been answered and dealt with: issues more, or goes on. */
void sf_zk_job_answered(struct sf_zk *z, struct sf_zk_job *job);

/* Each of these delivers the event, once; a job that is finished already is left alone. */
void sf_zk_finish(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_outcome outcome,
                  enum sf_coord_reason reason, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void sf_zk_finish_done(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_refuse(struct sf_zk *z, struct sf_zk_job *job, const struct sf_refusal *refusal);
/* LOST, or UNKNOWN for a write that has left. */
void sf_zk_finish_unanswered(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_reason reason,
                             const char *text);
/* What would help, of what a server says: the end of a sentence; "": nothing that we know. */
const char *sf_zk_way_out(const struct sf_zk *z, int rc);
/* Finishes by the result code of a call to the server, while doing `what`. A write that has left is
 * UNKNOWN then: only a condition that can never come true again refuses it (basis.h). */
void sf_zk_finish_rc(struct sf_zk *z, struct sf_zk_job *job, int rc, const char *what);

#endif
