/* coord/zookeeper/call.c - see call.h. */
#include "coord/zookeeper/call.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Callbacks. */

void sf_zk_link_note(struct sf_zk_link *link, enum sf_zk_message_kind kind, int value)
{
    struct sf_zk_note *note = calloc(1, sizeof *note);
    SF_ASSERT(note != NULL);
    note->head.kind = kind;
    note->link_number = link->number;
    note->value = value;
    pthread_mutex_lock(&link->lock);
    if (link->inbox != NULL) {
        sf_inbox_post(link->inbox, &note->head.message);
        note = NULL;
    }
    pthread_mutex_unlock(&link->lock);
    free(note);
}

/* Every watcher hears session events too; those are link.c's. */
static void on_watch(zhandle_t *handle, int type, int state, const char *path, void *ctx)
{
    (void)handle;
    (void)state;
    (void)path;
    struct sf_zk_watch *watch = ctx;
    if (type != ZOO_SESSION_EVENT)
        sf_zk_link_note(watch->link, SF_ZK_WATCHED, watch->number);
}

/* What the library was given is ours to change. */
static struct sf_zk_call *call_of(const void *data)
{
    return (struct sf_zk_call *)(uintptr_t)data;
}

/* Once it is posted the call may be freed at any moment. */
static void answer(struct sf_zk_call *call, int rc, const struct Stat *stat)
{
    struct sf_zk_link *link = call->link;
    call->rc = rc;
    call->has_stat = rc == ZOK && stat != NULL;
    if (call->has_stat)
        call->stat = *stat;
    pthread_mutex_lock(&link->lock);
    if (link->inbox != NULL) { /* else the closing thread frees it */
        call->posted = true;
        sf_inbox_post(link->inbox, &call->head.message);
    }
    pthread_mutex_unlock(&link->lock);
}

static void on_void(int rc, const void *data)
{
    answer(call_of(data), rc, NULL);
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    answer(call_of(data), rc, stat);
}

static void on_data(int rc, const char *value, int length, const struct Stat *stat,
                    const void *data)
{
    struct sf_zk_call *call = call_of(data);
    if (rc == ZOK) {
        call->size = value != NULL && length > 0 ? (size_t)length : 0;
        call->data = malloc(call->size + 1);
        SF_ASSERT(call->data != NULL);
        if (call->size > 0)
            memcpy(call->data, value, call->size);
        call->data[call->size] = '\0';
        if (stat == NULL || (size_t)stat->dataLength != call->size)
            rc = ZMARSHALLINGERROR; /* cut on its way: not the record */
    }
    answer(call, rc, stat);
}

static void on_names(int rc, const struct String_vector *names, const struct Stat *stat,
                     const void *data)
{
    struct sf_zk_call *call = call_of(data);
    if (rc == ZOK && names != NULL && names->count > 0) {
        call->names = calloc((size_t)names->count, sizeof *call->names);
        SF_ASSERT(call->names != NULL);
        for (; call->name_count < (size_t)names->count; call->name_count++) {
            call->names[call->name_count] = strdup(names->data[call->name_count]);
            SF_ASSERT(call->names[call->name_count] != NULL);
        }
    }
    answer(call, rc, stat);
}

static void on_created(int rc, const char *path, const struct Stat *stat, const void *data)
{
    struct sf_zk_call *call = call_of(data);
    if (rc == ZOK && path != NULL) {
        call->data = strdup(path);
        SF_ASSERT(call->data != NULL);
        call->size = strlen(path);
    }
    answer(call, rc, stat);
}

/* Calls. */

static struct sf_zk_call *call_begin(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                                     sf_zk_done *done)
{
    SF_ASSERT(z->link != NULL);
    struct sf_zk_call *call = calloc(1, sizeof *call);
    SF_ASSERT(call != NULL);
    call->head.kind = SF_ZK_ANSWERED;
    call->link = z->link;
    call->job = job;
    call->index = index;
    call->done = done;
    call->sent_ns = sf_zk_now_ns(z);
    call->next = z->link->calls;
    if (call->next != NULL)
        call->next->prev = call;
    else
        z->link->oldest = call;
    z->link->calls = call;
    return call;
}

void sf_zk_call_take(struct sf_zk_call *call)
{
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        call->link->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    else
        call->link->oldest = call->prev;
    call->next = call->prev = NULL;
}

void sf_zk_call_free(struct sf_zk_call *call)
{
    sf_zk_multi_free(call->multi);
    for (size_t i = 0; i < call->name_count; i++)
        free(call->names[i]);
    free(call->names);
    free(call->data);
    free(call);
}

static int call_sent(struct sf_zk_call *call, int rc, bool write)
{
    if (rc == ZOK) {
        if (call->job != NULL && write)
            call->job->wrote = true;
        return 0;
    }
    sf_zk_call_take(call);
    sf_zk_call_free(call);
    return rc;
}

int sf_zk_get(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
              sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, index, done);
    return call_sent(call, zoo_aget(call->link->handle, path, 0, on_data, call), false);
}

int sf_zk_exists(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 struct sf_zk_watch *watch, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, index, done);
    return call_sent(call,
                     zoo_awexists(call->link->handle, path, watch != NULL ? on_watch : NULL, watch,
                                  on_stat, call),
                     false);
}

int sf_zk_children(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                   struct sf_zk_watch *watch, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, index, done);
    return call_sent(call,
                     zoo_awget_children2(call->link->handle, path, watch != NULL ? on_watch : NULL,
                                         watch, on_names, call),
                     false);
}

int sf_zk_create(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 const char *content, const struct ACL_vector *acl, int mode, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, index, done);
    return call_sent(call,
                     zoo_acreate2(call->link->handle, path, content, (int)strlen(content), acl,
                                  mode, on_created, call),
                     true);
}

int sf_zk_delete(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, 0, done);
    return call_sent(call, zoo_adelete(call->link->handle, path, -1, on_void, call), true);
}

static int send_multi(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                      struct sf_zk_multi *multi, bool write, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, index, done);
    call->multi = multi;
    return call_sent(
        call,
        zoo_amulti(call->link->handle, multi->count, multi->ops, multi->results, on_void, call),
        write);
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
    if (call->link != NULL)
        sf_zk_call_take(call);
    struct sf_zk_job *job = call->job;
    if (job != NULL && !job->finished) {
        SF_ASSERT(job->in_flight > 0);
        job->in_flight--;
        call->done(z, job, call);
        sf_zk_job_answered(z, job);
    } else if (job == NULL && call->done != NULL && call->link != NULL && call->link == z->link) {
        call->done(z, NULL, call); /* one of the backend's own */
    }
    sf_zk_call_free(call);
}

static void forget_job(struct sf_zk_link *link, const struct sf_zk_job *job)
{
    for (struct sf_zk_call *call = link->calls; call != NULL; call = call->next)
        if (call->job == job) {
            call->job = NULL;
            call->done = NULL;
        }
}

/* Calls of a link that is closed know no job any more. */
void sf_zk_jobs_reap(struct sf_zk *z)
{
    for (struct sf_zk_job *job = z->jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (!job->finished)
            continue;
        if (z->link != NULL && job->in_flight > 0)
            forget_job(z->link, job);
        sf_zk_job_free(z, job);
    }
}
