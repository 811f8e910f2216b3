/* cli/args.c - options of all subcommands, from their tables: parsing and --help. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/cli.h"

static void help(const struct sf_cli_usage *usage)
{
    (void)printf("usage: %s\n\n%s\noptions:\n", usage->line, usage->text);
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct sf_cli_option *option = &usage->options[i];
        char left[64];
        (void)snprintf(left, sizeof left, "%s%c%s--%s%s%s", option->letter ? "-" : "  ",
                       option->letter ? option->letter : ' ', option->letter ? ", " : " ",
                       option->name, option->value != NULL ? " " : "",
                       option->value != NULL ? option->value : "");
        (void)printf("  %-30s %s\n", left, option->help);
    }
    (void)printf("  %-30s %s\n", "    --help", "this text");
}

static int add_item(struct sf_cli_list *list, const char *text)
{
    while (*text != '\0') {
        const size_t size = strcspn(text, ",");
        if (size > 0) {
            if (list->count == SF_CLI_LIST_MAX)
                return -1;
            list->items[list->count] = strndup(text, size);
            if (list->items[list->count++] == NULL)
                abort();
        }
        text += size;
        text += *text != '\0';
    }
    return 0;
}

static int set(const struct sf_cli_option *option, const char *text)
{
    const uint64_t max = option->max > 0 ? option->max : UINT64_MAX;
    switch (option->kind) {
    case SF_CLI_FLAG:
        *(bool *)option->to = true;
        return 0;
    case SF_CLI_TEXT:
        *(const char **)option->to = text;
        return 0;
    case SF_CLI_LIST:
        if (add_item(option->to, text) != 0)
            return sf_cli_fail(SF_CLI_USAGE, "--%s: more than %d of them", option->name,
                               SF_CLI_LIST_MAX);
        return 0;
    case SF_CLI_NUMBER:
        if (sf_parse_u64(text, option->min, max, option->to) != 0)
            return sf_cli_fail(SF_CLI_USAGE,
                               "--%s: \"%s\" is not allowed; a number from %" PRIu64 " to %" PRIu64
                               " is",
                               option->name, text, option->min, max);
        return 0;
    case SF_CLI_SIGNED:
        if (sf_parse_i64(text, INT64_MIN + 1, INT64_MAX, option->to) != 0)
            return sf_cli_fail(SF_CLI_USAGE, "--%s: \"%s\" is not a whole number", option->name,
                               text);
        return 0;
    case SF_CLI_LAYOUT:
        if (sf_cli_layout_parse(text, option->to) != 0)
            return sf_cli_fail(
                SF_CLI_USAGE,
                "--%s: \"%s\" is not a layout; allowed are four widths that add up to 63, like "
                "41,5,5,12 (timestamp, datacenter, worker, sequence), and " SF_CLI_PRESETS,
                option->name, text);
        return 0;
    case SF_CLI_ID: {
        struct sf_cli_given_id *id = option->to;
        if (sf_parse_id(text, &id->value) != 0 || id->value >> 63 != 0)
            return sf_cli_fail(SF_CLI_USAGE,
                               "--%s: \"%s\" is not an ID (decimal, or hexadecimal behind 0x)",
                               option->name, text);
        id->given = true;
        return 0;
    }
    }
    return SF_CLI_BUG;
}

static const struct sf_cli_option *find(const struct sf_cli_usage *usage, const char *name,
                                        size_t size, char letter)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct sf_cli_option *option = &usage->options[i];
        if (letter != 0 ? option->letter == letter
                        : strlen(option->name) == size && memcmp(option->name, name, size) == 0)
            return option;
    }
    return NULL;
}

/* --name VALUE, --name=VALUE, -n VALUE, -nVALUE. Returns words eaten, or -1 after saying what is
 * wrong. */
static int take_option(const struct sf_cli_usage *usage, int left, char **argv)
{
    const char *word = argv[0];
    const bool is_long = word[1] == '-';
    const char *name = word + 1 + is_long;
    const size_t size = is_long ? strcspn(name, "=") : 1;
    const struct sf_cli_option *option = find(usage, name, size, is_long ? 0 : word[1]);
    if (option == NULL) {
        (void)sf_cli_fail(0, "unknown option %s; --help lists them", word);
        return -1;
    }
    const char *value = NULL;
    int eaten = 1;
    if (is_long && name[size] == '=')
        value = name + size + 1;
    else if (!is_long && name[1] != '\0')
        value = name + 1;
    if (option->kind == SF_CLI_FLAG && value != NULL) {
        (void)sf_cli_fail(0, "--%s takes no value", option->name);
        return -1;
    }
    if (option->kind != SF_CLI_FLAG && value == NULL) {
        if (left < 2) {
            (void)sf_cli_fail(0, "--%s needs a value: %s", option->name, option->value);
            return -1;
        }
        value = argv[1];
        eaten = 2;
    }
    return set(option, value) == 0 ? eaten : -1;
}

int sf_cli_parse(const struct sf_cli_usage *usage, int argc, char **argv, size_t *ret_words)
{
    size_t words = 0;
    bool only_words = false;
    for (int i = 1; i < argc;) {
        char *word = argv[i];
        if (!only_words && strcmp(word, "--help") == 0) {
            help(usage);
            return sf_cli_end();
        }
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            i++;
        } else if (!only_words && word[0] == '-' && word[1] != '\0') {
            const int eaten = take_option(usage, argc - i, argv + i);
            if (eaten < 0)
                return SF_CLI_USAGE;
            i += eaten;
        } else {
            if (words == usage->max_words)
                return sf_cli_fail(SF_CLI_USAGE, "\"%s\" is not understood; usage: %s", word,
                                   usage->line);
            argv[words++] = word;
            i++;
        }
    }
    if (ret_words != NULL)
        *ret_words = words;
    return -1;
}

void sf_cli_list_free(struct sf_cli_list *list)
{
    while (list->count > 0)
        free(list->items[--list->count]);
}

char *sf_cli_list_join(const struct sf_cli_list *list, const char *fallback)
{
    struct sf_strbuf text;
    sf_strbuf_init(&text, SIZE_MAX / 2);
    if (list->count == 0)
        sf_strbuf_addf(&text, "%s", fallback);
    for (size_t i = 0; i < list->count; i++)
        sf_strbuf_addf(&text, "%s%s", i > 0 ? "," : "", list->items[i]);
    if (text.failed)
        abort();
    return text.text;
}
