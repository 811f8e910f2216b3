/* What must be true: of every ID, after every step, of every write, of every call, all the time,
 * (and at the end: judge_end.c). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coord/state_record.h"
#include "fleet.h"
#include "worker/reservation_loss.h"

/* How long things may take while nothing is going wrong: a deadline that was running, the longest
 * backoff, and a few round trips. */
#define UNDISTURBED_NS (SF_RES_OP_DEADLINE_MS * MS + SF_RES_RETRY_MAX_MS * MS + 5 * S)
#define SEEK_NS        (2 * UNDISTURBED_NS)
#define AHEAD_NS       (SIM_MAX_OFFSET_NS + SIM_MAX_AHEAD_MS * MS + 50 * MS)

/* --- IDs --- */

static size_t place_of(const struct sim_world *w, uint64_t key)
{
    size_t k = (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (w->seen_size - 1);
    while (w->seen[k].key && w->seen[k].key != key)
        k = (k + 1) & (w->seen_size - 1);
    return k;
}

static void grow_seen(struct sim_world *w)
{
    struct sim_seen *old = w->seen;
    const size_t old_size = w->seen_size;
    w->seen_size = old_size ? old_size * 2 : 1 << 14;
    w->seen = calloc(w->seen_size, sizeof *w->seen);
    SF_ASSERT(w->seen);
    for (size_t i = 0; i < old_size; i++)
        if (old[i].key)
            w->seen[place_of(w, old[i].key)] = old[i];
    free(old);
}

/* 64 IDs in a row share an entry. */
static struct sim_seen *seen_of(struct sim_world *w, uint64_t id)
{
    if (w->seen_count * 2 >= w->seen_size)
        grow_seen(w);
    const uint64_t key = (id >> 6) + 1;
    const size_t k = place_of(w, key);
    w->seen_count += !w->seen[k].key;
    w->seen[k].key = key;
    return &w->seen[k];
}

/* Words below tainted_end may be minted by somebody else too, of whom the coordinator has forgotten. */
static void judge_unique(struct sim_world *w, const struct sim_hold *hold,
                         const struct sf_mint *mint, uint64_t tainted_end)
{
    struct sim_seen *seen = NULL;
    for (uint32_t i = 0; i < mint->count; i++) {
        const uint64_t id = sf_generator_id(&hold->gen, mint->first_word + i, mint->slot_bits);
        const uint64_t bit = UINT64_C(1) << (id & 63);
        if (!seen || seen->key != (id >> 6) + 1)
            seen = seen_of(w, id);
        if (id >> SF_ID_BITS)
            sim_fail(w, "FIELD: %" PRIu64 " is no ID", id);
        const bool tainted = mint->first_word + i < tainted_end;
        if ((seen->minted & bit) != 0) {
            if (!tainted && (seen->tainted & bit) == 0)
                sim_fail(w, "DUPLICATE: ID %" PRIu64, id);
            w->result->twice++;
        }
        seen->minted |= bit;
        if (tainted) {
            seen->tainted |= bit;
            w->result->tainted++;
        }
    }
}

/* Nothing of what another one reported, once that was seen. */
static void judge_reported(struct sim_world *w, const struct sim_host *h,
                           const struct sim_hold *hold, int64_t unix_ms)
{
    const struct sf_tenure *tenure = &hold->res.hold;
    if (unix_ms < hold->reported.until_ms && tenure->worker == hold->reported.worker &&
        strcmp(tenure->token, hold->reported.token) == 0 &&
        strcmp(tenure->record.claim, hold->reported.claim) == 0)
        sim_fail(w,
                 "REPORTED: process %" PRIu64 " minted %" PRId64 " ms in slot %u/%" PRIu64
                 ", which another one reported up to %" PRId64,
                 h->instance, unix_ms, h->datacenter, tenure->worker, hold->reported.until_ms);
}

/* In its layout, in what the coordinator granted to this very owner, and not against the clock.
 * Returns whether somebody else may have got the same, since the coordinator has forgotten that. */
static bool judge_timestamp(struct sim_world *w, unsigned index, unsigned k, uint64_t worker,
                            uint64_t ms, bool natural)
{
    struct sim_host *h = &w->hosts[index];
    struct sim_hold *hold = &h->holds[k];
    const int64_t unix_ms = (int64_t)ms + SF_DEFAULT_EPOCH_MS;
    if (ms > sf_layout_max_timestamp(&w->shape.layout))
        sim_fail(w, "FIELD: %" PRIu64 " ms do not fit the layout", ms);
    const unsigned making = sim_book_making(&w->store.book, hold->res.hold.token);
    int64_t *minted_ms = &w->store.book.minted_ms[making][h->datacenter][worker];
    bool tainted = false;
    const char *why = sim_book_audit(&w->store.book.slots[h->datacenter][worker], making,
                                     hold->lineage, unix_ms, &tainted);
    if (why)
        sim_fail(w, "GRANT: process %" PRIu64 " minted %" PRId64 " ms in slot %u/%" PRIu64 ": %s",
                 h->instance, unix_ms, h->datacenter, worker, why);
    if (unix_ms > *minted_ms)
        *minted_ms = unix_ms;
    hold->minted_ms = unix_ms;
    memcpy(hold->minted_token, hold->res.hold.token, sizeof hold->minted_token);
    judge_reported(w, h, hold, unix_ms);
    if (w->shape.max_silence_ms > 0 && unix_ms >= hold->res.heard_mint_ms + w->shape.max_silence_ms)
        sim_fail(w, "SILENCE: process %" PRIu64 " minted %" PRId64 " ms after it had last heard",
                 h->instance, unix_ms - hold->res.heard_mint_ms);
    const int64_t ahead_ns = unix_ms * MS - sim_true_unix_ns(w);
    if (natural && sim_knows_time(w, h) && ahead_ns > AHEAD_NS)
        sim_fail(w, "AHEAD: process %" PRIu64 " minted %" PRId64 " ms ahead of true time",
                 h->instance, ahead_ns / MS);
    return tainted;
}

void sim_judge_mint(struct sim_world *w, unsigned index, unsigned k, const struct sf_mint *mint,
                    bool natural)
{
    struct sim_host *h = &w->hosts[index];
    struct sim_hold *hold = &h->holds[k];
    const struct sf_layout *layout = &w->shape.layout;
    const uint64_t worker =
        (mint->slot_bits >> layout->sequence_bits) & sf_layout_max_worker(layout);
    if (mint->slot_bits >> (layout->sequence_bits + layout->worker_bits) != h->datacenter) {
        sim_fail(w, "SLOT: process %" PRIu64 " minted for another datacenter", h->instance);
        return;
    }
    if (!h->verdict.may_mint)
        sim_fail(w, "CLOCK: process %" PRIu64 " minted with a clock that is not safe", h->instance);
    if (mint->first_word <= hold->last_word)
        sim_fail(w, "ORDER: process %" PRIu64 " went back", h->instance);
    hold->last_word = mint->first_word + mint->count - 1;
    const uint64_t first_ms = mint->first_word >> layout->sequence_bits;
    const uint64_t last_ms = hold->last_word >> layout->sequence_bits;
    uint64_t tainted_end = 0;
    for (uint64_t ms = first_ms; ms <= last_ms && !w->result->failed; ms++)
        if (judge_timestamp(w, index, k, worker, ms, natural))
            tainted_end = (ms + 1) << layout->sequence_bits;
    judge_unique(w, hold, mint, tainted_end);
    w->result->ids += mint->count;
}

void sim_judge_handed(struct sim_world *w, unsigned client, uint64_t id)
{
    struct sim_seen *seen = seen_of(w, id);
    const uint64_t bit = UINT64_C(1) << (id & 63);
    if (!(seen->minted & bit))
        sim_fail(w, "HANDED: caller %u got ID %" PRIu64 ", which nobody minted", client, id);
    if ((seen->handed & bit) != 0 && (seen->tainted & bit) == 0)
        sim_fail(w, "HANDED: caller %u got ID %" PRIu64 ", which was handed out before", client,
                 id);
    seen->handed |= bit;
}

/* --- steps --- */

/* May an ID be minted now? Asked of the generator itself. */
static bool has_right(const struct sim_world *w, const struct sim_host *h,
                      const struct sim_hold *hold)
{
    return hold->res.generator_ready && !sf_generator_is_closed(&hold->gen) &&
           (int64_t)sf_generator_limit_ms(&hold->gen) + SF_DEFAULT_EPOCH_MS > sim_mint_ms(w, h);
}

/* Did the answer say that there is no fleet? */
static bool told_of_loss(const struct sf_reservation_event *event)
{
    if (event->kind != SF_RES_COORD || event->coord->kind != SF_COORD_COMPLETION)
        return false;
    const struct sf_coord_completion *c = &event->coord->completion;
    return c->op == SF_COORD_READ_CONFIG && c->outcome == SF_COORD_REFUSED &&
           c->reason == SF_COORD_MISSING;
}

/* A loss is noticed only where something was lost; and what a halt says of the slot that is held is
 * kept for the IDs to come. */
static void judge_loss(struct sim_world *w, const struct sim_host *h, struct sim_hold *hold,
                       const struct sf_reservation_event *event)
{
    const struct sf_reservation *res = &hold->res;
    const struct sf_tenure *tenure = &res->hold;
    if (w->losses == 0 && (res->stats.data_losses > 0 || res->halted))
        sim_fail(w, "FALSE: process %" PRIu64 " tells of a loss, and nothing was lost",
                 h->instance);
    if (event->kind != SF_RES_COORD || event->coord->kind != SF_COORD_COMPLETION)
        return;
    const struct sf_coord_completion *c = &event->coord->completion;
    if (c->op != SF_COORD_READ_CONFIG || c->outcome != SF_COORD_DONE ||
        (c->id >> 56) != (uint64_t)(hold - h->holds))
        return;
    if (hold->minted_ms >= c->config->floor_ms &&
        strcmp(hold->minted_token, c->config->token) != 0 && !sf_res_is_lost(res, c->config->token))
        sim_fail(w,
                 "FLOOR: process %" PRIu64 " minted %" PRId64
                 " ms under another making, and does not mind a floor of %" PRId64,
                 h->instance, hold->minted_ms, c->config->floor_ms);
    if (c->state == NULL || !c->state->halted || !tenure->active ||
        strcmp(tenure->token, c->config->token) != 0)
        return;
    hold->reported.until_ms =
        sf_state_held_until_ms(c->state, h->datacenter, tenure->worker, tenure->record.claim);
    hold->reported.worker = tenure->worker;
    memcpy(hold->reported.token, tenure->token, sizeof tenure->token);
    memcpy(hold->reported.claim, tenure->record.claim, sizeof tenure->record.claim);
}

/* Content before counters: after a lost connection the record is read before it is written again. */
static void judge_unread(struct sim_world *w, const struct sim_host *h, struct sim_hold *hold,
                         const struct sf_reservation_event *event,
                         const struct sf_reservation_output *out)
{
    const struct sf_reservation *res = &hold->res;
    const enum sf_coord_op op = out->request.op;
    if (event->kind == SF_RES_COORD && event->coord->kind == SF_COORD_DISCONNECTED)
        hold->unread = res->hold.active && !res->orphan;
    if (!res->hold.active || res->orphan ||
        (event->kind == SF_RES_COORD && event->coord->kind == SF_COORD_COMPLETION &&
         event->coord->completion.op == SF_COORD_READ_SLOT &&
         event->coord->completion.outcome == SF_COORD_DONE))
        hold->unread = false;
    if (hold->unread && out->has_request && !res->busy_on_bid &&
        (op == SF_COORD_RENEW || op == SF_COORD_BIND || op == SF_COORD_RELEASE))
        sim_fail(w, "UNREAD: process %" PRIu64 " writes its record after a lost connection, unread",
                 h->instance);
}

void sim_judge_step(struct sim_world *w, unsigned index, unsigned k,
                    const struct sf_reservation_event *event, const struct sf_reservation_now *now,
                    const struct sf_reservation_output *out)
{
    struct sim_host *h = &w->hosts[index];
    struct sim_hold *hold = &h->holds[k];
    const struct sf_reservation *res = &hold->res;
    const uint64_t process = h->instance;
    const bool open = res->generator_ready && !sf_generator_is_closed(&hold->gen);
    if (res->state == SF_WORKER_READY && !has_right(w, h, hold))
        sim_fail(w, "READY: process %" PRIu64 " calls itself ready and may not mint", process);
    if (!now->clock_ok && open)
        sim_fail(w, "CLOCK: process %" PRIu64 " may still mint with a clock that is not safe",
                 process);
    if (res->leaving && open)
        sim_fail(w, "LEAVING: process %" PRIu64 " may still mint", process);
    if (told_of_loss(event) && event->coord->completion.id == res->next_id && open)
        sim_fail(w, "GONE: process %" PRIu64 " may still mint in a fleet that is gone", process);
    judge_loss(w, h, hold, event);
    judge_unread(w, h, hold, event, out);
    const enum sf_coord_op op = out->request.op;
    const bool of_slot = out->has_request &&
                         (op == SF_COORD_RENEW || op == SF_COORD_BIND || op == SF_COORD_READ_SLOT);
    if (res->orphan && of_slot && !res->busy_on_bid)
        sim_fail(w, "ORPHAN: process %" PRIu64 " goes on with the slot that it has lost", process);
    if (!res->hold.active || res->orphan) {
        if (hold->seeking_since_ns < 0)
            hold->seeking_since_ns = w->now_ns;
    } else {
        hold->seeking_since_ns = -1;
    }
}

/* As the daemon puts the facts together. */
static void facts_of(const struct sim_world *w, const struct sim_host *h,
                     struct sf_readiness_facts *facts)
{
    *facts = (struct sf_readiness_facts){.slot_text = h->holds[0].res.why,
                                         .reservation_needed_ms = 5000 + SIM_LEAVE_MS,
                                         .coordinator_connected = h->connected,
                                         .clock_ok = h->verdict.may_mint,
                                         .clock_text = h->verdict.text,
                                         .draining = h->draining,
                                         .drain_text = "shutting down",
                                         .shards = 1};
    const int64_t mint_ms = sim_mint_ms(w, h);
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++) {
        const struct sf_reservation *res = &h->holds[k].res;
        const int64_t left_ms = sf_reservation_left_ms(res, mint_ms);
        if (!res->hold.active || (facts->slot_held && left_ms <= facts->reservation_left_ms))
            continue;
        facts->slot_held = true;
        facts->datacenter = h->datacenter;
        facts->worker = res->hold.worker;
        facts->fence = res->hold.fence;
        facts->reservation_left_ms = left_ms;
    }
    const int64_t half_ms = sf_reservation_window_ms(&h->holds[0].res) / 2;
    if (facts->reservation_needed_ms > half_ms)
        facts->reservation_needed_ms = half_ms;
}

void sim_judge_readiness(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    struct sf_readiness_facts facts;
    struct sf_readiness readiness;
    facts_of(w, h, &facts);
    sf_readiness_judge(&facts, &readiness);
    bool right = false;
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
        right = right || has_right(w, h, &h->holds[k]);
    if (readiness.ready && (!right || !h->verdict.may_mint || h->draining))
        sim_fail(w, "READINESS: process %" PRIu64 " says that it is ready and may not mint",
                 h->instance);
    if (!readiness.ready && right && h->connected && h->verdict.may_mint && !h->draining)
        sim_fail(w, "READINESS: process %" PRIu64 " says that it is not ready and mints",
                 h->instance);
    if (!readiness.ready && facts.slot_held)
        sim_path(w, SIM_NOT_READY);
}

/* --- writes --- */

/* A wrong clock must not reserve further than the window, the margin and what its trusted time may
 * be wrong by. And whatever a slot's record says, everything minted in it lies below. */
void sim_judge_write(struct sim_world *w, const struct sim_flight *flight,
                     const struct sf_coord_event *answer)
{
    const enum sf_coord_op op = flight->request.op;
    if (answer->completion.outcome != SF_COORD_DONE ||
        (op != SF_COORD_BIND && op != SF_COORD_RENEW && op != SF_COORD_RELEASE))
        return;
    const struct sf_coord_slot *record = &flight->request.u.write.slot;
    struct sim_book *book = &w->store.book;
    const unsigned making = sim_book_making(book, flight->request.basis.token);
    const int64_t minted_ms = book->minted_ms[making][flight->request.datacenter][record->worker];
    const struct sim_tree *tree = sim_content_tree(&w->store.now, flight->request.basis.token);
    const int64_t forgotten_ms = tree->slots[flight->request.datacenter][record->worker].acked_ms;
    if (minted_ms >= forgotten_ms && minted_ms > 0 && record->reserved_until_ms <= minted_ms)
        sim_fail(w,
                 "BELOW: process %" PRIu64 " wrote %" PRId64 " ms into slot %" PRIu64 ", %" PRId64
                 " ms were minted there",
                 flight->instance, record->reserved_until_ms, record->worker, minted_ms);
    const int64_t ahead_ms = record->reserved_until_ms - sim_true_unix_ns(w) / MS;
    const int64_t most_ms =
        w->shape.window_ms + SF_RES_MARGIN_MS + flight->trust_error_ns / MS + 500;
    if (!w->wild && op != SF_COORD_RELEASE && ahead_ms > most_ms)
        sim_fail(
            w, "POISON: process %" PRIu64 " reserved slot %" PRIu64 " for %" PRId64 " ms from now",
            flight->instance, record->worker, ahead_ms);
}

/* --- service --- */

/* A generator whose last ID lies far ahead makes its callers wait. */
static bool serves(const struct sim_world *w, const struct sim_host *h)
{
    const int64_t horizon_ms = sim_mint_ms(w, h) + SIM_MAX_AHEAD_MS;
    bool any = false;
    if (!h->alive || h->paused || h->leaving || !h->policy.has_mint)
        return false;
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++) {
        const struct sim_hold *hold = &h->holds[k];
        if (!has_right(w, h, hold))
            continue;
        if ((int64_t)sf_generator_last_ms(&hold->gen) + SF_DEFAULT_EPOCH_MS > horizon_ms)
            return false;
        any = true;
    }
    return any;
}

void sim_judge_serving(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    if (!serves(w, h))
        h->serving_since_ns = -1;
    else if (h->serving_since_ns < 0)
        h->serving_since_ns = w->now_ns;
}

/* Has this client been able to use the host since then? */
bool sim_judge_within_reach(struct sim_world *w, const struct sim_client *client, unsigned index,
                            int64_t since_ns)
{
    sim_judge_serving(w, index);
    const int64_t serving_ns = w->hosts[index].serving_since_ns;
    return serving_ns >= 0 && serving_ns < since_ns && !client->links[index].cut_to &&
           !client->links[index].cut_back && client->links[index].clear_since_ns < since_ns;
}

void sim_judge_call_failed(struct sim_world *w, unsigned index)
{
    const struct sim_client *client = &w->clients[index];
    for (unsigned i = 0; i < client->policy.places; i++)
        if (sim_judge_within_reach(w, client, i, client->call.started_ns))
            sim_fail(w, "CALL: caller %u got no ID, though worker h%u could have given one", index,
                     i);
    sim_path(w, SIM_CALL_BEYOND);
}

/* --- all the time --- */

/* A slot that is held by a worker which nothing keeps from it has a live claim. */
static void judge_claim(struct sim_world *w, struct sim_host *h, struct sim_hold *hold)
{
    const struct sf_reservation *res = &hold->res;
    const bool must = h->alive && !h->paused && h->connected && h->session_live &&
                      res->hold.active && !res->orphan && !res->leaving && !res->suspended &&
                      !res->doomed && !res->hold.must_read && w->granting_since_ns >= 0;
    if (!must || sim_content_claim(&w->store.now, res->hold.token, res->hold.claim)) {
        hold->claimless_since_ns = w->now_ns;
        return;
    }
    int64_t since_ns = hold->claimless_since_ns;
    if (since_ns < h->clear_since_ns)
        since_ns = h->clear_since_ns;
    if (since_ns < w->granting_since_ns)
        since_ns = w->granting_since_ns;
    /* That somebody deleted it shows with the next renewal only: where a window is too long for a
     * crowded datacenter and cannot shrink, that is when it ends. */
    const int64_t may_take_ns = UNDISTURBED_NS + (hold->claim_taken ? w->shape.window_ms * MS : 0);
    if (w->now_ns - since_ns > may_take_ns)
        sim_fail(w,
                 "CLAIM: process %" PRIu64 " has held slot %" PRIu64 " without a claim for %" PRId64
                 " ms",
                 h->instance, res->hold.worker, ((w->now_ns - since_ns) / MS));
}

/* Who knows of a loss tells the fleet. */
static void judge_told(struct sim_world *w, struct sim_host *h, struct sim_hold *hold)
{
    const bool knows = h->alive && !h->paused && h->connected && hold->res.config_known &&
                       w->granting_since_ns >= 0 &&
                       sf_res_is_lost(&hold->res, w->store.now.config.token);
    if (!knows || hold->knows_loss_since_ns < 0)
        hold->knows_loss_since_ns = knows ? w->now_ns : -1;
    if (!knows || w->now_ns - hold->knows_loss_since_ns < UNDISTURBED_NS ||
        w->now_ns - h->clear_since_ns < UNDISTURBED_NS ||
        w->now_ns - w->granting_since_ns < UNDISTURBED_NS)
        return;
    sim_fail(w, "UNTOLD: process %" PRIu64 " has known of a loss for %" PRId64 " ms", h->instance,
             (w->now_ns - hold->knows_loss_since_ns) / MS);
}

/* Who seeks a slot gets one that has been free all the time. */
static void judge_seeker(struct sim_world *w, struct sim_host *h, struct sim_hold *hold)
{
    const struct sf_reservation *res = &hold->res;
    if (w->wild || w->shape.ends || !h->alive || h->paused || !h->connected || res->leaving ||
        res->suspended || res->memory.valid || hold->seeking_since_ns < 0 || !h->verdict.may_mint)
        return;
    if (w->now_ns - hold->seeking_since_ns < SEEK_NS || w->now_ns - h->clear_since_ns < SEEK_NS ||
        w->granting_since_ns < 0 || w->now_ns - w->granting_since_ns < SEEK_NS)
        return;
    for (unsigned i = 0; i < w->store.slot_count; i++) {
        const int64_t since_ns = w->store.book.slots[h->datacenter][i].free_since_ns;
        if (since_ns >= 0 && w->now_ns - since_ns > SEEK_NS)
            sim_fail(w,
                     "SEEK: process %" PRIu64 " has sought a slot for %" PRId64
                     " ms, and slot %u is free",
                     h->instance, ((w->now_ns - hold->seeking_since_ns) / MS), i);
    }
}

/* The making that grants, and since when under this very config and state. */
static const struct sim_tree *look_at_fleet(struct sim_world *w)
{
    const struct sim_tree *tree = sim_content_granting(&w->store.now);
    struct sf_coord_basis basis = {.config = w->store.now.config.version};
    if (tree != NULL) {
        memcpy(basis.token, tree->token, sizeof basis.token);
        basis.state = tree->state_version;
    }
    if (tree == NULL)
        w->granting_since_ns = -1;
    else if (w->granting_since_ns < 0 || memcmp(&basis, &w->granting, sizeof basis) != 0)
        w->granting_since_ns = w->now_ns;
    w->granting = basis;
    return tree;
}

static void look_at_slots(struct sim_world *w)
{
    const int64_t surely_ms = sim_true_unix_ns(w) / MS - 2000;
    const struct sim_tree *tree = look_at_fleet(w);
    for (unsigned d = 0; d < w->store.datacenters; d++) {
        for (unsigned i = 0; i < w->store.slot_count; i++) {
            struct sim_book_slot *slot = &w->store.book.slots[d][i];
            const struct sf_coord_slot *record = tree != NULL ? &tree->slots[d][i].slot : NULL;
            const bool is_free =
                record != NULL && record->state == SF_COORD_RECORD_OK &&
                record->reserved_until_ms <= surely_ms &&
                sim_content_claim(&w->store.now, tree->token, record->claim) == NULL;
            if (!is_free)
                slot->free_since_ns = -1;
            else if (slot->free_since_ns < 0)
                slot->free_since_ns = w->now_ns;
        }
    }
}

void sim_judge_turn(struct sim_world *w)
{
    sim_at(w, S, EV_JUDGE, 0);
    look_at_slots(w);
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        struct sim_host *h = &w->hosts[i];
        if (h->alive && !h->paused)
            sim_judge_readiness(w, i);
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++) {
            judge_claim(w, h, &h->holds[k]);
            judge_told(w, h, &h->holds[k]);
            judge_seeker(w, h, &h->holds[k]);
        }
    }
}
