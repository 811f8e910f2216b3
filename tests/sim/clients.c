/* Callers with the client's own policy (whom to ask, when to ask again, whom to leave alone). What
 * the client's engine does with sockets is done with events here: one call at a time for each
 * client, attempts beside each other after a silence, probes beside the calls. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

#define TIMEOUT_NS    (2 * S)
#define ATTEMPT_NS    (100 * MS)
#define GIVE_UP_NS    S /* as the client: a connection that is silent for so long is closed */
#define AFTER_SILENCE 4 /* as the client: the next attempts have a quarter of the time */
#define IN_FLIGHT_MAX 8
#define THINK_MS      400
#define WAITS_MAX     50 /* of 2 ms each, at a worker whose milliseconds are used up */

/* The client's defaults, with a small budget, so that it is used up at times. */
static const struct sf_client_policy_options standard = {.breaker_failures = 3,
                                                         .open_min_ns = 100 * MS,
                                                         .open_max_ns = 1000 * MS,
                                                         .idle_probe_ns = 25 * MS,
                                                         .backoff_min_ns = 2 * MS,
                                                         .backoff_max_ns = 100 * MS,
                                                         .budget_percent = 5,
                                                         .budget_max = 2};

void sim_clients_start(struct sim_world *w)
{
    for (unsigned i = 0; i < w->shape.clients; i++) {
        struct sim_client *client = &w->clients[i];
        sf_client_policy_init(&client->policy, &standard);
        for (unsigned k = 0; k < w->shape.hosts && k < SIM_SERVERS_MAX; k++)
            SF_ASSERT(sf_client_policy_add(&client->policy) == (int)k);
        sim_push(w, (int64_t)sim_below(w, 1000) * MS,
                 (struct sim_event){.kind = EV_CALL, .host = i});
    }
}

/* The message goes on after a while, unless the connection is given up before. */
static void delay(struct sim_world *w, int64_t delay_ns, struct sim_event event)
{
    struct sim_ask *ask = event.ask;
    const int64_t left_ns = ask->give_up_ns - w->now_ns;
    if (delay_ns >= left_ns) {
        event.kind = EV_REPLY;
        ask->outcome = SF_OUTCOME_LOST;
        delay_ns = left_ns > 0 ? left_ns : 0;
    }
    sim_push(w, delay_ns, event);
}

/* A message sets out. One that is lost is sent again by the kernel, later. */
static void set_out(struct sim_world *w, enum sim_event_kind kind, struct sim_ask *ask)
{
    int64_t hop_ns = (int64_t)sim_below(w, 2000) * 1000 + 100000;
    if (sim_chance(w, w->lossy / 10)) {
        sim_fault(w, SIM_CALL_LOST);
        hop_ns += 200 * MS + (int64_t)sim_below(w, 400) * MS;
    } else if (sim_chance(w, 0.005)) {
        sim_fault(w, SIM_CALL_SLOW);
        hop_ns += (int64_t)sim_below(w, 400) * MS;
    }
    if (hop_ns > 10 * MS)
        w->clients[ask->client].links[ask->host].clear_since_ns = w->now_ns;
    delay(w, hop_ns, (struct sim_event){.kind = kind, .host = ask->host, .ask = ask});
}

static void send_ask(struct sim_world *w, unsigned client, unsigned host, uint64_t call)
{
    struct sim_ask *ask = calloc(1, sizeof *ask);
    SF_ASSERT(ask);
    *ask = (struct sim_ask){
        .client = client, .host = host, .call = call, .give_up_ns = w->now_ns + GIVE_UP_NS};
    set_out(w, EV_ASK, ask);
}

/* --- at the worker --- */

/* What a worker answers to a request for one ID. False: the request waits for the next
 * millisecond. */
static bool serve(struct sim_world *w, struct sim_ask *ask)
{
    struct sim_host *h = &w->hosts[ask->host];
    ask->outcome = SF_OUTCOME_UNUSABLE;
    if (h->leaving || !h->policy.has_mint)
        return true;
    for (unsigned i = 0; i < w->shape.slots_per_worker; i++) {
        const unsigned k = (ask->client + i) % w->shape.slots_per_worker;
        struct sim_hold *hold = &h->holds[k];
        struct sf_mint mint;
        if (!hold->res.generator_ready)
            continue;
        switch (sf_generator_mint(&hold->gen, sim_since_epoch_ms(w, h), 0, 0, 1, &mint)) {
        case SF_MINT_OK:
            sim_judge_mint(w, ask->host, k, &mint, true);
            ask->id = sf_generator_id(&hold->gen, mint.first_word, mint.slot_bits);
            ask->outcome = SF_OUTCOME_OK;
            return true;
        case SF_MINT_WAIT:
            if (ask->waits++ < WAITS_MAX)
                return false;
            ask->outcome = SF_OUTCOME_OVERLOADED;
            ask->retry_after_ns = 10 * MS;
            sim_path(w, SIM_OVERLOADED);
            return true;
        case SF_MINT_EXHAUSTED:
        case SF_MINT_CLOSED:
            break;
        }
    }
    return true;
}

void sim_ask_arrive(struct sim_world *w, struct sim_event *event)
{
    struct sim_ask *ask = event->ask;
    struct sim_host *h = &w->hosts[ask->host];
    if (w->clients[ask->client].links[ask->host].cut_to) {
        delay(w, 100 * MS, *event);
        return;
    }
    if (h->alive && h->paused) {
        delay(w, h->paused_until_ns - w->now_ns + MS, *event);
        return;
    }
    if (!h->alive) {
        ask->outcome = SF_OUTCOME_UNREACHED;
    } else if (!serve(w, ask)) {
        delay(w, 2 * MS, *event);
        return;
    }
    set_out(w, EV_REPLY, ask);
}

/* --- at the client --- */

static void report(struct sim_world *w, struct sim_client *client, unsigned host,
                   enum sf_outcome outcome, int64_t retry_after_ns)
{
    const enum sf_breaker was = client->policy.servers[host].state;
    const uint64_t opens = client->policy.opens;
    sf_client_policy_report(&client->policy, (int)host, outcome, retry_after_ns, w->now_ns,
                            sf_prng_next(&w->prng));
    if (client->policy.opens > opens)
        sim_path(w, SIM_BREAKER_OPENED);
    if (was != SF_BREAKER_CLOSED && client->policy.servers[host].state == SF_BREAKER_CLOSED)
        sim_path(w, SIM_BREAKER_CLOSED);
}

static void arm(struct sim_world *w, unsigned index)
{
    struct sim_call *call = &w->clients[index].call;
    const int64_t at_ns = call->timer_ns < call->deadline_ns ? call->timer_ns : call->deadline_ns;
    sim_push(w, at_ns > w->now_ns ? at_ns - w->now_ns : 0,
             (struct sim_event){.kind = EV_PATIENCE, .host = index, .value = ++call->timer});
}

static void wait_until(struct sim_world *w, unsigned index, enum sim_call_state state,
                       int64_t at_ns)
{
    w->clients[index].call.state = state;
    w->clients[index].call.timer_ns = at_ns;
    arm(w, index);
}

static void await_answer(struct sim_world *w, unsigned index)
{
    const struct sim_call *call = &w->clients[index].call;
    wait_until(w, index, SIM_CALL_ASKED,
               w->now_ns + (call->silenced ? ATTEMPT_NS / AFTER_SILENCE : ATTEMPT_NS));
}

static void probe(struct sim_world *w, unsigned index)
{
    struct sim_client *client = &w->clients[index];
    const int host = sf_client_policy_probe(&client->policy, w->now_ns);
    if (host < 0)
        return;
    sim_path(w, SIM_PROBED);
    client->links[host].probe = ++client->probes;
    send_ask(w, index, (unsigned)host, 0);
    sim_push(
        w, ATTEMPT_NS,
        (struct sim_event){
            .kind = EV_PROBE_LATE, .host = index, .hold = (unsigned)host, .value = client->probes});
}

void sim_probe_late(struct sim_world *w, unsigned index, unsigned host, uint64_t number)
{
    struct sim_client *client = &w->clients[index];
    if (client->links[host].probe == number)
        report(w, client, host, SF_OUTCOME_SILENT, 0);
}

static void attempt(struct sim_world *w, unsigned index)
{
    struct sim_client *client = &w->clients[index];
    struct sim_call *call = &client->call;
    const int host =
        sf_client_policy_choose(&client->policy, w->now_ns, &call->tried, sf_prng_next(&w->prng));
    sim_trace(w, 90 + index, "call %" PRIu64 " tries h%d", call->number, host);
    probe(w, index);
    if (host >= 0 && client->policy.servers[host].state == SF_BREAKER_CLOSED &&
        sf_client_policy_tried_has(&call->tried, host))
        sim_fail(w, "TRIED: caller %u asks h%d again in the same round", index, host);
    if (host >= 0) {
        sf_client_policy_begin(&client->policy, host);
        call->in_flight++;
        call->attempts++;
        call->last_server = host;
        send_ask(w, index, (unsigned)host, call->number);
        await_answer(w, index);
    } else if (call->in_flight > 0) {
        await_answer(w, index); /* nobody else to ask */
    } else {
        memset(&call->tried, 0, sizeof call->tried);
        wait_until(w, index, SIM_CALL_WAITING,
                   sf_client_policy_wake_ns(&client->policy, w->now_ns));
    }
}

/* The call failed at its last server: waits, or asks another one at once. */
static void retry(struct sim_world *w, unsigned index)
{
    struct sim_client *client = &w->clients[index];
    struct sim_call *call = &client->call;
    bool no_budget;
    if (call->in_flight > 0)
        return;
    const int64_t wait_ns = sf_client_policy_retry_wait_ns(
        &client->policy, w->now_ns, &call->tried, call->round, sf_prng_next(&w->prng), &no_budget);
    if (no_budget)
        sim_path(w, SIM_BUDGET_WAIT);
    if (wait_ns == 0) {
        attempt(w, index);
        return;
    }
    if (!no_budget) {
        call->round++;
        memset(&call->tried, 0, sizeof call->tried);
    }
    wait_until(w, index, SIM_CALL_WAITING, w->now_ns + wait_ns);
}

static void finish(struct sim_world *w, unsigned index)
{
    w->clients[index].call.state = SIM_CALL_NONE;
    sim_push(w, (int64_t)(sim_below(w, THINK_MS) + 1) * MS,
             (struct sim_event){.kind = EV_CALL, .host = index});
}

void sim_call_begin(struct sim_world *w, unsigned index)
{
    struct sim_client *client = &w->clients[index];
    client->call = (struct sim_call){.state = SIM_CALL_WAITING,
                                     .number = ++w->next_call,
                                     .timer = client->call.timer,
                                     .started_ns = w->now_ns,
                                     .deadline_ns = w->now_ns + TIMEOUT_NS};
    w->result->calls++;
    sf_client_policy_call(&client->policy);
    attempt(w, index);
}

/* The attempt has had its time: the server is marked, another one asked beside it. */
static void grow_impatient(struct sim_world *w, unsigned index)
{
    struct sim_client *client = &w->clients[index];
    struct sim_call *call = &client->call;
    if (!call->silenced) {
        call->silenced = true;
        sim_path(w, SIM_CALL_SILENCE);
        report(w, client, (unsigned)call->last_server, SF_OUTCOME_SILENT, 0);
    }
    sf_client_policy_tried_add(&call->tried, call->last_server);
    if (call->in_flight < IN_FLIGHT_MAX)
        attempt(w, index);
    else
        await_answer(w, index);
}

void sim_call_patience(struct sim_world *w, unsigned index, uint64_t timer)
{
    struct sim_call *call = &w->clients[index].call;
    if (call->state == SIM_CALL_NONE || call->timer != timer)
        return;
    if (w->now_ns >= call->deadline_ns) {
        sim_judge_call_failed(w, index);
        finish(w, index);
    } else if (call->state == SIM_CALL_WAITING) {
        attempt(w, index);
    } else {
        grow_impatient(w, index);
    }
}

void sim_ask_replied(struct sim_world *w, struct sim_event *event)
{
    struct sim_ask *ask = event->ask;
    struct sim_client *client = &w->clients[ask->client];
    struct sim_call *call = &client->call;
    const unsigned index = ask->client;
    const bool mine = ask->call && call->state != SIM_CALL_NONE && call->number == ask->call;
    const bool ok = ask->outcome == SF_OUTCOME_OK;
    if (client->links[ask->host].cut_back && w->now_ns < ask->give_up_ns) {
        delay(w, 100 * MS, *event);
        return;
    }
    if (ask->call)
        sf_client_policy_end(&client->policy, (int)ask->host);
    else
        client->links[ask->host].probe = 0;
    sim_trace(w, 90 + index, "%s%" PRIu64 " at h%u: outcome %u", ask->call ? "call " : "probe ",
              ask->call, ask->host, ask->outcome);
    report(w, client, ask->host, ask->outcome, ask->retry_after_ns);
    if (ask->call && !mine && ok)
        sim_path(w, SIM_ANSWER_LATE);
    if (mine)
        call->in_flight--;
    if (mine && ok) {
        sim_judge_handed(w, index, ask->id);
        if (call->attempts > 1)
            sim_path(w, SIM_CALL_RETRIED);
        finish(w, index);
    } else if (mine) {
        sf_client_policy_tried_add(&call->tried, (int)ask->host);
        retry(w, index);
    }
    free(ask);
}
