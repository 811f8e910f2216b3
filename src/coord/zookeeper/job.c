/* coord/zookeeper/job.c - see job.h. */
#include "coord/zookeeper/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "coord/request.h"
#include "coord/zookeeper/wire.h"

static void deliver(struct sf_zk *z, struct sf_zk_job *job)
{
    SF_ASSERT(!job->finished);
    job->finished = true;
    job->event->completion.duration_ns = sf_zk_now_ns(z) - job->start_ns;
    struct sf_coord_event *event = job->event;
    job->event = NULL;
    z->coord.sink(z->coord.sink_ctx, event);
}

void sf_zk_finish(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_outcome outcome,
                  enum sf_coord_reason reason, const char *format, ...)
{
    if (job->finished)
        return;
    struct sf_coord_completion *completion = &job->event->completion;
    sf_completion_drop_results(completion);
    completion->outcome = outcome;
    completion->reason = reason;
    va_list args;
    va_start(args, format);
    vsnprintf(completion->text, sizeof completion->text, format, args);
    va_end(args);
    deliver(z, job);
}

void sf_zk_refuse(struct sf_zk *z, struct sf_zk_job *job, const struct sf_refusal *refusal)
{
    sf_zk_finish(z, job, SF_COORD_REFUSED, refusal->reason, "%s", refusal->text);
}

void sf_zk_finish_done(struct sf_zk *z, struct sf_zk_job *job)
{
    if (!job->finished)
        deliver(z, job);
}

void sf_zk_finish_unanswered(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_reason reason,
                             const char *text)
{
    const bool unknown = sf_request_writes(job->request.op) && job->wrote;
    sf_zk_finish(z, job, unknown ? SF_COORD_UNKNOWN : SF_COORD_LOST, reason, "%s", text);
}

static enum sf_coord_reason reason_of(int rc)
{
    switch (rc) {
    case SF_ZK_NO_AUTH:
    case SF_ZK_INVALID_ACL:
    case SF_ZK_AUTH_FAILED:
    case SF_ZK_LOGIN_REQUIRED:
        return SF_COORD_AUTH;
    case SF_ZK_NO_NODE:
        return SF_COORD_MISSING;
    case SF_ZK_BAD_VERSION:
    case SF_ZK_NODE_EXISTS:
        return SF_COORD_VERSION;
    case SF_ZK_BAD_ARGUMENTS:
    case SF_ZK_UNIMPLEMENTED:
    case SF_ZK_NOT_READ_ONLY:
    case SF_ZK_EPHEMERAL_PARENT:
        return SF_COORD_INVALID;
    case SF_ZK_QUOTA_EXCEEDED:
        return SF_COORD_STORAGE;
    case SF_ZK_SESSION_EXPIRED:
        return SF_COORD_SESSION;
    default:
        return SF_COORD_UNREACHABLE;
    }
}

const char *sf_zk_way_out(const struct sf_zk *z, int rc)
{
    const bool named = z->options.auth != NULL;
    switch (rc) {
    case SF_ZK_NO_AUTH:
        return named ? " with this user name and password"
                     : " without credentials (coordinator.username)";
    case SF_ZK_AUTH_FAILED:
    case SF_ZK_LOGIN_REQUIRED:
        return named ? ": the login of coordinator.username is a digest; allow that there "
                       "(enforce.auth.schemes), since SASL is not supported"
                     : ": set coordinator.username and coordinator.password_file, and allow digest "
                       "there (enforce.auth.schemes); SASL is not supported";
    case SF_ZK_QUOTA_EXCEEDED:
        return ": raise or remove it there (zkCli.sh: listquota, setquota), then the next try "
               "works";
    default:
        return "";
    }
}

void sf_zk_finish_rc(struct sf_zk *z, struct sf_zk_job *job, int rc, const char *what)
{
    char text[SF_COORD_TEXT_MAX];
    const enum sf_coord_reason reason = reason_of(rc);
    snprintf(text, sizeof text, "%.80s: %s (%d)%s", what, sf_zk_code_text(rc), rc,
             sf_zk_way_out(z, rc));
    if (reason == SF_COORD_AUTH)
        sf_log_limited(z->log, &z->auth_limiter, 10000, SF_LOG_ERROR, "coordinator.auth", "%s",
                       text);
    const bool unanswered = reason == SF_COORD_UNREACHABLE || reason == SF_COORD_SESSION ||
                            rc == SF_ZK_AUTH_FAILED || rc == SF_ZK_LOGIN_REQUIRED ||
                            (sf_request_writes(job->request.op) && job->wrote);
    if (unanswered)
        sf_zk_finish_unanswered(z, job, reason, text);
    else
        sf_zk_finish(z, job, SF_COORD_REFUSED, reason, "%s", text);
}

static void pump(struct sf_zk *z, struct sf_zk_job *job)
{
    if (job->pumping)
        return;
    job->pumping = true;
    while (!job->finished && job->next_index < job->total && job->in_flight < SF_ZK_WINDOW) {
        const int rc = job->issue(z, job, job->next_index);
        if (rc != 0) { /* it has not been sent; what was sent before may count */
            sf_zk_finish_rc(z, job, rc, "the request could not be sent");
            break;
        }
        job->next_index++;
        job->in_flight++;
    }
    job->pumping = false;
    if (!job->finished && job->in_flight == 0 && job->next_index == job->total)
        job->then(z, job);
}

void sf_zk_phase(struct sf_zk *z, struct sf_zk_job *job, size_t total,
                 int (*issue)(struct sf_zk *z, struct sf_zk_job *job, size_t index),
                 void (*then)(struct sf_zk *z, struct sf_zk_job *job))
{
    SF_ASSERT(job->in_flight == 0);
    job->next_index = 0;
    job->total = total;
    job->issue = issue;
    job->then = then;
    pump(z, job);
}

void sf_zk_job_progress(const struct sf_zk *z, struct sf_zk_job *job)
{
    job->deadline_ns = sf_zk_now_ns(z) + (int64_t)job->request.deadline_ms * SF_NS_PER_MS;
}

void sf_zk_job_answered(struct sf_zk *z, struct sf_zk_job *job)
{
    if (!job->finished)
        pump(z, job);
}

/* The life of a job. */

struct sf_zk_job *sf_zk_job_create(const struct sf_zk *z, const struct sf_coord_request *request)
{
    struct sf_zk_job *job = calloc(1, sizeof *job);
    SF_ASSERT(job != NULL);
    job->head.kind = SF_ZK_SUBMITTED;
    job->request = *request;
    job->start_ns = sf_zk_now_ns(z);
    sf_zk_job_progress(z, job);
    job->event = sf_coord_event_completion(request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
    return job;
}

void sf_zk_job_start(struct sf_zk *z, struct sf_zk_job *job, const struct sf_zk_job_ops *op)
{
    job->op = op;
    job->next = z->jobs;
    if (job->next != NULL)
        job->next->prev = job;
    z->jobs = job;
    op->start(z, job);
}

void sf_zk_job_free(struct sf_zk *z, struct sf_zk_job *job)
{
    SF_ASSERT(job->finished);
    if (job->prev != NULL)
        job->prev->next = job->next;
    else
        z->jobs = job->next;
    if (job->next != NULL)
        job->next->prev = job->prev;
    if (job->work != NULL)
        job->op->free(job->work);
    free(job);
}
