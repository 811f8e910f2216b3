/* What the coordinator's answers change. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "worker/reservation_internal.h"

static bool same_layout(const struct sf_layout *a, const struct sf_layout *b)
{
    return a->timestamp_bits == b->timestamp_bits && a->datacenter_bits == b->datacenter_bits &&
           a->worker_bits == b->worker_bits && a->sequence_bits == b->sequence_bits;
}

/* Does the fleet fit what this worker was told, and its own numbers? Writes the first difference.
 */
static bool config_fits(const struct sf_reservation *res, const struct sf_coord_config *config,
                        char *why, size_t size)
{
    const struct sf_reservation_params *params = &res->params;
    char theirs[SF_LAYOUT_TEXT_MAX], ours[SF_LAYOUT_TEXT_MAX];
    if (params->expect_fleet_id[0] && strcmp(params->expect_fleet_id, config->fleet_id) != 0) {
        snprintf(why, size, "fleet id: the coordinator has %s, this worker was told %s",
                 config->fleet_id, params->expect_fleet_id);
    } else if (params->expect_epoch && params->epoch_ms != config->epoch_ms) {
        snprintf(why, size, "epoch_ms: the coordinator has %lld, this worker was told %lld",
                 (long long)config->epoch_ms, (long long)params->epoch_ms);
    } else if (params->expect_layout && !same_layout(&params->layout, &config->layout)) {
        snprintf(why, size, "layout: the coordinator has %s, this worker was told %s",
                 sf_layout_format(&config->layout, theirs),
                 sf_layout_format(&params->layout, ours));
    } else if (params->datacenter > sf_layout_max_datacenter(&config->layout)) {
        snprintf(why, size, "fleet.datacenter %llu: the fleet's layout %s allows 0 to %llu",
                 (unsigned long long)params->datacenter, sf_layout_format(&config->layout, theirs),
                 (unsigned long long)sf_layout_max_datacenter(&config->layout));
    } else if (params->pinned_worker >= 0 &&
               (uint64_t)params->pinned_worker > sf_layout_max_worker(&config->layout)) {
        snprintf(why, size, "fleet.worker %lld: the fleet's layout %s allows 0 to %llu",
                 (long long)params->pinned_worker, sf_layout_format(&config->layout, theirs),
                 (unsigned long long)sf_layout_max_worker(&config->layout));
    } else {
        bool listed = config->any_datacenter;
        for (unsigned i = 0; i < config->datacenter_count && !listed; i++)
            listed = config->datacenters[i] == params->datacenter;
        if (listed)
            return true;
        snprintf(why, size,
                 "fleet.datacenter %llu is not among the datacenters of the fleet's config",
                 (unsigned long long)params->datacenter);
    }
    return false;
}

/* A config that differs from the one we mint under. */
static bool config_moved(struct sf_res_step *s, const struct sf_coord_config *config)
{
    struct sf_reservation *res = s->res;
    char theirs[SF_LAYOUT_TEXT_MAX], ours[SF_LAYOUT_TEXT_MAX], why[SF_COORD_TEXT_MAX] = "";
    if (strcmp(config->fleet_id, res->config.fleet_id) != 0) {
        sf_res_drop(s, "the coordinator holds another fleet");
        sf_res_fatal(s, 78, "fleet id: the coordinator has %s, our reservations are from %s",
                     config->fleet_id, res->config.fleet_id);
        return true;
    }
    if (config->epoch_ms != res->config.epoch_ms)
        snprintf(why, sizeof why, "epoch_ms: the coordinator has %lld, this worker mints with %lld",
                 (long long)config->epoch_ms, (long long)res->config.epoch_ms);
    else if (!same_layout(&config->layout, &res->config.layout))
        snprintf(why, sizeof why, "layout: the coordinator has %s, this worker mints with %s",
                 sf_layout_format(&config->layout, theirs),
                 sf_layout_format(&res->config.layout, ours));
    if (!why[0] && config_fits(res, config, why, sizeof why))
        return false;
    res->doomed = true;
    sf_res_why(res, "%s", why);
    sf_res_log(s, SF_LOG_ERROR, "config.changed",
               "%s; minting ends with the reservation (%lld ms left), then the worker exits 78",
               why, (long long)sf_reservation_left_ms(res, s->now->mint_ms));
    return true;
}

static void config_learned(struct sf_res_step *s, const struct sf_coord_config *config)
{
    struct sf_reservation *res = s->res;
    char why[SF_COORD_TEXT_MAX];
    if (res->config_known) {
        res->config_stale = false;
        if (config_moved(s, config))
            return;
        res->config = *config;
        sf_res_progress(s);
        return;
    }
    if (!config_fits(res, config, why, sizeof why)) {
        sf_res_fatal(s, 78, "%s; set the option, or point this worker at its own fleet", why);
        return;
    }
    res->config = *config;
    res->config_known = true;
    res->config_stale = false;
    if (!res->memory.valid)
        atomic_store(res->word, SF_GENERATOR_CLOSED);
    sf_generator_init(res->gen, &config->layout, res->max_ahead_ms, res->word);
    res->generator_ready = true;
    res->state = SF_WORKER_CLAIMING;
    char layout[SF_LAYOUT_TEXT_MAX];
    sf_res_log(s, SF_LOG_INFO, "fleet.config", "fleet %s, epoch %" PRId64 " ms, layout %s",
               config->fleet_id, config->epoch_ms, sf_layout_format(&config->layout, layout));
    sf_res_progress(s);
}

static void config_missing(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (res->config_known) {
        sf_res_drop(s, "the fleet's config is gone from the coordinator");
        sf_res_backoff(s);
        return;
    }
    if (res->params.auto_init) {
        struct sf_coord_init *init = &sf_res_request(s, SF_COORD_INIT)->u.init;
        init->config = res->params.init_config;
        return;
    }
    sf_res_why(res, "the fleet has no config: run `snowfleet init` (%s)", c->text);
    sf_res_log(s, SF_LOG_WARN, "fleet.missing", "%s", res->why);
    sf_res_backoff(s);
}

/* A failure that says nothing about the slot: wait and try again. */
static void failed(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    sf_res_why(s->res, "%s: %s%s%s", sf_coord_op_name(c->op), sf_coord_reason_name(c->reason),
               c->text[0] ? ": " : "", c->text);
    sf_res_log(s, c->reason == SF_COORD_ENDING ? SF_LOG_DEBUG : SF_LOG_WARN, "coordinator.failed",
               "%s %s: %s", sf_coord_op_name(c->op), sf_coord_outcome_name(c->outcome),
               c->text[0] ? c->text : sf_coord_reason_name(c->reason));
    sf_res_backoff(s);
}

static void on_config(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    if (c->outcome == SF_COORD_DONE)
        config_learned(s, c->config);
    else if (c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_MISSING)
        config_missing(s, c);
    else
        failed(s, c);
}

static void on_init(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    /* Whatever happened, the config that is there now is the fleet's: read it. */
    if (c->outcome == SF_COORD_DONE)
        sf_res_log(s, SF_LOG_INFO, "fleet.created", "made the fleet's config");
    else if (!(c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_EXISTS))
        failed(s, c);
}

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
        if (!res->waiting_since_mono_ms)
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
    failed(s, c);
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
        failed(s, c);
    }
}

void sf_res_give_claim_up(struct sf_reservation *res)
{
    memcpy(res->strays[res->stray_next++ % SF_RES_STRAYS_MAX], res->claim.guid,
           sizeof res->claim.guid);
    res->claim_status = SF_CLAIM_NONE;
    res->claim_bound = false;
    res->unclaim_sent = false;
}

/* A claim whose making was not answered: is it there? */
static void settle_claim(struct sf_reservation *res, const struct sf_coord_completion *c)
{
    if (res->claim_status != SF_CLAIM_DOUBTFUL)
        return;
    res->claim_status =
        SF_CLAIM_NONE; /* one that appears later waits in the list until our session ends */
    for (size_t i = 0; i < c->claim_count; i++) {
        if (strcmp(c->claims[i].guid, res->claim.guid) != 0)
            continue;
        res->claim = c->claims[i];
        res->claim_status = SF_CLAIM_HAVE;
        res->claim_bound = false;
        res->unclaim_sent = false;
        return;
    }
    sf_res_give_claim_up(res); /* it may still appear: the create may be applied late */
}

static void find_strays(struct sf_reservation *res, const struct sf_coord_completion *c)
{
    for (size_t i = 0; i < c->claim_count; i++)
        for (unsigned k = 0; k < SF_RES_STRAYS_MAX; k++)
            if (res->strays[k][0] && strcmp(res->strays[k], c->claims[i].guid) == 0)
                memcpy(res->stray_name, c->claims[i].name, sizeof res->stray_name);
}

static void no_free_slot(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const struct sf_census *census = &res->census;
    res->stats.bids_full++;
    int64_t wait_ms = SF_RES_WAIT_LIST_MS;
    const enum sf_worker_state before = res->state;
    if (census->quarantined > 0) {
        res->state = SF_WORKER_QUARANTINED;
        const int64_t until_ms = census->earliest_free_ms - s->now->mint_ms;
        sf_res_why(res,
                   "no free slot in datacenter %llu: %u held, %u quarantined, the first comes free "
                   "in %lld ms",
                   (unsigned long long)res->params.datacenter, census->held, census->quarantined,
                   (long long)until_ms);
        if (until_ms > SF_RES_FAR_FUTURE_MS)
            sf_res_log(s, SF_LOG_ERROR, "slot.poisoned",
                       "a slot of datacenter %llu is reserved for %lld ms from now: a worker with "
                       "a wrong clock wrote "
                       "that; see RUNBOOK.md, poisoned slot",
                       (unsigned long long)res->params.datacenter, (long long)until_ms);
        if (until_ms < wait_ms)
            wait_ms = until_ms > 0 ? until_ms : 1;
    } else {
        res->state = SF_WORKER_CLAIMING;
        sf_res_why(res, "the fleet is full: all %u slots of datacenter %llu are held%s",
                   census->held, (unsigned long long)res->params.datacenter,
                   census->broken ? ", and others have no usable record" : "");
    }
    if (before != res->state || res->census.read_mono_ms < 0)
        sf_res_log(s, SF_LOG_WARN, "slot.waiting", "%s", res->why);
    res->census_due_set = true;
    res->census_due_mono_ms =
        s->now->mono_ms + wait_ms + (int64_t)sf_prng_below(&res->prng, (uint64_t)wait_ms / 4 + 1);
}

static void choose(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (res->config.floor_ms > s->now->mint_ms) {
        res->state = SF_WORKER_QUARANTINED;
        sf_res_why(res, "the fleet mints nothing before its floor, %lld ms from now",
                   (long long)(res->config.floor_ms - s->now->mint_ms));
        res->census_due_set = true;
        res->census_due_mono_ms = s->now->mono_ms + SF_RES_WAIT_LIST_MS;
        return;
    }
    const bool patient = s->now->mono_ms - res->waiting_since_mono_ms < SF_RES_WAIT_LIST_MS;
    const int index =
        sf_choose_slot(c->slots, c->slot_count, c->claims, c->claim_count, &res->claim,
                       res->params.pinned_worker, s->now->mint_ms, patient, &res->prng);
    if (index < 0 && res->census.free > 0 && res->params.pinned_worker < 0) {
        /* Others are before us in the queue; look again soon. */
        res->census_due_set = true;
        res->census_due_mono_ms = s->now->mono_ms + 20 + (int64_t)sf_prng_below(&res->prng, 60);
        return;
    }
    if (index < 0) {
        no_free_slot(s);
        return;
    }
    const struct sf_coord_slot *slot = &c->slots[index];
    memset(&res->bid, 0, sizeof res->bid);
    res->bid.active = true;
    res->bid.worker = slot->worker;
    res->bid.version = slot->version;
    res->bid.floor_ms = slot->reserved_until_ms > res->config.floor_ms ? slot->reserved_until_ms
                                                                       : res->config.floor_ms;
}

static void on_list(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (c->outcome != SF_COORD_DONE) {
        if (c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_MISSING)
            res->config_stale = true;
        failed(s, c);
        return;
    }
    sf_census_take(c->slots, c->slot_count, c->claims, c->claim_count, s->now->mint_ms,
                   &res->census);
    res->census.read_mono_ms = s->now->mono_ms;
    settle_claim(res, c);
    find_strays(res, c);
    sf_res_progress(s);
    const bool seeking = !res->hold.active || res->orphan;
    if (seeking && !res->bid.active && res->claim_status == SF_CLAIM_HAVE && !res->leaving &&
        !res->suspended)
        choose(s, c);
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
        failed(s, c);
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
            sf_res_bid_dropped(s, c->text[0] ? c->text : "its record is missing");
        else
            sf_res_drop(s, "the slot's record or the fleet's config is gone from the coordinator");
        sf_res_backoff(s);
        return;
    default:
        failed(s, c);
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
        failed(s, c);
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

void sf_res_completed(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    const bool answered = c->outcome == SF_COORD_DONE || c->outcome == SF_COORD_REFUSED;
    if (answered && c->reason != SF_COORD_ENDING) {
        res->heard_mono_ms = s->now->mono_ms;
        res->heard_mint_ms = res->busy_submit_mint_ms;
    }
    switch (c->op) {
    case SF_COORD_READ_CONFIG:
        on_config(s, c);
        break;
    case SF_COORD_INIT:
        on_init(s, c);
        break;
    case SF_COORD_LIST:
        on_list(s, c);
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
            failed(s, c);
        break;
    case SF_COORD_OPS:
        SF_ASSERT(!"op");
    }
}
