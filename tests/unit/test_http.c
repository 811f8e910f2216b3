/* The strict reader of HTTP requests, what they ask, and how answers are written. */
#include "unit/cmocka_all.h"

#include "http/answer.h"
#include "http/ask.h"

static enum sf_http_parsed parse(const char *text, struct sf_http_request *ret,
                                 unsigned *ret_status)
{
    struct sf_http_problem problem = {0};
    size_t size = 0;
    const enum sf_http_parsed parsed =
        sf_http_parse((const uint8_t *)text, strlen(text), ret, &size, &problem);
    *ret_status = problem.status;
    if (parsed == SF_HTTP_COMPLETE)
        assert_memory_equal(text + size - 4, "\r\n\r\n", 4);
    if (parsed == SF_HTTP_BAD)
        assert_true(problem.text != NULL && problem.text[0] != '\0');
    return parsed;
}

#define GET  "GET /v1/ids HTTP/1.1\r\n"
#define HOST "Host: x:7452\r\n"

/* Everything that two readers could take for two different things. */
static void test_bad(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } rows[] = {
        {GET "\r\n", 400}, /* no Host */
        {GET HOST "Host: x:7452\r\n\r\n", 400},
        {GET "Host:\r\n\r\n", 400},
        {GET "Host: a b\r\n\r\n", 400},
        {GET "Host: a@b\r\n\r\n", 400},
        {GET "Host: a,b\r\n\r\n", 400},
        {GET "Host : x\r\n\r\n", 400},
        {GET HOST " folded\r\n\r\n", 400},
        {GET HOST "\tfolded\r\n\r\n", 400},
        {GET HOST "X: a\r\n b\r\n\r\n", 400},
        {GET HOST "nocolon\r\n\r\n", 400},
        {GET HOST ": empty\r\n\r\n", 400},
        {GET HOST "X: a\x01z\r\n\r\n", 400},
        {GET HOST "X: a\rb\r\n\r\n", 400},
        {GET HOST "X: a\x7f\r\n\r\n", 400},
        {GET HOST "X\xc3: a\r\n\r\n", 400},
        {GET HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400},
        {GET HOST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", 400},
        {GET HOST "Content-Length: +5\r\n\r\n", 400},
        {GET HOST "Content-Length: 5, 5\r\n\r\n", 400},
        {GET HOST "Content-Length: 0x5\r\n\r\n", 400},
        {GET HOST "Content-Length:\r\n\r\n", 400},
        {GET HOST "Content-Length: 99999999999999999999\r\n\r\n", 400},
        {GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400},
        {GET HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400},
        {GET HOST "Origin: a\r\nOrigin: b\r\n\r\n", 400},
        {"GET /v1/ids HTTP/1.1\nHost: x\n\n", 400}, /* lone LF */
        {"GET /v1/ids HTTP/1.1\r\nHost: x\n\r\n", 400},
        {"\r\n" GET HOST "\r\n", 400},
        {"GET  /v1/ids HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/ids  HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET\t/v1/ids\tHTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/ids\r\n\r\n", 400},
        {"GET v1/ids HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET http://x/v1/ids HTTP/1.1\r\n" HOST "\r\n", 400},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/ids%00 HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /%76%31/ids HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/ids?count=%31 HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/ids#x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1\\ids HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400},
        {"G(T /v1/ids HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/ids http/1.1\r\n" HOST "\r\n", 400},
        {"GET /v1/ids HTTP/1.1 \r\n" HOST "\r\n", 400},
        {"GET /v1/ids HTTP/1.2\r\n" HOST "\r\n", 505},
        {"GET /v1/ids HTTP/2.0\r\n" HOST "\r\n", 505},
        {"\x16\x03\x01", 400}, /* TLS on the plain port */
        {"\x01", 400},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sf_http_request request;
        unsigned status = 0;
        if (parse(rows[i].text, &request, &status) != SF_HTTP_BAD || status != rows[i].status)
            fail_msg("%u, and %u was expected: %s", status, rows[i].status, rows[i].text);
    }
}

static void test_good(void **state)
{
    (void)state;
    struct sf_http_request r;
    unsigned status;
    assert_int_equal(parse(GET HOST "\r\n", &r, &status), SF_HTTP_COMPLETE);
    assert_true(sf_http_is(r.method, "GET") && sf_http_is(r.path, "/v1/ids"));
    assert_true(sf_http_is(r.host, "x:7452") && r.query.size == 0);
    assert_false(r.closes || r.is_1_0 || r.has_body || r.cross_site || r.prefetch);
    assert_null(sf_http_bearer(&r).at);
    assert_int_equal(
        parse("POST /a?b=1&c HTTP/1.1\r\nhOST:\t[::1]:80 \t\r\nX:\r\nContent-Length: 12\r\n"
              "Connection: x , CLOSE\r\naUTHORIZATION: bearer  s \r\n\r\n",
              &r, &status),
        SF_HTTP_COMPLETE);
    assert_true(sf_http_is(r.path, "/a") && sf_http_is(r.query, "b=1&c") && r.closes);
    assert_true(sf_http_is(r.host, "[::1]:80") && r.has_body && r.length == 12);
    assert_true(sf_http_is(sf_http_bearer(&r), " s"));
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &r, &status), SF_HTTP_COMPLETE);
    assert_true(r.closes && r.is_1_0);
    assert_int_equal(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &r, &status),
                     SF_HTTP_COMPLETE);
    assert_true(!r.closes && r.is_1_0);
    assert_int_equal(parse(GET HOST "Transfer-Encoding: x\r\n\r\n", &r, &status), SF_HTTP_COMPLETE);
    assert_true(r.has_body && r.chunked);
    assert_int_equal(parse(GET HOST "Content-Length: 0\r\n\r\n", &r, &status), SF_HTTP_COMPLETE);
    assert_false(r.has_body);
    assert_int_equal(parse(GET HOST "User-Agent: \xc3\xa9t\xc3\xa9\r\n\r\n", &r, &status),
                     SF_HTTP_COMPLETE);
    static const char *const cross[] = {"Origin: http://x:7452", "Sec-Fetch-Site: cross-site",
                                        "sec-fetch-site: same-site"};
    for (size_t i = 0; i < 3; i++) {
        char text[200];
        snprintf(text, sizeof text, GET HOST "%s\r\n\r\n", cross[i]);
        assert_int_equal(parse(text, &r, &status), SF_HTTP_COMPLETE);
        assert_true(r.cross_site);
    }
}

/* Byte by byte: partial until the last one. */
static void test_pieces(void **state)
{
    (void)state;
    static const char text[] = GET HOST "X: y\r\n\r\n";
    struct sf_http_request r;
    struct sf_http_problem problem;
    size_t size = 0;
    for (size_t i = 0; i + 1 < sizeof text; i++)
        assert_int_equal(sf_http_parse((const uint8_t *)text, i, &r, &size, &problem),
                         SF_HTTP_PARTIAL);
    assert_int_equal(sf_http_parse((const uint8_t *)text, sizeof text - 1, &r, &size, &problem),
                     SF_HTTP_COMPLETE);
    assert_int_equal(size, sizeof text - 1);
}

/* A head of this many bytes, of which `fill` stands in one field. */
static enum sf_http_parsed parse_long(size_t size, unsigned *ret_status)
{
    static char text[2 * SF_HTTP_HEAD_MAX];
    static const char begin[] = GET HOST "X: ";
    struct sf_http_request r;
    memset(text, 'y', size);
    memcpy(text, begin, sizeof begin - 1);
    memcpy(text + size - 4, "\r\n\r\n", 5);
    return parse(text, &r, ret_status);
}

static void test_bounds(void **state)
{
    (void)state;
    static char text[2 * SF_HTTP_HEAD_MAX];
    struct sf_http_request r;
    unsigned status;
    assert_int_equal(parse_long(SF_HTTP_HEAD_MAX, &status), SF_HTTP_COMPLETE);
    assert_int_equal(parse_long(SF_HTTP_HEAD_MAX + 1, &status), SF_HTTP_BAD);
    assert_int_equal(status, 431);
    for (size_t target = SF_HTTP_TARGET_MAX; target <= SF_HTTP_TARGET_MAX + 1; target++) {
        char path[SF_HTTP_TARGET_MAX + 2] = "/";
        memset(path + 1, 'a', target - 1);
        path[target] = '\0';
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
        assert_int_equal(parse(text, &r, &status),
                         target <= SF_HTTP_TARGET_MAX ? SF_HTTP_COMPLETE : SF_HTTP_BAD);
    }
    assert_int_equal(status, 414);
    for (unsigned fields = SF_HTTP_FIELDS_MAX; fields <= SF_HTTP_FIELDS_MAX + 1; fields++) {
        size_t at = (size_t)snprintf(text, sizeof text, GET HOST);
        for (unsigned i = 1; i < fields; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "X: y\r\n");
        snprintf(text + at, sizeof text - at, "\r\n");
        assert_int_equal(parse(text, &r, &status),
                         fields <= SF_HTTP_FIELDS_MAX ? SF_HTTP_COMPLETE : SF_HTTP_BAD);
    }
    assert_int_equal(status, 431);
}

static unsigned ask(const char *line, const char *fields, struct sf_http_ask *ret)
{
    char text[600], why[SF_HTTP_WHY_MAX] = "";
    struct sf_http_request r;
    unsigned status;
    snprintf(text, sizeof text, "%s HTTP/1.1\r\n" HOST "%s\r\n", line, fields);
    assert_int_equal(parse(text, &r, &status), SF_HTTP_COMPLETE);
    status = sf_http_ask_read(&r, ret, why);
    assert_int_equal(status != 0, why[0] != '\0');
    return status;
}

static void test_asks(void **state)
{
    (void)state;
    struct sf_http_ask a = {0};
    assert_int_equal(ask("GET /v1/ids", "", &a), 0);
    assert_true(a.what == SF_HTTP_IDS && a.count == 1);
    assert_int_equal(ask("GET /v1/ids?count=007", "", &a), 0);
    assert_int_equal(a.count, 7);
    assert_int_equal(ask("GET /v1/ids?count=4294967296", "", &a), 0);
    assert_int_equal(a.count, UINT32_MAX);
    assert_int_equal(ask("GET /v1/decode/9223372036854775807", "", &a), 0);
    assert_true(a.what == SF_HTTP_DECODE && a.id == INT64_MAX);
    assert_int_equal(ask("GET /v1/decode/9223372036854775808", "", &a), 400);
    assert_int_equal(ask("GET /v1/decode/18446744073709551617", "", &a), 400);
    assert_int_equal(ask("GET /v1/decode/", "", &a), 400);
    assert_int_equal(ask("GET /v1/decode/1?x", "", &a), 400);
    assert_int_equal(ask("GET /v1/decode/0x1", "", &a), 400);
    static const char *const bad[] = {
        "GET /v1/ids?count=0",         "GET /v1/ids?count=", "GET /v1/ids?count=-1",
        "GET /v1/ids?count=1&count=1", "GET /v1/ids?x",      "GET /v1/ids?&count=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)

        assert_int_equal(ask(bad[i], "", &a), 400);
    assert_int_equal(ask("GET /v1/id", "", &a), 404);
    assert_int_equal(ask("GET /v1/ids/", "", &a), 404);
    assert_int_equal(ask("HEAD /v1/ids", "", &a), 405);
    assert_int_equal(ask("get /v1/ids", "", &a), 405);
    assert_int_equal(ask("POST /v1/ids", "Content-Length: 3\r\n", &a), 405);
    assert_int_equal(ask("GET /v1/ids", "Content-Length: 3\r\n", &a), 400);
    assert_int_equal(ask("GET /v1/ids", "Transfer-Encoding: chunked\r\n", &a), 400);
    assert_int_equal(ask("GET /v1/ids", "Sec-Purpose: prefetch\r\n", &a), 403);
    assert_int_equal(ask("GET /v1/ids", "Origin: null\r\n", &a), 403);
    assert_int_equal(ask("GET /v1/decode/1", "Origin: null\r\n", &a), 0);
}

/* The body in pieces of every size is the same, and as long as was announced. */
static void test_ids(void **state)
{
    (void)state;
    uint8_t runs[4 * SF_WIRE_RUN_SIZE];
    char whole[4096], pieces[4096];
    sf_wire_put_run(runs, 7, 5); /* 7 to 11: one digit, then two */
    sf_wire_put_run(runs + 12, 998, 3);
    sf_wire_put_run(runs + 24, UINT64_C(9223372036854775800), 8);
    sf_wire_put_run(runs + 36, 0, 1);
    const size_t length = sf_http_ids_length(runs, 4);
    struct sf_http_ids ids = {0};
    assert_int_equal(sf_http_ids_put(&ids, runs, 4, whole, sizeof whole), length);
    assert_true(ids.done);
    whole[length] = '\0';
    assert_non_null(strstr(whole, "{\"ids\":[\"7\",\"8\",\"9\",\"10\",\"11\",\"998\",\"999\","
                                  "\"1000\",\"9223372036854775800\","));
    assert_string_equal(whole + length - 7, ",\"0\"]}\n");
    for (size_t room = SF_HTTP_IDS_PIECE_MIN; room < 200; room++) {
        size_t at = 0;
        for (ids = (struct sf_http_ids){0}; !ids.done;) {
            const size_t put = sf_http_ids_put(&ids, runs, 4, pieces + at, room);
            assert_in_range(put, 1, room);
            at += put;
        }
        assert_int_equal(at, length);
        assert_memory_equal(pieces, whole, length);
    }
}

static void test_heads(void **state)
{
    (void)state;
    char text[SF_HTTP_ERROR_MAX + 1], why[2000];
    memset(why, 'w', sizeof why);
    why[sizeof why - 1] = '\0';
    for (unsigned s = 1; s < SF_WIRE_STATUSES; s++) {
        const struct sf_http_answer answer = {.status = sf_http_status_of((enum sf_wire_status)s),
                                              .retry_after_ms = 1001,
                                              .is_1_0 = true};
        const size_t size = sf_http_put_error(text, answer, why);
        text[size] = '\0';
        assert_in_range(answer.status, 400, 599);
        assert_non_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
        assert_non_null(strstr(text, "\r\nConnection: keep-alive\r\n"));
        assert_int_not_equal(text[13], 'E'); /* of "Error": it has a name of its own */
        const bool told = strstr(text, "\r\nRetry-After: 2\r\n") != NULL;
        assert_int_equal(told, answer.status == 429 || answer.status == 503);
    }
    const struct sf_http_answer closing = {.status = 401, .closes = true, .is_1_0 = true};
    text[sf_http_put_error(text, closing, "no")] = '\0';
    assert_non_null(strstr(text, "Content-Length: 3\r\n"));
    assert_non_null(strstr(text, "\r\nConnection: close\r\nWWW-Authenticate: Bearer\r\n\r\nno\n"));
    const struct sf_http_answer busy = {.status = 503};
    text[sf_http_put_error(text, busy, "no")] = '\0';
    assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),    cmocka_unit_test(test_good), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_asks), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
