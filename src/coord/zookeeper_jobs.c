/* coord/zookeeper_jobs.c - from a request to its one completion: phases, and what an answer of the
 * server means for the outcome. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "coord/zookeeper_internal.h"

bool sf_zk_is_write(enum sf_coord_op op)
{
    return op == SF_COORD_INIT || op == SF_COORD_CLAIM || op == SF_COORD_UNCLAIM ||
           op == SF_COORD_BIND || op == SF_COORD_RENEW || op == SF_COORD_RELEASE;
}

static void job_free(struct sf_zk_job *job)
{
    sf_coord_event_free(job->event);
    for (size_t i = 0; i < job->name_count; i++)
        free(job->names[i]);
    free(job->names);
    sf_zk_init_state_free(job->init);
    free(job);
}

static void deliver(struct sf_zk *z, struct sf_zk_job *job)
{
    SF_ASSERT(!job->finished);
    job->finished = true;
    job->event->completion.duration_ns = sf_zk_now_ns(z) - job->start_ns;
    struct sf_coord_event *event = job->event;
    job->event = NULL;
    if (z->link != NULL && job->in_flight > 0)
        sf_zk_forget_job(z->link, job);
    z->sink(z->sink_ctx, event);
}

static void drop_results(struct sf_coord_completion *completion)
{
    free(completion->config);
    free(completion->slots);
    free(completion->claims);
    completion->config = NULL;
    completion->slots = NULL;
    completion->claims = NULL;
    completion->slot_count = completion->claim_count = 0;
}

void sf_zk_finish(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_outcome outcome,
                  enum sf_coord_reason reason, const char *format, ...)
{
    if (job->finished)
        return;
    struct sf_coord_completion *completion = &job->event->completion;
    drop_results(completion);
    completion->outcome = outcome;
    completion->reason = reason;
    va_list args;
    va_start(args, format);
    vsnprintf(completion->text, sizeof completion->text, format, args);
    va_end(args);
    deliver(z, job);
}

void sf_zk_finish_done(struct sf_zk *z, struct sf_zk_job *job)
{
    if (!job->finished)
        deliver(z, job);
}

void sf_zk_finish_unanswered(struct sf_zk *z, struct sf_zk_job *job, enum sf_coord_reason reason,
                             const char *text)
{
    bool unknown = sf_zk_is_write(job->request.op) && job->wrote;
    sf_zk_finish(z, job, unknown ? SF_COORD_UNKNOWN : SF_COORD_LOST, reason, "%s", text);
}

void sf_zk_finish_rc(struct sf_zk *z, struct sf_zk_job *job, int rc, const char *what)
{
    char text[SF_COORD_TEXT_MAX];
    snprintf(text, sizeof text, "%.150s: %s (%d)", what, zerror(rc), rc);
    switch (rc) {
    case ZNOAUTH:
        sf_log_limited(
            z->log, &z->auth_limiter, 10000, SF_LOG_ERROR, "coordinator.auth", "%s: not allowed %s",
            what, z->auth != NULL ? "with this user name and password" : "without credentials");
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_AUTH,
                     "%.150s: the ACL does not allow it %s", what,
                     z->auth != NULL ? "with this user name and password"
                                     : "without credentials (coordinator.username)");
        return;
    case ZNONODE:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_MISSING, "%s", text);
        return;
    case ZBADVERSION:
    case ZNODEEXISTS:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_VERSION, "%s", text);
        return;
    case ZINVALIDACL:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_AUTH, "%s", text);
        return;
    case ZBADARGUMENTS:
    case ZUNIMPLEMENTED:
    case ZNOTREADONLY:
    case ZNOCHILDRENFOREPHEMERALS:
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID, "%s", text);
        return;
    case ZTHROTTLEDOP:
    case ZSESSIONMOVED: /* the server says that it has not done it */
        sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_UNREACHABLE, "%s", text);
        return;
    case ZSESSIONEXPIRED:
        sf_zk_finish_unanswered(z, job, SF_COORD_SESSION, text);
        return;
    case ZAUTHFAILED:
        sf_zk_finish_unanswered(z, job, SF_COORD_AUTH, text);
        return;
    default:
        sf_zk_finish_unanswered(z, job, SF_COORD_UNREACHABLE, text);
    }
}

static void pump(struct sf_zk *z, struct sf_zk_job *job)
{
    if (job->pumping)
        return;
    job->pumping = true;
    while (!job->finished && job->next_index < job->total && job->in_flight < SF_ZK_WINDOW) {
        int rc = job->issue(z, job, job->next_index);
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

void sf_zk_reap_jobs(struct sf_zk *z)
{
    for (struct sf_zk_job *job = z->jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (!job->finished)
            continue;
        if (job->prev != NULL)
            job->prev->next = job->next;
        else
            z->jobs = job->next;
        if (job->next != NULL)
            job->next->prev = job->prev;
        job_free(job);
    }
}

void sf_zk_start_job(struct sf_zk *z, struct sf_zk_job *job)
{
    static void (*const table[SF_COORD_OPS])(struct sf_zk *, struct sf_zk_job *) = {
        [SF_COORD_READ_CONFIG] = sf_zk_read_config,
        [SF_COORD_INIT] = sf_zk_init,
        [SF_COORD_LIST] = sf_zk_list,
        [SF_COORD_READ_SLOT] = sf_zk_read_slot,
        [SF_COORD_CLAIM] = sf_zk_claim,
        [SF_COORD_UNCLAIM] = sf_zk_unclaim,
        [SF_COORD_BIND] = sf_zk_write,
        [SF_COORD_RENEW] = sf_zk_write,
        [SF_COORD_RELEASE] = sf_zk_write,
        [SF_COORD_WATCH] = sf_zk_watch,
    };
    job->next = z->jobs;
    if (job->next != NULL)
        job->next->prev = job;
    z->jobs = job;
    if (z->stopping)
        sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_ENDING, "the coordinator handle is ending");
    else if (z->link == NULL || !z->link->connected)
        sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                     "not connected to the coordinator");
    else
        table[job->request.op](z, job);
}

void sf_zk_take_answer(struct sf_zk *z, struct sf_zk_call *call)
{
    if (call->link != NULL)
        sf_zk_call_take(call);
    struct sf_zk_job *job = call->job;
    if (job != NULL) {
        SF_ASSERT(job->in_flight > 0 && !job->finished);
        job->in_flight--;
        call->done(z, job, call);
        if (!job->finished)
            pump(z, job);
    } else if (call->done != NULL && call->link != NULL && call->link == z->link) {
        call->done(z, NULL, call); /* one of the backend's own */
    }
    sf_zk_call_free(call);
}
