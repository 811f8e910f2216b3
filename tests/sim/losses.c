/* What the coordinator loses: everything, or what it did since a copy was taken. Connections end with
 * that; sessions live on where the copy knows them. */
#include <inttypes.h>

#include "fleet.h"

void sim_end_connections(struct sim_world *w)
{
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        struct sim_host *h = &w->hosts[i];
        h->connection++;
        h->broken = true;
        h->clear_since_ns = w->now_ns;
    }
    sim_operators_cut(w);
}

static void break_connections(struct sim_world *w)
{
    sim_end_connections(w);
    w->forgot = true;
    w->losses++;
}

static void wipe(struct sim_world *w)
{
    sim_fault(w, SIM_WIPED);
    sim_trace(w, 99, "the coordinator is wiped");
    sim_store_wipe(&w->store);
    for (unsigned i = 0; i < w->shape.hosts; i++)
        w->hosts[i].session_live = false;
    break_connections(w);
}

static void take_copy(struct sim_world *w)
{
    sim_content_free(w->copy);
    w->copy = sim_content_copy(&w->store.now);
    for (unsigned i = 0; i < w->shape.hosts; i++)
        w->copy->sessions[i] = w->hosts[i].session_live ? w->hosts[i].session : 0;
}

/* Claims of sessions that nobody has any more end when nobody has been heard of for long enough. */
static void expire_later(struct sim_world *w)
{
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (w->store.now.claims[i].live)
            sim_push(
                w, SIM_SESSION_NS,
                (struct sim_event){.kind = EV_ORPHANED, .value = w->store.now.claims[i].session});
}

static void put_back(struct sim_world *w)
{
    sim_fault(w, SIM_PUT_BACK);
    sim_trace(w, 99, "the coordinator is put back");
    sim_store_put_back(&w->store, w->copy);
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        struct sim_host *h = &w->hosts[i];
        h->session_live = h->session_live && w->copy->sessions[i] == h->session;
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
            h->holds[k].claim_taken = true; /* perhaps */
    }
    expire_later(w);
    break_connections(w);
    /* Who knows better may be away while others take what looks free. */
    const int64_t away_ns = (int64_t)sim_below(w, 20000) * MS;
    for (unsigned i = 0; away_ns > 10 * S && i < w->shape.hosts; i++)
        if (sim_below(w, 4) > 0)
            sim_fault_cut(w, i, true, away_ns);
    w->put_back = sim_below(w, 2);
}

void sim_loss_turn(struct sim_world *w)
{
    if (!w->loses)
        return;
    switch (sim_below(w, 30)) {
    case 0:
        wipe(w);
        return;
    case 1:
        if (w->copy != NULL)
            put_back(w);
        return;
    case 2:
    case 3:
    case 4:
        take_copy(w);
        return;
    default:
        return;
    }
}
