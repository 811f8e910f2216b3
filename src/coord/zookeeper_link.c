/* coord/zookeeper_link.c - handles of the library. Its callbacks run on its completion thread; here
 * they only copy and post.
 *
 * What the library needs to be guarded against (3.8): completions are lost when a handle is closed
 * while requests are under way, so every call stays on its link's list and is freed after the
 * close; closing may take seconds, so a thread of its own does it; threads inherit the signal mask,
 * so all signals are blocked where handles are made (the backend thread).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "coord/zookeeper_internal.h"

#define PROBE_STEP_MS 20

/* Log lines. The library gives its lines without any context, so their way out is the one global of
 * this backend. */

#define LOG_CAUSES 16

static struct {
    pthread_mutex_t lock;
    struct sf_log *log;
    struct sf_log_limiter limiters[LOG_CAUSES];
} library_log = {.lock = PTHREAD_MUTEX_INITIALIZER};

void sf_zk_log_attach(struct sf_log *log)
{
    pthread_mutex_lock(&library_log.lock);
    library_log.log = log;
    pthread_mutex_unlock(&library_log.lock);
    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
}

void sf_zk_log_detach(struct sf_log *log)
{
    pthread_mutex_lock(&library_log.lock);
    if (library_log.log == log)
        library_log.log = NULL;
    pthread_mutex_unlock(&library_log.lock);
}

/* "2026-11-21 00:10:00,123:42:ZOO_ERROR@handle_socket_error_msg@2321: text": the function and line
 * are the cause. */
static void on_library_log(const char *line)
{
    const char *cause = strchr(line, '@');
    const char *text = cause != NULL ? strchr(cause, ':') : NULL;
    unsigned hash = 0;
    for (const char *at = cause; at != NULL && at != text && *at != '\0'; at++)
        hash = hash * 31 + (unsigned char)*at;
    bool error = strstr(line, "ZOO_ERROR") != NULL;
    text = text != NULL ? text + 1 + strspn(text + 1, " ") : line;
    pthread_mutex_lock(&library_log.lock);
    sf_log_limited(library_log.log, &library_log.limiters[hash % LOG_CAUSES], 1000,
                   error ? SF_LOG_WARN : SF_LOG_INFO, "coordinator.library", "%s", text);
    pthread_mutex_unlock(&library_log.lock);
}

/* Callbacks. */

static void post_note(struct sf_zk_link *link, enum sf_zk_message_kind kind, int value)
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

static void on_session(zhandle_t *handle, int type, int state, const char *path, void *ctx)
{
    (void)handle;
    (void)path;
    if (type == ZOO_SESSION_EVENT)
        post_note(ctx, SF_ZK_SESSION, state);
}

/* Every watcher hears session events too; those are on_session's. */
static void on_watch(zhandle_t *handle, int type, int state, const char *path, void *ctx)
{
    (void)handle;
    (void)state;
    (void)path;
    struct sf_zk_watch *watch = ctx;
    if (type != ZOO_SESSION_EVENT)
        post_note(watch->link, SF_ZK_WATCHED, watch->number);
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
    answer((struct sf_zk_call *)(uintptr_t)data, rc, NULL);
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    answer((struct sf_zk_call *)(uintptr_t)data, rc, stat);
}

static void on_data(int rc, const char *value, int length, const struct Stat *stat,
                    const void *data)
{
    struct sf_zk_call *call = (struct sf_zk_call *)(uintptr_t)data;
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
    struct sf_zk_call *call = (struct sf_zk_call *)(uintptr_t)data;
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
    struct sf_zk_call *call = (struct sf_zk_call *)(uintptr_t)data;
    if (rc == ZOK && path != NULL) {
        call->data = strdup(path);
        SF_ASSERT(call->data != NULL);
        call->size = strlen(path);
    }
    answer(call, rc, stat);
}

static void on_string(int rc, const char *path, const void *data)
{
    (void)path;
    answer((struct sf_zk_call *)(uintptr_t)data, rc, NULL);
}

/* Calls: each is on its link's list from before it is sent until its answer has been taken or the
 * link has been closed. */

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

void sf_zk_forget_job(struct sf_zk_link *link, const struct sf_zk_job *job)
{
    for (struct sf_zk_call *call = link->calls; call != NULL; call = call->next)
        if (call->job == job) {
            call->job = NULL;
            call->done = NULL;
        }
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

int sf_zk_sync(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, 0, done);
    return call_sent(call, zoo_async(call->link->handle, path, on_string, call), false);
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

/* -1 would mean "any version" to the server: a version must never get there by a wrap. */
static int wire_version(uint64_t version)
{
    SF_ASSERT(version <= SF_ZK_VERSION_MAX);
    return (int)version;
}

int sf_zk_set(struct sf_zk *z, struct sf_zk_job *job, const char *path, const char *content,
              uint64_t version, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, 0, done);
    return call_sent(call,
                     zoo_aset(call->link->handle, path, content, (int)strlen(content),
                              wire_version(version), on_stat, call),
                     true);
}

/* A claim's name is used once (it carries a fresh GUID): any version of it is the one that is
 * meant. */
int sf_zk_delete(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, 0, done);
    return call_sent(call, zoo_adelete(call->link->handle, path, -1, on_void, call), true);
}

/* Multi: ops, results, stats and strings live until the answer has been dealt with. */

struct sf_zk_multi *sf_zk_multi_create(int count)
{
    struct sf_zk_multi *multi = calloc(1, sizeof *multi);
    SF_ASSERT(multi != NULL);
    multi->ops = calloc((size_t)count, sizeof *multi->ops);
    multi->results = calloc((size_t)count, sizeof *multi->results);
    multi->stats = calloc((size_t)count, sizeof *multi->stats);
    multi->strings = calloc((size_t)count * 2, sizeof *multi->strings);
    SF_ASSERT(multi->ops != NULL && multi->results != NULL && multi->stats != NULL &&
              multi->strings != NULL);
    return multi;
}

void sf_zk_multi_free(struct sf_zk_multi *multi)
{
    if (multi == NULL)
        return;
    for (int i = 0; i < multi->count * 2; i++)
        free(multi->strings[i]);
    free(multi->strings);
    free(multi->stats);
    free(multi->results);
    free(multi->ops);
    free(multi);
}

static const char *keep(struct sf_zk_multi *multi, int which, const char *text)
{
    char *copy = strdup(text);
    SF_ASSERT(copy != NULL);
    multi->strings[multi->count * 2 + which] = copy;
    return copy;
}

void sf_zk_multi_check(struct sf_zk_multi *multi, const char *path, uint64_t version)
{
    zoo_check_op_init(&multi->ops[multi->count], keep(multi, 0, path), wire_version(version));
    multi->count++;
}

void sf_zk_multi_check_exists(struct sf_zk_multi *multi, const char *path)
{
    zoo_check_op_init(&multi->ops[multi->count], keep(multi, 0, path), -1);
    multi->count++;
}

void sf_zk_multi_set(struct sf_zk_multi *multi, const char *path, const char *content,
                     uint64_t version)
{
    const char *kept = keep(multi, 1, content);
    zoo_set_op_init(&multi->ops[multi->count], keep(multi, 0, path), kept, (int)strlen(kept),
                    wire_version(version), &multi->stats[multi->count]);
    multi->count++;
}

void sf_zk_multi_create_node(struct sf_zk_multi *multi, const char *path, const char *content,
                             const struct ACL_vector *acl)
{
    const char *kept = keep(multi, 1, content);
    zoo_create_op_init(&multi->ops[multi->count], keep(multi, 0, path), kept, (int)strlen(kept),
                       acl, 0, NULL, 0);
    multi->count++;
}

void sf_zk_multi_touch(struct sf_zk_multi *multi, const char *path)
{
    zoo_set_op_init(&multi->ops[multi->count], keep(multi, 0, path), "", 0, -1,
                    &multi->stats[multi->count]);
    multi->count++;
}

void sf_zk_multi_delete(struct sf_zk_multi *multi, const char *path)
{
    zoo_delete_op_init(&multi->ops[multi->count], keep(multi, 0, path), -1);
    multi->count++;
}

int sf_zk_multi_send(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                     struct sf_zk_multi *multi, sf_zk_done *done)
{
    struct sf_zk_call *call = call_begin(z, job, index, done);
    call->multi = multi;
    return call_sent(
        call,
        zoo_amulti(call->link->handle, multi->count, multi->ops, multi->results, on_void, call),
        true);
}

/* Handles. */

static void link_free(struct sf_zk_link *link)
{
    pthread_cond_destroy(&link->closed_changed);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

static zhandle_t *open_handle(struct sf_zk *z, struct sf_zk_link *link, const char *list)
{
#ifdef SNOWFLEET_ZOOKEEPER_TLS
    if (z->tls != NULL) {
        zhandle_t *handle = zookeeper_init_ssl(list, z->tls, on_session, (int)z->session_timeout_ms,
                                               NULL, link, ZOO_NO_LOG_CLIENTENV);
        if (handle != NULL)
            zoo_set_log_callback(handle, on_library_log);
        return handle;
    }
#endif
    return zookeeper_init2(list, on_session, (int)z->session_timeout_ms, NULL, link,
                           ZOO_NO_LOG_CLIENTENV, on_library_log);
}

struct sf_zk_link *sf_zk_link_open(struct sf_zk *z, struct sf_error *err)
{
    struct sf_zk_link *link = calloc(1, sizeof *link);
    SF_ASSERT(link != NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&link->lock, NULL);
    pthread_cond_init(&link->closed_changed, &attr);
    pthread_condattr_destroy(&attr);
    link->number = ++z->link_count;
    link->inbox = z->inbox;
    link->owners = 1;
    link->since_ns = sf_zk_now_ns(z);
    for (int i = 0; i < SF_ZK_WATCHES_MAX; i++)
        link->watches[i] = (struct sf_zk_watch){link, i};
    char *list = sf_zk_address_list(z->addresses);
    link->handle = open_handle(z, link, list);
    int code = errno;
    if (link->handle == NULL) {
        char why[96];
        sf_error_set(err, -code, "cannot open a session at %.200s: %s", list,
                     sf_errno_text(code, why, sizeof why));
        free(list);
        link_free(link);
        return NULL;
    }
    free(list);
    zoo_set_servers_resolution_delay(link->handle, -1);
    if (z->auth != NULL)
        zoo_add_auth(link->handle, "digest", z->auth, (int)strlen(z->auth), NULL, NULL);
    return link;
}

static void *close_main(void *ctx)
{
    struct sf_zk_link *link = ctx;
    zookeeper_close(link->handle);
    while (link->calls != NULL) {
        struct sf_zk_call *call = link->calls;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): take unlinks, so the next one is another */
        sf_zk_call_take(call);
        sf_zk_call_free(call);
    }
    pthread_mutex_lock(&link->lock);
    link->closed = true;
    pthread_cond_broadcast(&link->closed_changed);
    bool last = --link->owners == 0;
    pthread_mutex_unlock(&link->lock);
    if (last)
        link_free(link);
    return NULL;
}

/* Short relative steps: absolute monotonic waits misbehave where time is faked. */
static void wait_closed(struct sf_zk_link *link, int64_t wait_ms)
{
    for (; !link->closed && wait_ms > 0; wait_ms -= PROBE_STEP_MS) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PROBE_STEP_MS * SF_NS_PER_MS;
        until.tv_sec += until.tv_nsec / SF_NS_PER_S;
        until.tv_nsec %= SF_NS_PER_S;
        pthread_cond_timedwait(&link->closed_changed, &link->lock, &until);
    }
}

void sf_zk_link_close(struct sf_zk *z, struct sf_zk_link *link, int64_t wait_ms)
{
    (void)z;
    pthread_mutex_lock(&link->lock);
    link->inbox = NULL;
    link->owners = 2;
    pthread_mutex_unlock(&link->lock);
    /* Answers that are in the inbox already are freed by who takes them there; the rest by the
     * closing thread. */
    for (struct sf_zk_call *call = link->calls, *next; call != NULL; call = next) {
        next = call->next;
        call->job = NULL;
        call->done = NULL;
        if (call->posted) {
            sf_zk_call_take(call);
            call->link = NULL;
        }
    }
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, close_main, link) != 0)
        close_main(link); /* no thread to be had: slow is better than leaking a session */
    pthread_attr_destroy(&attr);
    /* close_main gave up one of the two owners at most, so the link still lives. */
    pthread_mutex_lock(&link->lock);
    wait_closed(link, wait_ms); /* NOLINT(clang-analyzer-unix.Malloc) */
    bool last = --link->owners == 0;
    pthread_mutex_unlock(&link->lock);
    if (last)
        link_free(link);
}
