/* fakes/fake_coord.c - see fake_coord.h. */
#include "fakes/fake_coord.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
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

static void refuse(struct job *job, enum sf_coord_reason reason, const char *text)
{
    job->to->outcome = SF_COORD_REFUSED;
    job->to->reason = reason;
    snprintf(job->to->text, sizeof job->to->text, "%s", text);
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

static bool load_config(struct job *job, const struct sf_fake_tree *tree,
                        struct sf_coord_config *ret)
{
    char path[PATH_SIZE];
    struct sf_error err = {0, ""};
    config_path(job, path);
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    if (node == NULL) {
        refuse(job, SF_COORD_MISSING, "there is no config");
        return false;
    }
    if (sf_record_config_decode(node->bytes, node->size, ret, &err) < 0) {
        refuse(job, SF_COORD_GARBAGE, err.text);
        return false;
    }
    ret->version = node->version;
    return true;
}

static void load_slot(const struct job *job, const struct sf_fake_tree *tree, uint64_t worker,
                      struct sf_coord_slot *ret)
{
    char path[PATH_SIZE];
    struct sf_error err = {0, ""};
    slot_path(job, job->request->datacenter, worker, path);
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    *ret = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
    if (node == NULL)
        return;
    if (sf_record_slot_decode(node->bytes, node->size, worker, ret, &err) < 0) {
        ret->state = SF_COORD_RECORD_GARBAGE;
        if (job->to->text[0] == '\0')
            snprintf(job->to->text, sizeof job->to->text, "%.200s", err.text);
    }
    ret->version = node->version;
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

static void init_slot(struct job *job, uint64_t datacenter, uint64_t worker)
{
    const struct sf_coord_init *init = &job->request->u.init;
    struct sf_fake_store *store = job->handle->store;
    struct sf_coord_slot slot;
    struct sf_coord_request at = *job->request;
    at.datacenter = datacenter;
    struct job local = *job;
    local.request = &at;
    load_slot(&local, &store->tree, worker, &slot);
    job->to->text[0] = '\0';
    if (slot.state == SF_COORD_RECORD_OK && slot.reserved_until_ms >= init->config.floor_ms)
        return;
    if (slot.state == SF_COORD_RECORD_OK) {
        slot.reserved_until_ms = init->config.floor_ms;
        slot.nonce[0] = '\0';
        slot.updated_ms = store->now_ms;
    } else {
        sf_record_slot_fresh(worker, init->config.floor_ms, store->now_ms, &slot);
    }
    store_slot(job, datacenter, &slot);
}

static bool check_init(struct job *job)
{
    const struct sf_coord_config *config = &job->request->u.init.config;
    struct sf_coord_config back = {.floor_ms = 0};
    struct sf_error err = {0, ""};
    char *record = sf_record_config_encode(config);
    int rc = sf_record_config_decode(record, strlen(record), &back, &err);
    free(record);
    if (rc < 0) {
        refuse(job, SF_COORD_INVALID, err.text);
        return false;
    }
    uint64_t datacenters = config->any_datacenter ? sf_layout_max_datacenter(&config->layout) + 1
                                                  : config->datacenter_count;
    if (datacenters * (sf_layout_max_worker(&config->layout) + 1) > SF_COORD_RECORDS_MAX) {
        refuse(job, SF_COORD_INVALID, "too many records");
        return false;
    }
    return true;
}

static void do_init(struct job *job)
{
    const struct sf_coord_init *init = &job->request->u.init;
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    bool ok = check_init(job);
    struct sf_coord_config there = {.incarnation = 0};
    if (ok && load_config(job, &job->handle->store->tree, &there)) {
        if (!init->after_data_loss) {
            refuse(job, SF_COORD_EXISTS, "the fleet is there already");
            ok = false;
        }
    } else if (ok && job->to->reason == SF_COORD_GARBAGE && !init->after_data_loss) {
        ok = false;
    }
    if (!ok) {
        free(config);
        return;
    }
    job->to->outcome = SF_COORD_DONE;
    job->to->reason = SF_COORD_NO_REASON;
    job->to->text[0] = '\0';
    *config = init->config;
    if (config->incarnation <= there.incarnation)
        config->incarnation = there.incarnation + 1;
    uint64_t datacenters = config->any_datacenter ? sf_layout_max_datacenter(&config->layout) + 1
                                                  : config->datacenter_count;
    for (uint64_t i = 0; i < datacenters; i++)
        for (uint64_t worker = 0; worker <= sf_layout_max_worker(&config->layout); worker++)
            init_slot(job, config->any_datacenter ? i : config->datacenters[i], worker);
    char path[PATH_SIZE];
    config_path(job, path);
    char *record = sf_record_config_encode(config);
    config->version =
        sf_fake_tree_put(&job->handle->store->tree, path, record, strlen(record), 0)->version;
    free(record);
    job->to->config = config;
}

static int by_fence(const void *left, const void *right)
{
    const struct sf_coord_claim *a = left, *b = right;
    return (a->fence > b->fence) - (a->fence < b->fence);
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
    qsort(job->to->claims, job->to->claim_count, sizeof *job->to->claims, by_fence);
}

static void do_list(struct job *job)
{
    struct sf_coord_config config = {.floor_ms = 0};
    if (!load_config(job, job->reads, &config))
        return;
    if (!datacenter_exists(job, job->reads)) {
        refuse(job, SF_COORD_MISSING, "there is no such datacenter");
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
        refuse(job, SF_COORD_MISSING, "there is no such datacenter");
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

static void fill_claim(struct sf_coord_claim *claim, const struct sf_coord_claim_request *body)
{
    memcpy(claim->node, body->node, sizeof claim->node);
    memcpy(claim->address, body->address, sizeof claim->address);
    memcpy(claim->admin, body->admin, sizeof claim->admin);
    memcpy(claim->version, body->version, sizeof claim->version);
}

static void do_claim(struct job *job)
{
    struct sf_fake_store *store = job->handle->store;
    const struct sf_coord_claim_request *body = &job->request->u.claim;
    char probe[SF_COORD_CLAIM_MAX];
    struct sf_coord_claim claim = {.slot = -1, .since_ms = store->now_ms};
    snprintf(probe, sizeof probe, "claim-%.32s-0000000000", body->guid);
    if (strlen(body->guid) != SF_HEX128_SIZE - 1 ||
        sf_claim_name_parse(probe, claim.guid, &claim.fence) < 0) {
        refuse(job, SF_COORD_INVALID, "the guid is not 32 hexadecimal digits");
        return;
    }
    if (!datacenter_exists(job, &store->tree)) {
        refuse(job, SF_COORD_MISSING, "there is no such datacenter");
        return;
    }
    fill_claim(&claim, body);
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
    char guid[SF_HEX128_SIZE], path[PATH_SIZE];
    uint64_t sequence = 0;
    if (sf_claim_name_parse(job->request->u.claim_name, guid, &sequence) < 0) {
        refuse(job, SF_COORD_INVALID, "not the name of a claim");
        return;
    }
    claim_path(job, job->request->u.claim_name, path);
    path_changed(job->handle->store, path);
    sf_fake_tree_delete(&job->handle->store->tree, path);
}

static bool same_version(const struct sf_coord_version *a, const struct sf_coord_version *b)
{
    return a->incarnation == b->incarnation && a->version == b->version;
}

static bool check_write(struct job *job, struct sf_coord_claim *claim)
{
    const struct sf_coord_write *write = &job->request->u.write;
    char path[PATH_SIZE];
    if ((write->expected.incarnation == 0 && write->expected.version == 0) ||
        sf_claim_name_parse(write->slot.claim, claim->guid, &claim->fence) < 0) {
        refuse(job, SF_COORD_INVALID, "no expected version, or not the name of a claim");
        return false;
    }
    struct sf_coord_config config = {.floor_ms = 0};
    if (job->request->op != SF_COORD_RELEASE) {
        if (!load_config(job, &job->handle->store->tree, &config))
            return false;
        if (!same_version(&config.version, &write->config)) {
            refuse(job, SF_COORD_CONFIG_CHANGED, "the config has been changed");
            return false;
        }
    }
    claim_path(job, write->slot.claim, path);
    struct sf_coord_slot there;
    if (sf_fake_tree_find(&job->handle->store->tree, path) == NULL) {
        refuse(job, SF_COORD_CLAIM_GONE, "the claim is gone");
        return false;
    }
    load_slot(job, &job->handle->store->tree, write->slot.worker, &there);
    job->to->text[0] = '\0';
    if (there.state == SF_COORD_RECORD_MISSING)
        refuse(job, SF_COORD_MISSING, "there is no such record");
    else if (there.state == SF_COORD_RECORD_GARBAGE)
        refuse(job, SF_COORD_GARBAGE, "the record is not ours");
    else if (!same_version(&there.version, &write->expected))
        refuse(job, SF_COORD_VERSION, "the record has another version");
    return job->to->outcome == SF_COORD_DONE;
}

static void do_write(struct job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    struct sf_coord_claim claim = {.slot = (int64_t)write->slot.worker,
                                   .since_ms = write->since_ms};
    if (!check_write(job, &claim))
        return;
    memcpy(claim.name, write->slot.claim, sizeof claim.name);
    job->to->version = store_slot(job, job->request->datacenter, &write->slot);
    if (job->request->op == SF_COORD_BIND) {
        fill_claim(&claim, &write->body);
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
        refuse(job, SF_COORD_MISSING, "there is no such datacenter");
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

static bool is_read(enum sf_coord_op op)
{
    return op == SF_COORD_READ_CONFIG || op == SF_COORD_LIST || op == SF_COORD_READ_SLOT ||
           op == SF_COORD_WATCH;
}

static void complete(struct waiting *waiting, struct sf_coord_event *event)
{
    waiting->handle->base.sink(waiting->handle->base.sink_ctx, event);
}

static void complete_without_answer(struct waiting *waiting, enum sf_coord_reason reason)
{
    complete(waiting, sf_coord_event_completion(&waiting->request,
                                                is_read(waiting->request.op) ? SF_COORD_LOST
                                                                             : SF_COORD_UNKNOWN,
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
            if (!is_read(waiting->request.op))
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
        .name = "fake", .submit = fake_submit, .destroy = fake_destroy};
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
