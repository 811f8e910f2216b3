/* What a machine tells of itself in its claim. */
#include "worker/reservation_tell.h"

#include <stdio.h>
#include <string.h>

static bool holds(const struct sf_reservation *res)
{
    return res->hold.active && !res->orphan;
}

/* What the machine is once `op` is done; the state that it stands in changes at a step's end. */
static enum sf_worker_state state_with(const struct sf_reservation *res, enum sf_coord_op op)
{
    if (res->suspended)
        return res->hold.active ? SF_WORKER_SUSPENDED : SF_WORKER_RESYNCING;
    if (op == SF_COORD_TELL || !sf_res_may_open(res))
        return res->state;
    return op == SF_COORD_BIND ? SF_WORKER_READY : SF_WORKER_CLAIMING;
}

static const char *reason_of(const struct sf_res_step *s, enum sf_worker_state state)
{
    if (state == SF_WORKER_READY)
        return "";
    if (s->res->suspended)
        return s->now->clock_text != NULL ? s->now->clock_text : "the clock is not safe";
    return s->res->why_failed ? "" : s->res->why;
}

static bool seeks(const struct sf_reservation *res, enum sf_coord_op op)
{
    return op != SF_COORD_BIND && sf_res_may_open(res) && !holds(res) && !res->halted;
}

/* Remembers it as what was said last. */
static void keep(struct sf_reservation *res, enum sf_coord_op op,
                 const struct sf_coord_claim_request *body)
{
    struct sf_coord_claim *telling = &res->telling;
    memcpy(telling->state, body->state, sizeof telling->state);
    memcpy(telling->reason, body->reason, sizeof telling->reason);
    telling->since_ms = body->since_ms;
    telling->made_ms = body->made_ms;
    telling->seeks = body->seeks;
    res->telling_by_bind = op == SF_COORD_BIND;
    telling->slot = -1;
    if (op == SF_COORD_BIND)
        telling->slot = (int64_t)(res->busy_on_bid ? res->bid.worker : res->hold.worker);
    else if (op == SF_COORD_TELL && holds(res) && res->claim_bound)
        telling->slot = (int64_t)res->hold.worker;
}

void sf_res_claim_body(struct sf_res_step *s, enum sf_coord_op op,
                       struct sf_coord_claim_request *body)
{
    struct sf_reservation *res = s->res;
    const struct sf_reservation_params *params = &res->params;
    const enum sf_worker_state state = state_with(res, op);
    memcpy(body->node, params->node, sizeof body->node);
    memcpy(body->address, params->address, sizeof body->address);
    memcpy(body->admin, params->admin, sizeof body->admin);
    memcpy(body->version, params->version, sizeof body->version);
    (void)snprintf(body->state, sizeof body->state, "%s", sf_worker_state_name(state));
    /* One that looks for a slot has not found anything in its way yet. */
    if (op != SF_COORD_CLAIM || state != SF_WORKER_CLAIMING)
        (void)snprintf(body->reason, sizeof body->reason, "%s", reason_of(s, state));
    body->since_ms = state == res->state ? res->since_ms : sf_res_people_ms(s->now);
    body->made_ms = op == SF_COORD_CLAIM ? s->now->mint_ms : res->claim.made_ms;
    body->seeks = seeks(res, op);
    keep(res, op, body);
    res->told_mono_ms = s->now->mono_ms;
}

/* The same sentence, whatever numbers stand in it? */
static bool same_words(const char *a, const char *b)
{
    static const char numbers[] = "0123456789.";
    while (*a != '\0' || *b != '\0') {
        a += strspn(a, numbers);
        b += strspn(b, numbers);
        if (*a != *b)
            return false;
        a += *a != '\0';
        b += *b != '\0';
    }
    return true;
}

/* Does the claim say something else than what is so? */
static bool differs(const struct sf_res_step *s)
{
    const struct sf_reservation *res = s->res;
    const struct sf_coord_claim *says = &res->claim;
    const int64_t slot = holds(res) && res->claim_bound ? (int64_t)res->hold.worker : -1;
    const enum sf_worker_state state = state_with(res, SF_COORD_TELL);
    return strcmp(says->state, sf_worker_state_name(state)) != 0 || says->slot != slot ||
           says->seeks != seeks(res, SF_COORD_TELL) ||
           !same_words(says->reason, reason_of(s, state));
}

bool sf_res_tell(struct sf_res_step *s, bool force)
{
    struct sf_reservation *res = s->res;
    if (res->claim_status != SF_CLAIM_HAVE || res->unclaim_sent)
        return false;
    /* Nobody mints by it: a coordinator that has too much to do is left alone with it. */
    const int64_t pause_ms = SF_RES_TELL_MS << (res->tells_failed < 2 ? res->tells_failed : 2);
    if (!force && (s->now->mono_ms - res->told_mono_ms < pause_ms || !differs(s)))
        return false;
    struct sf_coord_write *write = &sf_res_request(s, SF_COORD_TELL)->u.write;
    memcpy(write->slot.claim, res->claim.name, sizeof write->slot.claim);
    write->slot.fence = res->claim.fence;
    sf_res_claim_body(s, SF_COORD_TELL, &write->body);
    write->claim_slot = res->telling.slot;
    return true;
}

void sf_res_told(struct sf_reservation *res, bool done)
{
    struct sf_coord_claim *says = &res->claim;
    const struct sf_coord_claim *telling = &res->telling;
    memcpy(says->state, telling->state, sizeof says->state);
    memcpy(says->reason, telling->reason, sizeof says->reason);
    says->since_ms = telling->since_ms;
    says->slot = telling->slot;
    says->seeks = telling->seeks;
    res->tells_failed = done ? 0 : res->tells_failed + 1;
    if (!done)
        says->state[0] = '\0'; /* nobody knows: it is told again */
}

bool sf_res_claim_is_idle(const struct sf_reservation *res)
{
    return res->claim_status == SF_CLAIM_HAVE && !res->unclaim_sent && !res->claim_bound &&
           !res->claim.seeks && !holds(res);
}
