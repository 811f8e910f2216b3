/* <snowfleet/id.h>: IDs in base 32, and the parts of IDs, against tests/vectors/ids.json, which every
 * client is checked against too. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <snowfleet/id.h>

#include "base/random.h"

static json_t *vectors(const char *what)
{
    json_error_t error;
    json_t *all = json_load_file(SF_SOURCE_DIR "/tests/vectors/ids.json", 0, &error);
    assert_non_null(all);
    json_t *part = json_incref(json_object_get(all, what));
    json_decref(all);
    assert_true(json_array_size(part) > 0);
    return part;
}

static uint64_t number(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    assert_non_null(value);
    return json_is_string(value) ? strtoull(json_string_value(value), NULL, 10)
                                 : (uint64_t)json_integer_value(value);
}

static void the_vectors(void **state)
{
    (void)state;
    json_t *rows = vectors("ids");
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const json_t *widths = json_object_get(row, "layout");
        const struct sf_layout layout = {
            (uint8_t)number(widths, "timestamp"), (uint8_t)number(widths, "datacenter"),
            (uint8_t)number(widths, "worker"), (uint8_t)number(widths, "sequence")};
        const int64_t epoch_ms = (int64_t)number(row, "epoch_ms");
        const uint64_t id = number(row, "id");
        struct sf_id_parts parts;
        int64_t unix_ms;
        uint64_t back = 77;
        char text[SF_ID_BASE32_MAX];
        assert_int_equal(sf_id_decode(&layout, id, &parts), 0);
        assert_int_equal(sf_id_unix_ms(&layout, epoch_ms, id, &unix_ms), 0);
        assert_true(unix_ms == (int64_t)number(row, "unix_ms"));
        assert_true(parts.datacenter == number(row, "datacenter"));
        assert_true(parts.worker == number(row, "worker"));
        assert_true(parts.sequence == number(row, "sequence"));
        assert_int_equal(sf_id_encode(&layout, &parts, &back), 0);
        assert_true(back == id);
        const char *base32 = json_string_value(json_object_get(row, "base32"));
        assert_string_equal(sf_id_base32(id, text), base32);
        assert_int_equal(sf_id_from_base32(base32, &back), 0);
        assert_true(back == id);
    }
    json_decref(rows);
}

static void as_people_write_them(void **state)
{
    (void)state;
    json_t *rows = vectors("read_as");
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        uint64_t id = 77;
        const char *text = json_string_value(json_object_get(row, "base32"));
        assert_int_equal(sf_id_from_base32(text, &id), 0);
        assert_true(id == number(row, "id"));
    }
    json_decref(rows);
}

static void other_texts(void **state)
{
    (void)state;
    json_t *rows = vectors("refused");
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        uint64_t id = 77;
        const char *text = json_string_value(row);
        const int rc = sf_id_from_base32(text, &id);
        assert_true(rc == -EINVAL || rc == -ERANGE);
        assert_true(id == 77);
        assert_int_equal(rc == -ERANGE, strlen(text) == 13 && strpbrk(text, "U- \xc3") == NULL);
    }
    json_decref(rows);
}

/* There and back, and texts sort as the numbers do. */
static void any_id(void **state)
{
    (void)state;
    struct sf_prng prng = {20261130};
    char text[SF_ID_BASE32_MAX], before_text[SF_ID_BASE32_MAX];
    uint64_t before = 0;
    sf_id_base32(0, before_text);
    for (int i = 0; i < 100000; i++) {
        const uint64_t id = sf_prng_next(&prng) >> (1 + sf_prng_next(&prng) % 63);
        uint64_t back = 77;
        assert_int_equal(sf_id_from_base32(sf_id_base32(id, text), &back), 0);
        assert_true(back == id);
        assert_int_equal(strcmp(text, before_text) < 0, id < before);
        assert_int_equal(strcmp(text, before_text) == 0, id == before);
        before = id;
        memcpy(before_text, text, sizeof text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors),
        cmocka_unit_test(as_people_write_them),
        cmocka_unit_test(other_texts),
        cmocka_unit_test(any_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
