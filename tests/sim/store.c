/* The simulated coordinator: requests are judged here in one step each, as ZooKeeper and etcd
 * would. */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
#include "coord/state_record.h"
#include "coord/version.h"

void sim_store_init(struct sim_store *store, const struct sf_layout *layout, unsigned datacenters,
                    bool compares_content)
{
    memset(store, 0, sizeof *store);
    store->layout = *layout;
    store->datacenters = datacenters;
    store->slot_count = (unsigned)sf_layout_max_worker(layout) + 1;
    store->compares_content = compares_content;
    SF_ASSERT(datacenters <= SIM_DATACENTERS_MAX && store->slot_count <= SIM_SLOTS_MAX);
    for (unsigned d = 0; d < datacenters; d++)
        for (unsigned i = 0; i < store->slot_count; i++)
            store->book.slots[d][i].free_since_ns = -1;
}

void sim_store_free(struct sim_store *store)
{
    sim_book_free(&store->book);
    sim_store_wipe(store);
    sim_content_free(store->lagging);
}

struct sf_coord_version sim_store_created(struct sim_store *store)
{
    const uint64_t revision = ++store->now.next_revision;
    return (struct sf_coord_version){revision, store->compares_content ? revision : 0};
}

struct sf_coord_version sim_store_written(struct sim_store *store,
                                          const struct sf_coord_version *before)
{
    const uint64_t revision = ++store->now.next_revision;
    return (struct sf_coord_version){before->incarnation,
                                     store->compares_content ? revision : before->version + 1};
}

void sim_store_expire(struct sim_store *store, uint64_t session)
{
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (store->now.claims[i].session == session)
            store->now.claims[i].live = false;
}

void sim_store_snapshot(struct sim_store *store)
{
    sim_content_free(store->lagging);
    store->lagging = sim_content_copy(&store->now);
}

void sim_store_claim_gone(struct sim_store *store, struct sim_claim *claim)
{
    claim->live = false;
    store->now.next_revision++;
}

bool sim_store_record_gone(struct sim_store *store, unsigned datacenter, unsigned worker)
{
    struct sim_tree *tree = sim_content_granting(&store->now);
    struct sf_coord_slot *slot = tree != NULL ? &tree->slots[datacenter][worker].slot : NULL;
    if (slot == NULL || slot->state != SF_COORD_RECORD_OK)
        return false;
    *slot = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
    store->now.next_revision++;
    return true;
}

void sim_store_config_touched(struct sim_store *store)
{
    struct sf_coord_version *version = &store->now.config.version;
    if (store->now.has_config)
        *version = sim_store_written(store, version);
    store->fleet_changes++;
}

static void wrong(struct sim_store *store, const char *what, const struct sf_coord_request *request)
{
    if (store->wrong != NULL)
        return;
    snprintf(store->first_wrong, sizeof store->first_wrong, "%s (%s)", what,
             sf_coord_op_name(request->op));
    store->wrong = store->first_wrong;
}

static struct sf_coord_event *done(const struct sf_coord_request *request)
{
    return sf_coord_event_completion(request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
}

static struct sf_coord_event *refused(const struct sf_coord_request *request,
                                      const struct sf_refusal refusal)
{
    return sf_coord_event_completion(request, SF_COORD_REFUSED, refusal.reason, "%s", refusal.text);
}

static void *copy_of(const void *what, size_t size)
{
    void *copy = malloc(size);
    SF_ASSERT(copy != NULL);
    memcpy(copy, what, size);
    return copy;
}

static struct sf_coord_state *state_of(const struct sim_tree *tree)
{
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    if (tree->state != NULL)
        *state = *tree->state;
    state->version = tree->state_version;
    return state;
}

static struct sf_coord_event *apply_read_config(struct sim_store *store,
                                                const struct sf_coord_request *request)
{
    const struct sim_content *now = &store->now;
    struct sf_coord_event *event =
        now->has_config ? done(request) : refused(request, sf_refusal_no_fleet(SIM_ROOT));
    struct sf_coord_completion *c = &event->completion;
    c->version = now->root;
    if (!now->has_config)
        return event;
    const struct sim_tree *tree = sim_content_tree(now, now->config.token);
    c->config = copy_of(&now->config, sizeof now->config);
    c->current = tree != NULL && tree->named;
    if (tree != NULL)
        c->state = state_of(tree);
    return event;
}

static struct sf_coord_event *apply_survey(struct sim_store *store,
                                           const struct sf_coord_request *request)
{
    const struct sim_content *now = &store->now;
    struct sf_coord_event *event = done(request);
    struct sf_coord_completion *c = &event->completion;
    struct sf_coord_survey survey;
    sim_making_survey(store, &survey);
    c->survey = copy_of(&survey, sizeof survey);
    if (!now->has_config)
        return event;
    const struct sim_tree *tree = sim_content_tree(now, now->config.token);
    c->config = copy_of(&now->config, sizeof now->config);
    c->version = now->config.version;
    c->current = tree != NULL && tree->named;
    return event;
}

static struct sf_coord_event *apply_init(struct sim_store *store,
                                         const struct sf_coord_request *request, int64_t now_ms)
{
    struct sim_making making = {.init = request->u.init};
    struct sf_refusal refusal = {0};
    if (!sim_making_begin(store, &making, &refusal) || !sim_making_floor(store, &making, &refusal))
        return refused(request, refusal);
    sim_making_tree(store, &making, now_ms);
    if (!sim_making_name(store, &making, &refusal))
        return refused(request, refusal);
    struct sf_coord_event *event = done(request);
    event->completion.config = copy_of(&store->now.config, sizeof store->now.config);
    return event;
}

static struct sf_refusal no_datacenter(const struct sf_coord_request *request)
{
    return sf_refusal_no_datacenter(SIM_ROOT, request->datacenter);
}

static struct sf_coord_event *apply_list(struct sim_store *store,
                                         const struct sf_coord_request *request, bool lags)
{
    const struct sim_content *shown = lags && store->lagging != NULL ? store->lagging : &store->now;
    const struct sim_tree *tree = sim_content_tree(shown, request->basis.token);
    const unsigned d = (unsigned)request->datacenter;
    if (tree == NULL)
        return refused(request, no_datacenter(request));
    struct sf_coord_event *event = done(request);
    struct sf_coord_completion *c = &event->completion;
    c->slots = calloc(store->slot_count, sizeof *c->slots);
    c->claims = calloc(SIM_CLAIMS_MAX, sizeof *c->claims);
    SF_ASSERT(c->slots != NULL && c->claims != NULL);
    for (unsigned i = 0; i < store->slot_count; i++)
        c->slots[c->slot_count++] = tree->slots[d][i].slot;
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++) {
        const struct sim_claim *claim = &shown->claims[i];
        if (claim->live && claim->datacenter == d && claim->making == tree->making)
            c->claims[c->claim_count++] = claim->claim;
    }
    sf_claims_sort(c->claims, c->claim_count);
    return event;
}

static bool claim_lives(const struct sim_content *content, const struct sim_tree *tree,
                        const char *name)
{
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (content->claims[i].live && content->claims[i].making == tree->making &&
            strcmp(content->claims[i].claim.name, name) == 0)
            return true;
    return false;
}

static struct sf_coord_event *apply_probe(struct sim_store *store,
                                          const struct sf_coord_request *request, bool lags)
{
    const struct sim_content *shown = lags && store->lagging != NULL ? store->lagging : &store->now;
    const struct sim_tree *tree = sim_content_tree(shown, request->basis.token);
    const struct sf_coord_probe *probe = &request->u.probe;
    struct sf_coord_event *event = done(request);
    struct sf_coord_completion *c = &event->completion;
    c->slots = calloc(probe->count, sizeof *c->slots);
    c->claims = calloc(probe->count, sizeof *c->claims);
    SF_ASSERT(c->slots != NULL && c->claims != NULL);
    c->slot_count = probe->count;
    for (unsigned i = 0; i < probe->count; i++) {
        struct sf_coord_slot *slot = &c->slots[i];
        const uint64_t worker = probe->workers[i];
        if (tree == NULL) {
            *slot = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
            continue;
        }
        SF_ASSERT(worker < store->slot_count);
        *slot = tree->slots[request->datacenter][worker].slot;
        if (!sf_probe_asks(probe, slot) || !claim_lives(shown, tree, slot->claim))
            continue;
        struct sf_coord_claim *claim = &c->claims[c->claim_count++];
        *claim = (struct sf_coord_claim){.slot = -1};
        memcpy(claim->name, slot->claim, sizeof claim->name);
    }
    return event;
}

static uint64_t count_claims(const struct sim_content *content, const struct sim_tree *tree,
                             uint64_t datacenter)
{
    uint64_t count = 0;
    for (unsigned i = 0; tree != NULL && i < SIM_CLAIMS_MAX; i++)
        count += content->claims[i].live && content->claims[i].making == tree->making &&
                 content->claims[i].datacenter == datacenter;
    return count;
}

static struct sf_coord_event *apply_find(struct sim_store *store,
                                         const struct sf_coord_request *request, bool lags)
{
    const struct sim_content *shown = lags && store->lagging != NULL ? store->lagging : &store->now;
    const struct sim_tree *tree = sim_content_tree(shown, request->basis.token);
    if (tree == NULL)
        return refused(request, no_datacenter(request));
    struct sf_coord_event *event = done(request);
    struct sf_coord_completion *c = &event->completion;
    c->claims = calloc(SIM_CLAIMS_MAX, sizeof *c->claims);
    SF_ASSERT(c->claims != NULL);
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++) {
        const struct sim_claim *claim = &shown->claims[i];
        if (claim->live && claim->datacenter == request->datacenter &&
            claim->making == tree->making)
            c->claims[c->claim_count++] = claim->claim;
    }
    c->claim_total = c->claim_count;
    sf_find_keep(&request->u.find, c->claims, &c->claim_count);
    return event;
}

static struct sf_coord_event *apply_read_slot(struct sim_store *store,
                                              const struct sf_coord_request *request)
{
    const struct sim_tree *tree = sim_content_tree(&store->now, request->basis.token);
    const uint64_t worker = request->u.worker;
    const struct sf_coord_slot none = {.worker = worker, .state = SF_COORD_RECORD_MISSING};
    struct sf_coord_event *event = done(request);
    event->completion.slots =
        copy_of(tree != NULL ? &tree->slots[request->datacenter][worker].slot : &none, sizeof none);
    event->completion.slot_count = 1;
    return event;
}

/* Config, name and state as the request's sender read them? */
static bool basis_holds(struct sim_store *store, const struct sf_coord_request *request,
                        bool by_name, struct sf_refusal *ret_refusal)
{
    const struct sf_coord_basis *basis = &request->basis;
    const struct sim_tree *tree = sim_content_tree(&store->now, basis->token);
    const struct sf_coord_version none = {0, 0};
    if (!store->now.has_config)
        *ret_refusal = sf_refusal_no_fleet(SIM_ROOT);
    else if (!sf_version_same(&store->now.config.version, &basis->config))
        *ret_refusal = sf_refusal_config_changed(basis->config.version);
    else if (by_name && (tree == NULL || !tree->named))
        *ret_refusal = sf_refusal_current_gone(basis->token);
    else if (!sf_version_same(tree != NULL ? &tree->state_version : &none, &basis->state))
        *ret_refusal = sf_refusal_state_changed(basis->token, basis->state.version);
    else
        return true;
    return false;
}

/* Beside the conditions: whatever was asked for, only one making ever grants, and not when halted. */
static void check_grants(struct sim_store *store, const struct sim_tree *tree,
                         const struct sf_coord_request *request)
{
    if (tree->state != NULL)
        wrong(store, "a halted making granted", request);
    if (!tree->named || strcmp(store->now.config.token, tree->token) != 0)
        wrong(store, "a making granted that is not the current one", request);
}

static struct sf_coord_event *apply_claim(struct sim_store *store,
                                          const struct sf_coord_request *request, uint64_t session)
{
    struct sf_refusal refusal;
    if (!basis_holds(store, request, true, &refusal))
        return refused(request, refusal);
    const struct sim_tree *tree = sim_content_tree(&store->now, request->basis.token);
    if (tree->state != NULL)
        wrong(store, "a halted making granted", request);
    unsigned i = 0;
    while (i < SIM_CLAIMS_MAX && store->now.claims[i].live)
        i++;
    SF_ASSERT(i < SIM_CLAIMS_MAX);
    struct sim_claim *claim = &store->now.claims[i];
    *claim = (struct sim_claim){.live = true,
                                .session = session,
                                .datacenter = request->datacenter,
                                .making = tree->making};
    claim->claim = sf_request_claim(request);
    claim->claim.fence = ++store->now.next_fence;
    sf_claim_name_format(claim->claim.guid, claim->claim.fence, claim->claim.name);
    store->now.next_revision++;
    struct sf_coord_event *event = done(request);
    event->completion.claims = copy_of(&claim->claim, sizeof claim->claim);
    event->completion.claim_count = 1;
    return event;
}

static struct sf_coord_event *apply_unclaim(struct sim_store *store,
                                            const struct sf_coord_request *request)
{
    struct sim_claim *claim =
        sim_content_claim(&store->now, request->basis.token, request->u.claim_name);
    if (claim != NULL)
        sim_store_claim_gone(store, claim);
    return done(request);
}

static bool record_holds(const struct sim_store *store, const struct sf_coord_write *write,
                         const struct sf_coord_slot *there, struct sf_refusal *ret_refusal)
{
    const uint64_t worker = write->slot.worker;
    if (there == NULL || there->state != SF_COORD_RECORD_OK)
        *ret_refusal = sf_refusal_slot_missing(worker);
    else if (!sf_version_same(&write->expected.version, &there->version) ||
             (store->compares_content && !sf_slot_content_same(there, &write->expected)))
        *ret_refusal = sf_refusal_slot_version(worker, write->expected.version.version);
    else
        return true;
    return false;
}

static void enter(struct sim_store *store, const struct sf_coord_request *request,
                  const struct sim_tree *tree, const struct sim_record *record, uint64_t lineage)
{
    const struct sf_coord_slot *slot = &request->u.write.slot;
    const struct sim_entry entry = {.datacenter = request->datacenter,
                                    .worker = slot->worker,
                                    .making = tree->making,
                                    .lineage = lineage,
                                    .from_ms = slot->from_ms,
                                    .to_ms = slot->reserved_until_ms,
                                    .overwritten_ms = record->slot.reserved_until_ms,
                                    .acked_ms = record->acked_ms,
                                    .own = strcmp(record->slot.claim, slot->claim) == 0};
    const char *why = sim_book_enter(&store->book, &entry);
    if (why != NULL)
        wrong(store, why, request);
    if (request->op != SF_COORD_RELEASE)
        check_grants(store, tree, request);
}

/* It stays the same claim. */
static void rewrite(struct sim_claim *claim, const struct sf_coord_request *request)
{
    const struct sf_coord_claim before = claim->claim;
    claim->claim = sf_request_claim(request);
    memcpy(claim->claim.name, before.name, sizeof before.name);
    memcpy(claim->claim.guid, before.guid, sizeof before.guid);
    claim->claim.fence = before.fence;
    claim->written_by = request->id;
}

static struct sf_coord_event *apply_tell(struct sim_store *store,
                                         const struct sf_coord_request *request)
{
    const char *name = request->u.write.slot.claim;
    struct sim_claim *claim = sim_content_claim(&store->now, request->basis.token, name);
    if (claim == NULL)
        return refused(request, sf_refusal_claim_gone(name));
    if (request->id < claim->written_by) /* it comes late: the claim is not what it was then */
        return refused(request, sf_refusal_claim_written(name));
    rewrite(claim, request);
    return done(request);
}

static struct sf_coord_event *apply_write(struct sim_store *store,
                                          const struct sf_coord_request *request, uint64_t lineage)
{
    const struct sf_coord_write *write = &request->u.write;
    SF_ASSERT(write->slot.worker < store->slot_count && request->datacenter < store->datacenters);
    struct sf_refusal refusal;
    if (request->op != SF_COORD_RELEASE && !basis_holds(store, request, true, &refusal))
        return refused(request, refusal);
    struct sim_claim *claim =
        sim_content_claim(&store->now, request->basis.token, write->slot.claim);
    if (claim == NULL)
        return refused(request, sf_refusal_claim_gone(write->slot.claim));
    struct sim_tree *tree = sim_content_tree(&store->now, request->basis.token);
    struct sim_record *record = &tree->slots[request->datacenter][write->slot.worker];
    if (!record_holds(store, write, &record->slot, &refusal))
        return refused(request, refusal);
    enter(store, request, tree, record, lineage);
    const struct sf_coord_version version = sim_store_written(store, &record->slot.version);
    record->slot = write->slot;
    record->slot.state = SF_COORD_RECORD_OK;
    record->slot.version = version;
    record->slot.canonical = true;
    if (request->op == SF_COORD_BIND)
        rewrite(claim, request);
    if (request->op == SF_COORD_RELEASE)
        claim->live = false;
    struct sf_coord_event *event = done(request);
    event->completion.version = version;
    return event;
}

static struct sf_coord_event *apply_halt(struct sim_store *store,
                                         const struct sf_coord_request *request)
{
    struct sf_refusal refusal;
    if (!basis_holds(store, request, false, &refusal))
        return refused(request, refusal);
    struct sim_tree *tree = sim_content_tree(&store->now, request->basis.token);
    if (tree->state == NULL) {
        tree->state = calloc(1, sizeof *tree->state);
        SF_ASSERT(tree->state != NULL);
    }
    sf_state_report(tree->state, &request->u.report);
    tree->state_version = sim_store_written(store, &tree->state_version);
    store->fleet_changes++;
    struct sf_coord_event *event = done(request);
    event->completion.version = tree->state_version;
    return event;
}

static const struct sim_claim *holder_of(const struct sim_store *store, const struct sim_tree *tree,
                                         uint64_t datacenter, uint64_t worker)
{
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++) {
        const struct sim_claim *claim = &store->now.claims[i];
        if (claim->live && claim->making == tree->making && claim->datacenter == datacenter &&
            claim->claim.slot == (int64_t)worker)
            return claim;
    }
    return NULL;
}

static struct sf_coord_event *apply_reset(struct sim_store *store,
                                          const struct sf_coord_request *request)
{
    const struct sf_coord_write *write = &request->u.write;
    const uint64_t worker = write->slot.worker;
    struct sf_refusal refusal;
    if (!basis_holds(store, request, true, &refusal))
        return refused(request, refusal);
    struct sim_tree *tree = sim_content_tree(&store->now, request->basis.token);
    struct sf_coord_slot *slot = &tree->slots[request->datacenter][worker].slot;
    const struct sim_claim *holder = holder_of(store, tree, request->datacenter, worker);
    if (holder != NULL)
        return refused(request,
                       sf_refusal_slot_held(request->datacenter, worker, holder->claim.name));
    if (!sf_version_same(&slot->version, &write->expected.version))
        return refused(request, sf_refusal_slot_version(worker, write->expected.version.version));
    const struct sf_coord_version version = slot->version.incarnation != 0
                                                ? sim_store_written(store, &slot->version)
                                                : sim_store_created(store);
    *slot = write->slot;
    slot->state = SF_COORD_RECORD_OK;
    slot->version = version;
    slot->canonical = true;
    struct sf_coord_event *event = done(request);
    event->completion.version = version;
    return event;
}

static struct sf_coord_event *apply_watch(struct sim_store *store,
                                          const struct sf_coord_request *request)
{
    return sim_content_tree(&store->now, request->basis.token) != NULL
               ? done(request)
               : refused(request, no_datacenter(request));
}

static struct sf_coord_event *apply(struct sim_store *store, const struct sf_coord_request *request,
                                    const struct sim_writer *writer, int64_t now_ms, bool lags)
{
    switch (request->op) {
    case SF_COORD_READ_CONFIG:
        return apply_read_config(store, request);
    case SF_COORD_INIT:
        return apply_init(store, request, now_ms);
    case SF_COORD_SURVEY:
        return apply_survey(store, request);
    case SF_COORD_LIST:
        return apply_list(store, request, lags);
    case SF_COORD_PROBE:
        return apply_probe(store, request, lags);
    case SF_COORD_FIND:
        return apply_find(store, request, lags);
    case SF_COORD_READ_SLOT:
        return apply_read_slot(store, request);
    case SF_COORD_CLAIM:
        return apply_claim(store, request, writer->session);
    case SF_COORD_UNCLAIM:
        return apply_unclaim(store, request);
    case SF_COORD_TELL:
        return apply_tell(store, request);
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
        return apply_write(store, request, writer->lineage);
    case SF_COORD_HALT:
        return apply_halt(store, request);
    case SF_COORD_RESET_SLOT:
        return apply_reset(store, request);
    case SF_COORD_WATCH:
        return apply_watch(store, request);
    case SF_COORD_OPS:
        break;
    }
    SF_ASSERT(!"op");
    return NULL;
}

struct sf_coord_event *sim_store_apply(struct sim_store *store,
                                       const struct sf_coord_request *request,
                                       const struct sim_writer *writer, int64_t now_ms, bool lags)
{
    struct sf_error err = {0};
    if (sf_request_check(request, INT64_MAX, &err) < 0) {
        wrong(store, err.text, request);
        return sf_coord_event_completion(request, SF_COORD_REFUSED, SF_COORD_INVALID, "%.*s",
                                         SF_COORD_TEXT_MAX - 1, err.text);
    }
    struct sf_coord_event *event = apply(store, request, writer, now_ms, lags);
    if (request->count_claims && event->completion.outcome == SF_COORD_DONE)
        event->completion.claim_total = count_claims(
            &store->now, sim_content_tree(&store->now, request->basis.token), request->datacenter);
    event->completion.server_ms = now_ms;
    event->completion.server_error_ms = 2;
    return event;
}
