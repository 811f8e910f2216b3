/* What the list of a datacenter's slots and claims changes. */
#include "worker/reservation_list.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse.h"
#include "coord/records.h"
#include "worker/reservation_loss.h"
#include "worker/reservation_moves.h"

void sf_res_settle_claim(struct sf_reservation *res, const struct sf_coord_completion *c)
{
    if (res->claim_status != SF_CLAIM_DOUBTFUL)
        return;
    for (size_t i = 0; i < c->claim_count; i++) {
        if (strcmp(c->claims[i].guid, res->claim.guid) != 0)
            continue;
        res->claim = c->claims[i];
        res->claim_status = SF_CLAIM_HAVE;
        res->claim_bound = false;
        res->unclaim_sent = false;
        return;
    }
    sf_res_give_claim_up(res); /* it may still appear, as a stray: the create may be applied late */
}

void sf_res_find_strays(struct sf_reservation *res, const struct sf_coord_completion *c)
{
    res->stray_count = 0;
    if (res->mark[0] == '\0')
        return;
    for (size_t i = 0; i < c->claim_count && res->stray_count < SF_RES_STRAYS_MAX; i++) {
        const struct sf_coord_claim *claim = &c->claims[i];
        const bool ours = strncmp(claim->guid, res->mark, strlen(res->mark)) == 0;
        const bool in_use =
            res->claim_status == SF_CLAIM_HAVE && strcmp(claim->name, res->claim.name) == 0;
        if (ours && !in_use)
            memcpy(res->strays[res->stray_count++], claim->name, sizeof claim->name);
    }
}

void sf_res_tell_wait(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!res->waiting_told || res->state != s->waits)
        sf_res_log(s, SF_LOG_WARN, "slot.waiting", "%s", res->why);
    res->waiting_told = true;
}

void sf_res_tell_poisoned(struct sf_res_step *s, int64_t until_ms)
{
    char left[SF_DURATION_TEXT_MAX];
    if (until_ms > SF_RES_FAR_FUTURE_MS)
        sf_res_log(s, SF_LOG_ERROR, "slot.poisoned",
                   "a slot of datacenter %" PRIu64 " is reserved for %s from now: a worker "
                   "with a wrong clock wrote that; see RUNBOOK.md, poisoned slot",
                   s->res->params.datacenter, sf_format_duration_ms(until_ms, left, sizeof left));
}

/* One slot number only was asked for (fleet.worker): what is in the way there, whatever else is free.
 * Returns how long until that one comes free; -1: nobody knows. */
static int64_t why_not_pinned(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    const uint64_t datacenter = res->params.datacenter,
                   worker = (uint64_t)res->params.pinned_worker;
    const struct sf_coord_slot *slot = NULL;
    const struct sf_coord_claim *holder = NULL;
    char left[SF_DURATION_TEXT_MAX];
    for (size_t i = 0; i < c->slot_count && slot == NULL; i++)
        if (c->slots[i].worker == worker)
            slot = &c->slots[i];
    const enum sf_slot_state state =
        slot == NULL ? SF_SLOT_BROKEN
                     : sf_slot_state(slot, c->claims, c->claim_count, s->now->mint_ms, &holder);
    s->waits = state == SF_SLOT_QUARANTINED ? SF_WORKER_QUARANTINED : SF_WORKER_CLAIMING;
    if (state == SF_SLOT_HELD) {
        sf_res_why(
            res,
            "slot %" PRIu64 "/%" PRIu64 " (fleet.worker) is held by %s; of the others %u are free",
            datacenter, worker, holder != NULL ? holder->node : slot->node, res->census.free);
    } else if (state == SF_SLOT_QUARANTINED) {
        const int64_t until_ms = slot->reserved_until_ms - s->now->mint_ms;
        sf_res_why(res,
                   "slot %" PRIu64 "/%" PRIu64
                   " (fleet.worker) is quarantined: it comes free in %s; of the others %u are free",
                   datacenter, worker, sf_format_duration_ms(until_ms, left, sizeof left),
                   res->census.free);
        return until_ms;
    } else {
        sf_res_why(res,
                   "slot %" PRIu64 "/%" PRIu64 " (fleet.worker) has no usable record; "
                   "`snowfleet slots reset %" PRIu64 "/%" PRIu64 "` writes it anew",
                   datacenter, worker, datacenter, worker);
    }
    return -1;
}

/* The same where any slot would do. */
static int64_t why_none(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const struct sf_census *census = &res->census;
    const int64_t until_ms = census->earliest_free_ms - s->now->mint_ms;
    char left[SF_DURATION_TEXT_MAX];
    s->waits = census->quarantined > 0 ? SF_WORKER_QUARANTINED : SF_WORKER_CLAIMING;
    if (census->quarantined > 0) {
        sf_res_why(res,
                   "no free slot in datacenter %" PRIu64
                   ": %u held, %u quarantined, the first comes free in %s",
                   res->params.datacenter, census->held, census->quarantined,
                   sf_format_duration_ms(until_ms, left, sizeof left));
        return until_ms;
    }
    sf_res_why(res, "the fleet is full: all %u slots of datacenter %" PRIu64 " are held%s",
               census->held, res->params.datacenter,
               census->broken > 0 ? ", and others have no usable record" : "");
    return -1;
}

static void no_free_slot(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    res->stats.bids_full++;
    const int64_t until_ms = res->params.pinned_worker >= 0 ? why_not_pinned(s, c) : why_none(s);
    int64_t wait_ms = SF_RES_WAIT_LIST_MS;
    if (res->census.quarantined > 0)
        sf_res_tell_poisoned(s, res->census.earliest_free_ms - s->now->mint_ms);
    if (s->waits == SF_WORKER_QUARANTINED && until_ms < wait_ms)
        wait_ms = until_ms > 0 ? until_ms : 1;
    sf_res_tell_wait(s);
    sf_res_look_in(s, wait_ms + (int64_t)sf_prng_below(&res->prng, (uint64_t)wait_ms / 4 + 1));
}

bool sf_res_has_begun(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const struct sf_coord_config *config = &res->config;
    const bool by_epoch = config->epoch_ms > config->floor_ms;
    const int64_t wait_ms = (by_epoch ? config->epoch_ms : config->floor_ms) - s->now->mint_ms;
    char date[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX];
    if (wait_ms <= 0)
        return true;
    sf_format_duration_ms(wait_ms, left, sizeof left);
    s->waits = SF_WORKER_QUARANTINED;
    if (by_epoch)
        sf_res_why(res, "the fleet's epoch is in the future: minting begins at %s, %s from now",
                   sf_format_time_ms(config->epoch_ms, date, sizeof date), left);
    else
        sf_res_why(res, "the fleet mints nothing before its floor, %s, %s from now",
                   sf_format_time_ms(config->floor_ms, date, sizeof date), left);
    sf_res_tell_wait(s);
    sf_res_look_in(s, wait_ms < SF_RES_WAIT_LIST_MS ? wait_ms : SF_RES_WAIT_LIST_MS);
    return false;
}

static void choose(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (!sf_res_has_begun(s))
        return;
    const bool patient = s->now->mono_ms - res->waiting_since_mono_ms < SF_RES_WAIT_LIST_MS;
    const int index =
        sf_choose_slot(c->slots, c->slot_count, c->claims, c->claim_count, &res->claim,
                       res->params.pinned_worker, s->now->mint_ms, patient, &res->prng);
    if (index < 0 && res->census.free > 0 && res->params.pinned_worker < 0) {
        /* Others are before us in the queue; look again soon. */
        sf_res_look_in(s, 20 + (int64_t)sf_prng_below(&res->prng, 60));
        return;
    }
    if (index < 0) {
        no_free_slot(s, c);
        return;
    }
    sf_res_bid_for(s, &c->slots[index]);
}

void sf_res_bid_for(struct sf_res_step *s, const struct sf_coord_slot *slot)
{
    struct sf_reservation *res = s->res;
    memset(&res->bid, 0, sizeof res->bid);
    res->bid.active = true;
    res->bid.worker = slot->worker;
    memcpy(res->bid.token, res->config.token, sizeof res->bid.token);
    res->bid.record = *slot;
    res->bid.floor_ms = slot->reserved_until_ms > res->config.floor_ms ? slot->reserved_until_ms
                                                                       : res->config.floor_ms;
    if (res->bid.floor_ms < res->least_start_ms)
        res->bid.floor_ms = res->least_start_ms;
    res->bid.from_ms = res->bid.floor_ms;
}

/* Does it show our own slot with what we did not write? A list may be older than our last write, so it
 * decides nothing: the record itself is read, and judged. */
static void doubt_own_record(struct sf_reservation *res, const struct sf_coord_completion *c)
{
    struct sf_tenure *hold = &res->hold;
    if (!hold->active || res->orphan || strcmp(hold->token, res->config.token) != 0)
        return;
    for (size_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].worker == hold->worker &&
            (c->slots[i].state != SF_COORD_RECORD_OK ||
             strcmp(c->slots[i].nonce, hold->record.nonce) != 0))
            hold->must_read = true;
}

void sf_res_listed(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (c->outcome != SF_COORD_DONE) {
        if (c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_MISSING)
            res->config_stale = true;
        sf_res_failed(s, c);
        return;
    }
    sf_census_take(c->slots, c->slot_count, c->claims, c->claim_count, s->now->mint_ms,
                   &res->census);
    res->census.read_mono_ms = s->now->mono_ms;
    sf_res_settle_claim(res, c);
    sf_res_find_strays(res, c);
    doubt_own_record(res, c);
    sf_res_progress(s);
    if (!sf_res_grants(res))
        return;
    if (!sf_res_probes(res) && sf_res_may_bid(res))
        choose(s, c);
}
