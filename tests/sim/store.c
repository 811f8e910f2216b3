/* The simulated coordinator: requests are judged here in one step each, as ZooKeeper and etcd
 * would. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"

void sim_store_init(struct sim_store *store, const struct sf_layout *layout, unsigned datacenters,
                    int64_t now_ms)
{
    memset(store, 0, sizeof *store);
    store->next_version = 1;
    store->next_fence = 1;
    store->next_incarnation = 1;
    memcpy(store->config.fleet_id, "01234567-89ab-4cde-8f01-23456789abcd", SF_UUID_SIZE);
    store->config.layout = *layout;
    store->config.any_datacenter = true;
    store->config.epoch_ms = SF_DEFAULT_EPOCH_MS;
    store->config.created_ms = now_ms;
    store->config.version = (struct sf_coord_version){1, store->next_version++};
    store->datacenters = datacenters;
    store->slot_count = (unsigned)sf_layout_max_worker(layout) + 1;
    SF_ASSERT(datacenters <= SIM_DATACENTERS_MAX && store->slot_count <= SIM_SLOTS_MAX);
    for (unsigned d = 0; d < datacenters; d++) {
        for (unsigned i = 0; i < store->slot_count; i++) {
            struct sf_coord_slot *record = &store->slots[d][i].record;
            sf_record_slot_fresh(i, 0, now_ms, record);
            record->version = (struct sf_coord_version){1, store->next_version++};
            store->slots[d][i].free_since_ns = -1;
        }
    }
}

void sim_store_free(struct sim_store *store)
{
    for (unsigned d = 0; d < store->datacenters; d++)
        for (unsigned i = 0; i < store->slot_count; i++)
            free(store->slots[d][i].tenures);
    free(store->old);
}

static bool same(struct sf_coord_version a, struct sf_coord_version b)
{
    return a.incarnation == b.incarnation && a.version == b.version;
}

struct sim_claim *sim_store_claim(struct sim_store *store, const char *name)
{
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (store->claims[i].live && strcmp(store->claims[i].claim.name, name) == 0)
            return &store->claims[i];
    return NULL;
}

void sim_store_expire(struct sim_store *store, uint64_t session)
{
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (store->claims[i].session == session)
            store->claims[i].live = false;
}

void sim_store_snapshot(struct sim_store *store)
{
    if (!store->old)
        store->old = malloc(sizeof *store->old);
    SF_ASSERT(store->old);
    for (unsigned d = 0; d < store->datacenters; d++)
        for (unsigned i = 0; i < store->slot_count; i++)
            store->old->slots[d][i] = store->slots[d][i].record;
    memcpy(store->old->claims, store->claims, sizeof store->claims);
}

void sim_store_record_gone(struct sim_store *store, unsigned datacenter, unsigned worker)
{
    store->slots[datacenter][worker].record.state = SF_COORD_RECORD_MISSING;
}

void sim_store_record_back(struct sim_store *store, unsigned datacenter, unsigned worker)
{
    struct sim_slot *slot = &store->slots[datacenter][worker];
    int64_t highest_ms = slot->record.reserved_until_ms;
    if (slot->record.state == SF_COORD_RECORD_OK)
        return;
    for (unsigned i = 0; i < slot->tenure_count; i++)
        if (slot->tenures[i].to_ms > highest_ms)
            highest_ms = slot->tenures[i].to_ms;
    sf_record_slot_fresh(worker, highest_ms, slot->record.updated_ms, &slot->record);
    slot->record.state = SF_COORD_RECORD_OK;
    slot->record.version =
        (struct sf_coord_version){++store->next_incarnation, store->next_version++};
}

/* The book: a write by another owner than the last one ends that one's stretch at the value it
 * overwrote. */
static void keep_book(struct sim_slot *slot, uint64_t lineage, int64_t overwritten_ms,
                      int64_t reserved_until_ms)
{
    struct sim_tenure *last = slot->tenure_count ? &slot->tenures[slot->tenure_count - 1] : NULL;
    if (!last || last->lineage != lineage) {
        if (last)
            last->to_ms = overwritten_ms;
        if ((slot->tenure_count & (slot->tenure_count + 1)) == 0 || !slot->tenures) {
            slot->tenures =
                realloc(slot->tenures, (slot->tenure_count * 2 + 2) * sizeof *slot->tenures);
            SF_ASSERT(slot->tenures);
        }
        last = &slot->tenures[slot->tenure_count++];
        last->lineage = lineage;
        last->from_ms = overwritten_ms;
    }
    last->to_ms = reserved_until_ms;
}

const char *sim_store_audit(const struct sim_slot *slot, uint64_t lineage, int64_t ts_ms)
{
    const char *why = "this process never owned the slot";
    for (unsigned i = slot->tenure_count; i-- > 0;) {
        const struct sim_tenure *tenure = &slot->tenures[i];
        if (tenure->lineage != lineage)
            continue;
        if (ts_ms >= tenure->from_ms && ts_ms < tenure->to_ms)
            return NULL;
        why = ts_ms < tenure->from_ms ? "below what this owner was granted"
                                      : "at or past what this owner was granted";
    }
    return why;
}

static struct sf_coord_event *done(const struct sf_coord_request *request)
{
    return sf_coord_event_completion(request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "");
}

static struct sf_coord_event *refused(const struct sf_coord_request *request,
                                      enum sf_coord_reason reason)
{
    return sf_coord_event_completion(request, SF_COORD_REFUSED, reason, "%s",
                                     sf_coord_reason_name(reason));
}

static struct sf_coord_event *apply_claim(struct sim_store *store,
                                          const struct sf_coord_request *request, uint64_t session,
                                          int64_t now_ms)
{
    const struct sf_coord_claim_request *ask = &request->u.claim;
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++) {
        struct sim_claim *claim = &store->claims[i];
        if (claim->live)
            continue;
        memset(claim, 0, sizeof *claim);
        claim->live = true;
        claim->session = session;
        claim->datacenter = request->datacenter;
        claim->claim.fence = store->next_fence++;
        claim->claim.slot = -1;
        claim->claim.since_ms = now_ms;
        memcpy(claim->claim.guid, ask->guid, sizeof claim->claim.guid);
        memcpy(claim->claim.node, ask->node, sizeof claim->claim.node);
        memcpy(claim->claim.version, ask->version, sizeof claim->claim.version);
        sf_claim_name_format(ask->guid, claim->claim.fence, claim->claim.name);
        struct sf_coord_event *event = done(request);
        event->completion.claims = malloc(sizeof *event->completion.claims);
        SF_ASSERT(event->completion.claims);
        event->completion.claims[0] = claim->claim;
        event->completion.claim_count = 1;
        return event;
    }
    return refused(request, SF_COORD_STORAGE);
}

static struct sf_coord_event *apply_list(struct sim_store *store,
                                         const struct sf_coord_request *request, bool lags)
{
    const struct sim_snapshot *old = lags ? store->old : NULL;
    const struct sim_claim *claims = old ? old->claims : store->claims;
    const unsigned d = (unsigned)request->datacenter;
    size_t live = 0;
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        live += claims[i].live && claims[i].datacenter == d;
    struct sf_coord_event *event = done(request);
    struct sf_coord_completion *c = &event->completion;
    c->slots = calloc(store->slot_count, sizeof *c->slots);
    c->claims = calloc(live ? live : 1, sizeof *c->claims);
    SF_ASSERT(c->slots && c->claims);
    for (unsigned i = 0; i < store->slot_count; i++)
        c->slots[c->slot_count++] = old ? old->slots[d][i] : store->slots[d][i].record;
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (claims[i].live && claims[i].datacenter == d)
            c->claims[c->claim_count++] = claims[i].claim;
    return event;
}

static struct sf_coord_event *apply_write(struct sim_store *store,
                                          const struct sf_coord_request *request, uint64_t lineage)
{
    const struct sf_coord_write *write = &request->u.write;
    SF_ASSERT(write->slot.worker < store->slot_count && request->datacenter < store->datacenters);
    struct sim_slot *slot = &store->slots[request->datacenter][write->slot.worker];
    struct sim_claim *claim = sim_store_claim(store, write->slot.claim);
    if (request->op != SF_COORD_RELEASE && !same(write->config, store->config.version))
        return refused(request, SF_COORD_CONFIG_CHANGED);
    if (!claim)
        return refused(request, SF_COORD_CLAIM_GONE);
    if (slot->record.state != SF_COORD_RECORD_OK)
        return refused(request, SF_COORD_MISSING);
    if (!same(write->expected, slot->record.version))
        return refused(request, SF_COORD_VERSION);
    keep_book(slot, lineage, slot->record.reserved_until_ms, write->slot.reserved_until_ms);
    const struct sf_coord_version version = {slot->record.version.incarnation,
                                             store->next_version++};
    slot->record = write->slot;
    slot->record.state = SF_COORD_RECORD_OK;
    slot->record.version = version;
    if (request->op == SF_COORD_BIND) {
        claim->claim.slot = (int64_t)write->slot.worker;
        memcpy(claim->claim.node, write->body.node, sizeof claim->claim.node);
        memcpy(claim->claim.version, write->body.version, sizeof claim->claim.version);
    }
    if (request->op == SF_COORD_RELEASE)
        claim->live = false;
    struct sf_coord_event *event = done(request);
    event->completion.version = version;
    return event;
}

static struct sf_coord_event *apply_read_slot(struct sim_store *store,
                                              const struct sf_coord_request *request)
{
    struct sf_coord_event *event = done(request);
    event->completion.slots = malloc(sizeof *event->completion.slots);
    SF_ASSERT(event->completion.slots);
    event->completion.slots[0] = store->slots[request->datacenter][request->u.worker].record;
    event->completion.slot_count = 1;
    return event;
}

struct sf_coord_event *sim_store_apply(struct sim_store *store,
                                       const struct sf_coord_request *request,
                                       const struct sim_writer *writer, int64_t now_ms, bool lags)
{
    struct sf_coord_event *event = NULL;
    switch (request->op) {
    case SF_COORD_READ_CONFIG:
        event = done(request);
        event->completion.config = malloc(sizeof *event->completion.config);
        SF_ASSERT(event->completion.config);
        *event->completion.config = store->config;
        break;
    case SF_COORD_LIST:
        event = apply_list(store, request, lags);
        break;
    case SF_COORD_READ_SLOT:
        event = apply_read_slot(store, request);
        break;
    case SF_COORD_CLAIM:
        event = apply_claim(store, request, writer->session, now_ms);
        break;
    case SF_COORD_UNCLAIM: {
        struct sim_claim *claim = sim_store_claim(store, request->u.claim_name);
        if (claim)
            claim->live = false;
        event = done(request);
        break;
    }
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
        event = apply_write(store, request, writer->lineage);
        break;
    case SF_COORD_WATCH:
        event = done(request);
        break;
    case SF_COORD_INIT:
    case SF_COORD_OPS:
        event = refused(request, SF_COORD_INVALID);
    }
    event->completion.server_ms = now_ms;
    event->completion.server_error_ms = 2;
    return event;
}
