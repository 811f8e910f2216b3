/* How slots and claims come and go. */
#include "worker/reservation_moves.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "worker/reservation_tenure.h"

void sf_res_released(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    sf_res_log(s, SF_LOG_INFO, "slot.released",
               "slot %" PRIu64 "/%" PRIu64 " given back, reserved until %" PRId64,
               res->params.datacenter, res->hold.worker, res->hold.acked_ms);
    res->stats.releases++;
    res->hold.active = false;
    res->orphan = false;
    if (strcmp(res->hold.claim, res->claim.name) == 0)
        sf_res_give_claim_up(res); /* deleted in the same step: until an older state is put back */
    res->waiting_since_mono_ms = s->now->mono_ms;
    s->out->forget = true;
    sf_res_progress(s);
}

void sf_res_spend(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    struct sf_tenure *hold = &res->hold;
    if (!res->generator_ready || sf_generator_is_closed(res->gen) || sf_tenure_release_sent(hold)) {
        hold->active =
            false; /* nothing can be spent: closed, and who opens again must have a word */
        sf_res_close(s, "the slot that was closed is not ours any more");
    } else {
        hold->acked_ms = sf_tenure_granted_ms(hold);
        hold->outstanding_count = 0; /* whatever becomes of them, the limit does not rise again */
        hold->must_read = false;
    }
    res->orphan = hold->active;
    res->waiting_since_mono_ms = s->now->mono_ms;
    s->out->forget = true;
}

void sf_res_orphan(struct sf_res_step *s, const char *because)
{
    struct sf_reservation *res = s->res;
    res->stats.slots_lost++;
    sf_res_spend(s);
    sf_res_log(s, SF_LOG_WARN, "slot.lost",
               "slot %" PRIu64 "/%" PRIu64 " belongs to somebody else now (%s); %" PRId64
               " ms of its reservation were "
               "acknowledged to us and "
               "are still used while another slot is claimed",
               res->params.datacenter, res->hold.worker, because,
               sf_reservation_left_ms(res, s->now->mint_ms));
}

void sf_res_drop(struct sf_res_step *s, const char *because)
{
    struct sf_reservation *res = s->res;
    if (!res->hold.active)
        return;
    sf_res_close(s, "%s", because);
    res->hold.active = false;
    res->orphan = false;
    res->waiting_since_mono_ms = s->now->mono_ms;
    s->out->forget = true;
    sf_res_why(res, "%s", because);
    sf_res_log(s, SF_LOG_ERROR, "slot.gone", "stopped minting at once: %s", because);
}

void sf_res_bid_dropped(struct sf_res_step *s, const char *because)
{
    struct sf_reservation *res = s->res;
    sf_res_log(s, SF_LOG_DEBUG, "bid.dropped", "slot %" PRIu64 "/%" PRIu64 " not taken: %s",
               res->params.datacenter, res->bid.worker, because);
    res->bid.active = false;
    res->stats.bids_lost++;
    if (res->bid_from_memory) {
        res->bid_from_memory = false;
        res->memory.valid = false;
        s->out->forget = true; /* before its word begins anew with another slot */
        /* A stranger's counter: nobody has minted through it in this process. */
        SF_ASSERT(!res->minted_once);
        atomic_store(res->word, SF_GENERATOR_CLOSED);
        sf_res_log(s, SF_LOG_INFO, "restart.forgotten",
                   "the state file does not continue our slot: %s", because);
    }
    sf_res_look_in(s, (int64_t)sf_prng_below(&res->prng, 30));
}

void sf_res_bid_won(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!sf_generator_is_closed(res->gen))
        sf_res_close(s, "moving to another slot");
    int64_t start_ms = res->bid.floor_ms;
    /* IDs of this process go on ascending, whatever the new slot's number is. */
    if (res->minted_once && start_ms < sf_res_last_ms(res) + 1)
        start_ms = sf_res_last_ms(res) + 1;
    res->bid.floor_ms = start_ms;
    res->hold = res->bid;
    res->bid.active = false;
    res->bid_from_memory = false;
    res->memory.valid = false;
    res->orphan = false;
    res->stats.bids_won++;
    res->waiting_told = false;
    /* The list that showed the slot as free is out of date now. */
    sf_res_look_in(s, 50 + (int64_t)sf_prng_below(&res->prng, 500));
    s->out->save = true;
    if (!sf_res_may_open(res))
        return; /* it is given back next */
    sf_res_open(s, start_ms);
    char from[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX];
    sf_res_log(
        s, SF_LOG_INFO, "slot.claimed",
        "slot %" PRIu64 "/%" PRIu64 " under claim %s, fence %" PRIu64 ", from %s, reserved for %s",
        res->params.datacenter, res->hold.worker, res->hold.claim, res->hold.fence,
        sf_format_time_ms(start_ms, from, sizeof from),
        sf_format_duration_ms(sf_reservation_left_ms(res, s->now->mint_ms), left, sizeof left));
}

void sf_res_give_claim_up(struct sf_reservation *res)
{
    res->claim_status = SF_CLAIM_NONE;
    res->claim_bound = false;
    res->unclaim_sent = false;
}
