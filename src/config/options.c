/* config/options.c - the table of options as data, and the rules of its texts. */
#include "config/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <snowfleet/id.h>

#include "base/coordinator.h"
#include "base/parse.h"
#include "base/random.h"
#include "config/types.h"

static bool is_node(const char *text)
{
    const size_t size = strlen(text);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at > '~')
            return false;
    return size >= 1 && size <= 127;
}

static bool is_host_list(const char *text)
{
    static const char characters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_*,";
    return strlen(text) < 4000 && text[strspn(text, characters)] == '\0';
}

static bool is_directory_or_empty(const char *text)
{
    return (text[0] == '\0' || text[0] == '/') && strlen(text) < 4000;
}

static bool is_listen_address(const char *text)
{
    struct sf_host_port parsed;
    return sf_parse_host_port(text, -1, true, &parsed) == 0;
}

static bool is_reachable_address(const char *text)
{
    struct sf_host_port parsed;
    return sf_parse_host_port(text, -1, false, &parsed) == 0;
}

static bool is_user_name(const char *text)
{
    return strlen(text) < 256 && strchr(text, ':') == NULL && strchr(text, '\n') == NULL;
}

static bool is_mode(const char *text)
{
    const size_t size = strlen(text);
    const bool octal = text[strspn(text, "01234567")] == '\0';
    return octal && (size == 3 || (size == 4 && text[0] == '0'));
}

static bool is_account(const char *text)
{
    return strlen(text) < 128 && strpbrk(text, " \t\n:/") == NULL;
}

static bool is_epoch(const char *text)
{
    int64_t ignored;
    return sf_parse_i64(text, INT64_MIN / 2, INT64_MAX / 2, &ignored) == 0;
}

static bool is_layout(const char *text)
{
    struct sf_layout ignored;
    return sf_layout_parse(text, &ignored) == 0;
}

const struct sf_option sf_options[] = {
#define ROW(type_, group, key, ...)                                                                \
    {.name = #group "." #key,                                                                      \
     .type = &sf_option_types[SF_OPTION_##type_],                                                  \
     .offset = offsetof(struct sf_config, group##_##key),                                          \
     __VA_ARGS__},
    SF_OPTION_TABLE(ROW)
#undef ROW
};

const unsigned sf_option_count = sizeof sf_options / sizeof *sf_options;

_Static_assert(sizeof sf_options / sizeof *sf_options <= SF_OPTIONS_MAX, "raise SF_OPTIONS_MAX");

const char *sf_option_variable(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX])
{
    snprintf(buffer, SF_OPTION_NAME_MAX, "SNOWFLEET_%s", option->name);
    for (char *at = buffer; *at != '\0'; at++) {
        if (*at == '.')
            *at = '_';
        else if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    }
    return buffer;
}

const char *sf_option_flag(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX])
{
    snprintf(buffer, SF_OPTION_NAME_MAX, "%s", option->name);
    for (char *at = buffer; *at != '\0'; at++)
        if (*at == '.' || *at == '_')
            *at = '-';
    return buffer;
}

int sf_option_by_name(const char *name)
{
    for (unsigned i = 0; i < sf_option_count; i++)
        if (strcmp(sf_options[i].name, name) == 0)
            return (int)i;
    return -1;
}

int sf_option_by_variable(const char *variable)
{
    char buffer[SF_OPTION_NAME_MAX];
    for (unsigned i = 0; i < sf_option_count; i++)
        if (strcmp(sf_option_variable(&sf_options[i], buffer), variable) == 0)
            return (int)i;
    return -1;
}

int sf_option_by_flag(const char *flag)
{
    char buffer[SF_OPTION_NAME_MAX];
    for (unsigned i = 0; i < sf_option_count; i++)
        if (strcmp(sf_option_flag(&sf_options[i], buffer), flag) == 0 ||
            (sf_options[i].flag != NULL && strcmp(sf_options[i].flag, flag) == 0))
            return (int)i;
    return -1;
}

void *sf_option_field(const struct sf_option *option, struct sf_config *config)
{
    return (char *)config + option->offset;
}

const void *sf_option_field_const(const struct sf_option *option, const struct sf_config *config)
{
    return (const char *)config + option->offset;
}

void sf_config_free(struct sf_config *config)
{
    if (config == NULL)
        return;
    for (unsigned i = 0; i < sf_option_count; i++)
        if (sf_options[i].type->release != NULL)
            sf_options[i].type->release(sf_option_field(&sf_options[i], config));
    free(config);
}
