/* Options of the library as flags of the worker, for the loader that knows them all. */
#include "minter/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS_MAX  64
#define ERRORS_MAX 4096
#define OLDEST     offsetof(struct sf_minter_options, log_ctx) /* what the first version had */

extern char **environ;

struct flags {
    int count;
    char *list[2 * FLAGS_MAX + 2]; /* the program's name, flags and values */
    bool failed;                   /* no memory, or too many */
};

static void put(struct flags *flags, const char *text)
{
    char *copy = flags->count < 2 * FLAGS_MAX ? strdup(text) : NULL;
    flags->failed = flags->failed || copy == NULL;
    if (copy != NULL)
        flags->list[flags->count++] = copy;
}

static bool is_put(const struct flags *flags, const char *flag)
{
    for (int i = 1; i < flags->count; i += 2)
        if (strcmp(flags->list[i], flag) == 0)
            return true;
    return false;
}

/* Once for each option: what comes first wins. */
static void put_flag(struct flags *flags, const char *name, const char *value)
{
    char flag[128];
    (void)snprintf(flag, sizeof flag, "--%s", name);
    for (char *at = flag + 2; *at != '\0'; at++)
        if (*at == '.' || *at == '_')
            *at = '-';
    if (is_put(flags, flag))
        return;
    put(flags, flag);
    put(flags, value);
}

static void put_text(struct flags *flags, const char *name, const char *value)
{
    if (value != NULL)
        put_flag(flags, name, value);
}

static void put_number(struct flags *flags, const char *name, uint32_t value)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%" PRIu32, value);
    if (value != 0)
        put_flag(flags, name, text);
}

static enum sf_minter_error invalid(char *detail, size_t size, const char *text)
{
    (void)snprintf(detail, size, "%s", text);
    return SF_MINTER_INVALID;
}

/* Options that a program without a server has no use for would be taken for what they are not. */
static bool is_ours(const char *name)
{
    static const char *const groups[] = {"fleet.", "coordinator.", "reservation.", "mint.",
                                         "clock."};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strncmp(name, groups[i], strlen(groups[i])) == 0)
            return true;
    return false;
}

static enum sf_minter_error put_more(struct flags *flags, const char *const *more, char *detail,
                                     size_t size)
{
    for (; more != NULL && *more != NULL; more++) {
        char name[64];
        const char *equals = strchr(*more, '=');
        const size_t length = equals != NULL ? (size_t)(equals - *more) : 0;
        (void)snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), *more);
        if (length == 0 || !is_ours(name)) {
            (void)snprintf(detail, size,
                           "more: \"%.200s\" is not an option; allowed are NAME=VALUE with a name "
                           "of the groups fleet, coordinator, reservation, mint and clock",
                           *more);
            return SF_MINTER_INVALID;
        }
        put_flag(flags, name, equals + 1);
    }
    return SF_MINTER_OK;
}

static void put_fields(struct flags *flags, const struct sf_minter_options *options)
{
    put_text(flags, "fleet.coordinator", options->coordinator);
    put_text(flags, "fleet.name", options->fleet);
    put_text(flags, "fleet.node", options->node);
    put_number(flags, "fleet.datacenter", options->datacenter);
    put_number(flags, "fleet.slots_per_worker", options->slots);
    put_number(flags, "reservation.window_ms", options->window_ms);
    put_number(flags, "mint.max_ahead_ms", options->max_ahead_ms);
    put_number(flags, "mint.max_wait_ms", options->max_wait_ms);
    put_number(flags, "coordinator.session_timeout_ms", options->session_timeout_ms);
    put_text(flags, "clock.sources", options->clock_sources);
    put_text(flags, "reservation.state_dir", options->state_dir);
    /* None, unless the environment names one. */
    if (!options->environment || getenv("SNOWFLEET_RESERVATION_STATE_DIR") == NULL)
        put_text(flags, "reservation.state_dir", "");
}

/* Lines become one sentence. */
static enum sf_minter_error refuse(const struct sf_strbuf *errors, char *detail, size_t size)
{
    if (errors->text == NULL || errors->failed)
        return SF_MINTER_MEMORY;
    (void)snprintf(detail, size, "%s", errors->text);
    char *end = detail + strlen(detail);
    while (end > detail && end[-1] == '\n')
        *--end = '\0';
    for (char *at = detail; *at != '\0'; at++)
        if (*at == '\n')
            *at = ';';
    return SF_MINTER_INVALID;
}

static enum sf_minter_error load(struct flags *flags, bool environment,
                                 struct sf_config **ret_config, char *detail, size_t size)
{
    static char *const nothing[] = {NULL};
    struct sf_strbuf errors;
    enum sf_config_action action;
    if (flags->failed)
        return SF_MINTER_MEMORY;
    sf_strbuf_init(&errors, ERRORS_MAX);
    const int rc = sf_config_load(flags->count, flags->list, environment ? environ : nothing,
                                  ret_config, &action, &errors);
    enum sf_minter_error error = SF_MINTER_OK;
    if (rc != 0)
        error = rc == -ENOMEM ? SF_MINTER_MEMORY : refuse(&errors, detail, size);
    sf_strbuf_free(&errors);
    return error;
}

enum sf_minter_error sf_minter_configure(const struct sf_minter_options *options,
                                         struct sf_config **ret_config, char *detail, size_t size)
{
    struct flags flags = {.count = 0};
    if (options->size < OLDEST || options->size > sizeof *options)
        return invalid(detail, size,
                       "size: the options must be begun with SF_MINTER_OPTIONS of a header that is "
                       "not newer than the library");
    struct sf_minter_options known = {.size = 0};
    memcpy(&known, options, options->size);
    put(&flags, "minter");
    enum sf_minter_error error = put_more(&flags, known.more, detail, size);
    put_fields(&flags, &known);
    const bool named = is_put(&flags, "--fleet-coordinator") ||
                       (known.environment && getenv("SNOWFLEET_FLEET_COORDINATOR") != NULL);
    if (error == SF_MINTER_OK && !named)
        error = invalid(detail, size,
                        "coordinator: none given; example: zk://zk-0:2181,zk-1:2181 or "
                        "local:///var/lib/snowfleet");
    if (error == SF_MINTER_OK)
        error = load(&flags, known.environment, ret_config, detail, size);
    for (int i = 0; i < flags.count; i++)
        free(flags.list[i]);
    return error;
}
