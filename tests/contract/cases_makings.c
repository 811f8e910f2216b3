/* contract/cases_makings.c - makings of a fleet: which one grants, what conditions each write has,
 * halting, surveying, making anew, resetting a record (docs/uniqueness.md, rules 5 to 8). */
#include "harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ticks.h"

static struct sf_coord_slot bound_slot(struct ct_handle *a, uint64_t worker,
                                       const struct sf_coord_config *config,
                                       struct sf_coord_claim *ret_claim)
{
    *ret_claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, worker);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, ret_claim, config);
    ct_expect(a, &bind, SF_COORD_DONE, SF_COORD_NO_REASON);
    return ct_read_slot(a, worker);
}

static struct sf_coord_request remake_request(struct ct_handle *a,
                                              const struct sf_coord_config *config)
{
    struct sf_coord_request init = ct_init_request(2);
    memcpy(init.u.init.config.fleet_id, config->fleet_id, sizeof config->fleet_id);
    init.u.init.after_data_loss = true;
    ct_survey(a, &init.u.init);
    return init;
}

static struct sf_coord_claim_request some_claim(void)
{
    struct sf_coord_claim_request claim = {.node = "n", .version = "1"};
    ct_guid(claim.guid);
    return claim;
}

/* Claims, binds and renewals are of the making that is named; a release needs no name. */
static void test_only_the_named_making_grants(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim;
    struct sf_coord_slot slot = bound_slot(a, 1, &config, &claim);
    const struct sf_coord_slot other = ct_read_slot(a, 2);
    char path[64];
    snprintf(path, sizeof path, "/current-%s", config.token);
    if (!ct_raw_delete(path))
        skip();
    assert_false(ct_learn(a)->current);
    struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
    request.u.claim = some_claim();
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_CURRENT_GONE);
    request = ct_write(SF_COORD_BIND, &other, &claim, &config);
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_CURRENT_GONE);
    request = ct_write(SF_COORD_RENEW, &slot, &claim, &config);
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_CURRENT_GONE);
    request = ct_write(SF_COORD_RELEASE, &slot, &claim, &config);
    ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static struct sf_coord_request halt_request(uint64_t worker, const struct sf_coord_claim *claim)
{
    struct sf_coord_request halt = ct_request(SF_COORD_HALT);
    struct sf_coord_report *report = &halt.u.report;
    report->datacenter = 0;
    report->worker = worker;
    memcpy(report->claim, claim->name, sizeof report->claim);
    report->held_until_ms = 700000;
    report->last_ms = 650000;
    report->reported_ms = 690000;
    strcpy(report->node, "node-a");
    return halt;
}

static void test_a_halted_making_grants_nothing(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim;
    struct sf_coord_slot slot = bound_slot(a, 1, &config, &claim);
    const struct sf_coord_basis before = ct_basis();
    struct sf_coord_request halt = halt_request(1, &claim);
    const struct sf_coord_version halted =
        ct_expect(b, &halt, SF_COORD_DONE, SF_COORD_NO_REASON)->version;
    struct sf_coord_completion *c = ct_learn(a);
    assert_non_null(c->state);
    assert_true(c->state->halted);
    assert_true(ct_same_version(&c->state->version, &halted));
    assert_int_equal(c->state->report_count, 1);
    assert_string_equal(c->state->reports[0].claim, claim.name);
    assert_int_equal(c->state->reports[0].worker, 1);
    assert_int_equal(c->state->reports[0].held_until_ms, 700000);
    assert_int_equal(c->state->reports[0].last_ms, 650000);
    assert_string_equal(c->state->reports[0].node, "node-a");
    /* Who read it as not halted is refused. */
    struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
    request.u.claim = some_claim();
    request.basis = before;
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_STATE_CHANGED);
    request = ct_write(SF_COORD_RENEW, &slot, &claim, &config);
    request.basis.state = before.state;
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_STATE_CHANGED);
    halt.basis = before;
    ct_expect(a, &halt, SF_COORD_REFUSED, SF_COORD_STATE_CHANGED);
    /* A second report is added; the same again is one. */
    struct sf_coord_claim other = ct_claim(b);
    struct sf_coord_request second = halt_request(2, &other);
    ct_expect(b, &second, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_learn(a);
    second = halt_request(2, &other);
    second.u.report.held_until_ms = 800000;
    ct_expect(b, &second, SF_COORD_DONE, SF_COORD_NO_REASON);
    c = ct_learn(a);
    assert_int_equal(c->state->report_count, 2);
    assert_int_equal(c->state->reports[1].held_until_ms, 800000);
    request = ct_write(SF_COORD_RELEASE, &slot, &claim, &config);
    ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static void test_halt_needs_the_config(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_request halt = halt_request(0, &claim);
    halt.basis.config = config.version;
    halt.basis.config.version++;
    ct_expect(a, &halt, SF_COORD_REFUSED, SF_COORD_CONFIG_CHANGED);
    assert_false(ct_learn(a)->state->halted);
}

static void test_after_data_loss_starts_above_what_survives(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim;
    struct sf_coord_slot slot = bound_slot(a, 1, &config, &claim);
    assert_int_equal(slot.reserved_until_ms, 601000);
    struct sf_coord_request init = remake_request(a, &config);
    init.u.init.config.floor_ms = 50000;
    struct sf_coord_config remade = *ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON)->config;
    assert_int_equal(remade.incarnation, 2);
    assert_int_equal(remade.floor_ms, 601000);
    assert_string_equal(remade.token, init.u.init.config.token);
    assert_false(ct_same_version(&config.version, &remade.version));
    /* The old making grants nothing, not even to who read everything of it. */
    struct sf_coord_request renew = ct_write(SF_COORD_RENEW, &slot, &claim, &config);
    struct sf_coord_completion *c = ct_call(a, &renew);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_true(c->reason == SF_COORD_CONFIG_CHANGED || c->reason == SF_COORD_CURRENT_GONE);
    renew.basis.config = remade.version;
    ct_expect(a, &renew, SF_COORD_REFUSED, SF_COORD_CURRENT_GONE);
    /* Its trees stay; what it wrote is still read. */
    struct sf_coord_request read = ct_request(SF_COORD_READ_SLOT);
    memcpy(read.basis.token, config.token, sizeof config.token);
    read.u.worker = 1;
    assert_int_equal(
        ct_expect(a, &read, SF_COORD_DONE, SF_COORD_NO_REASON)->slots[0].reserved_until_ms, 601000);
    assert_true(ct_learn(a)->current);
    struct sf_coord_completion *list = ct_list(a);
    assert_int_equal(list->claim_count, 0);
    for (size_t i = 0; i < list->slot_count; i++) {
        assert_int_equal(list->slots[i].reserved_until_ms, 601000);
        assert_int_equal(list->slots[i].fence, 0);
    }
    bound_slot(a, 3, &remade, &claim);
}

static void test_a_report_raises_the_floor(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_request halt = halt_request(1, &claim);
    ct_expect(a, &halt, SF_COORD_DONE, SF_COORD_NO_REASON);
    struct sf_coord_request init = remake_request(a, &config);
    struct sf_coord_completion *c = ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(c->config->floor_ms, 700000);
    assert_false(ct_learn(a)->state->halted);
}

/* One liar must not fix the floor: then nothing is granted, and the next INIT goes on from there. */
static void test_a_survivor_too_far_ahead_refuses(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim;
    bound_slot(a, 1, &config, &claim);
    struct sf_coord_request init = remake_request(a, &config);
    init.u.init.survivor_max_ms = 600999;
    struct sf_coord_completion *c = ct_expect(a, &init, SF_COORD_REFUSED, SF_COORD_GARBAGE);
    assert_non_null(
        strstr(c->text, "1970-01-01T00:10:01.000Z, allowed is up to 1970-01-01T00:10:00.999Z"));
    assert_false(ct_learn(a)->current);
    init = remake_request(a, &config);
    init.u.init.survivor_max_ms = 601000;
    ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_true(ct_learn(a)->current);
}

/* Of two at once one wins, also when what both saw has come true again. */
static void test_an_old_survey_makes_nothing(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_request early = ct_init_request(2);
    ct_survey(a, &early.u.init); /* there is nothing */
    struct sf_coord_config config = ct_init(a, 2);
    if (!ct_raw_delete("/config"))
        skip();
    struct sf_coord_completion *c = ct_call(a, &early); /* there is nothing, again */
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    struct sf_coord_request late = ct_init_request(2);
    ct_survey(a, &late.u.init);
    ct_expect(a, &late, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_string_not_equal(ct_learn(a)->config->token, config.token);
    /* The making whose config was deleted is named no more. */
    struct sf_coord_request claim = ct_request(SF_COORD_CLAIM);
    claim.u.claim = some_claim();
    memcpy(claim.basis.token, config.token, sizeof config.token);
    c = ct_call(a, &claim);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
}

static void test_after_data_loss_over_another_config_is_refused(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_request first = remake_request(a, &config);
    struct sf_coord_request second = remake_request(a, &config);
    ct_expect(a, &first, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(ct_call(a, &second)->outcome, SF_COORD_REFUSED);
    assert_string_equal(ct_learn(a)->config->token, first.u.init.config.token);
    assert_true(ct_learn(a)->current);
}

static void test_a_repeated_init_is_done(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_request init = ct_init_request(2);
    ct_survey(a, &init.u.init);
    ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON);
    struct sf_coord_completion *again = ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_string_equal(again->config->token, init.u.init.config.token);
}

static void test_survey(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_request request = ct_request(SF_COORD_SURVEY);
    struct sf_coord_completion *c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_null(c->config);
    assert_int_equal(c->survey->trees, 0);
    assert_int_equal(c->survey->records, 0);
    assert_int_equal(c->survey->reserved_until_ms, -1);
    assert_int_equal(c->survey->reported_until_ms, -1);
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim;
    bound_slot(a, 2, &config, &claim);
    ct_claim(a); /* one that waits holds no slot */
    c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_string_equal(c->config->token, config.token);
    assert_int_equal(c->config->format, 2);
    assert_true(c->current);
    assert_true(ct_same_version(&c->version, &config.version));
    assert_int_equal(c->survey->trees, 1);
    assert_int_equal(c->survey->currents, 1);
    assert_int_equal(c->survey->records, 8);
    assert_int_equal(c->survey->garbage, 0);
    assert_int_equal(c->survey->reserved_until_ms, 601000);
    assert_string_equal(c->survey->token, config.token);
    assert_int_equal(c->survey->datacenter, 0);
    assert_int_equal(c->survey->worker, 2);
    assert_string_equal(c->survey->node, "node-a");
    assert_int_equal(c->survey->live_claims, 1);
    assert_false(c->survey->halted);
    struct sf_coord_request init = remake_request(a, &config);
    ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_learn(a);
    c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(c->survey->trees, 2);
    assert_int_equal(c->survey->currents, 1);
    assert_int_equal(c->survey->records, 16);
    assert_int_equal(c->survey->live_claims, 0);
    if (!ct_raw_put("/dc/0/slots/1", "?", 1))
        return;
    c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(c->survey->garbage, 1);
    assert_true(c->survey->why[0] != '\0');
}

/* An older fleet is refused with the way out, and its identity is still told to who makes it anew. */
static void test_an_older_format_is_told(void **state)
{
    (void)state;
    static const char old[] =
        "{\"format\":1,\"fleet_id\":\"01234567-89ab-4cde-8f01-23456789abcd\",\"epoch_ms\":5,"
        "\"layout\":{\"timestamp\":41,\"datacenter\":5,\"worker\":2,\"sequence\":15},"
        "\"datacenters\":null,\"floor_ms\":7,\"incarnation\":3,\"created_ms\":9}";
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    (void)config;
    if (ct_url != NULL && strncmp(ct_url, "local://", 8) == 0)
        skip(); /* its seal would have to be written too */
    if (!ct_raw_put("/config", old, sizeof old - 1))
        skip();
    struct sf_coord_request request = ct_request(SF_COORD_READ_CONFIG);
    struct sf_coord_completion *c = ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_GARBAGE);
    assert_non_null(strstr(c->text, "snowfleet init --after-data-loss"));
    request = ct_request(SF_COORD_SURVEY);
    c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_non_null(c->config);
    assert_int_equal(c->config->format, 1);
    assert_string_equal(c->config->fleet_id, "01234567-89ab-4cde-8f01-23456789abcd");
    assert_int_equal(c->config->layout.worker_bits, 2);
    assert_int_equal(c->config->epoch_ms, 5);
}

/* Content before counters: the same version with another content is not the same record. */
static void test_content_is_compared(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim;
    struct sf_coord_slot slot = bound_slot(a, 1, &config, &claim);
    static const enum sf_coord_op ops[] = {SF_COORD_BIND, SF_COORD_RENEW, SF_COORD_RELEASE};
    for (size_t i = 0; i < 3; i++) {
        struct sf_coord_request request = ct_write(ops[i], &slot, &claim, &config);
        ct_guid(request.u.write.expected.nonce);
        ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_VERSION);
    }
}

static struct sf_coord_request reset_request(const struct sf_coord_slot *there, int64_t floor_ms)
{
    struct sf_coord_request request = ct_request(SF_COORD_RESET_SLOT);
    struct sf_coord_slot *slot = &request.u.write.slot;
    *slot = (struct sf_coord_slot){.worker = there->worker,
                                   .state = SF_COORD_RECORD_OK,
                                   .from_ms = floor_ms,
                                   .reserved_until_ms = floor_ms,
                                   .updated_ms = 1,
                                   .reset = true};
    ct_guid(slot->nonce);
    request.u.write.expected = *there;
    return request;
}

static void test_reset_slot(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim;
    bound_slot(a, 1, &config, &claim);
    for (unsigned missing = 0; missing < 2; missing++) {
        if (missing ? !ct_raw_delete("/dc/0/slots/3") : !ct_raw_put("/dc/0/slots/3", "?", 1))
            skip();
        struct sf_coord_slot there = ct_read_slot(a, 3);
        assert_int_equal(there.state, missing ? SF_COORD_RECORD_MISSING : SF_COORD_RECORD_GARBAGE);
        struct sf_coord_request reset = reset_request(&there, 800000);
        ct_expect(a, &reset, SF_COORD_DONE, SF_COORD_NO_REASON);
        there = ct_read_slot(a, 3);
        assert_int_equal(there.state, SF_COORD_RECORD_OK);
        assert_true(there.reset);
        assert_int_equal(there.reserved_until_ms, 800000);
        assert_int_equal(there.fence, 0);
    }
    /* Not under somebody who lives in it, nor over what has changed meanwhile. */
    struct sf_coord_slot held = ct_read_slot(a, 1);
    struct sf_coord_request reset = reset_request(&held, 800000);
    struct sf_coord_completion *c = ct_expect(a, &reset, SF_COORD_REFUSED, SF_COORD_EXISTS);
    assert_non_null(strstr(c->text, claim.name));
    struct sf_coord_slot there = ct_read_slot(a, 2);
    there.version.version++;
    reset = reset_request(&there, 800000);
    ct_expect(a, &reset, SF_COORD_REFUSED, SF_COORD_VERSION);
    /* It can be bound, from its floor on, and is then an ordinary record. */
    there = ct_read_slot(a, 3);
    struct sf_coord_claim other = ct_claim(a);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &there, &other, &config);
    bind.u.write.slot.reset = false;
    ct_expect(a, &bind, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_false(ct_read_slot(a, 3).reset);
}

static void test_fleet_changes_are_told(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_request watch = ct_request(SF_COORD_WATCH);
    ct_expect(b, &watch, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_pass_ms(400);
    unsigned seen = ct_notices(b, SF_COORD_FLEET_CHANGED);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_request halt = halt_request(0, &claim);
    ct_expect(a, &halt, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_true(ct_wait_notice(b, SF_COORD_FLEET_CHANGED, seen));
    ct_pass_ms(400);
    seen = ct_notices(b, SF_COORD_FLEET_CHANGED);
    struct sf_coord_request init = remake_request(a, &config);
    ct_expect(a, &init, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_true(ct_wait_notice(b, SF_COORD_FLEET_CHANGED, seen));
    ct_learn(a);
    watch = ct_request(SF_COORD_WATCH);
    ct_expect(b, &watch, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_pass_ms(400);
    seen = ct_notices(b, SF_COORD_FLEET_CHANGED);
    if (!ct_raw_delete("/config"))
        return;
    assert_true(ct_wait_notice(b, SF_COORD_FLEET_CHANGED, seen));
}

const struct CMUnitTest ct_making_cases[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, ct_setup, ct_teardown)
    CASE(only_the_named_making_grants),
    CASE(a_halted_making_grants_nothing),
    CASE(halt_needs_the_config),
    CASE(after_data_loss_starts_above_what_survives),
    CASE(a_report_raises_the_floor),
    CASE(a_survivor_too_far_ahead_refuses),
    CASE(an_old_survey_makes_nothing),
    CASE(after_data_loss_over_another_config_is_refused),
    CASE(a_repeated_init_is_done),
    CASE(survey),
    CASE(an_older_format_is_told),
    CASE(content_is_compared),
    CASE(reset_slot),
    CASE(fleet_changes_are_told),
};
const size_t ct_making_case_count = sizeof ct_making_cases / sizeof ct_making_cases[0];
