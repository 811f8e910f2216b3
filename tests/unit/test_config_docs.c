/* docs/configuration.md must be what the table of options generates. SF_REGENERATE=1 in the
 * environment writes it anew. */
#include "unit/cmocka_all.h"

#include "config/config.h"

#define PAGE SF_SOURCE_DIR "/docs/configuration.md"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(page_is_current)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
