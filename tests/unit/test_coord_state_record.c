/* unit/test_coord_state_record.c - the record that halts a making: what is read back is what was
 * written, with as many reports as there may be and one more; what is not ours is refused with a
 * reason; and from when on a slot may be minted in again. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "base/strbuf.h"
#include "coord/state_record.h"

#define GUID    "0123456789abcdef0123456789abcdef"
#define CLAIM   "claim-" GUID "-0000000042"
#define OTHER   "claim-" GUID "-0000000043"
#define TIME_MS (INT64_C(1) << 62) /* the latest that a record may name */

static struct sf_coord_state *new_state(void)
{
    struct sf_coord_state *state = calloc(1, sizeof *state);
    assert_non_null(state);
    return state;
}

static struct sf_coord_report report_of(uint64_t worker, const char *claim, int64_t held_until_ms)
{
    struct sf_coord_report report = {.datacenter = 1,
                                     .worker = worker,
                                     .held_until_ms = held_until_ms,
                                     .last_ms = held_until_ms - 1,
                                     .reported_ms = held_until_ms - 2,
                                     .node = "node-a"};
    snprintf(report.claim, sizeof report.claim, "%s", claim);
    return report;
}

/* What is read back; the caller frees it. */
static struct sf_coord_state *round_trip(const struct sf_coord_state *state)
{
    struct sf_coord_state *back = new_state();
    back->version = (struct sf_coord_version){3, 4};
    char *text = sf_record_state_encode(state);
    assert_true(strlen(text) <= SF_COORD_STATE_SIZE_MAX);
    struct sf_error err = {0};
    if (sf_record_state_decode(text, strlen(text), back, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(back->version.incarnation, 3); /* left alone */
    assert_int_equal(back->version.version, 4);
    free(text);
    return back;
}

static void test_fresh(void **unused)
{
    (void)unused;
    struct sf_coord_state *state = new_state();
    char *text = sf_record_state_encode(state);
    assert_string_equal(
        text, "{\"format\":2,\"halted\":false,\"reports\":[],\"others_held_until_ms\":0}");
    free(text);
    struct sf_coord_state *back = round_trip(state);
    assert_false(back->halted);
    assert_int_equal(back->report_count, 0);
    free(back);
    free(state);
}

static void test_bytes(void **unused)
{
    (void)unused;
    struct sf_coord_state *state = new_state();
    const struct sf_coord_report report = report_of(7, CLAIM, 5000);
    sf_state_report(state, &report);
    char *text = sf_record_state_encode(state);
    assert_string_equal(text,
                        "{\"format\":2,\"halted\":true,\"reports\":[{\"datacenter\":1,\"worker\":7,"
                        "\"claim\":\"" CLAIM "\",\"held_until_ms\":5000,\"last_ms\":4999,"
                        "\"reported_ms\":4998,\"node\":\"node-a\"}],\"others_held_until_ms\":0}");
    free(text);
    free(state);
}

/* The longest of everything: each byte of a node needs six in JSON. */
static struct sf_coord_report longest_report(unsigned i)
{
    struct sf_coord_report report = {.datacenter = 1023,
                                     .worker = 16383 - i,
                                     .held_until_ms = TIME_MS,
                                     .last_ms = -TIME_MS,
                                     .reported_ms = -TIME_MS};
    memset(report.node, 1, sizeof report.node - 1);
    const size_t prefix = strlen("claim-" GUID "-");
    memcpy(report.claim, CLAIM, prefix);
    memset(report.claim + prefix, '0', sizeof report.claim - 1 - prefix); /* as a name may be */
    return report;
}

static void test_as_many_reports_as_there_may_be_and_more(void **unused)
{
    (void)unused;
    struct sf_coord_state *state = new_state();
    for (unsigned i = 0; i < SF_COORD_REPORTS_MAX; i++) {
        const struct sf_coord_report report = longest_report(i);
        sf_state_report(state, &report);
        assert_int_equal(state->report_count, i + 1);
    }
    assert_int_equal(state->others_held_until_ms, 0);
    for (int more = 0; more < 3; more++) { /* which find no room: their ends hold for all */
        const struct sf_coord_report report = report_of((uint64_t)more, OTHER, 7000 - more);
        sf_state_report(state, &report);
        assert_int_equal(state->report_count, SF_COORD_REPORTS_MAX);
        assert_int_equal(state->others_held_until_ms, 7000);
    }
    state->others_held_until_ms = TIME_MS;
    struct sf_coord_state *back = round_trip(state);
    assert_true(back->halted);
    assert_int_equal(back->report_count, SF_COORD_REPORTS_MAX);
    assert_int_equal(back->others_held_until_ms, TIME_MS);
    for (unsigned i = 0; i < SF_COORD_REPORTS_MAX; i++) {
        const struct sf_coord_report *one = &back->reports[i], *was = &state->reports[i];
        assert_int_equal(one->datacenter, was->datacenter);
        assert_int_equal(one->worker, was->worker);
        assert_string_equal(one->claim, was->claim);
        assert_int_equal(one->held_until_ms, was->held_until_ms);
        assert_int_equal(one->last_ms, was->last_ms);
        assert_int_equal(one->reported_ms, was->reported_ms);
        assert_string_equal(one->node, was->node);
    }
    free(back);
    free(state);
}

static void test_same_slot_and_claim_is_one_report(void **unused)
{
    (void)unused;
    struct sf_coord_state *state = new_state();
    static const struct {
        uint64_t datacenter, worker;
        const char *claim;
        int64_t held_until_ms;
        unsigned count; /* afterwards */
        unsigned at;    /* which one it went to */
        int64_t wanted_until_ms;
    } table[] = {
        {0, 1, CLAIM, 5000, 1, 0, 5000}, {0, 1, CLAIM, 6000, 1, 0, 6000},
        {0, 1, CLAIM, 4000, 1, 0, 6000}, {0, 1, OTHER, 4000, 2, 1, 4000},
        {0, 2, CLAIM, 3000, 3, 2, 3000}, {1, 1, CLAIM, 2000, 4, 3, 2000},
        {0, 1, OTHER, 4001, 4, 1, 4001},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_coord_report report =
            report_of(table[i].worker, table[i].claim, table[i].held_until_ms);
        report.datacenter = table[i].datacenter;
        sf_state_report(state, &report);
        assert_true(state->halted);
        if (state->report_count != table[i].count ||
            state->reports[table[i].at].held_until_ms != table[i].wanted_until_ms ||
            state->reports[table[i].at].last_ms != table[i].wanted_until_ms - 1)
            fail_msg("%zu: %u reports", i, state->report_count);
    }
    free(state);
}

static void test_held_until(void **unused)
{
    (void)unused;
    struct sf_coord_state *state = new_state();
    assert_int_equal(sf_state_held_until_ms(state, 1, 7, ""), 0);
    assert_int_equal(sf_state_reported_until_ms(state), -1);
    static const struct {
        uint64_t worker;
        const char *claim;
        int64_t held_until_ms;
    } reports[] = {{7, CLAIM, 5000}, {7, OTHER, 4000}, {8, CLAIM, 9000}};
    for (size_t i = 0; i < SF_COUNT(reports); i++) {
        const struct sf_coord_report report =
            report_of(reports[i].worker, reports[i].claim, reports[i].held_until_ms);
        sf_state_report(state, &report);
    }
    static const struct {
        uint64_t datacenter, worker;
        const char *claim;
        int64_t wanted_ms, wanted_with_others_ms;
    } table[] = {
        {1, 7, CLAIM, 4000, 4500},                         /* our own does not count */
        {1, 7, OTHER, 5000, 5000}, {1, 7, "", 5000, 5000}, /* who holds nothing yet: all count */
        {1, 8, CLAIM, 0, 4500},    {1, 9, CLAIM, 0, 4500}, /* others may be anywhere */
        {0, 7, OTHER, 0, 4500}, /* the same number in another datacenter */
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        state->others_held_until_ms = 0;
        int64_t until_ms =
            sf_state_held_until_ms(state, table[i].datacenter, table[i].worker, table[i].claim);
        if (until_ms != table[i].wanted_ms)
            fail_msg("%zu: %d", i, (int)until_ms);
        state->others_held_until_ms = 4500;
        until_ms =
            sf_state_held_until_ms(state, table[i].datacenter, table[i].worker, table[i].claim);
        if (until_ms != table[i].wanted_with_others_ms)
            fail_msg("%zu, with others: %d", i, (int)until_ms);
    }
    assert_int_equal(sf_state_reported_until_ms(state), 9000);
    state->others_held_until_ms = 9001;
    assert_int_equal(sf_state_reported_until_ms(state), 9001);
    state->report_count = 0;
    assert_int_equal(sf_state_reported_until_ms(state), 9001);
    free(state);
}

/* What is not ours. */

static const char good[] =
    "{\"format\":2,\"halted\":true,\"reports\":[{\"datacenter\":1023,\"worker\":16383,\"claim\":"
    "\"" CLAIM "\",\"held_until_ms\":5,\"last_ms\":-1,\"reported_ms\":3,\"node\":\"n\",\"x\":1}],"
    "\"others_held_until_ms\":0,\"more\":[1,{}]}";

static int decode(const char *text, size_t size, struct sf_error *err)
{
    struct sf_coord_state *ret = new_state(), *before = new_state();
    memset(ret, 0x5a, sizeof *ret);
    memcpy(before, ret, sizeof *ret);
    const int rc = sf_record_state_decode(text, size, ret, err);
    if (rc < 0)
        assert_memory_equal(ret, before, sizeof *ret); /* left alone */
    free(ret);
    free(before);
    return rc;
}

static void test_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *from, *to, *says;
    } table[] = {
        {"\"format\":2", "\"format\":1", "\"format\" is 1, allowed are 2 to 2"},
        {"\"format\":2", "\"format\":3", "\"format\" is 3"},
        {"\"format\":2,", "", "\"format\" is missing"},
        {"\"halted\":true", "\"halted\":1", "\"halted\" is neither true nor false"},
        {"\"halted\":true", "\"halted\":null", "\"halted\" is neither"},
        {"\"halted\":true,", "", "\"halted\" is missing"},
        {"\"halted\":true,", "\"halted\":true,\"halted\":false,", "JSON"},
        {"\"reports\":[", "\"reports\":[7,", "\"reports\": \"datacenter\" is missing"},
        {"\"reports\":[{", "\"reports\":{\"a\":{", "JSON"},
        {"\"others_held_until_ms\":0", "\"others_held_until_ms\":-1", "\"others_held_until_ms\""},
        {"\"others_held_until_ms\":0", "\"others_held_until_ms\":4611686018427387905", "allowed"},
        {"\"others_held_until_ms\":0,", "", "\"others_held_until_ms\" is missing"},
        {"\"datacenter\":1023", "\"datacenter\":1024", "\"datacenter\" is 1024, allowed are 0 to"},
        {"\"datacenter\":1023", "\"datacenter\":-1", "\"datacenter\" is -1"},
        {"\"worker\":16383", "\"worker\":16384", "\"worker\" is 16384, allowed are 0 to 16383"},
        {"\"worker\":16383", "\"worker\":\"1\"", "\"worker\" is not an integer"},
        {"\"claim\":\"" CLAIM, "\"claim\":\"claim-1", "\"claim\" is not the name of a claim"},
        {"\"claim\":\"" CLAIM, "\"claim\":\"", "\"claim\" is not the name of a claim"},
        {"\"held_until_ms\":5", "\"held_until_ms\":-1", "\"held_until_ms\""},
        {"\"held_until_ms\":5", "\"held_until_ms\":4611686018427387905", "\"held_until_ms\""},
        {"\"last_ms\":-1", "\"last_ms\":-4611686018427387905", "\"last_ms\""},
        {"\"reported_ms\":3,", "", "\"reported_ms\" is missing"},
        {"\"node\":\"n\"", "\"node\":\"123456789012345678901234567890123456789012345678\"",
         "\"node\" has 48 bytes, at most 47"},
    };
    struct sf_error err = {0};
    if (decode(good, strlen(good), &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        const char *at = strstr(good, table[i].from);
        assert_non_null(at);
        char *text = NULL;
        assert_true(asprintf(&text, "%.*s%s%s", (int)(at - good), good, table[i].to,
                             at + strlen(table[i].from)) > 0);
        err = (struct sf_error){0};
        if (decode(text, strlen(text), &err) != -EBADMSG || strstr(err.text, table[i].says) == NULL)
            fail_msg("%zu: \"%s\" lacks \"%s\"", i, err.text, table[i].says);
        free(text);
    }
    for (size_t cut = 0; cut < sizeof good - 1; cut++)
        assert_int_equal(decode(good, cut, &err), -EBADMSG);
}

static void test_sizes(void **unused)
{
    (void)unused;
    char *large = malloc(SF_COORD_STATE_SIZE_MAX + 1);
    assert_non_null(large);
    struct sf_error err = {0};
    memset(large, ' ', SF_COORD_STATE_SIZE_MAX + 1);
    memcpy(large, good, sizeof good - 1);
    assert_int_equal(decode(large, SF_COORD_STATE_SIZE_MAX, &err), 0);
    assert_int_equal(decode(large, SF_COORD_STATE_SIZE_MAX + 1, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "at most"));
    memset(large, '[', SF_COORD_STATE_SIZE_MAX); /* as deep as it can be */
    assert_int_equal(decode(large, SF_COORD_STATE_SIZE_MAX, &err), -EBADMSG);
    free(large);
}

static void test_number_of_reports(void **unused)
{
    (void)unused;
    for (unsigned count = SF_COORD_REPORTS_MAX; count <= SF_COORD_REPORTS_MAX + 1; count++) {
        struct sf_strbuf text;
        struct sf_error err = {0};
        sf_strbuf_init(&text, SF_COORD_STATE_SIZE_MAX);
        sf_strbuf_addf(&text,
                       "{\"format\":2,\"halted\":true,\"others_held_until_ms\":0,\"reports\":[");
        for (unsigned i = 0; i < count; i++)
            sf_strbuf_addf(&text,
                           "%s{\"datacenter\":0,\"worker\":%u,\"claim\":\"" CLAIM
                           "\",\"held_until_ms\":5,\"last_ms\":4,\"reported_ms\":3,\"node\":\"\"}",
                           i == 0 ? "" : ",", i);
        sf_strbuf_addf(&text, "]}");
        assert_false(text.failed);
        const bool fits = count == SF_COORD_REPORTS_MAX;
        assert_int_equal(decode(text.text, text.length, &err), fits ? 0 : -EBADMSG);
        assert_true(fits || strstr(err.text, "\"reports\" is not a list of at most 256") != NULL);
        sf_strbuf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_as_many_reports_as_there_may_be_and_more),
        cmocka_unit_test(test_same_slot_and_claim_is_one_report),
        cmocka_unit_test(test_held_until),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_number_of_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
