/* Events in order, and the run from beginning to end. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

uint64_t sim_below(struct sim_world *w, uint64_t n)
{
    return sf_prng_below(&w->prng, n);
}

bool sim_chance(struct sim_world *w, double p)
{
    if (w->calm)
        return false;
    return (double)(sf_prng_next(&w->prng) >> 11) * 0x1p-53 < p;
}

void sim_trace(struct sim_world *w, unsigned host, const char *format, ...)
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

void sim_fail(struct sim_world *w, const char *format, ...)
{
    if (w->result->failed)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->result->why, sizeof w->result->why, format, args);
    va_end(args);
    w->result->failed = true;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void sim_push(struct sim_world *w, int64_t delay_ns, struct sim_event event)
{
    if (w->heap_count == w->heap_size) {
        w->heap_size = w->heap_size ? w->heap_size * 2 : 256;
        w->heap = realloc(w->heap, w->heap_size * sizeof *w->heap);
        SF_ASSERT(w->heap);
    }
    event.at_ns = w->now_ns + delay_ns;
    event.order = w->next_order++;
    size_t i = w->heap_count++;
    while (i > 0 && before(&event, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = event;
}

static struct sim_event pop(struct sim_world *w)
{
    const struct sim_event top = w->heap[0], last = w->heap[--w->heap_count];
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

void sim_at(struct sim_world *w, int64_t delay_ns, enum sim_event_kind kind, unsigned host)
{
    sim_push(w, delay_ns,
             (struct sim_event){.kind = kind, .host = host, .instance = w->hosts[host].instance});
}

/* A pause may be cut short: looks again after a second at most. */
void sim_push_resumed(struct sim_world *w, const struct sim_host *h, int64_t after_ns,
                      struct sim_event event)
{
    const int64_t left_ns = h->paused_until_ns - w->now_ns;
    sim_push(w, left_ns < S ? left_ns + after_ns : S, event);
}

/* Those that end with the process that they were meant for. */
static bool of_process(enum sim_event_kind kind)
{
    switch (kind) {
    case EV_STEP:
    case EV_MINT:
    case EV_MINT_END:
    case EV_SWAP:
    case EV_CLOCK:
    case EV_LINK:
    case EV_RESUME:
    case EV_KILL:
    case EV_LEAVE:
        return true;
    default:
        return false;
    }
}

/* What a process does itself waits while it is stopped. */
static bool waits_for_resume(struct sim_world *w, const struct sim_host *h,
                             const struct sim_event *event)
{
    if (!h->paused || (event->kind != EV_STEP && event->kind != EV_MINT_END &&
                       event->kind != EV_SWAP && event->kind != EV_LEAVE))
        return false;
    sim_push_resumed(w, h, (event->kind == EV_STEP ? 5 : 3) * MS / 10, *event);
    return true;
}

static void handle_coordination(struct sim_world *w, struct sim_event *event)
{
    if (event->kind == EV_ARRIVE)
        sim_arrive(w, event);
    else if (event->kind == EV_ANSWER)
        sim_answered(w, event);
    else
        sim_deadline(w, event);
    sim_unref(event->flight);
}

static void resume(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    if (!h->paused || w->now_ns < h->paused_until_ns)
        return;
    h->paused = false;
    h->clear_since_ns = w->now_ns;
    sim_trace(w, index, "resumes");
    sim_judge_serving(w, index);
}

static void handle(struct sim_world *w, struct sim_event *event)
{
    struct sim_host *h = &w->hosts[event->host];
    if (of_process(event->kind) && (!h->alive || h->instance != event->instance))
        return;
    if (waits_for_resume(w, h, event))
        return;
    switch (event->kind) {
    case EV_STEP:
        if (event->value == h->holds[event->hold].wake)
            sim_step(w, event->host, event->hold,
                     &(struct sf_reservation_event){.kind = SF_RES_TICK});
        return;
    case EV_ARRIVE:
    case EV_ANSWER:
    case EV_DEADLINE:
        handle_coordination(w, event);
        return;
    case EV_MINT:
        sim_mint_turn(w, event->host, event->hold);
        return;
    case EV_MINT_END:
        sim_mint_end(w, event->host, event->hold, event->value, event->knew);
        return;
    case EV_SWAP:
        sim_swap_slowly(w, event->host, event->hold);
        return;
    case EV_CLOCK:
        sim_clock_turn(w, event->host);
        return;
    case EV_LINK:
        sim_link_turn(w, event->host);
        return;
    case EV_RESUME:
        resume(w, event->host);
        return;
    case EV_START:
        if (!h->alive && h->wanted)
            sim_start(w, event->host);
        return;
    case EV_LEAVE:
        sim_leave(w, event->host);
        return;
    case EV_KILL:
        sim_fault_kill_copied(w, event->host);
        return;
    case EV_CLOCK_BACK:
        sim_unstall(w, h);
        if (event->value) /* of a blip */
            h->real_offset_ns = 0;
        return;
    case EV_EXPIRE:
        sim_store_expire(&w->store, event->value);
        return;
    case EV_ORPHANED:
        for (unsigned i = 0; i < w->shape.hosts; i++)
            if (w->hosts[i].session_live && w->hosts[i].session == event->value)
                return;
        sim_store_expire(&w->store, event->value);
        return;
    case EV_SESSIONS:
        sim_sessions_turn(w);
        return;
    case EV_JUDGE:
        sim_judge_turn(w);
        return;
    case EV_FAULT:
        sim_fault_turn(w);
        return;
    case EV_HEAL:
        sim_fault_heal(w, event->host);
        return;
    case EV_RECORD_BACK:
        sim_operator_resets(w, (unsigned)event->value / SIM_SLOTS_MAX,
                            (unsigned)event->value % SIM_SLOTS_MAX);
        return;
    case EV_OPERATOR:
        sim_operator_turn(w, (unsigned)event->value);
        return;
    case EV_ROLL:
        sim_fault_roll(w);
        return;
    case EV_CALL:
        sim_call_begin(w, event->host);
        return;
    case EV_ASK:
        sim_ask_arrive(w, event);
        return;
    case EV_REPLY:
        sim_ask_replied(w, event);
        return;
    case EV_PATIENCE:
        sim_call_patience(w, event->host, event->value);
        return;
    case EV_PROBE_LATE:
        sim_probe_late(w, event->host, event->hold, event->value);
        return;
    case EV_CLIENT_HEAL:
        w->clients[event->host].links[event->hold].cut_to = false;
        w->clients[event->host].links[event->hold].cut_back = false;
        w->clients[event->host].links[event->hold].clear_since_ns = w->now_ns;
        return;
    }
}

static void begin(struct sim_world *w)
{
    sim_store_init(&w->store, &w->shape.layout, w->shape.datacenters, sim_below(w, 2));
    w->wild = sim_below(w, 2);
    w->loses = w->shape.loses || (sim_below(w, 3) == 0 && !w->shape.elects);
    sim_operators_start(w, !w->loses);
    w->lossy = sim_below(w, 2) ? 0.01 : 0.15;
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        struct sim_host *h = &w->hosts[i];
        h->datacenter = i % w->shape.datacenters;
        h->has_ntp = w->wild || sim_below(w, 2);
        h->stalled_since_ns = -1;
        h->serving_since_ns = -1;
        if (w->wild)
            h->lie_ns = (int64_t)sim_below(w, 2 * SIM_LIE_MS) * MS - SIM_LIE_MS * MS;
        h->wanted = i < w->shape.at_first;
        if (h->wanted)
            sim_at(w, (int64_t)sim_below(w, 100) * MS, EV_START, i);
    }
    sim_at(w, 0, EV_SESSIONS, 0);
    sim_at(w, S, EV_JUDGE, 0);
    sim_at(w, 5 * S, EV_FAULT, 0);
    sim_clients_start(w);
}

static void end(struct sim_world *w)
{
    while (w->heap_count > 0) {
        struct sim_event event = pop(w);
        if (event.kind == EV_ANSWER)
            sf_coord_event_free(event.coord);
        if (event.flight)
            sim_unref(event.flight);
        free(event.ask);
    }
    free(w->heap);
    free(w->seen);
    sim_store_free(&w->store);
    sim_content_free(w->copy);
    free(w);
}

/* Time enough to settle: after the last fault, and after the time that the last making has to let
 * pass. */
static int64_t end_ns(const struct sim_world *w, int64_t calm_ns)
{
    const int64_t floor_ns = w->floor_ms * MS - (sim_true_unix_ns(w) - w->now_ns);
    return (floor_ns > calm_ns ? floor_ns : calm_ns) + w->options.calm_s * S;
}

void sim_run(const struct sim_options *options, struct sim_result *ret)
{
    struct sim_world *w = calloc(1, sizeof *w);
    SF_ASSERT(w);
    memset(ret, 0, sizeof *ret);
    w->options = *options;
    w->result = ret;
    w->prng.state = options->seed;
    SF_ASSERT(sim_shape_pick(options->shape, options->duration_s, &w->prng, &w->shape));
    ret->shape = w->shape.name;
    begin(w);
    const int64_t calm_ns = options->duration_s * S;
    while (!ret->failed && w->heap_count > 0 && w->heap[0].at_ns <= end_ns(w, calm_ns)) {
        struct sim_event event = pop(w);
        w->now_ns = event.at_ns;
        if (!w->calm && w->now_ns >= calm_ns)
            sim_become_calm(w);
        handle(w, &event);
        if (event.kind == EV_JUDGE && w->calm && sim_judge_settled(w))
            break;
    }
    ret->true_ns = (uint64_t)w->now_ns;
    if (!ret->failed)
        sim_judge_end(w);
    end(w);
}
