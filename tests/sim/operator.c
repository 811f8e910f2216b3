/* People who keep the fleet: they make it, look at it now and then, and make it anew when the
 * coordinator has lost data, as the runbook says. Two of them, who do not talk to each other. */
#include <inttypes.h>
#include <string.h>

#include "fleet.h"

#define LOOK_MS 4000 /* longest pause between two looks */
#define STEP_MS 300  /* longest pause between two steps of INIT */
#define FLEET   "01234567-89ab-4cde-8f01-23456789abcd"

static void random_bytes(struct sim_world *w, uint8_t to[16])
{
    for (int i = 0; i < 16; i += 8) {
        const uint64_t r = sf_prng_next(&w->prng);
        memcpy(to + i, &r, 8);
    }
}

/* The latest clock that is asked: one's own, the coordinator's, those of the time sources, where these
 * are needed: as long as nothing was forgotten, the records that survive say it all. */
static int64_t latest_ms(const struct sim_world *w)
{
    return sim_true_unix_ns(w) / MS + (w->wild && w->forgot ? SIM_LIE_MS : 0);
}

static void plan(struct sim_world *w, struct sim_making *making,
                 const struct sf_coord_survey *found, const struct sf_coord_version *config)
{
    *making = (struct sim_making){.init = {.after_data_loss = true}};
    struct sf_coord_init *init = &making->init;
    struct sf_coord_config *made = &init->config;
    uint8_t token[16];
    random_bytes(w, token);
    random_bytes(w, init->seed);
    sf_hex128(token, made->token);
    made->format = 2;
    memcpy(made->fleet_id, FLEET, SF_UUID_SIZE);
    made->layout = w->shape.layout;
    made->epoch_ms = SF_DEFAULT_EPOCH_MS;
    made->max_window_ms = w->shape.window_ms;
    made->created_ms = sim_true_unix_ns(w) / MS;
    made->floor_ms = latest_ms(w) + made->max_window_ms + SIM_MAX_OFFSET_NS / MS + 1000;
    made->datacenter_count = (uint16_t)w->shape.datacenters;
    for (uint16_t d = 0; d < w->shape.datacenters; d++)
        made->datacenters[d] = d;
    made->version = *config;
    init->root = found->root;
    init->survivor_max_ms = INT64_MAX;
}

/* `snowfleet init --first`: no fleet of this name ever minted here. */
static void plan_first(struct sim_world *w, struct sim_making *making,
                       const struct sf_coord_survey *found)
{
    const struct sf_coord_version none = {0, 0};
    plan(w, making, found, &none);
    making->init.after_data_loss = false;
    making->init.config.floor_ms = sim_true_unix_ns(w) / MS - (w->wild ? SIM_LIE_MS : 0);
}

void sim_operators_start(struct sim_world *w, bool at_once)
{
    if (at_once) {
        const struct sf_coord_survey nothing = {.trees = 0};
        struct sim_making making;
        plan_first(w, &making, &nothing);
        const struct sf_coord_request request = {
            .op = SF_COORD_INIT, .deadline_ms = 1, .u.init = making.init};
        struct sf_coord_event *event =
            sim_store_apply(&w->store, &request, &(struct sim_writer){0, 0}, 0, false);
        SF_ASSERT(event->completion.outcome == SF_COORD_DONE);
        sf_coord_event_free(event);
        w->made = true;
    }
    for (unsigned i = 0; i < SIM_OPERATORS; i++)
        sim_push(w, (int64_t)sim_below(w, at_once ? LOOK_MS : STEP_MS) * MS,
                 (struct sim_event){.kind = EV_OPERATOR, .value = i});
}

void sim_operators_cut(struct sim_world *w)
{
    for (unsigned i = 0; i < SIM_OPERATORS; i++)
        w->operators[i].step = SIM_OPERATOR_LOOKS;
}

/* Does the fleet have to be made, or made anew? With live claims and nothing halted only where one
 * knows that data was lost: or, now and then, without any need (--force). */
static bool look(struct sim_world *w, struct sim_operator *o)
{
    const struct sf_coord_request request = {.op = SF_COORD_SURVEY, .deadline_ms = 1};
    struct sf_coord_event *event = sim_store_apply(&w->store, &request, &(struct sim_writer){0, 0},
                                                   sim_true_unix_ns(w) / MS, false);
    const struct sf_coord_completion *c = &event->completion;
    bool must = c->config == NULL || !c->current || c->survey->halted || w->put_back;
    o->forced = !must && w->loses && w->losses > 0 && sim_chance(w, 0.02);
    must = must || o->forced;
    if (must && !w->made)
        plan_first(w, &o->making, c->survey);
    else if (must)
        plan(w, &o->making, c->survey, &c->version);
    sf_coord_event_free(event);
    return must;
}

static void named(struct sim_world *w, const struct sim_operator *o)
{
    const struct sf_coord_init *init = &o->making.init;
    sim_fault(w, init->after_data_loss ? o->forced ? SIM_FORCED : SIM_REMADE : SIM_MADE);
    w->made = true;
    w->put_back = w->forgot = false;
    w->floor_ms = o->making.config.floor_ms;
    sim_trace(w, 99, "the fleet is made: %s, floor %" PRId64 " ms from now", o->making.config.token,
              w->floor_ms - sim_true_unix_ns(w) / MS);
}

/* The next step; false: it ended there. */
static bool step(struct sim_world *w, struct sim_operator *o)
{
    struct sf_refusal refusal = {0};
    bool goes_on = false;
    switch (o->step) {
    case SIM_OPERATOR_LOOKS:
        return look(w, o);
    case SIM_OPERATOR_BEGINS:
        goes_on = sim_making_begin(&w->store, &o->making, &refusal);
        break;
    case SIM_OPERATOR_SURVEYS:
        goes_on = sim_making_floor(&w->store, &o->making, &refusal);
        break;
    case SIM_OPERATOR_MAKES:
        sim_making_tree(&w->store, &o->making, sim_true_unix_ns(w) / MS);
        return true;
    case SIM_OPERATOR_NAMES:
        if (sim_making_name(&w->store, &o->making, &refusal)) {
            named(w, o);
            return false;
        }
        break;
    }
    if (goes_on)
        return true;
    sim_fault(w, SIM_INIT_RACED);
    sim_trace(w, 99, "init is refused: %s", refusal.text);
    return false;
}

void sim_operator_turn(struct sim_world *w, unsigned index)
{
    struct sim_operator *o = &w->operators[index];
    const bool cut = o->step != SIM_OPERATOR_LOOKS && sim_chance(w, 0.05);
    if (cut)
        sim_fault(w, SIM_INIT_CUT);
    if (w->store_down || cut || !step(w, o))
        o->step = SIM_OPERATOR_LOOKS;
    else
        o->step++;
    const uint64_t most_ms = o->step == SIM_OPERATOR_LOOKS && w->made ? LOOK_MS : STEP_MS;
    sim_push(w, (int64_t)(sim_below(w, most_ms) + 1) * MS,
             (struct sim_event){.kind = EV_OPERATOR, .value = index});
}

/* `snowfleet slots reset`: what nobody holds is given a record again, above everything. */
void sim_operator_resets(struct sim_world *w, unsigned datacenter, unsigned worker)
{
    const struct sim_tree *tree = sim_content_granting(&w->store.now);
    if (tree == NULL || tree->slots[datacenter][worker].slot.state == SF_COORD_RECORD_OK)
        return;
    const int64_t end_ms = sim_book_end_ms(&w->store.book.slots[datacenter][worker]);
    const int64_t floor_ms = w->store.now.config.floor_ms;
    struct sf_coord_request request = {
        .op = SF_COORD_RESET_SLOT,
        .deadline_ms = 1,
        .datacenter = datacenter,
        .basis = {.config = w->store.now.config.version, .state = tree->state_version}};
    memcpy(request.basis.token, tree->token, sizeof request.basis.token);
    struct sf_coord_slot *slot = &request.u.write.slot;
    uint8_t nonce[16];
    random_bytes(w, nonce);
    sf_hex128(nonce, slot->nonce);
    slot->worker = worker;
    slot->reset = true;
    slot->from_ms = slot->reserved_until_ms = end_ms > floor_ms ? end_ms : floor_ms;
    struct sf_coord_event *event = sim_store_apply(&w->store, &request, &(struct sim_writer){0, 0},
                                                   sim_true_unix_ns(w) / MS, false);
    /* Somebody lives in it: later. */
    if (event->completion.outcome != SF_COORD_DONE)
        sim_push(w, LOOK_MS * MS,
                 (struct sim_event){.kind = EV_RECORD_BACK,
                                    .value = datacenter * SIM_SLOTS_MAX + worker});
    sf_coord_event_free(event);
}
