/* unit/reservation_fixture.h - reservation machines on the coordinator in memory, with a clock that
 * only the test moves, answers that a test can forge, and three rules that are looked at after every
 * step: the generator's limit is never above what the slot's record says (docs/uniqueness.md),
 * no word of a slot is minted twice, and no slot is written for while the state file names another
 * tenure: its word may go on before the file is written again. */
#ifndef SF_TESTS_RESERVATION_FIXTURE_H
#define SF_TESTS_RESERVATION_FIXTURE_H

#include "unit/cmocka_all.h"

#include "coord/records.h"
#include "fakes/fake_coord.h"
#include "worker/reservation.h"

#define EPOCH_MS    INT64_C(1600000000000)
#define WINDOW_MS   60000
#define MIN_MS      6000
#define FLEET_ID    "11111111-2222-4333-8444-555555555555"
#define OTHER_FLEET "99999999-2222-4333-8444-555555555555"
#define MACHINES    3
#define FORGED_MAX  32
#define MINTS_MAX   256

struct forged {
    enum sf_coord_op op;
    enum sf_coord_outcome outcome;
    enum sf_coord_reason reason;
    const char *text;
};

struct machine {
    struct sf_coord *coord;
    struct sf_reservation_params params;
    struct sf_reservation res;
    struct sf_generator gen;
    _Atomic uint64_t word;
    struct sf_reservation_now now;
    struct sf_reservation_output out;
    struct sf_coord_event *first, *last; /* events not taken yet */
    struct forged forged[FORGED_MAX];
    unsigned forged_count;
    unsigned unversioned; /* so many configs come without their version */
    char ops[4096];   /* every request, in order: "read_config claim list " */
    char logs[16384]; /* every line: "event: text\n" */
    unsigned saves, forgets;
    bool file_held; /* the state file names a slot */
    bool finished; /* some step said so */
    int exit_code;
    bool started;
};

static struct sf_fake_store *store;
static struct sf_coord *observer;
static struct sf_coord_event *observed;
static struct machine machines[MACHINES];
static struct {
    uint64_t worker, first, last;
} mints[MINTS_MAX];
static unsigned mint_count;
static int64_t mint_ms, mono_ms;
static uint64_t entropy;
static char token[SF_COORD_TOKEN_SIZE]; /* of the making that the config names */
static unsigned makings;
static bool record_rule; /* off where a test takes acknowledged writes away from the store */

static inline void observe(void *ctx, struct sf_coord_event *event)
{
    (void)ctx;
    if (event->kind == SF_COORD_COMPLETION) {
        sf_coord_event_free(observed);
        observed = event;
    } else {
        sf_coord_event_free(event);
    }
}

static inline void queue_event(void *ctx, struct sf_coord_event *event)
{
    struct machine *m = ctx;
    event->link = NULL;
    if (event->kind == SF_COORD_COMPLETION && event->completion.config && m->unversioned > 0) {
        event->completion.config->version = (struct sf_coord_version){0, 0};
        m->unversioned--;
    }
    if (m->last)
        m->last->link = event;
    else
        m->first = event;
    m->last = event;
}

static inline struct sf_coord_slot record_in(uint64_t datacenter, uint64_t worker);

static inline void check_rules(struct machine *m)
{
    if (!record_rule || !m->res.generator_ready || sf_generator_is_closed(&m->gen))
        return;
    const struct sf_coord_slot slot = record_in(m->params.datacenter, m->res.hold.worker);
    if (slot.state == SF_COORD_RECORD_OK)
        assert_true((int64_t)sf_generator_limit_ms(&m->gen) + EPOCH_MS <= slot.reserved_until_ms);
}

/* The file is written before the request leaves. */
static inline void check_file(struct machine *m)
{
    if (m->out.save || m->out.forget)
        m->file_held = m->res.hold.active && !m->res.orphan && m->res.hold.opened;
    if (m->out.has_request && m->out.request.op == SF_COORD_BIND && m->res.bid.active)
        assert_false(m->file_held);
}

static inline bool forge(struct machine *m, const struct sf_coord_request *request)
{
    for (unsigned i = 0; i < m->forged_count; i++) {
        const struct forged forged = m->forged[i];
        if (forged.op != request->op)
            continue;
        memmove(&m->forged[i], &m->forged[i + 1], (m->forged_count - i - 1) * sizeof m->forged[0]);
        m->forged_count--;
        queue_event(m, sf_coord_event_completion(request, forged.outcome, forged.reason, "%s",
                                                 forged.text));
        return true;
    }
    return false;
}

/* The next request of this op gets this answer; it does not reach the store. */
static inline void forge_next(struct machine *m, enum sf_coord_op op, enum sf_coord_outcome outcome,
                              enum sf_coord_reason reason)
{
    assert_true(m->forged_count < FORGED_MAX);
    m->forged[m->forged_count++] = (struct forged){op, outcome, reason, "forged"};
}

static inline void step(struct machine *m, enum sf_reservation_event_kind kind,
                        const struct sf_coord_event *coord, int64_t deadline_mono_ms)
{
    const struct sf_reservation_event event = {kind, coord, deadline_mono_ms};
    m->now.mono_ms = mono_ms;
    m->now.mint_ms = mint_ms;
    entropy++;
    memcpy(m->now.random, &entropy, sizeof entropy);
    memcpy(m->now.random + sizeof entropy, &entropy, sizeof entropy);
    sf_reservation_step(&m->res, &event, &m->now, &m->out);
    assert_true(m->out.wake_mono_ms <= mono_ms + 1000);
    m->saves += m->out.save;
    m->forgets += m->out.forget;
    if (m->out.finished) {
        assert_false(m->finished);
        m->finished = true;
        m->exit_code = m->out.exit_code;
    }
    for (unsigned i = 0; i < m->out.log_count; i++) {
        const size_t used = strlen(m->logs);
        snprintf(m->logs + used, sizeof m->logs - used, "%s: %s\n", m->out.logs[i].event,
                 m->out.logs[i].text);
    }
    check_rules(m);
    check_file(m);
    if (!m->out.has_request)
        return;
    const size_t used = strlen(m->ops);
    snprintf(m->ops + used, sizeof m->ops - used, "%s ", sf_coord_op_name(m->out.request.op));
    if (!forge(m, &m->out.request))
        sf_coord_submit(m->coord, &m->out.request);
}

static inline bool take_event(struct machine *m)
{
    struct sf_coord_event *event = m->first;
    if (!event)
        return false;
    m->first = event->link;
    if (!m->first)
        m->last = NULL;
    if (m->started)
        step(m, SF_RES_COORD, event, 0);
    sf_coord_event_free(event);
    return true;
}

/* Everything that can happen without time passing. */
static inline void settle(void)
{
    bool busy = true;
    while (busy) {
        busy = false;
        for (unsigned i = 0; i < MACHINES; i++)
            busy |= take_event(&machines[i]);
        busy |= sf_fake_pump(store);
    }
}

static inline void tick(struct machine *m)
{
    step(m, SF_RES_TICK, NULL, 0);
    settle();
}

static inline void pass(int64_t ms)
{
    mono_ms += ms;
    mint_ms += ms;
    sf_fake_advance_ms(store, ms);
}

/* Lets time pass; every machine is woken when it asked to be. */
static inline void run(int64_t ms)
{
    const int64_t end_ms = mono_ms + ms;
    settle();
    while (mono_ms < end_ms) {
        int64_t next_ms = end_ms;
        for (unsigned i = 0; i < MACHINES; i++)
            if (machines[i].started && machines[i].out.wake_mono_ms < next_ms)
                next_ms = machines[i].out.wake_mono_ms;
        pass(next_ms > mono_ms ? next_ms - mono_ms : 1);
        for (unsigned i = 0; i < MACHINES; i++)
            if (machines[i].started && mono_ms >= machines[i].out.wake_mono_ms)
                step(&machines[i], SF_RES_TICK, NULL, 0);
        settle();
    }
}

/* Of the present making. */
static inline struct sf_coord_completion *call(const struct sf_coord_request *request)
{
    struct sf_coord_request of_making = *request;
    memcpy(of_making.basis.token, token, sizeof token);
    sf_coord_submit(observer, &of_making);
    sf_coord_event_free(observed);
    observed = NULL;
    while (!observed)
        assert_true(sf_fake_pump(store));
    return &observed->completion;
}

/* The oldest claim of datacenter 0, and how many there are. */
static inline struct sf_coord_claim first_claim(size_t *ret_count)
{
    const struct sf_coord_request list = {.op = SF_COORD_LIST, .id = 9, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&list);
    *ret_count = c->claim_count;
    return c->claim_count ? c->claims[0] : (struct sf_coord_claim){.slot = -1};
}

/* The store's record, read without serving anybody: from a copy of the store. */
static inline struct sf_coord_slot record_in(uint64_t datacenter, uint64_t worker)
{
    struct sf_fake_tree *tree = sf_fake_snapshot(store);
    struct sf_fake_store *aside = sf_fake_store_create();
    sf_fake_restore(aside, tree);
    sf_fake_snapshot_free(tree);
    struct sf_coord_event *kept = observed;
    observed = NULL;
    const struct sf_coord_options options = {.fleet = "f", .sink = observe};
    struct sf_coord *handle = sf_fake_open(aside, &options);
    const struct sf_coord_request request = {.op = SF_COORD_READ_SLOT,
                                             .id = 1,
                                             .deadline_ms = 1000,
                                             .datacenter = datacenter,
                                             .u.worker = worker};
    struct sf_coord_request of_making = request;
    memcpy(of_making.basis.token, token, sizeof token);
    sf_coord_submit(handle, &of_making);
    sf_fake_pump_all(aside);
    struct sf_coord_slot slot = {.state = SF_COORD_RECORD_MISSING};
    if (observed && observed->completion.slot_count == 1)
        slot = observed->completion.slots[0];
    sf_coord_event_free(observed);
    observed = NULL;
    sf_coord_destroy(handle);
    sf_coord_event_free(observed);
    observed = kept;
    sf_fake_store_destroy(aside);
    return slot;
}

static inline struct sf_coord_slot record_of(uint64_t worker)
{
    return record_in(0, worker);
}

static inline struct sf_coord_config fleet_config(void)
{
    return (struct sf_coord_config){.max_window_ms = 600000,
                                    .fleet_id = FLEET_ID,
                                    .epoch_ms = EPOCH_MS,
                                    .layout = {41, 5, 2, 15},
                                    .datacenter_count = 1,
                                    .incarnation = 1};
}

/* A fresh making, over whatever is there. */
static inline void make_fleet(const struct sf_coord_config *config, bool after_data_loss)
{
    struct sf_coord_request request = {.op = SF_COORD_SURVEY, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *found = call(&request);
    assert_int_equal(found->outcome, SF_COORD_DONE);
    struct sf_coord_init *init = &request.u.init;
    init->root = found->survey->root;
    init->config = *config;
    init->config.version = found->version;
    init->after_data_loss = after_data_loss;
    init->survivor_max_ms = INT64_MAX;
    init->seed[0] = (uint8_t)++makings;
    snprintf(init->config.token, sizeof init->config.token, "%032x", makings);
    memcpy(token, init->config.token, sizeof token);
    request.op = SF_COORD_INIT;
    assert_int_equal(call(&request)->outcome, SF_COORD_DONE);
}

/* The making that a machine made by itself. */
static inline void learn_token(const struct machine *m)
{
    memcpy(token, m->res.config.token, sizeof token);
}

/* Writes a record past every rule, as a stranger would. */
static inline void put_record(uint64_t worker, const char *claim, int64_t reserved_until_ms)
{
    struct sf_coord_slot slot = {.worker = worker,
                                 .state = SF_COORD_RECORD_OK,
                                 .from_ms = reserved_until_ms,
                                 .reserved_until_ms = reserved_until_ms,
                                 .updated_ms = mint_ms};
    snprintf(slot.claim, sizeof slot.claim, "%s", claim);
    memcpy(slot.nonce, "ffffffffffffffffffffffffffffffff", SF_HEX128_SIZE);
    char path[96], *bytes = sf_record_slot_encode(&slot);
    snprintf(path, sizeof path, "/f/%s/dc/0/slots/%u", token, (unsigned)worker);
    sf_fake_put(store, path, bytes, strlen(bytes));
    free(bytes);
}

/* Somebody's claim, which waits and never ends. */
static inline void put_claim(unsigned number)
{
    const struct sf_coord_claim claim = {.slot = -1};
    char path[160], *bytes = sf_record_claim_encode(&claim);
    snprintf(path, sizeof path, "/f/%s/dc/0/claims/claim-ff%030x-%010u", token, number, number);
    sf_fake_put(store, path, bytes, strlen(bytes));
    free(bytes);
}

/* It ends, as when a slot is given back: whoever watches is told. */
static inline void delete_claim(unsigned number)
{
    char path[160];
    snprintf(path, sizeof path, "/f/%s/dc/0/claims/claim-ff%030x-%010u", token, number, number);
    sf_fake_delete(store, path);
}

/* Somebody edits the config of the present making by hand. */
static inline void put_config(struct sf_coord_config *config)
{
    memcpy(config->token, token, sizeof token);
    char *bytes = sf_record_config_encode(config);
    sf_fake_put(store, "/f/config", bytes, strlen(bytes));
    free(bytes);
}

static inline void record_path(uint64_t worker, char path[96])
{
    snprintf(path, 96, "/f/%s/dc/0/slots/%u", token, (unsigned)worker);
}

static inline void delete_record(uint64_t worker)
{
    char path[96];
    record_path(worker, path);
    sf_fake_delete(store, path);
}

static inline void spoil_record(uint64_t worker)
{
    char path[96];
    record_path(worker, path);
    sf_fake_put(store, path, "?", 1);
}

/* What the making's state says. */
static inline bool is_halted(unsigned *ret_reports)
{
    const struct sf_coord_request request = {
        .op = SF_COORD_READ_CONFIG, .id = 1, .deadline_ms = 1000};
    const struct sf_coord_completion *c = call(&request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    assert_non_null(c->state);
    if (ret_reports != NULL)
        *ret_reports = c->state->report_count;
    return c->state->halted;
}

/* A machine that has heard nothing yet; params may be changed before start_machine. */
static inline struct machine *new_machine(unsigned index)
{
    struct machine *m = &machines[index];
    m->params = (struct sf_reservation_params){.pinned_worker = -1,
                                               .window_ms = WINDOW_MS,
                                               .min_window_ms = MIN_MS,
                                               .max_behind_ms = 1000,
                                               .node = "node",
                                               .address = "127.0.0.1:1",
                                               .admin = "127.0.0.1:2",
                                               .version = "1"};
    m->now = (struct sf_reservation_now){.trusted_ms = -1, .clock_ok = true, .clock_text = "fine"};
    return m;
}

static inline void open_machine(struct machine *m, const struct sf_reservation_memory *memory)
{
    const struct sf_coord_options options = {.fleet = "f", .sink = queue_event, .sink_ctx = m};
    const uint8_t random[16] = {(uint8_t)(m - machines + 1)};
    m->coord = sf_fake_open(store, &options);
    atomic_init(&m->word, memory ? memory->last_word : 0);
    m->file_held = memory != NULL && memory->valid;
    sf_reservation_init(&m->res, &m->params, &m->gen, &m->word, 10, memory, random);
    m->started = true;
}

static inline void start_machine(struct machine *m, const struct sf_reservation_memory *memory)
{
    open_machine(m, memory);
    settle();
}

/* Started, and given the time to get a slot. */
static inline struct machine *ready_machine(unsigned index)
{
    struct machine *m = new_machine(index);
    start_machine(m, NULL);
    run(3000);
    assert_int_equal(m->res.state, SF_WORKER_READY);
    return m;
}

/* The process ends without a word: its session ends too. */
static inline void kill_machine(struct machine *m)
{
    sf_coord_destroy(m->coord);
    m->coord = NULL;
    m->started = false;
    while (take_event(m)) {
    }
    settle();
}

static inline enum sf_mint_result mint(struct machine *m, uint32_t want)
{
    if (!m->res.generator_ready)
        return SF_MINT_CLOSED;
    struct sf_mint got;
    const enum sf_mint_result result =
        sf_generator_mint(&m->gen, (uint64_t)(mint_ms - EPOCH_MS), 0, 0, want, &got);
    if (result != SF_MINT_OK)
        return result;
    const uint64_t last = got.first_word + got.count - 1, worker = (got.slot_bits >> 15) & 3;
    for (unsigned i = 0; i < mint_count; i++)
        assert_true(mints[i].worker != worker || last < mints[i].first ||
                    got.first_word > mints[i].last);
    assert_true(mint_count < MINTS_MAX);
    mints[mint_count].worker = worker;
    mints[mint_count].first = got.first_word;
    mints[mint_count++].last = last;
    return result;
}

static inline void leave(struct machine *m, int64_t within_ms)
{
    step(m, SF_RES_LEAVE, NULL, mono_ms + within_ms);
    settle();
}

#define assert_said(m, part)                                                                       \
    do {                                                                                           \
        if (!strstr((m)->logs, part))                                                              \
            fail_msg("'%s' is not in the log:\n%s", part, (m)->logs);                              \
    } while (0)
#define assert_silent(m, part) assert_null(strstr((m)->logs, part))
#define assert_state(m, expected)                                                                  \
    assert_string_equal(sf_worker_state_name((m)->res.state), sf_worker_state_name(expected))

static inline void forget_past(struct machine *m)
{
    m->ops[0] = '\0';
    m->logs[0] = '\0';
    m->saves = m->forgets = 0;
}

static inline int setup_empty(void **state)
{
    (void)state;
    store = sf_fake_store_create();
    memset(machines, 0, sizeof machines);
    mint_count = 0;
    mint_ms = INT64_C(1700000000000);
    mono_ms = 1000000;
    entropy = 0;
    makings = 0;
    token[0] = '\0';
    record_rule = true;
    const struct sf_coord_options options = {.fleet = "f", .sink = observe};
    observer = sf_fake_open(store, &options);
    sf_fake_pump_all(store);
    return 0;
}

static inline int setup(void **state)
{
    setup_empty(state);
    const struct sf_coord_config config = fleet_config();
    make_fleet(&config, false);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MACHINES; i++)
        if (machines[i].coord)
            kill_machine(&machines[i]);
    sf_coord_destroy(observer);
    sf_coord_event_free(observed);
    observed = NULL;
    sf_fake_store_destroy(store);
    return 0;
}

#define scenario(function)       cmocka_unit_test_setup_teardown(function, setup, teardown)
#define scenario_empty(function) cmocka_unit_test_setup_teardown(function, setup_empty, teardown)

#endif
