/* config/loader.h - one load of the configuration: what has been taken from where, what was refused,
 * and the lines about it. One thread. */
#ifndef SF_CONFIG_LOADER_H
#define SF_CONFIG_LOADER_H

#include "config/options.h"

/* Where a value came from. */
enum sf_option_source { SF_FROM_DEFAULT, SF_FROM_FILE, SF_FROM_VARIABLE, SF_FROM_FLAG };

struct sf_config_loader {
    struct sf_config *config;
    struct sf_strbuf *errors;
    char *const *environment;
    const char *file; /* the configuration file, or NULL */
    bool bad;         /* some value was refused */
    bool usage;       /* some flag was not understood */
    enum sf_option_source source[SF_OPTIONS_MAX];
    bool refused[SF_OPTIONS_MAX];
};

/* One line of any form; control characters become '?'. */
void sf_config_complain(struct sf_config_loader *loader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One line about an option that has a value. text: the value as given. */
void sf_config_refuse(struct sf_config_loader *loader, int option, enum sf_option_source source,
                      const char *text, const char *must_be);
/* Sets a value or refuses it. */
void sf_config_take(struct sf_config_loader *loader, int option, enum sf_option_source source,
                    const char *text);

/* "; did you mean ...?" for an unknown name, or "". style: how the name is spelt. */
#define SF_CONFIG_SUGGESTION_MAX (2 * SF_OPTION_NAME_MAX)
const char *sf_config_suggest(const char *name, enum sf_option_source style,
                              char buffer[SF_CONFIG_SUGGESTION_MAX]);

/* The value of an environment variable, or NULL. */
const char *sf_config_variable(char *const environment[], const char *name);

#endif
