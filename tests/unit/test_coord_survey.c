/* unit/test_coord_survey.c - what INIT starts above: of all records and reports that survive, the
 * latest, and whose it is. */
#include "unit/cmocka_all.h"

#include "coord/survey.h"

#define OLD "0123456789abcdef0123456789abcdef"
#define NEW "fedcba9876543210fedcba9876543210"

static struct sf_coord_survey begin(void)
{
    struct sf_coord_survey survey;
    memset(&survey, 0x5a, sizeof survey);
    sf_survey_begin(&survey);
    return survey;
}

static struct sf_coord_slot slot_of(uint64_t worker, int64_t reserved_until_ms, uint64_t fence)
{
    struct sf_coord_slot slot = {.worker = worker,
                                 .state = SF_COORD_RECORD_OK,
                                 .fence = fence,
                                 .reserved_until_ms = reserved_until_ms};
    snprintf(slot.node, sizeof slot.node, "node-%d", (int)reserved_until_ms);
    return slot;
}

static void test_nothing(void **state)
{
    (void)state;
    const struct sf_coord_survey survey = begin();
    const struct sf_coord_survey nothing = {.reserved_until_ms = -1, .reported_until_ms = -1};
    assert_memory_equal(&survey, &nothing, sizeof survey);
}

static void test_the_latest_of_all_makings_is_named(void **state)
{
    (void)state;
    struct sf_coord_survey survey = begin();
    static const struct {
        const char *token;
        uint64_t datacenter, worker;
        int64_t reserved_until_ms;
        uint64_t fence;
        /* wanted: */
        const char *at_token;
        uint64_t at_datacenter, at_worker;
        uint64_t ever_held;
    } table[] = {
        {NEW, 0, 0, 0, 0, NEW, 0, 0, 0}, /* 0 is a reservation, too */
        {NEW, 0, 1, 1000, 5, NEW, 0, 1, 1}, {OLD, 3, 2, 5000, 0, OLD, 3, 2, 1},
        {NEW, 9, 9, 5000, 7, OLD, 3, 2, 2}, /* as late: the first stays */
        {NEW, 1, 4, 4999, 1, OLD, 3, 2, 3}, {NEW, 1, 4, 5001, 0, NEW, 1, 4, 3},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        const struct sf_coord_slot slot =
            slot_of(table[i].worker, table[i].reserved_until_ms, table[i].fence);
        sf_survey_slot(&survey, table[i].token, table[i].datacenter, &slot, NULL);
        assert_int_equal(survey.records, i + 1);
        assert_string_equal(survey.token, table[i].at_token);
        assert_int_equal(survey.datacenter, table[i].at_datacenter);
        assert_int_equal(survey.worker, table[i].at_worker);
        assert_int_equal(survey.ever_held, table[i].ever_held);
    }
    assert_int_equal(survey.reserved_until_ms, 5001);
    assert_string_equal(survey.node, "node-5001");
    assert_int_equal(survey.garbage, 0);
}

/* Who writes a record by hand is a holder, too: nobody knows what was minted there. */
static void test_reset_counts_as_held(void **state)
{
    (void)state;
    struct sf_coord_survey survey = begin();
    struct sf_coord_slot slot = slot_of(0, 10, 0);
    slot.reset = true;
    sf_survey_slot(&survey, NEW, 0, &slot, NULL);
    assert_int_equal(survey.ever_held, 1);
}

static void test_what_cannot_be_read_is_counted_and_the_first_is_named(void **state)
{
    (void)state;
    struct sf_coord_survey survey = begin();
    struct sf_coord_slot slot = slot_of(16383, INT64_C(1) << 62, 9);
    slot.state = SF_COORD_RECORD_MISSING;
    sf_survey_slot(&survey, NEW, 1023, &slot, NULL);
    assert_int_equal(survey.garbage, 0);
    assert_int_equal(survey.records, 0);
    slot.state = SF_COORD_RECORD_GARBAGE;
    char why[600]; /* however much its decoder says */
    memset(why, 'w', sizeof why);
    why[sizeof why - 1] = '\0';
    sf_survey_slot(&survey, NEW, 1023, &slot, why);
    assert_int_equal(survey.garbage, 1);
    assert_int_equal(survey.records, 0);
    assert_int_equal(survey.reserved_until_ms, -1); /* what it says is not believed */
    assert_int_equal(strncmp(survey.why, NEW "/dc/1023/slots/16383: www", 57), 0);
    sf_survey_garbage(&survey, "state", "second");
    assert_int_equal(survey.garbage, 2);
    assert_null(strstr(survey.why, "second"));
    survey = begin();
    sf_survey_garbage(&survey, NEW "/state", "\"halted\" is missing");
    assert_string_equal(survey.why, NEW "/state: \"halted\" is missing");
}

static void test_reports(void **state)
{
    (void)state;
    struct sf_coord_state *making = calloc(1, sizeof *making);
    assert_non_null(making);
    struct sf_coord_survey survey = begin();
    sf_survey_state(&survey, making, true);
    assert_false(survey.halted);
    assert_int_equal(survey.reported_until_ms, -1);
    making->halted = true;
    making->report_count = 2;
    making->reports[0].held_until_ms = 6000;
    making->reports[1].held_until_ms = 5000;
    sf_survey_state(&survey, making,
                    false); /* of an older making: its reports count all the same */
    assert_false(survey.halted);
    assert_int_equal(survey.reported_until_ms, 6000);
    making->report_count = 1;
    making->reports[0].held_until_ms = 4000;
    sf_survey_state(&survey, making, true);
    assert_true(survey.halted);
    assert_int_equal(survey.reported_until_ms, 6000);
    making->others_held_until_ms = 7000;
    sf_survey_state(&survey, making, true);
    assert_int_equal(survey.reported_until_ms, 7000);
    free(making);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_the_latest_of_all_makings_is_named),
        cmocka_unit_test(test_reset_counts_as_held),
        cmocka_unit_test(test_what_cannot_be_read_is_counted_and_the_first_is_named),
        cmocka_unit_test(test_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
