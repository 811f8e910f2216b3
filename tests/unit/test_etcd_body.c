/* unit/test_etcd_body.c - every request body of the etcd backend, byte for byte: etcd ignores members
 * that it does not know, so a misspelt "compare" would make an unconditional write. */
#include "unit/cmocka_all.h"

#include "coord/etcd/body.h"

/* base64("a") etc. are written out by hand. */
#define A      "YQ=="
#define B      "Yg=="
#define VAL    "eyJ4IjoxfQ==" /* {"x":1} */
#define PRE    "L3Av"         /* /p/ */
#define PEND   "L3Aw"         /* /p0 */
#define PRE_A1 "L3AvYQE="     /* /p/a\1: what comes behind /p/a */

static void expect(char *body, const char *wanted)
{
    assert_string_equal(body, wanted);
    free(body);
}

static void test_txn(void **state)
{
    (void)state;
    const struct sf_etcd_compare compares[] = {
        {.key = "a", .target = SF_ETCD_CREATE, .revision = 7},
        {.key = "a", .target = SF_ETCD_MOD, .revision = UINT64_C(9223372036854775807)},
        {.key = "b", .target = SF_ETCD_CREATE, .greater = true, .revision = 0},
        {.key = "b", .target = SF_ETCD_VALUE, .value = "{\"x\":1}"}};
    const struct sf_etcd_op success[] = {
        {.kind = SF_ETCD_PUT, .key = "a", .value = "{\"x\":1}"},
        {.kind = SF_ETCD_PUT, .key = "b", .value = "", .lease = UINT64_C(7587848390000000001)},
        {.kind = SF_ETCD_DELETE, .key = "b"}};
    const struct sf_etcd_op failure[] = {{.kind = SF_ETCD_GET, .key = "a", .keys_only = true},
                                         {.kind = SF_ETCD_GET_PREFIX, .key = "/p/"},
                                         {.kind = SF_ETCD_GET_PREFIX,
                                          .key = "/p/",
                                          .after = "/p/a",
                                          .limit = 500,
                                          .keys_only = true}};
    expect(sf_etcd_body_txn(&(struct sf_etcd_txn){.compares = compares,
                                                  .compare_count = 4,
                                                  .success = success,
                                                  .success_count = 3,
                                                  .failure = failure,
                                                  .failure_count = 3}),
           "{\"compare\":["
           "{\"key\":\"" A
           "\",\"target\":\"CREATE\",\"result\":\"EQUAL\",\"create_revision\":\"7\"},"
           "{\"key\":\"" A "\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":"
           "\"9223372036854775807\"},"
           "{\"key\":\"" B
           "\",\"target\":\"CREATE\",\"result\":\"GREATER\",\"create_revision\":\"0\"},"
           "{\"key\":\"" B "\",\"target\":\"VALUE\",\"result\":\"EQUAL\",\"value\":\"" VAL "\"}],"
           "\"success\":["
           "{\"request_put\":{\"key\":\"" A "\",\"value\":\"" VAL "\"}},"
           "{\"request_put\":{\"key\":\"" B "\",\"value\":\"\",\"lease\":\"7587848390000000001\"}},"
           "{\"request_delete_range\":{\"key\":\"" B "\"}}],"
           "\"failure\":["
           "{\"request_range\":{\"key\":\"" A "\",\"keys_only\":true}},"
           "{\"request_range\":{\"key\":\"" PRE "\",\"range_end\":\"" PEND "\"}},"
           "{\"request_range\":{\"key\":\"" PRE_A1 "\",\"range_end\":\"" PEND
           "\",\"limit\":\"500\",\"keys_only\":true}}]}");
    expect(sf_etcd_body_txn(&(struct sf_etcd_txn){.compare_count = 0}),
           "{\"compare\":[],\"success\":[],\"failure\":[]}");
}

static void test_others(void **state)
{
    (void)state;
    expect(sf_etcd_body_newest("/p/", NULL), "{\"key\":\"" PRE "\",\"range_end\":\"" PEND
                                             "\",\"limit\":\"1\",\"sort_order\":\"DESCEND\","
                                             "\"sort_target\":\"MOD\",\"keys_only\":true}");
    expect(sf_etcd_body_watch("/p/", NULL),
           "{\"create_request\":{\"key\":\"" PRE "\",\"range_end\":\"" PEND "\"}}");
    /* From a to b, of which the latter is not one. */
    expect(sf_etcd_body_newest("a", "b"),
           "{\"key\":\"" A "\",\"range_end\":\"" B
           "\",\"limit\":\"1\",\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\","
           "\"keys_only\":true}");
    expect(sf_etcd_body_watch("a", "b"),
           "{\"create_request\":{\"key\":\"" A "\",\"range_end\":\"" B "\"}}");
    expect(sf_etcd_body_grant(10), "{\"TTL\":\"10\"}");
    expect(sf_etcd_body_lease(UINT64_C(7587848390000000001)), "{\"ID\":\"7587848390000000001\"}");
    expect(sf_etcd_body_login("w\"1", "p\\s\n"),
           "{\"name\":\"w\\\"1\",\"password\":\"p\\\\s\\n\"}");
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *coded;
    } table[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"}}; /* RFC 4648, 10 */
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        size_t size = 99;
        expect(sf_etcd_base64_encode(table[i].plain, strlen(table[i].plain)), table[i].coded);
        char *plain = sf_etcd_base64_decode(table[i].coded, strlen(table[i].coded), &size);
        assert_non_null(plain);
        assert_int_equal(size, strlen(table[i].plain));
        expect(plain, table[i].plain);
    }
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Z===", "====", "Zm9v\n", "Zm-v", "Zg==Zg==", "=Zg="};
    for (size_t i = 0; i < SF_COUNT(bad); i++) {
        size_t size = 0;
        if (sf_etcd_base64_decode(bad[i], strlen(bad[i]), &size) != NULL)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    unsigned char all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    size_t size = 0;
    char *coded = sf_etcd_base64_encode(all, sizeof all);
    char *back = sf_etcd_base64_decode(coded, strlen(coded), &size);
    assert_int_equal(size, sizeof all);
    assert_memory_equal(back, all, sizeof all);
    free(coded);
    free(back);
}

/* Bit by bit, the lowest first, in both branches. */
static void test_tag(void **state)
{
    (void)state;
    static const char set[] = "{\"request_txn\":{\"compare\":[{\"key\":\"" B
                              "\",\"target\":\"CREATE\",\"result\":\"GREATER\",\"create_revision\":"
                              "\"-1\"}]}}",
                      clear[] = "{\"request_txn\":{\"compare\":[{\"key\":\"" B
                                "\",\"target\":\"CREATE\",\"result\":\"LESS\",\"create_revision\":"
                                "\"-1\"}]}}";
    char bits[SF_ETCD_TAG_BITS * sizeof set] = "", wanted[2 * sizeof bits + 256];
    const uint32_t tag = 0x8005;
    for (unsigned i = 0; i < SF_ETCD_TAG_BITS; i++) {
        strcat(bits, i == 0 || i == 2 || i == 15 ? set : clear);
        if (i + 1 < SF_ETCD_TAG_BITS)
            strcat(bits, ",");
    }
    snprintf(wanted, sizeof wanted,
             "{\"compare\":[],\"success\":[{\"request_range\":{\"key\":\"" A
             "\"}},%s],\"failure\":[%s]}",
             bits, bits);
    const struct sf_etcd_op get = {.kind = SF_ETCD_GET, .key = "a"};
    expect(sf_etcd_body_txn(&(struct sf_etcd_txn){
               .tag_key = "b", .tag = tag, .success = &get, .success_count = 1}),
           wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_txn), cmocka_unit_test(test_tag),
                                       cmocka_unit_test(test_others),
                                       cmocka_unit_test(test_base64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
