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
static const char token[] = "0123456789abcdef0123456789abcdef";
static const char other_token[] = "fedcba9876543210fedcba9876543210";

static struct sf_coord_init init_of(bool after_data_loss)
{
    struct sf_coord_init init = {.after_data_loss = after_data_loss, .survivor_max_ms = INT64_MAX};
    init.config.layout = (struct sf_layout){41, 5, 5, 12};
    init.config.any_datacenter = true;
    init.config.incarnation = 1;
    init.config.floor_ms = FLOOR_MS;
    init.config.max_window_ms = SF_COORD_WINDOW_DEFAULT_MS;
    memcpy(init.config.fleet_id, fleet_id, sizeof fleet_id);
    memcpy(init.config.token, token, sizeof token);
    return init;
}

/* The config. */

enum { NONE, AS_SURVEYED, LATER, REMADE, UNSURVEYED }; /* the version of what was found */

static struct sf_coord_version version_of(int kind)
{
    static const struct sf_coord_version versions[] = {{0, 0}, {7, 8}, {7, 9}, {8, 8}, {7, 8}};
    return versions[kind];
}

static void test_config(void **state)
{
    (void)state;
    static const char there[] =
        "there is a fleet at " ROOT " already (01234567-89ab-4cde-8f01-23456789abcd)";
    static const char garbage[] = ROOT "/config is not a config of ours: bad";
    static const char raced[] = "somebody else has just written " ROOT "/config";
    static const struct {
        const char *what;
        enum sf_coord_record_state found;
        int version;
        uint64_t incarnation; /* of what was found */
        bool loss;
        bool ours; /* the token of what was found */
        enum sf_init_verdict wanted;
        uint64_t wanted_incarnation; /* GO */
        enum sf_coord_reason reason;
        const char *text;
    } table[] = {
#define MISSING SF_COORD_RECORD_MISSING
#define FOUND   SF_COORD_RECORD_OK
#define BAD     SF_COORD_RECORD_GARBAGE
#define GO      SF_INIT_GO
#define REFUSED SF_INIT_REFUSED
#define NOTHING SF_COORD_NO_REASON, ""
        {"a new fleet", MISSING, NONE, 0, false, false, GO, 1, NOTHING},
        {"a loss took the config too", MISSING, NONE, 0, true, false, GO, 1, NOTHING},
        {"a fleet is there", FOUND, UNSURVEYED, 1, false, false, REFUSED, 0, SF_COORD_EXISTS,
         there},
        {"a fleet has come", FOUND, LATER, 1, false, false, REFUSED, 0, SF_COORD_EXISTS, there},
        {"ours is there: the answer was lost", FOUND, LATER, 1, false, true, SF_INIT_DONE, 0,
         NOTHING},
        {"ours, after a loss", FOUND, LATER, 2, true, true, SF_INIT_DONE, 0, NOTHING},
        {"it is replaced", FOUND, AS_SURVEYED, 1, true, false, GO, 2, NOTHING},
        {"its incarnation only grows", FOUND, AS_SURVEYED, 41, true, false, GO, 42, NOTHING},
        {"an older one is passed", FOUND, AS_SURVEYED, 0, true, false, GO, 1, NOTHING},
        {"written since", FOUND, LATER, 1, true, false, REFUSED, 0, SF_COORD_VERSION, raced},
        {"made again since", FOUND, REMADE, 1, true, false, REFUSED, 0, SF_COORD_VERSION, raced},
        {"gone since", MISSING, AS_SURVEYED, 0, true, false, REFUSED, 0, SF_COORD_VERSION, raced},
        {"garbage is left alone", BAD, UNSURVEYED, 0, false, false, REFUSED, 0, SF_COORD_GARBAGE,
         garbage},
        {"garbage is replaced", BAD, AS_SURVEYED, 0, true, false, GO, 1, NOTHING},
        {"garbage, other than surveyed", BAD, LATER, 0, true, false, REFUSED, 0, SF_COORD_VERSION,
         raced},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_coord_init init = init_of(table[i].loss);
        struct sf_coord_config found_config = init.config, config = {.floor_ms = -1};
        found_config.incarnation = table[i].incarnation;
        if (!table[i].ours)
            memcpy(found_config.token, other_token, sizeof other_token);
        if (table[i].loss && table[i].version != NONE)
            init.config.version = version_of(AS_SURVEYED);
        const bool missing = table[i].found == MISSING;
        const struct sf_init_found found = {.state = table[i].found,
                                            .config = &found_config,
                                            .version =
                                                version_of(missing ? NONE : table[i].version),
                                            .why = "bad"};
        struct sf_refusal refusal = {0};
        const enum sf_init_verdict verdict =
            sf_init_plan_config(&init, ROOT, &found, &config, &refusal);
        if (verdict != table[i].wanted)
            fail_msg("%s: %d", table[i].what, verdict);
        assert_int_equal(refusal.reason, table[i].reason);
        assert_string_equal(refusal.text, table[i].text);
        if (verdict != GO) {
            assert_int_equal(config.floor_ms, -1); /* outputs are left alone */
            continue;
        }
        if (config.incarnation != table[i].wanted_incarnation)
            fail_msg("%s: incarnation %d", table[i].what, (int)config.incarnation);
        assert_int_equal(config.floor_ms, FLOOR_MS);
        assert_string_equal(config.fleet_id, fleet_id);
        assert_string_equal(config.token, token);
    }
}

/* The floor. */

static void test_floor(void **state)
{
    (void)state;
    static const char reserved[] =
        ROOT "/0123456789abcdef0123456789abcdef/dc/4/slots/3 (node-a) is reserved until ";
    static const char reported[] =
        "at " ROOT " a worker reported that it may mint up to 1970-01-01T00:00:07.001Z, allowed is "
        "up to 1970-01-01T00:00:07.000Z; "
        "--floor-ms takes another floor";
    static const struct {
        const char *what;
        bool surveyed;
        int64_t reserved_ms, reported_ms, max_ms;
        bool stands;
        int64_t wanted_ms; /* -1: refused */
        const char *text;  /* part of it */
    } table[] = {
        {"a new fleet", false, 0, 0, INT64_MAX, false, FLOOR_MS, ""},
        {"nothing survived", true, -1, -1, 7000, false, FLOOR_MS, ""},
        {"below the floor", true, FLOOR_MS - 1, FLOOR_MS - 1, 7000, false, FLOOR_MS, ""},
        {"at it", true, FLOOR_MS, -1, 7000, false, FLOOR_MS, ""},
        {"a reservation above it", true, FLOOR_MS + 1, -1, 7000, false, FLOOR_MS + 1, ""},
        {"a report above it", true, -1, FLOOR_MS + 2, 7000, false, FLOOR_MS + 2, ""},
        {"a report above a reservation", true, 6000, 6001, 7000, false, 6001, ""},
        {"at the bound", true, 7000, 6001, 7000, false, 7000, ""},
        {"past the bound", true, 7001, 6001, 7000, false, -1, reserved},
        {"both past it", true, 7001, 7001, 7000, false, -1, reserved},
        {"a report past it", true, 6000, 7001, 7000, false, -1, reported},
        {"a liar", true, INT64_C(1) << 62, -1, 7000, false, -1, reserved},
        {"past the bound, and taken on", true, 7001, 6001, 7000, true, FLOOR_MS, ""},
        {"below it: still counts", true, 6001, -1, 7000, true, 6001, ""},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_coord_init init = init_of(table[i].surveyed);
        init.survivor_max_ms = table[i].max_ms;
        init.floor_stands = table[i].stands;
        struct sf_coord_survey survey = {.reserved_until_ms = table[i].reserved_ms,
                                         .reported_until_ms = table[i].reported_ms,
                                         .datacenter = 4,
                                         .worker = 3,
                                         .node = "node-a"};
        memcpy(survey.token, token, sizeof token);
        struct sf_refusal refusal = {0};
        int64_t floor_ms = -7;
        const int rc = sf_init_plan_floor(&init, ROOT, table[i].surveyed ? &survey : NULL,
                                          &floor_ms, &refusal);
        if (rc != (table[i].wanted_ms < 0 ? -1 : 0) ||
            floor_ms != (rc < 0 ? -7 : table[i].wanted_ms)) /* outputs are left alone */
            fail_msg("%s: %d, %d", table[i].what, rc, (int)floor_ms);
        assert_int_equal(refusal.reason, rc < 0 ? SF_COORD_GARBAGE : SF_COORD_NO_REASON);
        if (strstr(refusal.text, table[i].text) == NULL)
            fail_msg("%s: \"%s\" is not in \"%s\"", table[i].what, table[i].text, refusal.text);
    }
}

/* A survivor that refuses is named whole, however long the names are. */
static void test_survivor_is_named(void **state)
{
    (void)state;
    struct sf_coord_init init = init_of(true);
    init.survivor_max_ms = 7000;
    struct sf_coord_survey survey = {.reserved_until_ms = INT64_C(1) << 62,
                                     .reported_until_ms = -1,
                                     .datacenter = 1023,
                                     .worker = 16383};
    memcpy(survey.token, token, sizeof token);
    memset(survey.node, 'n', sizeof survey.node - 1);
    struct sf_refusal refusal = {0};
    int64_t floor_ms = 0;
    char root[600];
    memset(root, 'r', sizeof root);
    root[sizeof root - 1] = '\0';
    assert_int_equal(sf_init_plan_floor(&init, root, &survey, &floor_ms, &refusal), -1);
    assert_non_null(
        strstr(refusal.text, "/0123456789abcdef0123456789abcdef/dc/1023/slots/16383 (n"));
    assert_non_null(strstr(refusal.text, "904Z, allowed is up to 1970-01-01T00:00:07.000Z"));
    assert_non_null(strstr(refusal.text, "--floor-ms takes another floor"));
}

/* A slot. */

static void test_slot(void **state)
{
    (void)state;
    enum { SLOTS = 64 };
    struct sf_coord_init init = init_of(false);
    struct sf_coord_slot slots[3 * SLOTS];
    for (size_t i = 0; i < SLOTS; i++) {
        sf_init_slot(&init, FLOOR_MS + 1, 0, i, NOW_MS, &slots[i]);
        sf_init_slot(&init, FLOOR_MS + 1, 1, i, NOW_MS, &slots[SLOTS + i]);
    }
    init.seed[15] ^= 1;
    for (size_t i = 0; i < SLOTS; i++)
        sf_init_slot(&init, FLOOR_MS + 1, 0, i, NOW_MS, &slots[2 * SLOTS + i]);
    for (size_t i = 0; i < SF_COUNT(slots); i++) {
        const struct sf_coord_slot *slot = &slots[i];
        assert_int_equal(slot->worker, i % SLOTS);
        assert_int_equal(slot->state, SF_COORD_RECORD_OK);
        assert_int_equal(slot->fence, 0);
        assert_int_equal(slot->from_ms, FLOOR_MS + 1);
        assert_int_equal(slot->reserved_until_ms, FLOOR_MS + 1);
        assert_int_equal(slot->updated_ms, NOW_MS);
        assert_string_equal(slot->claim, "");
        assert_false(slot->reset);
        assert_int_equal(strlen(slot->nonce), SF_HEX128_SIZE - 1);
        for (size_t k = 0; k < i; k++) /* each one's own, in every making */
            assert_string_not_equal(slot->nonce, slots[k].nonce);
        char *record = sf_record_slot_encode(slot);
        struct sf_coord_slot back = {0};
        assert_int_equal(sf_record_slot_decode(record, strlen(record), slot->worker, &back, NULL),
                         0);
        assert_true(back.canonical && sf_slot_content_same(&back, slot));
        free(record);
    }
    struct sf_coord_slot again; /* the same plan makes the same tree */
    sf_init_slot(&init, FLOOR_MS + 1, 0, 5, NOW_MS, &again);
    assert_string_equal(again.nonce, slots[2 * SLOTS + 5].nonce);
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
        {{41, 0, 14, 8}, true, 0, 1, NULL},
        {{41, 5, 10, 7}, true, 0, 1, NULL},
        {{39, 10, 10, 4}, true, 0, 1, NULL}, /* 1,048,576 records */
        {{39, 5, 14, 5}, false, 1, INT64_MAX, NULL},
        {{41, 10, 4, 8}, true, 0, 1, NULL},
        {{41, 10, 0, 12}, true, 0, 1, NULL},
        {{41, 5, 5, 11}, true, 0, 1, "the layout: "},
        {{38, 5, 15, 5}, false, 1, 1, "15 worker bits; allowed are up to 10 and 14"},
        {{38, 11, 2, 12}, false, 1, 1, "11 datacenter and 2 worker bits"},
        {{35, 10, 14, 4}, true, 0, 1, "16777216 slots need as many records, at most 1048576"},
        {{36, 10, 14, 3}, false, 65, 1, "1064960 slots need as many records"},
        {{40, 10, 11, 2}, true, 0, 1, "2097152 slots need as many records"},
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
    static const char *const bad_tokens[] = {"", "0123456789abcdef0123456789abcde",
                                             "0123456789ABCDEF0123456789ABCDEF"};
    for (size_t i = 0; i < SF_COUNT(bad_tokens); i++) {
        config = init_of(false).config;
        snprintf(config.token, sizeof config.token, "%s", bad_tokens[i]);
        assert_int_equal(sf_init_check(&config, &err), -EINVAL);
        assert_non_null(strstr(err.text, "names no making of the fleet"));
    }
    static const int64_t windows_ms[] = {0, 1, SF_COORD_WINDOW_MAX_MS, SF_COORD_WINDOW_MAX_MS + 1};
    for (size_t i = 0; i < SF_COUNT(windows_ms); i++) {
        config = init_of(false).config;
        config.max_window_ms = windows_ms[i];
        const bool good = i == 1 || i == 2;
        assert_int_equal(sf_init_check(&config, &err), good ? 0 : -EINVAL);
        assert_true(good || strstr(err.text, "max_window_ms") != NULL);
    }
}

/* An epoch in the future, in seconds, or with less than a year left. */
static void test_epoch(void **state)
{
    (void)state;
    const int64_t now_ms = INT64_C(1700000000000), year_ms = INT64_C(31536000000);
    const int64_t span_ms = (INT64_C(1) << 41) - 1;
    const struct {
        int64_t epoch_ms;
        const char *text; /* part of it; NULL: fine */
    } table[] = {
        {now_ms, NULL},
        {now_ms + 1, "in the future"},
        {0, NULL},
        {1, "if it was given in seconds, 1000 "},
        {INT64_C(99999999999), "if it was given in seconds, 99999999999000 "},
        {INT64_C(100000000000), NULL},
        {now_ms + year_ms - span_ms, NULL},
        {now_ms + year_ms - span_ms - 1, "less than a year is left"},
        {-(INT64_C(1) << 62), "less than a year is left"},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_coord_config config = init_of(false).config;
        config.epoch_ms = table[i].epoch_ms;
        struct sf_error err = {0};
        const int rc = sf_init_check_epoch(&config, now_ms, &err);
        if (rc != (table[i].text == NULL ? 0 : -EINVAL) ||
            (rc < 0 && strstr(err.text, table[i].text) == NULL))
            fail_msg("%zu: %d, \"%s\"", i, rc, err.text);
    }
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
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_survivor_is_named),
        cmocka_unit_test(test_slot),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
