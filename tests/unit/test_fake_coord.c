/* unit/test_fake_coord.c - the faults of the coordinator in memory, and that it does nothing by
 * itself. That it keeps the contract when there is no fault is shown by tests/contract. */
#include "unit/cmocka_all.h"

#include "base/ticks.h"
#include "coord/records.h"
#include "fakes/fake_coord.h"

/* One worker: a handle, and what it heard, newest last. */
struct worker {
    struct sf_coord *coord;
    struct sf_coord_event *heard[64];
    size_t count;
};

static struct sf_fake_store *store;
static struct worker workers[2];
static struct sf_coord_basis basis; /* as learn read it; requests have it */

static void hear(void *ctx, struct sf_coord_event *event)
{
    struct worker *worker = ctx;
    assert_true(worker->count < SF_COUNT(worker->heard));
    worker->heard[worker->count++] = event;
}

static struct sf_coord_request request_of(enum sf_coord_op op)
{
    static uint64_t last_id;
    struct sf_coord_request request = {
        .op = op, .id = ++last_id, .deadline_ms = 1000, .basis = basis};
    static const char digits[] = "0123456789abcdef";
    if (op == SF_COORD_CLAIM) {
        memset(request.u.claim.guid, 'a', SF_HEX128_SIZE - 1);
        request.u.claim.guid[0] = digits[last_id % 16];
        request.u.claim.guid[1] = digits[last_id / 16 % 16];
    }
    return request;
}

static struct sf_coord_completion *last(const struct worker *worker)
{
    for (size_t i = worker->count; i > 0; i--)
        if (worker->heard[i - 1]->kind == SF_COORD_COMPLETION)
            return &worker->heard[i - 1]->completion;
    return NULL;
}

static struct sf_coord_completion *call(struct worker *worker,
                                        const struct sf_coord_request *request)
{
    sf_coord_submit(worker->coord, request);
    sf_fake_pump_all(store);
    struct sf_coord_completion *completion = last(worker);
    assert_non_null(completion);
    assert_int_equal(completion->id, request->id);
    return completion;
}

static struct sf_coord_completion *do_op(struct worker *worker, enum sf_coord_op op)
{
    struct sf_coord_request request = request_of(op);
    return call(worker, &request);
}

static void learn(struct worker *worker)
{
    const struct sf_coord_completion *c = do_op(worker, SF_COORD_READ_CONFIG);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    assert_non_null(c->state);
    memcpy(basis.token, c->config->token, sizeof basis.token);
    basis.config = c->config->version;
    basis.state = c->state->version;
}

static struct sf_coord_slot read_slot(struct worker *worker, uint64_t number)
{
    struct sf_coord_request request = request_of(SF_COORD_READ_SLOT);
    request.u.worker = number;
    const struct sf_coord_completion *c = call(worker, &request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    return c->slots[0];
}

static struct sf_coord_request write_of(enum sf_coord_op op, const struct sf_coord_slot *slot,
                                        const struct sf_coord_claim *claim)
{
    struct sf_coord_request request = request_of(op);
    struct sf_coord_write *write = &request.u.write;
    write->slot = write->expected = *slot;
    write->slot.fence = claim->fence;
    memcpy(write->slot.claim, claim->name, sizeof claim->name);
    memcpy(write->slot.nonce, claim->guid, sizeof claim->guid);
    write->slot.nonce[31] = "0123456789abcdef"[op % 16]; /* of each write its own */
    write->slot.reserved_until_ms += 1000;
    return request;
}

static size_t claims(struct worker *worker)
{
    struct sf_coord_completion *c = do_op(worker, SF_COORD_LIST);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    return c->claim_count;
}

static int setup(void **state)
{
    (void)state;
    store = sf_fake_store_create();
    memset(workers, 0, sizeof workers);
    for (size_t i = 0; i < SF_COUNT(workers); i++) {
        const struct sf_coord_options options = {
            .fleet = "f", .sink = hear, .sink_ctx = &workers[i]};
        workers[i].coord = sf_fake_open(store, &options);
    }
    assert_int_equal(workers[0].count, 0); /* nothing before the pump */
    struct sf_coord_request init = request_of(SF_COORD_INIT);
    strcpy(init.u.init.config.fleet_id, "01234567-89ab-4def-8123-456789abcdef");
    strcpy(init.u.init.config.token, "0123456789abcdef0123456789abcdef");
    init.u.init.config.max_window_ms = 1000;
    init.u.init.config.layout = (struct sf_layout){41, 5, 2, 15};
    init.u.init.config.datacenter_count = 1;
    sf_coord_submit(workers[0].coord, &init);
    assert_int_equal(workers[0].count, 0);
    sf_fake_pump_all(store);
    assert_int_equal(workers[0].heard[0]->kind, SF_COORD_CONNECTED);
    assert_int_equal(last(&workers[0])->outcome, SF_COORD_DONE);
    learn(&workers[0]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < SF_COUNT(workers); i++) {
        sf_coord_destroy(workers[i].coord);
        for (size_t k = 0; k < workers[i].count; k++)
            sf_coord_event_free(workers[i].heard[k]);
    }
    sf_fake_store_destroy(store);
    return 0;
}

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        enum sf_fake_fault fault;
        enum sf_coord_outcome outcome;
        enum sf_coord_reason reason;
        size_t claims; /* that exist afterwards */
        bool session_lost;
    } rows[] = {
        {SF_FAKE_ANSWER_LOST_APPLIED, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE, 1, false},
        {SF_FAKE_ANSWER_LOST_NOT_APPLIED, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE, 0, false},
        {SF_FAKE_APPLIED_LATE, SF_COORD_UNKNOWN, SF_COORD_UNREACHABLE, 0, false},
        {SF_FAKE_NEVER_SENT, SF_COORD_LOST, SF_COORD_UNREACHABLE, 0, false},
        {SF_FAKE_EXPIRE_BEFORE, SF_COORD_UNKNOWN, SF_COORD_SESSION, 0, true},
        {SF_FAKE_EXPIRE_AFTER, SF_COORD_UNKNOWN, SF_COORD_SESSION, 0, true},
    };
    for (size_t i = 0; i < SF_COUNT(rows); i++) {
        if (i > 0) {
            teardown(NULL);
            setup(NULL);
        }
        sf_fake_fault(workers[0].coord, SF_COORD_CLAIM, rows[i].fault);
        struct sf_coord_completion *c = do_op(&workers[0], SF_COORD_CLAIM);
        assert_int_equal(c->outcome, rows[i].outcome);
        assert_int_equal(c->reason, rows[i].reason);
        bool session_lost = false;
        for (size_t k = 0; k < workers[0].count; k++)
            session_lost = session_lost || workers[0].heard[k]->kind == SF_COORD_SESSION_LOST;
        assert_int_equal(session_lost, rows[i].session_lost);
        assert_int_equal(claims(&workers[1]), rows[i].claims);
        if (rows[i].fault == SF_FAKE_APPLIED_LATE) {
            sf_fake_apply_late(store);
            assert_int_equal(claims(&workers[1]), 1);
        }
        assert_int_equal(do_op(&workers[0], SF_COORD_CLAIM)->outcome,
                         SF_COORD_DONE); /* once only */
    }
}

static void test_held_and_deadlines(void **state)
{
    (void)state;
    struct sf_coord_request first = request_of(SF_COORD_CLAIM), second = request_of(SF_COORD_CLAIM);
    sf_fake_fault(workers[0].coord, SF_COORD_CLAIM, SF_FAKE_HELD);
    sf_fake_fault(workers[0].coord, SF_COORD_CLAIM, SF_FAKE_HELD);
    sf_coord_submit(workers[0].coord, &first);
    sf_fake_pump_all(store);
    assert_int_equal(sf_fake_waiting(store), 1);
    sf_fake_release(store);
    sf_fake_pump_all(store);
    assert_int_equal(last(&workers[0])->outcome, SF_COORD_DONE);
    sf_coord_submit(workers[0].coord, &second);
    sf_fake_advance_ms(store, 999);
    assert_false(sf_fake_pump(store));
    sf_fake_advance_ms(store, 1);
    assert_true(sf_fake_pump(store));
    assert_int_equal(last(&workers[0])->outcome, SF_COORD_UNKNOWN);
    assert_int_equal(claims(&workers[1]), 1);
    sf_fake_apply_late(store);
    assert_int_equal(claims(&workers[1]), 2);
}

static void test_connection_and_session(void **state)
{
    (void)state;
    do_op(&workers[0], SF_COORD_CLAIM);
    struct sf_coord_request watch = request_of(SF_COORD_WATCH);
    call(&workers[1], &watch);
    sf_fake_disconnect(workers[0].coord);
    assert_int_equal(do_op(&workers[0], SF_COORD_LIST)->outcome, SF_COORD_LOST);
    assert_int_equal(claims(&workers[1]), 1); /* the session lives on */
    sf_fake_expire(workers[0].coord);
    sf_fake_pump_all(store);
    assert_int_equal(workers[0].heard[workers[0].count - 1]->kind, SF_COORD_SESSION_LOST);
    assert_int_equal(workers[1].heard[workers[1].count - 1]->kind, SF_COORD_CHANGED);
    assert_int_equal(claims(&workers[1]), 0);
    sf_fake_connect(workers[0].coord);
    sf_fake_pump_all(store);
    assert_int_equal(workers[0].heard[workers[0].count - 1]->kind, SF_COORD_CONNECTED);
    assert_int_equal(do_op(&workers[0], SF_COORD_CLAIM)->outcome, SF_COORD_DONE);
}

/* A hop that sends a write again and hands on the second answer: refused, and yet done. */
static void test_done_twice(void **state)
{
    (void)state;
    const struct sf_coord_claim claim = do_op(&workers[0], SF_COORD_CLAIM)->claims[0];
    const struct sf_coord_slot slot = read_slot(&workers[0], 1);
    const struct sf_coord_request bind = write_of(SF_COORD_BIND, &slot, &claim);
    sf_fake_fault(workers[0].coord, SF_COORD_BIND, SF_FAKE_DONE_TWICE);
    const struct sf_coord_completion *c = call(&workers[0], &bind);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_int_equal(c->reason, SF_COORD_VERSION);
    const struct sf_coord_slot bound = read_slot(&workers[0], 1);
    assert_string_equal(bound.nonce, bind.u.write.slot.nonce);
    /* Of a claim it is the same node: there is one. */
    sf_fake_fault(workers[1].coord, SF_COORD_CLAIM, SF_FAKE_DONE_TWICE);
    do_op(&workers[1], SF_COORD_CLAIM);
    assert_true(claims(&workers[0]) >= 2);
}

/* Lists may be old; what is confirmed is not, and neither is what judges a write. */
static void test_stale_lists(void **state)
{
    (void)state;
    sf_fake_freeze_reads(workers[1].coord);
    const struct sf_coord_claim claim = do_op(&workers[0], SF_COORD_CLAIM)->claims[0];
    assert_int_equal(claims(&workers[1]), 0); /* a follower that lags */
    const struct sf_coord_slot slot = read_slot(&workers[0], 1);
    const struct sf_coord_request bind = write_of(SF_COORD_BIND, &slot, &claim);
    assert_int_equal(call(&workers[0], &bind)->outcome, SF_COORD_DONE);
    assert_int_equal(read_slot(&workers[1], 1).fence, claim.fence);
    const struct sf_coord_claim other = do_op(&workers[1], SF_COORD_CLAIM)->claims[0];
    const struct sf_coord_request again = write_of(SF_COORD_BIND, &slot, &other);
    assert_int_equal(call(&workers[1], &again)->reason, SF_COORD_VERSION);
    sf_fake_thaw_reads(workers[1].coord);
    assert_int_equal(claims(&workers[1]), 2);
}

static void test_lost_data(void **state)
{
    (void)state;
    struct sf_coord_request watch = request_of(SF_COORD_WATCH);
    call(&workers[1], &watch);
    struct sf_fake_tree *before = sf_fake_snapshot(store);
    do_op(&workers[0], SF_COORD_CLAIM);
    assert_int_equal(claims(&workers[1]), 1);
    sf_fake_restore(store, before);
    sf_fake_snapshot_free(before);
    assert_int_equal(claims(&workers[1]), 0);
    static const char foreign[] = "{\"format\":3}";
    sf_fake_put(store, "/f/config", foreign, sizeof foreign - 1);
    assert_int_equal(do_op(&workers[1], SF_COORD_READ_CONFIG)->reason, SF_COORD_GARBAGE);
    bool told = false;
    for (size_t i = 0; i < workers[1].count; i++)
        told = told || workers[1].heard[i]->kind == SF_COORD_FLEET_CHANGED;
    assert_true(told);
    sf_fake_delete(store, "/f/config");
    struct sf_coord_completion *c = do_op(&workers[1], SF_COORD_READ_CONFIG);
    assert_int_equal(c->reason, SF_COORD_MISSING);
    assert_true(c->version.incarnation != 0); /* the root says that there was a fleet */
    sf_fake_wipe(store);
    c = do_op(&workers[1], SF_COORD_READ_CONFIG);
    assert_int_equal(c->reason, SF_COORD_MISSING);
    assert_int_equal(c->version.incarnation, 0);
    assert_int_equal(read_slot(&workers[1], 0).state, SF_COORD_RECORD_MISSING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(outcomes),   TEST(held_and_deadlines), TEST(connection_and_session),
        TEST(done_twice), TEST(stale_lists),        TEST(lost_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
