/* Worker processes: what the daemon does around its machines. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fleet.h"

#define DRAIN_DELAY_MS 3000 /* not ready any more, and still serving */
#define BOOT           "11111111-2222-4333-8444-555555555555"

static void save_file(struct sim_world *w, struct sim_host *h, struct sim_hold *hold)
{
    const struct sf_reservation *res = &hold->res;
    struct sf_state_header header;
    memset(&header, 0, sizeof header);
    header.held = res->hold.active && !res->orphan && res->hold.opened;
    memcpy(header.fleet_id, res->config.fleet_id, sizeof header.fleet_id);
    memcpy(header.boot_id, BOOT, sizeof header.boot_id);
    header.device = header.inode = 1;
    header.datacenter = res->params.datacenter;
    header.worker = res->hold.worker;
    header.fence = res->hold.fence;
    memcpy(header.claim, res->hold.claim, sizeof header.claim);
    memcpy(header.token, res->hold.token, sizeof header.token);
    memcpy(header.nonce, res->hold.record.nonce, sizeof header.nonce);
    header.version = res->hold.record.version;
    header.from_ms = res->hold.record.from_ms;
    header.reserved_until_ms = res->hold.record.reserved_until_ms;
    memcpy(header.lost, res->lost, sizeof header.lost);
    header.notice = res->notice;
    header.mint = h->policy.mint;
    (void)w;
    sf_state_put(&hold->block, &header);
    hold->file_lineage = hold->lineage;
}

void sim_save_files(struct sim_world *w, struct sim_host *h)
{
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
        if (h->holds[k].res.hold.active)
            save_file(w, h, &h->holds[k]);
}

void sim_die(struct sim_world *w, unsigned index, int64_t restart_ns)
{
    struct sim_host *h = &w->hosts[index];
    sim_trace(w, index, "dies (process %" PRIu64 ")", h->instance);
    h->alive = false;
    h->paused = false;
    h->serving_since_ns = -1;
    /* Nobody tells the store: it notices by the silence. */
    if (h->session_live)
        sim_push(w, SIM_SESSION_NS,
                 (struct sim_event){.kind = EV_EXPIRE, .host = index, .value = h->session});
    h->session_live = false;
    sim_at(w, restart_ns, EV_START, index);
}

void sim_drain(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    if (!h->alive || h->draining)
        return;
    h->draining = true;
    sim_at(w, (int64_t)sim_below(w, DRAIN_DELAY_MS) * MS, EV_LEAVE, index);
}

void sim_leave(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    const uint64_t instance = h->instance;
    if (!h->alive || h->leaving)
        return;
    h->draining = h->leaving = true;
    h->serving_since_ns = -1;
    const struct sf_reservation_event event = {
        .kind = SF_RES_LEAVE, .deadline_mono_ms = sim_mono_ns(w, h) / MS + SIM_LEAVE_MS};
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
        if (h->alive && h->instance == instance)
            sim_step(w, index, k, &event);
}

/* A machine has ended: the process ends with the last one; an error takes the others with it. */
static void machine_ended(struct sim_world *w, unsigned index, unsigned k, int exit_code)
{
    struct sim_host *h = &w->hosts[index];
    sim_trace(w, index, "machine %u ends with %d", k, exit_code);
    if (exit_code == 75)
        sim_path(w, SIM_NOT_RELEASED);
    h->holds[k].finished = true;
    bool all = true;
    for (unsigned i = 0; i < w->shape.slots_per_worker; i++)
        all = all && h->holds[i].finished;
    if (!all) {
        if (exit_code)
            sim_leave(w, index);
        return;
    }
    h->session_live = false; /* a clean end ends the session */
    sim_store_expire(&w->store, h->session);
    sim_die(w, index, (int64_t)sim_below(w, 5000) * MS);
}

/* Paths of the machine that it tells of itself. */
static void count_logs(struct sim_world *w, unsigned index, const struct sf_reservation_output *out)
{
    static const struct {
        const char *event;
        enum sim_path path;
    } told[] = {{"restart.forgotten", SIM_FILE_REFUSED},
                {"bid.dropped", SIM_BID_LOST},
                {"slot.waiting", SIM_WAITED_FOR_SLOT},
                {"slot.lost", SIM_ORPHANED},
                {"slot.gone", SIM_DROPPED},
                {"fleet.lost", SIM_LOST},
                {"worker.halted", SIM_HALT_SEEN},
                {"fleet.superseded", SIM_SUPERSEDED},
                {"fleet.exhausted", SIM_END_OF_TIME},
                {"worker.suspended", SIM_SUSPENDED},
                {"slot.released", SIM_RELEASED}};
    for (unsigned i = 0; i < out->log_count; i++) {
        sim_trace(w, index, "%s: %s", out->logs[i].event, out->logs[i].text);
        for (unsigned t = 0; t < sizeof told / sizeof told[0]; t++)
            if (strcmp(out->logs[i].event, told[t].event) == 0)
                sim_path(w, told[t].path);
    }
}

/* What of a machine tells which path it took in a step. */
struct seen {
    bool suspended, from_memory, held, orphan, remembered, config_stale, stray, waited;
    uint64_t limit_ms, bids_won;
    unsigned outstanding;
    enum sf_claim_status claim;
    char claim_name[SF_COORD_CLAIM_MAX];
};

static void look(const struct sim_hold *hold, struct seen *ret)
{
    const struct sf_reservation *res = &hold->res;
    *ret = (struct seen){.suspended = res->suspended,
                         .from_memory = res->bid_from_memory,
                         .held = res->hold.active,
                         .orphan = res->orphan,
                         .remembered = res->memory.valid,
                         .config_stale = res->config_known && res->config_stale,
                         .stray = res->busy && res->busy_on_stray,
                         .waited = res->memory.valid && !res->bid.active && res->retry_at_mono_ms,
                         .bids_won = res->stats.bids_won,
                         .outstanding = res->hold.outstanding_count,
                         .claim = res->claim_status};
    memcpy(ret->claim_name, res->hold.claim, sizeof ret->claim_name);
    if (res->generator_ready && !sf_generator_is_closed(&hold->gen))
        ret->limit_ms = sf_generator_limit_ms(&hold->gen);
}

static void count_paths(struct sim_world *w, const struct seen *was, const struct seen *is,
                        const struct sf_reservation_event *event)
{
    const struct sf_coord_completion *c =
        event->kind == SF_RES_COORD && event->coord->kind == SF_COORD_COMPLETION
            ? &event->coord->completion
            : NULL;
    const bool won = is->bids_won > was->bids_won;
    if (won && was->from_memory)
        sim_path(w, SIM_FAST_RESTART);
    if (was->orphan && (won || !is->held))
        sim_path(w, SIM_ORPHAN_SPENT);
    if (is->waited && !was->waited)
        sim_path(w, SIM_WAITED_FOR_CLOCK);
    if (was->suspended && !is->suspended)
        sim_path(w, is->held ? SIM_RESUMED_HOLDING : SIM_RESUMED_EMPTY);
    if (was->limit_ms > 0 && is->limit_ms > 0 && is->limit_ms < was->limit_ms && !won)
        sim_path(w, SIM_SHRUNK);
    if (was->held && is->held && !won && strcmp(was->claim_name, is->claim_name) != 0)
        sim_path(w, SIM_CLAIM_AGAIN);
    if (was->config_stale && !is->config_stale)
        sim_path(w, SIM_CONFIG_READ_AGAIN);
    if (was->claim == SF_CLAIM_DOUBTFUL && is->claim == SF_CLAIM_HAVE)
        sim_path(w, SIM_CLAIM_ADOPTED);
    if (c && was->stray && !is->stray && c->op == SF_COORD_UNCLAIM && c->outcome == SF_COORD_DONE)
        sim_path(w, SIM_STRAY_REMOVED);
    if (c && c->outcome == SF_COORD_UNKNOWN && is->outstanding > 0)
        sim_path(w, SIM_WRITE_UNKNOWN);
    if (c && c->op == SF_COORD_READ_SLOT && was->outstanding > 0 && is->outstanding == 0 &&
        was->held && is->held && !won)
        sim_path(w, SIM_WRITE_ADOPTED);
}

static void now_of(struct sim_world *w, const struct sim_host *h, struct sf_reservation_now *ret)
{
    *ret = (struct sf_reservation_now){.mono_ms = sim_mono_ns(w, h) / MS,
                                       .mint_ms = sim_mint_ms(w, h),
                                       .trusted_ms = sim_trusted_ms(w, h),
                                       .clock_ok = h->verdict.may_mint,
                                       .clock_text = h->verdict.text,
                                       .wants_server_time = h->verdict.source != SF_CLOCK_NTP};
    for (int i = 0; i < 16; i += 8) {
        const uint64_t r = sf_prng_next(&w->prng);
        memcpy(ret->random + i, &r, 8);
    }
}

void sim_step(struct sim_world *w, unsigned index, unsigned k,
              const struct sf_reservation_event *event)
{
    struct sim_host *h = &w->hosts[index];
    struct sim_hold *hold = &h->holds[k];
    struct sf_reservation_output out;
    struct sf_reservation_now now;
    struct seen was, is;
    if (hold->finished)
        return;
    if (sim_chance(w, 0.05) && h->policy.has_mint)
        sim_load_slowly(w, index, k, sim_since_epoch_ms(w, h));
    now_of(w, h, &now);
    look(hold, &was);
    sf_reservation_step(&hold->res, event, &now, &out);
    look(hold, &is);
    w->result->steps++;
    count_logs(w, index, &out);
    count_paths(w, &was, &is, event);
    sim_judge_step(w, index, k, event, &now, &out);
    if (out.save && sim_chance(w, 0.002)) {
        sim_fault(w, SIM_KILL_BEFORE_SAVE);
        for (unsigned i = 0; i < 3 && h->policy.has_mint; i++) /* others mint meanwhile */
            sim_mint_end(w, index, k, sim_since_epoch_ms(w, h) + 10 * i, false);
        sim_die(w, index, (int64_t)sim_below(w, 2000) * MS);
        return;
    }
    if (out.save || out.forget)
        save_file(w, h, hold);
    if (was.remembered && !hold->res.memory.valid && !hold->res.hold.active)
        hold->lineage = ++w->next_instance; /* the file was not believed: a stranger from here on */
    if (out.finished) {
        machine_ended(w, index, k, out.exit_code);
        return;
    }
    if (out.has_request)
        sim_submit(w, index, k, &out.request);
    const int64_t wait_ms = out.wake_mono_ms - now.mono_ms;
    sim_push(w, (wait_ms < 1 ? 1 : wait_ms) * MS,
             (struct sim_event){.kind = EV_STEP,
                                .host = index,
                                .hold = k,
                                .instance = h->instance,
                                .value = ++hold->wake});
    sim_judge_serving(w, index);
}

void sim_deliver(struct sim_world *w, unsigned index, struct sf_coord_event *coord)
{
    struct sim_host *h = &w->hosts[index];
    const uint64_t instance = h->instance;
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
        if (h->alive && h->instance == instance)
            sim_step(w, index, k,
                     &(struct sf_reservation_event){.kind = SF_RES_COORD, .coord = coord});
    sf_coord_event_free(coord);
}

static void start_machine(struct sim_world *w, unsigned index, unsigned k)
{
    struct sim_host *h = &w->hosts[index];
    struct sim_hold *hold = &h->holds[k];
    struct sf_reservation_params params = {.datacenter = h->datacenter,
                                           .pinned_worker = -1,
                                           .probes = w->shape.probes,
                                           .window_ms = w->shape.window_ms,
                                           .min_window_ms = w->shape.min_window_ms,
                                           .max_silence_ms = w->shape.max_silence_ms,
                                           .max_behind_ms = SIM_MAX_OFFSET_NS / MS};
    snprintf(params.node, sizeof params.node, "h%u.%u", index, k);
    snprintf(params.address, sizeof params.address, "10.0.0.%u:7450", index + 1);
    snprintf(params.version, sizeof params.version, "1.%u", h->version);
    struct sf_reservation_memory memory;
    struct sf_error why = {0};
    sf_state_recall(&hold->block, BOOT, 1, 1, sim_mono_ns(w, h), SIM_MAX_AHEAD_MS, &memory, &why);
    hold->minted_ms = 0;
    const uint64_t last = memory.valid ? memory.last_word >> w->shape.layout.sequence_bits : 0;
    /* The file's word is raised by whole spans: so much was minted at least. One that minting time
     * cannot have reached (a minter's clock jumped) is not believed. */
    if (memory.valid &&
        (int64_t)last + SF_DEFAULT_EPOCH_MS < memory.not_before_ms + SF_GENERATOR_COPY_SPAN_MS) {
        hold->minted_ms = (int64_t)(last - last % SF_GENERATOR_COPY_SPAN_MS) + SF_DEFAULT_EPOCH_MS;
        memcpy(hold->minted_token, memory.token, sizeof hold->minted_token);
    }
    if (!memory.valid) {
        atomic_store(&hold->block.word, 0);
        hold->lineage = ++w->next_instance;
        sim_path(w, SIM_STRANGER);
    } else {
        hold->lineage = hold->file_lineage;
    }
    uint8_t random[16];
    const uint64_t r = sf_prng_next(&w->prng);
    memcpy(random, &r, 8);
    memcpy(random + 8, &r, 8);
    hold->last_word = 0;
    hold->slow = false;
    hold->finished = hold->claim_taken = false;
    hold->open_requests = 0;
    hold->reported.until_ms = 0;
    hold->unread = false;
    hold->knows_loss_since_ns = -1;
    hold->claimless_since_ns = hold->seeking_since_ns = w->now_ns;
    atomic_store(&hold->word, SF_GENERATOR_CLOSED | (memory.valid ? memory.last_word : 0));
    sf_reservation_init(&hold->res, &params, &hold->gen, &hold->word, SIM_MAX_AHEAD_MS, &memory,
                        random);
    hold->res.copy = &hold->block.word;
    hold->res.next_id = (uint64_t)k << 56; /* all machines share one session */
    sim_trace(w, index, "machine %u starts in process %" PRIu64 "%s", k, h->instance,
              memory.valid ? ", remembers" : "");
    sim_push(w, 2 * MS,
             (struct sim_event){.kind = EV_STEP,
                                .host = index,
                                .hold = k,
                                .instance = h->instance,
                                .value = ++hold->wake});
    sim_push(
        w, 3 * MS,
        (struct sim_event){.kind = EV_MINT, .host = index, .hold = k, .instance = h->instance});
}

void sim_start(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    h->alive = true;
    h->draining = h->leaving = h->connected = h->session_live = h->cut_to = h->cut_back = false;
    h->watching = h->broken = false;
    h->instance = ++w->next_instance;
    h->contact_ns = h->clear_since_ns = w->now_ns;
    if (h->version != w->version)
        sim_path(w, SIM_UPGRADED);
    h->version = w->version;
    sim_clock_start(w, h);
    for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
        start_machine(w, index, k);
    sim_at(w, 0, EV_CLOCK, index);
    sim_at(w, 1 * MS, EV_LINK, index);
}
