/* docs/configuration.md must be what the table of options generates, and the chart's schema must
 * have the same bounds and words. SF_REGENERATE=1 in the environment writes both anew. */
#include "unit/cmocka_all.h"

#include <inttypes.h>
#include <jansson.h>

#include "config/options.h"
#include "config/types.h"

#define PAGE   SF_SOURCE_DIR "/docs/configuration.md"
#define SCHEMA SF_SOURCE_DIR "/helm/snowfleet/values.schema.json"

static void page_is_current(void **state)
{
    (void)state;
    char *wanted = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&wanted, &size);
    assert_non_null(memory);
    sf_config_markdown(memory);
    assert_int_equal(fclose(memory), 0);

    if (getenv("SF_REGENERATE")) {
        FILE *page = fopen(PAGE, "w");
        assert_non_null(page);
        assert_int_equal(fwrite(wanted, 1, size, page), size);
        assert_int_equal(fclose(page), 0);
    }
    FILE *page = fopen(PAGE, "r");
    assert_non_null(page);
    char *found = calloc(1, size + 2);
    assert_non_null(found);
    size_t read = fread(found, 1, size + 1, page);
    fclose(page);
    if (read != size || memcmp(found, wanted, size) != 0) {
        size_t i = 0;
        while (i < size && found[i] == wanted[i])
            i++;
        fail_msg("%s differs from the table of options at byte %zu; run this program with "
                 "SF_REGENERATE=1 and look at the difference",
                 PAGE, i);
    }
    free(found);
    free(wanted);
}

/* What the schema says of an option, under values.config; NULL where the chart sets it itself. */
static json_t *schema_of(const json_t *schema, const char *name)
{
    char group[SF_OPTION_NAME_MAX];
    const char *dot = strchr(name, '.');
    snprintf(group, sizeof group, "%.*s", (int)(dot - name), name);
    const json_t *at = json_object_get(json_object_get(schema, "properties"), "config");
    at = json_object_get(json_object_get(at, "properties"), group);
    return json_object_get(json_object_get(at, "properties"), dot + 1);
}

/* Sets a member; returns whether it was another. */
static bool set_member(json_t *object, const char *key, json_t *value)
{
    const bool same = json_equal(json_object_get(object, key), value);
    assert_int_equal(json_object_set_new(object, key, value), 0);
    return !same;
}

static bool set_numbers(json_t *object, const struct sf_option *option)
{
    if (option->type->json != SF_OPTION_JSON_NUMBER)
        return false;
    return set_member(object, "type", json_string("integer")) |
           set_member(object, "minimum", json_integer(option->min)) |
           set_member(object, "maximum", json_integer(option->max));
}

/* The chart may say more behind it. */
static bool set_help(json_t *object, const char *help)
{
    const char *told = json_string_value(json_object_get(object, "description"));
    if (told != NULL && strncmp(told, help, strlen(help)) == 0)
        return false;
    return set_member(object, "description", json_string(help));
}

static void chart_is_current(void **state)
{
    (void)state;
    json_error_t error;
    json_t *schema = json_load_file(SCHEMA, 0, &error);
    assert_non_null(schema);
    unsigned found = 0;
    for (unsigned i = 0; i < sf_option_count; i++) {
        const struct sf_option *option = &sf_options[i];
        json_t *object = schema_of(schema, option->name);
        char help[512];
        if (object == NULL)
            continue;
        found++;
        snprintf(help, sizeof help, "%s%s", option->help,
                 option->reloaded ? " Read again at SIGHUP." : "");
        const bool changed = set_numbers(object, option) | set_help(object, help);
        if (changed && getenv("SF_REGENERATE") == NULL)
            fail_msg("%s: %s differs from the table of options; run this program with "
                     "SF_REGENERATE=1 and look at the difference",
                     SCHEMA, option->name);
    }
    assert_true(found > 20);
    if (getenv("SF_REGENERATE") != NULL) {
        FILE *file = fopen(SCHEMA, "w");
        assert_non_null(file);
        assert_int_equal(json_dumpf(schema, file, JSON_INDENT(2)), 0);
        assert_int_equal(fputc('\n', file), '\n');
        assert_int_equal(fclose(file), 0);
    }
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(page_is_current),
                                       cmocka_unit_test(chart_is_current)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
