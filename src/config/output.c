/* config/output.c - the table of options and their values, for people and programs. */
#include <string.h>

#include "config/combinations.h"
#include "config/options.h"

static int group_size(const char *name)
{
    return (int)strcspn(name, ".");
}

static bool same_group(const char *a, const char *b)
{
    return group_size(a) == group_size(b) && strncmp(a, b, (size_t)group_size(a)) == 0;
}

void sf_config_json(const struct sf_config *config, struct sf_strbuf *to)
{
    for (unsigned i = 0; i < sf_option_count; i++) {
        const char *name = sf_options[i].name;
        const bool first = i == 0 || !same_group(name, sf_options[i - 1].name);
        if (first)
            sf_strbuf_addf(to, "%s  \"%.*s\": {\n", i == 0 ? "{\n" : "\n  },\n", group_size(name),
                           name);
        sf_strbuf_addf(to, "%s    \"%s\": ", first ? "" : ",\n", name + group_size(name) + 1);
        sf_options[i].type->write(sf_option_field_const(&sf_options[i], config), to);
    }
    sf_strbuf_addf(to, "\n  }\n}\n");
}

/* Words for --help and for the page: without the marks of Markdown. */
static void put_plain(FILE *to, const char *text)
{
    for (; *text != '\0'; text++)
        if (*text != '`')
            fputc(*text, to);
}

void sf_config_help(FILE *to)
{
    fputs("Usage: snowfleetd [--config FILE] [--OPTION VALUE]...\n"
          "\n"
          "Runs a worker that mints unique, time-ordered 64-bit IDs, in the foreground.\n"
          "\n"
          "  --config FILE     read options from a JSON file (also SNOWFLEET_CONFIG)\n"
          "  --check-config    validate, print the effective options as JSON, exit\n"
          "  --help            print this and exit\n"
          "  --version         print the version and exit\n"
          "\n"
          "Each option can be set by a flag, by an environment variable (--listen-address is\n"
          "SNOWFLEET_LISTEN_ADDRESS) and in the file ({\"listen\": {\"address\": ...}}); the first "
          "of\n"
          "these wins. Signals: SIGTERM or SIGINT drains and stops, a second one stops at once; "
          "SIGHUP\n"
          "reads log level, limits, TLS files and tokens again.\n",
          to);
    for (unsigned i = 0; i < sf_option_count; i++) {
        const struct sf_option *option = &sf_options[i];
        char flag[SF_OPTION_NAME_MAX], allowed[SF_OPTION_ALLOWED_MAX];
        if (i == 0 || !same_group(option->name, sf_options[i - 1].name))
            fputc('\n', to);
        fprintf(to, "  --%s", option->flag != NULL ? option->flag : sf_option_flag(option, flag));
        fprintf(to, "\n      %s\n      %s", option->help, option->type->allowed(option, allowed));
        if (option->fallback != NULL && option->fallback[0] == '\0') {
            fputs("; default: none\n", to);
        } else {
            fputs("; default: ", to);
            put_plain(to, option->fallback != NULL ? option->fallback : option->fallback_help);
            fputc('\n', to);
        }
    }
    fputs(
        "\nExit codes: 0 clean stop, slot released; 64 usage; 69 coordinator not reachable within\n"
        "--start-timeout; 70 an internal invariant broke; 75 the slot could not be released;\n"
        "78 bad configuration, or the fleet's config does not fit.\n",
        to);
}

static void put_cell(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void markdown_row(FILE *to, const struct sf_option *option)
{
    char allowed[SF_OPTION_ALLOWED_MAX];
    fprintf(to, "| %s | ", option->name);
    if (option->fallback == NULL)
        put_cell(to, option->fallback_help);
    else if (option->fallback[0] == '\0')
        fputs("none", to);
    else
        fprintf(to, "`%s`", option->fallback);
    fputs(" | ", to);
    put_cell(to, option->type->allowed(option, allowed));
    fputs(" | ", to);
    put_cell(to, option->help);
    if (option->reloaded)
        fputs(" Read again at SIGHUP.", to);
    if (option->flag != NULL)
        fprintf(to, " Also `--%s`.", option->flag);
    fputs(" |\n", to);
}

void sf_config_markdown(FILE *to)
{
    fputs(
        "# Configuration of snowfleetd\n"
        "\n"
        "This page is generated from the table in `src/config/table.h`; a test compares the two\n"
        "(`SF_REGENERATE=1 build/dev/tests/test_config_docs` writes it anew).\n"
        "\n"
        "An option has one name everywhere. `listen.address` is written\n"
        "\n"
        "- in the file as `{\"listen\": {\"address\": \"...\"}}` (strict JSON, at most 1 MiB; the "
        "file is\n"
        "  named by `--config FILE` or `SNOWFLEET_CONFIG`),\n"
        "- in the environment as `SNOWFLEET_LISTEN_ADDRESS`,\n"
        "- as a flag `--listen-address VALUE` or `--listen-address=VALUE`.\n"
        "\n"
        "A flag wins over the environment, the environment over the file, the file over the "
        "default.\n"
        "Unknown names, bad values and impossible combinations are all reported at once, each with "
        "its\n"
        "name, its value, where it came from and what is allowed. The program then exits with 78, "
        "or\n"
        "with 64 when a flag was not understood. `snowfleetd --check-config` prints the options as "
        "they\n"
        "take effect, as JSON that is itself a valid file. Variables that Kubernetes makes for a\n"
        "Service named snowfleet are passed over.\n",
        to);
    for (unsigned i = 0; i < sf_option_count; i++) {
        const char *name = sf_options[i].name;
        if (i == 0 || !same_group(name, sf_options[i - 1].name))
            fprintf(to,
                    "\n## %.*s\n\n| option | default | must be | meaning |\n"
                    "| --- | --- | --- | --- |\n",
                    group_size(name), name);
        markdown_row(to, &sf_options[i]);
    }
    fputs("\n## Combinations that are refused\n\n", to);
    for (unsigned i = 0; i < sf_config_combination_count; i++)
        fprintf(to, "- `%s` and `%s`: %s\n", sf_config_combinations[i].first,
                sf_config_combinations[i].second, sf_config_combinations[i].why);
}
