/* config/option.h - one option and one type of option, as the files of this room see them. Plain
 * constant values. */
#ifndef SF_CONFIG_OPTION_H
#define SF_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

#define SF_OPTION_NAME_MAX    64  /* "listen.max_batch", and as flag and variable */
#define SF_OPTION_ALLOWED_MAX 400 /* what values it takes, in words */

struct sf_option;

/* What a JSON file may give for a value. */
enum sf_option_json {
    SF_OPTION_JSON_NUMBER = 1,
    SF_OPTION_JSON_STRING = 2,
    SF_OPTION_JSON_BOOL = 4,
    SF_OPTION_JSON_NULL = 8,  /* the same as an empty string */
    SF_OPTION_JSON_LIST = 16, /* of strings, the same as one with commas between */
};

/* How values of one kind are read, shown and let go. */
struct sf_option_type {
    unsigned json; /* of enum sf_option_json */
    /* Reads text into the option's field. Returns 0, -EINVAL (the field is left alone) or -ENOMEM.
     * err, with -EINVAL: what is wrong in particular, where more can be said than what is allowed;
     * otherwise left alone. */
    int (*parse)(const struct sf_option *option, const char *text, void *field, struct sf_error *err);
    /* Appends the field as JSON. */
    void (*write)(const void *field, struct sf_strbuf *to);
    /* What values are taken, as the end of the sentence "must be ...". May use the buffer. */
    const char *(*allowed)(const struct sf_option *option, char buffer[SF_OPTION_ALLOWED_MAX]);
    /* Frees what the field owns; NULL: nothing. */
    void (*release)(void *field);
    /* Appends text that was refused as JSON, without what may be secret; NULL: nothing is. */
    void (*show)(const char *text, struct sf_strbuf *to);
};

/* A row; see table.h. */
struct sf_option {
    const char *name; /* "listen.max_batch" */
    const char *flag; /* a second name of the flag, without dashes, or NULL */
    const struct sf_option_type *type;
    size_t offset;                   /* of its field in struct sf_config */
    int64_t min, max;                /* of numbers */
    bool (*check)(const char *text); /* of texts */
    const char *allowed;             /* of those, in words */
    const char *fallback;            /* the default as text; NULL: works out in defaults.c */
    const char *fallback_help;       /* that default in words */
    bool reloaded;                   /* read again at SIGHUP */
    const char *help;
};

#endif
