/* coord/zookeeper/call.c - see call.h. */
#include "coord/zookeeper/call.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/request.h"
#include "coord/zookeeper/link.h"

/* Calls: begun, filled with their arguments, sent. */

struct request {
    struct sf_zk_call *call;
    struct sf_zk_bytes *out;
    size_t place;
};

static struct request begin(struct sf_zk *z, struct sf_zk_job *job, size_t index, enum sf_zk_op op,
                            sf_zk_done *done)
{
    struct sf_zk_link *link = z->link;
    SF_ASSERT(link != NULL);
    struct sf_zk_call *call = calloc(1, sizeof *call);
    SF_ASSERT(call != NULL);
    call->op = op;
    call->xid = link->next_xid;
    link->next_xid = link->next_xid == INT32_MAX ? 1 : link->next_xid + 1;
    call->job = job;
    call->index = index;
    call->done = done;
    call->sent_ns = sf_zk_now_ns(z);
    sf_zk_link_expect(link, call);
    struct sf_zk_bytes *out = link->connected ? &link->out : &link->waiting;
    const struct request request = {call, out, sf_zk_frame_begin(out)};
    sf_zk_put_int(out, call->xid);
    sf_zk_put_int(out, op);
    return request;
}

static int send_request(const struct request *request, bool write)
{
    struct sf_zk_call *call = request->call;
    sf_zk_frame_end(request->out, request->place);
    call->request_size = request->out->size - request->place - sizeof(int32_t);
    if (call->job != NULL && write)
        call->job->wrote = true;
    return 0;
}

int sf_zk_get(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
              sf_zk_done *done)
{
    const struct request request = begin(z, job, index, SF_ZK_GET, done);
    sf_zk_put_text(request.out, path);
    sf_zk_put_bool(request.out, false);
    return send_request(&request, false);
}

static int look(struct sf_zk *z, struct sf_zk_job *job, size_t index, enum sf_zk_op op,
                const char *path, bool watch, sf_zk_done *done)
{
    const struct request request = begin(z, job, index, op, done);
    sf_zk_put_text(request.out, path);
    sf_zk_put_bool(request.out, watch);
    return send_request(&request, false);
}

int sf_zk_exists(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path, bool watch,
                 sf_zk_done *done)
{
    return look(z, job, index, SF_ZK_EXISTS, path, watch, done);
}

int sf_zk_children(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                   bool watch, sf_zk_done *done)
{
    return look(z, job, index, SF_ZK_CHILDREN, path, watch, done);
}

int sf_zk_create(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 const char *content, const struct sf_zk_acl *acl, int mode, sf_zk_done *done)
{
    const struct request request = begin(z, job, index, SF_ZK_CREATE, done);
    sf_zk_put_text(request.out, path);
    sf_zk_put_text(request.out, content);
    sf_zk_put_acl(request.out, acl);
    sf_zk_put_int(request.out, mode);
    return send_request(&request, true);
}

int sf_zk_delete(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done)
{
    const struct request request = begin(z, job, 0, SF_ZK_DELETE, done);
    sf_zk_put_text(request.out, path);
    sf_zk_put_int(request.out, -1);
    return send_request(&request, true);
}

static int send_multi(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                      struct sf_zk_multi *multi, bool write, sf_zk_done *done)
{
    const struct request request = begin(z, job, index, SF_ZK_MULTI, done);
    request.call->multi = multi;
    sf_zk_multi_put(multi, request.out);
    return send_request(&request, write);
}

int sf_zk_multi_send(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                     struct sf_zk_multi *multi, sf_zk_done *done)
{
    return send_multi(z, job, index, multi, true, done);
}

int sf_zk_multi_ask(struct sf_zk *z, struct sf_zk_job *job, size_t index, struct sf_zk_multi *multi,
                    sf_zk_done *done)
{
    return send_multi(z, job, index, multi, false, done);
}

/* Answers. */

void sf_zk_call_answered(struct sf_zk *z, struct sf_zk_call *call)
{
    struct sf_zk_job *job = call->job;
    if (call->rc == SF_ZK_NO_AUTH)
        sf_zk_link_login_again(z);
    if (job != NULL && !job->finished) {
        SF_ASSERT(job->in_flight > 0);
        job->in_flight--;
        if (sf_request_is_long(job->request.op) && call->rc != SF_ZK_CONNECTION_LOSS)
            sf_zk_job_progress(z, job);
        call->done(z, job, call);
        sf_zk_job_answered(z, job);
    } else if (job == NULL && call->done != NULL) {
        call->done(z, NULL, call); /* one of the backend's own */
    }
    sf_zk_call_free(call);
}

/* Calls of a link that is closed know no job any more. */
void sf_zk_jobs_reap(struct sf_zk *z)
{
    for (struct sf_zk_job *job = z->jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (!job->finished)
            continue;
        if (z->link != NULL && job->in_flight > 0)
            sf_zk_link_forget(z->link, job);
        sf_zk_job_free(z, job);
    }
}
