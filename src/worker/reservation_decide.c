/* What to ask the coordinator for next: looked at from scratch after every event. */
#include "worker/reservation_decide.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse.h"
#include "worker/reservation_loss.h"
#include "worker/reservation_moves.h"
#include "worker/reservation_seek.h"
#include "worker/reservation_tell.h"
#include "worker/reservation_tenure.h"

static void ask_list(struct sf_res_step *s)
{
    s->res->census_due_set = false;
    sf_res_request(s, SF_COORD_LIST);
}

/* What shows claims of ours that we do not know of. */
static void ask_claims(struct sf_res_step *s)
{
    if (sf_res_probes(s->res))
        sf_res_ask_find(s);
    else
        ask_list(s);
}

static void ask_claim(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    struct sf_coord_claim_request *claim = &sf_res_request(s, SF_COORD_CLAIM)->u.claim;
    /* Half of it marks all of ours, the other half is fresh for this one. */
    char drawn[SF_HEX128_SIZE];
    const size_t half = sizeof res->mark - 1;
    sf_hex128(s->now->random, drawn);
    if (res->mark[0] == '\0')
        memcpy(res->mark, drawn + half, sizeof res->mark);
    memcpy(claim->guid, res->mark, half);
    memcpy(claim->guid + half, drawn, half);
    sf_res_claim_body(s, SF_COORD_CLAIM, claim);
    s->out->request.count_claims = sf_res_probes(res);
    memset(&res->claim, 0, sizeof res->claim);
    memcpy(res->claim.guid, claim->guid, sizeof claim->guid);
    res->claim.slot = -1;
}

/* Returns true when a claim is at hand; otherwise something was asked for. */
static bool have_claim(struct sf_res_step *s)
{
    switch (s->res->claim_status) {
    case SF_CLAIM_HAVE:
        if (!s->res->unclaim_sent)
            return true;
        /* It may be deleted at any moment: not a claim to hold a slot with. */
        sf_res_give_claim_up(s->res);
        ask_claim(s);
        return false;
    case SF_CLAIM_NONE:
        ask_claim(s);
        return false;
    case SF_CLAIM_DOUBTFUL:
        ask_claims(s); /* its answer shows whether our guid is there */
        return false;
    }
    return false;
}

/* Deletes a claim of ours that is left over. Returns whether it asked for that. */
static bool ask_stray(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (res->stray_count == 0)
        return false;
    memcpy(sf_res_request(s, SF_COORD_UNCLAIM)->u.claim_name, res->strays[res->stray_count - 1],
           sizeof res->strays[0]);
    res->busy_on_stray = true;
    return true;
}

static void ask_unclaim(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    memcpy(sf_res_request(s, SF_COORD_UNCLAIM)->u.claim_name, res->claim.name,
           sizeof res->claim.name);
    res->unclaim_sent = true;
}

static void ask_slot(struct sf_res_step *s, struct sf_tenure *tenure)
{
    sf_res_request(s, SF_COORD_READ_SLOT)->u.worker = tenure->worker;
    s->res->busy_on_bid = tenure == &s->res->bid;
}

/* Is there room to remember one more write? If not, the slot is given up: what was granted stays
 * ours to spend. */
static bool room_for_write(struct sf_res_step *s, struct sf_tenure *tenure)
{
    if (sf_tenure_has_room(tenure))
        return true;
    if (tenure == &s->res->bid)
        sf_res_bid_dropped(s, "too many writes without an answer");
    else
        sf_res_orphan(s, "too many writes without an answer");
    return false;
}

static bool renewal_due(const struct sf_res_step *s, int64_t *ret_target_ms)
{
    const struct sf_reservation *res = s->res;
    const int64_t window_ms = sf_reservation_window_ms(res);
    const int64_t granted_ms = sf_tenure_granted_ms(&res->hold);
    const int64_t left_ms = granted_ms - s->now->mint_ms;
    const int64_t target_ms = sf_tenure_target_ms(s, &res->hold);
    if (target_ms < 0)
        return false;
    *ret_target_ms = target_ms;
    if (sf_generator_is_closed(res->gen))
        return true;
    if (res->hold.outstanding_count > 0)
        return true; /* only a write that is answered settles those that were not */
    if (left_ms > window_ms + window_ms / 2)
        return target_ms > sf_res_last_ms(res) + 1; /* too long for a crowded datacenter: shrink */
    return left_ms <= window_ms - sf_reservation_renew_after_ms(res) &&
           target_ms >= granted_ms + window_ms / 20;
}

static void ask_watch(struct sf_res_step *s)
{
    sf_res_request(s, SF_COORD_WATCH)->u.fleet_only = sf_res_probes(s->res);
}

/* Minting ends where nothing is heard: something is asked for in time. */
static bool silent_for_long(const struct sf_res_step *s)
{
    const struct sf_reservation *res = s->res;
    return res->params.max_silence_ms > 0 &&
           s->now->mono_ms - res->heard_mono_ms >= res->params.max_silence_ms / 3;
}

static void decide_hold(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    struct sf_tenure *hold = &res->hold;
    int64_t target_ms = 0;
    if (hold->must_read) {
        ask_slot(s, hold);
        return;
    }
    const bool rebind = strcmp(res->claim.name, hold->claim) != 0 || !res->claim_bound;
    if (rebind) {
        target_ms = sf_tenure_target_ms(s, hold);
        /* The clock forbids more: keep what there is, under the new claim. */
        if (target_ms < sf_tenure_granted_ms(hold))
            target_ms = sf_tenure_granted_ms(hold);
        if (room_for_write(s, hold))
            sf_tenure_write(s, SF_COORD_BIND, hold, target_ms);
        return;
    }
    if (renewal_due(s, &target_ms)) {
        if (room_for_write(s, hold))
            sf_tenure_write(s, SF_COORD_RENEW, hold, target_ms);
        return;
    }
    if (sf_res_tell(s, false) || ask_stray(s))
        return;
    if (!res->watching) {
        ask_watch(s);
        return;
    }
    if (sf_res_probes(res)) {
        if (!sf_res_ask_about_others(s) && silent_for_long(s))
            ask_slot(s, hold);
        return;
    }
    const bool stale = res->census.read_mono_ms < 0 ||
                       s->now->mono_ms - res->census.read_mono_ms >= SF_RES_CENSUS_MS ||
                       silent_for_long(s);
    if (stale || (res->census_due_set && s->now->mono_ms >= res->census_due_mono_ms))
        ask_list(s);
}

/* The state file remembers a slot: try to continue it. */
static void bid_from_memory(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    struct sf_reservation_memory *memory = &res->memory;
    if (!memory->valid)
        return;
    const bool ours =
        strcmp(memory->fleet_id, res->config.fleet_id) == 0 &&
        memory->datacenter == res->params.datacenter &&
        memory->worker <= sf_layout_max_worker(&res->config.layout) &&
        (res->params.pinned_worker < 0 || memory->worker == (uint64_t)res->params.pinned_worker);
    memset(&res->bid, 0, sizeof res->bid);
    res->bid.worker = memory->worker;
    res->bid_from_memory = true;
    if (!ours) {
        sf_res_bid_dropped(s, "it was written for another fleet, datacenter or slot");
        return;
    }
    res->bid.active = true;
    res->bid.must_read = true;
    memcpy(res->bid.token, memory->token, sizeof res->bid.token);
    res->bid.record = memory->record;
    res->bid.from_ms = memory->record.from_ms;
    res->bid.floor_ms =
        res->least_start_ms > res->config.floor_ms ? res->least_start_ms : res->config.floor_ms;
}

static void decide_bid(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (res->bid.must_read) {
        ask_slot(s, &res->bid);
        return;
    }
    const int64_t target_ms = sf_tenure_target_ms(s, &res->bid);
    if (target_ms < 0) {
        sf_res_why(res, "the clock is ahead of the coordinator's by more than a window");
        sf_res_log(s, SF_LOG_WARN, "reservation.clock", "no reservation is made: %s", res->why);
        if (res->bid.outstanding_count == 0)
            sf_res_bid_dropped(s, res->why);
        res->retry_at_mono_ms = s->now->mono_ms + SF_RES_WAIT_LIST_MS;
        return;
    }
    if (!room_for_write(s, &res->bid))
        return;
    /* Where a process dies between opening the slot and saving that, the file must not claim the
     * word, which has gone on, for the tenure that it named before. */
    s->out->forget = true;
    sf_tenure_write(s, SF_COORD_BIND, &res->bid, target_ms);
}

/* Going on would mint below what this worker has given out before. */
static bool clock_is_behind(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const int64_t behind_ms = res->least_start_ms - s->now->mint_ms;
    if (behind_ms <= res->params.max_behind_ms)
        return false;
    char behind[SF_DURATION_TEXT_MAX];
    sf_res_why(res, "the clock is %s behind the last ID minted here before the restart",
               sf_format_duration_ms(behind_ms, behind, sizeof behind));
    res->retry_at_mono_ms = s->now->mono_ms + SF_RES_WAIT_LIST_MS;
    return true;
}

static void decide_quest(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!res->minted_once && clock_is_behind(s))
        return;
    if (!res->bid.active)
        bid_from_memory(s);
    if (res->bid.active) {
        decide_bid(s);
        return;
    }
    if (sf_res_tell(s, false) || ask_stray(s))
        return;
    if (res->census_due_set && !res->watching) {
        /* It has to wait: be told when a slot comes free, and look again once that is arranged. */
        ask_watch(s);
        if (!sf_res_probes(res))
            res->census_due_mono_ms = s->now->mono_ms;
        return;
    }
    if (sf_res_probes(res) && sf_res_ask_about_others(s))
        return;
    if (res->census_due_set && s->now->mono_ms < res->census_due_mono_ms)
        return;
    if (sf_res_probes(res))
        sf_res_ask_probe(s);
    else
        ask_list(s);
}

/* Nothing is granted: the fleet is looked at again when it changes, and every now and then. */
static void decide_idle(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    /* Where only another fleet helps, nobody is in a hurry. */
    const int64_t due_mono_ms = res->fleet_due_mono_ms + (res->exhausted ? SF_RES_CENSUS_MS : 0);
    if (!res->watching && res->state_version.incarnation != 0)
        ask_watch(s);
    else if (s->now->mono_ms >= due_mono_ms)
        sf_res_request(s, SF_COORD_READ_CONFIG);
}

/* Tells how it stands. Only what is written carries the coordinator's time everywhere: where nobody
 * else can say that the clock is right again, it is told again and again. */
static bool tell_or_probe(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const bool probes =
        res->suspended && s->now->wants_server_time && s->now->mono_ms >= res->probe_mono_ms;
    if (!sf_res_tell(s, probes))
        return false;
    if (probes)
        res->probe_mono_ms = s->now->mono_ms + SF_RES_PROBE_MS +
                             (int64_t)sf_prng_below(&res->prng, SF_RES_PROBE_MS / 4);
    return true;
}

/* No slot is held, and none could be used: others see that by a claim that is in nobody's way. */
static void decide_empty_handed(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const bool stale = sf_res_probes(res)
                           ? sf_res_find_is_due(s)
                           : s->now->mono_ms - res->census.read_mono_ms >= SF_RES_CENSUS_MS;
    if (res->claim_status == SF_CLAIM_HAVE && res->unclaim_sent)
        sf_res_give_claim_up(res); /* it may be gone at any moment */
    if (tell_or_probe(s))
        return;
    if (res->claim_status != SF_CLAIM_DOUBTFUL && ask_stray(s))
        return;
    const bool has = res->claim_status == SF_CLAIM_HAVE;
    if (!sf_res_grants(res) || (res->exhausted && has)) {
        decide_idle(s);
        return;
    }
    if (res->claim_status == SF_CLAIM_DOUBTFUL ||
        stale) { /* one may have been made twice, or late */
        ask_claims(s);
        return;
    }
    if (!has)
        ask_claim(s);
}

/* Gives the slot back, then the claim. */
static void decide_leave(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (res->bid.active) {
        const bool may_be_ours = res->bid.outstanding_count > 0;
        if (may_be_ours && (!res->hold.active || res->orphan)) {
            res->hold = res->bid; /* a release at its floor kills what is still under way */
            res->orphan = false;
            res->memory.valid = false; /* it may yet be opened, and then the word moves on */
        }
        res->bid.active = false;
        res->bid_from_memory = false;
    }
    if (res->orphan) {
        res->hold.active = false;
        res->orphan = false;
    }
    if (!res->hold.active) {
        if (!res->leaving) /* the session's end takes the claims of who leaves */
            decide_empty_handed(s);
        return;
    }
    if (res->hold.must_read) {
        ask_slot(s, &res->hold); /* it may be given back already, and its claim with it */
        return;
    }
    if (!sf_res_grants(res) && (res->claim_status == SF_CLAIM_NONE || res->unclaim_sent)) {
        decide_idle(s);
        return;
    }
    if (have_claim(s) && sf_tenure_has_room(&res->hold))
        sf_tenure_write(s, SF_COORD_RELEASE, &res->hold, 0);
}

void sf_res_decide(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (res->busy || !res->connected || res->state == SF_WORKER_STOPPED || s->out->finished)
        return;
    if (s->now->mono_ms < res->retry_at_mono_ms)
        return;
    /* Whoever only spends goes on looking what becomes of the fleet. */
    if (res->doomed && !res->leaving) {
        if (res->config_stale || s->now->mono_ms >= res->fleet_due_mono_ms)
            sf_res_request(s, SF_COORD_READ_CONFIG);
        else
            (void)sf_res_halt_ask(s);
        return;
    }
    /* Who leaves needs no config to give back what it holds. */
    if (res->config_stale && (!res->leaving || res->hold.absent || res->notice.due)) {
        sf_res_request(s, SF_COORD_READ_CONFIG);
        return;
    }
    if (!res->config_known) {
        if (!res->leaving)
            sf_res_request(s, SF_COORD_READ_CONFIG);
        return;
    }
    if (sf_res_halt_ask(s))
        return;
    if (!sf_res_may_open(res)) {
        decide_leave(s);
        return;
    }
    if (!sf_res_grants(res)) {
        if (!sf_res_tell(s, false))
            decide_idle(s);
        return;
    }
    /* Who could not use a slot has not waited for one: behind all who have. */
    if (sf_res_claim_is_idle(res)) {
        ask_unclaim(s);
        return;
    }
    if (!have_claim(s))
        return;
    if (res->hold.active && !res->orphan)
        decide_hold(s);
    else
        decide_quest(s);
}
