/* config/load.c - from flags, environment and file to one checked configuration. Every error is
 * found in one pass. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/combinations.h"
#include "config/defaults.h"
#include "config/file.h"
#include "config/loader.h"

#define VARIABLE_PREFIX "SNOWFLEET_"

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* Kubernetes puts SNOWFLEET_SERVICE_HOST, SNOWFLEET_PORT_7450_TCP_ADDR and the like into the pods
 * of a namespace that has a Service named snowfleet (or snowfleet-...). They are none of ours and
 * no slip of the user's. */
static bool is_service_link(const struct sf_config_loader *loader, const char *variable)
{
    if (sf_config_variable(loader->environment, "KUBERNETES_SERVICE_HOST") == NULL)
        return false;
    const size_t size = strlen(variable);
    return has(variable, "_SERVICE_HOST") || has(variable, "_SERVICE_PORT") ||
           (has(variable, "_PORT_") &&
            (has(variable, "_TCP") || has(variable, "_UDP") || has(variable, "_SCTP"))) ||
           (size > 5 && strcmp(variable + size - 5, "_PORT") == 0);
}

static void take_environment(struct sf_config_loader *loader)
{
    for (char *const *at = loader->environment; at != NULL && *at != NULL; at++) {
        if (strncmp(*at, VARIABLE_PREFIX, sizeof VARIABLE_PREFIX - 1) != 0)
            continue;
        const char *equals = strchr(*at, '=');
        char variable[4 * SF_OPTION_NAME_MAX];
        size_t size = equals != NULL ? (size_t)(equals - *at) : strlen(*at);
        if (size >= sizeof variable)
            size = sizeof variable - 1;
        memcpy(variable, *at, size);
        variable[size] = '\0';
        const int option = sf_option_by_variable(variable);
        if (option >= 0 && equals != NULL) {
            sf_config_take(loader, option, SF_FROM_VARIABLE, equals + 1);
        } else if (strcmp(variable, "SNOWFLEET_CONFIG") != 0 &&
                   !is_service_link(loader, variable)) {
            char suggestion[SF_CONFIG_SUGGESTION_MAX];
            sf_config_complain(loader, "%s (environment) is no option%s", variable,
                               strcmp(variable, "SNOWFLEET_COORDINATOR") == 0
                                   ? ": it is the tool's; a worker's is SNOWFLEET_FLEET_COORDINATOR"
                                   : sf_config_suggest(variable, SF_FROM_VARIABLE, suggestion));
        }
    }
}

static void usage(struct sf_config_loader *loader, const char *what, const char *argument,
                  const char *suggestion)
{
    struct sf_strbuf shown;
    sf_strbuf_init(&shown, 200);
    sf_strbuf_add_json(&shown, argument);
    sf_config_complain(loader, "%s %s%s", shown.text != NULL ? shown.text : "", what, suggestion);
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
    const size_t size = strcspn(argument + 2, "=");
    if (size == 0 || size >= sizeof ret->name)
        return false;
    memcpy(ret->name, argument + 2, size);
    ret->name[size] = '\0';
    ret->attached = argument[2 + size] == '=';
    ret->value = ret->attached ? argument + 2 + size + 1 : NULL;
    const bool bare = strcmp(ret->name, "help") == 0 || strcmp(ret->name, "version") == 0 ||
                      strcmp(ret->name, "check-config") == 0 ||
                      strcmp(ret->name, "no-seccomp") == 0;
    const bool known = strcmp(ret->name, "config") == 0 || sf_option_by_flag(ret->name) >= 0;
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
        if (strcmp(flag.name, "config") == 0 && flag.value != NULL) {
            if (given)
                usage(loader, "is given twice", "--config", "");
            given = true;
            loader->file = flag.value;
        }
    }
    if (loader->file != NULL && loader->file[0] == '\0')
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
        char suggestion[SF_CONFIG_SUGGESTION_MAX];
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
        const int option = sf_option_by_flag(flag.name);
        if (option < 0 && strcmp(flag.name, "config") != 0) {
            usage(loader, "is no option", argument,
                  sf_config_suggest(flag.name, SF_FROM_FLAG, suggestion));
        } else if (flag.value == NULL) {
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
    if (loader.config == NULL) {
        sf_config_complain(&loader, "config: out of memory");
        return -ENOMEM;
    }
    if (loader.file != NULL)
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
