/* What goes wrong, drawn from the seed, and the end of it. */
#include <inttypes.h>
#include <string.h>

#include "fleet.h"

/* One draw: a machine, and how long it shall last. */
struct draw {
    unsigned index;
    struct sim_host *h;
    int64_t short_ns, some_ns;
};

static void copy_files(struct sim_world *w, struct sim_host *h)
{
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++) {
        h->holds[k].old_block = h->holds[k].block;
        h->holds[k].old_lineage = h->holds[k].file_lineage;
    }
}

static void put_copies_back(struct sim_world *w, struct sim_host *h)
{
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++) {
        h->holds[k].block = h->holds[k].old_block;
        h->holds[k].file_lineage = h->holds[k].old_lineage;
    }
}

static void kill(struct sim_world *w, const struct draw *d)
{
    if (!d->h->alive)
        return;
    sim_fault(w, SIM_KILL);
    if (sim_below(w, 4) == 0) {
        sim_fault(w, SIM_KILL_LOSE_FILE);
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
            memset(&d->h->holds[k].block, 0, sizeof d->h->holds[k].block);
    } else if (sim_below(w, 4) == 0) {
        sim_fault(w, SIM_KILL_OLD_FILE);
        put_copies_back(w, d->h);
    }
    sim_die(w, d->index, sim_below(w, 3) ? (int64_t)sim_below(w, 300) * MS : d->some_ns);
}

/* Somebody copies the state directory and puts the copy back when the process is dead. */
static void kill_after_copy(struct sim_world *w, const struct draw *d)
{
    if (!d->h->alive)
        return;
    copy_files(w, d->h);
    sim_at(w, (int64_t)sim_below(w, 3000) * MS, EV_KILL, d->index);
}

void sim_fault_kill_copied(struct sim_world *w, unsigned index)
{
    if (w->calm)
        return;
    sim_fault(w, SIM_KILL_NEW_COPY);
    put_copies_back(w, &w->hosts[index]);
    sim_die(w, index, (int64_t)sim_below(w, 300) * MS);
}

static void pause_process(struct sim_world *w, const struct draw *d)
{
    struct sim_host *h = d->h;
    if (!h->alive || h->paused)
        return;
    sim_fault(w, SIM_PAUSE);
    sim_trace(w, d->index, "paused for %" PRId64 " ms", d->some_ns / MS);
    h->paused = true;
    h->serving_since_ns = -1;
    h->paused_until_ns = w->now_ns + d->some_ns;
    sim_at(w, d->some_ns, EV_RESUME, d->index);
}

void sim_fault_cut(struct sim_world *w, unsigned index, bool both, int64_t for_ns)
{
    struct sim_host *h = &w->hosts[index];
    h->cut_to = h->cut_to || both;
    h->cut_back = true;
    h->clear_since_ns = w->now_ns;
    if (w->now_ns + for_ns > h->cut_until_ns)
        h->cut_until_ns = w->now_ns + for_ns;
    sim_at(w, for_ns, EV_HEAL, index);
}

static void cut_some(struct sim_world *w, const struct draw *d)
{
    const bool both = sim_below(w, 2);
    sim_fault(w, both ? SIM_CUT_BOTH : SIM_CUT_ANSWERS);
    sim_trace(w, d->index, "cut off%s", both ? "" : ", answers only");
    sim_fault_cut(w, d->index, both, d->some_ns);
}

static void cut_client(struct sim_world *w, unsigned client, unsigned host, bool both,
                       int64_t for_ns)
{
    w->clients[client].links[host].cut_to = both;
    w->clients[client].links[host].cut_back = true;
    w->clients[client].links[host].clear_since_ns = w->now_ns;
    sim_push(w, for_ns, (struct sim_event){.kind = EV_CLIENT_HEAL, .host = client, .hold = host});
}

static void cut_some_client(struct sim_world *w, const struct draw *d)
{
    const unsigned client = (unsigned)sim_below(w, w->shape.clients);
    const bool both = sim_below(w, 2);
    sim_fault(w, both ? SIM_CLIENT_CUT : SIM_CLIENT_CUT_ANSWERS);
    const bool many = sim_below(w, 3) == 0;
    for (unsigned i = 0; i < w->shape.hosts; i++)
        if (i == d->index || (many && sim_below(w, 2)))
            cut_client(w, client, i, both, d->short_ns);
}

/* A whole datacenter: from the coordinator and from every client. */
static void cut_datacenter(struct sim_world *w, const struct draw *d)
{
    if (w->shape.datacenters < 2)
        return;
    sim_fault(w, SIM_DATACENTER_CUT);
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        if (w->hosts[i].datacenter != d->h->datacenter)
            continue;
        sim_fault_cut(w, i, true, d->some_ns);
        for (unsigned c = 0; c < w->shape.clients; c++)
            cut_client(w, c, i, true, d->some_ns);
    }
}

static void store_trouble(struct sim_world *w, const struct draw *d)
{
    if (sim_below(w, 2)) {
        sim_fault(w, SIM_STORE_LAGS);
        sim_store_snapshot(&w->store);
        w->store_lags_until_ns = w->now_ns + d->short_ns;
    } else if (sim_below(w, 2)) {
        sim_fault(w, SIM_STORE_DOWN);
        w->store_down = true;
        if (w->now_ns + d->some_ns > w->store_down_until_ns)
            w->store_down_until_ns = w->now_ns + d->some_ns;
        sim_at(w, d->some_ns, EV_HEAL, d->index);
    }
}

/* The leader goes: connections end, a moment later there is another, and members that lag answer lists. */
static void change_leader(struct sim_world *w, const struct draw *d)
{
    const int64_t down_ns = (int64_t)sim_below(w, 500) * MS;
    sim_fault(w, SIM_STORE_DOWN);
    w->store_down = true;
    if (w->now_ns + down_ns > w->store_down_until_ns)
        w->store_down_until_ns = w->now_ns + down_ns;
    sim_at(w, down_ns, EV_HEAL, d->index);
    sim_fault(w, SIM_STORE_LAGS);
    sim_store_snapshot(&w->store);
    w->store_lags_until_ns = w->now_ns + down_ns + d->short_ns;
    sim_end_connections(w);
}

static void touch_records(struct sim_world *w, const struct draw *d)
{
    struct sim_host *h = d->h;
    struct sim_hold *hold = &h->holds[sim_below(w, w->shape.slots_per_worker)];
    const unsigned worker = (unsigned)sim_below(w, w->store.slot_count);
    struct sim_claim *claim;
    switch (sim_below(w, 6)) {
    case 0:
    case 1:
        sim_fault(w, SIM_CONFIG_TOUCH);
        sim_store_config_touched(&w->store);
        for (unsigned i = 0; i < w->shape.hosts; i++)
            w->hosts[i].clear_since_ns = w->now_ns;
        return;
    case 2:
    case 3:
        claim = hold->res.hold.active
                    ? sim_content_claim(&w->store.now, hold->res.hold.token, hold->res.hold.claim)
                    : NULL;
        if (!claim)
            return;
        sim_fault(w, SIM_CLAIM_DELETED);
        sim_trace(w, d->index, "its claim is deleted");
        sim_store_claim_gone(&w->store, claim);
        hold->claim_taken = true;
        return;
    case 4:
        if (!w->loses)
            return;
        if (!sim_store_record_gone(&w->store, h->datacenter, worker))
            return;
        sim_fault(w, SIM_RECORD_GONE);
        sim_trace(w, 99, "the record of slot %u/%u is gone", h->datacenter, worker);
        w->forgot = true; /* what survives does not say all of it any more */
        w->losses++;
        sim_push(w, d->some_ns,
                 (struct sim_event){.kind = EV_RECORD_BACK,
                                    .value = h->datacenter * SIM_SLOTS_MAX + worker});
        return;
    default:
        sim_fault(w, SIM_EXPIRE);
        if (h->session_live) {
            h->session_live = false;
            h->clear_since_ns = w->now_ns;
            sim_store_expire(&w->store, h->session);
        }
    }
}

static int64_t big_step_ns(struct sim_world *w)
{
    return ((int64_t)sim_below(w, 7200) - 3600) * S;
}

static void move_clock(struct sim_world *w, const struct draw *d)
{
    struct sim_host *h = d->h;
    switch (sim_below(w, 7)) {
    case 0:
    case 1:
        sim_fault(w, SIM_STEP_SMALL);
        h->real_offset_ns += ((int64_t)sim_below(w, 1600) - 800) * MS;
        return;
    case 2:
        sim_fault(w, SIM_STEP_BIG);
        h->real_offset_ns = h->real_offset_ns ? 0 : big_step_ns(w);
        return;
    case 3:
    case 4:
        /* As when a machine is moved: the clock jumps and comes back, answers may stay away. */
        sim_fault(w, SIM_BLIP);
        h->real_offset_ns = big_step_ns(w);
        sim_push(w, (int64_t)(300 + sim_below(w, 5700)) * MS,
                 (struct sim_event){.kind = EV_CLOCK_BACK, .host = d->index, .value = 1});
        if (sim_below(w, 2))
            sim_fault_cut(w, d->index, false, 2 * S + d->short_ns * 2);
        return;
    case 5:
        sim_fault(w, SIM_DRIFT);
        sim_set_drift(w, h, (int64_t)sim_below(w, 400000) - 200000);
        return;
    default:
        if (h->stalled_since_ns >= 0)
            return;
        sim_fault(w, SIM_CLOCK_STALL);
        h->stalled_since_ns = w->now_ns;
        sim_push(w, d->short_ns, (struct sim_event){.kind = EV_CLOCK_BACK, .host = d->index});
    }
}

static void spoil_sources(struct sim_world *w, const struct draw *d)
{
    static const enum sim_fault kinds[] = {SIM_SOURCE_SILENT, SIM_SERVER_LIES,
                                           SIM_SERVERS_DISAGREE};
    if (!d->h->has_ntp)
        return;
    d->h->sources_bad = kinds[sim_below(w, 3)];
    d->h->sources_bad_until_ns = w->now_ns + d->some_ns;
    sim_fault(w, d->h->sources_bad);
}

static void scale(struct sim_world *w)
{
    unsigned wanted = 0;
    for (unsigned i = 0; i < w->shape.hosts; i++)
        wanted += w->hosts[i].wanted;
    if (w->shape.at_first == w->shape.hosts)
        return;
    if (wanted == w->shape.at_first) {
        sim_fault(w, SIM_SCALE_UP);
        for (unsigned i = 0; i < w->shape.hosts; i++) {
            if (w->hosts[i].wanted)
                continue;
            w->hosts[i].wanted = true;
            sim_at(w, (int64_t)sim_below(w, 500) * MS, EV_START, i);
        }
        return;
    }
    sim_fault(w, SIM_SCALE_DOWN);
    for (unsigned i = 0; i < w->shape.hosts && wanted > w->shape.at_first; i++) {
        const unsigned index = (unsigned)((i * 7 + w->next_order) % w->shape.hosts);
        struct sim_host *h = &w->hosts[index];
        if (!h->wanted || h->paused)
            continue;
        h->wanted = false;
        wanted--;
        sim_drain(w, index);
    }
}

/* The next worker is stopped when the one before runs the new version. */
void sim_fault_roll(struct sim_world *w)
{
    while (w->rolling > 0 && w->rolling <= w->shape.hosts) {
        struct sim_host *h = &w->hosts[w->rolling - 1];
        if (h->wanted && !(h->alive && h->version == w->version)) {
            if (h->alive && !h->paused)
                sim_drain(w, w->rolling - 1);
            sim_at(w, S, EV_ROLL, 0);
            return;
        }
        w->rolling++;
    }
    w->rolling = 0;
}

static void roll(struct sim_world *w)
{
    if (w->rolling)
        return;
    sim_fault(w, SIM_ROLL);
    w->version++;
    w->rolling = 1;
    sim_fault_roll(w);
}

void sim_fault_turn(struct sim_world *w)
{
    sim_at(w, (int64_t)(sim_below(w, 2400) + 10) * MS, EV_FAULT, 0);
    if (w->calm)
        return;
    struct draw d = {.index = (unsigned)sim_below(w, w->shape.hosts),
                     .short_ns = (int64_t)sim_below(w, 4000) * MS};
    const int64_t long_ns = (int64_t)sim_below(w, 90000) * MS;
    d.h = &w->hosts[d.index];
    d.some_ns = sim_below(w, 2) ? d.short_ns : long_ns;
    sim_loss_turn(w);
    if (w->shape.elects && sim_below(w, 4) > 0) {
        change_leader(w, &d);
        return;
    }
    switch (sim_below(w, 20)) {
    case 0:
    case 1:
        kill(w, &d);
        return;
    case 2:
        kill_after_copy(w, &d);
        return;
    case 3:
        if (d.h->alive && !d.h->paused && !d.h->draining) {
            sim_fault(w, SIM_TERM);
            sim_drain(w, d.index);
        }
        return;
    case 4:
    case 5:
        pause_process(w, &d);
        return;
    case 6:
    case 7:
        cut_some(w, &d);
        return;
    case 8:
        store_trouble(w, &d);
        return;
    case 9:
    case 10:
        touch_records(w, &d);
        return;
    case 11:
    case 12:
    case 13:
    case 14:
        move_clock(w, &d);
        return;
    case 15:
        spoil_sources(w, &d);
        return;
    case 16:
        if (sim_below(w, 4) == 0)
            roll(w);
        else
            scale(w);
        return;
    case 17:
        cut_datacenter(w, &d);
        return;
    case 18:
        cut_some_client(w, &d);
        return;
    default:
        copy_files(w, d.h); /* somebody makes a copy */
    }
}

void sim_fault_heal(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    if (w->now_ns >= h->cut_until_ns && h->cut_back) {
        h->cut_to = h->cut_back = false;
        h->clear_since_ns = w->now_ns;
    }
    if (w->now_ns >= w->store_down_until_ns)
        w->store_down = false;
}

void sim_become_calm(struct sim_world *w)
{
    sim_trace(w, 99, "no more faults");
    w->calm = true;
    w->store_down = false;
    w->store_lags_until_ns = 0;
    w->rolling = 0;
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        struct sim_host *h = &w->hosts[i];
        h->cut_to = h->cut_back = false;
        sim_unstall(w, h);
        h->real_offset_ns = 0;
        h->sources_bad_until_ns = 0;
        h->clear_since_ns = w->now_ns;
        if (h->paused) {
            h->paused_until_ns = w->now_ns;
            sim_at(w, 1, EV_RESUME, i);
        }
        for (unsigned c = 0; c < w->shape.clients; c++) {
            w->clients[c].links[i].cut_to = w->clients[c].links[i].cut_back = false;
            w->clients[c].links[i].clear_since_ns = w->now_ns;
        }
    }
    for (unsigned d = 0; d < w->store.datacenters; d++)
        for (unsigned i = 0; i < w->store.slot_count; i++)
            sim_operator_resets(w, d, i);
}
