/* What the coordinator's answers and notices change. */
#include "worker/reservation_events.h"

#include <string.h>

#include "base/assert.h"
#include "worker/reservation_config.h"
#include "worker/reservation_list.h"
#include "worker/reservation_loss.h"
#include "worker/reservation_moves.h"
#include "worker/reservation_seek.h"
#include "worker/reservation_tell.h"
#include "worker/reservation_tenure.h"

static void on_claim(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    /* A hop may have delivered it twice, or will. */
    res->claims_doubted = res->claims_doubted || c->outcome != SF_COORD_DONE;
    res->find_due_mono_ms = s->now->mono_ms + SF_RES_CENSUS_MS;
    switch (c->outcome) {
    case SF_COORD_DONE:
        SF_ASSERT(c->claim_count == 1);
        res->claim = c->claims[0];
        res->claim_status = SF_CLAIM_HAVE;
        res->claim_bound = false;
        res->unclaim_sent = false;
        res->seek.begun = false; /* the way begins anew, where the claim says */
        res->seek.place = c->place;
        sf_res_count_claims(s, c);
        if (res->waiting_since_mono_ms == 0)
            res->waiting_since_mono_ms = s->now->mono_ms;
        sf_res_wrote(s);
        return;
    case SF_COORD_UNKNOWN:
        res->claim_status = SF_CLAIM_DOUBTFUL;
        res->stats.claims_failed++;
        break;
    case SF_COORD_REFUSED:
        res->stats.claims_failed++;
        if (c->reason == SF_COORD_INVALID)
            break; /* it never left us */
        /* A refusal is no proof: the list will show whether our guid is there. */
        res->claim_status = SF_CLAIM_DOUBTFUL;
        res->config_stale = true;
        break;
    case SF_COORD_LOST:
        res->stats.claims_failed++;
        break;
    }
    sf_res_failed(s, c);
}

/* A hint for people: what it does not reach is told again, and nothing else waits for it. */
static void on_tell(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    sf_res_told(res, c->outcome == SF_COORD_DONE);
    if (c->outcome == SF_COORD_DONE)
        sf_res_wrote(s);
    else if (c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_CLAIM_GONE)
        sf_res_give_claim_up(res);
    else
        sf_res_failed(s, c);
}

static void on_unclaim(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (res->busy_on_stray) {
        /* One that cannot be deleted now waits for the next list, or nothing else would be asked for. */
        if (c->outcome != SF_COORD_DONE)
            res->stray_count = 0;
        else if (res->stray_count > 0) /* they may have been forgotten meanwhile */
            res->stray_count--;
        if (res->stray_count == 0)
            sf_res_look_in(s, SF_RES_WAIT_LIST_MS);
    } else if (c->outcome == SF_COORD_DONE) {
        res->claim_status = SF_CLAIM_NONE;
    }
    if (c->outcome == SF_COORD_DONE)
        sf_res_progress(s);
    else
        sf_res_failed(s, c);
}

/* The state file's slot was read. What the dead process had under way it does not know, so only what
 * no write of it can explain is a loss; anything else that differs makes us a stranger. */
static void on_memory_slot(struct sf_res_step *s, const struct sf_coord_slot *slot)
{
    struct sf_reservation *res = s->res;
    const struct sf_coord_slot *known = &res->memory.record;
    const bool there = slot->state == SF_COORD_RECORD_OK &&
                       slot->version.incarnation == known->version.incarnation;
    const bool ours = there && strcmp(slot->nonce, known->nonce) == 0;
    /* The file's word is raised by whole spans: so much was minted at least. */
    const uint64_t last = res->memory.last_word >> res->config.layout.sequence_bits;
    const int64_t minted_ms =
        (int64_t)(last - last % SF_GENERATOR_COPY_SPAN_MS) + res->config.epoch_ms;
    if (ours && slot->version.version == known->version.version) {
        res->bid.record = *slot;
        res->bid.must_read = false;
        return;
    }
    const char *lost = NULL;
    if (slot->state == SF_COORD_RECORD_MISSING)
        lost = "the record that the state file remembers is not there";
    else if (there && slot->version.version < known->version.version)
        lost = "the record is older than the state file remembers";
    else if (there && slot->version.version == known->version.version)
        lost = "the record has another content than the state file remembers";
    else if (there && slot->from_ms != known->from_ms && slot->from_ms <= minted_ms)
        lost = "the record's owner started below what was minted here";
    if (lost != NULL)
        sf_res_lost_at_restart(s, res->config.token, lost);
    sf_res_bid_dropped(s, lost != NULL ? lost : "its record was written by somebody else");
}

static void on_slot(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    const bool on_bid = res->busy_on_bid;
    struct sf_tenure *tenure = on_bid ? &res->bid : &res->hold;
    if (!tenure->active)
        return;
    if (c->outcome != SF_COORD_DONE) {
        if (c->outcome == SF_COORD_REFUSED)
            res->config_stale = true; /* no such datacenter or tree */
        sf_res_failed(s, c);
        return;
    }
    sf_res_progress(s);
    if (on_bid && res->bid_from_memory && tenure->outstanding_count == 0) {
        on_memory_slot(s, &c->slots[0]);
        return;
    }
    static const char foreign[] = "its record was written by somebody else";
    static const char gone[] = "its record is damaged, or was made by hand";
    const enum sf_tenure_view view = sf_tenure_look(s, tenure, &c->slots[0]);
    switch (view) {
    case SF_VIEW_UNCHANGED:
        if (on_bid && !sf_tenure_in_doubt(tenure))
            sf_res_bid_dropped(s, "its write was refused, and the record is as it was");
        return;
    case SF_VIEW_APPLIED:
        res->stats.renewals_ok += !on_bid;
        res->claim_bound = strcmp(tenure->claim, res->claim.name) == 0;
        if (res->claim_bound)
            sf_res_told(res, res->telling_by_bind); /* was it set in this very step? */
        if (on_bid)
            sf_res_bid_won(s);
        else if (sf_generator_is_closed(res->gen) && sf_res_may_open(res))
            sf_res_open(s, tenure->floor_ms);
        return;
    case SF_VIEW_RELEASED:
        sf_res_released(s);
        return;
    case SF_VIEW_ABSENT:
        tenure->absent = true;
        res->config_stale = true;
        if (on_bid)
            sf_res_bid_dropped(s, "its record is not there");
        return;
    case SF_VIEW_LOST:
        sf_res_lost(s, tenure->token, INT64_MAX,
                    "its record has been put back from an older state");
        return;
    case SF_VIEW_FOREIGN:
        if (on_bid)
            sf_res_bid_dropped(s, foreign);
        else
            sf_res_orphan(s, foreign);
        return;
    case SF_VIEW_GONE:
        if (on_bid)
            sf_res_bid_dropped(s, gone);
        else
            sf_res_drop(s, gone);
        return;
    }
}

/* A refused write: the record is looked at next (must_read); what else did it tell? */
static void refused(struct sf_res_step *s, const struct sf_coord_completion *c,
                    const struct sf_tenure *tenure)
{
    struct sf_reservation *res = s->res;
    switch (c->reason) {
    case SF_COORD_VERSION:
        return;
    case SF_COORD_CLAIM_GONE:
        if (strcmp(tenure->sent.claim, res->claim.name) == 0)
            sf_res_give_claim_up(res);
        return;
    case SF_COORD_CONFIG_CHANGED:
    case SF_COORD_CURRENT_GONE:
    case SF_COORD_STATE_CHANGED:
    case SF_COORD_MISSING:
    case SF_COORD_GARBAGE:
        res->config_stale = true;
        return;
    default:
        sf_res_failed(s, c);
    }
}

static void on_write(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    const bool on_bid = res->busy_on_bid;
    struct sf_tenure *tenure = on_bid ? &res->bid : &res->hold;
    if (!tenure->active)
        return;
    bool released = false;
    const bool done = sf_tenure_write_answered(s, tenure, c, &released);
    if (c->op == SF_COORD_RENEW) {
        res->stats.renewals_ok += done;
        res->stats.renewals_uncertain +=
            c->outcome == SF_COORD_UNKNOWN || c->outcome == SF_COORD_LOST;
        res->stats.renewals_lost += c->outcome == SF_COORD_REFUSED;
    }
    if (c->outcome == SF_COORD_REFUSED) {
        refused(s, c, tenure);
        return;
    }
    if (!done) {
        sf_res_failed(s, c);
        return;
    }
    sf_res_wrote(s);
    sf_res_count_claims(s, c);
    if (c->op == SF_COORD_BIND) {
        res->claim_bound = true;
        sf_res_told(res, true);
    }
    if (released)
        sf_res_released(s);
    else if (on_bid)
        sf_res_bid_won(s);
    else if (sf_generator_is_closed(res->gen) && sf_res_may_open(res) && !res->orphan)
        sf_res_open(s, tenure->floor_ms);
}

static void completed(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    const bool answered = c->outcome == SF_COORD_DONE || c->outcome == SF_COORD_REFUSED;
    if (answered && c->reason != SF_COORD_ENDING) {
        res->heard_mono_ms = s->now->mono_ms;
        res->heard_mint_ms = res->busy_submit_mint_ms;
    }
    switch (c->op) {
    case SF_COORD_READ_CONFIG:
        sf_res_config_read(s, c);
        break;
    case SF_COORD_INIT:
        sf_res_config_made(s, c);
        break;
    case SF_COORD_LIST:
        sf_res_listed(s, c);
        break;
    case SF_COORD_PROBE:
        sf_res_probed(s, c);
        break;
    case SF_COORD_FIND:
        sf_res_found(s, c);
        break;
    case SF_COORD_READ_SLOT:
        on_slot(s, c);
        break;
    case SF_COORD_CLAIM:
        on_claim(s, c);
        break;
    case SF_COORD_UNCLAIM:
        on_unclaim(s, c);
        break;
    case SF_COORD_TELL:
        on_tell(s, c);
        break;
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
        on_write(s, c);
        break;
    case SF_COORD_HALT:
        sf_res_halt_answered(s, c);
        break;
    case SF_COORD_WATCH:
        if (c->outcome == SF_COORD_DONE)
            res->watching = true;
        else
            sf_res_failed(s, c);
        break;
    case SF_COORD_SURVEY:
    case SF_COORD_RESET_SLOT:
    case SF_COORD_OPS:
        SF_ASSERT(!"op");
    }
}

void sf_res_on_coord(struct sf_res_step *s, const struct sf_coord_event *event)
{
    struct sf_reservation *res = s->res;
    switch (event->kind) {
    case SF_COORD_COMPLETION:
        if (!res->busy || event->completion.id != res->busy_id)
            return; /* of another machine on the same handle */
        res->busy = false;
        res->patient =
            event->completion.duration_ns >= SF_RES_OP_DEADLINE_MS * SF_NS_PER_MS * 9 / 10;
        completed(s, &event->completion);
        return;
    case SF_COORD_CONNECTED:
        res->connected = true;
        res->config_stale =
            true;        /* whatever was there before may have been made anew, or put back */
        sf_res_wrote(s); /* perhaps */
        /* After an outage everybody comes back at once. */
        if (res->disconnected_mono_ms != 0 && res->hold.active)
            res->retry_at_mono_ms = s->now->mono_ms + (int64_t)sf_prng_below(&res->prng, 200);
        res->disconnected_mono_ms = 0;
        sf_res_why(res, "%s", "");
        return;
    case SF_COORD_DISCONNECTED:
        if (res->connected || res->disconnected_mono_ms == 0)
            res->disconnected_mono_ms = s->now->mono_ms;
        res->connected = false;
        /* A session survives that the coordinator is put back from a copy: content before counters. */
        res->hold.must_read = res->hold.active && !res->orphan;
        if (res->bid.active && (res->bid.outstanding_count > 0 || res->bid_from_memory))
            res->bid.must_read = true;
        sf_res_why(res, "coordinator unreachable: %s", event->text);
        return;
    case SF_COORD_SESSION_LOST:
        res->stats.session_losses += res->claim_status != SF_CLAIM_NONE;
        res->claim_status = SF_CLAIM_NONE;
        res->claim_bound = false;
        res->mark[0] = '\0'; /* what bears it has ended with the session */
        res->claims_doubted = false;
        res->find_due_mono_ms = 0;
        res->stray_count = 0;
        sf_res_log(s, SF_LOG_WARN, "coordinator.session_lost",
                   "%s; a new claim is made, minting goes on", event->text);
        return;
    case SF_COORD_FLEET_CHANGED:
        res->config_stale = true;
        return;
    case SF_COORD_CHANGED: {
        if (sf_res_probes(res))
            return; /* it says of no slot that it is free */
        const bool holds = res->hold.active && !res->orphan;
        const int64_t due = s->now->mono_ms + (int64_t)sf_prng_below(&res->prng, holds ? 1000 : 30);
        /* Of many hints the first counts for a holder: the earliest of many draws would be at once. */
        if (!res->census_due_set || (!holds && due < res->census_due_mono_ms)) {
            res->census_due_set = true;
            res->census_due_mono_ms = due;
        }
        return;
    }
    }
}
