/* Minters: demand that does not come from the simulated clients, and threads that lose the
 * processor at the worst places. */
#include "fleet.h"

#define JUMP_MS 60000 /* how far a minter's clock may have jumped */

uint64_t sim_since_epoch_ms(const struct sim_world *w, const struct sim_host *h)
{
    const int64_t ms = sim_mint_ms(w, h) - SF_DEFAULT_EPOCH_MS;
    return ms > 0 ? (uint64_t)ms : 0;
}

bool sim_knows_time(const struct sim_world *w, const struct sim_host *h)
{
    return !w->wild && h->has_ntp && w->now_ns > h->sources_bad_until_ns + S;
}

void sim_mint_end(struct sim_world *w, unsigned index, unsigned k, uint64_t now_ms, bool knew)
{
    struct sim_hold *hold = &w->hosts[index].holds[k];
    struct sf_mint mint;
    if (!hold->res.generator_ready)
        return;
    const uint64_t size = UINT64_C(1) << hold->gen.layout.sequence_bits;
    const uint64_t jitter = sim_below(w, size < 8 ? size : 8);
    const uint32_t want = (uint32_t)sim_below(w, 90) + 1;
    if (sf_generator_mint(&hold->gen, now_ms, 0, jitter, want, &mint) == SF_MINT_OK)
        sim_judge_mint(w, index, k, &mint, knew);
}

/* A minter that loses the processor between the two steps of a mint. Its clock may have jumped, to
 * the end of the reservation even. */
void sim_load_slowly(struct sim_world *w, unsigned index, unsigned k, uint64_t now_ms)
{
    struct sim_hold *hold = &w->hosts[index].holds[k];
    if (!hold->res.generator_ready || hold->slow)
        return;
    const uint64_t limit_ms = sf_generator_limit_ms(&hold->gen);
    if (sim_below(w, 2) && limit_ms > now_ms)
        now_ms = limit_ms - 1 < now_ms + JUMP_MS ? limit_ms - 1 : now_ms + JUMP_MS;
    const struct sf_mint_ask ask = {.now_ms = now_ms, .want = 1};
    if (sf_mint_look(&hold->gen, &ask, &hold->slow_mint) != SF_MINT_OK)
        return;
    hold->slow = true;
    sim_fault(w, SIM_SWAP_PAUSE);
    sim_push(w, (int64_t)sim_below(w, sim_below(w, 2) ? 3000 : 30) * MS,
             (struct sim_event){
                 .kind = EV_SWAP, .host = index, .hold = k, .instance = w->hosts[index].instance});
}

void sim_swap_slowly(struct sim_world *w, unsigned index, unsigned k)
{
    struct sim_hold *hold = &w->hosts[index].holds[k];
    hold->slow = false;
    if (!sf_mint_swap(&hold->gen, &hold->slow_mint))
        return;
    sim_judge_mint(w, index, k, &hold->slow_mint.mint, false);
    /* An old copy of the state file is survived because minting time bounds what was minted; it
     * does not bound a clock that jumped. No copy from before the jump is put back. */
    hold->old_block = hold->block;
    hold->old_lineage = hold->file_lineage;
}

void sim_mint_turn(struct sim_world *w, unsigned index, unsigned k)
{
    struct sim_host *h = &w->hosts[index];
    struct sim_hold *hold = &h->holds[k];
    sim_push(
        w, (int64_t)(sim_below(w, w->shape.mint_gap_ms) + 1) * MS,
        (struct sim_event){.kind = EV_MINT, .host = index, .hold = k, .instance = h->instance});
    if (h->paused || !h->policy.has_mint)
        return;
    const uint64_t now_ms = sim_since_epoch_ms(w, h);
    if (sim_chance(w, 0.02))
        sim_load_slowly(w, index, k, now_ms);
    if (sim_chance(w, 0.1) && hold->res.generator_ready) {
        const uint64_t last_ms = sf_generator_last_ms(&hold->gen); /* a clock that lags */
        sim_mint_end(w, index, k, last_ms < now_ms ? last_ms : now_ms, true);
        return;
    }
    if (sim_chance(w, 0.01)) {
        sim_fault(w, SIM_MINT_PAUSE);
        sim_push(w, (int64_t)sim_below(w, 30000) * MS,
                 (struct sim_event){.kind = EV_MINT_END,
                                    .host = index,
                                    .hold = k,
                                    .instance = h->instance,
                                    .value = now_ms,
                                    .knew = sim_knows_time(w, h) && h->verdict.may_mint});
        return;
    }
    sim_mint_end(w, index, k, now_ms, true);
}
