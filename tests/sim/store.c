/* The simulated coordinator: requests are judged here in one step each, as ZooKeeper and etcd
 * would. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/request.h"

#define ROOT   "sim"      /* the path that refusals name */
#define NOBODY UINT64_MAX /* the owner in the book of what INIT raised */

/* The fleet's first making, as snowfleet init would do it. */
void sim_store_init(struct sim_store *store, const struct sf_layout *layout, unsigned datacenters,
                    int64_t now_ms)
{
    memset(store, 0, sizeof *store);
    store->next_version = 1;
    store->next_fence = 1;
    store->next_incarnation = 1;
    store->datacenters = datacenters;
    store->slot_count = (unsigned)sf_layout_max_worker(layout) + 1;
    SF_ASSERT(datacenters <= SIM_DATACENTERS_MAX && store->slot_count <= SIM_SLOTS_MAX);
    for (unsigned d = 0; d < datacenters; d++) {
        for (unsigned i = 0; i < store->slot_count; i++) {
            store->slots[d][i].record = (struct sf_coord_slot){.worker = i};
            store->slots[d][i].record.state = SF_COORD_RECORD_MISSING;
            store->slots[d][i].free_since_ns = -1;
        }
    }
    struct sf_coord_request request = {.op = SF_COORD_INIT, .deadline_ms = 1};
    struct sf_coord_config *config = &request.u.init.config;
    memcpy(config->fleet_id, "01234567-89ab-4cde-8f01-23456789abcd", SF_UUID_SIZE);
    config->layout = *layout;
    config->epoch_ms = SF_DEFAULT_EPOCH_MS;
    config->created_ms = now_ms;
    config->datacenter_count = (uint16_t)datacenters;
    for (uint16_t d = 0; d < datacenters; d++)
        config->datacenters[d] = d;
    struct sf_coord_event *event =
        sim_store_apply(store, &request, &(struct sim_writer){0, NOBODY}, now_ms, false);
    SF_ASSERT(event->completion.outcome == SF_COORD_DONE);
    sf_coord_event_free(event);
}

void sim_store_free(struct sim_store *store)
{
    for (unsigned d = 0; d < store->datacenters; d++)
        for (unsigned i = 0; i < store->slot_count; i++)
            free(store->slots[d][i].tenures);
    free(store->old);
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

static struct sf_coord_event *refused_for(const struct sf_coord_request *request,
                                          const struct sf_refusal *refusal)
{
    return sf_coord_event_completion(request, SF_COORD_REFUSED, refusal->reason, "%s",
                                     refusal->text);
}

/* One slot of INIT. Nobody owns the timestamps up to which an owner's record was raised. */
static enum sf_init_step init_slot(struct sim_store *store, const struct sf_coord_init *init,
                                   uint64_t datacenter, unsigned worker, int64_t now_ms,
                                   struct sf_refusal *ret_refusal)
{
    struct sim_slot *slot = &store->slots[datacenter][worker];
    const bool there = slot->record.state == SF_COORD_RECORD_OK;
    struct sf_coord_slot wanted;
    const enum sf_init_step step =
        sf_init_plan_slot(init, ROOT, datacenter, &slot->record, "", now_ms, &wanted, ret_refusal);
    if (step != SF_INIT_WRITE)
        return step;
    if (there)
        keep_book(slot, NOBODY, slot->record.reserved_until_ms, wanted.reserved_until_ms);
    else
        wanted.version.incarnation = store->next_incarnation++;
    wanted.version.version = store->next_version++;
    slot->record = wanted;
    return step;
}

static void write_config(struct sim_store *store, const struct sf_coord_config *config, bool first)
{
    const uint64_t incarnation =
        first ? store->config.version.incarnation : store->next_incarnation++;
    store->config = *config;
    store->config.version = (struct sf_coord_version){incarnation, store->next_version++};
}

static struct sf_coord_event *apply_init(struct sim_store *store,
                                         const struct sf_coord_request *request, int64_t now_ms)
{
    const struct sf_coord_init *init = &request->u.init;
    const struct sf_init_found found = {.state = store->config.version.incarnation == 0
                                                     ? SF_COORD_RECORD_MISSING
                                                     : SF_COORD_RECORD_OK,
                                        .config = &store->config,
                                        .why = ""};
    struct sf_coord_config config;
    struct sf_refusal refusal = {0};
    bool first = false;
    if (sf_init_plan_config(init, ROOT, &found, &config, &first, &refusal) < 0)
        return refused_for(request, &refusal);
    if (first)
        write_config(store, &config, first);
    for (size_t i = 0; i < sf_init_datacenter_count(&config); i++)
        for (unsigned w = 0; w < sf_init_worker_count(&config); w++)
            if (init_slot(store, init, sf_init_datacenter(&config, i), w, now_ms, &refusal) ==
                SF_INIT_REFUSED)
                return refused_for(request, &refusal);
    if (!first)
        write_config(store, &config, first);
    struct sf_coord_event *event = done(request);
    event->completion.config = malloc(sizeof *event->completion.config);
    SF_ASSERT(event->completion.config != NULL);
    *event->completion.config = store->config;
    return event;
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
        claim->claim = sf_request_claim(ask, -1, now_ms);
        claim->claim.fence = store->next_fence++;
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
    if (request->op != SF_COORD_RELEASE && !sf_version_same(&write->config, &store->config.version))
        return refused(request, SF_COORD_CONFIG_CHANGED);
    if (!claim)
        return refused(request, SF_COORD_CLAIM_GONE);
    if (slot->record.state != SF_COORD_RECORD_OK)
        return refused(request, SF_COORD_MISSING);
    if (!sf_version_same(&write->expected, &slot->record.version))
        return refused(request, SF_COORD_VERSION);
    keep_book(slot, lineage, slot->record.reserved_until_ms, write->slot.reserved_until_ms);
    const struct sf_coord_version version = {slot->record.version.incarnation,
                                             store->next_version++};
    slot->record = write->slot;
    slot->record.state = SF_COORD_RECORD_OK;
    slot->record.version = version;
    if (request->op == SF_COORD_BIND) {
        const struct sf_coord_claim before = claim->claim;
        claim->claim = sf_request_bound_claim(write);
        memcpy(claim->claim.name, before.name, sizeof before.name);
        memcpy(claim->claim.guid, before.guid, sizeof before.guid);
        claim->claim.fence = before.fence;
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
    struct sf_error err = {0};
    if (sf_request_check(request, INT64_MAX, &err) < 0)
        return sf_coord_event_completion(request, SF_COORD_REFUSED, SF_COORD_INVALID, "%.*s",
                                         SF_COORD_TEXT_MAX - 1, err.text);
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
        event = apply_init(store, request, now_ms);
        break;
    case SF_COORD_OPS:
        break;
    }
    SF_ASSERT(event != NULL);
    event->completion.server_ms = now_ms;
    event->completion.server_error_ms = 2;
    return event;
}
