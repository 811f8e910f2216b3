/* contract/cases_fleet.c - config and records: missing, made, made again, damaged; and URLs that
 * cannot work. */
#include "coord/open.h"
#include "harness.h"

#include <errno.h>
#include <string.h>

#include "base/ticks.h"

static void expect_op(struct ct_handle *handle, enum sf_coord_op op, enum sf_coord_outcome outcome,
                      enum sf_coord_reason reason)
{
    struct sf_coord_request request = ct_request(op);
    if (op == SF_COORD_CLAIM)
        ct_guid(request.u.claim.guid);
    ct_expect(handle, &request, outcome, reason);
}

static void test_fleet_missing(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    expect_op(a, SF_COORD_READ_CONFIG, SF_COORD_REFUSED, SF_COORD_MISSING);
    expect_op(a, SF_COORD_LIST, SF_COORD_REFUSED, SF_COORD_MISSING);
    expect_op(a, SF_COORD_CLAIM, SF_COORD_REFUSED, SF_COORD_MISSING);
    expect_op(a, SF_COORD_WATCH, SF_COORD_REFUSED, SF_COORD_MISSING);
}

static void assert_same_config(const struct sf_coord_config *a, const struct sf_coord_config *b)
{
    assert_string_equal(a->fleet_id, b->fleet_id);
    assert_int_equal(a->epoch_ms, b->epoch_ms);
    assert_memory_equal(&a->layout, &b->layout, sizeof a->layout);
    assert_int_equal(a->any_datacenter, b->any_datacenter);
    assert_int_equal(a->datacenter_count, b->datacenter_count);
    for (size_t i = 0; i < a->datacenter_count; i++)
        assert_int_equal(a->datacenters[i], b->datacenters[i]);
    assert_int_equal(a->floor_ms, b->floor_ms);
    assert_int_equal(a->created_ms, b->created_ms);
}

static void test_init_makes_everything(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_request init = ct_init_request(2);
    ct_survey(a, &init.u.init);
    struct sf_coord_config made = *ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON)->config;
    assert_same_config(&init.u.init.config, &made);
    assert_int_equal(made.incarnation, 1);
    struct sf_coord_completion *read_back = ct_learn(b);
    assert_true(read_back->current);
    assert_non_null(read_back->state);
    assert_false(read_back->state->halted);
    assert_int_equal(read_back->state->report_count, 0);
    assert_true(read_back->version.incarnation != 0);
    struct sf_coord_request read = ct_request(SF_COORD_READ_CONFIG);
    struct sf_coord_config there = *ct_expect(b, &read, SF_COORD_DONE, SF_COORD_NO_REASON)->config;
    assert_same_config(&made, &there);
    assert_true(ct_same_version(&made.version, &there.version));
    assert_true(there.version.incarnation != 0 || there.version.version != 0);
    for (uint64_t datacenter = 0; datacenter < 2; datacenter++) {
        struct sf_coord_request list = ct_request(SF_COORD_LIST);
        list.datacenter = datacenter;
        struct sf_coord_completion *c = ct_expect(b, &list, SF_COORD_DONE, SF_COORD_NO_REASON);
        assert_int_equal(c->slot_count, 4);
        assert_int_equal(c->claim_count, 0);
        for (size_t i = 0; i < c->slot_count; i++) {
            assert_int_equal(c->slots[i].worker, i);
            assert_int_equal(c->slots[i].state, SF_COORD_RECORD_OK);
            assert_int_equal(c->slots[i].fence, 0);
            assert_int_equal(c->slots[i].reserved_until_ms, 1000);
            assert_string_equal(c->slots[i].claim, "");
            assert_int_equal(c->slots[i].from_ms, 1000);
            assert_int_equal(strlen(c->slots[i].nonce), SF_HEX128_SIZE - 1);
            for (size_t k = 0; k < i; k++)
                assert_string_not_equal(c->slots[i].nonce, c->slots[k].nonce);
            assert_true(c->slots[i].version.incarnation != 0 || c->slots[i].version.version != 0);
        }
    }
    struct sf_coord_request other = ct_request(SF_COORD_LIST);
    other.datacenter = 2;
    ct_expect(b, &other, SF_COORD_REFUSED, SF_COORD_MISSING);
}

static void test_init_again_exists(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config made = ct_init(a, 2);
    struct sf_coord_request again = ct_init_request(3);
    again.u.init.config.floor_ms = 5000;
    ct_survey(a, &again.u.init);
    ct_expect(a, &again, SF_COORD_REFUSED, SF_COORD_EXISTS);
    struct sf_coord_request read = ct_request(SF_COORD_READ_CONFIG);
    struct sf_coord_config there = *ct_expect(a, &read, SF_COORD_DONE, SF_COORD_NO_REASON)->config;
    assert_same_config(&made, &there);
    assert_true(ct_same_version(&made.version, &there.version));
    assert_int_equal(ct_read_slot(a, 0).reserved_until_ms, 1000);
}

static void test_init_race_one_wins(void **state)
{
    (void)state;
    enum { RACERS = 4 };
    struct ct_handle *handles[RACERS];
    struct sf_coord_request requests[RACERS];
    for (size_t i = 0; i < RACERS; i++)
        handles[i] = ct_open();
    for (size_t i = 0; i < RACERS; i++) {
        requests[i] = ct_init_request(2);
        ct_survey(handles[i], &requests[i].u.init);
    }
    for (size_t i = 0; i < RACERS; i++)
        ct_submit(handles[i], &requests[i]);
    unsigned done = 0;
    for (size_t i = 0; i < RACERS; i++) {
        struct sf_coord_completion *c = ct_wait(handles[i], requests[i].id, 2 * CT_DEADLINE_MS);
        assert_non_null(c);
        if (c->outcome == SF_COORD_DONE)
            done++;
        else
            assert_int_equal(c->reason, SF_COORD_EXISTS);
    }
    assert_int_equal(done, 1);
}

static void test_init_limits(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_request init = ct_init_request(2);
    init.u.init.config.layout = (struct sf_layout){41, 0, SF_COORD_WORKER_BITS_MAX + 1, 7};
    init.u.init.config.datacenter_count = 1;
    ct_expect(a, &init, SF_COORD_REFUSED, SF_COORD_INVALID);
    init.u.init.config.layout = (struct sf_layout){41, SF_COORD_DATACENTER_BITS_MAX + 1, 2, 9};
    ct_expect(a, &init, SF_COORD_REFUSED, SF_COORD_INVALID);
    init.u.init.config.layout = (struct sf_layout){40, 10, 11, 2}; /* 1024 x 2048 records */
    init.u.init.config.any_datacenter = true;
    init.u.init.config.datacenter_count = 0;
    ct_expect(a, &init, SF_COORD_REFUSED, SF_COORD_INVALID);
    init = ct_init_request(2);
    init.u.init.config.layout.sequence_bits++; /* 64 bits */
    ct_expect(a, &init, SF_COORD_REFUSED, SF_COORD_INVALID);
    init = ct_init_request(2);
    init.u.init.config.datacenters[1] = 32; /* does not fit 5 bits */
    ct_expect(a, &init, SF_COORD_REFUSED, SF_COORD_INVALID);
    expect_op(a, SF_COORD_READ_CONFIG, SF_COORD_REFUSED, SF_COORD_MISSING); /* nothing was made */
}

static void test_init_any_datacenter(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_request init = ct_init_request(2);
    init.u.init.config.layout = (struct sf_layout){41, 2, 2, 18};
    init.u.init.config.any_datacenter = true;
    init.u.init.config.datacenter_count = 0;
    ct_survey(a, &init.u.init);
    struct sf_coord_config made = *ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON)->config;
    assert_true(made.any_datacenter);
    ct_learn(a);
    struct sf_coord_request list = ct_request(SF_COORD_LIST);
    list.datacenter = 3;
    assert_int_equal(ct_expect(a, &list, SF_COORD_DONE, SF_COORD_NO_REASON)->slot_count, 4);
}

static void test_config_garbage(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    ct_init(a, 2);
    static const char *const bad[] = {"", "not JSON", "[]", "{\"format\":2}",
                                      "{\"format\":1,\"fleet_id\":7}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!ct_raw_put("/config", bad[i], strlen(bad[i])))
            skip();
        expect_op(a, SF_COORD_READ_CONFIG, SF_COORD_REFUSED, SF_COORD_GARBAGE);
        expect_op(a, SF_COORD_LIST, SF_COORD_REFUSED, SF_COORD_GARBAGE);
        struct sf_coord_request init = ct_init_request(2);
        ct_survey(a, &init.u.init);
        ct_expect(a, &init, SF_COORD_REFUSED, SF_COORD_GARBAGE);
    }
}

static void test_config_deleted_stops_writes(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    if (!ct_raw_delete("/config"))
        skip();
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    struct sf_coord_completion *c = ct_answer(a, &bind);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_true(c->reason == SF_COORD_MISSING || c->reason == SF_COORD_CONFIG_CHANGED);
    expect_op(a, SF_COORD_READ_CONFIG, SF_COORD_REFUSED, SF_COORD_MISSING);
    struct sf_coord_slot after = ct_read_slot(a, 0);
    assert_true(ct_same_version(&slot.version, &after.version));
}

static void test_record_missing(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 2);
    if (!ct_raw_delete("/dc/0/slots/2"))
        skip();
    assert_int_equal(ct_read_slot(a, 2).state, SF_COORD_RECORD_MISSING);
    struct sf_coord_completion *list = ct_list(a);
    assert_int_equal(list->slot_count, 4);
    assert_int_equal(list->slots[2].state, SF_COORD_RECORD_MISSING);
    assert_int_equal(list->slots[3].state, SF_COORD_RECORD_OK);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    ct_expect(a, &bind, SF_COORD_REFUSED, SF_COORD_MISSING);
}

static void test_record_garbage(void **state)
{
    (void)state;
    static char large[SF_COORD_RECORD_SIZE_MAX + 2000];
    memset(large, ' ', sizeof large - 1);
    const char *bad[] = {"", "{", "{\"fence\":-1}", "{\"fence\":1,\"fence\":2}", large};
    struct ct_handle *a = ct_open();
    ct_init(a, 2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!ct_raw_put("/dc/0/slots/1", bad[i], strlen(bad[i])))
            skip();
        struct sf_coord_completion *list = ct_list(a);
        assert_int_equal(list->slots[0].state, SF_COORD_RECORD_OK);
        assert_int_equal(list->slots[1].state, SF_COORD_RECORD_GARBAGE);
        assert_true(list->text[0] != '\0');
        assert_int_equal(ct_read_slot(a, 1).state, SF_COORD_RECORD_GARBAGE);
    }
}

static void test_fleets_are_apart(void **state)
{
    (void)state;
    char other[SF_COORD_FLEET_MAX];
    struct ct_handle *a = ct_open();
    const struct sf_coord_config ours = ct_init(a, 2);
    ct_claim(a);
    strcpy(other, ct_fleet());
    other[0] = 'C';
    ct_use_fleet(other);
    struct ct_handle *b = ct_open();
    expect_op(b, SF_COORD_READ_CONFIG, SF_COORD_REFUSED, SF_COORD_MISSING);
    ct_init(b, 2);
    assert_int_equal(ct_list(b)->claim_count, 0);
    struct sf_coord_request list = ct_request(SF_COORD_LIST);
    memcpy(list.basis.token, ours.token, sizeof ours.token);
    assert_int_equal(ct_expect(a, &list, SF_COORD_DONE, SF_COORD_NO_REASON)->claim_count, 1);
}

static void refuse_sink(void *ctx, struct sf_coord_event *event)
{
    (void)ctx;
    sf_coord_event_free(event);
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *fleet;
    } bad[] = {
        {"", "default"},
        {"localhost", "default"},
        {"http://localhost:1", "default"},
        {"local://", "default"},
        {"local://relative/path", "default"},
        {"local:///dev/null", "default"},
        {"local:///dev/null/x", "default"},
        {"zk://", "default"},
        {"zk://:", "default"},
        {"zk://host:notaport", "default"},
        {"zk://host:70000", "default"},
        {"etcd://", "default"},
        {"etcd://host:notaport", "default"},
        {"etcd://host:70000", "default"},
        {"local:///tmp", ""},
        {"local:///tmp", ".hidden"},
        {"local:///tmp", "a/b"},
        {"local:///tmp", "0123456789012345678901234567890123456789012345678901234567890123"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sf_coord_options options = {.url = bad[i].url,
                                           .fleet = bad[i].fleet,
                                           .session_timeout_ms = 4000,
                                           .ticks = &sf_ticks_system,
                                           .sink = refuse_sink};
        struct sf_coord *coord = NULL;
        struct sf_error err = {0, ""};
        int rc = sf_coord_open(&options, &coord, &err);
        if (rc != -EINVAL && rc != -ENOTSUP)
            fail_msg("\"%s\", fleet \"%s\": %d", bad[i].url, bad[i].fleet, rc);
        assert_int_equal(err.code, rc);
        assert_true(strlen(err.text) > 10);
        assert_null(coord);
    }
}

const struct CMUnitTest ct_fleet_cases[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, ct_setup, ct_teardown)
    CASE(fleet_missing),     CASE(init_makes_everything),
    CASE(init_again_exists), CASE(init_race_one_wins),
    CASE(init_limits),       CASE(init_any_datacenter),
    CASE(config_garbage),    CASE(config_deleted_stops_writes),
    CASE(record_missing),    CASE(record_garbage),
    CASE(fleets_are_apart),  CASE(bad_urls),
};
const size_t ct_fleet_case_count = sizeof ct_fleet_cases / sizeof ct_fleet_cases[0];
