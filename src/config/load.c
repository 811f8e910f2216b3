/* From flags, environment and file to one checked configuration. Every error is found in one pass.
 */
#include "config/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE_PREFIX "SNOWFLEET_"

void sf_config_complain(struct sf_config_loader *loader, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* The JSON library quotes what it stumbled over as it is, and a file's name may hold anything.
     */
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            *at = '?';
    loader->bad = true;
    sf_strbuf_addf(loader->errors, "%s\n", line);
}

void sf_config_refuse(struct sf_config_loader *loader, int option, enum sf_option_source source,
                      const char *text, const char *must_be)
{
    const struct sf_option *o = &sf_options[option];
    char name[SF_OPTION_NAME_MAX];
    struct sf_strbuf value;
    sf_strbuf_init(&value, 160);
    sf_strbuf_add_json(&value, text);
    const char *shown = value.text ? value.text : "";
    if (source == SF_FROM_FLAG)
        sf_config_complain(loader, "%s: %s (flag --%s) must be %s", o->name, shown,
                           sf_option_flag(o, name), must_be);
    else if (source == SF_FROM_VARIABLE)
        sf_config_complain(loader, "%s: %s (environment %s) must be %s", o->name, shown,
                           sf_option_variable(o, name), must_be);
    else if (source == SF_FROM_FILE)
        sf_config_complain(loader, "%s: %s (file %s) must be %s", o->name, shown, loader->file,
                           must_be);
    else
        sf_config_complain(loader, "%s: %s (the default on this machine) must be %s", o->name,
                           shown, must_be);
    sf_strbuf_free(&value);
    loader->refused[option] = true;
}

void sf_config_take(struct sf_config_loader *loader, int option, enum sf_option_source source,
                    const char *text)
{
    struct sf_error why = {0};
    const int rc = sf_option_set(&sf_options[option], text, loader->config, &why);
    if (rc == -ENOMEM) {
        sf_config_complain(loader, "%s: out of memory", sf_options[option].name);
    } else if (rc < 0) {
        char allowed[SF_OPTION_ALLOWED_MAX], must_be[SF_OPTION_ALLOWED_MAX + SF_ERROR_TEXT_MAX];
        snprintf(must_be, sizeof must_be, "%s%s%s",
                 sf_option_allowed(&sf_options[option], allowed, sizeof allowed),
                 why.text[0] != '\0' ? "; " : "", why.text);
        sf_config_refuse(loader, option, source, text, must_be);
    } else {
        loader->source[option] = source;
    }
}

/* How many single-character edits turn a into b (Levenshtein), for short names. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[SF_OPTION_NAME_MAX + 1];
    size_t size = strlen(b);
    if (size > SF_OPTION_NAME_MAX)
        return SF_OPTION_NAME_MAX;
    for (size_t j = 0; j <= size; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < size; j++) {
            unsigned change = diagonal + (a[i] != b[j]);
            unsigned insert = row[j] + 1, drop = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < insert ? change : insert;
            row[j + 1] = row[j + 1] < drop ? row[j + 1] : drop;
        }
    }
    return row[size];
}

const char *sf_config_suggest(const char *name, enum sf_option_source style, char *buffer)
{
    unsigned best = 4; /* further away is no likely slip */
    buffer[0] = '\0';
    if (strlen(name) > SF_OPTION_NAME_MAX)
        return buffer;
    for (unsigned i = 0; i < sf_option_count; i++) {
        char spelt[SF_OPTION_NAME_MAX];
        const char *candidate = sf_options[i].name;
        if (style == SF_FROM_VARIABLE)
            candidate = sf_option_variable(&sf_options[i], spelt);
        else if (style == SF_FROM_FLAG)
            candidate = sf_option_flag(&sf_options[i], spelt);
        unsigned edits = distance(name, candidate);
        if (edits < best) {
            best = edits;
            snprintf(buffer, 2 * (size_t)SF_OPTION_NAME_MAX, "; did you mean %s%s?",
                     style == SF_FROM_FLAG ? "--" : "", candidate);
        }
    }
    return buffer;
}

const char *sf_config_variable(char *const environment[], const char *name)
{
    size_t size = strlen(name);
    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}

/* Kubernetes puts SNOWFLEET_SERVICE_HOST, SNOWFLEET_PORT_7450_TCP_ADDR and the like into the pods
 * of a namespace that has a Service named snowfleet (or snowfleet-...). They are none of ours and
 * no slip of the user's. */
static bool is_service_link(const struct sf_config_loader *loader, const char *variable)
{
    if (!sf_config_variable(loader->environment, "KUBERNETES_SERVICE_HOST"))
        return false;
    size_t size = strlen(variable);
    return strstr(variable, "_SERVICE_HOST") || strstr(variable, "_SERVICE_PORT") ||
           (strstr(variable, "_PORT_") &&
            (strstr(variable, "_TCP") || strstr(variable, "_UDP") || strstr(variable, "_SCTP"))) ||
           (size > 5 && strcmp(variable + size - 5, "_PORT") == 0);
}

static void take_environment(struct sf_config_loader *loader)
{
    for (char *const *at = loader->environment; at && *at; at++) {
        if (strncmp(*at, VARIABLE_PREFIX, sizeof VARIABLE_PREFIX - 1) != 0)
            continue;
        const char *equals = strchr(*at, '=');
        char variable[4 * SF_OPTION_NAME_MAX];
        size_t size = equals ? (size_t)(equals - *at) : strlen(*at);
        if (size >= sizeof variable)
            size = sizeof variable - 1;
        memcpy(variable, *at, size);
        variable[size] = '\0';
        int option = sf_option_by_variable(variable);
        if (option >= 0 && equals) {
            sf_config_take(loader, option, SF_FROM_VARIABLE, equals + 1);
        } else if (strcmp(variable, "SNOWFLEET_CONFIG") != 0 &&
                   !is_service_link(loader, variable)) {
            char suggestion[2 * SF_OPTION_NAME_MAX];
            sf_config_complain(loader, "%s (environment) is no option%s", variable,
                               sf_config_suggest(variable, SF_FROM_VARIABLE, suggestion));
        }
    }
}

static void usage(struct sf_config_loader *loader, const char *what, const char *argument,
                  const char *suggestion)
{
    struct sf_strbuf shown;
    sf_strbuf_init(&shown, 200);
    sf_strbuf_add_json(&shown, argument);
    sf_config_complain(loader, "%s %s%s", shown.text ? shown.text : "", what, suggestion);
    loader->usage = true;
    sf_strbuf_free(&shown);
}

/* A flag, split: "--name", "--name value" or "--name=value". */
struct flag {
    char name[2 * SF_OPTION_NAME_MAX]; /* without the dashes */
    const char *value;                 /* NULL: none */
    bool attached;                     /* the value was behind '=' */
};

/* Splits the argument at *index and moves *index to the last argument that was used. False: no
 * flag. */
static bool next_flag(int argc, char *const argv[], int *index, struct flag *ret)
{
    const char *argument = argv[*index];
    if (strncmp(argument, "--", 2) != 0)
        return false;
    size_t size = strcspn(argument + 2, "=");
    if (size == 0 || size >= sizeof ret->name)
        return false;
    memcpy(ret->name, argument + 2, size);
    ret->name[size] = '\0';
    ret->attached = argument[2 + size] == '=';
    ret->value = ret->attached ? argument + 2 + size + 1 : NULL;
    bool bare = strcmp(ret->name, "help") == 0 || strcmp(ret->name, "version") == 0 ||
                strcmp(ret->name, "check-config") == 0 || strcmp(ret->name, "no-seccomp") == 0;
    bool known = strcmp(ret->name, "config") == 0 || sf_option_by_flag(ret->name) >= 0;
    /* What follows an unknown flag is likely meant for it, and no second error. */
    if (!ret->attached && !bare && *index + 1 < argc && (known || argv[*index + 1][0] != '-'))
        ret->value = argv[++*index];
    return true;
}

static bool take_action(const struct flag *flag, enum sf_config_action *action)
{
    static const struct {
        const char *name;
        enum sf_config_action action;
    } actions[] = {{"help", SF_CONFIG_HELP},
                   {"version", SF_CONFIG_VERSION},
                   {"check-config", SF_CONFIG_CHECK}};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(flag->name, actions[i].name) == 0 && !flag->attached) {
            /* --help wins over --version, and both over --check-config: the less work, the
             * stronger. */
            if (actions[i].action != SF_CONFIG_CHECK ? *action != SF_CONFIG_HELP
                                                     : *action == SF_CONFIG_RUN)
                *action = actions[i].action;
            return true;
        }
    }
    return false;
}

/* First pass: what to do, and which file. */
static void scan_flags(struct sf_config_loader *loader, int argc, char *const argv[],
                       enum sf_config_action *action)
{
    loader->file = sf_config_variable(loader->environment, "SNOWFLEET_CONFIG");
    bool given = false;
    for (int i = 1; i < argc; i++) {
        struct flag flag;
        if (!next_flag(argc, argv, &i, &flag) || take_action(&flag, action))
            continue;
        if (strcmp(flag.name, "config") == 0 && flag.value) {
            if (given)
                usage(loader, "is given twice", "--config", "");
            given = true;
            loader->file = flag.value;
        }
    }
    if (loader->file && loader->file[0] == '\0')
        loader->file = NULL;
}

/* Second pass: the values, over those of file and environment. */
static void take_flags(struct sf_config_loader *loader, int argc, char *const argv[])
{
    bool given[SF_OPTIONS_MAX] = {false};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        struct flag flag;
        enum sf_config_action ignored = SF_CONFIG_RUN;
        char suggestion[2 * SF_OPTION_NAME_MAX];
        if (!next_flag(argc, argv, &i, &flag)) {
            usage(loader, "is not understood: options are --NAME VALUE (see --help)", argument, "");
            continue;
        }
        if (take_action(&flag, &ignored))
            continue;
        if (strcmp(flag.name, "no-seccomp") == 0 && !flag.attached) {
            snprintf(flag.name, sizeof flag.name, "security-seccomp");
            flag.value = "false";
        }
        int option = sf_option_by_flag(flag.name);
        if (option < 0 && strcmp(flag.name, "config") != 0) {
            usage(loader, "is no option", argument,
                  sf_config_suggest(flag.name, SF_FROM_FLAG, suggestion));
        } else if (!flag.value) {
            usage(loader, "needs a value", argument, "");
        } else if (option >= 0) {
            if (given[option])
                usage(loader, "is given twice", argument, "");
            given[option] = true;
            sf_config_take(loader, option, SF_FROM_FLAG, flag.value);
        }
    }
}

int sf_config_load(int argc, char *const argv[], char *const environment[],
                   struct sf_config **ret_config, enum sf_config_action *ret_action,
                   struct sf_strbuf *errors)
{
    struct sf_config_loader loader = {.errors = errors, .environment = environment};
    enum sf_config_action action = SF_CONFIG_RUN;
    scan_flags(&loader, argc, argv, &action);
    if (action == SF_CONFIG_HELP || action == SF_CONFIG_VERSION) {
        *ret_config = NULL;
        *ret_action = action;
        return 0;
    }
    loader.config = calloc(1, sizeof *loader.config);
    if (!loader.config) {
        sf_config_complain(&loader, "config: out of memory");
        return -ENOMEM;
    }
    if (loader.file)
        sf_config_read_file(&loader);
    take_environment(&loader);
    take_flags(&loader, argc, argv);
    sf_config_fill_defaults(&loader);
    sf_config_check_combinations(&loader);
    if (loader.bad) {
        sf_config_free(loader.config);
        return loader.usage ? -EDOM : -EINVAL;
    }
    *ret_config = loader.config;
    *ret_action = action;
    return 0;
}
