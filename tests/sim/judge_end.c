/* What must be true at the end, when nothing has gone wrong for a while: everybody is where he belongs. */
#include <inttypes.h>
#include <string.h>

#include "coord/state_record.h"
#include "fleet.h"
#include "worker/reservation_loss.h"

#define SETTLED_NS (60 * S)
#define TOLD_MS    5000     /* a new state is told by then */
#define CLOSED_NS  (10 * S) /* a breaker is closed when its server has served for this long */

static void tell_end(struct sim_world *w)
{
    for (unsigned i = 0; i < w->shape.hosts; i++)
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
            sim_trace(w, i, "machine %u ends %s: %s; %s", k,
                      sf_worker_state_name(w->hosts[i].holds[k].res.state),
                      w->hosts[i].holds[k].res.why, w->hosts[i].verdict.text);
    const struct sim_tree *tree = sim_content_granting(&w->store.now);
    for (unsigned d = 0; d < w->store.datacenters && tree != NULL; d++)
        for (unsigned i = 0; i < w->store.slot_count; i++)
            sim_trace(w, 99, "slot %u/%u of %s, reserved for %" PRId64 " ms", d, i,
                      tree->slots[d][i].slot.claim,
                      (tree->slots[d][i].slot.reserved_until_ms - sim_true_unix_ns(w) / MS));
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (w->store.now.claims[i].live)
            sim_trace(w, 99, "claim %s of %s", w->store.now.claims[i].claim.name,
                      w->store.now.claims[i].claim.node);
}

/* Not with what is left of a slot that was lost, or of a making before. */
static bool is_settled(const struct sim_world *w, const struct sf_reservation *res)
{
    return res->state == SF_WORKER_READY && !res->orphan && w->store.now.has_config &&
           strcmp(res->hold.token, w->store.now.config.token) == 0;
}

/* Machines of a datacenter that are ready, and how many ought to be. */
static unsigned count_ready(const struct sim_world *w, unsigned d, unsigned *ret_want)
{
    unsigned ready = 0, want = 0;
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        const struct sim_host *h = &w->hosts[i];
        if (h->datacenter != d || !h->wanted)
            continue;
        want += w->shape.slots_per_worker;
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
            ready += h->alive && is_settled(w, &h->holds[k].res);
    }
    *ret_want = want < w->store.slot_count ? want : w->store.slot_count;
    return ready;
}

/* Claims of a host's session in the making that grants. */
static unsigned count_claims(const struct sim_world *w, unsigned host)
{
    const struct sim_tree *tree = sim_content_granting(&w->store.now);
    unsigned count = 0;
    for (unsigned i = 0; i < SIM_CLAIMS_MAX && tree != NULL; i++) {
        const struct sim_claim *claim = &w->store.now.claims[i];
        count += claim->live && claim->session == w->hosts[host].session &&
                 claim->making == tree->making;
    }
    return count;
}

/* Each machine has one: what was made twice, or was given up and came late, is deleted. */
static bool has_strays(const struct sim_world *w, unsigned host)
{
    const struct sim_host *h = &w->hosts[host];
    return h->alive && h->session_live && count_claims(w, host) > w->shape.slots_per_worker;
}

/* Long enough without faults, and everybody is where he belongs. */
bool sim_judge_settled(const struct sim_world *w)
{
    const int64_t calm_ns = w->now_ns - w->options.duration_s * S;
    if (calm_ns < SETTLED_NS || w->shape.ends)
        return calm_ns >= SETTLED_NS;
    for (unsigned d = 0; d < w->shape.datacenters; d++) {
        unsigned want;
        if (count_ready(w, d, &want) < want)
            return false;
    }
    for (unsigned i = 0; i < w->shape.hosts; i++)
        if (has_strays(w, i))
            return false;
    return true;
}

/* The claims of those that are ready name the version that they run. */
static void judge_versions(struct sim_world *w)
{
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++) {
            const struct sf_reservation *res = &w->hosts[i].holds[k].res;
            if (!w->hosts[i].alive || res->state != SF_WORKER_READY)
                continue;
            const struct sim_claim *claim =
                sim_content_claim(&w->store.now, res->hold.token, res->hold.claim);
            if (claim && strcmp(claim->claim.version, res->params.version) != 0)
                sim_fail(w, "VERSION: the claim of h%u names version %s, it runs %s", i,
                         claim->claim.version, res->params.version);
        }
    }
}

static void judge_liveness(struct sim_world *w)
{
    for (unsigned d = 0; d < w->shape.datacenters; d++) {
        unsigned want;
        const unsigned ready = count_ready(w, d, &want);
        if (ready < want)
            sim_fail(w,
                     "LIVENESS: %u of %u machines of datacenter %u are ready %" PRId64
                     " s after the last "
                     "fault",
                     ready, want, d, w->options.calm_s);
    }
}

static void judge_claims(struct sim_world *w)
{
    for (unsigned i = 0; i < w->shape.hosts; i++)
        if (has_strays(w, i))
            sim_fail(w,
                     "CLAIMS: h%u has %u claims for %u machines %" PRId64 " s after the last fault",
                     i, count_claims(w, i), w->shape.slots_per_worker, w->options.calm_s);
}

/* Others see each machine as it is: by its claim, which it has changed when it had to. */
static const char *told_wrongly(struct sim_world *w, const struct sf_reservation *res)
{
    const struct sim_claim *claim =
        sim_content_claim(&w->store.now, w->store.now.config.token, res->claim.name);
    if (res->claim_status != SF_CLAIM_HAVE || claim == NULL)
        return NULL; /* judge_liveness and judge_claims speak of that */
    if (sim_true_unix_ns(w) / MS - res->since_ms < TOLD_MS)
        return NULL;
    const struct sf_coord_claim *says = &claim->claim;
    const bool ready = res->state == SF_WORKER_READY;
    if (ready != (strcmp(says->state, sf_worker_state_name(SF_WORKER_READY)) == 0))
        return says->state;
    if (ready && says->slot != (int64_t)res->hold.worker)
        return "another slot";
    const bool seeks = res->state == SF_WORKER_CLAIMING || res->state == SF_WORKER_QUARANTINED;
    return says->seeks == seeks ? NULL : seeks ? "seeking nothing" : "seeking a slot";
}

static void judge_told(struct sim_world *w)
{
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        const struct sim_host *h = &w->hosts[i];
        for (unsigned k = 0; k < w->shape.slots_per_worker && h->alive && h->session_live; k++) {
            const struct sf_reservation *res = &h->holds[k].res;
            const char *wrong = told_wrongly(w, res);
            if (wrong != NULL && w->store.now.has_config)
                sim_fail(w, "TOLD: machine %u of h%u is %s, its claim says %s", k, i,
                         sf_worker_state_name(res->state), wrong);
        }
    }
}

static void judge_breakers(struct sim_world *w)
{
    for (unsigned c = 0; c < w->shape.clients; c++)
        for (unsigned i = 0; i < w->clients[c].policy.places; i++)
            if (sim_judge_within_reach(w, &w->clients[c], i, w->now_ns - CLOSED_NS) &&
                w->clients[c].policy.servers[i].state != SF_BREAKER_CLOSED)
                sim_fail(w,
                         "BREAKER: caller %u still leaves h%u alone, which has served for %" PRId64
                         " s",
                         c, i, CLOSED_NS / S);
}

void sim_judge_end(struct sim_world *w)
{
    tell_end(w);
    if (w->shape.ends)
        return; /* no timestamp is left for anybody */
    judge_liveness(w);
    judge_versions(w);
    judge_claims(w);
    judge_told(w);
    judge_breakers(w);
}
