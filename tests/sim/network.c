/* The way between machines and the coordinator: messages that are lost, late or slow, sessions. */
#include <inttypes.h>
#include <stdlib.h>

#include "coord/request.h"
#include "fleet.h"

void sim_unref(struct sim_flight *flight)
{
    if (--flight->references == 0)
        free(flight);
}

static void fly(struct sim_world *w, int64_t delay_ns, enum sim_event_kind kind,
                struct sim_flight *flight, struct sf_coord_event *coord)
{
    flight->references++;
    sim_push(w, delay_ns,
             (struct sim_event){.kind = kind,
                                .host = flight->host,
                                .hold = flight->hold,
                                .instance = flight->instance,
                                .flight = flight,
                                .coord = coord});
}

static int64_t hop_ns(struct sim_world *w)
{
    if (sim_chance(w, 0.01))
        return (int64_t)sim_below(w, 400) * MS;
    return (int64_t)sim_below(w, 3000) * 1000 + 200000;
}

void sim_submit(struct sim_world *w, unsigned index, unsigned k,
                const struct sf_coord_request *request)
{
    struct sim_host *h = &w->hosts[index];
    struct sim_flight *flight = calloc(1, sizeof *flight);
    SF_ASSERT(flight);
    flight->request = *request;
    flight->session = h->session;
    flight->connection = h->connection;
    flight->survives = w->store.compares_content && w->loses && sim_below(w, 2);
    flight->instance = h->instance;
    flight->lineage = h->holds[k].lineage;
    flight->host = index;
    flight->hold = k;
    flight->sent_mono_ns = sim_mono_ns(w, h);
    flight->trust_error_ns = h->verdict.trusted
                                 ? h->verdict.trusted_high_ns - h->verdict.trusted_low_ns
                                 : 2 * h->coordinator.error_ns;
    flight->references = 1;
    sim_trace(w, index, "asks %s", sf_coord_op_name(request->op));
    if (h->holds[k].open_requests++)
        sim_fail(w, "TWO: process %" PRIu64 " has two requests under way for one slot",
                 h->instance);
    fly(w, (int64_t)request->deadline_ms * MS, EV_DEADLINE, flight, NULL);
    if (sim_chance(w, w->lossy)) {
        sim_fault(w, SIM_REQUEST_LOST);
        h->clear_since_ns = w->now_ns;
    } else if (sim_chance(w, w->lossy)) {
        sim_fault(w, SIM_LATE_APPLY);
        h->clear_since_ns = w->now_ns;
        fly(w, (int64_t)(request->deadline_ms + sim_below(w, 12000)) * MS, EV_ARRIVE, flight, NULL);
    } else {
        fly(w, hop_ns(w), EV_ARRIVE, flight, NULL);
    }
    sim_unref(flight);
}

static void trace_answer(struct sim_world *w, const struct sim_flight *flight,
                         const struct sf_coord_completion *c)
{
    const struct sf_coord_slot *slot = &flight->request.u.write.slot;
    if (c->op == SF_COORD_BIND || c->op == SF_COORD_RENEW || c->op == SF_COORD_RELEASE)
        sim_trace(w, flight->host,
                  "at the coordinator: %s %s %s, slot %u/%" PRIu64 " of %.4s, %" PRId64
                  " to %" PRId64 " ms by owner %" PRIu64,
                  sf_coord_op_name(c->op), sf_coord_outcome_name(c->outcome),
                  sf_coord_reason_name(c->reason), (unsigned)flight->request.datacenter,
                  slot->worker, flight->request.basis.token, slot->from_ms, slot->reserved_until_ms,
                  flight->lineage);
}

static struct sf_coord_event *apply(struct sim_world *w, const struct sim_flight *flight)
{
    const struct sim_writer writer = {.session = flight->session, .lineage = flight->lineage};
    struct sf_coord_event *answer =
        sim_store_apply(&w->store, &flight->request, &writer, sim_true_unix_ns(w) / MS,
                        w->now_ns < w->store_lags_until_ns);
    trace_answer(w, flight, &answer->completion);
    if (w->store.wrong != NULL)
        sim_fail(w, "STORE: process %" PRIu64 ": %s", flight->instance, w->store.wrong);
    else
        sim_judge_write(w, flight, answer);
    return answer;
}

/* The coordinator that it was sent to is another one by now: it reaches the new one only by a hop that
 * kept it. */
static bool is_cut_off(const struct sim_host *h, const struct sim_flight *flight)
{
    return flight->connection != h->connection ? !flight->survives : h->broken;
}

void sim_arrive(struct sim_world *w, struct sim_event *event)
{
    struct sim_flight *flight = event->flight;
    struct sim_host *h = &w->hosts[flight->host];
    if (w->store_down || (h->cut_to && h->instance == flight->instance))
        return;
    /* A session that has ended makes no claims. */
    if (flight->request.op == SF_COORD_CLAIM && (flight->session != h->session || !h->session_live))
        return;
    if (h->instance == flight->instance && is_cut_off(h, flight))
        return;
    struct sf_coord_event *answer = apply(w, flight);
    if (sf_request_writes(flight->request.op) && !flight->twice && sim_chance(w, w->lossy)) {
        sim_fault(w, SIM_TWICE);
        flight->twice = true;
        sf_coord_event_free(answer);
        if (sim_below(w, 2)) {
            fly(w, (int64_t)sim_below(w, 3000) * MS, EV_ARRIVE, flight, NULL);
            return;
        }
        answer = apply(w, flight);
    }
    if (flight->request.op == SF_COORD_WATCH && answer->completion.outcome == SF_COORD_DONE &&
        h->instance == flight->instance && !h->watching) {
        h->watching = true;
        h->seen_changes = w->store.fleet_changes;
    }
    sim_judge_write(w, flight, answer);
    if (sim_chance(w, w->lossy)) {
        sim_fault(w, SIM_ANSWER_LOST);
        h->clear_since_ns = w->now_ns;
        sf_coord_event_free(answer);
        return;
    }
    fly(w, hop_ns(w), EV_ANSWER, flight, answer);
}

/* The process that asked, if it is still there and can take an answer now; otherwise the event
 * comes again when it goes on. */
static bool can_take(struct sim_world *w, const struct sim_event *event, int64_t after_resume_ns)
{
    struct sim_host *h = &w->hosts[event->flight->host];
    if (!h->paused)
        return true;
    event->flight->references++;
    sim_push_resumed(w, h, after_resume_ns, *event);
    return false;
}

static void complete(struct sim_world *w, struct sim_flight *flight, struct sf_coord_event *coord)
{
    flight->completed = true;
    w->hosts[flight->host].holds[flight->hold].open_requests--;
    sim_deliver(w, flight->host, coord);
}

void sim_answered(struct sim_world *w, struct sim_event *event)
{
    struct sim_flight *flight = event->flight;
    struct sim_host *h = &w->hosts[flight->host];
    const bool reaches = h->alive && h->instance == flight->instance && !h->cut_back &&
                         !w->store_down && h->connection == flight->connection;
    if (!reaches || flight->completed) {
        sf_coord_event_free(event->coord);
        return;
    }
    if (!can_take(w, event, 1))
        return;
    const bool learnt = sim_learn_time(w, h, flight, &event->coord->completion);
    complete(w, flight, event->coord);
    if (learnt && h->alive && h->instance == flight->instance)
        sim_clock_look(w, flight->host); /* the daemon wakes its clock thread */
}

void sim_deadline(struct sim_world *w, struct sim_event *event)
{
    struct sim_flight *flight = event->flight;
    struct sim_host *h = &w->hosts[flight->host];
    if (flight->completed || !h->alive || h->instance != flight->instance || !can_take(w, event, 2))
        return;
    const bool writes = sf_request_writes(flight->request.op);
    h->clear_since_ns = w->now_ns;
    complete(w, flight,
             sf_coord_event_completion(&flight->request, writes ? SF_COORD_UNKNOWN : SF_COORD_LOST,
                                       SF_COORD_UNREACHABLE, "no answer"));
}

/* The link is looked at ten times a second: contact, session, connected or not. */
void sim_link_turn(struct sim_world *w, unsigned index)
{
    struct sim_host *h = &w->hosts[index];
    const uint64_t instance = h->instance;
    sim_at(w, 100 * MS, EV_LINK, index);
    if (h->paused)
        return;
    sim_judge_serving(w, index);
    const bool reaches = !w->store_down && !h->cut_to && !h->cut_back;
    if (!reaches) {
        h->clear_since_ns = w->now_ns;
        if (h->connected && w->now_ns - h->contact_ns > SIM_SESSION_NS * 2 / 3) {
            h->connected = false;
            sim_deliver(w, index, sf_coord_event_notice(SF_COORD_DISCONNECTED, "silent"));
        }
        return;
    }
    h->contact_ns = w->now_ns;
    if (h->broken) {
        h->broken = false;
        if (w->shape.elects)
            h->connection++; /* what was sent meanwhile went into the connection that had ended */
        h->clear_since_ns = w->now_ns;
        if (h->connected) {
            h->connected = false;
            sim_deliver(w, index, sf_coord_event_notice(SF_COORD_DISCONNECTED, "reset"));
        }
        return;
    }
    if (!h->session_live) {
        bool claimed = h->connected;
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
            claimed = claimed || h->holds[k].res.claim_status != SF_CLAIM_NONE;
        h->session = ++w->next_session;
        h->session_live = true;
        h->clear_since_ns = w->now_ns;
        for (unsigned k = 0; k < w->shape.slots_per_worker; k++)
            h->holds[k].claim_taken = false;
        if (claimed)
            sim_deliver(w, index, sf_coord_event_notice(SF_COORD_SESSION_LOST, "expired"));
        if (!h->alive || h->instance != instance)
            return;
    }
    if (!h->connected) {
        h->connected = true;
        sim_deliver(w, index, sf_coord_event_notice(SF_COORD_CONNECTED, "again"));
        if (!h->alive || h->instance != instance)
            return;
    }
    if (h->watching && h->seen_changes != w->store.fleet_changes) {
        h->seen_changes = w->store.fleet_changes;
        sim_deliver(w, index, sf_coord_event_notice(SF_COORD_FLEET_CHANGED, "watch"));
    }
}

void sim_sessions_turn(struct sim_world *w)
{
    for (unsigned i = 0; i < w->shape.hosts; i++) {
        struct sim_host *h = &w->hosts[i];
        if (w->store_down)
            h->contact_ns = w->now_ns; /* a quorum that is back restarts every session clock */
        if (h->session_live && w->now_ns - h->contact_ns > SIM_SESSION_NS) {
            h->session_live = false;
            sim_trace(w, i, "session %" PRIu64 " expires", h->session);
            sim_store_expire(&w->store, h->session);
        }
    }
    sim_at(w, 500 * MS, EV_SESSIONS, 0);
}
