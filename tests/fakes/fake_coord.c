/* fakes/fake_coord.c - see fake_coord.h. */
#include "fakes/fake_coord.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/request.h"
#include "fakes/fake_tree.h"

#define PATH_SIZE 256
#define START_MS  INT64_C(1700000000000)
#define NO_FAULT  ((enum sf_fake_fault)(-1))

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
    bool watching[SF_COORD_DATACENTERS_MAX];
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
        if (kind == SF_COORD_CHANGED && (*at)->kind == kind) {
            sf_coord_event_free(event); /* coalesced */
            return;
        }
    *at = event;
}

/* Everybody who watches a datacenter that this path is in. */
static void path_changed(struct sf_fake_store *store, const char *path)
{
    for (struct fake *handle = store->handles; handle != NULL; handle = handle->next) {
        char fleet[SF_COORD_FLEET_MAX];
        unsigned datacenter = 0;
        if (sscanf(path, "/%63[^/]/dc/%u/", fleet, &datacenter) == 2 &&
            strcmp(fleet, handle->fleet) == 0 && datacenter < SF_COORD_DATACENTERS_MAX &&
            handle->watching[datacenter] && handle->connected)
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

/* Executing. Each op fills the event or refuses it. */

struct job {
    struct fake *handle;
    const struct sf_coord_request *request;
    const struct sf_fake_tree *reads;
    struct sf_coord_completion *to;
};

static void refuse(struct job *job, struct sf_refusal refusal)
{
    job->to->outcome = SF_COORD_REFUSED;
    job->to->reason = refusal.reason;
    memcpy(job->to->text, refusal.text, sizeof job->to->text);
}

/* The path that refusals name. */
static const char *root_of(const struct job *job)
{
    return job->handle->fleet;
}

static void config_path(const struct job *job, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/%s/config", job->handle->fleet);
}

static void slot_path(const struct job *job, uint64_t datacenter, uint64_t worker,
                      char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/%s/dc/%" PRIu64 "/slots/%" PRIu64, job->handle->fleet, datacenter,
             worker);
}

static void claim_path(const struct job *job, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/%s/dc/%" PRIu64 "/claims/%s", job->handle->fleet,
             job->request->datacenter, name);
}

/* Slot 0 stands for its datacenter: INIT makes every record. */
static bool datacenter_exists(const struct job *job, const struct sf_fake_tree *tree)
{
    char prefix[PATH_SIZE];
    snprintf(prefix, sizeof prefix, "/%s/dc/%" PRIu64 "/", job->handle->fleet,
             job->request->datacenter);
    size_t at = sf_fake_tree_first(tree, prefix);
    return at < tree->count && strncmp(tree->nodes[at].path, prefix, strlen(prefix)) == 0;
}

/* What is there of the config: ret is filled when it is OK, err when it is garbage. */
static enum sf_coord_record_state look_at_config(const struct job *job,
                                                 const struct sf_fake_tree *tree,
                                                 struct sf_coord_config *ret, struct sf_error *err)
{
    char path[PATH_SIZE];
    config_path(job, path);
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    if (node == NULL)
        return SF_COORD_RECORD_MISSING;
    if (sf_record_config_decode(node->bytes, node->size, ret, err) < 0)
        return SF_COORD_RECORD_GARBAGE;
    ret->version = node->version;
    return SF_COORD_RECORD_OK;
}

static bool load_config(struct job *job, const struct sf_fake_tree *tree,
                        struct sf_coord_config *ret)
{
    struct sf_error err = {0};
    switch (look_at_config(job, tree, ret, &err)) {
    case SF_COORD_RECORD_MISSING:
        refuse(job, sf_refusal_no_fleet(root_of(job)));
        return false;
    case SF_COORD_RECORD_GARBAGE:
        refuse(job, sf_refusal_config_garbage(root_of(job), err.text));
        return false;
    case SF_COORD_RECORD_OK:
        break;
    }
    return true;
}

/* What is there of a slot; err: why it is garbage. */
static void look_at_slot(const struct job *job, const struct sf_fake_tree *tree,
                         uint64_t datacenter, uint64_t worker, struct sf_coord_slot *ret,
                         struct sf_error *err)
{
    char path[PATH_SIZE];
    slot_path(job, datacenter, worker, path);
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    *ret = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
    if (node == NULL)
        return;
    if (sf_record_slot_decode(node->bytes, node->size, worker, ret, err) < 0)
        ret->state = SF_COORD_RECORD_GARBAGE;
    ret->version = node->version;
}

static void load_slot(const struct job *job, const struct sf_fake_tree *tree, uint64_t worker,
                      struct sf_coord_slot *ret)
{
    struct sf_error err = {0};
    look_at_slot(job, tree, job->request->datacenter, worker, ret, &err);
    if (ret->state == SF_COORD_RECORD_GARBAGE && job->to->text[0] == '\0')
        memcpy(
            job->to->text,
            sf_refusal_slot_garbage(root_of(job), job->request->datacenter, worker, err.text).text,
            sizeof job->to->text);
}

static struct sf_coord_version store_slot(struct job *job, uint64_t datacenter,
                                          const struct sf_coord_slot *slot)
{
    char path[PATH_SIZE];
    slot_path(job, datacenter, slot->worker, path);
    char *record = sf_record_slot_encode(slot);
    struct sf_coord_version version =
        sf_fake_tree_put(&job->handle->store->tree, path, record, strlen(record), 0)->version;
    free(record);
    path_changed(job->handle->store, path);
    return version;
}

static void do_read_config(struct job *job)
{
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    if (load_config(job, job->reads, config))
        job->to->config = config;
    else
        free(config);
}

/* Returns false when it is refused. */
static bool init_slot(struct job *job, uint64_t datacenter, uint64_t worker)
{
    struct sf_fake_store *store = job->handle->store;
    struct sf_coord_slot found, slot;
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    look_at_slot(job, &store->tree, datacenter, worker, &found, &err);
    switch (sf_init_plan_slot(&job->request->u.init, root_of(job), datacenter, &found, err.text,
                              store->now_ms, &slot, &refusal)) {
    case SF_INIT_KEEP:
        break;
    case SF_INIT_WRITE:
        store_slot(job, datacenter, &slot);
        break;
    case SF_INIT_REFUSED:
        refuse(job, refusal);
        return false;
    }
    return true;
}

static void store_config(struct job *job, struct sf_coord_config *config)
{
    char path[PATH_SIZE];
    config_path(job, path);
    char *record = sf_record_config_encode(config);
    config->version =
        sf_fake_tree_put(&job->handle->store->tree, path, record, strlen(record), 0)->version;
    free(record);
}

static void do_init(struct job *job)
{
    struct sf_coord_config there = {.incarnation = 0};
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    bool first = false;
    const struct sf_init_found found = {
        .state = look_at_config(job, &job->handle->store->tree, &there, &err),
        .config = &there,
        .why = err.text};
    bool ok = sf_init_plan_config(&job->request->u.init, root_of(job), &found, config, &first,
                                  &refusal) == 0;
    if (!ok)
        refuse(job, refusal);
    if (ok && first)
        store_config(job, config);
    const size_t workers = ok ? sf_init_worker_count(config) : 0;
    for (size_t i = 0; ok && i < sf_init_datacenter_count(config); i++)
        for (uint64_t worker = 0; ok && worker < workers; worker++)
            ok = init_slot(job, sf_init_datacenter(config, i), worker);
    if (ok && !first)
        store_config(job, config);
    if (ok)
        job->to->config = config;
    else
        free(config);
}

static void list_claims(struct job *job)
{
    char prefix[PATH_SIZE];
    claim_path(job, "", prefix);
    size_t first = sf_fake_tree_first(job->reads, prefix), end = first;
    while (end < job->reads->count &&
           strncmp(job->reads->nodes[end].path, prefix, strlen(prefix)) == 0)
        end++;
    job->to->claims = calloc(end - first + 1, sizeof *job->to->claims);
    SF_ASSERT(job->to->claims != NULL);
    for (size_t i = first; i < end; i++) {
        const struct sf_fake_node *node = &job->reads->nodes[i];
        struct sf_coord_claim *claim = &job->to->claims[job->to->claim_count];
        *claim = (struct sf_coord_claim){.slot = -1};
        const char *name = node->path + strlen(prefix);
        if (sf_claim_name_parse(name, claim->guid, &claim->fence) < 0)
            continue;
        snprintf(claim->name, sizeof claim->name, "%s", name);
        (void)sf_record_claim_decode(node->bytes, node->size, claim, NULL);
        job->to->claim_count++;
    }
    sf_claims_sort(job->to->claims, job->to->claim_count);
}

static void do_list(struct job *job)
{
    struct sf_coord_config config = {.floor_ms = 0};
    if (!load_config(job, job->reads, &config))
        return;
    if (!sf_config_has_datacenter(&config, job->request->datacenter) ||
        !datacenter_exists(job, job->reads)) {
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
        return;
    }
    job->to->slot_count = (size_t)sf_layout_max_worker(&config.layout) + 1;
    job->to->slots = calloc(job->to->slot_count, sizeof *job->to->slots);
    SF_ASSERT(job->to->slots != NULL);
    for (size_t i = 0; i < job->to->slot_count; i++)
        load_slot(job, job->reads, i, &job->to->slots[i]);
    list_claims(job);
}

static void do_read_slot(struct job *job)
{
    if (!datacenter_exists(job, job->reads)) {
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
        return;
    }
    job->to->slots = calloc(1, sizeof *job->to->slots);
    SF_ASSERT(job->to->slots != NULL);
    job->to->slot_count = 1;
    load_slot(job, job->reads, job->request->u.worker, job->to->slots);
}

static void put_claim(struct job *job, const struct sf_coord_claim *claim)
{
    char path[PATH_SIZE];
    claim_path(job, claim->name, path);
    char *record = sf_record_claim_encode(claim);
    sf_fake_tree_put(&job->handle->store->tree, path, record, strlen(record), job->handle->session);
    free(record);
    path_changed(job->handle->store, path);
}

static void do_claim(struct job *job)
{
    struct sf_fake_store *store = job->handle->store;
    if (!datacenter_exists(job, &store->tree)) {
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
        return;
    }
    struct sf_coord_claim claim = sf_request_claim(&job->request->u.claim, -1, store->now_ms);
    claim.fence = store->tree.revision + 1;
    sf_claim_name_format(claim.guid, claim.fence, claim.name);
    put_claim(job, &claim);
    job->to->claims = calloc(1, sizeof claim);
    SF_ASSERT(job->to->claims != NULL);
    job->to->claims[0] = claim;
    job->to->claim_count = 1;
}

static void do_unclaim(struct job *job)
{
    char path[PATH_SIZE];
    claim_path(job, job->request->u.claim_name, path);
    path_changed(job->handle->store, path);
    sf_fake_tree_delete(&job->handle->store->tree, path);
}

static bool conditions_hold(struct job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const struct sf_fake_tree *tree = &job->handle->store->tree;
    const uint64_t worker = write->slot.worker;
    char path[PATH_SIZE];
    struct sf_coord_config config = {.floor_ms = 0};
    struct sf_coord_slot there;
    struct sf_error err = {0};
    if (job->request->op != SF_COORD_RELEASE && !load_config(job, tree, &config))
        return false;
    claim_path(job, write->slot.claim, path);
    look_at_slot(job, tree, job->request->datacenter, worker, &there, &err);
    if (job->request->op != SF_COORD_RELEASE && !sf_version_same(&config.version, &write->config))
        refuse(job, sf_refusal_config_changed(write->config.version));
    else if (sf_fake_tree_find(tree, path) == NULL)
        refuse(job, sf_refusal_claim_gone(write->slot.claim));
    else if (there.state == SF_COORD_RECORD_MISSING)
        refuse(job, sf_refusal_slot_missing(worker));
    else if (there.state == SF_COORD_RECORD_GARBAGE)
        refuse(job,
               sf_refusal_slot_garbage(root_of(job), job->request->datacenter, worker, err.text));
    else if (!sf_version_same(&there.version, &write->expected))
        refuse(job, sf_refusal_slot_version(worker, write->expected.version));
    return job->to->outcome == SF_COORD_DONE;
}

static void do_write(struct job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    struct sf_coord_claim claim = sf_request_bound_claim(write);
    if (!conditions_hold(job))
        return;
    memcpy(claim.name, write->slot.claim, sizeof claim.name);
    job->to->version = store_slot(job, job->request->datacenter, &write->slot);
    if (job->request->op == SF_COORD_BIND) {
        put_claim(job, &claim);
    } else if (job->request->op == SF_COORD_RELEASE) {
        char path[PATH_SIZE];
        claim_path(job, claim.name, path);
        sf_fake_tree_delete(&job->handle->store->tree, path);
    }
}

static void do_watch(struct job *job)
{
    if (!datacenter_exists(job, job->reads))
        refuse(job, sf_refusal_no_datacenter(root_of(job), job->request->datacenter));
    else
        job->handle->watching[job->request->datacenter] = true;
}

static struct sf_coord_event *execute(struct waiting *waiting)
{
    static void (*const table[SF_COORD_OPS])(struct job *) = {[SF_COORD_READ_CONFIG] =
                                                                  do_read_config,
                                                              [SF_COORD_INIT] = do_init,
                                                              [SF_COORD_LIST] = do_list,
                                                              [SF_COORD_READ_SLOT] = do_read_slot,
                                                              [SF_COORD_CLAIM] = do_claim,
                                                              [SF_COORD_UNCLAIM] = do_unclaim,
                                                              [SF_COORD_BIND] = do_write,
                                                              [SF_COORD_RENEW] = do_write,
                                                              [SF_COORD_RELEASE] = do_write,
                                                              [SF_COORD_WATCH] = do_watch};
    struct sf_fake_store *store = waiting->handle->store;
    struct sf_coord_event *event =
        sf_coord_event_completion(&waiting->request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
    struct job job = {.handle = waiting->handle,
                      .request = &waiting->request,
                      .reads =
                          waiting->handle->frozen != NULL ? waiting->handle->frozen : &store->tree,
                      .to = &event->completion};
    table[waiting->request.op](&job);
    event->completion.server_ms = store->now_ms + store->server_offset_ms;
    event->completion.server_error_ms = 2;
    event->completion.duration_ns = (store->now_ms - waiting->submitted_ms) * SF_NS_PER_MS;
    return event;
}

/* Pumping. */

static void complete(struct waiting *waiting, struct sf_coord_event *event)
{
    waiting->handle->base.sink(waiting->handle->base.sink_ctx, event);
}

static void complete_without_answer(struct waiting *waiting, enum sf_coord_reason reason)
{
    complete(waiting, sf_coord_event_completion(
                          &waiting->request,
                          sf_request_writes(waiting->request.op) ? SF_COORD_UNKNOWN : SF_COORD_LOST,
                          reason, "no answer"));
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
        complete(waiting, sf_coord_event_completion(&waiting->request, SF_COORD_REFUSED,
                                                    SF_COORD_SESSION, "the session has ended"));
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
