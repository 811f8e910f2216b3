/* config/options.h - the table of options, for the files of this room: parser, checks, --help,
 * --check-config and documentation all read it, so that none of them can know an option that
 * another does not. Pure; one thread. */
#ifndef SF_CONFIG_OPTIONS_H
#define SF_CONFIG_OPTIONS_H

#include <stddef.h>

#include "config/config.h"

enum sf_option_type {
    SF_OPTION_U32,
    SF_OPTION_U64,
    SF_OPTION_I64,
    SF_OPTION_WORKER, /* int64_t: "any" is -1 */
    SF_OPTION_BOOL,
    SF_OPTION_TEXT, /* char *, judged by check; never NULL */
    SF_OPTION_FILE, /* char *: an absolute or relative path; empty or JSON null: none, NULL in the
                       config */
    SF_OPTION_ADDRESS, /* char * at offset, struct sf_host_port at offset_parsed; the host may be
                          empty: any address */
    SF_OPTION_SOURCES, /* struct sf_clock_specs */
    SF_OPTION_LEVEL,
    SF_OPTION_FORMAT
};

struct sf_option {
    const char *name; /* "listen.max_batch" */
    const char *flag; /* a second name of the flag, without dashes, or NULL */
    enum sf_option_type type;
    size_t offset, offset_parsed;
    int64_t min, max;                /* of numbers */
    bool (*check)(const char *text); /* of TEXT */
    const char *allowed;             /* of TEXT, in words */
    const char
        *fallback; /* the default as text; NULL: depends on the machine or on other options */
    const char *fallback_help; /* that default in words */
    bool reloaded;             /* read again at SIGHUP */
    const char *help;
};

extern const struct sf_option sf_options[];
extern const unsigned sf_option_count;

#define SF_OPTIONS_MAX        80
#define SF_OPTION_NAME_MAX    64
#define SF_OPTION_ALLOWED_MAX 400

/* "SNOWFLEET_LISTEN_MAX_BATCH" and "listen-max-batch" of an option, in a buffer of
 * SF_OPTION_NAME_MAX bytes. */
const char *sf_option_variable(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX]);
const char *sf_option_flag(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX]);

/* The option's index, or -1. */
int sf_option_by_name(const char *name);
int sf_option_by_variable(const char *variable);
int sf_option_by_flag(const char *flag);

/* What values the option takes, as the end of the sentence "must be ...". */
const char *sf_option_allowed(const struct sf_option *option, char *buffer, size_t size);

/* Reads a value into its field. Returns 0, -EINVAL (left alone) or -ENOMEM. err, with -EINVAL: what
 * is wrong in particular, if more can be said than what is allowed; "" otherwise. */
int sf_option_set(const struct sf_option *option, const char *text, struct sf_config *config,
                  struct sf_error *err);

/* The value of a field as JSON. */
void sf_option_json(const struct sf_option *option, const struct sf_config *config,
                    struct sf_strbuf *to);

/* Where a value came from, and the values that were refused: what the checks need to know. */
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

/* One line about an option that has a value. `text` is the value as given. */
void sf_config_refuse(struct sf_config_loader *loader, int option, enum sf_option_source source,
                      const char *text, const char *must_be);
/* One line of any form. */
void sf_config_complain(struct sf_config_loader *loader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Sets a value or refuses it. */
void sf_config_take(struct sf_config_loader *loader, int option, enum sf_option_source source,
                    const char *text);
/* " (did you mean ...?)" for an unknown name, or "". The buffer has 2 * SF_OPTION_NAME_MAX bytes.
 */
const char *sf_config_suggest(const char *name, enum sf_option_source style, char *buffer);

/* The steps of sf_config_load. */
void sf_config_read_file(struct sf_config_loader *loader);
void sf_config_fill_defaults(struct sf_config_loader *loader);
void sf_config_check_combinations(struct sf_config_loader *loader);
const char *sf_config_variable(char *const environment[], const char *name);

#endif
