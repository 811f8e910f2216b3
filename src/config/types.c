/* config/types.c - the types of options: text to field, field to JSON. */
#include "config/types.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock_source.h"
#include "base/coordinator.h"
#include "base/log.h"
#include "base/parse.h"

/* Numbers. */

static const char *number_allowed(const struct sf_option *option,
                                  char buffer[SF_OPTION_ALLOWED_MAX])
{
    snprintf(buffer, SF_OPTION_ALLOWED_MAX, "a whole number from %" PRId64 " to %" PRId64,
             option->min, option->max);
    return buffer;
}

static int parse_number(const struct sf_option *option, const char *text, int64_t *ret_value)
{
    return sf_parse_i64(text, option->min, option->max, ret_value) == 0 ? 0 : -EINVAL;
}

static int u32_parse(const struct sf_option *option, const char *text, void *field,
                     struct sf_error *err)
{
    int64_t value = 0;
    const int rc = parse_number(option, text, &value);
    (void)err;
    if (rc == 0)
        *(uint32_t *)field = (uint32_t)value;
    return rc;
}

static int u64_parse(const struct sf_option *option, const char *text, void *field,
                     struct sf_error *err)
{
    int64_t value = 0;
    const int rc = parse_number(option, text, &value);
    (void)err;
    if (rc == 0)
        *(uint64_t *)field = (uint64_t)value;
    return rc;
}

static int i64_parse(const struct sf_option *option, const char *text, void *field,
                     struct sf_error *err)
{
    (void)err;
    return parse_number(option, text, field);
}

static void u32_write(const void *field, struct sf_strbuf *to)
{
    sf_strbuf_addf(to, "%" PRIu32, *(const uint32_t *)field);
}

static void u64_write(const void *field, struct sf_strbuf *to)
{
    sf_strbuf_addf(to, "%" PRIu64, *(const uint64_t *)field);
}

static void i64_write(const void *field, struct sf_strbuf *to)
{
    sf_strbuf_addf(to, "%" PRId64, *(const int64_t *)field);
}

/* A slot's number, or any. */

static int worker_parse(const struct sf_option *option, const char *text, void *field,
                        struct sf_error *err)
{
    if (strcmp(text, "any") != 0)
        return i64_parse(option, text, field, err);
    *(int64_t *)field = -1;
    return 0;
}

static void worker_write(const void *field, struct sf_strbuf *to)
{
    if (*(const int64_t *)field < 0)
        sf_strbuf_addf(to, "\"any\"");
    else
        i64_write(field, to);
}

static const char *worker_allowed(const struct sf_option *option,
                                  char buffer[SF_OPTION_ALLOWED_MAX])
{
    snprintf(buffer, SF_OPTION_ALLOWED_MAX, "any, or a whole number from 0 to %" PRId64,
             option->max);
    return buffer;
}

/* Yes or no. */

static int bool_parse(const struct sf_option *option, const char *text, void *field,
                      struct sf_error *err)
{
    (void)option;
    (void)err;
    return sf_parse_bool(text, field);
}

static void bool_write(const void *field, struct sf_strbuf *to)
{
    sf_strbuf_addf(to, *(const bool *)field ? "true" : "false");
}

static const char *bool_allowed(const struct sf_option *option, char buffer[SF_OPTION_ALLOWED_MAX])
{
    (void)option;
    (void)buffer;
    return "true or false";
}

/* Texts: always one, or a file's name or none. */

static void text_release(void *field)
{
    free(*(char **)field);
    *(char **)field = NULL;
}

static int text_parse(const struct sf_option *option, const char *text, void *field,
                      struct sf_error *err)
{
    (void)err;
    if (option->check != NULL && !option->check(text))
        return -EINVAL;
    char *copy = strdup(text);
    if (copy == NULL)
        return -ENOMEM;
    text_release(field);
    *(char **)field = copy;
    return 0;
}

static void text_write(const void *field, struct sf_strbuf *to)
{
    const char *text = *(char *const *)field;
    if (text != NULL)
        sf_strbuf_add_json(to, text);
    else
        sf_strbuf_addf(to, "null");
}

static const char *text_allowed(const struct sf_option *option, char buffer[SF_OPTION_ALLOWED_MAX])
{
    (void)buffer;
    return option->allowed;
}

static int file_parse(const struct sf_option *option, const char *text, void *field,
                      struct sf_error *err)
{
    if (text[0] != '\0')
        return text_parse(option, text, field, err);
    text_release(field);
    return 0;
}

static const char *file_allowed(const struct sf_option *option, char buffer[SF_OPTION_ALLOWED_MAX])
{
    (void)buffer;
    return option->allowed != NULL ? option->allowed : "the path of a file, or empty for none";
}

/* The coordinator. */

static int coordinator_parse(const struct sf_option *option, const char *text, void *field,
                             struct sf_error *err)
{
    struct sf_coordinator_url ignored;
    const int rc = sf_coordinator_url_parse(text, &ignored, err);
    return rc == 0 ? text_parse(option, text, field, err) : rc;
}

static const char *coordinator_allowed(const struct sf_option *option,
                                       char buffer[SF_OPTION_ALLOWED_MAX])
{
    (void)option;
    (void)buffer;
    return SF_COORDINATOR_URL_FORMS;
}

static void coordinator_show(const char *text, struct sf_strbuf *to)
{
    char shown[SF_COORDINATOR_URL_MAX + 1];
    sf_strbuf_add_json(to, sf_coordinator_url_shown(text, shown));
}

/* Where to listen. */

static int address_parse(const struct sf_option *option, const char *text, void *field,
                         struct sf_error *err)
{
    (void)option;
    (void)err;
    return sf_parse_host_port(text, -1, true, field) == 0 ? 0 : -EINVAL;
}

static void address_write(const void *field, struct sf_strbuf *to)
{
    char text[SF_HOST_PORT_TEXT_MAX];
    sf_strbuf_add_json(to, sf_format_host_port(field, text));
}

static const char *address_allowed(const struct sf_option *option,
                                   char buffer[SF_OPTION_ALLOWED_MAX])
{
    (void)option;
    (void)buffer;
    return "HOST:PORT, [IPV6]:PORT or :PORT with a port from 0 to 65535";
}

/* Time sources. */

static int sources_parse(const struct sf_option *option, const char *text, void *field,
                         struct sf_error *err)
{
    (void)option;
    return sf_clock_specs_parse(text, field, err);
}

static void sources_write(const void *field, struct sf_strbuf *to)
{
    const struct sf_clock_specs *specs = field;
    sf_strbuf_addf(to, "[");
    for (size_t i = 0; i < specs->count; i++) {
        sf_strbuf_addf(to, i > 0 ? ", " : "");
        sf_strbuf_add_json(to, specs->list[i].text);
    }
    sf_strbuf_addf(to, "]");
}

static const char *sources_allowed(const struct sf_option *option,
                                   char buffer[SF_OPTION_ALLOWED_MAX])
{
    char forms[SF_CLOCK_FORMS_MAX];
    (void)option;
    snprintf(buffer, SF_OPTION_ALLOWED_MAX, "a list of 1 to %d different ones of %s",
             SF_CLOCK_SOURCES_MAX, sf_clock_source_forms(forms));
    return buffer;
}

/* The log. */

static int level_parse(const struct sf_option *option, const char *text, void *field,
                       struct sf_error *err)
{
    (void)option;
    (void)err;
    return sf_log_level_parse(text, field);
}

static void level_write(const void *field, struct sf_strbuf *to)
{
    sf_strbuf_add_json(to, sf_log_level_name(*(const enum sf_log_level *)field));
}

static const char *level_allowed(const struct sf_option *option, char buffer[SF_OPTION_ALLOWED_MAX])
{
    (void)option;
    (void)buffer;
    return "debug, info, warn or error";
}

static int format_parse(const struct sf_option *option, const char *text, void *field,
                        struct sf_error *err)
{
    (void)option;
    (void)err;
    return sf_log_format_parse(text, field);
}

static void format_write(const void *field, struct sf_strbuf *to)
{
    sf_strbuf_add_json(to, sf_log_format_name(*(const enum sf_log_format *)field));
}

static const char *format_allowed(const struct sf_option *option,
                                  char buffer[SF_OPTION_ALLOWED_MAX])
{
    (void)option;
    (void)buffer;
    return "text or json";
}

/* What a file may give; read, write, allowed, release, show. */
const struct sf_option_type sf_option_types[SF_OPTION_TYPES] = {
    [SF_OPTION_U32] = {SF_OPTION_JSON_NUMBER, u32_parse, u32_write, number_allowed, NULL, NULL},
    [SF_OPTION_U64] = {SF_OPTION_JSON_NUMBER, u64_parse, u64_write, number_allowed, NULL, NULL},
    [SF_OPTION_I64] = {SF_OPTION_JSON_NUMBER, i64_parse, i64_write, number_allowed, NULL, NULL},
    [SF_OPTION_WORKER] = {SF_OPTION_JSON_NUMBER | SF_OPTION_JSON_STRING, worker_parse, worker_write,
                          worker_allowed, NULL, NULL},
    [SF_OPTION_BOOL] = {SF_OPTION_JSON_BOOL, bool_parse, bool_write, bool_allowed, NULL, NULL},
    [SF_OPTION_TEXT] = {SF_OPTION_JSON_STRING, text_parse, text_write, text_allowed, text_release,
                        NULL},
    [SF_OPTION_FILE] = {SF_OPTION_JSON_STRING | SF_OPTION_JSON_NULL, file_parse, text_write,
                        file_allowed, text_release, NULL},
    [SF_OPTION_COORDINATOR] = {SF_OPTION_JSON_STRING, coordinator_parse, text_write,
                               coordinator_allowed, text_release, coordinator_show},
    [SF_OPTION_ADDRESS] = {SF_OPTION_JSON_STRING, address_parse, address_write, address_allowed,
                           NULL, NULL},
    [SF_OPTION_SOURCES] = {SF_OPTION_JSON_LIST, sources_parse, sources_write, sources_allowed, NULL,
                           NULL},
    [SF_OPTION_LEVEL] = {SF_OPTION_JSON_STRING, level_parse, level_write, level_allowed, NULL,
                         NULL},
    [SF_OPTION_FORMAT] = {SF_OPTION_JSON_STRING, format_parse, format_write, format_allowed, NULL,
                          NULL},
};
