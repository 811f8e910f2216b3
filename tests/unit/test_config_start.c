/* What snowfleetd --check-config accepts, the start does not refuse: options whose form two rooms
 * judge are judged alike. */
#include "unit/cmocka_all.h"

#include "clock/clock.h"
#include "config/config.h"

/* Does the table of options take this value of clock.sources? ret_config: the options, to be freed;
 * NULL when it does not. */
static bool configured(const char *sources, struct sf_config **ret_config)
{
    char program[] = "snowfleetd", flag[] = "--clock-sources", value[512], home[] = "HOME=/";
    char *const arguments[] = {program, flag, value, NULL};
    char *const environment[] = {home, NULL};
    enum sf_config_action action;
    struct sf_strbuf errors;
    *ret_config = NULL;
    snprintf(value, sizeof value, "%s", sources);
    sf_strbuf_init(&errors, 65536);
    const int rc = sf_config_load(3, arguments, environment, ret_config, &action, &errors);
    sf_strbuf_free(&errors);
    return rc == 0;
}

/* Does a clock? */
static bool started(const struct sf_clock_specs *sources, char text[SF_ERROR_TEXT_MAX])
{
    const struct sf_clock_options options = {
        .sources = sources, .poll_ms = 4000, .warn_offset_ms = 100, .max_offset_ms = 1000};
    struct sf_clock *clock = NULL;
    struct sf_error err = {0};
    const int rc = sf_clock_create(&options, &clock, &err);
    snprintf(text, SF_ERROR_TEXT_MAX, "%s", err.text);
    sf_clock_destroy(clock);
    return rc == 0;
}

static void same_judgement(const char *sources)
{
    struct sf_config *config = NULL;
    struct sf_clock_specs specs = {.count = 0};
    char text[SF_ERROR_TEXT_MAX];
    const bool accepted = configured(sources, &config);
    if (accepted && !started(&config->clock_sources, text))
        fail_msg("--check-config takes '%s', the start says: %s", sources, text);
    if (!accepted && sf_clock_specs_parse(sources, &specs, NULL) == 0)
        fail_msg("--check-config refuses '%s', the clock would take it", sources);
    sf_config_free(config);
}

static void clock_sources(void **state)
{
    (void)state;
    static const char *const cases[] = {"kernel",
                                        "Kernel",
                                        "",
                                        "ntp:a",
                                        "ntp:a:0",
                                        "ntp:a:65535",
                                        "ntp:/x",
                                        "ntp:[::1]",
                                        "ntp:",
                                        "chrony:h:1",
                                        "chrony:/",
                                        "chrony:[fe80::1%eth0]:323",
                                        "kernel,ntp:a,chrony:b",
                                        "kernel:",
                                        "coordinator",
                                        "none"};
    for (size_t i = 0; i < SF_COUNT(cases); i++)
        same_judgement(cases[i]);
    /* Paths and names of every length around every limit. */
    for (size_t size = 1; size < 300; size++) {
        char source[320] = "chrony:/";
        memset(source + strlen(source), 'x', size);
        same_judgement(source);
        memcpy(source, "ntp:xxxx", 8);
        same_judgement(source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(clock_sources)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
