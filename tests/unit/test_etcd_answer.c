/* Answers of etcd's gateway, in the shapes of 3.4 (recorded from 3.4.23), 3.5 (protojson, blanks)
 * and 3.6, and what they mean. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "coord/etcd/answer.h"
#include "coord/etcd/body.h"

static void test_classify(void **state)
{
    (void)state;
    static const struct {
        long http;
        int code;
        const char *message;
        enum sf_etcd_verdict wanted;
    } table[] = {
        {200, -1, "", SF_ETCD_OK},
        {400, 3, "etcdserver: key is not provided", SF_ETCD_REJECTED},
        {400, 3, "etcdserver: user name is empty", SF_ETCD_DENIED},
        {400, 3, "etcdserver: authentication failed, invalid user ID or password", SF_ETCD_DENIED},
        {400, 3, "etcdserver: revision of auth store is old", SF_ETCD_BAD_TOKEN},
        {401, 16, "etcdserver: invalid auth token", SF_ETCD_BAD_TOKEN},
        {401, -1, "", SF_ETCD_BAD_TOKEN},
        {403, 7, "etcdserver: permission denied", SF_ETCD_DENIED},
        {403, -1, "Forbidden", SF_ETCD_DENIED},
        {404, 5, "etcdserver: requested lease not found", SF_ETCD_NO_LEASE},
        {404, 5, "Not Found", SF_ETCD_REJECTED},
        {404, -1, "404 page not found", SF_ETCD_REJECTED},
        {400, 9, "etcdserver: authentication is not enabled", SF_ETCD_NO_AUTH},
        {429, 8, "etcdserver: too many requests", SF_ETCD_BUSY},
        {429, 8, "grpc: received message larger than max (5000000 vs. 4194304)",
         SF_ETCD_UNAVAILABLE},
        {429, 8, "etcdserver: mvcc: database space exceeded", SF_ETCD_FULL},
        {400, 11, "etcdserver: mvcc: required revision has been compacted", SF_ETCD_REJECTED},
        {501, 12, "Method Not Allowed", SF_ETCD_REJECTED},
        {405, -1, "Method Not Allowed", SF_ETCD_REJECTED},
        {503, 14, "etcdserver: request timed out", SF_ETCD_UNAVAILABLE},
        {503, 14, "etcdserver: no leader", SF_ETCD_UNAVAILABLE},
        {503, 14, "etcdserver: leader changed", SF_ETCD_UNAVAILABLE},
        {500, 2, "context deadline exceeded", SF_ETCD_UNAVAILABLE},
        {500, 2, "etcdserver: not a primary lessor", SF_ETCD_UNAVAILABLE},
        {504, 4, "context deadline exceeded", SF_ETCD_UNAVAILABLE},
        {499, 1, "context canceled", SF_ETCD_UNAVAILABLE},
        {500, 13, "internal", SF_ETCD_UNAVAILABLE},
        {409, 10, "aborted", SF_ETCD_UNAVAILABLE},
        {500, 99, "a code of tomorrow", SF_ETCD_UNAVAILABLE},
        {200, 2, "an error under a good status", SF_ETCD_UNAVAILABLE},
        {502, -1, "Bad Gateway", SF_ETCD_UNAVAILABLE},
        {408, -1, "Request Timeout", SF_ETCD_UNAVAILABLE},
        {302, -1, "", SF_ETCD_UNAVAILABLE},
        {0, -1, "", SF_ETCD_UNAVAILABLE},
        {400, -1,
         "CommonName of client sending a request against gateway will be ignored and not used as "
         "expected",
         SF_ETCD_DENIED},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++)
        if (sf_etcd_classify(table[i].http, table[i].code, table[i].message) != table[i].wanted)
            fail_msg("row %zu: %ld %d %s", i, table[i].http, table[i].code, table[i].message);
}

static struct sf_etcd_answer parse(long http, const char *text)
{
    struct sf_etcd_answer answer;
    sf_etcd_answer_parse(http, text, strlen(text), &answer);
    return answer;
}

static void test_errors_of_versions(void **state)
{
    (void)state;
    static const struct {
        long http;
        const char *body;
        enum sf_etcd_verdict wanted;
        const char *text; /* a part of it */
    } table[] = {
        {404,
         "{\"error\":\"etcdserver: requested lease not found\",\"message\":\"etcdserver: requested "
         "lease "
         "not found\",\"code\":5}",
         SF_ETCD_NO_LEASE, "lease not found"}, /* 3.4 */
        {404, "{\"code\":5, \"message\":\"etcdserver: requested lease not found\"}",
         SF_ETCD_NO_LEASE, "lease not found"}, /* 3.5 */
        {404,
         "{ \"code\" : 5 , \"message\" : \"etcdserver: requested lease not found\", \"details\" : "
         "[] }",
         SF_ETCD_NO_LEASE, "lease not found"}, /* 3.6 */
        {503,
         "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"etcdserver: no "
         "leader\",\"http_status\":\"Service Unavailable\"}}",
         SF_ETCD_UNAVAILABLE, "no leader"}, /* stream, 3.4 */
        {200, "{\"error\":{\"code\":16, \"message\":\"etcdserver: invalid auth token\"}}",
         SF_ETCD_BAD_TOKEN, "invalid auth token"}, /* stream, 3.6 */
        {400, "{\"error\":\"only this\",\"code\":3}", SF_ETCD_REJECTED, "only this"},
        {400,
         "CommonName of client sending a request against gateway will be ignored and not used as "
         "expected\n",
         SF_ETCD_DENIED, "without a CN"},
        {404, "404 page not found\n", SF_ETCD_REJECTED, "without --enable-grpc-gateway=false"},
        {200, "<html>welcome</html>", SF_ETCD_UNAVAILABLE, "not an answer"},
        {200, "", SF_ETCD_UNAVAILABLE, ""},
        {200, "[]", SF_ETCD_UNAVAILABLE, ""},
        {200, "{\"header\":{\"cluster_id\":\"x\"}}", SF_ETCD_UNAVAILABLE, "header"},
        {200, "{\"a\":1,\"a\":2}", SF_ETCD_UNAVAILABLE, ""},
        {200, "{\"header\":{\"revision\":-1}}", SF_ETCD_UNAVAILABLE, "header"},
        {500, "{}", SF_ETCD_UNAVAILABLE, ""},
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_etcd_answer answer = parse(table[i].http, table[i].body);
        if (answer.verdict != table[i].wanted || strstr(answer.text, table[i].text) == NULL)
            fail_msg("row %zu: verdict %d, \"%s\"", i, answer.verdict, answer.text);
        assert_null(answer.root);
        sf_etcd_answer_free(&answer);
    }
}

/* The same lost transaction from 3.4 and from 3.5; numbers as strings, as numbers, absent. */
static void test_txn_ranges(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"header\":{\"cluster_id\":\"14841639068965178418\",\"member_id\":"
        "\"10276657743932975437\",\"revision\":"
        "\"9\",\"raft_term\":\"2\"},\"responses\":[{\"response_range\":{\"header\":{\"revision\":"
        "\"9\"}}},"
        "{\"response_range\":{\"header\":{\"revision\":\"9\"},\"kvs\":[{\"key\":\"YQ==\",\"create_"
        "revision\":\"3\","
        "\"mod_revision\":\"8\",\"version\":\"4\",\"value\":\"eyJ4IjoxfQ==\",\"lease\":"
        "\"7587848390000000001\"}],"
        "\"count\":\"1\"}}]}",
        "{\"header\":{\"cluster_id\":\"14841639068965178418\", "
        "\"member_id\":\"10276657743932975437\", "
        "\"revision\":9, \"raft_term\":\"2\"}, \"succeeded\":false, "
        "\"responses\":[{\"response_range\":{}}, "
        "{\"response_range\":{\"kvs\":[{\"key\":\"YQ==\", \"create_revision\":3, "
        "\"mod_revision\":\"8\", "
        "\"value\":\"eyJ4IjoxfQ==\", \"lease\":7587848390000000001, \"new\":{}}], \"more\":false, "
        "\"count\":1}}]}"};
    for (size_t i = 0; i < SF_COUNT(bodies); i++) {
        struct sf_etcd_answer answer = parse(200, bodies[i]);
        struct sf_etcd_range range;
        assert_int_equal(answer.verdict, SF_ETCD_OK);
        assert_true(answer.header.cluster_id == UINT64_C(14841639068965178418));
        assert_int_equal(answer.header.revision, 9);
        assert_int_equal(answer.header.raft_term, 2);
        assert_false(sf_etcd_txn_succeeded(answer.root));
        assert_int_equal(sf_etcd_txn_range(answer.root, 0, &range), 0);
        assert_int_equal(range.count, 0);
        assert_int_equal(range.total, 0);
        sf_etcd_range_free(&range);
        assert_int_equal(sf_etcd_txn_range(answer.root, 1, &range), 0);
        assert_int_equal(range.count, 1);
        assert_int_equal(range.total, 1);
        assert_string_equal(range.kvs[0].key, "a");
        assert_string_equal(range.kvs[0].value, "{\"x\":1}");
        assert_int_equal(range.kvs[0].value_size, 7);
        assert_int_equal(range.kvs[0].create_revision, 3);
        assert_int_equal(range.kvs[0].mod_revision, 8);
        assert_true(range.kvs[0].lease == UINT64_C(7587848390000000001));
        sf_etcd_range_free(&range);
        assert_true(sf_etcd_txn_range(answer.root, 2, &range) < 0);
        sf_etcd_answer_free(&answer);
    }
    struct sf_etcd_answer won =
        parse(200, "{\"header\":{\"revision\":\"4\"},\"succeeded\":true,\"responses\":"
                   "[{\"response_put\":{\"header\":{\"revision\":\"4\"}}}]}");
    struct sf_etcd_range range;
    assert_true(sf_etcd_txn_succeeded(won.root));
    assert_true(sf_etcd_txn_range(won.root, 0, &range) < 0); /* a put is no range */
    sf_etcd_answer_free(&won);
}

/* Only what was written by this very transaction is believed. Key "a" is YQ==, "b" Yg==; value "v" dg==, "w" dw==. */
static void test_what_was_written(void **state)
{
    (void)state;
    static const struct {
        const char *revision, *succeeded, *responses;
        int rc;
    } table[] = {
#define KV(key, value, mod)                                                                        \
    "{\"key\":\"" key "\",\"create_revision\":\"3\",\"mod_revision\":\"" mod                       \
    "\",\"value\":\"" value "\"}"
#define RANGE(kvs) "{\"response_put\":{}},{\"response_range\":{\"kvs\":[" kvs "],\"count\":\"1\"}}"
        {"9", "true", RANGE(KV("YQ==", "dg==", "9")), 0},
        {"9", "false", RANGE(KV("YQ==", "dg==", "9")), -EBADMSG},
        {"10", "true", RANGE(KV("YQ==", "dg==", "9")), -EBADMSG}, /* it was there already */
        {"9", "true", RANGE(KV("YQ==", "dw==", "9")), -EBADMSG},
        {"9", "true", RANGE(KV("YQ==", "", "9")), -EBADMSG},
        {"9", "true", RANGE(KV("Yg==", "dg==", "9")), -EBADMSG},
        {"9", "true", RANGE(KV("YQ==", "dg==", "9") "," KV("YQ==", "dg==", "9")), -EBADMSG},
        {"9", "true", RANGE(""), -EBADMSG},
        {"0", "true", RANGE(KV("YQ==", "dg==", "0")), -EBADMSG},
        {"9", "true", "{\"response_range\":{\"kvs\":[" KV("YQ==", "dg==", "9") "]}}", -EBADMSG},
        {"9", "true", "{\"response_put\":{}},{\"response_put\":{}}", -EBADMSG},
        {"9", "true", "", -EBADMSG},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[1000];
        struct sf_etcd_answer answer;
        struct sf_coord_version version = {77, 77};
        snprintf(text, sizeof text,
                 "{\"header\":{\"revision\":\"%s\"},\"succeeded\":%s,\"responses\":[%s]}",
                 table[i].revision, table[i].succeeded, table[i].responses);
        sf_etcd_answer_parse(200, text, strlen(text), &answer);
        if (sf_etcd_txn_wrote(&answer, 1, "a", "v", &version) != table[i].rc)
            fail_msg("%s", text);
        assert_int_equal(version.incarnation, table[i].rc == 0 ? 3 : 77);
        assert_int_equal(version.version, table[i].rc == 0 ? 9 : 77);
        sf_etcd_answer_free(&answer);
    }
}

static void test_tags(void **state)
{
    (void)state;
    enum { TAG = 0xa5c3 };
    for (unsigned changed = 0; changed <= SF_ETCD_TAG_BITS; changed++) {
        for (unsigned fewer = 0; fewer < 3; fewer++) {
            char text[2048] = "{\"responses\":[{\"response_range\":{}}";
            for (unsigned i = 0; i < SF_ETCD_TAG_BITS; i++) {
                const bool set = ((TAG >> i & 1) != 0) != (i == changed);
                if (fewer == 1 && i == 3)
                    continue;
                strcat(text, fewer == 2 && i == 3 ? ",{\"response_range\":{}}"
                             : set ? ",{\"response_txn\":{\"header\":{},\"succeeded\":true}}"
                                   : ",{\"response_txn\":{\"header\":{}}}");
            }
            strcat(text, "]}");
            struct sf_etcd_answer answer = parse(200, text);
            assert_int_equal(sf_etcd_txn_has_tag(answer.root, TAG),
                             changed == SF_ETCD_TAG_BITS && fewer == 0);
            sf_etcd_answer_free(&answer);
        }
    }
    struct sf_etcd_answer none = parse(200, "{\"responses\":[]}");
    assert_false(sf_etcd_txn_has_tag(none.root, 0));
    sf_etcd_answer_free(&none);
}

static void test_bad_ranges(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"kvs\":{}}",
        "{\"kvs\":[7]}",
        "{\"kvs\":[{\"key\":7,\"create_revision\":\"1\",\"mod_revision\":\"1\"}]}",
        "{\"kvs\":[{\"key\":\"YQ\",\"create_revision\":\"1\",\"mod_revision\":\"1\"}]}",
        "{\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"1\"}]}",
        "{\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"-1\",\"mod_revision\":\"1\"}]}",
        "{\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"18446744073709551616\",\"mod_revision\":"
        "\"1\"}]}",
        "{\"kvs\":[],\"count\":\"x\"}",
    };
    for (size_t i = 0; i < SF_COUNT(bad); i++) {
        struct sf_etcd_answer answer = parse(200, bad[i]);
        struct sf_etcd_range range;
        if (sf_etcd_range_parse(answer.root, &range) == 0)
            fail_msg("row %zu was taken", i);
        sf_etcd_answer_free(&answer);
    }
}

static void test_leases(void **state)
{
    (void)state;
    struct sf_etcd_answer alive = parse(
        200,
        "{\"result\":{\"header\":{\"cluster_id\":\"1\",\"revision\":\"5\",\"raft_term\":\"3\"},"
        "\"ID\":\"7587848390000000001\",\"TTL\":\"10\"}}\n");
    uint64_t ttl = 0, id = 0;
    assert_int_equal(alive.header.raft_term, 3);
    assert_int_equal(sf_etcd_get_u64(alive.root, "TTL", &ttl), 0);
    assert_int_equal(ttl, 10);
    assert_int_equal(sf_etcd_get_u64(alive.root, "ID", &id), 0);
    assert_true(id == UINT64_C(7587848390000000001));
    sf_etcd_answer_free(&alive);
    struct sf_etcd_answer dead =
        parse(200, "{\"result\":{\"header\":{\"revision\":\"5\"},\"ID\":\"7\"}}");
    ttl = 9;
    assert_int_equal(dead.verdict, SF_ETCD_OK);
    assert_int_equal(sf_etcd_get_u64(dead.root, "TTL", &ttl), 0);
    assert_int_equal(ttl, 0); /* dead: HTTP 200 and no TTL */
    sf_etcd_answer_free(&dead);
}

static void test_watch_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool created, canceled;
        size_t events;
    } table[] = {
        {"{\"result\":{\"header\":{\"revision\":\"3\"},\"created\":true}}", true, false, 0},
        {"{\"result\":{\"header\":{\"revision\":\"4\"},\"events\":[{\"kv\":{\"key\":\"YQ==\"}},{"
         "\"type\":\"DELETE\","
         "\"kv\":{\"key\":\"YQ==\"}}]}}",
         false, false, 2},
        {"{\"result\":{\"header\":{\"revision\":\"4\"}, \"canceled\":true, "
         "\"compact_revision\":\"3\", "
         "\"cancel_reason\":\"compacted\"}}",
         false, true, 0},
        {"{\"result\":{\"header\":{\"revision\":\"4\"}}}", false, false, 0}, /* progress */
    };
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_etcd_answer answer = parse(200, table[i].line);
        struct sf_etcd_watch_line line;
        assert_int_equal(answer.verdict, SF_ETCD_OK);
        assert_int_equal(sf_etcd_watch_parse(answer.root, &line), 0);
        assert_int_equal(line.created, table[i].created);
        assert_int_equal(line.canceled, table[i].canceled);
        assert_int_equal(line.events, table[i].events);
        sf_etcd_answer_free(&answer);
    }
    struct sf_etcd_answer bad = parse(200, "{\"result\":{\"events\":7}}");
    struct sf_etcd_watch_line line;
    assert_true(sf_etcd_watch_parse(bad.root, &line) < 0);
    sf_etcd_answer_free(&bad);
}

/* Any cut or changed byte of an answer: a verdict, never a crash (run under the sanitizers). */
static void test_damage(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"header\":{\"cluster_id\":\"1\",\"revision\":\"9\"},\"kvs\":[{\"key\":\"YQ==\","
        "\"create_revision\":\"3\",\"mod_revision\":\"8\",\"value\":\"eyJ4IjoxfQ==\"}]}";
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        struct sf_etcd_answer answer;
        sf_etcd_answer_parse(200, whole, size, &answer);
        assert_int_equal(answer.verdict, SF_ETCD_UNAVAILABLE);
        sf_etcd_answer_free(&answer);
    }
    for (size_t at = 0; at < sizeof whole - 1; at++) {
        char damaged[sizeof whole];
        memcpy(damaged, whole, sizeof whole);
        damaged[at] = (char)(damaged[at] ^ 0x15);
        struct sf_etcd_answer answer;
        struct sf_etcd_range range;
        sf_etcd_answer_parse(200, damaged, sizeof whole - 1, &answer);
        if (answer.root != NULL && sf_etcd_range_parse(answer.root, &range) == 0)
            sf_etcd_range_free(&range);
        sf_etcd_answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify),   cmocka_unit_test(test_errors_of_versions),
        cmocka_unit_test(test_txn_ranges), cmocka_unit_test(test_bad_ranges),
        cmocka_unit_test(test_tags),       cmocka_unit_test(test_what_was_written),
        cmocka_unit_test(test_leases),     cmocka_unit_test(test_watch_lines),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
