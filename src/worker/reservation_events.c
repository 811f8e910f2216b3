/* What the coordinator's answers and notices change. */
#include "worker/reservation_events.h"

#include <string.h>

#include "base/assert.h"
#include "worker/reservation_config.h"
#include "worker/reservation_list.h"
#include "worker/reservation_moves.h"
#include "worker/reservation_tenure.h"

static void on_claim(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    switch (c->outcome) {
    case SF_COORD_DONE:
        SF_ASSERT(c->claim_count == 1);
        res->claim = c->claims[0];
        res->claim_status = SF_CLAIM_HAVE;
        res->claim_bound = false;
        res->unclaim_sent = false;
        if (res->waiting_since_mono_ms == 0)
            res->waiting_since_mono_ms = s->now->mono_ms;
        sf_res_progress(s);
        return;
    case SF_COORD_UNKNOWN:
        res->claim_status = SF_CLAIM_DOUBTFUL;
        res->stats.claims_failed++;
        break;
    case SF_COORD_REFUSED:
        res->stats.claims_failed++;
        if (c->reason == SF_COORD_MISSING)
            res->config_stale = true;
        break;
    case SF_COORD_LOST:
        res->stats.claims_failed++;
        break;
    }
    sf_res_failed(s, c);
}

static void on_unclaim(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    if (s->res->busy_on_stray && c->outcome == SF_COORD_DONE) {
        s->res->stray_name[0] = '\0';
        sf_res_progress(s);
    } else if (c->outcome == SF_COORD_DONE) {
        s->res->claim_status = SF_CLAIM_NONE;
        sf_res_progress(s);
    } else {
        sf_res_failed(s, c);
    }
}

static void on_slot(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    const bool on_bid = res->busy_on_bid;
    struct sf_tenure *tenure = on_bid ? &res->bid : &res->hold;
    if (!tenure->active)
        return;
    if (c->outcome != SF_COORD_DONE &&
        !(c->outcome == SF_COORD_REFUSED &&
          (c->reason == SF_COORD_MISSING || c->reason == SF_COORD_GARBAGE))) {
        sf_res_failed(s, c);
        return;
    }
    static const struct sf_coord_slot missing = {.state = SF_COORD_RECORD_MISSING};
    const enum sf_tenure_view view =
        sf_tenure_look(s, tenure, c->outcome == SF_COORD_DONE ? &c->slots[0] : &missing);
    const char *because = view == SF_VIEW_GONE ? "its record is missing, damaged or was made again"
                                               : "its record was written by somebody else";
    switch (view) {
    case SF_VIEW_UNCHANGED:
        break;
    case SF_VIEW_APPLIED:
        res->stats.renewals_ok += !on_bid;
        res->claim_bound = strcmp(tenure->claim, res->claim.name) == 0;
        if (on_bid)
            sf_res_bid_won(s);
        break;
    case SF_VIEW_RELEASED:
        sf_res_released(s);
        break;
    case SF_VIEW_OLDER:
        if (on_bid) {
            sf_res_bid_dropped(s, "its record is older than the one we knew");
        } else if (++tenure->regressions >= SF_RES_REGRESS_MAX) {
            sf_res_drop(s, "the coordinator has lost writes that it had acknowledged (restored "
                           "from a backup?); "
                           "run `snowfleet init --after-data-loss`");
        }
        sf_res_backoff(s);
        if (res->retry_at_mono_ms < s->now->mono_ms + 1000)
            res->retry_at_mono_ms = s->now->mono_ms + 1000;
        return;
    case SF_VIEW_FOREIGN:
    case SF_VIEW_GONE:
        if (on_bid)
            sf_res_bid_dropped(s, because);
        else if (view == SF_VIEW_GONE)
            sf_res_drop(s, because);
        else
            sf_res_orphan(s, because);
        break;
    }
    sf_res_progress(s);
}

/* A refused write: which condition did not hold? */
static void refused(struct sf_res_step *s, const struct sf_coord_completion *c,
                    struct sf_tenure *tenure)
{
    struct sf_reservation *res = s->res;
    const bool on_bid = tenure == &res->bid;
    switch (c->reason) {
    case SF_COORD_VERSION:
        if (on_bid && tenure->outstanding_count == 0)
            sf_res_bid_dropped(s, "somebody was faster");
        return; /* must_read is set */
    case SF_COORD_CLAIM_GONE:
        res->claim_status = SF_CLAIM_NONE;
        return;
    case SF_COORD_CONFIG_CHANGED:
        res->config_stale = true;
        return;
    case SF_COORD_MISSING:
    case SF_COORD_GARBAGE:
        res->config_stale = true;
        if (on_bid)
            sf_res_bid_dropped(s, c->text[0] != '\0' ? c->text : "its record is missing");
        else
            sf_res_drop(s, "the slot's record or the fleet's config is gone from the coordinator");
        sf_res_backoff(s);
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
    sf_res_progress(s);
    if (c->op == SF_COORD_BIND)
        res->claim_bound = true;
    if (released)
        sf_res_released(s);
    else if (on_bid)
        sf_res_bid_won(s);
    else if (sf_generator_is_closed(res->gen) && !res->leaving && !res->suspended && !res->orphan)
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
    case SF_COORD_READ_SLOT:
        on_slot(s, c);
        break;
    case SF_COORD_CLAIM:
        on_claim(s, c);
        break;
    case SF_COORD_UNCLAIM:
        on_unclaim(s, c);
        break;
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
        on_write(s, c);
        break;
    case SF_COORD_WATCH:
        if (c->outcome == SF_COORD_DONE)
            res->watching = true;
        else
            sf_res_failed(s, c);
        break;
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
        completed(s, &event->completion);
        return;
    case SF_COORD_CONNECTED:
        res->connected = true;
        sf_res_progress(s);
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
        sf_res_why(res, "coordinator unreachable: %s", event->text);
        return;
    case SF_COORD_SESSION_LOST:
        res->stats.session_losses += res->claim_status != SF_CLAIM_NONE;
        res->claim_status = SF_CLAIM_NONE;
        res->claim_bound = false;
        sf_res_log(s, SF_LOG_WARN, "coordinator.session_lost",
                   "%s; a new claim is made, minting goes on", event->text);
        return;
    case SF_COORD_CHANGED: {
        const bool holds = res->hold.active && !res->orphan;
        const int64_t due = s->now->mono_ms + (int64_t)sf_prng_below(&res->prng, holds ? 1000 : 30);
        if (!res->census_due_set || due < res->census_due_mono_ms) {
            res->census_due_set = true;
            res->census_due_mono_ms = due;
        }
        return;
    }
    }
}
