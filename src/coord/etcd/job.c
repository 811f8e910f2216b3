/* coord/etcd/job.c - see job.h. */
#include "coord/etcd/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "coord/etcd/belief.h"
#include "coord/etcd/session.h"
#include "coord/request.h"

#define READ_RETRY_MS 20 /* between two rounds over the endpoints */

static int64_t deadline_ns(const struct sf_etcd *etcd, const struct sf_coord_request *request)
{
    return sf_etcd_now_ns(etcd) + (int64_t)request->deadline_ms * SF_NS_PER_MS;
}

struct sf_etcd_job *sf_etcd_job_create(const struct sf_etcd *etcd, const struct sf_etcd_job_ops *op,
                                       const struct sf_coord_request *request)
{
    struct sf_etcd_job *job = calloc(1, sizeof *job);
    SF_ASSERT(job != NULL);
    job->op = op;
    job->request = *request;
    job->start_ns = sf_etcd_now_ns(etcd);
    job->deadline_ns = deadline_ns(etcd, request);
    return job;
}

struct sf_coord_event *sf_etcd_job_done(const struct sf_etcd_job *job)
{
    return sf_coord_event_completion(&job->request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
}

void sf_etcd_job_finish(struct sf_etcd *etcd, struct sf_etcd_job *job, struct sf_coord_event *event,
                        const struct sf_etcd_result *result)
{
    event->completion.duration_ns = sf_etcd_now_ns(etcd) - job->start_ns;
    if (result != NULL && result->server_ms >= 0) {
        event->completion.server_ms = result->server_ms;
        event->completion.server_error_ms = result->server_error_ms;
    }
    struct sf_etcd_job **at = &etcd->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    sf_etcd_http_cancel(etcd, job->transfer);
    if (job->work != NULL)
        job->op->free(job->work);
    free(job);
    etcd->coord.sink(etcd->coord.sink_ctx, event);
}

void sf_etcd_job_fail(struct sf_etcd *etcd, struct sf_etcd_job *job,
                      const struct sf_etcd_result *result, enum sf_coord_outcome outcome,
                      enum sf_coord_reason reason, const char *format, ...)
{
    char text[SF_COORD_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* A part of an INIT has been done already. */
    if (job->touched && outcome == SF_COORD_LOST)
        outcome = SF_COORD_UNKNOWN;
    sf_etcd_job_finish(
        etcd, job, sf_coord_event_completion(&job->request, outcome, reason, "%s", text), result);
}

void sf_etcd_job_refuse(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result, const struct sf_refusal *refusal)
{
    sf_etcd_job_fail(etcd, job, result, SF_COORD_REFUSED, refusal->reason, "%s", refusal->text);
}

/* A read: again at another endpoint, or LOST when there is no time. */
static void ask_again(struct sf_etcd *etcd, struct sf_etcd_job *job, enum sf_coord_reason reason,
                      const char *text)
{
    SF_ASSERT(!sf_request_writes(job->request.op));
    snprintf(job->last_text, sizeof job->last_text, "%s", text);
    job->last_reason = reason;
    job->attempts++;
    const bool round = job->attempts % etcd->options.endpoint_count == 0;
    job->wake_ns = round ? sf_etcd_after_ms(etcd, READ_RETRY_MS) : 0;
}

/* No answer, or one that says only that it did not work. */
static void unanswered(struct sf_etcd *etcd, struct sf_etcd_job *job, bool sent,
                       enum sf_coord_reason reason, const char *text,
                       const struct sf_etcd_result *result)
{
    if (!sf_request_writes(job->request.op))
        ask_again(etcd, job, reason, text);
    else
        sf_etcd_job_fail(etcd, job, result, sent && job->writing ? SF_COORD_UNKNOWN : SF_COORD_LOST,
                         reason, "%s", text);
}

void sf_etcd_job_unreadable(struct sf_etcd *etcd, struct sf_etcd_job *job,
                            const struct sf_etcd_result *result)
{
    char text[SF_COORD_TEXT_MAX];
    sf_etcd_tell(etcd, result->endpoint, "an answer without its content", text);
    if (!sf_request_writes(job->request.op))
        sf_etcd_suspect(etcd, result->endpoint);
    /* Where one answer is not ours the next ones will not be either. */
    sf_etcd_http_distrust(result);
    unanswered(etcd, job, true, SF_COORD_UNREACHABLE, text, result);
}

static void lease_missing(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    etcd->belief->doubt = true;
    if (job->request.op == SF_COORD_CLAIM)
        sf_etcd_job_fail(etcd, job, result, SF_COORD_UNKNOWN, SF_COORD_SESSION, "%s",
                         result->answer.text);
    else
        sf_etcd_job_fail(etcd, job, result, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE, "%s",
                         result->answer.text);
}

/* What a write got instead of an answer from the store: a hop may have delivered it twice and handed
 * on what the second got, so it may have been done. Of a read it is the answer. */
static void turned_away(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result, enum sf_coord_reason reason)
{
    sf_etcd_job_fail(etcd, job, result, job->writing ? SF_COORD_UNKNOWN : SF_COORD_REFUSED, reason,
                     "%s", result->answer.text);
}

static void judge(struct sf_etcd *etcd, struct sf_etcd_job *job,
                  const struct sf_etcd_result *result)
{
    const char *text = result->answer.text;
    switch (result->answer.verdict) {
    case SF_ETCD_OK:
        if (!job->tagged || sf_etcd_txn_has_tag(result->answer.root, job->tag))
            job->op->answer(etcd, job, result);
        else
            sf_etcd_job_unreadable(etcd, job, result);
        break;
    case SF_ETCD_BAD_TOKEN:
        if (etcd->options.username == NULL)
            turned_away(etcd, job, result, SF_COORD_AUTH);
        else
            unanswered(etcd, job, true, SF_COORD_AUTH, text, result);
        break;
    case SF_ETCD_DENIED:
        turned_away(etcd, job, result, SF_COORD_AUTH);
        break;
    case SF_ETCD_FULL:
        turned_away(etcd, job, result, SF_COORD_STORAGE);
        break;
    case SF_ETCD_BUSY:
        unanswered(etcd, job, true, SF_COORD_UNREACHABLE, text, result);
        break;
    case SF_ETCD_NO_LEASE:
        lease_missing(etcd, job, result);
        break;
    case SF_ETCD_NO_AUTH:
    case SF_ETCD_REJECTED:
        turned_away(etcd, job, result, SF_COORD_INVALID);
        break;
    case SF_ETCD_UNAVAILABLE:
        sf_etcd_suspect(etcd, result->endpoint);
        unanswered(etcd, job, true, SF_COORD_UNREACHABLE, text, result);
        break;
    }
}

static void on_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    struct sf_etcd_job *job = ctx;
    job->transfer = NULL;
    if (result->fate == SF_ETCD_ANSWERED) {
        if (sf_request_is_long(job->request.op) && result->answer.verdict == SF_ETCD_OK)
            job->deadline_ns = deadline_ns(etcd, &job->request);
        judge(etcd, job, result);
        return;
    }
    sf_etcd_suspect(etcd, result->endpoint);
    unanswered(etcd, job, result->fate == SF_ETCD_NO_ANSWER, result->reason, result->text, result);
}

/* What is only looked for is written on condition of what was found: an answer to somebody else costs a write
 * that is refused. Those are many; a tag makes a read cost as much as a write. */
static bool decides(enum sf_coord_op op)
{
    return op != SF_COORD_LIST && op != SF_COORD_PROBE && op != SF_COORD_FIND &&
           op != SF_COORD_WATCH;
}

char *sf_etcd_job_txn(struct sf_etcd *etcd, struct sf_etcd_job *job, const struct sf_etcd_txn *txn)
{
    struct sf_etcd_txn tagged = *txn;
    char root[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, root, "%s", "");
    job->tagged = decides(job->request.op);
    job->tag = (uint32_t)sf_prng_below(&etcd->prng, UINT64_C(1) << SF_ETCD_TAG_BITS);
    if (job->tagged) {
        tagged.tag_key = root;
        tagged.tag = job->tag;
    }
    return sf_etcd_body_txn(&tagged);
}

void sf_etcd_job_send(struct sf_etcd *etcd, struct sf_etcd_job *job, const char *path, char *body,
                      bool write, int64_t most_ms)
{
    /* The short time is for turning to another member. Where there is none, a late answer is worth more
     * than none: asked again, one more question would stand in the same queue. */
    if (etcd->options.endpoint_count == 1)
        most_ms = SF_ETCD_INIT_MS;
    most_ms = sf_etcd_patient_ms(etcd, most_ms);
    const int64_t left_ms = (job->deadline_ns - sf_etcd_now_ns(etcd)) / SF_NS_PER_MS;
    const struct sf_etcd_send send = {.path = path,
                                      .body = body,
                                      .write = write,
                                      .with_token = true,
                                      .timeout_ms = left_ms < 1         ? 1
                                                    : left_ms < most_ms ? left_ms
                                                                        : most_ms,
                                      .endpoint = etcd->belief->current,
                                      .done = on_done,
                                      .ctx = job};
    job->writing = write;
    job->transfer = sf_etcd_http_send(etcd, &send);
}

/* One without a transfer: has its time come, or run out? A finished job is gone after this. */
static void turn_one(struct sf_etcd *etcd, struct sf_etcd_job *job, int64_t now_ns)
{
    const char *last = job->last_text;
    if (now_ns >= job->deadline_ns) {
        sf_etcd_job_fail(etcd, job, NULL, SF_COORD_LOST,
                         last[0] != '\0' ? job->last_reason : SF_COORD_UNREACHABLE,
                         "no answer within %u ms%s%.200s", job->request.deadline_ms,
                         last[0] != '\0' ? ": " : "", last);
    } else if (!etcd->session->announced) {
        const char *told = etcd->session->told[0] != '\0' ? etcd->session->told
                                                          : "not connected to the coordinator";
        sf_etcd_job_fail(etcd, job, NULL, SF_COORD_LOST, SF_COORD_UNREACHABLE, "%s",
                         last[0] != '\0' ? last : told);
    } else if (job->watching || (sf_etcd_session_ready(etcd) && now_ns >= job->wake_ns)) {
        job->op->start(etcd, job);
    }
}

void sf_etcd_job_turn(struct sf_etcd *etcd)
{
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    struct sf_etcd_job *next;
    for (struct sf_etcd_job *job = etcd->jobs; job != NULL; job = next) {
        next = job->next;
        if (job->transfer == NULL)
            turn_one(etcd, job, now_ns);
    }
}

int64_t sf_etcd_job_due_ns(const struct sf_etcd *etcd)
{
    int64_t due_ns = INT64_MAX;
    for (const struct sf_etcd_job *job = etcd->jobs; job != NULL; job = job->next) {
        if (job->transfer != NULL)
            continue;
        int64_t at_ns = job->deadline_ns;
        if (!etcd->session->announced ||
            (sf_etcd_session_ready(etcd) && !job->watching && job->wake_ns < at_ns))
            at_ns = etcd->session->announced ? job->wake_ns : 0;
        if (at_ns < due_ns)
            due_ns = at_ns;
    }
    return due_ns;
}

void sf_etcd_job_end_all(struct sf_etcd *etcd, enum sf_coord_reason reason, const char *text)
{
    while (etcd->jobs != NULL) {
        struct sf_etcd_job *job = etcd->jobs;
        const bool write = sf_request_writes(job->request.op);
        sf_etcd_job_fail(etcd, job, NULL, write ? SF_COORD_UNKNOWN : SF_COORD_LOST, reason, "%s",
                         text);
    }
}
