#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/ticks.h"

#define MS SF_NS_PER_MS
#define S  SF_NS_PER_S

#define SESSION_NS    (10 * S)
#define WINDOW_MS     60000
#define MIN_WINDOW_MS 6000
#define MAX_AHEAD_MS  10
#define BOOT          "11111111-2222-4333-8444-555555555555"

const char *const sim_fault_names[SIM_FAULTS] = {
    "kill",        "kill+lost_file", "kill+old_file", "kill_before_save", "term",   "pause",
    "mint_pause",  "cut_both",       "cut_answers",   "store_down",       "expire", "request_lost",
    "answer_lost", "late_apply",     "step_small",    "step_big",         "drift",  "config_touch"};

enum event_kind {
    EV_STEP,
    EV_ARRIVE,
    EV_ANSWER,
    EV_DEADLINE,
    EV_MINT,
    EV_MINT_END,
    EV_SWAP,
    EV_CLOCK,
    EV_FAULT,
    EV_START,
    EV_RESUME,
    EV_SESSION,
    EV_EXPIRE,
    EV_HEAL,
    EV_LINK
};

struct flight {
    struct sf_coord_request request;
    uint64_t session, instance, lineage;
    unsigned host;
    bool completed;
    unsigned references;
};

struct event {
    int64_t at_ns;
    uint64_t order;
    enum event_kind kind;
    unsigned host;
    uint64_t instance;
    struct flight *flight;
    struct sf_coord_event *coord;
    uint64_t value;
};

struct host {
    bool alive, paused, connected, cut_to, cut_back, leaving;
    int64_t paused_until_ns, cut_until_ns;
    uint64_t instance, session;
    uint64_t lineage; /* owner in the book: a fast restart goes on with its predecessor's */
    bool session_live;
    int64_t contact_ns;
    struct sf_reservation res;
    struct sf_generator gen;
    struct sf_policy policy;
    struct sf_clock_verdict verdict;
    bool has_ntp;
    struct sf_coordinator_time coordinator;
    int64_t real_offset_ns; /* wall clock less true time, steps included */
    int64_t lie_ns;         /* in a wild world: what its time sources are wrong by */
    int64_t drift_ppb, drift_base_ns, drift_sum_ns;
    uint64_t last_word;
    uint64_t slow_word, slow_limit, slow_first; /* a minter between its loads and its swap */
    uint64_t file_lineage, old_lineage;         /* whose slot the files speak of */
    uint64_t wake;                              /* only the newest timer counts */
    struct sf_state_block block,
        old_block; /* what lies in the state directory; survives the process */
};

struct world {
    struct sim_options options;
    struct sim_result *result;
    struct sf_prng prng;
    int64_t now_ns;
    struct event *heap;
    size_t heap_count, heap_size;
    uint64_t next_order, next_instance, next_session;
    struct sim_store store;
    bool store_down, calm;
    bool wild;    /* the time sources of each host lie by a constant of their own */
    double lossy; /* how often a message is lost, late or slow */
    int64_t store_down_until_ns;
    struct host hosts[SIM_HOSTS_MAX];
    /* Every ID: a bit for each sequence of a slot's millisecond. */
    struct {
        uint64_t key, bits;
    } * seen;
    size_t seen_size, seen_count;
};

/* --- small things --- */

static uint64_t below(struct world *w, uint64_t n)
{
    return sf_prng_below(&w->prng, n);
}
static bool chance(struct world *w, double p)
{
    if (w->calm)
        return false;
    return (double)(sf_prng_next(&w->prng) >> 11) * 0x1p-53 < p * w->options.fault_scale;
}

static void trace(struct world *w, unsigned host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void trace(struct world *w, unsigned host, const char *format, ...)
{
    if (!w->options.trace)
        return;
    va_list args;
    va_start(args, format);
    printf("%12.3f h%u ", (double)w->now_ns / 1e6, host);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static void fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct world *w, const char *format, ...)
{
    if (w->result->failed)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->result->why, sizeof w->result->why, format, args);
    va_end(args);
    w->result->failed = true;
}

static void fault(struct world *w, enum sim_fault f)
{
    w->result->faults[f]++;
}

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void push(struct world *w, struct event event)
{
    if (w->heap_count == w->heap_size) {
        w->heap_size = w->heap_size ? w->heap_size * 2 : 256;
        w->heap = realloc(w->heap, w->heap_size * sizeof *w->heap);
        SF_ASSERT(w->heap);
    }
    event.order = w->next_order++;
    size_t i = w->heap_count++;
    while (i > 0 && before(&event, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = event;
}

static struct event pop(struct world *w)
{
    const struct event top = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_count)
            break;
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

static void at(struct world *w, int64_t delay_ns, enum event_kind kind, unsigned host)
{
    push(w, (struct event){.at_ns = w->now_ns + delay_ns,
                           .kind = kind,
                           .host = host,
                           .instance = w->hosts[host].instance});
}

/* --- clocks --- */

static int64_t true_unix_ns(const struct world *w)
{
    return (SF_DEFAULT_EPOCH_MS + 1000000000) * MS + w->now_ns;
}

static int64_t drifted_ns(const struct world *w, const struct host *h)
{
    return h->drift_sum_ns + (w->now_ns - h->drift_base_ns) / 1000 * h->drift_ppb / 1000000;
}
static int64_t mono_ns(const struct world *w, const struct host *h)
{
    return w->now_ns + 1000 * S + drifted_ns(w, h);
}
static int64_t real_ns(const struct world *w, const struct host *h)
{
    return true_unix_ns(w) + h->lie_ns + h->real_offset_ns + drifted_ns(w, h);
}
static int64_t mint_ms(const struct world *w, const struct host *h)
{
    if (!h->policy.has_mint)
        return real_ns(w, h) / MS;
    return sf_minttime_at(&h->policy.mint, mono_ns(w, h)) / MS;
}

/* --- the checker --- */

static void check_unique(struct world *w, uint64_t worker, uint64_t ms, uint64_t sequence)
{
    if (w->seen_count * 2 >= w->seen_size) {
        const size_t old_size = w->seen_size;
        typeof(w->seen) old = w->seen;
        w->seen_size = old_size ? old_size * 2 : 1 << 14;
        w->seen = calloc(w->seen_size, sizeof *w->seen);
        SF_ASSERT(w->seen);
        for (size_t i = 0; i < old_size; i++) {
            if (!old[i].key)
                continue;
            size_t k =
                (size_t)(old[i].key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (w->seen_size - 1);
            while (w->seen[k].key)
                k = (k + 1) & (w->seen_size - 1);
            w->seen[k] = old[i];
        }
        free(old);
    }
    const uint64_t key = (ms << 6 | worker) + 1;
    size_t k = (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (w->seen_size - 1);
    while (w->seen[k].key && w->seen[k].key != key)
        k = (k + 1) & (w->seen_size - 1);
    if (!w->seen[k].key) {
        w->seen[k].key = key;
        w->seen_count++;
    }
    if (w->seen[k].bits >> sequence & 1)
        fail(w, "DUPLICATE: slot %llu ms %llu sequence %llu", (unsigned long long)worker,
             (unsigned long long)ms, (unsigned long long)sequence);
    w->seen[k].bits |= UINT64_C(1) << sequence;
}

static void check_mint(struct world *w, unsigned index, const struct sf_mint *mint)
{
    struct host *h = &w->hosts[index];
    const struct sf_layout *layout = &w->options.layout;
    const uint64_t worker = mint->slot_bits >> layout->sequence_bits;
    if (mint->first_word <= h->last_word)
        fail(w, "ORDER: process %llu went back", (unsigned long long)h->instance);
    h->last_word = mint->first_word + mint->count - 1;
    int64_t audited_ms = -1;
    for (uint32_t i = 0; i < mint->count && !w->result->failed; i++) {
        const uint64_t word = mint->first_word + i;
        const uint64_t ms = word >> layout->sequence_bits;
        const int64_t unix_ms = (int64_t)ms + SF_DEFAULT_EPOCH_MS;
        if (unix_ms != audited_ms) {
            const char *why = sim_store_audit(&w->store, h->lineage, worker, unix_ms);
            if (why)
                fail(w, "GRANT: process %llu minted %lld ms in slot %llu: %s",
                     (unsigned long long)h->instance, (long long)unix_ms,
                     (unsigned long long)worker, why);
            audited_ms = unix_ms;
        }
        check_unique(w, worker, ms, word & ((UINT64_C(1) << layout->sequence_bits) - 1));
    }
    w->result->ids += mint->count;
    w->result->mints++;
}

/* --- stepping a machine --- */

static void submit(struct world *w, unsigned index, const struct sf_coord_request *request);

static void save_file(struct world *w, struct host *h)
{
    struct sf_state_header header;
    memset(&header, 0, sizeof header);
    header.held = h->res.hold.active && !h->res.orphan && h->res.hold.opened;
    memcpy(header.fleet_id, h->res.config.fleet_id, sizeof header.fleet_id);
    strcpy(header.boot_id, BOOT);
    header.device = header.inode = 1;
    header.datacenter = h->res.params.datacenter;
    header.worker = h->res.hold.worker;
    header.fence = h->res.hold.fence;
    header.version = h->res.hold.version;
    header.mint = h->policy.mint;
    (void)w;
    sf_state_put(&h->block, &header);
    h->file_lineage = h->lineage;
}

static void die(struct world *w, unsigned index, int64_t restart_ns)
{
    struct host *h = &w->hosts[index];
    trace(w, index, "dies (process %llu)", (unsigned long long)h->instance);
    h->alive = false;
    h->paused = false;
    /* Nobody tells the store: it notices by the silence. */
    if (h->session_live)
        push(w, (struct event){.at_ns = w->now_ns + SESSION_NS,
                               .kind = EV_EXPIRE,
                               .host = index,
                               .value = h->session});
    h->session_live = false;
    at(w, restart_ns, EV_START, index);
}

static void step(struct world *w, unsigned index, const struct sf_reservation_event *event)
{
    struct host *h = &w->hosts[index];
    struct sf_reservation_output out;
    struct sf_reservation_now now = {.mono_ms = mono_ns(w, h) / MS,
                                     .mint_ms = mint_ms(w, h),
                                     .trusted_ms = -1,
                                     .clock_ok = h->verdict.may_mint,
                                     .clock_text = h->verdict.text};
    for (int i = 0; i < 16; i += 8) {
        const uint64_t r = sf_prng_next(&w->prng);
        memcpy(now.random + i, &r, 8);
    }
    now.wants_server_time = h->verdict.source != SF_CLOCK_NTP;
    if (h->verdict.trusted)
        now.trusted_ms =
            (h->verdict.trusted_high_ns + mono_ns(w, h) - h->verdict.trusted_mono_ns) / MS + 1;
    else if (h->coordinator.known)
        now.trusted_ms = (h->coordinator.server_ns + h->coordinator.error_ns + mono_ns(w, h) -
                          h->coordinator.mono_ns) /
                             MS +
                         1;
    const uint64_t lost = h->res.stats.slots_lost;
    const bool was_suspended = h->res.suspended, had_memory = h->res.bid_from_memory;
    const bool remembered = h->res.memory.valid;
    const uint64_t releases = h->res.stats.releases, uncertain = h->res.stats.renewals_uncertain;
    const uint64_t limit = h->res.generator_ready ? sf_generator_limit_ms(&h->gen) : 0;
    sf_reservation_step(&h->res, event, &now, &out);
    w->result->steps++;
    w->result->orphans += h->res.stats.slots_lost - lost;
    w->result->suspensions += !was_suspended && h->res.suspended;
    w->result->releases += h->res.stats.releases - releases;
    w->result->uncertain += h->res.stats.renewals_uncertain - uncertain;
    w->result->fast_restarts += had_memory && h->res.hold.active && !h->res.bid_from_memory;
    w->result->shrinks += h->res.generator_ready && sf_generator_limit_ms(&h->gen) < limit &&
                          !sf_generator_is_closed(&h->gen);
    for (unsigned i = 0; i < out.log_count; i++)
        trace(w, index, "%s: %s", out.logs[i].event, out.logs[i].text);
    if (out.save && chance(w, 0.002)) {
        fault(w, SIM_KILL_BEFORE_SAVE);
        die(w, index, (int64_t)below(w, 2000) * MS);
        return;
    }
    if (out.save || out.forget)
        save_file(w, h);
    if (out.finished) {
        trace(w, index, "exits %d", out.exit_code);
        h->session_live = false; /* a clean end ends the session */
        sim_store_expire(&w->store, h->session);
        die(w, index, (int64_t)below(w, 5000) * MS);
        return;
    }
    if (remembered && !h->res.memory.valid && !h->res.hold.active)
        h->lineage = ++w->next_instance; /* the file was not believed: a stranger from here on */
    if (out.has_request)
        submit(w, index, &out.request);
    const int64_t wait_ms = out.wake_mono_ms - now.mono_ms;
    push(w, (struct event){.at_ns = w->now_ns + (wait_ms < 1 ? 1 : wait_ms) * MS,
                           .kind = EV_STEP,
                           .host = index,
                           .instance = h->instance,
                           .value = ++h->wake});
}

static void deliver(struct world *w, unsigned index, struct sf_coord_event *coord)
{
    struct host *h = &w->hosts[index];
    if (coord->kind == SF_COORD_COMPLETION && coord->completion.server_ms >= 0)
        h->coordinator = (struct sf_coordinator_time){.known = true,
                                                      .server_ns = coord->completion.server_ms * MS,
                                                      .error_ns = 30 * MS,
                                                      .mono_ns = mono_ns(w, h)};
    step(w, index, &(struct sf_reservation_event){.kind = SF_RES_COORD, .coord = coord});
    sf_coord_event_free(coord);
}

/* --- network --- */

static void unref(struct flight *flight)
{
    if (--flight->references == 0)
        free(flight);
}

static void fly(struct world *w, int64_t delay_ns, enum event_kind kind, struct flight *flight,
                struct sf_coord_event *coord)
{
    flight->references++;
    push(w, (struct event){.at_ns = w->now_ns + delay_ns,
                           .kind = kind,
                           .host = flight->host,
                           .instance = flight->instance,
                           .flight = flight,
                           .coord = coord});
}

static int64_t hop_ns(struct world *w)
{
    if (chance(w, 0.01))
        return (int64_t)below(w, 400) * MS;
    return (int64_t)below(w, 3000) * 1000 + 200000;
}

static void submit(struct world *w, unsigned index, const struct sf_coord_request *request)
{
    struct host *h = &w->hosts[index];
    struct flight *flight = calloc(1, sizeof *flight);
    SF_ASSERT(flight);
    flight->request = *request;
    flight->session = h->session;
    flight->instance = h->instance;
    flight->lineage = h->lineage;
    flight->host = index;
    flight->references = 1;
    fly(w, (int64_t)request->deadline_ms * MS, EV_DEADLINE, flight, NULL);
    if (chance(w, w->lossy)) {
        fault(w, SIM_REQUEST_LOST);
    } else if (chance(w, w->lossy)) {
        fault(w, SIM_LATE_APPLY);
        fly(w, (int64_t)(request->deadline_ms + below(w, 12000)) * MS, EV_ARRIVE, flight, NULL);
    } else {
        fly(w, hop_ns(w), EV_ARRIVE, flight, NULL);
    }
    unref(flight);
}

/* A wrong clock must not reserve further than the window, the margin and what the coordinator's
 * time and a drifting oscillator may be wrong. */
static void check_far(struct world *w, const struct flight *flight,
                      const struct sf_coord_event *answer)
{
    const enum sf_coord_op op = flight->request.op;
    if (w->wild || answer->completion.outcome != SF_COORD_DONE ||
        (op != SF_COORD_BIND && op != SF_COORD_RENEW))
        return;
    const int64_t ahead_ms = flight->request.u.write.slot.reserved_until_ms - true_unix_ns(w) / MS;
    if (ahead_ms > WINDOW_MS + SF_RES_MARGIN_MS + 500)
        fail(w, "POISON: process %llu reserved slot %llu for %lld ms from now",
             (unsigned long long)flight->instance,
             (unsigned long long)flight->request.u.write.slot.worker, (long long)ahead_ms);
}

static void arrive(struct world *w, struct event *event)
{
    struct flight *flight = event->flight;
    struct host *h = &w->hosts[flight->host];
    if (w->store_down || (h->cut_to && h->instance == flight->instance))
        return;
    /* A session that has ended makes no claims. */
    if (flight->request.op == SF_COORD_CLAIM && (flight->session != h->session || !h->session_live))
        return;
    struct sf_coord_event *answer = sim_store_apply(&w->store, &flight->request, flight->session,
                                                    flight->lineage, true_unix_ns(w) / MS);
    check_far(w, flight, answer);
    if (chance(w, w->lossy)) {
        fault(w, SIM_ANSWER_LOST);
        sf_coord_event_free(answer);
        return;
    }
    fly(w, hop_ns(w), EV_ANSWER, flight, answer);
}

static void answered(struct world *w, struct event *event)
{
    struct flight *flight = event->flight;
    struct host *h = &w->hosts[flight->host];
    const bool reaches =
        h->alive && h->instance == flight->instance && !h->cut_back && !w->store_down;
    if (!reaches || flight->completed) {
        sf_coord_event_free(event->coord);
        return;
    }
    if (h->paused) {
        struct event later = *event;
        later.at_ns = h->paused_until_ns + 1;
        flight->references++;
        push(w, later);
        return;
    }
    flight->completed = true;
    deliver(w, flight->host, event->coord);
}

static void deadline(struct world *w, struct event *event)
{
    struct flight *flight = event->flight;
    struct host *h = &w->hosts[flight->host];
    if (flight->completed || !h->alive || h->instance != flight->instance)
        return;
    if (h->paused) {
        struct event later = *event;
        later.at_ns = h->paused_until_ns + 2;
        flight->references++;
        push(w, later);
        return;
    }
    flight->completed = true;
    const enum sf_coord_op op = flight->request.op;
    const bool writes = op == SF_COORD_CLAIM || op == SF_COORD_UNCLAIM || op == SF_COORD_BIND ||
                        op == SF_COORD_RENEW || op == SF_COORD_RELEASE;
    deliver(w, flight->host,
            sf_coord_event_completion(&flight->request, writes ? SF_COORD_UNKNOWN : SF_COORD_LOST,
                                      SF_COORD_UNREACHABLE, "no answer"));
}

/* The link is looked at ten times a second: contact, session, connected or not. */
static void link_turn(struct world *w, unsigned index)
{
    struct host *h = &w->hosts[index];
    at(w, 100 * MS, EV_LINK, index);
    if (h->paused)
        return;
    const bool reaches = !w->store_down && !h->cut_to && !h->cut_back;
    if (!reaches) {
        if (h->connected && w->now_ns - h->contact_ns > SESSION_NS * 2 / 3) {
            h->connected = false;
            deliver(w, index, sf_coord_event_notice(SF_COORD_DISCONNECTED, "silent"));
        }
        return;
    }
    h->contact_ns = w->now_ns;
    if (!h->session_live) {
        h->session = ++w->next_session;
        h->session_live = true;
        if (h->connected || h->res.claim_status != SF_CLAIM_NONE)
            deliver(w, index, sf_coord_event_notice(SF_COORD_SESSION_LOST, "expired"));
        if (!h->alive || h->paused)
            return;
    }
    if (!h->connected) {
        h->connected = true;
        deliver(w, index, sf_coord_event_notice(SF_COORD_CONNECTED, "again"));
    }
}

static void session_turn(struct world *w)
{
    for (unsigned i = 0; i < w->options.workers; i++) {
        struct host *h = &w->hosts[i];
        if (w->store_down)
            h->contact_ns = w->now_ns; /* a quorum that is back restarts every session clock */
        if (h->session_live && w->now_ns - h->contact_ns > SESSION_NS) {
            h->session_live = false;
            trace(w, i, "session %llu expires", (unsigned long long)h->session);
            sim_store_expire(&w->store, h->session);
        }
    }
    at(w, 500 * MS, EV_SESSION, 0);
}

/* --- processes --- */

static void start(struct world *w, unsigned index)
{
    struct host *h = &w->hosts[index];
    h->alive = true;
    h->leaving = h->connected = h->session_live = h->cut_to = h->cut_back = false;
    h->instance = ++w->next_instance;
    h->last_word = 0;
    h->slow_first = 0;
    h->contact_ns = w->now_ns;
    memset(&h->verdict, 0, sizeof h->verdict);
    h->coordinator.known = false;
    const struct sf_policy_options policy = {.warn_ns = 100 * MS, .max_ns = S, .start_grace_ns = S};
    sf_policy_init(&h->policy, &policy, mono_ns(w, h));
    struct sf_reservation_params params = {.datacenter = 0,
                                           .pinned_worker = -1,
                                           .window_ms = WINDOW_MS,
                                           .min_window_ms = MIN_WINDOW_MS,
                                           .max_behind_ms = 1000};
    snprintf(params.node, sizeof params.node, "h%u", index);
    struct sf_reservation_memory memory;
    struct sf_error why;
    sf_state_recall(&h->block, BOOT, 1, 1, mono_ns(w, h), MAX_AHEAD_MS, &memory, &why);
    if (!memory.valid) {
        atomic_store(&h->block.word, SF_GENERATOR_CLOSED);
        h->lineage = h->instance;
        w->result->strangers++;
    } else {
        h->lineage = h->file_lineage;
    }
    uint8_t random[16];
    const uint64_t r = sf_prng_next(&w->prng);
    memcpy(random, &r, 8);
    memcpy(random + 8, &r, 8);
    sf_reservation_init(&h->res, &params, &h->gen, &h->block.word, MAX_AHEAD_MS, &memory, random);
    trace(w, index, "starts as process %llu%s", (unsigned long long)h->instance,
          memory.valid ? ", remembers" : "");
    at(w, 0, EV_CLOCK, index);
    at(w, 1 * MS, EV_LINK, index);
    push(w, (struct event){.at_ns = w->now_ns + 2 * MS,
                           .kind = EV_STEP,
                           .host = index,
                           .instance = h->instance,
                           .value = ++h->wake});
    at(w, 3 * MS, EV_MINT, index);
}

static void clock_turn(struct world *w, unsigned index)
{
    struct host *h = &w->hosts[index];
    at(w, 250 * MS, EV_CLOCK, index);
    if (h->paused)
        return;
    struct sf_reading reading = {.kind = SF_CLOCK_NTP,
                                 .status = SF_READING_SYNCED,
                                 .has_time = true,
                                 .as_of_mono_ns = mono_ns(w, h),
                                 .good_mono_ns = mono_ns(w, h),
                                 .error_ns = 3 * MS,
                                 .base_ns = true_unix_ns(w) + h->lie_ns - mono_ns(w, h) +
                                            (int64_t)below(w, 2000000) - 1000000,
                                 .stale_after_ns = 60 * S,
                                 .expired_after_ns = 3600 * S,
                                 .sources = 3};
    const struct sf_policy_input input = {
        .real_ns = real_ns(w, h),
        .mono_ns = mono_ns(w, h),
        .readings = &reading,
        .reading_count = h->has_ntp ? 1 : 0,
        .coordinator = h->coordinator,
        .minted_ns =
            h->res.minted_once ? sf_generator_last_ms(&h->gen) * MS + SF_DEFAULT_EPOCH_MS * MS : 0};
    struct sf_policy_output out;
    sf_policy_evaluate(&h->policy, &input, &out);
    const bool changed = out.verdict.may_mint != h->verdict.may_mint;
    h->verdict = out.verdict;
    if (out.mint_changed && h->res.hold.active)
        save_file(w, h);
    if (changed)
        step(w, index, &(struct sf_reservation_event){.kind = SF_RES_TICK});
}

static void finish_mint(struct world *w, unsigned index, uint64_t now_ms)
{
    struct host *h = &w->hosts[index];
    struct sf_mint mint;
    if (!h->res.generator_ready)
        return;
    const uint64_t jitter = below(w, 8);
    if (sf_generator_mint(&h->gen, now_ms, 0, jitter, (uint32_t)below(w, 90) + 1, &mint) ==
        SF_MINT_OK)
        check_mint(w, index, &mint);
}

/* A minter that loses the processor between its loads and its compare-and-swap: the loop of
 * sf_generator_mint, cut in two. Its clock may have jumped to the end of the reservation. */
static void load_slowly(struct world *w, unsigned index, uint64_t now_ms)
{
    struct host *h = &w->hosts[index];
    if (!h->res.generator_ready || sf_generator_is_closed(&h->gen) || h->slow_first)
        return;
    h->slow_word = atomic_load(&h->block.word);
    h->slow_limit = atomic_load(&h->gen.limit_word);
    const unsigned bits = h->gen.layout.sequence_bits;
    if (below(w, 4) == 0 && sf_generator_limit_ms(&h->gen) > 0)
        now_ms = sf_generator_limit_ms(&h->gen) - 1;
    const uint64_t fresh = now_ms << bits;
    h->slow_first = h->slow_word + 1 > fresh ? h->slow_word + 1 : fresh;
    push(w, (struct event){.at_ns = w->now_ns + (int64_t)below(w, 3000) * MS,
                           .kind = EV_SWAP,
                           .host = index,
                           .instance = h->instance});
}

static void swap_slowly(struct world *w, unsigned index)
{
    struct host *h = &w->hosts[index];
    struct sf_mint mint = {.first_word = h->slow_first, .count = 1};
    h->slow_first = 0;
    if (mint.first_word >= h->slow_limit)
        return;
    mint.slot_bits = atomic_load(&h->gen.slot_bits);
    if (atomic_compare_exchange_strong(&h->block.word, &h->slow_word, mint.first_word))
        check_mint(w, index, &mint);
}

static void mint_turn(struct world *w, unsigned index)
{
    struct host *h = &w->hosts[index];
    at(w, (int64_t)(below(w, 160) + 1) * MS, EV_MINT, index);
    if (h->paused || !h->policy.has_mint)
        return;
    const int64_t ms = mint_ms(w, h) - SF_DEFAULT_EPOCH_MS;
    const uint64_t now_ms = ms > 0 ? (uint64_t)ms : 0;
    if (chance(w, 0.02))
        load_slowly(w, index, now_ms);
    if (chance(w, 0.1) && h->res.generator_ready) {
        finish_mint(w, index, sf_generator_last_ms(&h->gen)); /* a clock that lags: at the start */
        return;
    }
    if (chance(w, 0.01)) {
        fault(w, SIM_MINT_PAUSE);
        push(w, (struct event){.at_ns = w->now_ns + (int64_t)below(w, 30000) * MS,
                               .kind = EV_MINT_END,
                               .host = index,
                               .instance = h->instance,
                               .value = now_ms});
        return;
    }
    finish_mint(w, index, now_ms);
}

/* --- faults --- */

static void fault_turn(struct world *w)
{
    at(w, (int64_t)(below(w, 3000) + 10) * MS, EV_FAULT, 0);
    if (w->calm)
        return;
    const unsigned index = (unsigned)below(w, w->options.workers);
    struct host *h = &w->hosts[index];
    const int64_t short_ns = (int64_t)below(w, 4000) * MS, long_ns = (int64_t)below(w, 90000) * MS;
    const int64_t some_ns = below(w, 2) ? short_ns : long_ns;
    switch (below(w, 14)) {
    case 0:
    case 1:
        if (!h->alive)
            return;
        fault(w, SIM_KILL);
        if (below(w, 4) == 0) {
            fault(w, SIM_KILL_LOSE_FILE);
            memset(&h->block, 0, sizeof h->block);
        } else if (below(w, 4) == 0) {
            fault(w, SIM_KILL_OLD_FILE); /* a copy put back in place */
            h->block = h->old_block;
            h->file_lineage = h->old_lineage;
        }
        die(w, index, below(w, 3) ? (int64_t)below(w, 300) * MS : some_ns);
        return;
    case 2:
        if (!h->alive || h->paused || h->leaving)
            return;
        fault(w, SIM_TERM);
        h->leaving = true;
        step(w, index,
             &(struct sf_reservation_event){.kind = SF_RES_LEAVE,
                                            .deadline_mono_ms = mono_ns(w, h) / MS + 15000});
        return;
    case 3:
    case 4:
        if (!h->alive || h->paused)
            return;
        fault(w, SIM_PAUSE);
        trace(w, index, "paused for %lld ms", (long long)(some_ns / MS));
        h->paused = true;
        h->paused_until_ns = w->now_ns + some_ns;
        push(w, (struct event){.at_ns = h->paused_until_ns,
                               .kind = EV_RESUME,
                               .host = index,
                               .instance = h->instance});
        return;
    case 5:
    case 6:
        fault(w, below(w, 2) ? SIM_CUT_BOTH : SIM_CUT_ANSWERS);
        h->cut_to = below(w, 2);
        h->cut_back = true;
        at(w, some_ns, EV_HEAL, index);
        return;
    case 7:
        if (below(w, 4))
            return;
        fault(w, SIM_STORE_DOWN);
        w->store_down = true;
        w->store_down_until_ns = w->now_ns + some_ns;
        at(w, some_ns, EV_HEAL, index);
        return;
    case 8:
        fault(w, SIM_EXPIRE);
        if (h->session_live) {
            h->session_live = false;
            sim_store_expire(&w->store, h->session);
        }
        return;
    case 9:
        fault(w, SIM_STEP_SMALL);
        h->real_offset_ns += ((int64_t)below(w, 1600) - 800) * MS;
        return;
    case 10:
        if (below(w, 3))
            return;
        fault(w, SIM_STEP_BIG);
        h->real_offset_ns = h->real_offset_ns ? 0 : ((int64_t)below(w, 7200) - 3600) * S;
        return;
    case 11:
        fault(w, SIM_DRIFT);
        h->drift_sum_ns = drifted_ns(w, h);
        h->drift_base_ns = w->now_ns;
        h->drift_ppb = (int64_t)below(w, 400000) - 200000;
        return;
    case 12:
        fault(w, SIM_CONFIG_TOUCH);
        w->store.config.version.version = w->store.next_version++;
        return;
    default:
        h->old_block = h->block; /* somebody makes a copy */
        h->old_lineage = h->file_lineage;
    }
}

static void resume(struct world *w, unsigned index)
{
    struct host *h = &w->hosts[index];
    h->paused = false;
    if (!w->options.trace)
        return;
    trace(w, index, "resumes");
}

static void handle(struct world *w, struct event *event)
{
    struct host *h = &w->hosts[event->host];
    const bool of_process = event->kind == EV_STEP || event->kind == EV_MINT ||
                            event->kind == EV_MINT_END || event->kind == EV_SWAP ||
                            event->kind == EV_CLOCK || event->kind == EV_LINK ||
                            event->kind == EV_RESUME;
    if (of_process && (!h->alive || h->instance != event->instance))
        return;
    if (h->paused &&
        (event->kind == EV_STEP || event->kind == EV_MINT_END || event->kind == EV_SWAP)) {
        struct event later = *event;
        later.at_ns = h->paused_until_ns + (event->kind == EV_STEP ? 5 : 3) * MS / 10;
        push(w, later);
        return;
    }
    switch (event->kind) {
    case EV_STEP:
        if (event->value != h->wake)
            return;
        step(w, event->host, &(struct sf_reservation_event){.kind = SF_RES_TICK});
        return;
    case EV_ARRIVE:
        arrive(w, event);
        break;
    case EV_ANSWER:
        answered(w, event);
        break;
    case EV_DEADLINE:
        deadline(w, event);
        break;
    case EV_MINT:
        mint_turn(w, event->host);
        return;
    case EV_MINT_END:
        finish_mint(w, event->host, event->value);
        return;
    case EV_SWAP:
        swap_slowly(w, event->host);
        return;
    case EV_CLOCK:
        clock_turn(w, event->host);
        return;
    case EV_FAULT:
        fault_turn(w);
        return;
    case EV_START:
        if (!h->alive)
            start(w, event->host);
        return;
    case EV_RESUME:
        if (w->now_ns >= h->paused_until_ns)
            resume(w, event->host);
        return;
    case EV_SESSION:
        session_turn(w);
        return;
    case EV_EXPIRE:
        sim_store_expire(&w->store, event->value);
        return;
    case EV_HEAL:
        h->cut_to = h->cut_back = false;
        if (w->now_ns >= w->store_down_until_ns)
            w->store_down = false;
        return;
    case EV_LINK:
        link_turn(w, event->host);
        return;
    }
    unref(event->flight);
}

static void become_calm(struct world *w)
{
    w->calm = true;
    w->store_down = false;
    for (unsigned i = 0; i < w->options.workers; i++) {
        struct host *h = &w->hosts[i];
        h->cut_to = h->cut_back = false;
        h->real_offset_ns = 0;
        if (h->paused)
            at(w, 1, EV_RESUME, i);
        h->paused_until_ns = h->paused ? w->now_ns : h->paused_until_ns;
    }
}

static void judge_end(struct world *w)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < w->options.workers; i++)
        ready += w->hosts[i].alive && w->hosts[i].res.state == SF_WORKER_READY;
    w->result->ready_at_end = ready;
    for (unsigned i = 0; i < w->options.workers; i++)
        trace(w, i, "ends %s: %s; %s", sf_worker_state_name(w->hosts[i].res.state),
              w->hosts[i].res.why, w->hosts[i].verdict.text);
    for (unsigned i = 0; i < w->store.slot_count; i++)
        trace(w, 99, "slot %u of %s until %lld", i, w->store.slots[i].record.claim,
              (long long)(w->store.slots[i].record.reserved_until_ms - true_unix_ns(w) / MS));
    for (unsigned i = 0; i < SIM_CLAIMS_MAX; i++)
        if (w->store.claims[i].live)
            trace(w, 99, "claim %s of %s", w->store.claims[i].claim.name,
                  w->store.claims[i].claim.node);
    const unsigned want =
        w->options.workers < w->store.slot_count ? w->options.workers : w->store.slot_count;
    if (ready < want)
        fail(w, "LIVENESS: %u of %u workers are ready %lld s after the last fault", ready, want,
             (long long)w->options.calm_s);
}

void sim_run(const struct sim_options *options, struct sim_result *ret)
{
    struct world *w = calloc(1, sizeof *w);
    SF_ASSERT(w && options->workers <= SIM_HOSTS_MAX && options->layout.sequence_bits <= 6);
    memset(ret, 0, sizeof *ret);
    w->options = *options;
    w->result = ret;
    w->prng.state = options->seed;
    sim_store_init(&w->store, &options->layout, true_unix_ns(w) / MS);
    w->wild = below(w, 2);
    w->lossy = below(w, 2) ? 0.01 : 0.15;
    for (unsigned i = 0; i < options->workers; i++) {
        w->hosts[i].has_ntp = w->wild || below(w, 2);
        if (w->wild)
            w->hosts[i].lie_ns = (int64_t)below(w, 60000) * MS - 30000 * MS;
        at(w, (int64_t)below(w, 100) * MS, EV_START, i);
    }
    at(w, 0, EV_SESSION, 0);
    at(w, 5 * S, EV_FAULT, 0);
    const int64_t calm_ns = options->duration_s * S, end_ns = calm_ns + options->calm_s * S;
    while (!ret->failed && w->heap_count > 0) {
        struct event event = pop(w);
        if (event.at_ns > end_ns) {
            push(w, event);
            break;
        }
        w->now_ns = event.at_ns;
        if (!w->calm && w->now_ns >= calm_ns)
            become_calm(w);
        handle(w, &event);
    }
    ret->true_ns = (uint64_t)w->now_ns;
    if (!ret->failed)
        judge_end(w);
    while (w->heap_count > 0) {
        struct event event = pop(w);
        if (event.kind == EV_ANSWER)
            sf_coord_event_free(event.coord);
        if (event.flight)
            unref(event.flight);
    }
    free(w->heap);
    free(w->seen);
    sim_store_free(&w->store);
    free(w);
}
