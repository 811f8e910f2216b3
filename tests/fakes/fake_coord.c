/* fakes/fake_coord.c - see fake_coord.h. */
#include "fakes/fake_coord.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
#include "fakes/fake_ops.h"
#include "fakes/fake_tree.h"

#define START_MS INT64_C(1700000000000)
#define NO_FAULT ((enum sf_fake_fault)(-1))

struct waiting {
    struct waiting *next;
    struct fake *handle;
    struct sf_coord_request request;
    enum sf_fake_fault fault;
    int64_t submitted_ms;
};

struct armed {
    struct armed *next;
    enum sf_coord_op op;
    enum sf_fake_fault fault;
};

struct fake {
    struct sf_coord base;
    struct sf_fake_store *store;
    struct fake *next;
    char fleet[SF_COORD_FLEET_MAX];
    uint64_t session;
    bool connected;
    struct sf_coord_event *notices; /* oldest first */
    struct armed *faults;
    struct sf_fake_tree *frozen;
    bool watching_fleet, watching[SF_COORD_DATACENTERS_MAX];
};

struct sf_fake_store {
    struct sf_fake_tree tree;
    struct fake *handles;
    struct waiting *queue; /* oldest first */
    struct waiting *late;
    int64_t now_ms, server_offset_ms;
    uint64_t sessions;
};

struct sf_fake_store *sf_fake_store_create(void)
{
    struct sf_fake_store *store = calloc(1, sizeof *store);
    SF_ASSERT(store != NULL);
    store->now_ms = START_MS;
    return store;
}

static void free_list(struct waiting *list)
{
    while (list != NULL) {
        struct waiting *next = list->next;
        free(list);
        list = next;
    }
}

void sf_fake_store_destroy(struct sf_fake_store *store)
{
    if (store == NULL)
        return;
    SF_ASSERT(store->handles == NULL);
    free_list(store->late);
    sf_fake_tree_clear(&store->tree);
    free(store);
}

/* Notices. */

static void notice(struct fake *handle, enum sf_coord_event_kind kind, const char *text)
{
    struct sf_coord_event *event = sf_coord_event_notice(kind, "%s", text);
    struct sf_coord_event **at = (struct sf_coord_event **)&handle->notices;
    for (; *at != NULL; at = (struct sf_coord_event **)&(*at)->link)
        if ((kind == SF_COORD_CHANGED || kind == SF_COORD_FLEET_CHANGED) && (*at)->kind == kind) {
            sf_coord_event_free(event); /* coalesced */
            return;
        }
    *at = event;
}

/* Everybody who watches the claims that this path is one of; of paths outside of datacenters, the
 * whole fleet. */
static void path_changed(struct sf_fake_store *store, const char *path)
{
    for (struct fake *handle = store->handles; handle != NULL; handle = handle->next) {
        char fleet[SF_COORD_FLEET_MAX], token[SF_COORD_TOKEN_SIZE], kind[8] = "";
        unsigned datacenter = 0;
        const int found =
            sscanf(path, "/%63[^/]/%32[^/]/dc/%u/%7[^/]", fleet, token, &datacenter, kind);
        if (found < 1 || strcmp(fleet, handle->fleet) != 0 || !handle->connected)
            continue;
        if (found < 3 && handle->watching_fleet)
            notice(handle, SF_COORD_FLEET_CHANGED, "");
        else if (strcmp(kind, "claims") == 0 && datacenter < SF_COORD_DATACENTERS_MAX &&
                 handle->watching[datacenter])
            notice(handle, SF_COORD_CHANGED, "");
    }
}

static void end_session(struct fake *handle)
{
    struct sf_fake_tree *tree = &handle->store->tree;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->nodes[i].session == handle->session)
            path_changed(handle->store, tree->nodes[i].path);
    sf_fake_tree_delete_session(tree, handle->session);
    handle->session = ++handle->store->sessions;
}

void sf_fake_expire(struct sf_coord *coord)
{
    struct fake *handle = (struct fake *)coord;
    end_session(handle);
    notice(handle, SF_COORD_SESSION_LOST, "the session has ended");
    if (handle->connected)
        notice(handle, SF_COORD_CONNECTED, "");
}

void sf_fake_disconnect(struct sf_coord *coord)
{
    struct fake *handle = (struct fake *)coord;
    if (handle->connected)
        notice(handle, SF_COORD_DISCONNECTED, "the connection is down");
    handle->connected = false;
}

void sf_fake_connect(struct sf_coord *coord)
{
    struct fake *handle = (struct fake *)coord;
    if (!handle->connected)
        notice(handle, SF_COORD_CONNECTED, "");
    handle->connected = true;
}

/* Executing. */

static void changed(void *ctx, const char *path)
{
    path_changed(ctx, path);
}

static void watch(void *ctx, const struct sf_coord_request *request)
{
    struct fake *handle = ctx;
    handle->watching_fleet = true;
    if (!request->u.fleet_only && request->datacenter < SF_COORD_DATACENTERS_MAX)
        handle->watching[request->datacenter] = true;
}

static struct sf_coord_event *execute_on(struct waiting *waiting, struct sf_fake_tree *tree)
{
    struct fake *handle = waiting->handle;
    struct sf_fake_store *store = handle->store;
    struct sf_coord_event *event =
        sf_coord_event_completion(&waiting->request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
    const struct sf_fake_job job = {.fleet = handle->fleet,
                                    .session = handle->session,
                                    .now_ms = store->now_ms,
                                    .request = &waiting->request,
                                    .tree = tree,
                                    .reads = handle->frozen != NULL ? handle->frozen : &store->tree,
                                    .changed = changed,
                                    .changed_ctx = store,
                                    .watch = watch,
                                    .watch_ctx = handle,
                                    .to = &event->completion};
    sf_fake_execute(&job);
    event->completion.server_ms = store->now_ms + store->server_offset_ms;
    event->completion.server_error_ms = 2;
    event->completion.duration_ns = (store->now_ms - waiting->submitted_ms) * SF_NS_PER_MS;
    return event;
}

static struct sf_coord_event *execute(struct waiting *waiting)
{
    return execute_on(waiting, &waiting->handle->store->tree);
}

/* Pumping. */

static void complete(struct waiting *waiting, struct sf_coord_event *event)
{
    waiting->handle->base.sink(waiting->handle->base.sink_ctx, event);
}

static void complete_without_answer(struct waiting *waiting, enum sf_coord_reason reason)
{
    struct sf_coord_event *event = sf_coord_event_completion(
        &waiting->request,
        sf_request_writes(waiting->request.op) ? SF_COORD_UNKNOWN : SF_COORD_LOST, reason,
        "no answer");
    event->completion.duration_ns =
        (waiting->handle->store->now_ms - waiting->submitted_ms) * SF_NS_PER_MS;
    complete(waiting, event);
}

static void keep_for_later(struct sf_fake_store *store, const struct waiting *waiting)
{
    struct waiting *copy = malloc(sizeof *copy);
    SF_ASSERT(copy != NULL);
    *copy = *waiting;
    copy->next = NULL;
    struct waiting **at = &store->late;
    while (*at != NULL)
        at = &(*at)->next;
    *at = copy;
}

static void serve(struct waiting *waiting)
{
    struct fake *handle = waiting->handle;
    if (waiting->fault == SF_FAKE_NEVER_SENT || !handle->connected) {
        complete(waiting, sf_coord_event_completion(&waiting->request, SF_COORD_LOST,
                                                    SF_COORD_UNREACHABLE, "not connected"));
        return;
    }
    switch (waiting->fault) {
    case SF_FAKE_ANSWER_LOST_APPLIED:
        sf_coord_event_free(execute(waiting));
        complete_without_answer(waiting, SF_COORD_UNREACHABLE);
        return;
    case SF_FAKE_ANSWER_LOST_NOT_APPLIED:
        complete_without_answer(waiting, SF_COORD_UNREACHABLE);
        return;
    case SF_FAKE_APPLIED_LATE:
        keep_for_later(handle->store, waiting);
        complete_without_answer(waiting, SF_COORD_UNREACHABLE);
        return;
    case SF_FAKE_EXPIRE_BEFORE:
        sf_fake_expire(&handle->base);
        complete_without_answer(waiting, SF_COORD_SESSION);
        return;
    case SF_FAKE_DONE_TWICE:
        sf_coord_event_free(execute(waiting));
        complete(waiting, execute(waiting));
        return;
    case SF_FAKE_ANSWERED_OLD:
        SF_ASSERT(handle->frozen != NULL && !sf_request_writes(waiting->request.op));
        complete(waiting, execute_on(waiting, handle->frozen));
        return;
    case SF_FAKE_EXPIRE_AFTER:
        sf_coord_event_free(execute(waiting));
        sf_fake_expire(&handle->base);
        complete_without_answer(waiting, SF_COORD_SESSION);
        return;
    default:
        complete(waiting, execute(waiting));
    }
}

static bool pump_notice(struct sf_fake_store *store)
{
    for (struct fake *handle = store->handles; handle != NULL; handle = handle->next) {
        struct sf_coord_event *event = handle->notices;
        if (event == NULL)
            continue;
        handle->notices = event->link;
        event->link = NULL;
        handle->base.sink(handle->base.sink_ctx, event);
        return true;
    }
    return false;
}

bool sf_fake_pump(struct sf_fake_store *store)
{
    if (pump_notice(store))
        return true;
    for (struct waiting **at = &store->queue; *at != NULL; at = &(*at)->next) {
        struct waiting *waiting = *at;
        bool late = store->now_ms - waiting->submitted_ms >= (int64_t)waiting->request.deadline_ms;
        bool held = waiting->fault == SF_FAKE_HELD;
        if (held && !late)
            continue;
        *at = waiting->next;
        if (held) {
            if (sf_request_writes(waiting->request.op))
                keep_for_later(store, waiting);
            complete_without_answer(waiting, SF_COORD_UNREACHABLE);
        } else if (late) {
            complete(waiting, sf_coord_event_completion(&waiting->request, SF_COORD_LOST,
                                                        SF_COORD_UNREACHABLE, "too late to send"));
        } else {
            serve(waiting);
        }
        free(waiting);
        return true;
    }
    return false;
}

void sf_fake_pump_all(struct sf_fake_store *store)
{
    while (sf_fake_pump(store)) {
    }
}

size_t sf_fake_waiting(const struct sf_fake_store *store)
{
    size_t count = 0;
    for (const struct waiting *at = store->queue; at != NULL; at = at->next)
        count++;
    return count;
}

void sf_fake_advance_ms(struct sf_fake_store *store, int64_t ms)
{
    store->now_ms += ms;
}

void sf_fake_set_server_ms(struct sf_fake_store *store, int64_t unix_ms)
{
    store->server_offset_ms = unix_ms - store->now_ms;
}

void sf_fake_fault(struct sf_coord *coord, enum sf_coord_op op, enum sf_fake_fault fault)
{
    struct fake *handle = (struct fake *)coord;
    struct armed *armed = calloc(1, sizeof *armed);
    SF_ASSERT(armed != NULL);
    armed->op = op;
    armed->fault = fault;
    struct armed **at = &handle->faults;
    while (*at != NULL)
        at = &(*at)->next;
    *at = armed;
}

void sf_fake_apply_late(struct sf_fake_store *store)
{
    struct waiting *list = store->late;
    store->late = NULL;
    for (struct waiting *at = list; at != NULL; at = at->next)
        sf_coord_event_free(execute(at));
    free_list(list);
}

void sf_fake_release(struct sf_fake_store *store)
{
    for (struct waiting *at = store->queue; at != NULL; at = at->next)
        if (at->fault == SF_FAKE_HELD)
            at->fault = NO_FAULT;
}

/* The contract. */

static enum sf_fake_fault take_fault(struct fake *handle, enum sf_coord_op op)
{
    for (struct armed **at = &handle->faults; *at != NULL; at = &(*at)->next) {
        struct armed *armed = *at;
        if (armed->op != op)
            continue;
        enum sf_fake_fault fault = armed->fault;
        *at = armed->next;
        free(armed);
        return fault;
    }
    return NO_FAULT;
}

static void fake_submit(struct sf_coord *coord, const struct sf_coord_request *request)
{
    struct fake *handle = (struct fake *)coord;
    struct waiting *waiting = calloc(1, sizeof *waiting);
    SF_ASSERT(waiting != NULL);
    waiting->handle = handle;
    waiting->request = *request;
    waiting->fault = take_fault(handle, request->op);
    waiting->submitted_ms = handle->store->now_ms;
    struct waiting **at = &handle->store->queue;
    while (*at != NULL)
        at = &(*at)->next;
    *at = waiting;
}

/* Late requests of a handle that is gone can no longer arrive under its session: they are
 * forgotten. */
static void forget(struct waiting **list, struct fake *handle, bool answer)
{
    while (*list != NULL) {
        struct waiting *waiting = *list;
        if (waiting->handle != handle) {
            list = &waiting->next;
            continue;
        }
        *list = waiting->next;
        if (answer)
            complete_without_answer(waiting, SF_COORD_ENDING);
        free(waiting);
    }
}

static void fake_destroy(struct sf_coord *coord)
{
    struct fake *handle = (struct fake *)coord;
    forget(&handle->store->queue, handle, true);
    forget(&handle->store->late, handle, false);
    struct fake **at = &handle->store->handles;
    while (*at != handle)
        at = &(*at)->next;
    *at = handle->next;
    end_session(handle);
    while (handle->notices != NULL) {
        struct sf_coord_event *event = handle->notices;
        handle->notices = event->link;
        sf_coord_event_free(event);
    }
    while (handle->faults != NULL) {
        struct armed *next = handle->faults->next;
        free(handle->faults);
        handle->faults = next;
    }
    sf_fake_snapshot_free(handle->frozen);
    free(handle);
}

struct sf_coord *sf_fake_open(struct sf_fake_store *store, const struct sf_coord_options *options)
{
    static const struct sf_coord_ops ops = {
        .name = "fake", .version_max = INT64_MAX, .submit = fake_submit, .destroy = fake_destroy};
    struct fake *handle = calloc(1, sizeof *handle);
    SF_ASSERT(handle != NULL && sf_fleet_name_check(options->fleet, NULL) == 0);
    sf_coord_init(&handle->base, &ops, options);
    handle->store = store;
    snprintf(handle->fleet, sizeof handle->fleet, "%s", options->fleet);
    handle->session = ++store->sessions;
    struct fake **at = &store->handles;
    while (*at != NULL)
        at = &(*at)->next;
    *at = handle;
    sf_fake_connect(&handle->base);
    return &handle->base;
}

/* Data. */

struct sf_fake_tree *sf_fake_snapshot(const struct sf_fake_store *store)
{
    struct sf_fake_tree *copy = calloc(1, sizeof *copy);
    SF_ASSERT(copy != NULL);
    sf_fake_tree_copy(&store->tree, copy);
    return copy;
}

void sf_fake_snapshot_free(struct sf_fake_tree *snapshot)
{
    if (snapshot == NULL)
        return;
    sf_fake_tree_clear(snapshot);
    free(snapshot);
}

void sf_fake_freeze_reads(struct sf_coord *coord)
{
    struct fake *handle = (struct fake *)coord;
    sf_fake_snapshot_free(handle->frozen);
    handle->frozen = sf_fake_snapshot(handle->store);
}

void sf_fake_thaw_reads(struct sf_coord *coord)
{
    struct fake *handle = (struct fake *)coord;
    sf_fake_snapshot_free(handle->frozen);
    handle->frozen = NULL;
}

static void all_changed(struct sf_fake_store *store)
{
    for (size_t i = 0; i < store->tree.count; i++)
        path_changed(store, store->tree.nodes[i].path);
}

void sf_fake_wipe(struct sf_fake_store *store)
{
    all_changed(store);
    sf_fake_tree_clear(&store->tree);
    store->tree.revision = 0; /* what is made anew counts from the start again */
}

void sf_fake_restore(struct sf_fake_store *store, const struct sf_fake_tree *snapshot)
{
    sf_fake_tree_copy(snapshot, &store->tree);
    all_changed(store);
}

void sf_fake_put(struct sf_fake_store *store, const char *path, const char *bytes, size_t size)
{
    sf_fake_tree_put(&store->tree, path, bytes, size, 0);
    path_changed(store, path);
}

void sf_fake_delete(struct sf_fake_store *store, const char *path)
{
    sf_fake_tree_delete(&store->tree, path);
    path_changed(store, path);
}
