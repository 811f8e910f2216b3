/* How a slot is found in a large datacenter. See reservation_seek.h. */
#include "worker/reservation_seek.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse.h"
#include "coord/records.h"
#include "worker/reservation_list.h"
#include "worker/reservation_loss.h"

static void seek_begin(struct sf_reservation *res)
{
    char guid[SF_HEX128_SIZE];
    uint64_t number = 0;
    struct sf_seek *seek = &res->seek;
    if (sf_claim_name_parse(res->claim.name, guid, &number) < 0 || seek->place != 0)
        number = seek->place;
    const int64_t crowd_until_mono_ms = seek->crowd_until_mono_ms;
    const uint32_t crowd_quarantined = seek->crowd_quarantined;
    /* Numbers of claims follow each other, so members that start together start beside each other.
     * The number of slots is a power of two, so an odd step comes to each of them. */
    *seek = (struct sf_seek){.begun = true,
                             .place = seek->place,
                             .first = number,
                             .step = sf_prng_next(&res->prng) | 1,
                             .earliest_ms = -1,
                             .crowd_until_mono_ms = crowd_until_mono_ms,
                             .crowd_quarantined = crowd_quarantined};
}

/* The share of slots that were seen to rest counts for as long as they may rest. */
static void note_crowd(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    struct sf_seek *seek = &res->seek;
    if (seek->asked == 0)
        return;
    seek->crowd_quarantined = (uint32_t)(sf_res_slots(res) * seek->quarantined / seek->asked);
    seek->crowd_until_mono_ms = s->now->mono_ms + res->params.window_ms;
}

void sf_res_count_claims(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (c->claim_total == 0 || !sf_res_probes(res))
        return;
    const bool seeks = !res->hold.active || res->orphan; /* one of them is ours */
    const uint64_t slots = sf_res_slots(res);
    const uint64_t others = c->claim_total - (seeks ? 1 : 0);
    const uint64_t held = others < slots ? others : slots;
    uint64_t resting =
        s->now->mono_ms < res->seek.crowd_until_mono_ms ? res->seek.crowd_quarantined : 0;
    /* Those that are held were met as well. */
    resting = resting > held ? resting - held : 0;
    if (resting > slots - held)
        resting = slots - held;
    res->census.held = (uint32_t)held;
    res->census.quarantined = (uint32_t)resting;
    res->census.free = (uint32_t)(slots - held - resting);
    res->census.broken = 0;
    res->census.earliest_free_ms = -1;
    res->census.read_mono_ms = s->now->mono_ms;
}

/* 1, 1, 2, 4, 8, 16, 16, ... */
static uint32_t batch(const struct sf_seek *seek)
{
    if (seek->rounds < 2 && seek->passes == 0)
        return 1;
    return seek->rounds < 5 && seek->passes == 0 ? UINT32_C(1) << (seek->rounds - 1)
                                                 : SF_COORD_PROBE_MAX;
}

void sf_res_ask_probe(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    struct sf_seek *seek = &res->seek;
    const uint64_t slots = sf_res_slots(res);
    if (!seek->begun)
        seek_begin(res);
    struct sf_coord_probe *probe = &sf_res_request(s, SF_COORD_PROBE)->u.probe;
    probe->now_ms = s->now->mint_ms;
    seek->out_of_turn = false;
    if (res->params.pinned_worker >= 0) {
        probe->workers[probe->count++] = (uint64_t)res->params.pinned_worker;
        return;
    }
    const uint32_t most = batch(seek);
    if (seek->passes > 0 && seek->earliest_ms >= 0 && seek->earliest_ms <= probe->now_ms) {
        seek->out_of_turn = true;
        seek->earliest_ms = -1;
        probe->workers[probe->count++] = seek->earliest;
    }
    for (uint32_t i = seek->asked; i < slots && probe->count < most; i++)
        probe->workers[probe->count++] = (seek->first + i * seek->step) & (slots - 1);
}

/* Every slot was looked at. */
static void end_pass(struct sf_res_step *s)
{
    struct sf_seek *seek = &s->res->seek;
    note_crowd(s);
    seek->passes++;
    seek->asked = seek->rounds = 0;
    seek->held = seek->quarantined = 0;
}

static void say_why(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const struct sf_seek *seek = &res->seek;
    const uint64_t datacenter = res->params.datacenter;
    char left[SF_DURATION_TEXT_MAX];
    s->waits = seek->quarantined > 0 ? SF_WORKER_QUARANTINED : SF_WORKER_CLAIMING;
    if (res->params.pinned_worker >= 0)
        sf_res_why(res, "slot %" PRIu64 "/%" PRId64 " (fleet.worker) is %s", datacenter,
                   res->params.pinned_worker,
                   seek->quarantined > 0 ? "quarantined"
                   : seek->held > 0      ? "held by somebody else"
                                         : "without a usable record: see `snowfleet slots`");
    else if (seek->quarantined > 0)
        sf_res_why(res,
                   "no free slot in datacenter %" PRIu64
                   ": %u held, %u quarantined, the first comes free in %s",
                   datacenter, seek->held, seek->quarantined,
                   sf_format_duration_ms(seek->earliest_ms - s->now->mint_ms, left, sizeof left));
    else
        sf_res_why(res, "the fleet is full: all %u slots of datacenter %" PRIu64 " are held",
                   seek->held, datacenter);
}

/* To the next few slots, or to the moment when the first of those that rest comes free. */
static void pause(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    const int64_t until_ms = res->seek.earliest_ms - s->now->mint_ms;
    int64_t wait_ms = SF_RES_PASS_MS / 2 + (int64_t)sf_prng_below(&res->prng, SF_RES_PASS_MS);
    if (res->seek.earliest_ms >= 0 && until_ms < wait_ms)
        wait_ms = until_ms > 0 ? until_ms : 1;
    sf_res_look_in(s, wait_ms);
}

/* None of all: after the first pass the others are paced. Where one rests, it is waited for. */
static void nothing_free(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    struct sf_seek *seek = &res->seek;
    say_why(s);
    sf_res_tell_wait(s);
    res->stats.bids_full++;
    if (seek->earliest_ms >= 0)
        sf_res_tell_poisoned(s, seek->earliest_ms - s->now->mint_ms);
    end_pass(s);
    pause(s);
}

/* Counts them, and picks a free one. NULL: none is. They are judged as of the time that was asked with:
 * of a reservation that has passed only since then nobody has looked whether its holder lives. */
static const struct sf_coord_slot *look_at(struct sf_res_step *s,
                                           const struct sf_coord_completion *c)
{
    struct sf_seek *seek = &s->res->seek;
    const int64_t asked_ms = s->res->busy_submit_mint_ms;
    const struct sf_coord_slot *chosen = NULL;
    uint64_t free_count = 0;
    for (size_t i = 0; i < c->slot_count; i++) {
        const struct sf_coord_slot *slot = &c->slots[i];
        /* Whose reservation has not passed is held by somebody or rests: which, is of no account to
         * who seeks. */
        switch (sf_slot_state(slot, c->claims, c->claim_count, asked_ms, NULL)) {
        case SF_SLOT_FREE:
            if (sf_prng_below(&s->res->prng, ++free_count) == 0)
                chosen = slot;
            break;
        case SF_SLOT_QUARANTINED:
            seek->quarantined++;
            if (seek->earliest_ms < 0 || slot->reserved_until_ms < seek->earliest_ms) {
                seek->earliest_ms = slot->reserved_until_ms;
                seek->earliest = slot->worker;
            }
            break;
        default:
            seek->held += slot->state == SF_COORD_RECORD_OK;
        }
    }
    seek->asked += (uint32_t)c->slot_count - (seek->out_of_turn ? 1 : 0);
    seek->rounds++;
    return chosen;
}

static bool all_missing(const struct sf_coord_completion *c)
{
    for (size_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].state != SF_COORD_RECORD_MISSING)
            return false;
    return true;
}

void sf_res_probed(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (c->outcome != SF_COORD_DONE) {
        if (c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_MISSING)
            res->config_stale = true;
        sf_res_failed(s, c);
        return;
    }
    sf_res_progress(s);
    res->census_due_set = false;
    if (all_missing(c) && res->seek.rounds == 0)
        res->config_stale = true; /* perhaps the tree is not there any more */
    if (!sf_res_grants(res) || !sf_res_may_bid(res) || !sf_res_has_begun(s))
        return;
    const struct sf_coord_slot *slot = look_at(s, c);
    const uint64_t all = res->params.pinned_worker >= 0 ? 1 : sf_res_slots(res);
    if (slot != NULL) {
        if (res->seek.quarantined > 0 && res->seek.asked >= 4)
            note_crowd(s);
        sf_res_bid_for(s, slot);
    } else if (res->seek.asked >= all) {
        nothing_free(s);
    } else if (res->seek.passes > 0) {
        pause(s);
    }
    if (slot != NULL && res->seek.asked >= all)
        end_pass(s);
}

/* Claims. */

bool sf_res_find_is_due(const struct sf_res_step *s)
{
    const struct sf_reservation *res = s->res;
    return res->mark[0] != '\0' && res->find_due_mono_ms != 0 &&
           s->now->mono_ms >= res->find_due_mono_ms;
}

void sf_res_ask_find(struct sf_res_step *s)
{
    struct sf_coord_find *find = &sf_res_request(s, SF_COORD_FIND)->u.find;
    memcpy(find->mark, s->res->mark, sizeof find->mark);
    /* The one that is not settled first. */
    memcpy(find->start, s->res->claim.guid + strlen(find->mark),
           sizeof find->start - strlen(find->mark));
    find->most = SF_COORD_FIND_MAX;
    s->res->finding_sample = false;
}

static void ask_sample(struct sf_res_step *s)
{
    struct sf_coord_find *find = &sf_res_request(s, SF_COORD_FIND)->u.find;
    sf_hex128(s->now->random, find->start);
    find->most = SF_RES_SAMPLE;
    s->res->finding_sample = true;
}

bool sf_res_ask_about_others(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (sf_res_find_is_due(s)) {
        sf_res_ask_find(s);
    } else if (res->hold.active && res->sample_due_mono_ms == 0) {
        /* Not all that start together at once. */
        const uint64_t spread_ms = UINT64_C(60) * (res->census.held + 1);
        res->sample_due_mono_ms =
            s->now->mono_ms + 1000 +
            (int64_t)sf_prng_below(&res->prng,
                                   spread_ms < SF_RES_CENSUS_MS ? spread_ms : SF_RES_CENSUS_MS);
        return false;
    } else if (res->hold.active && s->now->mono_ms >= res->sample_due_mono_ms) {
        ask_sample(s);
    } else {
        return false;
    }
    return true;
}

void sf_res_found(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (c->outcome != SF_COORD_DONE) {
        if (c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_MISSING)
            res->config_stale = true;
        sf_res_failed(s, c);
        return;
    }
    sf_res_progress(s);
    sf_res_count_claims(s, c);
    if (res->finding_sample) {
        res->sample_due_mono_ms = s->now->mono_ms + SF_RES_SAMPLE_MS / 2 +
                                  (int64_t)sf_prng_below(&res->prng, SF_RES_SAMPLE_MS);
        return;
    }
    sf_res_settle_claim(res, c);
    sf_res_find_strays(res, c);
    res->find_due_mono_ms =
        res->claims_doubted || res->stray_count > 0 ? s->now->mono_ms + SF_RES_CENSUS_MS : 0;
}
