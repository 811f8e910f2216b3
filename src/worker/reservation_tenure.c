/* Writes to slot records, and what their answers mean. The rule's heart: the generator's limit is
 * never above the least value that the record may hold, whatever is still under way. */
#include "worker/reservation_tenure.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/exit_codes.h"
#include "worker/reservation_tell.h"

int64_t sf_tenure_granted_ms(const struct sf_tenure *tenure)
{
    int64_t least = tenure->acked_ms;
    for (unsigned i = 0; i < tenure->outstanding_count; i++)
        if (tenure->outstanding[i].reserved_until_ms < least)
            least = tenure->outstanding[i].reserved_until_ms;
    return least;
}

int64_t sf_res_last_ms(const struct sf_reservation *res)
{
    if (!res->generator_ready)
        return 0;
    return (int64_t)sf_generator_last_ms(res->gen) + res->config.epoch_ms;
}

static uint64_t since_epoch(const struct sf_reservation *res, int64_t unix_ms)
{
    return unix_ms > res->config.epoch_ms ? (uint64_t)(unix_ms - res->config.epoch_ms) : 0;
}

/* What minters may use: what was granted, and with mint.max_silence_ms no more than that beyond the
 * last word heard. */
static int64_t usable_ms(const struct sf_reservation *res)
{
    int64_t limit_ms = sf_tenure_granted_ms(&res->hold);
    const int64_t silence_ms = res->params.max_silence_ms;
    if (silence_ms > 0 && limit_ms > res->heard_mint_ms + silence_ms)
        limit_ms = res->heard_mint_ms + silence_ms;
    return limit_ms;
}

void sf_res_apply_limit(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!res->generator_ready || sf_generator_is_closed(res->gen))
        return;
    const uint64_t want = since_epoch(res, usable_ms(res));
    const uint64_t have = sf_generator_limit_ms(res->gen);
    if (want > have) {
        sf_generator_raise(res->gen, want);
    } else if (want < have &&
               sf_tenure_granted_ms(&res->hold) - res->config.epoch_ms < (int64_t)have) {
        /* Only a reservation that shrinks comes here; its target lies above everything minted
         * (sf_tenure_target_ms). */
        if (sf_generator_last_ms(res->gen) + 1 < want)
            sf_generator_lower(res->gen, want);
        else
            sf_res_close(s, "the reservation shrank below what was minted");
    }
}

void sf_res_open(struct sf_res_step *s, int64_t start_ms)
{
    struct sf_reservation *res = s->res;
    const int rc = sf_generator_open(res->gen, res->params.datacenter, res->hold.worker,
                                     since_epoch(res, start_ms), since_epoch(res, usable_ms(res)));
    if (rc != 0) {
        sf_res_fatal(s, SF_EXIT_CONFIG,
                     "slot %" PRIu64 "/%" PRIu64 " from %" PRId64
                     " ms does not fit the fleet's layout",
                     res->params.datacenter, res->hold.worker, start_ms);
        return;
    }
    res->hold.opened = true;
    res->minted_once = true;
    s->out->save = true; /* the state file names a slot from here on */
}

int64_t sf_tenure_target_ms(const struct sf_res_step *s, const struct sf_tenure *tenure)
{
    const struct sf_reservation *res = s->res;
    const int64_t window_ms = sf_reservation_window_ms(res);
    int64_t target = s->now->mint_ms + window_ms;
    if (s->now->trusted_ms >= 0 && target > s->now->trusted_ms + window_ms + SF_RES_MARGIN_MS)
        target = s->now->trusted_ms + window_ms + SF_RES_MARGIN_MS;
    if (target <= s->now->mint_ms || target <= tenure->floor_ms)
        return -1;
    if (tenure->opened && target < sf_res_last_ms(res) + 2)
        return -1;
    return target;
}

/* A release gives back all but what may have been used: never below the owner's own start. */
static int64_t released_until_ms(const struct sf_reservation *res, const struct sf_tenure *tenure)
{
    int64_t until = tenure->floor_ms;
    if (tenure->opened && until < sf_res_last_ms(res) + 1)
        until = sf_res_last_ms(res) + 1;
    return until;
}

/* How full the datacenter is tells how long a window may be: where it is short, each time. */
static bool counts_claims(const struct sf_res_step *s, enum sf_coord_op op)
{
    const struct sf_reservation *res = s->res;
    if (op != SF_COORD_RENEW)
        return op != SF_COORD_RELEASE;
    return sf_reservation_window_ms(res) < res->params.window_ms || res->census.read_mono_ms < 0 ||
           s->now->mono_ms - res->census.read_mono_ms >=
               res->params.window_ms / SF_RES_COUNTS_IN_WINDOW;
}

void sf_tenure_write(struct sf_res_step *s, enum sf_coord_op op, struct sf_tenure *tenure,
                     int64_t reserved_until_ms)
{
    struct sf_reservation *res = s->res;
    SF_ASSERT(tenure->outstanding_count < SF_RES_OUTSTANDING_MAX);
    SF_ASSERT(res->claim_status == SF_CLAIM_HAVE);
    if (op == SF_COORD_RELEASE) {
        SF_ASSERT(!tenure->opened || sf_generator_is_closed(res->gen));
        reserved_until_ms = released_until_ms(res, tenure);
    }
    struct sf_coord_request *request = sf_res_request(s, op);
    request->count_claims = sf_res_probes(res) && counts_claims(s, op);
    struct sf_coord_write *write = &request->u.write;
    struct sf_coord_slot *slot = &write->slot;
    slot->worker = tenure->worker;
    slot->fence = res->claim.fence;
    slot->from_ms = tenure->from_ms;
    memcpy(slot->claim, res->claim.name, sizeof slot->claim);
    slot->reserved_until_ms = reserved_until_ms;
    slot->last_ms = tenure->opened ? sf_res_last_ms(res) : 0;
    sf_hex128(s->now->random, slot->nonce);
    memcpy(slot->node, res->params.node, sizeof slot->node);
    slot->updated_ms = s->now->mint_ms;
    write->expected = tenure->record;
    /* Its tree, also when the config names another one by now. */
    memcpy(request->basis.token, tenure->token, sizeof request->basis.token);

    tenure->sent = *slot;
    const unsigned i = tenure->outstanding_count++;
    memcpy(tenure->outstanding[i].nonce, slot->nonce, sizeof slot->nonce);
    tenure->outstanding[i].reserved_until_ms = reserved_until_ms;
    tenure->outstanding[i].release = op == SF_COORD_RELEASE;
    tenure->outstanding[i].refused = false;
    res->busy_on_bid = tenure == &res->bid;
    if (op == SF_COORD_BIND)
        sf_res_claim_body(s, op, &write->body);
    if (tenure == &res->hold && op != SF_COORD_RELEASE)
        sf_res_apply_limit(s); /* before the write leaves: it may shrink the reservation */
}

/* What the record now says is ours and acknowledged. */
static void acknowledge(struct sf_res_step *s, struct sf_tenure *tenure,
                        const struct sf_coord_slot *record)
{
    tenure->record = *record;
    tenure->acked_ms = record->reserved_until_ms;
    tenure->acked_at_ms = s->now->mint_ms;
    tenure->fence = record->fence;
    memcpy(tenure->claim, record->claim, sizeof tenure->claim);
    tenure->outstanding_count = 0; /* the others were conditional on the record that is gone */
    tenure->must_read = false;
    s->res->renew_early = (uint32_t)sf_prng_below(&s->res->prng, SF_RES_EARLY_OF);
    s->out->save = true;
}

/* Where the list is full, the oldest write that was refused goes off it; what it would have given back is
 * never minted in again. */
bool sf_tenure_has_room(struct sf_tenure *tenure)
{
    unsigned at = 0;
    if (tenure->outstanding_count < SF_RES_OUTSTANDING_MAX)
        return true;
    while (at < tenure->outstanding_count && !tenure->outstanding[at].refused)
        at++;
    if (at == tenure->outstanding_count)
        return false;
    if (tenure->outstanding[at].reserved_until_ms < tenure->acked_ms)
        tenure->acked_ms = tenure->outstanding[at].reserved_until_ms;
    tenure->outstanding_count--;
    memmove(&tenure->outstanding[at], &tenure->outstanding[at + 1],
            (tenure->outstanding_count - at) * sizeof tenure->outstanding[0]);
    return true;
}

bool sf_tenure_in_doubt(const struct sf_tenure *tenure)
{
    for (unsigned i = 0; i < tenure->outstanding_count; i++)
        if (!tenure->outstanding[i].refused)
            return true;
    return false;
}

bool sf_tenure_release_sent(const struct sf_tenure *tenure)
{
    for (unsigned i = 0; i < tenure->outstanding_count; i++)
        if (tenure->outstanding[i].release)
            return true;
    return false;
}

bool sf_tenure_write_answered(struct sf_res_step *s, struct sf_tenure *tenure,
                              const struct sf_coord_completion *c, bool *ret_released)
{
    SF_ASSERT(tenure->outstanding_count > 0);
    const unsigned last = tenure->outstanding_count - 1;
    *ret_released = false;
    switch (c->outcome) {
    case SF_COORD_DONE:
        *ret_released = tenure->outstanding[last].release;
        tenure->sent.version = c->version;
        tenure->sent.canonical = true;
        acknowledge(s, tenure, &tenure->sent);
        return true;
    case SF_COORD_REFUSED:
        if (c->reason == SF_COORD_INVALID) {
            tenure->outstanding_count--; /* it never left us */
            return false;
        }
        tenure->outstanding[last].refused = true;
        tenure->must_read = true;
        return false;
    case SF_COORD_LOST:
        tenure->outstanding_count--;
        return false;
    case SF_COORD_UNKNOWN:
        tenure->must_read = true;
        return false;
    }
    SF_ASSERT(!"outcome");
    return false;
}

/* Somebody else's content where ours was acknowledged: did he follow us, or was what we had
 * acknowledged forgotten? docs/uniqueness.md, rule 8. */
static bool is_loss(const struct sf_tenure *tenure, const struct sf_coord_slot *slot)
{
    const int64_t least_ms = sf_tenure_granted_ms(tenure);
    return slot->version.version <= tenure->record.version.version || slot->from_ms < least_ms ||
           slot->reserved_until_ms < least_ms;
}

enum sf_tenure_view sf_tenure_look(struct sf_res_step *s, struct sf_tenure *tenure,
                                   const struct sf_coord_slot *slot)
{
    if (slot->state == SF_COORD_RECORD_MISSING)
        return SF_VIEW_ABSENT;
    if (slot->state != SF_COORD_RECORD_OK ||
        slot->version.incarnation != tenure->record.version.incarnation)
        return SF_VIEW_GONE;
    for (unsigned i = 0; i < tenure->outstanding_count; i++) {
        if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0)
            continue;
        const bool released = tenure->outstanding[i].release;
        acknowledge(s, tenure, slot);
        return released ? SF_VIEW_RELEASED : SF_VIEW_APPLIED;
    }
    if (strcmp(slot->nonce, tenure->record.nonce) == 0) {
        tenure->record.version = slot->version; /* of this very read */
        tenure->record.canonical = slot->canonical;
        tenure->must_read = false;
        return SF_VIEW_UNCHANGED;
    }
    if (tenure->acked_ms == 0)
        return SF_VIEW_FOREIGN; /* a bid: nothing of ours was ever there */
    return is_loss(tenure, slot) ? SF_VIEW_LOST : SF_VIEW_FOREIGN;
}
