/* coord/etcd/job.h - requests of the contract from submit to completion: waiting, deadlines, retries
 * of reads, outcomes. */
#ifndef SF_COORD_ETCD_JOB_H
#define SF_COORD_ETCD_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/etcd/body.h"
#include "coord/etcd/http.h"
#include "coord/etcd/shared.h"
#include "coord/refusal.h"

#define SF_ETCD_INIT_MS                                                                            \
    5000 /* one transaction of INIT; any write when there is one member only                       \
          */

/* How one op is done. etcd.c has the table. */
struct sf_etcd_job_ops {
    void (*start)(struct sf_etcd *etcd, struct sf_etcd_job *job); /* send, or refuse */
    void (*answer)(struct sf_etcd *etcd, struct sf_etcd_job *job,
                   const struct sf_etcd_result *result); /* that is OK */
    void (*free)(void *work);                            /* of job->work; NULL: it has none */
};

struct sf_etcd_job {
    struct sf_etcd_job *next;
    const struct sf_etcd_job_ops *op;
    struct sf_coord_request request;
    int64_t start_ns, deadline_ns, wake_ns; /* wake_ns: not before this; 0: now */
    bool writing;                           /* the transfer out is a write */
    bool tagged;                            /* its answer must bear this tag */
    uint32_t tag;
    bool touched;  /* INIT: an earlier transaction of it was applied */
    bool watching; /* WATCH: waits for its stream */
    unsigned attempts;
    struct sf_etcd_transfer *transfer;
    char last_text[SF_COORD_TEXT_MAX];
    enum sf_coord_reason last_reason;
    void *work; /* the op's own */
};

/* Submit's part, on the control thread: a job that is on no list yet. */
struct sf_etcd_job *sf_etcd_job_create(const struct sf_etcd *etcd, const struct sf_etcd_job_ops *op,
                                       const struct sf_coord_request *request);
void sf_etcd_job_turn(struct sf_etcd *etcd);
int64_t sf_etcd_job_due_ns(const struct sf_etcd *etcd);
void sf_etcd_job_end_all(struct sf_etcd *etcd, enum sf_coord_reason reason, const char *text);

/* DONE, with nothing in it yet; for sf_etcd_job_finish. */
struct sf_coord_event *sf_etcd_job_done(const struct sf_etcd_job *job);
/* Delivers, and frees the job. Takes the event. result: the answer that led here (NULL: none). */
void sf_etcd_job_finish(struct sf_etcd *etcd, struct sf_etcd_job *job, struct sf_coord_event *event,
                        const struct sf_etcd_result *result);
void sf_etcd_job_fail(struct sf_etcd *etcd, struct sf_etcd_job *job,
                      const struct sf_etcd_result *result, enum sf_coord_outcome outcome,
                      enum sf_coord_reason reason, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* REFUSED, for this reason. */
void sf_etcd_job_refuse(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result, const struct sf_refusal *refusal);
/* The answer is OK, but lacks what it must have: of a write nobody knows then; a read is asked
 * again. */
void sf_etcd_job_unreadable(struct sf_etcd *etcd, struct sf_etcd_job *job,
                            const struct sf_etcd_result *result);
/* The transaction as it is to be sent for this job, with a tag where the answer decides by itself. Memory that
 * sf_etcd_job_send takes over. */
char *sf_etcd_job_txn(struct sf_etcd *etcd, struct sf_etcd_job *job, const struct sf_etcd_txn *txn);
/* Sends a body (taken over) for it; most_ms: within the deadline, no longer than that. */
void sf_etcd_job_send(struct sf_etcd *etcd, struct sf_etcd_job *job, const char *path, char *body,
                      bool write, int64_t most_ms);

#endif
