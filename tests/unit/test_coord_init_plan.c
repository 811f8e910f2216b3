/* unit/test_coord_init_plan.c - INIT as a plan: what becomes of what is there, by table; and which
 * fleets can be made, at and past each bound. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "coord/init_plan.h"
#include "coord/records.h"

#define ROOT     "/x/snowfleet/prod"
#define FLOOR_MS INT64_C(5000)
#define NOW_MS   INT64_C(9000)

static const char fleet_id[] = "01234567-89ab-4cde-8f01-23456789abcd";
static const char nonce[] = "0123456789abcdef0123456789abcdef";

static struct sf_coord_init init_of(bool after_data_loss)
{
    struct sf_coord_init init = {.after_data_loss = after_data_loss};
    init.config.layout = (struct sf_layout){41, 5, 5, 12};
    init.config.any_datacenter = true;
    init.config.incarnation = 1;
    init.config.floor_ms = FLOOR_MS;
    memcpy(init.config.fleet_id, fleet_id, sizeof fleet_id);
    return init;
}

/* The config. */

static void test_config(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum sf_coord_record_state found;
        uint64_t incarnation; /* of what was found */
        bool loss;
        /* wanted: */
        bool first;
        uint64_t wanted_incarnation; /* 0: refused */
        enum sf_coord_reason reason;
        const char *text;
    } table[] = {
        {"a new fleet", SF_COORD_RECORD_MISSING, 0, false, false, 1, SF_COORD_NO_REASON, ""},
        {"a loss took the config too", SF_COORD_RECORD_MISSING, 0, true, false, 1,
         SF_COORD_NO_REASON, ""},
        {"a fleet is there", SF_COORD_RECORD_OK, 1, false, false, 0, SF_COORD_EXISTS,
         "there is a fleet at " ROOT " already (01234567-89ab-4cde-8f01-23456789abcd)"},
        {"it is replaced", SF_COORD_RECORD_OK, 1, true, true, 2, SF_COORD_NO_REASON, ""},
        {"its incarnation only grows", SF_COORD_RECORD_OK, 41, true, true, 42, SF_COORD_NO_REASON,
         ""},
        {"an older one is passed", SF_COORD_RECORD_OK, 0, true, true, 1, SF_COORD_NO_REASON, ""},
        {"garbage is left alone", SF_COORD_RECORD_GARBAGE, 0, false, false, 0, SF_COORD_GARBAGE,
         ROOT "/config is not a config of ours: bad"},
        {"garbage is replaced last", SF_COORD_RECORD_GARBAGE, 0, true, false, 1, SF_COORD_NO_REASON,
         ""},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        const struct sf_coord_init init = init_of(table[i].loss);
        struct sf_coord_config there = init.config, config = {.floor_ms = -1};
        there.incarnation = table[i].incarnation;
        const struct sf_init_found found = {
            .state = table[i].found, .config = &there, .why = "bad"};
        struct sf_refusal refusal = {0};
        bool first = !table[i].first;
        const int rc = sf_init_plan_config(&init, ROOT, &found, &config, &first, &refusal);
        if (rc != (table[i].wanted_incarnation == 0 ? -1 : 0))
            fail_msg("%s: %d", table[i].what, rc);
        assert_int_equal(refusal.reason, table[i].reason);
        assert_string_equal(refusal.text, table[i].text);
        if (rc < 0) {
            assert_int_equal(config.floor_ms, -1); /* outputs are left alone */
            continue;
        }
        if (first != table[i].first || config.incarnation != table[i].wanted_incarnation)
            fail_msg("%s: first %d, incarnation %d", table[i].what, first, (int)config.incarnation);
        assert_int_equal(config.floor_ms, FLOOR_MS);
        assert_string_equal(config.fleet_id, fleet_id);
    }
}

/* A slot. */

static void test_slot(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum sf_coord_record_state found;
        int64_t reserved_until_ms;
        bool loss;
        enum sf_init_step step;
        bool fresh; /* WRITE: never held, else raised */
        const char *text;
    } table[] = {
        {"none", SF_COORD_RECORD_MISSING, 0, false, SF_INIT_WRITE, true, ""},
        {"none, after a loss", SF_COORD_RECORD_MISSING, 0, true, SF_INIT_WRITE, true, ""},
        {"of an INIT that was cut off", SF_COORD_RECORD_OK, FLOOR_MS, false, SF_INIT_KEEP, false,
         ""},
        {"above the floor", SF_COORD_RECORD_OK, FLOOR_MS + 1, true, SF_INIT_KEEP, false, ""},
        {"just below the floor", SF_COORD_RECORD_OK, FLOOR_MS - 1, true, SF_INIT_WRITE, false, ""},
        {"below, without a loss", SF_COORD_RECORD_OK, 0, false, SF_INIT_WRITE, false, ""},
        {"garbage", SF_COORD_RECORD_GARBAGE, 0, false, SF_INIT_REFUSED, false,
         ROOT "/dc/4/slots/3 is not a slot record of ours: bad"},
        {"garbage, after a loss", SF_COORD_RECORD_GARBAGE, 0, true, SF_INIT_WRITE, true, ""},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        const struct sf_coord_init init = init_of(table[i].loss);
        struct sf_coord_slot found = {.worker = 3, .state = table[i].found}, slot = {.worker = 99};
        found.version = (struct sf_coord_version){7, 8};
        if (table[i].found == SF_COORD_RECORD_OK) {
            found.fence = 5;
            found.reserved_until_ms = table[i].reserved_until_ms;
            memcpy(found.nonce, nonce, sizeof nonce);
        }
        struct sf_refusal refusal = {0};
        const enum sf_init_step step =
            sf_init_plan_slot(&init, ROOT, 4, &found, "bad", NOW_MS, &slot, &refusal);
        if (step != table[i].step)
            fail_msg("%s: step %d", table[i].what, (int)step);
        assert_string_equal(refusal.text, table[i].text);
        assert_int_equal(refusal.reason,
                         step == SF_INIT_REFUSED ? SF_COORD_GARBAGE : SF_COORD_NO_REASON);
        if (step != SF_INIT_WRITE) {
            assert_int_equal(slot.worker, 99); /* outputs are left alone */
            continue;
        }
        if (slot.reserved_until_ms != FLOOR_MS || slot.fence != (table[i].fresh ? 0 : 5))
            fail_msg("%s: until %d, fence %d", table[i].what, (int)slot.reserved_until_ms,
                     (int)slot.fence);
        assert_int_equal(slot.worker, 3);
        assert_int_equal(slot.updated_ms, NOW_MS);
        assert_string_equal(slot.nonce, ""); /* nobody's own write */
        assert_int_equal(slot.version.incarnation, 7);
        assert_int_equal(slot.version.version, 8);
    }
}

/* Which fleets can be made. */

static void test_check(void **state)
{
    (void)state;
    static const struct {
        struct sf_layout layout;
        bool any_datacenter;
        uint16_t datacenter_count;
        uint64_t incarnation;
        const char *text; /* part of it; NULL: fine */
    } table[] = {
        {{41, 5, 5, 12}, true, 0, 1, NULL},
        {{41, 0, 14, 8}, true, 0, 1, NULL}, /* 16,384 records */
        {{39, 5, 14, 5}, false, 1, INT64_MAX, NULL},
        {{41, 10, 4, 8}, true, 0, 1, NULL}, /* 16,384 too */
        {{41, 10, 0, 12}, true, 0, 1, NULL},
        {{41, 5, 5, 11}, true, 0, 1, "the layout: "},
        {{38, 5, 15, 5}, false, 1, 1, "15 worker bits; allowed are up to 10 and 14"},
        {{38, 11, 2, 12}, false, 1, 1, "11 datacenter and 2 worker bits"},
        {{35, 10, 14, 4}, true, 0, 1, "16777216 slots need as many records, at most 16384"},
        {{39, 5, 14, 5}, false, 2, 1, "32768 slots need as many records"},
        {{41, 10, 5, 7}, true, 0, 1, "32768 slots need as many records"},
        {{41, 10, 0, 12}, false, 1025, 1, "1025 datacenters are named, at most 1024"},
        {{41, 5, 5, 12}, false, 0, 1, "the config to write: \"datacenters\" has 0 entries"},
        {{41, 5, 5, 12}, true, 0, UINT64_C(1) << 63, "the incarnation 9223372036854775808 is not"},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_coord_config config = init_of(false).config;
        config.layout = table[i].layout;
        config.any_datacenter = table[i].any_datacenter;
        config.datacenter_count = table[i].datacenter_count;
        config.incarnation = table[i].incarnation;
        for (uint16_t d = 0; d < config.datacenter_count && d < SF_COORD_DATACENTERS_MAX; d++)
            config.datacenters[d] = d;
        struct sf_error err = {0};
        const int rc = sf_init_check(&config, &err);
        if (rc != (table[i].text == NULL ? 0 : -EINVAL))
            fail_msg("%zu: %d, \"%s\"", i, rc, err.text);
        if (table[i].text != NULL && strstr(err.text, table[i].text) == NULL)
            fail_msg("%zu: \"%s\" is not in \"%s\"", i, table[i].text, err.text);
    }
    struct sf_coord_config config = init_of(false).config;
    memcpy(config.fleet_id, "no", 3);
    struct sf_error err = {0};
    assert_int_equal(sf_init_check(&config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "fleet_id"));
}

static void test_counts(void **state)
{
    (void)state;
    struct sf_coord_config config = init_of(false).config;
    assert_int_equal(sf_init_datacenter_count(&config), 32);
    assert_int_equal(sf_init_datacenter(&config, 31), 31);
    assert_int_equal(sf_init_worker_count(&config), 32);
    config.any_datacenter = false;
    config.datacenter_count = 2;
    config.datacenters[0] = 7;
    config.datacenters[1] = 3;
    assert_int_equal(sf_init_datacenter_count(&config), 2);
    assert_int_equal(sf_init_datacenter(&config, 0), 7);
    assert_int_equal(sf_init_datacenter(&config, 1), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_slot),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
