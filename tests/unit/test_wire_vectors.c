/* tests/vectors/frames.txt against wire/: every vector is decoded, encoded again, and cut at every
 * byte. Every input lies in memory of exactly its size, so that AddressSanitizer sees a read past
 * the end. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "base/parse.h"
#include "wire/frame.h"

#define VECTOR_MAX 1024

struct vector {
    char name[80], kind[16], args[256];
    uint8_t bytes[VECTOR_MAX];
    size_t size;
};

struct vectors {
    struct vector *all;
    size_t count;
};

/* The value of a key; `last` values reach to the end of the line. NULL when there is none. */
static const char *find(const struct vector *v, const char *key, char value[256])
{
    char pattern[32];
    snprintf(pattern, sizeof pattern, " %s=", key);
    const char *at = strstr(v->args, pattern);
    if (!at)
        return NULL;
    at += strlen(pattern);
    const bool to_end = strcmp(key, "reason") == 0 || strcmp(key, "body") == 0;
    size_t size = to_end ? strlen(at) : strcspn(at, " ");
    memcpy(value, at, size);
    value[size] = '\0';
    return value;
}

static uint64_t number(const struct vector *v, const char *key)
{
    char value[256];
    uint64_t n = 0;
    if (!find(v, key, value) || sf_parse_u64(value, 0, UINT64_MAX, &n) != 0)
        fail_msg("%s: no number %s", v->name, key);
    return n;
}

static void add_hex(struct vector *v, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    int high = -1;
    for (; *text && *text != '\n'; text++) {
        if (*text == ' ')
            continue;
        const char *digit = strchr(digits, *text);
        if (!digit)
            fail_msg("%s: '%c' is no hexadecimal digit", v->name, *text);
        int value = (int)(digit - digits);
        if (high < 0) {
            high = value;
            continue;
        }
        assert_true(v->size < VECTOR_MAX);
        v->bytes[v->size++] = (uint8_t)(high << 4 | value);
        high = -1;
    }
    assert_int_equal(high, -1);
}

static int read_vectors(void **state)
{
    FILE *file = fopen(SF_SOURCE_DIR "/tests/vectors/frames.txt", "r");
    assert_non_null(file);
    struct vectors *vectors = calloc(1, sizeof *vectors);
    assert_non_null(vectors);
    struct vector *v = NULL;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (line[0] == ' ') {
            assert_non_null(v);
            add_hex(v, line);
            continue;
        }
        vectors->all = realloc(vectors->all, (vectors->count + 1) * sizeof *vectors->all);
        assert_non_null(vectors->all);
        v = &vectors->all[vectors->count++];
        *v = (struct vector){.size = 0};
        if (sscanf(line, "%79[^:]: %15s%255[^\n]", v->name, v->kind, v->args) < 2)
            fail_msg("not a vector: %s", line);
    }
    fclose(file);
    *state = vectors;
    return 0;
}

static int free_vectors(void **state)
{
    struct vectors *vectors = *state;
    free(vectors->all);
    free(vectors);
    return 0;
}

/* A copy in memory of exactly this size. */
static uint8_t *exact(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size);
    assert_true(copy || size == 0);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static bool is(const struct vector *v, const char *kind)
{
    return strcmp(v->kind, kind) == 0;
}

static void same_text(const struct vector *v, const char *key, const void *text, size_t size)
{
    char value[256];
    assert_non_null(find(v, key, value));
    assert_int_equal(size, strlen(value));
    assert_memory_equal(text, value, size);
}

/* Each of these decodes one kind and writes it again; they return the size written. */
static size_t again_request(const struct vector *v, const struct sf_wire_header *header,
                            const uint8_t *body, uint8_t *to, size_t room)
{
    const char *reason = NULL;
    char value[256];
    uint32_t id = (uint32_t)number(v, "id");
    size_t size = header->length - SF_WIRE_LENGTH_MIN;
    if (is(v, "next")) {
        struct sf_wire_next next;
        assert_int_equal(header->type, SF_WIRE_NEXT);
        assert_int_equal(sf_wire_get_next(header, body, &next, &reason), 0);
        assert_true(next.count == number(v, "count"));
        assert_int_equal(next.has_after, find(v, "after", value) != NULL);
        assert_true(next.after == (next.has_after ? number(v, "after") : 0));
        return sf_wire_put_next(to, room, id, &next);
    }
    assert_int_equal(sf_wire_check_request(header, &reason), 0);
    assert_int_equal(strcasecmp(v->kind, sf_wire_request(header->type)->name), 0);
    if (find(v, "body", value) != NULL)
        same_text(v, "body", body, size);
    return sf_wire_put_request(to, room, header->type, id, body, size);
}

static size_t again_ids(const struct vector *v, const struct sf_wire_header *header,
                        const uint8_t *body, uint8_t *to)
{
    char text[256];
    size_t runs = 0, size = header->length - SF_WIRE_LENGTH_MIN;
    uint32_t ids = 0, sum = 0;
    assert_int_equal(sf_wire_get_runs(body, size, &runs, &ids), 0);
    assert_non_null(find(v, "runs", text));
    char *at = text;
    for (size_t i = 0; i < runs; i++) {
        struct sf_wire_run run = sf_wire_run_at(body, i);
        assert_true(run.first == strtoull(at, &at, 10));
        assert_int_equal(*at, '+');
        assert_true(run.count == strtoull(at + 1, &at, 10));
        assert_int_equal(*at, i + 1 < runs ? ',' : '\0');
        at++;
        sum += run.count;
        sf_wire_put_run(to + SF_WIRE_HEADER_SIZE + i * SF_WIRE_RUN_SIZE, run.first, run.count);
    }
    assert_int_equal(sum, ids);
    sf_wire_put_header(to, header->type, SF_WIRE_OK, header->request_id, size);
    return SF_WIRE_HEADER_SIZE + size;
}

static size_t again_timed(const struct vector *v, const struct sf_wire_header *header,
                          const uint8_t *body, uint8_t *to)
{
    struct sf_wire_time time;
    char offset[256];
    int64_t offset_ns = 0;
    assert_int_equal(sf_wire_get_time_body(body, header->length - SF_WIRE_LENGTH_MIN, &time), 0);
    assert_true(time.earliest_us == number(v, "earliest"));
    assert_true(time.latest_us == number(v, "latest"));
    assert_non_null(find(v, "offset", offset));
    assert_int_equal(sf_parse_i64(offset, INT64_MIN, INT64_MAX, &offset_ns), 0);
    assert_true(time.offset_ns == offset_ns);
    assert_true(time.error_ns == number(v, "error"));
    assert_int_equal(time.source, number(v, "source"));
    assert_int_equal(time.synchronized, number(v, "synchronized"));
    sf_wire_put_header(to, header->type, SF_WIRE_OK, header->request_id, SF_WIRE_TIME_SIZE);
    memset(to + SF_WIRE_HEADER_SIZE, 0xEE, SF_WIRE_TIME_SIZE);
    sf_wire_put_time_body(to + SF_WIRE_HEADER_SIZE, &time);
    return SF_WIRE_HEADER_SIZE + SF_WIRE_TIME_SIZE;
}

static size_t again_answer(const struct vector *v, const struct sf_wire_header *header,
                           const uint8_t *body, uint8_t *to, size_t room)
{
    char reason[256];
    size_t size = header->length - SF_WIRE_LENGTH_MIN;
    if (is(v, "goaway")) {
        struct sf_wire_goaway goaway;
        assert_int_equal(header->type, SF_WIRE_GOAWAY);
        assert_int_equal(header->request_id, 0);
        assert_int_equal(sf_wire_get_goaway(body, size, &goaway), 0);
        assert_true(goaway.deadline_ms == number(v, "deadline"));
        same_text(v, "reason", goaway.reason, goaway.reason_size);
        return sf_wire_put_goaway(to, room, goaway.deadline_ms, find(v, "reason", reason));
    }
    assert_true(header->request_id == number(v, "id"));
    if (is(v, "error")) {
        struct sf_wire_error error;
        assert_int_equal(header->type, number(v, "type"));
        assert_int_equal(header->code, number(v, "status"));
        assert_int_equal(sf_wire_get_error(body, size, &error), 0);
        assert_true(error.retry_after_ms == number(v, "retry"));
        same_text(v, "reason", error.reason, error.reason_size);
        return sf_wire_put_error(to, room, header->type, (enum sf_wire_status)header->code,
                                 header->request_id, error.retry_after_ms,
                                 find(v, "reason", reason));
    }
    assert_int_equal(header->code, SF_WIRE_OK);
    if (is(v, "ids")) {
        assert_int_equal(header->type, SF_WIRE_RESPONSE | SF_WIRE_NEXT);
        return again_ids(v, header, body, to);
    }
    if (is(v, "timed")) {
        assert_int_equal(header->type, SF_WIRE_RESPONSE | SF_WIRE_TIME);
        return again_timed(v, header, body, to);
    }
    if (!is(v, "ok"))
        fail_msg("%s: no such kind: %s", v->name, v->kind);
    assert_int_equal(header->type, number(v, "type"));
    assert_non_null(sf_wire_request((uint8_t)(header->type & ~SF_WIRE_RESPONSE)));
    same_text(v, "body", body, size);
    sf_wire_put_header(to, header->type, SF_WIRE_OK, header->request_id, size);
    memcpy(to + SF_WIRE_HEADER_SIZE, body, size);
    return SF_WIRE_HEADER_SIZE + size;
}

static bool is_request(const struct sf_wire_header *header)
{
    return header->type >= 1 && header->type <= SF_WIRE_REQUEST_LAST;
}

/* What a peer says to a whole frame: 0 or a negative code, whatever the frame is. */
static int judge(const struct sf_wire_header *header, const uint8_t *body)
{
    size_t size = header->length - SF_WIRE_LENGTH_MIN;
    const char *reason = NULL;
    int rc;
    if (is_request(header)) {
        struct sf_wire_next next;
        rc = header->type == SF_WIRE_NEXT ? sf_wire_get_next(header, body, &next, &reason)
                                          : sf_wire_check_request(header, &reason);
        assert_int_equal(reason != NULL, rc < 0);
    } else if (header->type == SF_WIRE_GOAWAY) {
        struct sf_wire_goaway goaway;
        rc = sf_wire_get_goaway(body, size, &goaway);
    } else if (header->code != SF_WIRE_OK) {
        struct sf_wire_error error;
        rc = sf_wire_get_error(body, size, &error);
    } else if (header->type == (SF_WIRE_RESPONSE | SF_WIRE_NEXT)) {
        size_t runs;
        uint32_t ids;
        rc = sf_wire_get_runs(body, size, &runs, &ids);
    } else if (header->type == (SF_WIRE_RESPONSE | SF_WIRE_TIME)) {
        struct sf_wire_time time;
        rc = sf_wire_get_time_body(body, size, &time);
    } else {
        rc = 0;
    }
    return rc;
}

static void check_whole(const struct vector *v)
{
    struct sf_wire_header header = {.length = 77};
    uint8_t *bytes = exact(v->bytes, v->size);
    enum sf_wire_scan scan = sf_wire_scan(bytes, v->size, &header);
    if (is(v, "badlength")) {
        assert_int_equal(scan, SF_WIRE_BAD_LENGTH);
        free(bytes);
        return;
    }
    assert_int_equal(scan, SF_WIRE_COMPLETE);
    assert_int_equal(header.length + 4, v->size);
    assert_int_equal(header.version, SF_WIRE_VERSION);
    const uint8_t *body = bytes + SF_WIRE_HEADER_SIZE;
    if (is(v, "refused") || is(v, "broken")) {
        assert_int_equal(judge(&header, body), is(v, "refused") ? -EINVAL : -EBADMSG);
        free(bytes);
        return;
    }
    assert_int_equal(judge(&header, body), 0);
    uint8_t *written = malloc(v->size);
    assert_non_null(written);
    size_t size = is_request(&header) ? again_request(v, &header, body, written, v->size)
                                      : again_answer(v, &header, body, written, v->size);
    assert_int_equal(size, v->size);
    assert_memory_equal(written, v->bytes, size);
    /* One byte less of room: a request does not fit and nothing is written past it. */
    if (is_request(&header)) {
        uint8_t *small = malloc(v->size - 1);
        assert_non_null(small);
        assert_int_equal(again_request(v, &header, body, small, v->size - 1), 0);
        free(small);
    }
    free(written);
    free(bytes);
}

/* The stream cut behind every byte: never a whole frame, never a read behind the cut. */
static void check_cut_stream(const struct vector *v)
{
    for (size_t size = 0; size < v->size; size++) {
        struct sf_wire_header header;
        uint8_t *bytes = exact(v->bytes, size);
        enum sf_wire_scan scan = sf_wire_scan(bytes, size, &header);
        assert_int_equal(scan,
                         is(v, "badlength") && size >= 4 ? SF_WIRE_BAD_LENGTH : SF_WIRE_PARTIAL);
        free(bytes);
    }
}

/* The body cut behind every byte, with a length that says so: refused, where the body has a form
 * that can be broken. */
static void check_cut_body(const struct vector *v)
{
    struct sf_wire_header header;
    if (sf_wire_scan(v->bytes, v->size, &header) != SF_WIRE_COMPLETE)
        return;
    const struct sf_wire_request *row = is_request(&header) ? sf_wire_request(header.type) : NULL;
    for (size_t size = 0; size < v->size - SF_WIRE_HEADER_SIZE; size++) {
        uint8_t *body = exact(v->bytes + SF_WIRE_HEADER_SIZE, size);
        header.length = (uint32_t)(SF_WIRE_LENGTH_MIN + size);
        const int rc = judge(&header, body);
        free(body);
        const bool fine = (row != NULL && !is(v, "next") && size >= row->body_least) ||
                          is(v, "ok") || ((is(v, "error") || is(v, "goaway")) && size >= 4) ||
                          (is(v, "ids") && size > 0 && size % SF_WIRE_RUN_SIZE == 0);
        if (!is(v, "refused") && !is(v, "broken"))
            assert_int_equal(rc == 0, fine);
    }
}

static void every_vector(void **state)
{
    struct vectors *vectors = *state;
    assert_true(vectors->count > 60);
    for (size_t i = 0; i < vectors->count; i++) {
        print_message("%s\n", vectors->all[i].name);
        check_whole(&vectors->all[i]);
        check_cut_stream(&vectors->all[i]);
        check_cut_body(&vectors->all[i]);
    }
}

/* Frames one behind the other: the scan sees the first one only. */
static void frames_in_a_row(void **state)
{
    (void)state;
    uint8_t stream[64];
    size_t first = sf_wire_put_request(stream, sizeof stream, SF_WIRE_PING, 1, "abc", 3);
    size_t second =
        sf_wire_put_request(stream + first, sizeof stream - first, SF_WIRE_INFO, 2, NULL, 0);
    struct sf_wire_header header;
    assert_int_equal(sf_wire_scan(stream, first + second, &header), SF_WIRE_COMPLETE);
    assert_int_equal(header.length + 4, first);
    assert_int_equal(header.request_id, 1);
    assert_int_equal(sf_wire_scan(stream + first, second, &header), SF_WIRE_COMPLETE);
    assert_int_equal(header.request_id, 2);
}

static void limits(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, SF_WIRE_FRAME_MAX + 100);
    char *text = malloc(SF_WIRE_FRAME_MAX + 100);
    assert_non_null(big);
    assert_non_null(text);
    memset(text, 'x', SF_WIRE_FRAME_MAX + 99);
    text[SF_WIRE_FRAME_MAX + 99] = '\0';
    size_t room = SF_WIRE_FRAME_MAX + 100;

    assert_int_equal(sf_wire_put_request(big, room, SF_WIRE_PING, 1, text, 256), 268);
    assert_int_equal(sf_wire_put_request(big, room, SF_WIRE_PING, 1, text, 257), 0);
    assert_int_equal(sf_wire_put_request(big, room, SF_WIRE_AUTH, 1, text, 256), 268);
    assert_int_equal(sf_wire_put_request(big, room, SF_WIRE_AUTH, 1, text, 257), 0);
    assert_int_equal(sf_wire_put_request(big, room, SF_WIRE_AUTH, 1, text, 0), 0);

    assert_int_equal(sf_wire_put_request(big, room, SF_WIRE_INFO, 1, text, 1), 0);
    assert_int_equal(sf_wire_put_request(big, room, SF_WIRE_REQUEST_TYPES + 1, 1, text, 0), 0);
    assert_int_equal(sf_wire_put_request(big, 11, SF_WIRE_INFO, 1, NULL, 0), 0);

    /* The last request's response is not mistaken for the answer to what was no request. */
    assert_int_not_equal(SF_WIRE_REQUEST_LAST | SF_WIRE_RESPONSE, SF_WIRE_ERROR);
    assert_int_equal(SF_WIRE_REQUEST_LAST, 0x3E);

    /* A reason is cut to the largest frame, to the room, and between characters. */
    struct sf_wire_header header;
    size_t size = sf_wire_put_error(big, room, SF_WIRE_ERROR, SF_WIRE_INTERNAL, 1, 2, text);
    assert_int_equal(size, SF_WIRE_FRAME_MAX);
    assert_int_equal(sf_wire_scan(big, size, &header), SF_WIRE_COMPLETE);
    assert_int_equal(header.length, SF_WIRE_LENGTH_MAX);
    for (size_t small = 0; small < 24; small++) {
        uint8_t *to = malloc(small);
        size = sf_wire_put_error(to, small, SF_WIRE_ERROR, SF_WIRE_INTERNAL, 1, 2, "a\xc3\xbc");
        assert_int_equal(size, small < 16 ? 0 : small < 17 ? 16 : small < 19 ? 17 : 19);
        size = sf_wire_put_goaway(to, small, 1, NULL);
        assert_int_equal(size, small < 16 ? 0 : 16);
        free(to);
    }

    /* The largest frame there can be, and one byte more. */
    memcpy(big, "\x00\x01\x00\x00", 4);
    assert_int_equal(sf_wire_scan(big, SF_WIRE_FRAME_MAX, &header), SF_WIRE_COMPLETE);
    assert_int_equal(sf_wire_scan(big, SF_WIRE_FRAME_MAX - 1, &header), SF_WIRE_PARTIAL);
    memcpy(big, "\x00\x01\x00\x01", 4);
    assert_int_equal(sf_wire_scan(big, room, &header), SF_WIRE_BAD_LENGTH);
    assert_int_equal(header.length, 65537);

    /* The most runs a frame can hold. */
    size_t runs = 0;
    uint32_t ids = 0;
    for (size_t i = 0; i < SF_WIRE_RUNS_MAX; i++)
        sf_wire_put_run(big + i * SF_WIRE_RUN_SIZE, 2 * i, 1);
    assert_int_equal(sf_wire_get_runs(big, SF_WIRE_RUNS_MAX * SF_WIRE_RUN_SIZE, &runs, &ids), 0);
    assert_int_equal(runs, 5460);
    assert_int_equal(ids, 5460);
    free(big);
    free(text);
}

static void names(void **state)
{
    (void)state;
    static const char *const requests[] = {"NEXT", "PING", "INFO", "TIME", "AUTH"};
    for (uint8_t i = 0; i < SF_COUNT(requests); i++)
        assert_string_equal(sf_wire_request(i + 1)->name, requests[i]);
    static const uint8_t others[] = {0x00, SF_WIRE_REQUEST_TYPES + 1, 0x3F, 0x81, 0xBF, 0xC0, 0xFF};
    for (size_t i = 0; i < SF_COUNT(others); i++)
        assert_null(sf_wire_request(others[i]));
    assert_string_equal(sf_wire_request(SF_WIRE_PING)->bad_body,
                        "the body of PING must be 0 to 256 bytes");
    assert_string_equal(sf_wire_request(SF_WIRE_INFO)->bad_body, "the body of INFO must be empty");
    assert_string_equal(sf_wire_request(SF_WIRE_NEXT)->bad_flags,
                        "NEXT has flags that are not known; it knows: AFTER (1)");
    static const char *const statuses[] = {
        "OK",         "BAD_REQUEST",  "UNSUPPORTED", "TOO_LARGE", "NOT_READY", "CLOCK",
        "OVERLOADED", "RATE_LIMITED", "DRAINING",    "DENIED",    "CAUSALITY", "INTERNAL"};
    for (uint16_t i = 0; i < SF_COUNT(statuses); i++)
        assert_string_equal(sf_wire_status_name(i), statuses[i]);
    assert_string_equal(sf_wire_status_name(SF_COUNT(statuses)), "UNKNOWN");
    assert_string_equal(sf_wire_status_name(65535), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_vector, read_vectors, free_vectors),
        cmocka_unit_test(frames_in_a_row),
        cmocka_unit_test(limits),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
