/* From which timestamp on a fleet that is made may mint: a table of what can be found, each rule at its
 * edge and past it. */
#include "unit/cmocka_all.h"

#include "cli/floor.c" /* the tool is no library */

#define NOW_MS    INT64_C(1800000000000)
#define WINDOW_MS INT64_C(600000)
#define HONEST_MS                                                                                  \
    (NOW_MS + WINDOW_MS + 2000)      /* the rule: clock.max_offset_ms and a second besides */
#define FAR_MS   (HONEST_MS + 60000) /* what is still believed */
#define EPOCH_MS INT64_C(1704067200000)
#define END_MS   (EPOCH_MS + (INT64_C(1) << 41) - 1)
#define NONE     INT64_C(-1)

/* What differs from a place where nothing ever was and a clock that can be built on; 0: not found. */
struct found {
    const char *name;
    bool first, given, wrong;
    const char *doubt;
    int64_t given_ms, above_ms, reserved_ms, reported_ms, asked_ms;
    uint64_t ever_held, garbage;
};

struct row {
    struct found found;
    const char *refused; /* a piece of the words; NULL: not refused */
    int64_t floor_ms;
    bool is_first, stands;
};

static int64_t or_none(int64_t found_ms)
{
    return found_ms != 0 ? found_ms : -1;
}

static int decide(const struct found *found, struct sf_floor *ret, struct sf_error *err)
{
    const struct sf_coord_survey survey = {.reserved_until_ms = or_none(found->reserved_ms),
                                           .reported_until_ms = or_none(found->reported_ms),
                                           .ever_held = found->ever_held,
                                           .garbage = found->garbage,
                                           .datacenter = 3,
                                           .worker = 7,
                                           .node = "elsewhere"};
    const struct sf_floor_facts facts = {.first = found->first,
                                         .given = found->given,
                                         .given_ms = found->given_ms,
                                         .above_ms =
                                             found->above_ms != 0 ? found->above_ms : INT64_MIN,
                                         .latest_ms = NOW_MS,
                                         .doubt = found->doubt,
                                         .wrong = found->wrong,
                                         .max_window_ms = WINDOW_MS,
                                         .epoch_ms = EPOCH_MS,
                                         .end_ms = END_MS,
                                         .survey = &survey,
                                         .asked_ms = found->asked_ms,
                                         .asked_where = "10.0.0.7:7450"};
    return sf_floor_decide(&facts, ret, err);
}

static const struct row rows[] = {
    /* The clocks alone. */
    {{.name = "nothing there"}, NULL, HONEST_MS, false, false},
    {{.name = "doubtful clocks", .doubt = "a and b disagree"}, "a and b disagree", 0, 0, 0},
    {{.name = "doubtful, named", .doubt = "?", .given = true, .given_ms = HONEST_MS},
     NULL,
     HONEST_MS,
     false,
     true},

    /* --first */
    {{.name = "first", .first = true}, NULL, NOW_MS, true, false},
    {{.name = "first, unsynchronised", .first = true, .doubt = "?"}, NULL, NOW_MS, true, false},
    {{.name = "first, a wrong clock", .first = true, .doubt = "a is wrong", .wrong = true},
     "a is wrong",
     0,
     0,
     0},
    {{.name = "first above", .first = true, .above_ms = NOW_MS + 1}, NULL, NOW_MS + 1, true, false},
    {{.name = "first, an old making", .first = true, .reserved_ms = NOW_MS},
     NULL,
     NOW_MS,
     true,
     false},
    {{.name = "first, reserved", .first = true, .reserved_ms = NOW_MS + 1},
     NULL,
     HONEST_MS,
     false,
     false},
    {{.name = "first, held", .first = true, .reserved_ms = 5, .ever_held = 1},
     NULL,
     HONEST_MS,
     false,
     false},
    {{.name = "first, garbage", .first = true, .garbage = 1}, NULL, HONEST_MS, false, false},
    {{.name = "first, reported", .first = true, .reported_ms = 1}, NULL, HONEST_MS, false, false},
    {{.name = "first, answered", .first = true, .asked_ms = 1}, NULL, HONEST_MS, false, false},
    {{.name = "first, held, in doubt", .first = true, .ever_held = 1, .doubt = "alone"},
     "alone",
     0,
     0,
     0},
    {{.name = "first, named", .first = true, .given = true, .given_ms = NOW_MS - 5},
     NULL,
     NOW_MS - 5,
     true,
     false},

    /* What was found, at what an honest worker can have, and past it. */
    {{.name = "record at", .reserved_ms = FAR_MS}, NULL, FAR_MS, false, false},
    {{.name = "record past", .reserved_ms = FAR_MS + 1}, "slot 3/7 (elsewhere)", 0, 0, 0},
    {{.name = "report at", .reported_ms = FAR_MS}, NULL, FAR_MS, false, false},
    {{.name = "report past", .reported_ms = FAR_MS + 1}, "a worker reported", 0, 0, 0},
    {{.name = "answer at", .asked_ms = FAR_MS}, NULL, FAR_MS, false, false},
    {{.name = "answer past", .asked_ms = FAR_MS + 1}, "10.0.0.7:7450 may mint", 0, 0, 0},
    {{.name = "a liar", .asked_ms = INT64_C(1) << 62},
     "--floor-ms with at least 1800000602000",
     0,
     0,
     0},

    /* --floor-ms: above what is honest it stands whatever records say; below it does not pass over. */
    {{.name = "passes over", .given = true, .given_ms = HONEST_MS, .reserved_ms = END_MS},
     NULL,
     HONEST_MS,
     false,
     true},
    {{.name = "too low to pass",
      .given = true,
      .given_ms = HONEST_MS - 1,
      .reserved_ms = FAR_MS + 1},
     "slot 3/7",
     0,
     0,
     0},
    {{.name = "low, records win", .given = true, .given_ms = NOW_MS, .reserved_ms = NOW_MS + 9},
     NULL,
     NOW_MS + 9,
     false,
     false},
    {{.name = "low, reports win", .given = true, .given_ms = NOW_MS, .reported_ms = NOW_MS + 9},
     NULL,
     NOW_MS + 9,
     false,
     false},
    {{.name = "low, answers win", .given = true, .given_ms = NOW_MS, .asked_ms = NOW_MS + 9},
     NULL,
     NOW_MS + 9,
     false,
     false},
    {{.name = "low, nothing there", .given = true, .given_ms = NOW_MS}, NULL, NOW_MS, false, false},
    {{.name = "at the epoch", .given = true, .given_ms = EPOCH_MS}, NULL, EPOCH_MS, false, false},
    {{.name = "before the epoch", .given = true, .given_ms = EPOCH_MS - 1},
     "--floor-ms 1704067199999 is 2023-12-31T23:59:59.999Z",
     0,
     0,
     0},
    {{.name = "seconds", .given = true, .given_ms = NOW_MS / 1000}, "is 1970-01-21", 0, 0, 0},
    {{.name = "at the end", .given = true, .given_ms = END_MS}, NULL, END_MS, false, true},
    {{.name = "past the end", .given = true, .given_ms = END_MS + 1},
     "the timestamps of this",
     0,
     0,
     0},
    {{.name = "the least", .given = true, .given_ms = INT64_MIN},
     "the timestamps of this",
     0,
     0,
     0},
    {{.name = "the most", .given = true, .given_ms = INT64_MAX}, "the timestamps of this", 0, 0, 0},

    /* --above */
    {{.name = "above, lower", .above_ms = HONEST_MS - 1}, NULL, HONEST_MS, false, false},
    {{.name = "above, higher", .above_ms = HONEST_MS + 1}, NULL, HONEST_MS + 1, false, false},
    {{.name = "above and named", .given = true, .given_ms = HONEST_MS, .above_ms = HONEST_MS + 5},
     NULL,
     HONEST_MS + 5,
     false,
     true},
    {{.name = "above the last", .above_ms = END_MS + 1}, "the floor", 0, 0, 0},
    {{.name = "first above the last", .first = true, .above_ms = END_MS + 1}, "the floor", 0, 0, 0},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct sf_floor floor;
        struct sf_error err = {0};
        const int rc = decide(&row->found, &floor, &err);
        print_message("%s: %d %s\n", row->found.name, rc, err.text);
        assert_int_equal(rc, row->refused != NULL ? -EINVAL : 0);
        if (row->refused != NULL) {
            assert_non_null(strstr(err.text, row->refused));
            continue;
        }
        assert_int_equal(floor.floor_ms, row->floor_ms);
        assert_int_equal(floor.survivor_max_ms, FAR_MS);
        assert_int_equal(floor.first, row->is_first);
        assert_int_equal(floor.stands, row->stands);
    }
}

/* Whatever is found: unless a person named the floor or said "first", it lies at or above everything that
 * was found and everything that a worker with an honest clock can have reserved. */
static void test_nothing_found_lies_above(void **state)
{
    (void)state;
    const int64_t values[] = {0,         1,      NOW_MS,     HONEST_MS - 1,
                              HONEST_MS, FAR_MS, FAR_MS + 1, INT64_MAX / 2};
    const size_t count = sizeof values / sizeof *values;
    unsigned made = 0;
    for (size_t i = 0; i < count * count * count; i++) {
        const struct found found = {.reserved_ms = values[i % count],
                                    .reported_ms = values[i / count % count],
                                    .asked_ms = values[i / count / count]};
        struct sf_floor floor;
        struct sf_error err = {0};
        const int64_t highest_ms =
            later(found.reserved_ms, later(found.reported_ms, found.asked_ms));
        const int rc = decide(&found, &floor, &err);
        assert_int_equal(rc, highest_ms > FAR_MS ? -EINVAL : 0);
        if (rc == 0)
            assert_int_equal(floor.floor_ms, later(highest_ms, HONEST_MS));
        made += rc == 0;
    }
    assert_int_equal(made, 6 * 6 * 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_nothing_found_lies_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
