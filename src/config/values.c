/* Values of options: text to field, field to JSON. */
#include "config/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *field(const struct sf_option *option, struct sf_config *config)
{
    return (char *)config + option->offset;
}

static const void *field_const(const struct sf_option *option, const struct sf_config *config)
{
    return (const char *)config + option->offset;
}

const char *sf_option_allowed(const struct sf_option *option, char *buffer, size_t size)
{
    char forms[SF_CLOCK_FORMS_MAX];
    switch (option->type) {
    case SF_OPTION_U32:
    case SF_OPTION_U64:
    case SF_OPTION_I64:
        snprintf(buffer, size, "a whole number from %" PRId64 " to %" PRId64, option->min,
                 option->max);
        return buffer;
    case SF_OPTION_WORKER:
        snprintf(buffer, size, "any, or a whole number from 0 to %" PRId64, option->max);
        return buffer;
    case SF_OPTION_BOOL:
        return "true or false";
    case SF_OPTION_TEXT:
        return option->allowed;
    case SF_OPTION_FILE:
        return option->allowed ? option->allowed : "the path of a file, or empty for none";
    case SF_OPTION_ADDRESS:
        return "HOST:PORT, [IPV6]:PORT or :PORT with a port from 0 to 65535";
    case SF_OPTION_SOURCES:
        snprintf(buffer, size, "a list of 1 to %d different ones of %s", SF_CLOCK_SOURCES_MAX,
                 sf_clock_source_forms(forms));
        return buffer;
    case SF_OPTION_LEVEL:
        return "debug, info, warn or error";
    case SF_OPTION_FORMAT:
        return "text or json";
    }
    return "";
}

/* Puts a copy of text where a string was. */
static int replace(char **where, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*where);
    *where = copy;
    return 0;
}

static int set_number(const struct sf_option *option, const char *text, struct sf_config *config)
{
    int64_t value = -1;
    if (option->type != SF_OPTION_WORKER || strcmp(text, "any") != 0)
        if (sf_parse_i64(text, option->min, option->max, &value) != 0)
            return -EINVAL;
    void *to = field(option, config);
    if (option->type == SF_OPTION_U32)
        *(uint32_t *)to = (uint32_t)value;
    else if (option->type == SF_OPTION_U64)
        *(uint64_t *)to = (uint64_t)value;
    else
        *(int64_t *)to = value;
    return 0;
}

int sf_option_set(const struct sf_option *option, const char *text, struct sf_config *config,
                  struct sf_error *err)
{
    void *to = field(option, config);
    struct sf_host_port parsed;
    int rc;
    switch (option->type) {
    case SF_OPTION_U32:
    case SF_OPTION_U64:
    case SF_OPTION_I64:
    case SF_OPTION_WORKER:
        return set_number(option, text, config);
    case SF_OPTION_BOOL:
        return sf_parse_bool(text, to);
    case SF_OPTION_TEXT:
        return option->check(text) ? replace(to, text) : -EINVAL;
    case SF_OPTION_FILE:
        if (option->check && !option->check(text))
            return -EINVAL;
        if (*text)
            return replace(to, text);
        free(*(char **)to);
        *(char **)to = NULL;
        return 0;
    case SF_OPTION_ADDRESS:
        if (sf_parse_host_port(text, -1, true, &parsed) != 0)
            return -EINVAL;
        rc = replace(to, text);
        if (rc == 0)
            memcpy((char *)config + option->offset_parsed, &parsed, sizeof parsed);
        return rc;
    case SF_OPTION_SOURCES:
        return sf_clock_specs_parse(text, to, err);
    case SF_OPTION_LEVEL:
        return sf_log_level_parse(text, to);
    case SF_OPTION_FORMAT:
        return sf_log_format_parse(text, to);
    }
    return -EINVAL;
}

static void text_or_null(const char *text, struct sf_strbuf *to)
{
    if (text)
        sf_strbuf_add_json(to, text);
    else
        sf_strbuf_addf(to, "null");
}

void sf_option_json(const struct sf_option *option, const struct sf_config *config,
                    struct sf_strbuf *to)
{
    const void *from = field_const(option, config);
    int64_t worker;
    switch (option->type) {
    case SF_OPTION_U32:
        sf_strbuf_addf(to, "%" PRIu32, *(const uint32_t *)from);
        break;
    case SF_OPTION_U64:
        sf_strbuf_addf(to, "%" PRIu64, *(const uint64_t *)from);
        break;
    case SF_OPTION_I64:
        sf_strbuf_addf(to, "%" PRId64, *(const int64_t *)from);
        break;
    case SF_OPTION_WORKER:
        worker = *(const int64_t *)from;
        if (worker < 0)
            sf_strbuf_addf(to, "\"any\"");
        else
            sf_strbuf_addf(to, "%" PRId64, worker);
        break;
    case SF_OPTION_BOOL:
        sf_strbuf_addf(to, *(const bool *)from ? "true" : "false");
        break;
    case SF_OPTION_TEXT:
    case SF_OPTION_FILE:
    case SF_OPTION_ADDRESS:
        text_or_null(*(char *const *)from, to);
        break;
    case SF_OPTION_SOURCES:
        sf_strbuf_addf(to, "[");
        for (size_t i = 0; i < config->clock_sources.count; i++) {
            sf_strbuf_addf(to, i > 0 ? ", " : "");
            sf_strbuf_add_json(to, config->clock_sources.list[i].text);
        }
        sf_strbuf_addf(to, "]");
        break;
    case SF_OPTION_LEVEL:
        sf_strbuf_add_json(to, sf_log_level_name(*(const enum sf_log_level *)from));
        break;
    case SF_OPTION_FORMAT:
        sf_strbuf_add_json(to, sf_log_format_name(*(const enum sf_log_format *)from));
        break;
    }
}

void sf_config_free(struct sf_config *config)
{
    if (!config)
        return;
    for (unsigned i = 0; i < sf_option_count; i++) {
        enum sf_option_type type = sf_options[i].type;
        if (type == SF_OPTION_TEXT || type == SF_OPTION_FILE || type == SF_OPTION_ADDRESS)
            free(*(char **)field(&sf_options[i], config));
    }
    free(config);
}
